"""Evaluation of posteriors: how much they know, whether they mean what they say, and how far they are from exact ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.dataset import Dataset, Rows
from zoo.interpret import plots
from zoo.interpret.posteriors.c2st import c2st
from zoo.interpret.posteriors.coverage import Coverage, rank_uniformity, sbc_ranks, tarp
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Posterior

if TYPE_CHECKING:
    from zoo.families.flows.flow import Flow

CALIBRATED = 1000
"""Test rows at most for ranks, coverage and posterior means, which need draws of each."""
DRAWS = 499
"""From each of those posteriors."""
BATCH = 100
"""Test rows whose posteriors are drawn at once."""
OBSERVATIONS, SAMPLES = 10, 2000
"""Of the comparison with exact posteriors."""
CRITICAL = 1.358
"""95% quantile of the Kolmogorov-Smirnov distance of n uniform numbers, times sqrt(n)."""

Reference = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def evaluate(runs: Runs, settings: Posterior) -> Evaluation:
    """Log-probability of the truth, calibration, error of the posterior mean, and distance from exact posteriors.

    Calibration is that of the released run. A data set may have ``prior`` (with ``log_density`` and
    ``standard_deviation``), the baseline, and ``reference(x, n, rng)``, exact draws from p(theta | x).
    """
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows, names = dataset.rows("test"), settings.parameters
    evaluation = Evaluation()
    for variant, members in runs.items():
        evaluation.metrics.append(_log_prob(f"{variant}/" if variant else "", members, rows, dataset))
    theta, x = (array[:CALIBRATED] for array in rows.inputs.values())
    drawn = Drawn(released.model, x)
    ranks = sbc_ranks(drawn, theta, x, DRAWS)
    covered = {kind: tarp(drawn, theta, x, DRAWS, references=kind) for kind in ("uniform", "predicted")}
    evaluation.metrics += _means(drawn.samples, theta, names, dataset)
    evaluation.metrics += _ranks(ranks, names)
    evaluation.metrics += [_coverage(kind, found) for kind, found in covered.items()]
    pairs = _beside_exact(released, x[:OBSERVATIONS], getattr(dataset, "reference", None))
    evaluation.metrics += _distance(pairs)
    evaluation.curves = {
        "ranks": [np.bincount(column * 20 // (DRAWS + 1), minlength=20).tolist() for column in ranks.T],
        "coverage": {kind: np.round(found.expected, 4).tolist() for kind, found in covered.items()},
    }
    units = {name: dataset.units[name] for name in names}
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "ranks": plots.rank_histograms(ranks, DRAWS, names),
        "coverage": plots.coverage_curve({f"{kind} references": found for kind, found in covered.items()}),
        "posterior": plots.corner_plot(pairs[0], names, units, truth=theta[0].tolist()),
    }
    return evaluation


def _log_prob(prefix: str, members: list[Run], rows: Rows, dataset: Dataset) -> Metric:
    theta, x = rows.inputs.values()
    found = [run.model.log_density(theta, x).astype(np.float64) for run in members]
    prior = getattr(dataset, "prior", None)
    exact = np.stack(list(rows.truth.values()), axis=1)  # rounded to single precision, a value may leave the support
    return Metric(
        name=f"{prefix}log_prob",
        value=float(found[0].mean()),
        interval=bootstrap(lambda i: float(found[0][i].mean()), rows.group),
        n=len(rows),
        seeds=len(members),
        baseline=None if prior is None else float(prior.log_density(exact).mean()),
        baseline_name=None if prior is None else "prior",
        detail=f"log q(true theta | x), nat; {over_seeds([float(values.mean()) for values in found])}; bootstrap interval",
    )


class Drawn:
    """Draws from the posterior of each row of x (n, C), made once for every check of them."""

    def __init__(self, model: Flow, x: np.ndarray) -> None:
        batches = np.array_split(np.arange(len(x)), -(-len(x) // BATCH))
        parts = [model.draw(DRAWS, x[batch], seed=i) for i, batch in enumerate(track(batches, "posteriors of the test rows"))]
        self.samples = np.concatenate(parts)
        self._row = {row.tobytes(): i for i, row in enumerate(x)}

    def draw(self, n: int, c: np.ndarray, seed: int = 0) -> np.ndarray:
        return self.samples[[self._row[row.tobytes()] for row in c], :n]


def _means(samples: np.ndarray, theta: np.ndarray, names: list[str], dataset: Dataset) -> list[Metric]:
    """Error of the posterior mean, beside that of the prior's."""
    prior = getattr(dataset, "prior", None)
    known = np.full(len(names), np.nan) if prior is None else prior.standard_deviation()
    squared = np.square(samples.mean(axis=1, dtype=np.float64) - theta)
    return [
        Metric(
            name=f"rmse {name}",
            value=float(np.sqrt(column.mean())),
            interval=bootstrap(lambda i: float(np.sqrt(column[i].mean())), np.arange(len(column))),  # noqa: B023 - called at once
            n=len(column),
            baseline=None if prior is None else float(deviation),
            baseline_name=None if prior is None else "prior mean",
            detail=f"of the posterior mean, {dataset.units[name]}; {DRAWS} draws each; bootstrap interval",
        )
        for name, column, deviation in zip(names, squared.T, known, strict=True)
    ]


def _ranks(ranks: np.ndarray, names: list[str]) -> list[Metric]:
    test = rank_uniformity(ranks, DRAWS)
    return [
        Metric(
            name=f"sbc distance {name}",
            value=float(distance),
            n=test.n,
            baseline=CRITICAL / float(np.sqrt(test.n)),
            baseline_name="95% of exact posteriors stay below",
            detail=f"Kolmogorov-Smirnov distance of {DRAWS}-draw ranks from uniform; p = {p_value:.2g}",
        )
        for name, distance, p_value in zip(names, test.distance, test.p_value, strict=True)
    ]


def _coverage(kind: str, found: Coverage) -> Metric:
    return Metric(
        name=f"coverage distance, {kind} references",
        value=found.distance,
        n=found.n,
        baseline=CRITICAL / float(np.sqrt(found.n)),
        baseline_name="95% of exact posteriors stay below",
        detail=f"TARP, largest |coverage - credibility|; p = {found.p_value:.2g}",
    )


def _beside_exact(run: Run, x: np.ndarray, reference: Reference | None) -> list[dict[str, np.ndarray]]:
    """Samples (SAMPLES, D) of the posterior of each observation by who drew them."""
    rng = np.random.default_rng(0)
    pairs = [{"model": run.model.draw(SAMPLES, row, seed=i)} for i, row in enumerate(x)]
    if reference is not None:
        for row, pair in zip(x, track(pairs, "exact posteriors"), strict=True):
            pair["exact"] = reference(row, SAMPLES, rng)
    return pairs


def _distance(pairs: list[dict[str, np.ndarray]]) -> list[Metric]:
    if "exact" not in pairs[0]:
        return []
    values = np.array([c2st(pair["exact"], pair["model"]) for pair in track(pairs, "C2ST against exact posteriors")])
    return [
        Metric(
            name="c2st",
            value=float(values.mean()),
            interval=bootstrap(lambda i: float(values[i].mean()), np.arange(len(values))),
            n=len(values),
            baseline=0.5,
            baseline_name="exact posterior",
            detail=f"over test observations, {SAMPLES} samples each; bootstrap interval over observations",
        )
    ]
