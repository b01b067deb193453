"""Holes of maps of matter filled in the ways that the rest of them allows, by a model that denoises maps."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError, option
from zoo.interpret.posteriors.filling import filled, passes
from zoo.interpret.result import Result
from zoo.model.handed_in.files import read_array, read_columns
from zoo.model.handed_in.tensors import inputs_of_columns, rows_of
from zoo.model.inputs import InputCheck
from zoo.model.spec import TEST_TENSORS, Endpoint, ModelSpec, Tensor
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.paths import user_path
from zoo.progress import bar
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

DENOISE, NOISE, CLEAN = "denoise", "noise", "clean"
"""The endpoint that is asked, its input for the deviation of the noise, and its answer."""
TOGETHER = 64
"""Draws that are denoised at a time."""
ENOUGH = 100
"""Cells that are seen, from which on their scatter tells what they are."""
APART = 2.0
"""How many times as far from the mean density as the model's own maps, or as much more or less spread, maps may be."""
LISTED = 20
"""Maps that a table lists."""

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

    def table(self) -> Table:
        """The mean overdensity of each hole, and how far it differs among the draws, of the first maps."""
        from rich.table import Table

        more = len(self.maps) - LISTED
        shown = Table(title="filled maps", caption=f"and {more} more" if more > 0 else None)
        for column in ("map", "cells in holes", "their mean overdensity"):
            shown.add_column(column)
        for number, (drawn, hole) in enumerate(zip(self.maps[:LISTED], self.holes, strict=False)):
            means = drawn[:, hole].mean(axis=1)
            spread = f" +- {means.std(ddof=1):.3f}" if len(means) > 1 else ""
            shown.add_row(str(number), str(hole.sum()), f"{means.mean():.3f}{spread}")
        return shown


