"""How a metric is made: a value, its spread over seeds, and always a 95% interval over the independent units of a test set.

Statistics take the values of rows and, where rows have event weights, their weights, of either sign: sums over rows become sums
of weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.interpret.posteriors.miscalibration import DISTANCE
from zoo.interpret.quantile import quantile as quantile
from zoo.model.spec import Metric
from zoo.training.intervals import bootstrap

Statistic = Callable[[np.ndarray, np.ndarray | None], float]
"""A function of the values of rows (n, ...) and of their weights (n,), None where all rows count the same."""
NORMAL = 1.96
"""Standard deviations of a normal distribution on either side of its 95% interval."""


@dataclass(frozen=True)
class Units:
    """Independent units of some rows.

    Attributes
    ----------
    group : ndarray
        The unit that each row belongs to, (n,).
    weight : ndarray, optional
        Event weight of each row, (n,).
    """

    group: np.ndarray
    weight: np.ndarray | None = None

    @classmethod
    def of(cls, rows: Rows, chosen: np.ndarray | slice = slice(None)) -> Units:
        """Units of the chosen ones of some rows."""
        return cls(rows.group[chosen], None if rows.weight is None else rows.weight[chosen])


@dataclass(frozen=True)
class Interval:
    """A 95% interval, and in words how it was made."""

    low: float
    high: float
    how: str


def mean(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Mean over rows and what they hold; NaN where the weights of all rows have no positive sum."""
    if weights is None:
        return float(np.mean(values))
    if not weights.sum() > 0:
        return float("nan")
    return float(weights @ np.reshape(values, (len(values), -1)).mean(axis=1) / weights.sum())


