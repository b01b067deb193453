"""The data set of the emulator: parameters of LambdaCDM -> binned CMB spectra, split by cosmology."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from zoo.data.cmb.binning import CHANNELS, SLICES, joint_multipoles, multipole_axis
from zoo.data.cmb.feature import SPLITS, load_spectra
from zoo.data.cmb.simulate import RANGES, design
from zoo.data.dataset import Rows, Split, register_dataset
from zoo.model.axes import Axis

PARAMETERS = tuple(RANGES)
"""The order of every parameter vector: H0, ombh2, omch2, tau, ns, ln10As."""

UNITS = {**dict.fromkeys(PARAMETERS, "1"), "H0": "km/s/Mpc"}

AXES = {
    "multipole": multipole_axis(),
    "parameter": Axis(name="parameter", size=len(PARAMETERS), labels=list(PARAMETERS), units=list(UNITS.values())),
}
"""The axes of spectra and of parameter vectors."""

LOW, HIGH = np.array(list(RANGES.values())).T
"""Corners of the hypercube, (6,) each."""


@register_dataset("cmb-emulation")
class CMBEmulation:
    """The spectra without a primordial feature of the classifiers' set, by cosmological parameters; no noise.

    Parameters
    ----------
    path : str, optional
        File written by ``zoo simulate cmb-feature``; the shipped one by default.
    """

    description = "Planck-binned CMB spectra of LambdaCDM against its six parameters"
    fields = ("cosmology", "cosmic-microwave-background")
    units: ClassVar[dict[str, str]] = UNITS
    axes: ClassVar[dict[str, Axis]] = AXES
    scale_description = "standard deviation of Planck-like noise"
    abscissa = "multipole"

    def __init__(self, path: str | None = None) -> None:
        self._set = load_spectra(None if path is None else Path(path))
        self.seed = self._set.config.seed
        self.simulator = f"{self._set.simulator}, design seed {self.seed}"

    @property
    def scale(self) -> np.ndarray:
        """What an error is measured in: standard deviation of the noise in each bin, (215,), muK^2."""
        return self._set.error

    @property
    def panels(self) -> dict[str, tuple[slice, np.ndarray]]:
        """Where each channel lies in the output, and the multipoles of its bins."""
        return {channel: (SLICES[channel], joint_multipoles()[SLICES[channel]]) for channel in CHANNELS}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        config = self._set.config
        start, stop = (round(fraction * config.cosmologies) for fraction in SPLITS[split])
        drawn = design(config)
        shape = (config.cosmologies, config.pairs)
        columns = [drawn[name][:, None] if drawn[name].ndim == 1 else drawn[name] for name in PARAMETERS]
        theta = np.stack([np.broadcast_to(column, shape) for column in columns], axis=-1)[start:stop].reshape(
            -1, len(PARAMETERS)
        )
        spectra = self._set.spectra[start:stop, :, 0]
        return Rows(
            inputs={"theta": theta.astype(np.float32)},
            target=spectra.reshape(-1, spectra.shape[-1]).astype(np.float32),
            group=np.repeat(np.arange(start, stop), config.pairs),
            truth=dict(zip(PARAMETERS, theta.T, strict=True)),
        )
