"""Evaluation of a background's density as a search uses it: interpolated into a signal region, and held against data there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue

from zoo.data.dataset import Resonant, Rows
from zoo.errors import InputError
from zoo.families.contracts import Generates
from zoo.interpret import plots
from zoo.interpret.ratios.classifiers import trees
from zoo.interpret.ratios.density_ratio import Sample
from zoo.interpret.ratios.folds import FOLDS, TRAININGS, out_of_fold
from zoo.interpret.ratios.improvement import Improvement, efficiencies
from zoo.model.spec import Metric
from zoo.progress import bar
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.searches import CUT, Search, Searches
from zoo.training.metrics import Interval, Units, auc, expect_equal_weights, mean, measured, metric

INTERPOLATED, IDEALIZED, SUPERVISED = "interpolated", "idealized", "supervised"
MEANING = {
    "most": "largest over cuts that leave 25 background events",
    "at_percent": "where 1% of the background passes",
    "at_permille": "where 0.1% of the background passes",
}
"""What the numbers of an `Improvement` are."""
NAMES = {"most": "max significance improvement", "at_percent": "improvement at 1%", "at_permille": "improvement at 0.1%"}
Found = Mapping[float, Mapping[str, Sequence[Search]]]
"""Searches of each method, one a repeat, by the fraction of signal."""


@register_evaluation("anomaly")
class Anomaly(EvaluationSettings):
    """How well the density is interpolated, and by how much a search that rests on it makes a signal more significant."""

    kind: Literal["anomaly"] = "anomaly"
    interpolates: str | None = None
    """The variant that was trained in the signal region itself, which the interpolation is compared with."""
    injections: list[float] = [0.0, 0.005, 0.01, 0.02, 0.04]
    """Signal per background event in the signal region."""
    headline: float = 0.02
    """Which of them stands among the first numbers of the card."""
    repeats: int = 4
    """How many times each is hidden, other signal events each time."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


def evaluate(runs: Runs, settings: Anomaly) -> Evaluation:
    """Log-likelihood and two-sample test in the signal region, then significance improvement against the hidden fraction."""
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    if not isinstance(dataset, Resonant):
        raise InputError(f"expected a data set with a signal to hide, given {released.recipe.data.source}")
    rows = dataset.rows("test")
    expect_equal_weights(rows, "evaluation of a search")
    answers = {variant: [Answers.of(run, rows) for run in members] for variant, members in runs.items()}
    evaluation = Evaluation()
    evaluation.metrics += _log_likelihoods(answers, rows, settings.interpolates)
    evaluation.metrics += [_two_samples(variant, found, rows) for variant, found in answers.items()]
    found = _searches(dataset, released.load(), settings)
    for fraction in sorted(found, key=lambda fraction: fraction != settings.headline):
        evaluation.metrics += _of_fraction(fraction, found[fraction])
    evaluation.curves = {"searches": _tabled(found)}
    drawn = answers[""][0].drawn
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "interpolation": plots.beside_draws(
            _observables(rows), drawn, dataset.names, [dataset.units[n] for n in dataset.names]
        ),
        "improvement": plots.improvement_against_signal(*_curves(found)),
        "improvement_against_cut": plots.improvement_against_efficiency(
            {method: efficiencies(one[0].signal, one[0].background) for method, one in found[settings.headline].items()},
            f"S/B = {settings.headline:.1%}",
        ),
    }
    return evaluation


def _observables(rows: Rows) -> np.ndarray:
    return np.asarray(next(iter(rows.inputs.values())))


def _masses(rows: Rows) -> np.ndarray:
    return np.asarray(list(rows.inputs.values())[1])


@dataclass(frozen=True)
class Answers:
    """What a run says of the test rows.

    Attributes
    ----------
    log_density : ndarray
        Log density at each row, of shape (n,).
    drawn : ndarray
        A draw at the mass of each row, of shape (n, D).
    """

    log_density: np.ndarray
    drawn: np.ndarray

    @classmethod
    def of(cls, run: Run, rows: Rows) -> Answers:
        """Ask a run, whose model is let go of afterwards."""
        model: Any = run.load()
        log_density = model.log_density(_observables(rows), _masses(rows)).astype(np.float64)
        return cls(log_density, model.draw(1, _masses(rows), seed=0)[:, 0])


def _log_likelihoods(answers: Mapping[str, Sequence[Answers]], rows: Rows, interpolates: str | None) -> list[Metric]:
    """Of every variant, and what the interpolation costs."""
    units = Units.of(rows)
    found = {variant: [answer.log_density for answer in of_variant] for variant, of_variant in answers.items()}
    meaning = "nat per background event in the signal region"
    metrics = [
        measured(f"{variant}/log likelihood" if variant else "log likelihood", mean, values, units, meaning)
        for variant, values in found.items()
    ]
    if interpolates in found:
        lost = [there - here for there, here in zip(found[interpolates], found[""], strict=True)]
        meaning = "nat per event by which a flow that was trained in the signal region is better"
        metrics.insert(1, measured("lost by interpolation", mean, lost, units, meaning))
    return metrics