def rms(values: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Root mean square over rows and what they hold."""
    return root_mean(np.square(values), weights)


def root_mean(squares: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Root of the mean of squares that were taken before; NaN where negative weights make that mean negative."""
    found = mean(squares, weights)
    return float(np.sqrt(found)) if found >= 0 else float("nan")


def taken(statistic: Statistic, values: np.ndarray, weights: np.ndarray | None) -> float:
    """A statistic; zero for the root of a mean square that negative weights make negative, which is consistent with zero."""
    found = statistic(values, weights)
    return 0.0 if statistic in (rms, root_mean) and np.isnan(found) else found


def auc(scored: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Area under the ROC curve of (n, 2) scores and labels 0 or 1; NaN where a class has no rows or no positive weight.

    The sum over pairs of a positive and a negative row of the product of their weights where the positive one scores higher,
    half of it where both score the same, over the sum over all pairs. scikit-learn's gives the same, and spends more time on
    looking at what it is given than on a few hundred rows.
    """
    score, positive = scored[:, 0], scored[:, 1] == 1
    if positive.all() or not positive.any():
        return float("nan")
    weights = np.ones(len(score)) if weights is None else weights
    values, place = np.unique(score, return_inverse=True)
    signal, background = (
        np.bincount(place[chosen], weights[chosen], minlength=len(values)) for chosen in (positive, ~positive)
    )
    if not min(signal.sum(), background.sum()) > 0:
        return float("nan")
    below = np.cumsum(background) - background / 2
    return float(signal @ below / (signal.sum() * background.sum()))


def expect_equal_weights(rows: Rows, what: str) -> None:
    """Refuse rows that have event weights, for numbers that have no meaning with them."""
    if rows.weight is not None:
        raise InputError(f"{what}: expected rows that count the same, given event weights: leave weight out of the rows")


def bootstrapped(statistic: Statistic, values: np.ndarray, units: Units, draws: int = 400) -> Interval:
    """Percentiles of a statistic over resampled units.

    Units of negative weight may outweigh the others in a resample and make a mean square negative. Such a resample says that
    the root is consistent with zero and counts as zero: left out, it would move the interval above the value itself.
    """
    weight = units.weight

    def resampled(chosen: np.ndarray) -> float:
        return taken(statistic, values[chosen], None if weight is None else weight[chosen])

    low, high = bootstrap(resampled, units.group, draws=draws)
    return Interval(low, high, f"interval by bootstrap over {len(np.unique(units.group))} independent groups")


def of_error(value: float, error: float, how: str) -> Interval:
    """Interval of a normal estimate whose standard error is known."""
    return Interval(value - NORMAL * error, value + NORMAL * error, how)


def of_parts(value: float, parts: Sequence[float]) -> Interval:
    """Interval of a score that was also taken on disjoint parts of the rows, by Student's t."""
    from scipy.stats import t

    half = float(t.ppf(0.975, len(parts) - 1) * np.std(parts, ddof=1) / np.sqrt(len(parts)))
    return Interval(value - half, value + half, f"interval by the scatter among {len(parts)} disjoint parts of the rows")


def of_trainings(values: Sequence[float]) -> Interval:
    """Interval of the mean over trainings by Student's t, for a score that they scatter in more than rows would tell.

    It holds the value of the first, which is released, even where that lies far from the others.
    """
    from scipy.stats import t

    center, half = np.mean(values), t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    low, high = min(center - half, values[0]), max(center + half, values[0])
    return Interval(float(low), float(high), f"interval by Student's t over the {len(values)} trainings")


def of_share(share: float, n: int) -> Interval:
    """Exact interval of a share of n independent trials (Clopper & Pearson 1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(round(share * n), n).proportion_ci(0.95, method="exact")
    return Interval(float(low), float(high), f"exact binomial interval of {n} trials")


def of_distance(distance: float, n: int) -> Interval:
    """Interval of a Kolmogorov-Smirnov distance of n independent numbers.

    By the triangle inequality, the distance of their own distribution is as far from the measured one at most as they are from
    their own distribution, of which the Dvoretzky-Kiefer-Wolfowitz inequality gives the 95% quantile.
    """
    half = DISTANCE / np.sqrt(n)
    how = f"interval by the Dvoretzky-Kiefer-Wolfowitz bound of {n} simulations"
    return Interval(max(0.0, distance - half), min(1.0, distance + half), how)


def metric(
    name: str,
    values: Sequence[float],
    interval: Interval,
    n: int,
    meaning: str,
    *,
    baseline: float | None = None,
    baseline_name: str | None = None,
    split: str = "test",
) -> Metric:
    """A metric of the first of several runs.

    Parameters
    ----------
    name : str
        Name of the metric, with the variant or test set before a slash.
    values : sequence of float
        Value of each run, the released one first.
    interval : Interval
        Interval of the first value.
    n : int
        Rows that the first value was taken over.
    meaning : str
        What the number is, with its unit.
    baseline : float, optional
        What stands beside it.
    baseline_name : str, optional
        What the baseline is called.
    split : str
        Split of the rows.

    Raises
    ------
    InputError
        If the value of the released run is not finite.
    """
    if not np.isfinite([values[0], interval.low, interval.high]).all():
        raise InputError(f"{name}: expected a finite number, found {values[0]}: look at the rows and weights it is taken over")
    detail = "; ".join(part for part in (meaning, over_seeds(values), interval.how) if part)
    return Metric(
        name=name,
        value=float(values[0]),
        interval=(interval.low, interval.high),
        n=n,
        seeds=len(values),
        split=split,
        baseline=baseline,
        baseline_name=None if baseline is None else baseline_name,
        detail=detail,
    )


def measured(
    name: str,
    statistic: Statistic,
    values: Sequence[np.ndarray],
    units: Units,
    meaning: str,
    *,
    draws: int = 400,
    trials: int | None = None,
    baseline: float | None = None,
    baseline_name: str | None = None,
    split: str = "test",
) -> Metric:
    """A metric that is a statistic of values of rows, its interval by bootstrap over their units.

    Parameters
    ----------
    name : str
        Name of the metric, as `metric` takes it.
    statistic : Statistic
        What is taken of the values.
    values : sequence of ndarray
        Values of the rows, (n, ...), of each run, the released one first.
    units : Units
        Independent units of the rows, and their weights.
    meaning : str
        What the number is, with its unit.
    draws : int
        Number of resamples of the bootstrap.
    trials : int, optional
        Of a statistic that is a share, the number of independent units that it is of. Where the share is none or all, no
        resample is different, and the interval is the exact one of so many trials.
    baseline : float, optional
        What stands beside it.
    baseline_name : str, optional
        What the baseline is called.
    split : str
        Split of the rows.

    Raises
    ------
    InputError
        If the weights of all rows together are not positive, or the value is not finite.
    """
    weight = units.weight
    if weight is not None:
        total = float(weight.sum())
        if not total > 0:
            raise InputError(f"{name}: expected event weights with a positive sum, given {total:g}")
        meaning = f"{meaning}; sum of weights {total:.6g}"
    found = [statistic(of_run, weight) for of_run in values]
    interval = bootstrapped(statistic, values[0], units, draws)
    if trials is not None and interval.low == interval.high and found[0] in (0, 1):
        interval = of_share(found[0], trials)
    return metric(
        name, found, interval, len(units.group), meaning, baseline=baseline, baseline_name=baseline_name, split=split
    )  # fmt: skip


def over_seeds(values: Sequence[float]) -> str:
    """Mean and standard deviation over seeds as words for ``Metric.detail``."""
    if len(values) == 1:
        return "one seed"
    return f"over {len(values)} seeds: {np.mean(values):.4f} +- {np.std(values, ddof=1):.4f}"
