"""Evaluation of posteriors: how much they know, whether they mean what they say, and how far they are from exact ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from pydantic import JsonValue

from zoo.data.dataset import Dataset, HasNotes, HasPrior, KnowsPosterior, KnowsPosteriorDensity, Rows
from zoo.errors import warn
from zoo.families.contracts import Density, Generates, any_range
from zoo.interpret import plots
from zoo.interpret.posteriors.c2st import c2st
from zoo.interpret.posteriors.coverage import Coverage, rank_uniformity, sbc_ranks, tarp
from zoo.interpret.posteriors.miscalibration import DISTANCE, miscalibrated
from zoo.model.handed_in.values import unpadded
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, expect_equal_weights, mean, measured, metric, of_distance, root_mean
from zoo.training.recipe import Source

CALIBRATED = 1000
"""Test rows at most for ranks, coverage and posterior means, which need draws of each; one of each simulation, as rows of one
share their parameters, and what is off of one is off of all."""
DRAWS = 499
"""Number of draws from each of those posteriors."""
BATCH = 100
"""Test rows whose posteriors are drawn at once."""
OBSERVATIONS, SAMPLES = 10, 10_000
"""Observations and samples of each in the comparison with exact posteriors, as in the benchmark (arXiv:2101.04653)."""

Reference = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


@register_evaluation("posterior")
class Posterior(EvaluationSettings):
    """Log-probability of the true parameters, calibration of the posterior, distance from a reference where there is one."""

    kind: Literal["posterior"] = "posterior"
    parameters: list[str]
    """Names of the parameters, in the order of the flow's variables."""
    calibrated_on: dict[str, JsonValue] = {}
    """Changes of the data's parameters for ranks, coverage and means, where its own test split has few simulations."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters, for log-probability and posterior means."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)

    def without_training(self, data: Source) -> list[Metric]:
        dataset = data.dataset()
        if not isinstance(dataset, KnowsPosteriorDensity):
            return []
        rows = dataset.rows("test")
        found = dataset.log_posterior(*_pairs(rows))
        meaning = "log p(true theta | x), nat, above which no posterior comes in the mean"
        return [measured("log_prob of the exact posterior", mean, [found], Units.of(rows), meaning)]


def evaluate(runs: Runs, settings: Posterior) -> Evaluation:
    """Log-probability of the truth, calibration, error of the posterior mean, and distance from exact posteriors.

    Calibration is that of the released run. The prior of a data set that ``HasPrior`` is the baseline; one that
    ``KnowsPosterior`` is asked for exact draws.
    """
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows, names = dataset.rows("test"), settings.parameters
    expect_equal_weights(rows, "evaluation of a posterior")
    evaluation = Evaluation()
    for variant, members in runs.items():
        seen = members[0].held_out() if variant else rows  # a variant may be given other numbers of the same observations
        evaluation.metrics.append(_log_prob(f"{variant}/" if variant else "", members, seen, dataset))
    judged = released.held_out(settings.calibrated_on) if settings.calibrated_on else rows
    independent = np.unique(judged.group, return_index=True)[1][:CALIBRATED]
    theta, x = (array[independent] for array in _pairs(judged))
    model = released.load()
    drawn = Drawn(model, x)
    ranks = sbc_ranks(drawn, theta, x, DRAWS)
    covered = {kind: tarp(drawn, theta, x, DRAWS, references=kind) for kind in ("uniform", "predicted")}
    pairs = _beside_exact(model, x[:OBSERVATIONS], dataset.reference if isinstance(dataset, KnowsPosterior) else None)
    evaluation.metrics += _distance(pairs)
    evaluation.metrics += _means("", drawn, theta, Units(np.arange(len(theta))), names, dataset)
    evaluation.metrics += rank_metrics(ranks, names)
    evaluation.metrics += [coverage_metric(kind, found) for kind, found in covered.items()]
    for label, changes in settings.also_on.items():
        elsewhere = released.held_out(changes)
        evaluation.metrics.append(_log_prob(f"{label}/", runs[""], elsewhere, dataset))
        true, observed = _pairs(elsewhere)
        evaluation.metrics += _means(f"{label}/", Drawn(model, observed), true, Units.of(elsewhere), names, dataset)
    evaluation.miscalibrated = miscalibrated(ranks, DRAWS, names, covered)
    evaluation.notes = notes_of(evaluation.miscalibrated, dataset)
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


def notes_of(problems: list[str], dataset: Dataset) -> list[str]:
    """What the card says beside the numbers; of a posterior that does not mean what it says, a warning now too."""
    notes = list(dataset.notes) if isinstance(dataset, HasNotes) else []
    if problems:
        words = f"The posterior does not mean what it says: {'; '.join(problems)}. " + (
            "Do not rely on its intervals: train on more simulations, or for more epochs where the validation loss still fell"
            " at the end; the plots ranks and coverage show how it is off."
        )
        warn(words)
        notes.append(words)
    if not isinstance(dataset, HasPrior):
        notes.append("No prior was given: it is the distribution of the parameters among the training rows, without bounds.")
    return notes


def _log_prob(prefix: str, members: list[Run], rows: Rows, dataset: Dataset) -> Metric:
    exact = np.stack(list(rows.truth.values()), axis=1)  # rounded to single precision, a value may leave the support
    return measured(
        f"{prefix}log_prob",
        mean,
        [_log_density(run, rows) for run in members],
        Units.of(rows),
        "log q(true theta | x), nat",
        baseline=float(dataset.prior.log_density(exact).mean()) if isinstance(dataset, HasPrior) else None,
        baseline_name="prior",
    )


def _pairs(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Parameters (n, D) and observations, (n, ...) or, of several lengths, an array of n arrays without their padding."""
    theta, x, *mask = rows.inputs.values()
    return theta, unpadded(x, *mask) if mask else x


