"""Evaluation of models that answer with a profile: errors along it beside simpler descriptions, and what latents carry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue
from scipy.optimize import linear_sum_assignment

from zoo.data.dataset import Described, Noisy, Rows
from zoo.families.contracts import Queried
from zoo.interpret import plots
from zoo.interpret.latents.information import information_profile
from zoo.interpret.latents.report import LatentReport
from zoo.interpret.latents.traversal import active_latents, sample, traverse
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.distribution import ratio
from zoo.training.evaluations.latents import Encoded, encoded, kl_metrics, related, report_metrics
from zoo.training.metrics import (
    Interval,
    Statistic,
    Units,
    bootstrapped,
    expect_equal_weights,
    mean,
    measured,
    metric,
    of_trainings,
    quantile,
    rms,
)
from zoo.training.recipe import RecipeError, Source

LEAST = 1e-3
"""Information that counts as none, nat."""
DRAWS = 200
"""Resamples of the rows, whose every value is a profile, of which fewer are enough."""


@register_evaluation("profiles")
class Profiles(EvaluationSettings):
    """Scatter along a profile, beside its mean and other descriptions, and which quantities the latents carry."""

    kind: Literal["profiles"] = "profiles"
    query: str
    """The input that is queried."""
    query_label: str
    """What the query is called on figures, with its unit."""
    answer_label: str
    """What the answer is called on figures, with its unit."""
    quantities: list[str]
    """Truths that the latents may have found."""
    separate: list[str] = []
    """Quantities that should each have a latent to themselves."""
    boundary: float | None = None
    """Query below and above which errors are also given apart."""
    inside: str = "inside"
    """What the part below is called."""
    outside: str = "outside"
    """What the part above is called."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)

    def without_training(self, data: Source) -> list[Metric]:
        metrics: list[Metric] = []
        of_its_own: dict[str, dict[str, JsonValue]] = {"": {}}
        for label, changes in (of_its_own | self.also_on).items():
            dataset = data.dataset(**changes)
            rows, prefix = dataset.rows("test"), f"{label}/" if label else ""
            for name, error in _described(dataset, rows):
                metrics += _scatter(prefix, [Answers(error)], rows, self, rows.inputs[self.query][0], f" of {name}")
        return metrics


