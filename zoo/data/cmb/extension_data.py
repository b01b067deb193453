"""The data set of LambdaCDM against one stated universe beside it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, get_args

import numpy as np

from zoo.data.cmb.binning import N_JOINT, multipole_axis
from zoo.data.cmb.extensions import ExtensionConfig, Universe
from zoo.data.cmb.feature import load_spectra, noisy
from zoo.data.cmb.limits import Marginal
from zoo.data.cmb.simulate import RANGES, design
from zoo.data.dataset import Rows, Split, register_dataset
from zoo.data.shipped_files import shipped_file
from zoo.errors import UnknownNameError
from zoo.model.axes import Axis

SHIPPED = {"w0wa": "cmb-dark-energy.npz", "N_eff": "cmb-early.npz", "early dark energy": "cmb-early.npz"}
"""Shipped file of each universe that has one of its own."""
OTHERS = "cmb-extensions.npz"
"""Shipped file of all others; ``zoo simulate cmb-extensions`` makes all anew."""


@register_dataset("cmb-extension")
class CMBExtension:
    """LambdaCDM (target 0) against another universe on the same cosmologies (target 1).

    Parameters
    ----------
    universe : str
        Which one, of ``zoo.data.cmb.extensions.Universe``.
    seed : int
        Seed of the noise and nothing else.
    draws : int
        Times that each spectrum occurs, with noise of its own.
    path : str, optional
        File written by ``zoo simulate cmb-extensions``; a shipped one by default.
    """

    fields = ("cosmology", "cosmic-microwave-background")
    units: ClassVar[dict[str, str]] = {**dict.fromkeys(RANGES, "1"), "H0": "km/s/Mpc"}
    axes: ClassVar[dict[str, Axis]] = {"multipole": multipole_axis()}

    def __init__(self, universe: Universe, seed: int = 0, draws: int = 8, path: str | None = None) -> None:
        if universe not in get_args(Universe):
            raise UnknownNameError("universe", universe, get_args(Universe))
        file = shipped_file(SHIPPED.get(universe, OTHERS)) if path is None else Path(path)
        self._set = load_spectra(file, ExtensionConfig)
        known = self._set.config.universes
        if universe not in known:
            raise UnknownNameError(f"universe of {file.name}", universe, known)
        self._kinds = [known.index("LambdaCDM"), known.index(universe)]
        self.universe, self.seed, self.draws = universe, seed, draws
        self.description = f"Planck-binned CMB spectra of LambdaCDM and of {universe} on the same cosmologies"
        self.simulator = f"{self._set.simulator}, design seed {self._set.config.seed}"

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        spectra = np.tile(self._set.spectra[self._set.part(split)][:, :, self._kinds], (1, self.draws, 1, 1))
        spectra = noisy(spectra, self._set.cholesky, self.seed, split, epoch)
        drawn, shape = design(self._set.config), spectra.shape[:-1]
        return Rows(
            inputs={"spectrum": spectra.reshape(-1, spectra.shape[-1]).astype(np.float32)},
            target=np.broadcast_to(np.array([0, 1], np.float32), shape).reshape(-1, 1),
            group=self._set.per_spectrum(np.arange(self._set.config.cosmologies), split, shape),
            truth={name: self._set.per_spectrum(drawn[name], split, shape) for name in RANGES},
        )

    def best_scores(self, rows: Rows) -> dict[str, np.ndarray]:
        """The linear ideal: the likelihood ratio of the mean shift, LambdaCDM's parameters integrated out."""
        plain, shifted = (self._set.spectra[self._set.part("train")][:, :, kind].reshape(-1, N_JOINT) for kind in self._kinds)
        likelihood = Marginal(plain, self._set.covariance)
        (spectra,) = rows.inputs.values()
        return {"linear ideal": likelihood.along(spectra.astype(float), (shifted - plain).mean(axis=0))}