def _two_samples(variant: str, answers: Sequence[Answers], rows: Rows) -> Metric:
    """How well trees tell true background from draws at the same masses."""
    label = np.repeat([1.0, 0.0], len(rows))
    scored = []
    for answer in answers:
        true, drawn = (Sample(one, np.ones(len(one))) for one in (_observables(rows), answer.drawn))
        found = out_of_fold(trees(), true, drawn, drawn.rows[:0], folds=FOLDS, trainings=TRAININGS, seed=0)
        scored.append(np.stack([np.concatenate([found.above, found.below]), label], axis=1))
    return measured(
        f"{variant}/two-sample AUC" if variant else "two-sample AUC",
        auc,
        scored,
        Units(np.arange(len(label))),
        "of trees that tell background in the signal region from draws at the same masses",
        baseline=0.5,
        baseline_name="the density itself",
    )


def _searches(dataset: Resonant, model: Generates, settings: Anomaly) -> Found:
    """All searches of the recipe."""
    searches, repeats = Searches(dataset), range(settings.repeats)
    found: dict[float, dict[str, list[Search]]] = {}
    with bar((1 + 2 * len(settings.injections)) * settings.repeats, "searches") as advance:

        def counted(search: Search) -> Search:
            advance(1)
            return search

        supervised = [counted(searches.supervised(repeat)) for repeat in repeats]
        for fraction in settings.injections:
            found[fraction] = {
                INTERPOLATED: [counted(searches.interpolated(model, fraction, repeat, repeat)) for repeat in repeats],
                IDEALIZED: [counted(searches.idealized(fraction, repeat, repeat)) for repeat in repeats],
                SUPERVISED: supervised,
            }
    return found


def _of_fraction(fraction: float, found: Mapping[str, Sequence[Search]]) -> list[Metric]:
    """Improvements and significance at one fraction of signal."""
    where = f"{fraction:.1%} signal"
    metrics = []
    for method in (INTERPOLATED, IDEALIZED):
        prefix = "" if method == INTERPOLATED else f"{method}/"
        bound = {name: _mean(found[SUPERVISED], name) for name in NAMES}
        metrics += _improvements(prefix, where, found[method], bound)
    return [*metrics, _significance(where, found[INTERPOLATED])]


def _improvements(prefix: str, where: str, searches: Sequence[Search], bound: Mapping[str, float]) -> list[Metric]:
    """The numbers of an `Improvement`, means over searches."""
    return [
        _of_repeats(
            f"{prefix}{NAMES[name]}, {where}",
            [getattr(search.improvement, name) for search in searches],
            len(searches[0].signal) + len(searches[0].background),
            f"efficiency for signal over the root of that for background, {MEANING[name]}",
            bound[name],
            SUPERVISED,
        )
        for name in NAMES
    ]


def _significance(where: str, searches: Sequence[Search]) -> Metric:
    return _of_repeats(
        f"excess, {where}",
        [search.significance for search in searches],
        len(searches[0].background),
        f"standard deviations, of events that pass a cut which {CUT:.0%} of the draws pass, by the share that passes beside the"
        " signal region",
        float(np.mean([search.before for search in searches])),
        "S/sqrt(B) without a cut",
    )


def _of_repeats(name: str, values: Sequence[float], n: int, meaning: str, baseline: float, baseline_name: str) -> Metric:
    """A mean over repeats, with the interval that their scatter gives."""
    from scipy.stats import t

    center, how = (
        float(np.mean(values)),
        f"interval by Student's t over {len(values)} repeats with other signal events and seeds",
    )
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    interval = Interval(center - half, center + half, how)
    return metric(name, [center], interval, n, meaning, baseline=baseline, baseline_name=baseline_name)


def _mean(searches: Sequence[Search], name: str) -> float:
    return float(np.mean([getattr(search.improvement, name) for search in searches]))


def _tabled(found: Found) -> list[JsonValue]:
    """Every search as plain data."""
    return [
        {
            "signal per background": fraction,
            "method": method,
            "improvement": [dict(zip(Improvement._fields, np.round(s.improvement, 4).tolist(), strict=True)) for s in searches],
            **({"excess": [round(s.significance, 3) for s in searches]} if method == INTERPOLATED else {}),
        }
        for fraction, methods in found.items()
        for method, searches in methods.items()
    ]


def _curves(found: Found) -> tuple[np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Fractions (k,), and improvements (k, repeats) of each method by the number that they are."""
    fractions = sorted(found)
    methods = found[fractions[0]]
    curves = {
        MEANING[name]: {
            method: np.array([[getattr(s.improvement, name) for s in found[f][method]] for f in fractions])
            for method in methods
        }
        for name in NAMES
    }
    return np.array(fractions), curves
