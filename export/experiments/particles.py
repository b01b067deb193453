"""Particles as a detector has them: energies, pseudorapidities, charges, and the kinds that it tells apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.jets.identities import masses_of
from zoo.export.experiments.cloud import Jet
from zoo.families.clouds.kinds import CODES, charges


@dataclass(frozen=True)
class Axis:
    """Transverse momentum (GeV) and direction of a jet."""

    pt: float
    eta: float
    phi: float

    @property
    def side(self) -> float:
        """1 where the jet goes forward, else -1."""
        return 1.0 if self.eta > 0 else -1.0


@dataclass(frozen=True)
class Four:
    """Four-momenta of particles, in GeV, float64."""

    pt: np.ndarray
    phi: np.ndarray
    along: np.ndarray
    energy: np.ndarray

    @property
    def eta(self) -> np.ndarray:
        """Pseudorapidities; 0 for particles without momentum."""
        return np.arcsinh(np.divide(self.along, self.pt, out=np.zeros_like(self.pt), where=self.pt > 0))

    @property
    def total(self) -> Axis:
        """The sum, that of nothing along the beam's normal."""
        x, y = (self.pt * np.cos(self.phi)).sum(), (self.pt * np.sin(self.phi)).sum()
        pt = np.hypot(x, y)
        return Axis(float(pt), float(np.arcsinh(self.along.sum() / pt)) if pt > 0 else 0.0, float(np.arctan2(y, x)))


def four(jet: Jet) -> Four:
    """Four-momenta of a jet's particles, with the masses of what they are."""
    pt, y, phi = jet.momenta.astype(np.float64).T
    transverse = np.hypot(pt, masses_of(jet.identity))
    return Four(pt, phi, transverse * np.sinh(y), transverse * np.cosh(y))


def detected(codes: np.ndarray) -> np.ndarray:
    """PDG codes of what a detector takes particles for: a charged hadron for a pion, a neutral one for a long-lived kaon."""
    kind, charge = np.abs(codes), charges(codes)
    hadrons = np.where(charge != 0, 211 * charge, np.where(np.isin(codes, CODES), 130, 0))
    return np.where(np.isin(kind, (11, 13, 22)), codes, hadrons).astype(np.int32)
