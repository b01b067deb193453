"""Whether an observation is like the simulations that a posterior was learned from.

A posterior that was learned from simulations answers whatever it is given, also what no simulation resembles, where its answer
means nothing (Cannon et al. 2022, arXiv:2209.01845; Schmitt et al. 2023, arXiv:2112.08866). So what simulated observations are
like travels with the model, in ``reference.npz``.

Tested are the numbers of an observation, or summaries where they are many or of free length, and not the features of the
network: what an embedding throws away counts too, and numpy is all that a graph in any runtime needs beside it.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from zoo.errors import InputError, IntegrityError, MisspecificationWarning
from zoo.model.spec import REFERENCE, Endpoint, Tensor
from zoo.model.store import ModelFolder
from zoo.model.summaries import described_numbers, numbers_of
from zoo.model.test_tensors import read_npz

LEVEL = 0.01
"""An observation is called unlike the simulations where its p-value is at most this, or the least that there can be."""
FITTED, RANKED, FEWEST = 10_000, 1000, 20
"""Simulations at most that the distance is measured with; held-out ones that p-values are ranks among, at most and at least."""
BLOCKS = 64
"""Numbers whose correlations are known, at most; neighbors of more are averaged."""
FROM_BOTH_SIDES = 10
"""Numbers from which on an observation can be too close to the average: of fewer, the middle is where most simulations are."""
NARROW = 0.1
"""Distance of an end from the median, in scales, below which it counts as this far."""
SHOWN = 3
"""Numbers that a message names, at most."""
MAX_BYTES = 2**20
"""Bytes that the arrays of a reference may take in memory, at most."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Observations held against simulations, of which each is told by F numbers.

    Attributes
    ----------
    p_value : ndarray
        Share of held-out simulations that are at least as far from the others, uniform for observations of the same kind, of
        shape (n,).
    outside : ndarray
        Which numbers no simulation reaches, of shape (n, F).
    close : ndarray
        Whether an observation is closer to the average than simulations are, rather than further away, of shape (n,).
    strangeness : ndarray
        How far each number is from the average, of shape (n, F).
    values : ndarray
        The numbers, of shape (n, F).
    """

    p_value: np.ndarray
    outside: np.ndarray
    close: np.ndarray
    strangeness: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Reference:
    """What the observations of simulations are like.

    An observation is far from them where its scaled numbers are, in the Mahalanobis distance of Ledoit and Wolf's covariance,
    or where one of them alone is, beside what that number ever is. Its p-value is its rank among simulations that neither was
    measured with, and so is right whatever their distribution (conformal prediction, Vovk et al. 2005).

    Attributes
    ----------
    tensor : Tensor
        The observation, as a spec describes it.
    rows : ndarray
        How many simulations that is, of shape (1,).
    low, high : ndarray
        Least and greatest of each number among them, of shape (F,).
    center, scale : ndarray
        Median and half the central 68% of each number, of shape (F,).
    mean, inverse : ndarray
        Mean (G,) and inverse covariance (G, G) of the scaled numbers, or of the means of neighbors.
    usual : ndarray
        Mean and deviation of the distance, and those of the most extreme number, of shape (2, 2).
    scores : ndarray
        How far other simulations are, which were held out, in rising order, of shape (m,).
    warned : set of int
        Hashes of the observations that there was a warning of.
    """

    tensor: Tensor
    rows: np.ndarray
    low: np.ndarray
    high: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    mean: np.ndarray
    inverse: np.ndarray
    usual: np.ndarray
    scores: np.ndarray
    warned: set[int] = field(default_factory=set, repr=False)

    @property
    def least(self) -> float:
        """The least p-value that as many held-out simulations can tell."""
        return 1 / (1 + len(self.scores))

    def compare(self, x: np.ndarray, mask: np.ndarray | None = None) -> Compared:
        """Hold observations against the simulations.

        Parameters
        ----------
        x : ndarray
            Observations, of shape (n, ...), in the unit of the tensor.
        mask : ndarray, optional
            Which elements are real, by the first axes of the observations.

        Returns
        -------
        Compared
            The p-value of each, and which of its numbers are strange.

        Raises
        ------
        InputError
            The observations have another shape than the simulated ones.
        """
        values = numbers_of(self.tensor, x, mask)
        if values.shape[1:] != self.center.shape:
            raise InputError(f"{self.tensor.name}: expected observations of shape {self.tensor.shape}, given {np.shape(x)[1:]}")
        distance, extreme, strangeness = self.far(values)
        score = self.score(distance, extreme)
        farther = len(self.scores) - np.searchsorted(self.scores, score, side="left")
        outside = ~((values >= self.low) & (values <= self.high))
        return Compared(
            p_value=(1 + farther) / (1 + len(self.scores)),
            outside=outside,
            close=(self.usual[0, 0] - distance >= self.usual[0, 1] * score) & ~outside.any(axis=1),
            strangeness=strangeness,
            values=values,
        )

    def far(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance of rows (n, F), close to normal (Wilson & Hilferty 1931), their most extreme number, how far each number is.

        A number is as extreme as it is far from the median, beside the farthest of the simulations on that side.
        """
        scaled, low, high = (_scaled(one, self.center, self.scale) for one in (values, self.low, self.high))
        extreme = np.where(scaled < 0, scaled / np.minimum(low, -NARROW), scaled / np.maximum(high, NARROW)).max(axis=1)
        away = _blocks(scaled) - self.mean
        parts = away * (away @ self.inverse)
        distance = np.cbrt(np.maximum(parts.sum(axis=1), 0.0) / len(self.mean))
        return distance, extreme, parts if parts.shape == scaled.shape else np.abs(scaled)

    def score(self, distance: np.ndarray, extreme: np.ndarray) -> np.ndarray:
        """How far rows are, (n,): the larger of their distance and their most extreme number, each in its usual deviations."""
        (usual, spread), (usual_one, spread_one) = self.usual
        of_all, of_one = (distance - usual) / spread, (extreme - usual_one) / spread_one
        score = np.maximum(np.abs(of_all) if len(self.mean) >= FROM_BOTH_SIDES else of_all, of_one)
        return np.where(np.isnan(score), np.inf, score)

    def told(self, found: Compared) -> str | None:
        """What is to be said of observations that are unlike the simulations.

        Parameters
        ----------
        found : Compared
            What :meth:`compare` made of them.

        Returns
        -------
        str or None
            A sentence with the p-value and the strangest numbers; None where they are like them, or, of several, where no
            more are unlike them than by chance.
        """
        n, level = len(found.p_value), max(LEVEL, self.least)
        unlike, expected = found.p_value <= level, n * level
        if not unlike.any() or (n > 1 and unlike.sum() <= expected + 3 * math.sqrt(expected)):
            return None
        row = int(np.lexsort((-found.outside.sum(axis=1), found.p_value))[0])
        p_value = f"p {'<=' if found.p_value[row] <= self.least else '='} {found.p_value[row]:.2g}"
        who = f"{self.tensor.name} is"
        if n > 1:
            who = f"{np.count_nonzero(unlike)} of {n} observations are"
            p_value = f"p <= {level:.2g}, by chance about {expected:.2g} of them; the strangest is row {row}, {p_value}"
        close = "it is closer to the average than they are: is it without noise?"
        how = close if found.close[row] else self._strangest(found, row)
        return (
            f"{who} unlike the {int(self.rows[0]):,} simulations that the posterior was learned from ({p_value}): {how}; there"
            " the posterior is extrapolated: look at units, cuts and noise, and at what the simulator leaves out"
        )

    def warn(self, x: np.ndarray, mask: np.ndarray | None = None, stacklevel: int = 2) -> None:
        """Warn of observations that are unlike the simulations, once of each.

        Parameters
        ----------
        x, mask : ndarray
            What :meth:`compare` takes.
        stacklevel : int
            Who is warned, as ``warnings.warn`` counts.

        Warns
        -----
        MisspecificationWarning
            With the p-value and the strangest numbers.
        """
        told = self.told(self.compare(x, mask))
        known = hash((np.asarray(x).tobytes(), None if mask is None else mask.tobytes()))
        if told is not None and known not in self.warned:
            self.warned.add(known)
            warnings.warn(told, MisspecificationWarning, stacklevel=stacklevel + 1)

    def _strangest(self, found: Compared, row: int) -> str:
        """The strangest numbers of an observation, those that no simulation reaches first."""
        outside, values = found.outside[row], found.values[row]
        order = np.lexsort((-np.nan_to_num(found.strangeness[row], nan=np.inf), ~outside))
        described, said = described_numbers(self.tensor), []
        for k in order[: min(SHOWN, int(outside.sum()) or SHOWN)]:
            name, unit = described[k]
            text = f"{name} = {values[k]:.6g}" + ("" if unit in ("", "1") else f" {unit}")
            if outside[k]:
                side, end = ("below", self.low[k]) if values[k] < self.low[k] else ("above", self.high[k])
                text += f", {side} all of theirs ({end:.6g})"
            said.append(text)
        more = int(outside.sum()) - len(said)
        return "; ".join(said) + (f"; and {more} more are outside theirs" if more > 0 else "")

    def to_bytes(self) -> bytes:
        """The content of ``reference.npz``; the same arrays give the same bytes."""
        file = io.BytesIO()
        np.savez_compressed(file, allow_pickle=False, **{name: getattr(self, name) for name in ARRAYS})
        return file.getvalue()


