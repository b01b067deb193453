"""Binned CMB spectra from CAMB: LambdaCDM, and LambdaCDM with an oscillating primordial feature.

The feature multiplies the primordial power law, logarithmic in k or linear (Planck 2018 X, arXiv:1807.06211, eqs. 71 and 72):

    P(k) = A_s (k / k_p)^(n_s - 1) [1 + A cos(omega x + phi)],    x = ln(k / k_p) or k / k_p,    k_p = 0.05 / Mpc.

Both classes go through the same splined primordial table, the same transfer functions and the same accuracy
settings, so that nothing but the feature tells them apart. CAMB's default sampling in l aliases fast
oscillations (at omega = 20 its error reaches two thirds of the feature itself); ``l_sample_boost = 5`` holds it
below 1% for omega <= 20.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.atomic import claim, whole_file
from zoo.data.cmb.binning import L_MAX, N_JOINT, bin_spectra
from zoo.data.cmb.noise import knox_covariance
from zoo.jobs import expect_jobs
from zoo.seeds import expect_seed
from zoo.space import expect_space

PIVOT = 0.05
"""Pivot wavenumber k_p, 1/Mpc."""

BEST_FIT = {"H0": 67.27, "ombh2": 0.02236, "omch2": 0.1202, "tau": 0.0544, "ns": 0.9649, "ln10As": 3.045}
"""Planck 2018 TT,TE,EE+lowE (arXiv:1807.06209, table 2): H0 in km/s/Mpc, the rest dimensionless."""

N_EFF = 3.044
"""Effective number of neutrinos of the standard model (arXiv:2008.01074)."""

RANGES = {
    "H0": (64.27, 70.27),
    "ombh2": (0.02161, 0.02311),
    "omch2": (0.1132, 0.1272),
    "tau": (0.0144, 0.0944),
    "ns": (0.9429, 0.9869),
    "ln10As": (2.965, 3.125),
}
"""The hypercube: five of Planck's standard deviations to either side of the best fit."""

FEATURE_RANGES = {"log10_amplitude": (-4.0, -1.0), "frequency": (2.0, 20.0), "phase": (0.0, 2 * np.pi)}

TRANSFER_PARAMETERS = ("H0", "ombh2", "omch2", "tau")
"""What fixes the transfer functions; everything else is drawn many times on each of them."""
PRIMORDIAL_PARAMETERS = ("ns", "ln10As", "log10_amplitude", "frequency", "phase")
PARAMETERS = TRANSFER_PARAMETERS + PRIMORDIAL_PARAMETERS


Feature = Literal["logarithmic", "linear"]
"""The variable in which the oscillation is periodic, ln k or k."""


class SimulationConfig(BaseModel):
    """What defines a set of spectra; a folder made with one is refused by another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cosmologies: int = 1600
    pairs: int = 4
    """Primordial draws on each cosmology; each gives one spectrum without the feature and one with it."""
    seed: int = 20181
    l_sample_boost: float = 5.0
    feature: Feature = "logarithmic"

    @property
    def kinds(self) -> int:
        """Spectra of a pair."""
        return 2

    def simulated(self, index: int) -> np.ndarray:
        """All spectra of one cosmology: (pairs, kinds, 215) in muK^2; [:, 0] of LambdaCDM, [:, 1] with the feature."""
        return simulate_cosmology(index, self)


def design(config: SimulationConfig) -> dict[str, np.ndarray]:
    """Latin hypercubes over the cosmologies, shape (cosmologies,), and the primordial draws, (cosmologies, pairs)."""
    from scipy.stats import qmc  # not needed by those who only read the spectra

    expect_seed(config.seed)

    def hypercube(names: tuple[str, ...], n: int, seed: int) -> dict[str, np.ndarray]:
        ranges = {**RANGES, **FEATURE_RANGES}
        low, high = zip(*(ranges[name] for name in names), strict=True)
        rows = qmc.scale(qmc.LatinHypercube(len(names), rng=seed).random(n), low, high)
        return dict(zip(names, rows.T, strict=True))

    shape = (config.cosmologies, config.pairs)
    primordial = hypercube(PRIMORDIAL_PARAMETERS, config.cosmologies * config.pairs, config.seed + 1)
    return {
        **hypercube(TRANSFER_PARAMETERS, config.cosmologies, config.seed),
        **{name: values.reshape(shape) for name, values in primordial.items()},
    }


def primordial_power(
    k: np.ndarray,
    ns: float,
    ln10As: float,
    amplitude: float = 0.0,
    frequency: float = 0.0,
    phase: float = 0.0,
    feature: Feature = "logarithmic",
) -> np.ndarray:
    """Dimensionless primordial power at wavenumbers k (1/Mpc); amplitude 0 is the plain power law."""
    log_k = np.log(k / PIVOT)
    x = log_k if feature == "logarithmic" else k / PIVOT
    return 1e-10 * np.exp(ln10As + (ns - 1) * log_k) * (1 + amplitude * np.cos(frequency * x + phase))


def transfer_functions(
    cosmology: Mapping[str, float], l_sample_boost: float = 5.0, *, neutrinos: float = N_EFF, dark_energy: Any = None
):
    """CAMB's transfer functions for H0, ombh2, omch2 and tau (flat, one massive neutrino of 0.06 eV).

    Parameters
    ----------
    cosmology : mapping of str to float
        The four parameters.
    l_sample_boost : float
        Density of the multipoles at which CAMB computes.
    neutrinos : float
        The effective number of neutrinos, N_eff, which the primordial helium follows.
    dark_energy : camb.dark_energy.DarkEnergyModel, optional
        A cosmological constant by default.
    """
    import camb

    params = camb.CAMBparams()
    params.set_cosmology(**{name: cosmology[name] for name in TRANSFER_PARAMETERS}, mnu=0.06, omk=0.0, nnu=neutrinos)
    if dark_energy is not None:
        params.DarkEnergy = dark_energy
    params.set_for_lmax(L_MAX["TT"] + 100, lens_potential_accuracy=1)
    params.set_accuracy(lSampleBoost=l_sample_boost)
    params.WantTensors = False
    # Halofit would be fixed by the first primordial spectrum and kept for all; linear lensing is exact for each.
    params.NonLinear = camb.model.NonLinear_none
    return camb.get_transfer_functions(params)


def spectra(
    transfers,
    feature: Feature = "logarithmic",
    *,
    factor: Callable[[np.ndarray], np.ndarray] | None = None,
    **primordial: float,
) -> dict[str, np.ndarray]:
    """Lensed D_l in muK^2 for l = 0..2508 of one primordial spectrum, by a factor of k if given; keys "TT", "TE", "EE"."""
    from camb.initialpower import SplinedInitialPower

    k = np.geomspace(1e-6, 50.0, 4000)
    power = primordial_power(k, feature=feature, **primordial) * (1.0 if factor is None else factor(k))
    transfers.power_spectra_from_transfer(SplinedInitialPower(ks=k, PK=power))
    return by_channel(transfers.get_total_cls(lmax=L_MAX["TT"], CMB_unit="muK"))


def by_channel(total: np.ndarray) -> dict[str, np.ndarray]:
    """D_l of each channel, of CAMB's columns TT, EE, BB and TE."""
    return {"TT": total[:, 0], "EE": total[:, 1], "TE": total[:, 3]}


