"""Evaluation of models that answer with a profile: errors along it beside simpler descriptions, and what latents carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from zoo.data.dataset import Rows
from zoo.interpret import plots
from zoo.interpret.latents.information import information_profile
from zoo.interpret.latents.report import LatentReport
from zoo.interpret.latents.traversal import active_latents, kl_per_latent, sample, traverse
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.evaluations.distribution import metric_of_runs, scatter
from zoo.training.evaluations.latents import encoded, kl_metrics, related, report_metrics
from zoo.training.recipe import Profiles

LEAST = 1e-3
"""Information that counts as none, nat."""
Statistic = Callable[[np.ndarray], float]


def median(errors: np.ndarray) -> float:
    """Of the absolute error."""
    return float(np.median(np.abs(errors)))


@dataclass(frozen=True)
class Answers:
    """What one run, or one simple description, says of the profiles of one split; (n, queries) arrays.

    Attributes
    ----------
    error : answer - profile, dex
    scale : deviation that goes with the answer, None where there is none
    """

    error: np.ndarray
    scale: np.ndarray | None = None


def evaluate(runs: Runs, settings: Profiles) -> Evaluation:
    """Every variant on the test split, beside the mean profile and what else the data set knows; information of the latents."""
    evaluation = Evaluation()
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    queries = rows.inputs[settings.query][0]
    found = {variant: [answered(run, rows) for run in members] for variant, members in runs.items()}
    for variant, members in found.items():
        prefix = f"{variant}/" if variant else ""
        evaluation.metrics += _statistics(prefix, members, rows, settings, queries)
        evaluation.metrics += _carried(prefix, runs[variant], rows)
    for variant, members in found.items():
        if variant:
            evaluation.metrics += _ratios(variant, found[""], members, rows, settings, queries)
    simple = {label: Answers(error) for label, error in _described(dataset, rows)}
    for label, answers in simple.items():
        evaluation.metrics += _scatter("", [answers], rows, settings, queries, f" of {label}")
    for label, changes in settings.also_on.items():
        elsewhere = released.recipe.data.dataset(**changes)
        other = elsewhere.rows("test")
        evaluation.metrics += _errors(f"{label}/", [answered(run, other) for run in runs[""]], other, settings, queries)
        for name, error in _described(elsewhere, other):
            evaluation.metrics += _scatter(f"{label}/", [Answers(error)], other, settings, queries, f" of {name}")
    shown = (
        {released.recipe.name: found[""][0]} | {variant: members[0] for variant, members in found.items() if variant} | simple
    )
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "scatter": plots.scatter_along_query(
            queries,
            {label: np.sqrt(np.mean(np.square(a.error), axis=0)) for label, a in shown.items()},
            settings.query_label,
            "dex",
        ),
        "profiles": plots.answered_profiles(
            queries, rows.target, found[""][0].error, found[""][0].scale, settings.query_label, settings.answer_label
        ),
        "traversal": plots.latent_traversal(traverse(released.model, drawn=sample(*encoded(released, rows)))),
    }
    _informed(evaluation, released, rows, settings, queries)
    if settings.separate:
        evaluation.metrics.append(_separation([related(run, rows, settings.separate) for run in runs[""]]))
    return evaluation


def answered(run: Run, rows: Rows) -> Answers:
    """A run at the mean of the latents."""
    answer = run.model.predictive(rows.inputs)
    if answer.shape[1] == rows.target.shape[1]:
        return Answers(answer - rows.target)
    location, scale = np.split(answer, 2, axis=1)
    return Answers(location - rows.target, scale)


def _described(dataset: Any, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """Errors (n, queries) of the mean of the validation profiles, which are asked at the same queries as those of the test
    split, of other descriptions that the data set has, and the noise of the profiles themselves.
    """
    yield "the mean profile", dataset.rows("validation").target.mean(axis=0) - rows.target
    if hasattr(dataset, "descriptions"):
        for label, answer in dataset.descriptions("test").items():
            yield label, answer - rows.target
    if hasattr(dataset, "noise"):
        yield "the particles' noise", dataset.noise("test")


def _parts(settings: Profiles, queries: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> which queries, (queries,) bool."""
    if settings.boundary is None:
        return {"": np.full(len(queries), True)}
    inside = queries <= settings.boundary
    return {"": np.full(len(queries), True), f" {settings.inside}": inside, f" {settings.outside}": ~inside}


