"""Evaluation of likelihoods: how much of the data they explain, and whether they make data as the simulator does."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from zoo.data.dataset import Dataset, HasNotes, Rows
from zoo.errors import warn
from zoo.families.contracts import Density, any_range
from zoo.families.flows.scales import Maps
from zoo.interpret import plots
from zoo.interpret.posteriors.coverage import sbc_ranks, tarp
from zoo.interpret.posteriors.miscalibration import miscalibrated
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, posterior, register_evaluation
from zoo.training.evaluations.posterior import Drawn, coverage_metric, rank_metrics
from zoo.training.metrics import Units, expect_equal_weights, mean, measured

SHOWN = 12
"""Most columns of data whose ranks are shown, those farthest from uniform."""


@register_evaluation("likelihood")
class Likelihood(EvaluationSettings):
    """Log-likelihood of held-out data, and their ranks among data drawn from the model at the same parameters."""

    kind: Literal["likelihood"] = "likelihood"

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs)


def evaluate(runs: Runs) -> Evaluation:
    """Log-likelihood beside that of a linear model, ranks of each datum, and coverage of all of them together.

    Ranks and coverage are those of calibrated posteriors, of data given parameters: whether the model is the simulator.
    """
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    expect_equal_weights(rows, "evaluation of a likelihood")
    evaluation = Evaluation()
    baseline = _linear(released, dataset.rows("train"), rows)
    for variant, members in runs.items():
        evaluation.metrics.append(_log_prob(f"{variant}/" if variant else "", members, rows, baseline))
    x, theta = (np.asarray(array)[: posterior.CALIBRATED] for array in rows.inputs.values())
    drawn = Drawn(released.load(), theta)
    ranks = sbc_ranks(drawn, x, theta, posterior.DRAWS)
    names = [f"x[{i}]" for i in range(x.shape[1])]
    metrics = rank_metrics(ranks, names)
    worst = np.argsort([-found.value for found in metrics], kind="stable")[:SHOWN]
    evaluation.metrics += [metrics[i] for i in worst]
    covered = {kind: tarp(drawn, x, theta, posterior.DRAWS, references=kind) for kind in ("uniform", "predicted")}
    evaluation.metrics += [coverage_metric(kind, found) for kind, found in covered.items()]
    evaluation.miscalibrated = miscalibrated(ranks, posterior.DRAWS, names, covered, "model")
    evaluation.notes = notes_of(evaluation.miscalibrated, dataset)
    evaluation.curves = {"coverage": {kind: np.round(found.expected, 4).tolist() for kind, found in covered.items()}}
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "ranks": plots.rank_histograms(ranks[:, worst], posterior.DRAWS, [names[i] for i in worst]),
        "coverage": plots.coverage_curve({f"{kind} references": found for kind, found in covered.items()}),
    }
    return evaluation


def notes_of(problems: list[str], dataset: Dataset) -> list[str]:
    """What the card says of a model that does not make data as the simulator does, with a warning now too, and of its rows."""
    notes = list(dataset.notes) if isinstance(dataset, HasNotes) else []
    if problems:
        words = (
            f"The likelihood is not that of the simulator: {'; '.join(problems)}. Posteriors from it are as wrong: train on"
            " more simulations, or for more epochs where the validation loss still fell at the end; the plots ranks and"
            " coverage show how it is off."
        )
        warn(words)
        notes.append(words)
    return notes


def _log_prob(prefix: str, members: list[Run], rows: Rows, baseline: float) -> Metric:
    return measured(
        f"{prefix}log_prob",
        mean,
        [_log_density(run, rows) for run in members],
        Units.of(rows),
        "log q(x | true theta), nat",
        baseline=baseline,
        baseline_name="normal, mean linear in theta",
    )


def _log_density(run: Run, rows: Rows) -> np.ndarray:
    model: Density = run.load()
    x, theta = rows.inputs.values()
    return model.log_density(x, theta, **any_range(model.log_density)).astype(np.float64)  # of counts that are spread too


def _linear(run: Run, train: Rows, test: Rows) -> float:
    """Mean log density of test data under a normal whose mean is linear in theta, on the scales that the flow works on."""
    config: dict[str, Any] = run.recipe.config
    of_x, of_theta = (Maps(config[key]) for key in ("scales", "context_scales"))
    on_scales = []
    for rows in (train, test):
        x, theta = (np.asarray(array, np.float64) for array in rows.inputs.values())
        (u, log_slope), v = of_x.to_base(x), np.asarray(of_theta.to_base(theta)[0])
        on_scales.append((np.asarray(u), np.asarray(log_slope).sum(axis=1), np.column_stack([v, np.ones(len(v))])))
    (u, _, v), (test_u, log_slope, test_v) = on_scales
    weights = np.linalg.lstsq(v, u, rcond=None)[0]
    residual = u - v @ weights
    covariance = np.atleast_2d(np.cov(residual.T)) + 1e-9 * np.eye(u.shape[1])
    white = np.linalg.solve(np.linalg.cholesky(covariance), (test_u - test_v @ weights).T)
    log_norm = 0.5 * (np.linalg.slogdet(covariance)[1] + u.shape[1] * np.log(2 * np.pi))
    return float(np.mean(-0.5 * np.sum(white**2, axis=0) - log_norm + log_slope))
