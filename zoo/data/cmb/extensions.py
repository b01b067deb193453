"""Binned CMB spectra of LambdaCDM and of universes beside it, on the same cosmologies.

Each universe is stated whole, so that its mean spectra differ from those of LambdaCDM in one known direction: what a linear
model can learn, and what a classifier of something else may be asked about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from zoo.data.cmb.binning import L_MAX, N_JOINT, bin_spectra
from zoo.data.cmb.simulate import (
    N_EFF,
    PIVOT,
    TRANSFER_PARAMETERS,
    SimulationConfig,
    by_channel,
    design,
    spectra,
    transfer_functions,
)

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
RADIATION = 0.3
"""What light relics add to the effective number of neutrinos."""
EARLY = {"n": 3.0, "theta_i": 2.83, "zc": 10**3.56, "fde_zc": 0.1}
"""An axion-like field that holds a tenth of the energy at redshift 3600, as was proposed for H0 (arXiv:1908.06995)."""
HIDDEN: dict[str, dict[str, float]] = {
    "N_eff": {"H0": 2.191, "ombh2": 0.000301, "omch2": 0.003987, "ns": 0.01356, "ln10As": 0.01008},
    "early dark energy": {"H0": 3.322, "ombh2": 0.0001436, "omch2": 0.009981, "ns": 0.01616, "ln10As": 0.01741},
}
"""By how much the parameters of LambdaCDM move, so that its spectra hide as much of a universe as they can, as Planck's
noise sees them at the best fit: the least chi-squared of the difference is 2.9 and 6.0 (`benchmarks/hidden_universes.py`).

With the parameters of LambdaCDM kept, more radiation or early dark energy would move the acoustic peaks by tens of standard
deviations, as H0 does, and a classifier would tell it by parameters that no row of LambdaCDM has."""

Universe = Literal[
    "LambdaCDM", "running", "oscillation", "lensing 1.1", "lensing 1.2", "step", "w0wa", "N_eff", "early dark energy"
]
UNIVERSES: tuple[Universe, ...] = ("LambdaCDM", "running", "oscillation", "lensing 1.1", "lensing 1.2", "step")
"""Those of the same transfer functions, in the order of the spectra of a pair: LambdaCDM comes first."""
BACKGROUNDS: dict[str, tuple[Universe, ...]] = {
    "late": ("LambdaCDM", "w0wa"),
    "early": ("LambdaCDM", "N_eff", "early dark energy"),
}
"""Those with transfer functions of their own, by the time at which they expand otherwise; each takes as long as LambdaCDM."""


class ExtensionConfig(SimulationConfig):
    """What defines a set of spectra of several universes; LambdaCDM's parameters are drawn as for the features."""

    cosmologies: int = 128
    seed: int = 20185
    universes: tuple[Universe, ...] = UNIVERSES
    """Which, in the order of the spectra of a pair."""

    @property
    def kinds(self) -> int:
        return len(self.universes)

    def simulated(self, index: int) -> np.ndarray:
        """All spectra of one cosmology: (pairs, universes, 215) in muK^2."""
        drawn = design(self)
        cosmology = {name: float(drawn[name][index]) for name in TRANSFER_PARAMETERS}
        plain = transfer_functions(cosmology, self.l_sample_boost)
        transfers = {one: transfers_of(one, cosmology, self.l_sample_boost) if one in OWN else plain for one in self.universes}
        out = np.empty((self.pairs, self.kinds, N_JOINT))
        for pair in range(self.pairs):
            tilt: dict[str, Any] = {name: float(drawn[name][index, pair]) for name in ("ns", "ln10As")}
            for kind, universe in enumerate(self.universes):
                out[pair, kind] = bin_spectra(spectra_of(universe, transfers[universe], tilt))
        return out


def transfers_of(universe: Universe, cosmology: Mapping[str, float], l_sample_boost: float = 5.0) -> Any:
    """CAMB's transfer functions of a universe that has its own.

    Parameters
    ----------
    universe : str
        One of ``OWN``.
    cosmology : mapping of str to float
        The parameters of LambdaCDM beside which it lies.
    l_sample_boost : float
        Density of the multipoles at which CAMB computes.
    """
    from camb.dark_energy import DarkEnergyPPF, EarlyQuintessence

    moved = {name: value + HIDDEN.get(universe, {}).get(name, 0.0) for name, value in cosmology.items()}
    if universe == "N_eff":
        return transfer_functions(moved, l_sample_boost, neutrinos=N_EFF + RADIATION)
    if universe == "w0wa":
        evolving = DarkEnergyPPF()
        evolving.set_params(**DARK_ENERGY)
        return transfer_functions(moved, l_sample_boost, dark_energy=evolving)
    early = EarlyQuintessence()
    early.set_params(**EARLY)
    return transfer_functions(moved, l_sample_boost, dark_energy=early)


OWN: tuple[Universe, ...] = tuple(one for kinds in BACKGROUNDS.values() for one in kinds if one != "LambdaCDM")
"""Universes whose transfer functions are not those of LambdaCDM."""


def spectra_of(universe: Universe, transfers: Any, tilt: dict[str, Any]) -> dict[str, np.ndarray]:
    """Unbinned lensed D_l in muK^2 of one universe.

    Parameters
    ----------
    universe : str
        One of ``UNIVERSES``.
    transfers : camb.CAMBdata
        Transfer functions, of one with its own those of `transfers_of`.
    tilt : dict of str to float
        The primordial ``ns`` and ``ln10As``.
    """
    if universe == "running":
        return spectra(transfers, **tilt, factor=lambda k: np.exp(RUNNING / 2 * np.log(k / PIVOT) ** 2))
    if universe == "step":
        return spectra(transfers, **tilt, factor=lambda k: 1 + STEP["height"] * np.tanh(np.log(k / PIVOT) / STEP["width"]))
    if universe == "oscillation":
        return spectra(transfers, **tilt, **OSCILLATION)
    moved = HIDDEN.get(universe, {})
    plain = spectra(transfers, **{name: value + moved.get(name, 0.0) for name, value in tilt.items()})
    if universe in LENSING:
        return by_channel(transfers.get_partially_lensed_cls(LENSING[universe], lmax=L_MAX["TT"], CMB_unit="muK"))
    return plain
