"""Evaluation of decorrelated taggers: what they reject against how much they sculpt a variable of the background."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import rel_entr

from zoo.data.dataset import Rows
from zoo.families.distance_correlation import distance_correlation
from zoo.interpret import plots
from zoo.interpret.plots.style import with_unit
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.tagging import Efficiency, cut_at, rejection
from zoo.training.intervals import bootstrap
from zoo.training.metrics import Interval, Units, auc, expect_equal_weights, measured, metric, of_parts
from zoo.training.recipe import RecipeError

BINS = 20
"""Bins of the variable, each with as much of the background before the cut."""
PART, PARTS = 2000, 5
"""Background rows of each part that a distance correlation is taken on, and the most parts."""
DRAWS = 100
"""Resamples of each interval, and random choices of as many rows as pass a cut."""


@register_evaluation("decorrelation")
class Decorrelation(EvaluationSettings):
    """Rejection at an efficiency, and the divergence of a variable of the background before and after the cut."""

    kind: Literal["decorrelation"] = "decorrelation"
    classes: tuple[str, str]
    """What targets 0 and 1 mean."""
    protected: str
    """The truth of rows that is not to be sculpted."""
    efficiencies: Annotated[list[Efficiency], Field(min_length=1)] = [0.5, 0.8]
    """Shares of the signal that are kept; figures are of the first."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


def evaluate(runs: Runs, settings: Decorrelation) -> Evaluation:
    """Every variant on the test rows of the model."""
    released, evaluation = runs[""][0], Evaluation()
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    expect_equal_weights(rows, "decorrelation")
    if settings.protected not in rows.truth:
        raise RecipeError(f"protected: expected a truth of the data, {', '.join(rows.truth)}, given {settings.protected}")
    scored = {variant: [_scored(run, rows, settings) for run in members] for variant, members in runs.items()}
    first = settings.efficiencies[0]
    points: dict[str, dict[str, list[float]]] = {}
    ceilings: list[float] = []
    for variant, members in scored.items():
        found = _statistics(variant, members, rows, settings)
        evaluation.metrics += found
        pair = {
            "rejection": _named(found, f"rejection at {first:.0%}"),
            "divergence": _named(found, f"inverse JSD at {first:.0%}"),
        }
        points[variant or released.recipe.name] = {key: [one.value, *(one.interval or ())] for key, one in pair.items()}
        ceilings.append(pair["divergence"].baseline or np.nan)
    evaluation.curves["rejection and inverse JSD"] = points  # type: ignore[assignment]
    curve = _of_rising_penalty(runs)
    shown = {variant or released.recipe.name: _histograms(of[0], first) for variant, of in scored.items()}
    edges = next(iter(shown.values()))["edges"]
    evaluation.figures = {
        "rejection_and_divergence": plots.rejection_against_divergence(points, curve, ceilings, first),
        "sculpting": plots.sculpted_distributions(
            shown, edges, with_unit(settings.protected, dataset.units[settings.protected]), first
        ),
        "learning_curves": plots.learning_curves(released.history),
    }
    return evaluation


def _of_rising_penalty(runs: Runs) -> list[str]:
    """Labels of the runs that differ from the model in nothing but the penalty, the smallest first."""
    released = runs[""][0].recipe
    penalties = {}
    for variant, (run, *_) in runs.items():
        config = run.recipe.config
        if {**config, "penalty": None} == {**released.config, "penalty": None}:
            penalties[variant or released.name] = float(str(config["penalty"]))
    return sorted(penalties, key=penalties.__getitem__)


def _named(metrics: list[Metric], name: str) -> Metric:
    return next(one for one in metrics if one.name.endswith(name))


def _scored(run: Run, rows: Rows, settings: Decorrelation) -> np.ndarray:
    """Score, class and protected variable of the rows, (n, 3)."""
    return np.stack([run.answer(rows)[:, 0], rows.target[:, 0], rows.truth[settings.protected]], axis=1)


def _statistics(variant: str, members: list[np.ndarray], rows: Rows, settings: Decorrelation) -> list[Metric]:
    prefix, units = f"{variant}/" if variant else "", Units.of(rows)
    background, signal = settings.classes
    found = [
        measured(f"{prefix}auc", auc, members, units, f"area under the ROC curve, {signal} against {background}", draws=DRAWS)
    ]
    for share in settings.efficiencies:
        meaning = f"1 / share of {background} that is kept with {share:.0%} of {signal}"
        statistic = partial(rejection, efficiency=share)
        found.append(measured(f"{prefix}rejection at {share:.0%}", statistic, members, units, meaning, draws=DRAWS))
        found.append(_divergence(f"{prefix}inverse JSD at {share:.0%}", members, units, share, settings))
    correlations = [_correlations(scored) for scored in members]
    value = float(np.mean(correlations[0]))
    meaning = (
        f"squared distance correlation of the answer with {settings.protected} in {background}, mean of parts of"
        f" {PART} rows at most; where independent it is the baseline"
    )
    found.append(
        metric(
            f"{prefix}distance correlation",
            [float(np.mean(one)) for one in correlations],
            of_parts(value, correlations[0]),
            len(rows),
            meaning,
            baseline=float(np.mean(_correlations(members[0], shuffled=True))),
            baseline_name="shuffled rows",
        )
    )
    return found