def best_fit_spectra() -> dict[str, np.ndarray]:
    """Unbinned D_l of the Planck 2018 best fit, muK^2."""
    return spectra(transfer_functions(BEST_FIT), ns=BEST_FIT["ns"], ln10As=BEST_FIT["ln10As"])


def simulate_cosmology(index: int, config: SimulationConfig) -> np.ndarray:
    """All spectra of one cosmology: (pairs, 2, 215) in muK^2; [:, 0] without the feature, [:, 1] with it."""
    drawn = design(config)
    transfers = transfer_functions({name: float(drawn[name][index]) for name in TRANSFER_PARAMETERS}, config.l_sample_boost)
    out = np.empty((config.pairs, 2, N_JOINT))
    for pair in range(config.pairs):
        ns, ln10As, log10_amplitude, frequency, phase = (float(drawn[p][index, pair]) for p in PRIMORDIAL_PARAMETERS)
        out[pair, 0] = bin_spectra(spectra(transfers, ns=ns, ln10As=ln10As))
        drawn_feature: dict[str, Any] = {"amplitude": 10**log10_amplitude, "frequency": frequency, "phase": phase}
        out[pair, 1] = bin_spectra(spectra(transfers, config.feature, ns=ns, ln10As=ln10As, **drawn_feature))
    return out


def simulate(folder: Path, config: SimulationConfig, jobs: int = -1) -> Path:
    """Simulate every cosmology of ``config`` into ``folder`` and write ``spectra.npz`` there.

    One file a cosmology, renamed into place when whole: a killed run goes on where it stopped.

    Raises
    ------
    InputError
        If the seed is negative, or there cannot be as many jobs.
    FolderError
        If the folder holds spectra made with another config.
    FullDiskError
        If there is no space for all of them.
    """
    from zoo.data.simulation_files import simulate_all

    expect_seed(config.seed)
    expect_jobs(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "config.json", config.model_dump(mode="json"), "spectra")
    paths = [folder / f"cosmology-{i:05d}.npy" for i in range(config.cosmologies)]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    expect_space(folder, len(missing) * config.pairs * config.kinds * N_JOINT * 8)
    tasks = [(paths[i], i, config) for i in missing]
    simulate_all(_simulate_to, tasks, jobs, "CAMB cosmologies", stderr=False)
    return _pack(folder, config, np.stack([np.load(path, allow_pickle=False) for path in paths]))


def _simulate_to(path: Path, index: int, config: SimulationConfig) -> None:
    with whole_file(path) as file:
        np.save(file, config.simulated(index))


def _pack(folder: Path, config: SimulationConfig, values: np.ndarray) -> Path:
    """Write the shipped file: spectra as 16-bit integers between each bin's extremes, below 1e-3 of Planck's noise."""
    import camb

    low, high = values.min(axis=(0, 1, 2)), values.max(axis=(0, 1, 2))
    best_fit = best_fit_spectra()
    path = folder / "spectra.npz"
    with whole_file(path) as file:
        np.savez_compressed(
            file,
            spectra=np.round((values - low) / (high - low) * 65535).astype(np.uint16),
            low=low,
            high=high,
            best_fit=bin_spectra(best_fit),
            covariance=knox_covariance(best_fit),
            config=json.dumps({**config.model_dump(), "camb": camb.__version__}),
        )
    return path