ARRAYS = tuple(one.name for one in fields(Reference) if one.type == "np.ndarray")
"""Names of the arrays of a reference."""


def make_reference(tensor: Tensor, simulated: Any, held_out: Any, masks: tuple[Any, Any] = (None, None)) -> Reference | None:
    """Measure what simulated observations are like.

    Parameters
    ----------
    tensor : Tensor
        The observation, as a spec describes it.
    simulated : ndarray
        Simulated observations, of shape (n, ...), or what makes arrays of the rows that it is indexed with.
    held_out : ndarray
        Others, which p-values are ranks among, of shape (m, ...).
    masks : tuple of ndarray
        Which elements of the two are real, None where all are.

    Returns
    -------
    Reference or None
        What they are like; None for fewer held-out simulations than 20.
    """
    from sklearn.covariance import LedoitWolf

    if len(held_out) < FEWEST:
        return None
    ends = [(part.min(axis=0), part.max(axis=0)) for part in _parts(tensor, simulated, masks[0])]
    fitted = np.concatenate([*_parts(tensor, simulated, masks[0], FITTED)])
    low, center, high = np.quantile(fitted, [0.16, 0.5, 0.84], axis=0)
    scale = np.where(high > low, (high - low) / 2, fitted.std(axis=0))
    scale = np.where(scale > 1e-12 * np.abs(center), scale, 1.0)  # what never changes counts in its own unit
    covariance = LedoitWolf().fit(_blocks(_scaled(fitted, center, scale)))
    made = Reference(
        tensor=tensor,
        rows=np.array([len(simulated)], np.float64),
        low=np.min([least for least, _ in ends], axis=0),
        high=np.max([greatest for _, greatest in ends], axis=0),
        center=center,
        scale=scale,
        mean=covariance.location_,
        inverse=covariance.get_precision(),
        usual=np.array([[0.0, 1.0], [0.0, 1.0]]),
        scores=np.empty(0),
    )
    distance, extreme, _ = made.far(fitted)
    usual = np.array([[values.mean(), max(values.std(), 1e-6)] for values in (distance, extreme)])
    made = replace(made, usual=usual)
    distance, extreme, _ = made.far(np.concatenate([*_parts(tensor, held_out, masks[1], RANKED)]))
    return replace(made, scores=np.sort(made.score(distance, extreme)))


