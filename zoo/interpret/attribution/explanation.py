"""What a method says about an answer of a model: the common result of all attribution methods."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file
from zoo.errors import InputError
from zoo.model.test_tensors import read_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARRAYS = ("values", "inputs", "baseline", "answer", "baseline_answer")
FIXED = "fixed/"
"""Prefix of the arrays of ``fixed`` in a file."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """How much each element of an input tensor contributes to one number that a model returns.

    Attributes
    ----------
    values : (n, ...) attributions, of the shape of ``inputs``
    inputs : (n, ...) the explained rows of the tensor ``tensor``
    answer : (n,) the explained number at each row
    method, endpoint : names of the method and of the model's endpoint
    tensor, output, target : what is attributed to what: input tensor, output tensor and the element of it
    baseline, baseline_answer : what stands for nothing, of the shape of ``inputs``, and the number there; None for methods
        without a baseline
    fixed : the endpoint's other inputs, held as given
    meta : plain data about the making: model, revision, unit, options of the method
    """

    values: np.ndarray
    inputs: np.ndarray
    answer: np.ndarray
    method: str
    endpoint: str
    tensor: str
    output: str
    target: int
    baseline: np.ndarray | None = None
    baseline_answer: np.ndarray | None = None
    fixed: dict[str, np.ndarray] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def completeness_error(self) -> np.ndarray | None:
        """(n,) |sum of the attributions - [f(x) - f(baseline)]|, in the unit of the output; None without a baseline.

        Axiom 2 of Sundararajan et al. (2017, arXiv:1703.01365): zero for an exact path integral and for Shapley values, so
        that what is left is the error of the quadrature and of float32; of occlusion and a local surrogate, what patches do
        together and not alone.
        """
        if self.baseline_answer is None:
            return None
        total = self.values.reshape(len(self.values), -1).sum(axis=1, dtype=float)
        return np.abs(total - (self.answer.astype(float) - self.baseline_answer))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file, whole or not at all."""
        path = Path(path)
        arrays = {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}
        arrays |= {FIXED + name: array for name, array in self.fixed.items()}
        about = {name: getattr(self, name) for name in ("method", "endpoint", "tensor", "output", "target", "meta")}
        with whole_file(path) as file:
            np.savez_compressed(file, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
        return path

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Explanation:
        """Read a file written by `save`.

        Raises
        ------
        IntegrityError
            If the file is damaged.
        InputError
            If it holds something else.
        """
        try:
            stored = read_npz(Path(path))
            arrays: dict[str, Any] = {name: stored[name] for name in ARRAYS if name in stored}
            fixed = {name.removeprefix(FIXED): array for name, array in stored.items() if name.startswith(FIXED)}
            return cls(**arrays, fixed=fixed, **json.loads(str(stored["about"])))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not an explanation written by Explanation.save: {error}") from error

    def plot(self) -> Figure:
        """Attributions over multipoles for joint CMB spectra, slices and shells of a cube, images, else a curve.

        Raises
        ------
        InputError
            If the explained tensor has several axes and is neither a cube nor an image.
        """
        from zoo.data.cmb.binning import N_JOINT
        from zoo.interpret import plots

        if self.tensor == "spectrum" and self.inputs.shape[1:] == (N_JOINT,):
            return plots.attribution_over_multipoles(self)
        if self.inputs.ndim == 4 and len(set(self.inputs.shape[1:])) == 1:
            return plots.attribution_over_cube(self)
        if self.inputs.ndim == 4 and self.inputs.shape[-1] in (1, 3):
            return plots.attribution_over_image(self)
        return plots.attribution_over_elements(self)
