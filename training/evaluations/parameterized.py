"""Evaluation of one classifier for all values of a parameter: at each, trained or not, beside classifiers of one value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from zoo.data.dataset import Dataset, Rows, Split
from zoo.families.batches import in_batches
from zoo.interpret import plots
from zoo.interpret.plots.style import with_unit
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.tagging import TREES, rejection
from zoo.training.evaluations.tagging_baselines import boosted_classifier
from zoo.training.metrics import Units, auc, measured
from zoo.training.recipe import RecipeError

DRAWS = 200
"""Resamples of each interval, of which there are many."""


@register_evaluation("parameterized")
class Parameterized(EvaluationSettings):
    """Area under the ROC curve at each value of a parameter, trained or not; variants of one value are judged at that alone."""

    kind: Literal["parameterized"] = "parameterized"
    classes: tuple[str, str]
    """What targets 0 and 1 mean."""
    parameter: str
    """The truth of rows that is the parameter, of the hypothesis where a row is background."""
    efficiency: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the signal that is kept, at which the rejection of the background is reported."""
    event_weight: str | None = None
    """The truth of rows by which events count in the rejection, where they are not drawn as they occur."""
    trees: bool = True
    """Whether tuned boosted trees of what the network sees stand beside it."""

    def judge(self, runs: Runs) -> Evaluation:
        return _Judge(runs, self).evaluation()