def observed_tensors(endpoint: Endpoint) -> tuple[Tensor, Tensor | None] | None:
    """The observation among the inputs of an endpoint ``sample``, and its mask where it has one.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint, whose first input is noise.

    Returns
    -------
    tuple or None
        The two; None where nothing is observed, or several tensors are.
    """
    observed = [tensor for tensor in endpoint.inputs[1:] if tensor.dtype != "bool"]
    if len(observed) != 1:
        return None
    return observed[0], next((tensor for tensor in endpoint.inputs if tensor.name == observed[0].mask), None)


def read_reference(folder: ModelFolder) -> Reference | None:
    """What simulated observations are like, as a model's folder has it.

    Parameters
    ----------
    folder : ModelFolder
        The model's folder.

    Returns
    -------
    Reference or None
        None where the folder has none, as those of models that were released before there were such.

    Raises
    ------
    IntegrityError
        The file is missing or damaged, or its arrays do not belong together.
    """
    spec = folder.spec
    found = observed_tensors(spec.endpoints["sample"]) if "sample" in spec.endpoints else None
    if spec.file(REFERENCE) is None or found is None:
        return None
    path, tensor = folder.path(REFERENCE), found[0]
    arrays = read_npz(path, MAX_BYTES)
    width = len(described_numbers(tensor))
    blocks = min(width, BLOCKS)
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(("low", "high", "center", "scale"), (width,)),
        "rows": (1,),
        "mean": (blocks,),
        "inverse": (blocks, blocks),
        "usual": (2, 2),
        "scores": np.shape(arrays.get("scores", ()))[:1],
    }
    for name in ARRAYS:
        given = arrays.get(name, np.empty(0, bool))
        shape = shapes[name]
        if given.dtype != np.float64 or given.shape != shape or not np.isfinite(given).all():
            raise IntegrityError(f"{path}: {name}: expected finite float64 numbers {shape}, found {given.dtype} {given.shape}")
    known: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    return Reference(tensor, **known)


def _parts(tensor: Tensor, rows: Any, mask: Any, most: int | None = None) -> Iterator[np.ndarray]:
    """Numbers (k, F) of some rows after others, of all, or of ``most`` evenly among them."""
    chosen = np.arange(len(rows)) if most is None or len(rows) <= most else np.linspace(0, len(rows) - 1, most).astype(int)
    size = max(1, 2**21 // max(1, math.prod(np.shape(rows[:1])[1:])))
    for start in range(0, len(chosen), size):
        part = chosen[start : start + size]
        yield numbers_of(tensor, rows[part], None if mask is None else mask[part])


def _scaled(values: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Numbers from their median in units of their scale, long tails compressed."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.arcsinh((values - center) / scale)


def _blocks(scaled: np.ndarray) -> np.ndarray:
    """Scaled numbers (n, F); of more than `BLOCKS` the means of neighbors, and how much neighbors differ from them."""
    width = scaled.shape[1]
    if width <= BLOCKS:
        return scaled
    edges = np.linspace(0, width, BLOCKS).astype(int)
    means = np.add.reduceat(scaled, edges[:-1], axis=1) / np.diff(edges)
    left = scaled - np.repeat(means, np.diff(edges), axis=1)
    return np.concatenate([means, np.log(np.square(left).mean(axis=1, keepdims=True) + 1e-12)], axis=1)
