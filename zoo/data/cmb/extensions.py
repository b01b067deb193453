"""Binned CMB spectra of LambdaCDM and of universes beside it, on the same cosmologies.

Each universe is stated whole, so that its mean spectra differ from those of LambdaCDM in one known direction: what a linear
model can learn, and what a classifier of something else may be asked about.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zoo.data.cmb.binning import L_MAX, N_JOINT, bin_spectra
from zoo.data.cmb.simulate import PIVOT, TRANSFER_PARAMETERS, SimulationConfig, by_channel, design, spectra, transfer_functions

RUNNING = -0.01
"""Running of the spectral index, d n_s / d ln k."""
OSCILLATION: dict[str, Any] = {"amplitude": 0.005, "frequency": 10.0, "phase": 0.0}
"""The oscillation in ln k of stated frequency and phase, as ``zoo.data.cmb.simulate.primordial_power`` takes it."""
STEP = {"height": 0.01, "width": 0.1}
"""Half the relative height of a step of the primordial power at the pivot, and its width in ln k."""
LENSING = {"lensing 1.1": 1.1, "lensing 1.2": 1.2}
"""A_lens, what the power of the lensing potential is multiplied by."""
DARK_ENERGY = {"w": -0.752, "wa": -0.86}
"""Evolving dark energy as DESI with supernovae and the CMB has it (arXiv:2503.14738, table V), at the same H0."""

Universe = Literal["LambdaCDM", "running", "oscillation", "lensing 1.1", "lensing 1.2", "step", "w0wa"]
UNIVERSES: tuple[Universe, ...] = ("LambdaCDM", "running", "oscillation", "lensing 1.1", "lensing 1.2", "step", "w0wa")
"""In the order of the spectra of a pair: LambdaCDM comes first."""


class ExtensionConfig(SimulationConfig):
    """What defines a set of spectra of several universes; LambdaCDM's parameters are drawn as for the features."""

    cosmologies: int = 128
    seed: int = 20185
    universes: tuple[Universe, ...] = UNIVERSES[:-1]
    """Which, in the order of the spectra of a pair; dark energy takes transfer functions of its own, twice the time."""

    @property
    def kinds(self) -> int:
        return len(self.universes)

    def simulated(self, index: int) -> np.ndarray:
        """All spectra of one cosmology: (pairs, universes, 215) in muK^2."""
        drawn = design(self)
        cosmology = {name: float(drawn[name][index]) for name in TRANSFER_PARAMETERS}
        transfers = transfer_functions(cosmology, self.l_sample_boost)
        evolving = transfer_functions(cosmology, self.l_sample_boost, **DARK_ENERGY) if "w0wa" in self.universes else None
        out = np.empty((self.pairs, self.kinds, N_JOINT))
        for pair in range(self.pairs):
            tilt: dict[str, Any] = {name: float(drawn[name][index, pair]) for name in ("ns", "ln10As")}
            for kind, universe in enumerate(self.universes):
                out[pair, kind] = bin_spectra(spectra_of(universe, evolving if universe == "w0wa" else transfers, tilt))
        return out


def spectra_of(universe: Universe, transfers: Any, tilt: dict[str, Any]) -> dict[str, np.ndarray]:
    """Unbinned lensed D_l in muK^2 of one universe.

    Parameters
    ----------
    universe : str
        One of ``UNIVERSES``.
    transfers : camb.CAMBdata
        Transfer functions, of "w0wa" those of its dark energy.
    tilt : dict of str to float
        The primordial ``ns`` and ``ln10As``.
    """
    if universe == "running":
        return spectra(transfers, **tilt, factor=lambda k: np.exp(RUNNING / 2 * np.log(k / PIVOT) ** 2))
    if universe == "step":
        return spectra(transfers, **tilt, factor=lambda k: 1 + STEP["height"] * np.tanh(np.log(k / PIVOT) / STEP["width"]))
    if universe == "oscillation":
        return spectra(transfers, **tilt, **OSCILLATION)
    plain = spectra(transfers, **tilt)
    if universe in LENSING:
        return by_channel(transfers.get_partially_lensed_cls(LENSING[universe], lmax=L_MAX["TT"], CMB_unit="muK"))
    return plain