def _correlations(scored: np.ndarray, shuffled: bool = False) -> list[float]:
    """Squared distance correlations in disjoint random parts of the background."""
    rng = np.random.default_rng(0)
    background = rng.permutation(scored[scored[:, 1] == 0]).astype(np.float32)
    parts = np.array_split(background[: PART * PARTS], PARTS)
    ones = np.ones(len(parts[0]), np.float32)
    return [
        float(distance_correlation(one[:, 0], rng.permutation(one[:, 2]) if shuffled else one[:, 2], ones[: len(one)]))
        for one in parts
    ]


def divergence(before: np.ndarray, after: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two histograms, in [0, 1]."""
    p, q = before / before.sum(), after / after.sum()
    middle = (p + q) / 2
    return float(sum(rel_entr(one, middle).sum() for one in (p, q)) / (2 * np.log(2)))


def _edges(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, np.linspace(0, 1, BINS + 1))


def _passing(scored: np.ndarray, efficiency: float) -> np.ndarray:
    """Which rows (n,) pass the cut that keeps a share of the signal."""
    return scored[:, 0] >= cut_at(scored[scored[:, 1] == 1, 0], None, efficiency)


def sculpting(scored: np.ndarray, efficiency: float, edges: np.ndarray) -> float:
    """Divergence of the variable's histogram in the background before and after the cut.

    Parameters
    ----------
    scored : ndarray of shape (n, 3)
        Score, class and variable of rows.
    efficiency : float
        Share of the signal that the cut keeps.
    edges : ndarray
        Edges of the bins.

    Returns
    -------
    float
        The divergence in bits, 1 where no background passes.
    """
    background = scored[:, 1] == 0
    before, _ = np.histogram(scored[background, 2], edges)
    after, _ = np.histogram(scored[background & _passing(scored, efficiency), 2], edges)
    return divergence(before, after) if after.sum() else 1.0


def _divergence(name: str, members: list[np.ndarray], units: Units, share: float, settings: Decorrelation) -> Metric:
    """One over the divergence, with an interval, beside that of as many rows at random.

    Resampled rows scatter more than rows do and have a larger divergence; its mean is moved to the measured one, so that the
    interval is about the value.
    """
    first = members[0]
    edges = _edges(first[first[:, 1] == 0, 2])
    values = [max(sculpting(scored, share, edges), 1e-9) for scored in members]
    resampled: list[float] = []

    def statistic(chosen: np.ndarray) -> float:
        resampled.append(sculpting(first[chosen], share, edges))
        return resampled[-1]

    low, high = bootstrap(statistic, units.group, draws=DRAWS)
    moved = values[0] - float(np.mean(resampled))
    ends = [max(end + moved, values[0] / 10) for end in (high, low)]
    how = f"interval by bootstrap over {len(np.unique(units.group))} independent groups, its mean moved to the value"
    background = first[first[:, 1] == 0, 2]
    passing = int((_passing(first, share) & (first[:, 1] == 0)).sum())
    rng, before = np.random.default_rng(0), np.histogram(background, edges)[0]
    at_random = [
        divergence(before, np.histogram(rng.choice(background, max(passing, 1), replace=False), edges)[0]) for _ in range(DRAWS)
    ]
    return metric(
        name,
        [1 / value for value in values],
        Interval(1 / ends[0], 1 / ends[1], how),
        len(first),
        f"1 / Jensen-Shannon divergence in bits of {settings.protected} in {settings.classes[0]} before and after the cut,"
        f" {BINS} bins of equal content",
        baseline=float(1 / np.mean(at_random)),
        baseline_name=f"as many {settings.classes[0]} jets at random",
    )


def _histograms(scored: np.ndarray, efficiency: float) -> dict[str, np.ndarray]:
    """Densities of the variable in the background before and after the cut, in even bins of where 99% of it lies."""
    background = scored[:, 1] == 0
    least, most = np.quantile(scored[background, 2], [0.005, 0.995])
    edges = np.linspace(least, most, 26)
    passing = background & _passing(scored, efficiency)
    before, after = (np.histogram(scored[chosen, 2], edges)[0] for chosen in (background, passing))
    widths = np.diff(edges)
    return {
        "edges": edges,
        "before": before / max(before.sum(), 1) / widths,
        "after": after / max(after.sum(), 1) / widths,
    }
