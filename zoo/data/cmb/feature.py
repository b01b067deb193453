"""The data set of the feature classifiers: binned spectra, split by cosmology, noise drawn anew each epoch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from zoo.data.cmb.binning import N_JOINT, multipole_axis
from zoo.data.cmb.limits import LEAST_AMPLITUDE, Marginal
from zoo.data.cmb.simulate import FEATURE_RANGES, PARAMETERS, SimulationConfig, design
from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.shipped_files import shipped_file
from zoo.model.axes import Axis
from zoo.seeds import generator

SHIPPED = "cmb-feature.npz"
"""Shipped file of noise-free binned spectra; ``zoo simulate cmb-feature --out DIR`` regenerates them."""

SPLITS: dict[Split, tuple[float, float]] = {"train": (0.0, 0.7), "validation": (0.7, 0.8), "test": (0.8, 1.0)}
"""Ranges of cosmologies as fractions; the Latin hypercube is already in random order."""


@dataclass(frozen=True)
class Spectra:
    """A simulated set: spectra (cosmologies, pairs, kinds, 215), best fit (215,), covariance (215, 215), config."""

    spectra: np.ndarray
    best_fit: np.ndarray
    covariance: np.ndarray
    config: Any
    """What it was simulated with, a ``SimulationConfig``."""
    simulator: str

    def part(self, split: Split) -> slice:
        """Where the cosmologies of a split lie."""
        return slice(*(round(fraction * self.config.cosmologies) for fraction in SPLITS[split]))

    def per_spectrum(self, values: np.ndarray, split: Split, shape: tuple[int, ...]) -> np.ndarray:
        """Values of all cosmologies (cosmologies,) or pairs (cosmologies, pairs) for each spectrum of a split.

        Spectra are of the shape (cosmologies of the split, pairs times draws, kinds), and one after another in the result.
        """
        values = values[self.part(split)].reshape(shape[0], -1)
        values = np.tile(values, (1, shape[1] // values.shape[1]))
        return np.broadcast_to(values[..., None], shape).reshape(-1)

    @property
    def error(self) -> np.ndarray:
        """Standard deviation of each bin, muK^2."""
        return np.sqrt(np.diag(self.covariance))

    @cached_property
    def cholesky(self) -> np.ndarray:
        """Lower triangular L (215, 215) with L L^T the covariance: L times standard normal numbers is the noise, muK^2."""
        return np.linalg.cholesky(self.covariance)


@cache
def load_spectra(path: Path | None = None, kind: type[SimulationConfig] = SimulationConfig) -> Spectra:
    """Read a file that ``simulate`` wrote with a kind of config, by default the shipped one of features."""
    with np.load(shipped_file(SHIPPED) if path is None else path, allow_pickle=False) as file:
        config = json.loads(str(file["config"]))
        camb = config.pop("camb")
        return Spectra(
            spectra=file["low"] + file["spectra"] * ((file["high"] - file["low"]) / 65535),
            best_fit=file["best_fit"],
            covariance=file["covariance"],
            config=kind(**config),
            simulator=f"CAMB {camb}",
        )


def noisy(spectra: np.ndarray, cholesky: np.ndarray, seed: int, split: Split, epoch: int) -> np.ndarray:
    """Spectra (..., 215) with Gaussian noise, for training another each epoch; the factor of its covariance is (215, 215)."""
    stream = [seed, list(SPLITS).index(split), epoch if split == "train" else 0]
    normal = generator(stream).standard_normal((spectra[..., 0].size, spectra.shape[-1]))
    return spectra + (normal @ cholesky.T).reshape(spectra.shape)


@register_dataset("cmb-feature")
class CMBFeature:
    """LambdaCDM (target 0) against LambdaCDM with an oscillating primordial feature (target 1); in ln k in the shipped file.

    Spectra come in pairs that differ in the feature alone. Noise is Gaussian with the covariance of the best fit.

    Parameters
    ----------
    noise : bool
        Whether rows carry noise.
    seed : int
        Seed of the noise and nothing else; the spectra have their own.
    path : str, optional
        File written by ``zoo simulate cmb-feature``; the shipped one by default.
    draws : int
        Times that each training spectrum occurs in an epoch, with noise of its own.
    """

    fields = ("cosmology", "cosmic-microwave-background")
    units: ClassVar[dict[str, str]] = {**dict.fromkeys(PARAMETERS, "1"), "H0": "km/s/Mpc"}
    axes: ClassVar[dict[str, Axis]] = {"multipole": multipole_axis()}

    def __init__(self, noise: bool = True, seed: int = 0, path: str | None = None, draws: int = 1) -> None:
        self._set = load_spectra(None if path is None else Path(path))
        self.noise, self.seed, self.draws = noise, seed, draws
        oscillation = {"logarithmic": "log-oscillating", "linear": "linearly oscillating"}[self._set.config.feature]
        self.description = f"Planck-binned CMB spectra with and without a {oscillation} primordial feature"
        self.simulator = f"{self._set.simulator}, design seed {self._set.config.seed}"

    def best_scores(self, rows: Rows) -> dict[str, np.ndarray]:
        """What the data allow, and what takes no training; nothing for rows without noise, whose likelihoods have no width.

        Parameters
        ----------
        rows : Rows
            Rows of any split.

        Returns
        -------
        dict of str to ndarray
            The likelihood ratio of a feature, averaged over the prior of features, and the chi-squared of LambdaCDM, (n,) each.
        """
        if not self.noise:
            return {}
        part = self._set.part("train")
        plain, beside = (self._set.spectra[part][:, :, kind].reshape(-1, N_JOINT) for kind in (0, 1))
        amplitude = 10 ** design(self._set.config)["log10_amplitude"][part].reshape(-1)
        large = amplitude > LEAST_AMPLITUDE
        likelihood = Marginal(plain, self._set.covariance)
        (spectra,) = rows.inputs.values()
        observed = spectra.astype(float)
        return {
            "likelihood ratio": likelihood.of_features(observed, (beside - plain)[large] / amplitude[large, None]),
            "chi-squared of LambdaCDM": likelihood.chi_squared(observed),
        }

    def spectra(self, split: Split, epoch: int = 0) -> np.ndarray:
        """The spectra of a split, with noise where the data set has it.

        Parameters
        ----------
        split : str
            Name of the split.
        epoch : int
            Epoch of the training, by which the noise of its rows differs.

        Returns
        -------
        ndarray
            D_l in muK^2 of shape (cosmologies, pairs times draws, 2, bins), of each pair first the sky without the feature.
        """
        spectra = self._set.spectra[self._set.part(split)]
        if split == "train" and self.draws > 1:
            spectra = np.tile(spectra, (1, self.draws, 1, 1))
        if self.noise:
            spectra = noisy(spectra, self._set.cholesky, self.seed, split, epoch)
        return spectra

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        config = self._set.config
        spectra = self.spectra(split, epoch)
        shape = spectra.shape[:-1]
        has_feature = np.broadcast_to([0, 1], shape).reshape(-1)
        drawn = design(config)
        truth = {name: self._set.per_spectrum(drawn[name], split, shape) for name in PARAMETERS}
        for name in FEATURE_RANGES:
            truth[name] = np.where(has_feature, truth[name], np.nan)
        return Rows(
            inputs={"spectrum": spectra.reshape(-1, spectra.shape[-1]).astype(np.float32)},
            target=has_feature[:, None].astype(np.float32),
            group=self._set.per_spectrum(np.arange(config.cosmologies), split, shape),
            truth=truth,
        )
