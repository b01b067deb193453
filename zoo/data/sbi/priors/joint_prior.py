"""Priors that cannot be written as plain data: of parameters that depend on each other, and those that a user has written."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from zoo.data.sbi.priors.parameters import expect_names, expect_unit
from zoo.data.sbi.priors.prior import rows_of
from zoo.data.sbi.priors.scale_entries import Ends, Entry, mapped, measured_entry
from zoo.errors import InputError, UnknownNameError, warn
from zoo.families.state import own_randomness

MEASURED = 2000
"""Draws of which scales and standard deviations are measured, and on which draws and density are compared."""
ROWS = "rows"
"""The ``distribution`` of a parameter whose law is not plain data: it is known on the rows of a file."""
APART = 0.25
"""Difference of a density from that of its draws, in nat for each parameter, from which on it is said."""
SCATTER = 2.0
"""Scatter of that difference from draw to draw; half of it or less is that of the estimate."""
NEIGHBORS = 4

Sampler = Callable[[int, np.random.Generator], Any]


class JointPrior:
    """A prior of which one can draw and whose density is known, and no more.

    Parameters
    ----------
    sample : callable
        Makes draws (n, D) of ``(n, rng)``, ``(n)`` or ``(size=n, random_state=rng)``. One that takes no generator draws from
        NumPy's, Python's or the backend's global state, which is given a seed and put back.
    log_density : callable
        Gives the natural logarithm of the density, (n,), at parameters (n, D), or a number at (D,).
    names : sequence of str, optional
        Names of the parameters; ``theta_1``, ``theta_2``, ... by default.
    units : mapping of str to str, optional
        Units of parameters by name, "1" for those left out.
    bounds : mapping of str to sequence of float or None, optional
        Ends (low, high) of the support of parameters by name, None or infinity for an end that is open.

    Raises
    ------
    InputError
        Draws have no such shape, are not finite, lie outside the bounds, or differ for one seed; the density is not a number
        for each of them; or a name is no word, a unit is none.
    UnknownNameError
        A unit or bounds are given for no parameter.

    Warns
    -----
    UserWarning
        The density is not that of the draws.
    """

    def __init__(
        self,
        sample: Callable[..., Any],
        log_density: Callable[[np.ndarray], Any],
        names: Sequence[str] | None = None,
        units: Mapping[str, str] | None = None,
        bounds: Mapping[str, Sequence[float | None]] | None = None,
    ) -> None:
        self._sample, self._log_density = _sampler(sample), log_density
        first = np.asarray(self._sample(4, np.random.default_rng(0)), np.float64)
        if first.ndim == 1:
            first = first[:, None]
        dimensions = first.shape[-1]
        self.names = expect_names([f"theta_{i + 1}" for i in range(dimensions)] if names is None else names)
        for what, given in (("unit", units), ("bounds", bounds)):
            if unknown := sorted((given or {}).keys() - set(self.names)):
                raise UnknownNameError(f"parameter with {what}", unknown[0], self.names)
        self.units = {name: expect_unit(name, (units or {}).get(name, "1")) for name in self.names}
        self.ends = [_ends(name, (bounds or {}).get(name)) for name in self.names]
        if not np.array_equal(self.sample(4, np.random.default_rng(0)), self.sample(4, np.random.default_rng(0))):
            raise InputError("prior: draws of one seed differ: expected a sample(n, rng) that draws from rng alone")
        self._by_row = self._takes_rows()
        self._agree()

    @property
    def support(self) -> list[list[float] | None]:
        """Limits [low, high] of each parameter that has both, else None: the ``support`` of a flow."""
        return [list(ends) if np.isfinite(ends).all() else None for ends in self.ends]

    @cached_property
    def scales(self) -> list[Entry]:
        """How a flow maps each parameter to unbounded numbers, chosen and measured on draws."""
        return [measured_entry(draws, ends) for draws, ends in zip(self._draws.T, self.ends, strict=True)]

    def plain(self) -> dict[str, dict[str, Any]]:
        """What of the prior is plain data: names, units and bounds."""
        return plain_rows(self.names, self.units, self.ends)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D), the same for the same state of ``rng``."""
        found = np.asarray(self._sample(n, rng), np.float64)
        if found.size == n * len(self.names) and 1 in (n, len(self.names)):
            found = found.reshape(n, -1)  # SciPy drops axes of one
        if found.shape != (n, len(self.names)):
            raise InputError(
                f"prior: expected {n} draws of {', '.join(self.names)}, ({n}, {len(self.names)}), given {found.shape}"
            )
        low, high = np.transpose(self.ends)
        outside = ~((found >= low) & (found <= high) & np.isfinite(found))
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise InputError(
                f"prior: {self.names[column]} = {found[row, column]:g} was drawn, expected finite draws in"
                f" [{low[column]:g}, {high[column]:g}]: give the bounds of the prior"
            )
        return found

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), -inf outside the support."""
        theta = rows_of(theta, self.names)
        low, high = np.transpose(self.ends)
        inside = ((theta >= low) & (theta <= high)).all(axis=1)
        found = np.full(len(theta), -np.inf)
        if inside.any():
            found[inside] = self._row_by_row(theta[inside]) if self._by_row else self._at_once(theta[inside])
        if np.isnan(found).any():
            row = theta[np.flatnonzero(np.isnan(found))[0]]
            raise InputError(f"prior: the log density is NaN at {dict(zip(self.names, row.tolist(), strict=True))}")
        return found

    def standard_deviation(self) -> np.ndarray:
        """Standard deviation (D,) of each parameter, measured on draws."""
        return self._draws.std(axis=0)

    @cached_property
    def _draws(self) -> np.ndarray:
        return self.sample(MEASURED, np.random.default_rng(0))

    def _at_once(self, theta: np.ndarray) -> np.ndarray:
        return np.asarray(self._log_density(theta), np.float64).reshape(len(theta))

    def _row_by_row(self, theta: np.ndarray) -> np.ndarray:
        return np.array([np.asarray(self._log_density(row), np.float64).reshape(()) for row in theta])

    def _takes_rows(self) -> bool:
        """Whether the density takes single rows alone; found with as many rows as there is no other size, to mislead."""
        theta = self.sample(len(self.names) + 2, np.random.default_rng(1))
        found: dict[bool, np.ndarray] = {}
        problems = []
        for by_row, evaluate in ((False, self._at_once), (True, self._row_by_row)):
            try:
                found[by_row] = evaluate(theta)
            except Exception as error:
                problems.append(f"{theta.shape if not by_row else theta.shape[1:]}: {type(error).__name__}: {error}")
        if not found:
            raise InputError(f"prior: expected a log density of (n, D) or (D,) parameters; at {'; at '.join(problems)}")
        if len(found) == 2 and not np.allclose(found[False], found[True], rtol=1e-4, atol=1e-4, equal_nan=True):
            raise InputError(
                f"prior: the log density of {len(theta)} rows at once is {found[False]}, and of each alone {found[True]}:"
                " expected a function that treats rows (n, D) as rows"
            )
        return False not in found

    def _agree(self) -> None:
        """Refuse draws that the density says are impossible, and warn of a density that is not that of the draws."""
        theta = self._draws
        log_density = self.log_density(theta)
        if impossible := int(np.sum(~np.isfinite(log_density))):
            raise InputError(f"prior: the density at {impossible} of its own {len(theta)} draws is zero or infinite")
        shortfall, scatter = _shortfall(theta, log_density, self.scales)
        words = ""
        if abs(shortfall) > APART * max(2, len(self.names)):
            words = f"on average {math.exp(abs(shortfall)):.2g} times too {'low' if shortfall > 0 else 'high'}"
        elif scatter > SCATTER:
            words = f"off by factors that scatter by exp({scatter:.2g})"
        if words:
            warn(
                f"prior: at its own draws, the density is {words}: log_prob lacks a constant, or is of another unit or variable"
                " than sample; what is said of the prior's own log density is wrong by as much"
            )


def plain_rows(names: Sequence[str], units: Mapping[str, str], ends: Sequence[Ends]) -> dict[str, dict[str, Any]]:
    """Names, units and bounds of parameters as plain data.

    Parameters
    ----------
    names : sequence of str
        Names of the parameters.
    units : mapping of str to str
        Unit of each.
    ends : sequence of tuple of float
        Ends of the support of each, infinite where it has none.

    Returns
    -------
    dict of str to dict
        An entry for each parameter.
    """
    return {
        name: {"distribution": ROWS, "unit": units[name]}
        | {key: end for key, end in zip(("low", "high"), own, strict=True) if math.isfinite(end)}
        for name, own in zip(names, ends, strict=True)
    }


def _ends(name: str, bounds: Sequence[float | None] | None) -> Ends:
    low, high = (None, None) if bounds is None else bounds
    ends = -math.inf if low is None else float(low), math.inf if high is None else float(high)
    if not ends[0] < ends[1]:
        raise InputError(f"prior: {name}: expected bounds with low < high, given {ends[0]:g} and {ends[1]:g}")
    return ends


def _sampler(sample: Callable[..., Any]) -> Sampler:
    """A sampler of (n, rng), of whatever a library takes in their place."""
    try:
        takes = inspect.signature(sample).parameters
    except (TypeError, ValueError):  # compiled, without a signature: rng by its place
        return lambda n, rng: sample(n, rng)
    if "random_state" in takes:
        return lambda n, rng: sample(size=n, random_state=rng)
    if "rng" in takes:
        return lambda n, rng: sample(n, rng=rng)

    def seeded(n: int, rng: np.random.Generator) -> Any:
        seed = int(rng.integers(2**31))
        given: Any = (n,) if "sample_shape" in takes else n  # of torch and TensorFlow Probability
        with own_randomness(seed):
            return sample(given, seed=seed) if "seed" in takes else sample(given)

    return seeded


def _shortfall(theta: np.ndarray, log_density: np.ndarray, scales: Sequence[Entry]) -> tuple[float, float]:
    """By how much, in nat, a density is lower at draws than the density of the draws themselves: mean and scatter.

    The latter is that of nearest neighbors (Kozachenko & Leonenko 1987) on the scales of the parameters, which adapts to narrow
    and to disjoint priors.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma, gammaln

    maps = [mapped(entry, column) for entry, column in zip(scales, theta.T, strict=True)]
    u, log_slope = np.stack([one for one, _ in maps], axis=1), np.sum([one for _, one in maps], axis=0)
    n, dimensions = u.shape
    covariance = np.atleast_2d(np.cov(u.T))
    spread = np.sqrt(np.diag(covariance))
    if not (spread > 0).all() or np.linalg.matrix_rank(covariance / np.outer(spread, spread), tol=1e-9) < dimensions:
        raise InputError("prior: some parameters follow from others in all draws: there is no density, leave those out")
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, u.T).T
    distance = cKDTree(white).query(white, NEIGHBORS + 1)[0][:, -1]
    if not (distance > 0).all():
        raise InputError(f"prior: more than {NEIGHBORS} of {n} draws are the same: a law with steps has no density")
    log_volume = 0.5 * dimensions * math.log(math.pi) - gammaln(1 + 0.5 * dimensions) + float(np.log(np.diag(factor)).sum())
    own = digamma(NEIGHBORS) - digamma(n) - log_volume - dimensions * np.log(distance)
    lower = own + log_slope - log_density
    return float(lower.mean()), float(lower.std())
