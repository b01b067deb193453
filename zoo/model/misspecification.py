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
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import numpy as np

from zoo.errors import InputError, MisspecificationWarning, option, warn
from zoo.model.spec import Tensor
from zoo.model.summaries import described_numbers, numbers_of, widths
from zoo.model.unit_text import unit_behind

LEVEL = 0.01
"""An observation is called unlike the simulations where its p-value is at most this, or the least that there can be."""
REFUSED = 0.001
"""An observation is refused, unless it is asked for, where it is farther than all but this share of simulations. Where too few
are held out to tell, the tail of their distances is prolonged."""
TAIL = 200
"""Quantiles that tell how rare a distance is."""
BLOCKS = 64
"""Numbers whose correlations are known, at most; neighbors of more are averaged."""
FROM_BOTH_SIDES = 10
"""Numbers from which on an observation can be too close to the average: of fewer, the middle is where most simulations are."""
NARROW = 0.1
"""Distance of an end from the median, in scales, below which it counts as this far."""
SHOWN = 3
"""Numbers that a message names, at most."""


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
    share : ndarray
        The same share by the tails of the distances, which goes on falling beyond the farthest simulation, of shape (n,).
    close : ndarray
        Whether an observation is closer to the average than simulations are, or smoother, and not further away, of shape (n,).
    strangeness : ndarray
        How far each number is from the average, of shape (n, F).
    values : ndarray
        The numbers, of shape (n, F).
    """

    p_value: np.ndarray
    share: np.ndarray
    outside: np.ndarray
    close: np.ndarray
    strangeness: np.ndarray
    values: np.ndarray

    @property
    def beyond(self) -> bool:
        """Whether one is as strange as hardly any of as many simulations: one among many may be absurd alone."""
        return bool(self.share.min() * len(self.share) <= REFUSED)


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
        How many simulations that is, and how many of them distances were measured with, of shape (2,).
    low, high : ndarray
        Least and greatest of each number among them, of shape (F,).
    center, scale : ndarray
        Median and half the central 68% of each number, of shape (F,).
    mean, inverse : ndarray
        Mean (G,) and inverse covariance (G, G) of the scaled numbers, or of the means of neighbors.
    ends : ndarray
        Where the central 99% of each scaled number end, of shape (2, F).
    usual : ndarray
        Mean of the distance, of shape (1,).
    tails : ndarray
        Quantiles of how far the simulations are as a whole, and in the most extreme number, at `levels`, of shape (2, k).
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
    ends: np.ndarray
    usual: np.ndarray
    tails: np.ndarray
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
        if len(self.center) in widths(self.tensor):
            values = values[:, : len(self.center)]
        if values.shape[1:] != self.center.shape:
            raise InputError(f"{self.tensor.name}: expected observations of shape {self.tensor.shape}, given {np.shape(x)[1:]}")
        distance, far, strangeness, smooth = self.far(values)
        rarity = self.rarity(far)
        farther = len(self.scores) - np.searchsorted(self.scores, rarity.max(axis=0), side="left")
        outside = ~((values >= self.low) & (values <= self.high))
        return Compared(
            p_value=(1 + farther) / (1 + len(self.scores)),
            share=np.exp(-rarity.max(axis=0)),
            outside=outside,
            close=((distance < self.usual) | smooth) & (rarity[0] > rarity[1]) & ~outside.any(axis=1),
            strangeness=strangeness,
            values=values,
        )

    def far(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """How far rows of numbers (n, F) are.

        Parameters
        ----------
        values : ndarray
            The numbers, of shape (n, F).

        Returns
        -------
        distance : ndarray
            Distance from the average, close to normal (Wilson & Hilferty 1931), of shape (n,).
        far : ndarray
            How unusual the distance is, and the most extreme number beside its own ends, of shape (2, n).
        strangeness : ndarray
            How far each number is, of shape (n, F).
        smooth : ndarray
            Whether a row is far mostly for the reason that neighbors differ less than in simulations, which have noise, (n,).
        """
        scaled = scaled_numbers(values, self.center, self.scale)
        low, high = self.ends
        extreme = np.where(scaled < 0, scaled / np.minimum(low, -NARROW), scaled / np.maximum(high, NARROW)).max(axis=1)
        away = blocks_of(scaled) - self.mean
        parts = away * (away @ self.inverse)
        distance = np.cbrt(np.maximum(parts.sum(axis=1), 0.0) / len(self.mean))
        unusual = np.abs(distance - self.usual) if len(self.mean) >= FROM_BOTH_SIDES else distance
        far = np.stack([unusual, extreme])
        if parts.shape == scaled.shape:
            return distance, far, parts, np.zeros(len(values), bool)
        return distance, far, np.abs(scaled), (away[:, -1] < 0) & (parts[:, -1] > parts.sum(axis=1) / 2)

    def levels(self, k: int) -> np.ndarray:
        """Logarithms of the shares of simulations that are farther than each of k quantiles."""
        return np.linspace(0.0, -math.log(float(self.rows[1])), k)

    def rarity(self, far: np.ndarray) -> np.ndarray:
        """How rare it is to be as far (2, n): minus the logarithm of a share of simulations, which rises on beyond them all."""
        levels = self.levels(self.tails.shape[1])
        found = []
        for values, quantiles in zip(far, self.tails, strict=True):
            points, first = np.unique(quantiles, return_index=True)  # of many at one place all are as far
            shares = levels[first]
            tenth = int(np.argmin(np.abs(shares - math.log(0.1))))
            slope = max(shares[tenth] - shares[-1], 1.0) / max(points[-1] - points[tenth], 1e-9)
            found.append(slope * np.maximum(values - points[-1], 0.0) - np.interp(values, points, shares))
        return np.where(np.isnan(found), np.inf, found)

    def told(self, found: Compared, rows: np.ndarray | None = None) -> str | None:
        """What is to be said of observations that are unlike the simulations.

        Parameters
        ----------
        found : Compared
            What :meth:`compare` made of them.
        rows : ndarray, optional
            The number of each, of shape (n,), where they were chosen among others.

        Returns
        -------
        str or None
            A sentence with the p-value and the strangest numbers; None where they are like them, or, of several, where no
            more are unlike them than by chance and none is as strange as hardly any simulation.
        """
        n, level = len(found.p_value), max(LEVEL, self.least)
        unlike = found.p_value <= level
        if not more_than_by_chance(unlike, level) and not found.beyond:
            return None
        row = int(np.lexsort((-found.outside.sum(axis=1), found.share))[0])
        p_value = f"p {'<=' if found.p_value[row] <= self.least else '='} {found.p_value[row]:.2g}"
        who = f"{self.tensor.name} is"
        if n > 1:
            count, number = np.count_nonzero(unlike), row if rows is None else rows[row]
            who = f"{count} of {n} observations {'is' if count == 1 else 'are'}"
            p_value = f"p <= {level:.2g}, by chance about {n * level:.2g} of them; the strangest is row {number}, {p_value}"
        close = "it varies less than they do: is it without noise?"
        how = close if found.close[row] else self._strangest(found, row)
        return (
            f"{who} unlike the {int(self.rows[0]):,} simulations that the posterior was learned from ({p_value}): {how}; there"
            " the posterior is extrapolated: look at units, cuts and noise, and at what the simulator leaves out"
        )

    def expect_like(
        self,
        x: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        allow_out_of_range: bool = False,
        rows: np.ndarray | None = None,
    ) -> Compared:
        """Refuse observations that hardly any simulation is as strange as, and warn of other strange ones, once of each.

        Parameters
        ----------
        x, mask : ndarray
            What :meth:`compare` takes.
        allow_out_of_range : bool
            Warn rather than refuse.
        rows : ndarray, optional
            The number of each, of shape (n,), where they were chosen among others.

        Returns
        -------
        Compared
            What :meth:`compare` made of them.

        Raises
        ------
        InputError
            An observation is farther than all but a thousandth of the simulations; of several, more than by chance are.

        Warns
        -----
        MisspecificationWarning
            With the p-value and the strangest numbers.
        """
        found = self.compare(x, mask)
        told = self.told(found, rows)
        if told is None:
            return found
        level = max(REFUSED, self.least)
        strange = more_than_by_chance((found.p_value <= level) & (found.share <= REFUSED), level)
        if not allow_out_of_range and (strange or found.beyond):
            tail = f"by the tail of their distances {found.share.min():.1g} of simulations are as far"
            raise InputError(f"{told}; {tail}; {option('allow_out_of_range')} takes it all the same")
        known = hash((np.asarray(x).tobytes(), None if mask is None else mask.tobytes()))
        if known not in self.warned:
            self.warned.add(known)
            warn(told, MisspecificationWarning)
        return found

    def expect_among(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Hold the observations among the inputs of an endpoint against the simulations, where it has any.

        Rows that repeat the one before them, as the draws for one observation do, are a single observation.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            Each input by its name, of shape (n, ...), in its unit.

        Raises
        ------
        InputError
            As `expect_like` does.

        Warns
        -----
        MisspecificationWarning
            As `expect_like` does.
        """
        x = inputs.get(self.tensor.name)
        if x is None or not len(x):
            return
        given = [x] if self.tensor.mask is None else [x, inputs[self.tensor.mask]]
        another = np.any([(one[1:] != one[:-1]).any(axis=tuple(range(1, one.ndim))) for one in given], axis=0)
        first = np.flatnonzero(np.concatenate([[True], another]))
        self.expect_like(*(one[first] for one in given), rows=first)

    def _strangest(self, found: Compared, row: int) -> str:
        """The strangest numbers of an observation, those that no simulation reaches first."""
        outside, values = found.outside[row], found.values[row]
        order = np.lexsort((-np.nan_to_num(found.strangeness[row], nan=np.inf), ~outside))
        described, said = described_numbers(self.tensor), []
        for k in order[: min(SHOWN, int(outside.sum()) or SHOWN)]:
            name, unit = described[k]
            text = unit_behind(f"{name} = {values[k]:.6g}", unit)
            if np.isnan(values[k]):
                text = f"{name} is no number"
            elif outside[k]:
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


def more_than_by_chance(flagged: np.ndarray, level: float) -> bool:
    """Whether more of n rows are flagged than by chance, at a probability ``level`` of each; a single row is enough."""
    n, expected = len(flagged), len(flagged) * level
    return bool(flagged.any() if n == 1 else flagged.sum() > expected + 3 * math.sqrt(expected))


ARRAYS = tuple(one.name for one in fields(Reference) if one.type == "np.ndarray")
"""Names of the arrays of a reference."""


def scaled_numbers(values: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Numbers from their median in units of their scale, long tails compressed."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.arcsinh((values - center) / scale)


def blocks_of(scaled: np.ndarray) -> np.ndarray:
    """Scaled numbers (n, F); of more than `BLOCKS` the means of neighbors, and how much neighbors differ from them."""
    width = scaled.shape[1]
    if width <= BLOCKS:
        return scaled
    edges = np.linspace(0, width, BLOCKS).astype(int)
    means = np.add.reduceat(scaled, edges[:-1], axis=1) / np.diff(edges)
    left = scaled - np.repeat(means, np.diff(edges), axis=1)
    return np.concatenate([means, np.log(np.square(left).mean(axis=1, keepdims=True) + 1e-12)], axis=1)