def _statistics(prefix: str, members: list[Answers], rows: Rows, settings: Profiles, queries: np.ndarray) -> list[Metric]:
    metrics = _errors(prefix, members, rows, settings, queries)
    scales = [answers.scale for answers in members if answers.scale is not None]
    if scales:
        z = [answers.error / scale for answers, scale in zip(members, scales, strict=True)]
        likelihood = [-0.5 * v**2 - np.log(scale) - 0.5 * np.log(2 * np.pi) for v, scale in zip(z, scales, strict=True)]
        metrics.append(_metric(f"{prefix}log likelihood", likelihood, lambda v: float(v.mean()), rows, "nat a query"))
        inside = [(np.abs(v) < 0.9945).astype(float) for v in z]  # 68% of a Gaussian
        metrics.append(_metric(f"{prefix}coverage of 68%", inside, lambda v: float(v.mean()), rows, "of the central interval"))
    return metrics


def _errors(prefix: str, members: list[Answers], rows: Rows, settings: Profiles, queries: np.ndarray) -> list[Metric]:
    metrics = _scatter(prefix, members, rows, settings, queries)
    for part, chosen in _parts(settings, queries).items():
        errors = [answers.error[:, chosen] for answers in members]
        metrics.append(_metric(f"{prefix}median error{part}", errors, median, rows, "of |answer - profile|, dex"))
    return metrics


def _scatter(
    prefix: str, members: list[Answers], rows: Rows, settings: Profiles, queries: np.ndarray, suffix: str = ""
) -> list[Metric]:
    """All along the query, and on either side of the boundary."""
    parts = _parts(settings, queries).items()
    return [
        _metric(f"{prefix}scatter{part}{suffix}", [a.error[:, chosen] for a in members], scatter, rows, "root mean square, dex")
        for part, chosen in parts
    ]


def _ratios(
    variant: str, ours: list[Answers], theirs: list[Answers], rows: Rows, settings: Profiles, queries: np.ndarray
) -> list[Metric]:
    def ratio(errors: np.ndarray) -> float:
        return scatter(errors[..., 0]) / scatter(errors[..., 1])

    return [
        _metric(
            f"scatter{part} over that of {variant}",
            [np.stack([a.error[:, chosen], b.error[:, chosen]], axis=-1) for a, b in zip(ours, theirs, strict=True)],
            ratio,
            rows,
            "on the same rows",
        )
        for part, chosen in _parts(settings, queries).items()
    ]


def _metric(name: str, values: list[np.ndarray], statistic: Statistic, rows: Rows, meaning: str) -> Metric:
    """Values are (n, queries, ...), of which fewer draws are enough."""
    return metric_of_runs(name, values, statistic, meaning, rows, draws=200)


def _carried(prefix: str, members: list[Run], rows: Rows) -> list[Metric]:
    """KL of each latent, and how many are active."""
    kls = [kl_per_latent(*encoded(run, rows)) for run in members]
    active = [float(len(active_latents(kl))) for kl in kls]
    count = Metric(name=f"{prefix}active latents", value=active[0], n=len(rows), seeds=len(members), detail=over_seeds(active))
    return [*kl_metrics(prefix, kls, len(rows)), count]


def _informed(evaluation: Evaluation, released: Run, rows: Rows, settings: Profiles, queries: np.ndarray) -> None:
    """Mutual information of samples of the latents with quantities and with the profile, and formulae of the latents."""
    report = related(released, rows, settings.quantities)
    evaluation.metrics += report_metrics(report)
    latents = dict(zip(report.names, sample(*encoded(released, rows)).T, strict=True))
    values, errors = information_profile(latents, rows.target, jobs=-1)
    evaluation.curves = {"query": queries.tolist(), "information": values.tolist(), "information error": errors.tolist()}
    evaluation.figures["information"] = report.plot()
    evaluation.figures["information_profile"] = plots.information_along_query(
        queries, values, errors, settings.query_label, settings.boundary
    )


def _separation(reports: list[LatentReport]) -> Metric:
    """Each quantity has a latent of its own: the least information of these pairs over the most of all other pairs."""
    values, pairs = [], []
    for report in reports:
        matrix = np.array([[report.information[latent, name].value for name in report.quantities] for latent in report.names])
        own = linear_sum_assignment(matrix, maximize=True)
        others = matrix.copy()
        others[own] = -np.inf
        values.append(float(matrix[own].min() / max(others.max(), LEAST)))
        pairs.append(", ".join(f"{report.quantities[j]} by {report.names[i]}" for i, j in zip(*own, strict=True)))
    detail = f"least information of own pairs over most of other pairs; {pairs[0]}; {over_seeds(values)}"
    return Metric(name="separation", value=values[0], n=reports[0].rows, seeds=len(reports), detail=detail)