def fill_maps(
    maps: Any,
    model: Any = "diffusion-maps",
    *,
    theta: Any = None,
    draws: int = 16,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> FilledMaps:
    """Fill the holes of maps in several ways, given all other cells and the parameters, each as likely as the model says.

    Maps are taken as periodic, as those of the model are. How fills are drawn: `zoo.interpret.posteriors.filling`.

    Parameters
    ----------
    maps : ndarray or path
        Overdensities (n, y, x), or (y, x) of one, whose holes are masked or NaN, in cells of the model's size; or a file of
        such: a ``.npy``, an image of FITS, or columns, which may hold ``theta`` too.
    model : str, Path, EndpointModel or Session
        What denoises maps, or its name or folder: that opens a session, in which it takes half the time of Keras or less.
    theta : ndarray or sequence of float, optional
        The parameters of each map, (n, parameter), or (parameter,) of all of them; by default those in the file.
    draws : int
        In how many ways each is filled.
    seed : int
        Of all random numbers, with what is seen of a map: it is filled the same alone and among others, and of more draws the
        first are the same.
    allow_out_of_range : bool
        Let parameters and overdensities outside the trained range through, and maps that are none such as the model draws.

    Returns
    -------
    FilledMaps
        ``maps`` (n, draws, y, x), ``plot()``, ``table()``, ``save(path)``.

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
    folder = _folder(model)
    noisy, parameters = _tensors(folder.spec)
    overdensity = folder.spec.endpoint("sample").outputs[0]
    if isinstance(maps, str | Path):
        maps, theta = _read(maps, overdensity, parameters, theta)
    given, holes = _maps(maps, overdensity, allow_out_of_range)
    theta = _parameters(theta, parameters, len(given), allow_out_of_range)
    logarithm = np.log(np.maximum(1 + np.where(holes, 0, given), 0) + FLOOR)
    if not allow_out_of_range:
        _expect_such_maps(folder, logarithm, holes)
    ask = _asked(model, folder)
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

                rngs = [generator([seed, _digest(given[number]), draw]) for draw in part]
                clean = filled(denoise, logarithm[number], holes[number], rngs)
                found[number, part.start : part.stop] = np.maximum(np.exp(clean) - FLOOR, 0) - 1
    return FilledMaps(np.where(holes[:, None], found, given[:, None]), holes, theta)


def _folder(model: Any) -> ModelFolder:
    """The folder of a model that denoises maps."""
    folder = locate(model) if isinstance(model, str | Path) else getattr(model, "folder", None)
    if not isinstance(folder, ModelFolder):
        raise InputError(f"model: expected a loaded model, a session, a name or a folder, given {type(model).__name__}")
    if DENOISE not in folder.spec.endpoints or "sample" not in folder.spec.endpoints:
        raise InputError(f"{folder.spec.name}: expected a model that denoises maps, such as diffusion-maps")
    return folder


def _asked(model: Any, folder: ModelFolder) -> Ask:
    """What answers as the endpoint ``denoise``."""
    if isinstance(model, str | Path):
        from zoo.serving import Session

        model = Session.of(folder, threads=joblib.cpu_count())
    return partial(model.run, endpoint=DENOISE) if hasattr(model, "run") else model.endpoint(DENOISE)


def _tensors(spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """The noisy map and the parameters among the inputs of ``denoise``."""
    described = spec.endpoint(DENOISE)
    others = [tensor for tensor in described.inputs if tensor.name != NOISE]
    if len(others) != 2 or len(described.inputs) != 3 or described.outputs[0].name != CLEAN:
        raise InputError(
            f"{spec.name}: expected an endpoint {DENOISE} of a noisy map, {NOISE} and parameters, which gives {CLEAN}"
        )
    return others[0], others[1]


def _read(path: str | Path, overdensity: Tensor, parameters: Tensor, theta: Any) -> tuple[Any, Any]:
    """The maps of a file, and the parameters that were given, or else those that it holds."""
    array = read_array(user_path(path))
    if array is not None:
        return array, theta
    columns = read_columns(path)
    found = inputs_of_columns(columns, _alone(overdensity), allow_missing=True)[overdensity.name]
    if theta is None and columns.find(parameters) is not None:
        theta = inputs_of_columns(columns, _alone(parameters))[parameters.name]
    return found, theta


def _alone(tensor: Tensor) -> Endpoint:
    """An endpoint of a tensor by itself."""
    return Endpoint(description="", inputs=[tensor], outputs=[tensor])


def _maps(maps: Any, tensor: Tensor, allow_out_of_range: bool) -> tuple[np.ndarray, np.ndarray]:
    """Overdensities (n, y, x) in float32, and which cells are missing."""
    if isinstance(maps, list | tuple) and len(sizes := {np.shape(one) for one in maps}) > 1:
        raise InputError(f"maps: expected all of one size, given {', '.join(map(str, sorted(sizes)))}")
    rows, _ = rows_of(maps, tensor, True)
    given = _checked(tensor, rows, True, allow_out_of_range)
    holes = np.isnan(given)
    if infinite := np.count_nonzero(np.isinf(given)):
        raise InputError(f"maps: expected numbers, and NaN or a mask in holes, given {infinite} infinite cells")
    for number, hole in enumerate(holes):
        if hole.all() or not hole.any():
            said = "nothing but a hole" if hole.all() else "none"
            raise InputError(f"maps: expected cells that are masked or NaN beside others, given {said} in map {number}")
    return given, holes


def _checked(tensor: Tensor, rows: np.ndarray, allow_nonfinite: bool, allow_out_of_range: bool) -> np.ndarray:
    """Rows of a tensor by itself, checked as an endpoint checks its inputs."""
    return InputCheck(_alone(tensor))({tensor.name: rows}, allow_nonfinite, allow_out_of_range)[tensor.name]


def _expect_such_maps(folder: ModelFolder, logarithm: np.ndarray, holes: np.ndarray) -> None:
    """Refuse logarithms of densities (n, y, x) that are far off those of the model's own maps, or vary otherwise."""
    from zoo.families.fields.convolutions import FLOOR

    _, drawn = read_test_tensors(folder.read(TEST_TENSORS), folder.spec, "sample")["sample"]
    own = np.log(np.maximum(1 + drawn[folder.spec.endpoint("sample").outputs[0].name], 0) + FLOOR)
    off, spread = np.abs(own.mean(axis=(1, 2)) - own.mean()).max(), own.std(axis=(1, 2))
    for number, (one, hole) in enumerate(zip(logarithm, holes, strict=True)):
        mean, deviation = one[~hole].mean(), one[~hole].std()
        seen = np.count_nonzero(~hole)
        apart = abs(mean - own.mean()) > APART * off + 1 / np.sqrt(seen)
        if apart or (seen > ENOUGH and not spread.min() / APART < deviation < spread.max() * APART):
            raise InputError(
                f"maps: expected overdensities, density over its mean less one, such as {folder.spec.name} draws, whose"
                f" ln(1 + delta + {FLOOR:g}) is {own.mean():.2g} in the mean and varies by {spread.mean():.2g}, given"
                f" {mean:.2g} and {deviation:.2g} in map {number}: is it a density, counts, or scaled?"
                f" {option('allow_out_of_range')} takes it all the same"
            )


def _digest(one: np.ndarray) -> int:
    """A number of 64 bits that a map has for its own, whichever of its bits make a cell NaN."""
    one = np.where(np.isnan(one), np.float32(np.nan), one)
    return int.from_bytes(hashlib.blake2b(one.tobytes(), digest_size=8).digest(), "little")


def _parameters(theta: Any, tensor: Tensor, n: int, allow_out_of_range: bool) -> np.ndarray:
    """The parameters of each map, (n, parameter)."""
    names = ", ".join(tensor.labels or [])
    if theta is None or (np.ndim(theta) == 0 and not hasattr(theta, "keys")):
        raise InputError(
            f"{tensor.name}: expected {names} of each map, or of all, given {'none' if theta is None else repr(theta)}: give"
            f" {option('theta', '[NUMBER, NUMBER, ...]', 'NUMBER,NUMBER,...')}, or a file with columns of these names"
        )
    rows, _ = rows_of(theta, tensor, True)
    if np.shape(rows)[-1] != tensor.fixed_shape[-1]:
        raise InputError(f"{tensor.name}: expected {names} of each map, given {np.shape(rows)[-1]} numbers")
    if np.issubdtype(rows.dtype, np.floating) and not np.isfinite(rows).all():
        raise InputError(f"{tensor.name}: expected numbers, given some that are missing, NaN or infinite")
    given = _checked(tensor, rows, False, allow_out_of_range)
    if len(given) not in (1, n):
        raise InputError(f"{tensor.name}: expected parameters of each of {n} maps, or of all, given {len(given)} rows")
    return np.repeat(given, n // len(given), axis=0)
