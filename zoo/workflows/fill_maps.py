"""Holes of maps of matter filled in the ways that the rest of them allows, by a model that denoises maps."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError
from zoo.interpret.posteriors.filling import filled, passes
from zoo.interpret.result import Result
from zoo.model.handed_in.tensors import array_of
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, ModelSpec, Tensor
from zoo.progress import bar
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENOISE, NOISE, CLEAN = "denoise", "noise", "clean"
"""The endpoint that is asked, its input for the deviation of the noise, and its answer."""
TOGETHER = 64
"""Draws that are denoised at a time."""
ENOUGH = 100
"""So many cells of an overdensity are never all above the mean."""

Ask = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class FilledMaps(Result):
    """Maps whose holes are filled.

    Attributes
    ----------
    maps : ndarray
        Overdensities of each draw, of shape (n, draws, y, x), float32; where there is no hole they are what was given.
    holes : ndarray of bool
        Which cells were missing, of shape (n, y, x).
    theta : ndarray
        The parameters that each map was said to have, of shape (n, parameter).
    """

    maps: np.ndarray
    holes: np.ndarray
    theta: np.ndarray

    def plot(self) -> Figure:
        """The first map with its holes, three fills, and how much the logarithm of the density differs among the draws."""
        from zoo.interpret.plots.maps import filled_map

        return filled_map(self.maps[0], self.holes[0])


def fill_maps(
    maps: Any,
    model: Any = "diffusion-maps",
    *,
    theta: Any,
    draws: int = 16,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> FilledMaps:
    """Fill the holes of maps in several ways, given all other cells and the parameters, each as likely as the model says.

    Maps are taken as periodic, as those of the model are. How fills are drawn: `zoo.interpret.posteriors.filling`.

    Parameters
    ----------
    maps : ndarray
        Overdensities (n, y, x), or (y, x) of one, whose holes are masked or NaN, in cells of the model's size.
    model : str, Path, EndpointModel or Session
        What denoises maps, or its name or folder: that opens a session, in which it takes half the time of Keras or less.
    theta : ndarray or sequence of float
        The parameters of each map, (n, parameter), or (parameter,) of all of them.
    draws : int
        In how many ways each is filled.
    seed : int
        Of all random numbers. A map is filled the same alone and among others, and of more draws the first are the same.
    allow_out_of_range : bool
        Let parameters and overdensities outside the trained range through.

    Returns
    -------
    FilledMaps
        ``maps`` (n, draws, y, x), ``plot()``, ``save(path)``.

    Raises
    ------
    InputError, UnknownNameError
        The model denoises no maps; a map has no hole, or nothing else; it is no overdensity, or of a size or of parameters
        that the model does not take.

    Examples
    --------
    >>> maps[:, 20:30, 20:30] = np.nan  # doctest: +SKIP
    >>> zoo.fill_maps(maps, theta=[0.3, 0.8]).maps.std(axis=1)  # doctest: +SKIP
    """
    from zoo.families.fields.convolutions import FLOOR

    expect_counts(draws=draws)
    expect_counts(0, seed=seed)
    ask, spec = _asked(model)
    noisy, parameters = _tensors(spec)
    given, holes = _maps(maps, spec.endpoint("sample").outputs[0], allow_out_of_range)
    theta = _parameters(theta, parameters, len(given), allow_out_of_range)
    logarithm = np.log(1 + np.where(holes, 0, given) + FLOOR)
    found = np.empty((len(given), draws, *given.shape[1:]), np.float32)
    parts = [range(start, min(start + TOGETHER, draws)) for start in range(0, draws, TOGETHER)]
    with bar(len(given) * len(parts) * passes(), "filling") as advance:
        for number in range(len(given)):
            for part in parts:
                of_each = np.repeat(theta[number : number + 1], len(part), axis=0)

                def denoise(x: np.ndarray, level: float, of_each: np.ndarray = of_each) -> np.ndarray:
                    inputs = {noisy.name: x, NOISE: np.full(len(x), level, np.float32), parameters.name: of_each}
                    answer = np.asarray(ask(inputs, allow_out_of_range=allow_out_of_range)[CLEAN])
                    advance(1)
                    return answer

                rngs = [generator([seed, number, draw]) for draw in part]
                clean = filled(denoise, logarithm[number], holes[number], rngs)
                found[number, part.start : part.stop] = np.maximum(np.exp(clean) - FLOOR, 0) - 1
    return FilledMaps(np.where(holes[:, None], found, given[:, None]), holes, theta)


def _asked(model: Any) -> tuple[Ask, ModelSpec]:
    """What answers as the endpoint ``denoise``, and the spec of the model."""
    if isinstance(model, str | Path):
        from zoo.serving import Session

        model = Session(model, threads=os.cpu_count() or 1)
    spec = getattr(model, "spec", None)
    if not isinstance(spec, ModelSpec):
        raise InputError(f"model: expected a loaded model, a session, a name or a folder, given {type(model).__name__}")
    if DENOISE not in spec.endpoints or "sample" not in spec.endpoints:
        raise InputError(f"{spec.name}: expected a model that denoises maps, such as diffusion-maps")
    return (partial(model.run, endpoint=DENOISE) if hasattr(model, "run") else model.endpoint(DENOISE)), spec


def _tensors(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """The noisy map and the parameters among the inputs of ``denoise``."""
    described = spec.endpoint(DENOISE)
    others = [tensor for tensor in described.inputs if tensor.name != NOISE]
    if len(others) != 2 or len(described.inputs) != 3 or described.outputs[0].name != CLEAN:
        raise InputError(
            f"{spec.name}: expected an endpoint {DENOISE} of a noisy map, {NOISE} and parameters, which gives {CLEAN}"
        )
    return others[0], others[1]


def _maps(maps: Any, tensor: Tensor, allow_out_of_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """Overdensities (n, y, x) in float32, and which cells are missing."""
    one = np.ndim(maps) == len(tensor.axes)
    rows = array_of(np.ma.stack([maps]) if one else maps, tensor, True)
    check = InputCheck(Endpoint(description="", inputs=[tensor], outputs=[tensor]))
    given = check({tensor.name: rows}, allow_nonfinite=True, allow_out_of_range=allow_out_of_range)[tensor.name]
    holes = np.isnan(given)
    if np.isinf(given).any():
        raise InputError(
            f"maps: expected numbers, and NaN or a mask in holes, given {np.count_nonzero(np.isinf(given))} infinite cells"
        )
    for number, hole in enumerate(holes):
        if hole.all() or not hole.any():
            said = "nothing but a hole" if hole.all() else "none"
            raise InputError(f"maps: expected cells that are masked or NaN beside others, given {said} in map {number}")
        if np.count_nonzero(~hole) >= ENOUGH and not allow_out_of_range and given[number][~hole].min() >= 0:
            raise InputError(
                f"maps: expected overdensities, density over its mean less one, given no cell below 0 in map {number}, as of a"
                " density or of counts"
            )
    return given, holes


def _parameters(theta: Any, tensor: Tensor, n: int, allow_out_of_range: bool) -> np.ndarray:
    """The parameters of each map, (n, parameter)."""
    rows = np.asarray(theta, np.float64) if isinstance(theta, list | tuple) else theta
    rows = rows[None] if np.ndim(rows) == 1 else rows
    given = array_of(rows, tensor)
    if given.ndim == 2 and len(given) == 1:
        given = np.repeat(given, n, axis=0)
    if len(given) != n:
        raise InputError(f"{tensor.name}: expected parameters of each of {n} maps, or of all, given {len(given)} rows")
    check = InputCheck(Endpoint(description="", inputs=[tensor], outputs=[tensor]))
    return check({tensor.name: given}, False, allow_out_of_range)[tensor.name]