def median(errors: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Median of the absolute error."""
    return quantile(np.abs(errors), 0.5, weights)


@dataclass(frozen=True)
class Answers:
    """What one run, or one simple description, says of the profiles of one split; (n, queries) arrays.

    Attributes
    ----------
    error : ndarray
        Answer minus profile, dex.
    scale : ndarray, optional
        Deviation that goes with the answer, None where there is none.
    """

    error: np.ndarray
    scale: np.ndarray | None = None


def evaluate(runs: Runs, settings: Profiles) -> Evaluation:
    """Every variant on the test split, and information of the latents.

    The mean profile and what else the data set knows of profiles stand beside them by ``Profiles.without_training``.
    """
    evaluation = Evaluation()
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    expect_equal_weights(rows, "evaluation of profiles")
    queries = rows.inputs[settings.query][0]
    judged = {variant: [_judge(run, rows) for run in members] for variant, members in runs.items()}
    found = {variant: [answers for answers, _ in members] for variant, members in judged.items()}
    for variant, members in found.items():
        prefix = f"{variant}/" if variant else ""
        evaluation.metrics += _statistics(prefix, members, rows, settings, queries)
        evaluation.metrics += _carried(prefix, [latents for _, latents in judged[variant]], Units.of(rows))
    for variant, members in found.items():
        if variant:
            evaluation.metrics += _ratios(variant, found[""], members, rows, settings, queries)
    simple = {label: Answers(error) for label, error in _described(dataset, rows)}
    for label, changes in settings.also_on.items():
        evaluation.metrics += _elsewhere(label, changes, runs[""], settings, queries)
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
        "traversal": plots.latent_traversal(traverse(released.load(), drawn=sample(*judged[""][0][1]))),
    }
    latents = [encoded for _, encoded in judged[""]]
    _informed(evaluation, released.recipe.name, latents[0], rows, settings, queries)
    if settings.separate:
        reports = [related(released.recipe.name, one, rows, settings.separate) for one in latents]
        evaluation.metrics.append(_separation(reports))
    return evaluation


def _elsewhere(label: str, changes: dict, members: list[Run], settings: Profiles, queries: np.ndarray) -> list[Metric]:
    """Errors on a further test set."""
    rows = members[0].held_out(changes)
    return _errors(f"{label}/", [_judge(run, rows)[0] for run in members], rows, settings, queries)


def _judge(run: Run, rows: Rows) -> tuple[Answers, Encoded]:
    """What a run answers at the mean of the latents, and the latents."""
    model = run.load()
    if not isinstance(model, Queried):
        raise RecipeError(f"{run.recipe.name}: expected a family that answers queries: choose another evaluation")
    return answered(model, rows), encoded(model, rows)


def answered(model: Queried, rows: Rows) -> Answers:
    """What a model answers at the mean of the latents."""
    answer = model.answers_at(rows.inputs)
    if answer.shape[1] == rows.target.shape[1]:
        return Answers(answer - rows.target)
    location, scale = np.split(answer, 2, axis=1)
    return Answers(location - rows.target, scale)


def _described(dataset: Any, rows: Rows) -> Iterator[tuple[str, np.ndarray]]:
    """Errors (n, queries) of the mean validation profile and of what else describes profiles, and the profiles' own noise.

    Validation profiles are asked at the same queries as those of the test split.
    """
    yield "the mean profile", dataset.rows("validation").target.mean(axis=0) - rows.target
    if isinstance(dataset, Described):
        for label, answer in dataset.descriptions("test").items():
            yield label, answer - rows.target
    if isinstance(dataset, Noisy):
        yield "the particles' noise", dataset.noise("test")


def _parts(settings: Profiles, queries: np.ndarray) -> dict[str, np.ndarray]:
    """Which queries each part has, (queries,) bool, by name."""
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
        metrics.append(_metric(f"{prefix}log likelihood", likelihood, mean, rows, "nat a query"))
        inside = [(np.abs(v) < 0.9945).astype(float) for v in z]  # 68% of a Gaussian
        metrics.append(_metric(f"{prefix}coverage of 68%", inside, mean, rows, "of the central interval"))
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
    """Scatter all along the query, and on either side of the boundary."""
    parts = _parts(settings, queries).items()
    return [
        _metric(f"{prefix}scatter{part}{suffix}", [a.error[:, chosen] for a in members], rms, rows, "root mean square, dex")
        for part, chosen in parts
    ]


def _ratios(
    variant: str, ours: list[Answers], theirs: list[Answers], rows: Rows, settings: Profiles, queries: np.ndarray
) -> list[Metric]:
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
    """A metric of values (n, queries, ...)."""
    return measured(name, statistic, values, Units.of(rows), meaning, draws=DRAWS)


def _carried(prefix: str, members: list[Encoded], units: Units) -> list[Metric]:
    """KL of each latent, and how many are active."""

    def active(kl: np.ndarray, weights: np.ndarray | None = None) -> float:
        return float(len(active_latents(kl.mean(axis=0))))

    kls = [member.kl for member in members]
    interval = bootstrapped(active, kls[0], units, DRAWS)
    count = metric(f"{prefix}active latents", [active(kl) for kl in kls], interval, len(units.group), "")
    return [*kl_metrics(prefix, members, units), count]


def _informed(evaluation: Evaluation, name: str, encoded: Encoded, rows: Rows, settings: Profiles, queries: np.ndarray) -> None:
    """Mutual information of samples of the latents with quantities and with the profile, and formulae of the latents."""
    report = related(name, encoded, rows, settings.quantities)
    evaluation.metrics += report_metrics(report)
    latents = dict(zip(report.names, sample(*encoded).T, strict=True))
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
        matrix, _ = _information(report)
        own = linear_sum_assignment(matrix, maximize=True)
        values.append(_apart(matrix, own))
        pairs.append(", ".join(f"{report.quantities[j]} by {report.names[i]}" for i, j in zip(*own, strict=True)))
    meaning = f"least information of own pairs over most of other pairs; {pairs[0]}"
    interval = of_trainings(values) if len(values) > 1 else _of_information(reports[0])
    return metric("separation", values, interval, reports[0].rows, meaning)


def _of_information(report: LatentReport) -> Interval:
    """Interval of the separation in one training, which knows nothing of how others come out."""
    matrix, error = _information(report)
    own, rng = linear_sum_assignment(matrix, maximize=True), np.random.default_rng(0)
    low, high = np.percentile([_apart(rng.normal(matrix, error), own) for _ in range(DRAWS)], [2.5, 97.5])
    return Interval(float(low), float(high), "interval from the errors of the information, of one training")


def _information(report: LatentReport) -> tuple[np.ndarray, np.ndarray]:
    """Information of each latent about each quantity, (latents, quantities), and its standard error."""
    found = [[report.information[latent, name] for name in report.quantities] for latent in report.names]
    return np.array([[one.value for one in row] for row in found]), np.array([[one.error for one in row] for row in found])


def _apart(matrix: np.ndarray, own: tuple[np.ndarray, np.ndarray]) -> float:
    others = matrix.copy()
    others[own] = -np.inf
    return float(matrix[own].min() / max(others.max(), LEAST))
