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
from zoo.interpret.elements import axes_of, layout
from zoo.interpret.result import Result
from zoo.model.axes import Axis
from zoo.model.test_tensors import read_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ARRAYS = ("values", "inputs", "baseline", "answer", "baseline_answer")
FIXED = "fixed/"
"""Prefix of the arrays of ``fixed`` in a file."""


@dataclass(frozen=True, eq=False)
class Explanation(Result):
    """How much each element of an input tensor contributes to one number that a model returns.

    Attributes
    ----------
    values : ndarray
        Attributions, of the shape of ``inputs``.
    inputs : ndarray
        The explained rows of the tensor ``tensor``, of shape (n, ...).
    answer : ndarray
        The explained number at each row, of shape (n,).
    method : str
        Name of the method.
    endpoint : str
        Name of the model's endpoint.
    tensor : str
        Name of the input tensor that is attributed to.
    output : str
        Name of the output tensor that is explained.
    target : int
        The element of that output, counted in C order.
    baseline : ndarray, optional
        What stands for nothing, of the shape of ``inputs``; None for methods without a baseline.
    baseline_answer : ndarray, optional
        The explained number there, of shape (n,).
    fixed : dict of str to ndarray
        The endpoint's other inputs, held as given.
    meta : dict
        Plain data about the making: model, revision, unit of the tensor, options of the method.
    axes : list of Axis
        Axes of the tensor after the batch, as the model's spec has them.
    answered : str
        What the explained number is called, such as "logit" or "theta[H0]"; by default the output's name and the element.
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
    axes: list[Axis] = field(default_factory=list)
    answered: str = ""

    def __post_init__(self) -> None:
        """Name the explained number after its output, where nothing more is known of it."""
        if not self.answered:
            name = "logit" if self.output == "logits" else self.output
            object.__setattr__(self, "answered", f"{name}[{self.target}]" if self.target else name)

    @property
    def along(self) -> list[Axis]:
        """The axes of the tensor with the sizes of these rows, numbered where nothing is known of them."""
        return axes_of(self.axes, self.inputs.shape[1:])

    @property
    def real(self) -> np.ndarray | None:
        """Which elements of the tensor are real, (n, ...), where it has a mask; padding contributes nothing."""
        mask = self.meta.get("mask")
        return None if mask is None else self.fixed.get(mask)

    @property
    def completeness_error(self) -> np.ndarray | None:
        """The sum of the attributions of each row minus [f(x) - f(baseline)], in absolute value; None without a baseline.

        Axiom 2 of Sundararajan et al. (2017, arXiv:1703.01365): zero for an exact path integral and for Shapley values, so
        that what is left is the error of the quadrature and of float32; of occlusion and a local surrogate, what patches do
        together and not alone.
        """
        if self.baseline_answer is None:
            return None
        total = self.values.reshape(len(self.values), -1).sum(axis=1, dtype=float)
        return np.abs(total - (self.answer.astype(float) - self.baseline_answer))

    def save(self, path: str | PathLike[str]) -> Path:
        """Write everything to one ``.npz`` file, whole or not at all; InputError for a path of another kind."""
        path = self.destination(path)
        arrays = {name: array for name in ARRAYS if (array := getattr(self, name)) is not None}
        arrays |= {FIXED + name: array for name, array in self.fixed.items()}
        about = {name: getattr(self, name) for name in ("method", "endpoint", "tensor", "output", "target", "meta", "answered")}
        about["axes"] = [axis.model_dump(exclude_none=True) for axis in self.axes]
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
            about = json.loads(str(stored["about"]))
            axes = [Axis(**axis) for axis in about.pop("axes", [])]
            return cls(**arrays, fixed=fixed, axes=axes, **about)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not an explanation written by Explanation.save: {error}") from error

    def plot(self) -> Figure:
        """Attributions along the axes of the tensor: curves, slices and shells of a cube, images, clouds, a map.

        Returns
        -------
        Figure
            The figure.

        Raises
        ------
        InputError
            The explained tensor has three axes or more and is neither a cube nor an image.
        """
        from zoo.interpret import plots

        match layout(self.along, self.inputs.shape[1:]):
            case "cube":
                return plots.attribution_over_cube(self)
            case "image":
                return plots.attribution_over_image(self)
            case "cloud":
                return plots.attribution_over_cloud(self)
            case "other" if self.inputs.ndim == 3:
                return plots.attribution_over_map(self)
            case _:
                return plots.attribution_over_axis(self)