class _Judge:
    """The test rows, and how everything that is judged scores them."""

    def __init__(self, runs: Runs, settings: Parameterized) -> None:
        self.settings, self.runs = settings, runs
        self.dataset = runs[""][0].recipe.data.dataset()
        self.rows = self.dataset.rows("test")
        self.value = self.rows.truth[settings.parameter]
        self.unit = self.dataset.units[settings.parameter]
        self.trained = self._trained_at(runs[""][0])
        self.scores = {variant: [self._score(run) for run in members] for variant, members in runs.items()}
        if settings.trees:
            model = runs[""][0].load()
            self.scores[TREES] = [boosted_classifier(_Joined(self.dataset, model))[:, 1]]

    def _trained_at(self, run: Run) -> np.ndarray:
        return np.unique(run.recipe.data.dataset().rows("train").truth[self.settings.parameter])

    def _score(self, run: Run) -> np.ndarray:
        rows = run.held_out()
        if not np.array_equal(rows.group, self.rows.group):
            raise RecipeError(f"variants of {self.runs[''][0].recipe.name}: expected the test rows of the model itself")
        return run.answer(rows)[:, 0]

    def judged_at(self, variant: str) -> np.ndarray:
        """Values that a variant is judged at: all that there are, or the one that it was trained at."""
        every = np.unique(self.value)
        if variant not in self.runs:
            return every
        own = self._trained_at(self.runs[variant][0])
        return own if len(own) == 1 else every

    def evaluation(self) -> Evaluation:
        """Metrics and figures."""
        evaluation = Evaluation()
        curves: dict[str, dict[str, list[float]]] = {}
        alone: dict[str, list[float]] = {"at": [], "auc": [], "low": [], "high": []}
        for variant in self.scores:
            metrics = [self._area(variant, value) for value in self.judged_at(variant)]
            evaluation.metrics += metrics
            single = len(metrics) == 1
            curve = alone if single else curves.setdefault(variant or self.runs[""][0].recipe.name, {key: [] for key in alone})
            for value, metric in zip(self.judged_at(variant), metrics, strict=True):
                for key, number in zip(curve, (value, metric.value, *(metric.interval or ())), strict=True):
                    curve[key].append(float(number))
            if single:
                evaluation.metrics.append(self._ahead(variant, self.judged_at(variant)[0]))
        if alone["at"]:
            order = np.argsort(alone["at"])
            curves["trained at that value alone"] = {key: [column[i] for i in order] for key, column in alone.items()}
        evaluation.metrics += [self._rejection(value) for value in np.unique(self.value)]
        evaluation.metrics[:0] = self._means()
        evaluation.curves["auc"] = curves  # type: ignore[assignment]
        label = with_unit(self.settings.parameter, self.unit)
        evaluation.figures = {
            "auc": plots.auc_against_parameter(curves, self.trained, label),
            "learning_curves": plots.learning_curves(self.runs[""][0].history),
        }
        return evaluation

    def _scored(self, variant: str, chosen: np.ndarray) -> list[np.ndarray]:
        return [np.stack([score[chosen], self.rows.target[chosen, 0]], axis=1) for score in self.scores[variant]]

    def _at(self, value: float) -> tuple[np.ndarray, str]:
        """Rows of a value, and how it is written."""
        return self.value == value, f"{value:g} {self.unit}" + ("" if value in self.trained else ", unseen")

    def _area(self, variant: str, value: float) -> Metric:
        chosen, written = self._at(value)
        baseline = None
        if not variant and TREES in self.scores:
            baseline = auc(self._scored(TREES, chosen)[0])
        signal, background = self.settings.classes[1], self.settings.classes[0]
        return measured(
            f"{variant}/auc at {written}" if variant else f"auc at {written}",
            auc,
            self._scored(variant, chosen),
            Units(self.rows.group[chosen]),
            f"area under the ROC curve, {signal} against {background}",
            draws=DRAWS,
            baseline=baseline,
            baseline_name=TREES,
        )

    def _ahead(self, variant: str, value: float) -> Metric:
        """How much larger the area is than that of a classifier that knows this value alone."""
        chosen, written = self._at(value)
        pairs = zip(self._scored("", chosen), self._scored(variant, chosen), strict=True)
        both = [np.concatenate([ours, theirs[:, :1]], axis=1) for ours, theirs in pairs]

        def difference(values: np.ndarray, weights: np.ndarray | None) -> float:
            return auc(values[:, :2], weights) - auc(values[:, [2, 1]], weights)

        units = Units(self.rows.group[chosen])
        return measured(f"auc minus that of {variant} at {written}", difference, both, units, "on the same rows", draws=DRAWS)

    def _rejection(self, value: float) -> Metric:
        chosen, written = self._at(value)
        settings = self.settings
        weight = None if settings.event_weight is None else self.rows.truth[settings.event_weight][chosen]
        statistic = partial(rejection, efficiency=settings.efficiency)
        trees = statistic(self._scored(TREES, chosen)[0], weight) if TREES in self.scores else None
        return measured(
            f"rejection at {settings.efficiency:.0%} at {written}",
            statistic,
            self._scored("", chosen),
            Units(self.rows.group[chosen], weight),
            f"1 / share of {settings.classes[0]} that is kept with {settings.efficiency:.0%} of {settings.classes[1]}, by the"
            " weight of events",
            draws=DRAWS,
            baseline=trees,
            baseline_name=TREES,
        )

    def _means(self) -> list[Metric]:
        """Mean area over the values that were trained, and over those that were not."""
        found = []
        for variant in self.scores:
            if len(self.judged_at(variant)) == 1:
                continue
            for name, values in (("trained", self.trained), ("unseen", np.setdiff1d(self.value, self.trained))):
                if len(values):
                    found.append(self._mean(variant, f"auc, mean of {name} values", values))
        return found

    def _mean(self, variant: str, name: str, values: np.ndarray) -> Metric:
        chosen = np.isin(self.value, values)

        def mean_area(scored: np.ndarray, weights: np.ndarray | None) -> float:
            return float(np.mean([auc(scored[scored[:, 2] == value, :2]) for value in values]))

        joined = [np.concatenate([scored, self.value[chosen, None]], axis=1) for scored in self._scored(variant, chosen)]
        baseline = (
            mean_area(np.concatenate([self._scored(TREES, chosen)[0], self.value[chosen, None]], axis=1), None)
            if (not variant and TREES in self.scores)
            else None
        )
        return measured(
            f"{variant}/{name}" if variant else name,
            mean_area,
            joined,
            Units(self.rows.group[chosen]),
            f"area under the ROC curve at {', '.join(f'{value:g}' for value in values)} {self.unit}",
            draws=DRAWS,
            baseline=baseline,
            baseline_name=TREES,
        )


class _Joined:
    """A data set whose rows are what a parameterized network sees, as trees take it."""

    def __init__(self, dataset: Dataset, model: Any) -> None:
        self.dataset, self.model = dataset, model
        self.description, self.simulator, self.seed = dataset.description, dataset.simulator, dataset.seed
        self.units: Mapping[str, str] = dataset.units

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        rows = self.dataset.rows(split, epoch)
        joined = in_batches(self.model.joined, *(np.asarray(array, np.float32) for array in rows.inputs.values()))
        return Rows({"joined": joined}, rows.target, rows.group, weight=rows.weight)