def _log_density(run: Run, rows: Rows) -> np.ndarray:
    model: Density = run.load()
    theta, x = _pairs(rows)
    return model.log_density(theta, x, **any_range(model.log_density)).astype(np.float64)


class Drawn:
    """Draws from the posterior of each of n observations x, made once for every check of them."""

    def __init__(self, model: Generates, x: np.ndarray) -> None:
        batches = np.array_split(np.arange(len(x)), -(-len(x) // BATCH))
        parts = [
            model.draw(DRAWS, x[batch], seed=i, **any_range(model.draw))  # of test rows all are judged
            for i, batch in enumerate(track(batches, "posteriors of the test rows"))
        ]
        self.samples = np.concatenate(parts)
        self._row = {row.tobytes(): i for i, row in enumerate(x)}

    def draw(self, n: int, c: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
        """The first n draws of each row c, or of every row, which are the same whatever the seed."""
        if c is None:
            return self.samples[:, :n]
        return self.samples[[self._row[row.tobytes()] for row in c], :n]


def _means(prefix: str, drawn: Drawn, theta: np.ndarray, units: Units, names: list[str], dataset: Dataset) -> list[Metric]:
    """Errors of the posterior mean, beside that of the prior's."""
    known = dataset.prior.standard_deviation() if isinstance(dataset, HasPrior) else np.full(len(names), np.nan)
    errors = drawn.samples.mean(axis=1, dtype=np.float64) - theta
    found = []
    for name, error, deviation in zip(names, errors.T, known, strict=True):
        meaning = f"of the posterior mean, {dataset.units[name]}; {DRAWS} draws each"
        beside = float(deviation) if np.isfinite(deviation) else None  # some laws have none
        rmse = measured(
            f"{prefix}rmse {name}", root_mean, [error**2], units, meaning, baseline=beside, baseline_name="prior mean"
        )
        found += [rmse, measured(f"{prefix}bias {name}", mean, [error], units, meaning)]
    return found


def _distance_from_uniform(name: str, distance: float, n: int, meaning: str) -> Metric:
    return metric(
        name,
        [distance],
        of_distance(distance, n),
        n,
        meaning,
        baseline=DISTANCE / float(np.sqrt(n)),
        baseline_name="95% of exact posteriors stay below",
    )


def rank_metrics(ranks: np.ndarray, names: list[str]) -> list[Metric]:
    """How far the ranks (n, D) of each variable are from uniform."""
    test = rank_uniformity(ranks, DRAWS)
    return [
        _distance_from_uniform(
            f"sbc distance {name}",
            float(distance),
            test.n,
            f"Kolmogorov-Smirnov distance of {DRAWS}-draw ranks from uniform; p = {p_value:.2g}",
        )
        for name, distance, p_value in zip(names, test.distance, test.p_value, strict=True)
    ]


def coverage_metric(kind: str, found: Coverage) -> Metric:
    """How far coverage is from credibility."""
    meaning = f"TARP, largest |coverage - credibility|; p = {found.p_value:.2g}"
    return _distance_from_uniform(f"coverage distance, {kind} references", found.distance, found.n, meaning)


def _beside_exact(model: Generates, x: np.ndarray, reference: Reference | None) -> list[dict[str, np.ndarray]]:
    """Samples (SAMPLES, D) of the posterior of each observation by who drew them; of the first alone where none is exact."""
    rng = np.random.default_rng(0)
    x = x if reference is not None else x[:1]
    pairs = [{"model": model.draw(SAMPLES, row, seed=i, **any_range(model.draw))} for i, row in enumerate(x)]
    if reference is not None:
        for row, pair in zip(x, track(pairs, "exact posteriors"), strict=True):
            pair["exact"] = reference(row, SAMPLES, rng)
    return pairs


def _distance(pairs: list[dict[str, np.ndarray]]) -> list[Metric]:
    if "exact" not in pairs[0]:
        return []
    values = np.array([c2st(pair["exact"], pair["model"]) for pair in track(pairs, "C2ST against exact posteriors")])
    meaning = f"over test observations, {SAMPLES} samples each"
    units = Units(np.arange(len(values)))
    return [measured("c2st", mean, [values], units, meaning, baseline=0.5, baseline_name="exact posterior")]
