"""What a trained model is worth: numbers on held-out data, with the spread over seeds and the variants beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import JsonValue

from zoo.data.dataset import Rows
from zoo.families.batches import in_batches
from zoo.model.spec import PUBLISHED, Metric
from zoo.training.evaluations import Published
from zoo.training.recipe import Recipe

if TYPE_CHECKING:
    from matplotlib.figure import Figure


ROUNDED = 1e-6
"""Difference of a ratio from one that is the rounding of single precision."""


@dataclass(frozen=True)
class Run:
    """One finished training.

    Attributes
    ----------
    recipe : Recipe
        The recipe, or its variant.
    seed : int
        The seed of the training.
    load : callable
        Makes the trained model, an ``EndpointModel`` with what its kind of evaluation asks of it. A run keeps no model: who
        asks for one lets it go before asking for the next.
    history : dict of str to list of float
        Values of each metric, one per epoch.
    """

    recipe: Recipe
    seed: int
    load: Callable[[], Any]
    history: dict[str, list[float]]

    def held_out(self, changes: dict | None = None) -> Rows:
        """The test split of its data, their parameters changed for a further test set."""
        return self.recipe.data.dataset(**(changes or {})).rows("test")

    def answer(self, rows: Rows) -> np.ndarray:
        """What the model answers to rows, (n, outputs) in float64, as many at a time as memory bears."""
        model = self.load()
        found = in_batches(lambda *given: model(given if len(given) > 1 else given[0]), *rows.inputs.values())
        return np.asarray(found, np.float64)


@dataclass
class Evaluation:
    """Metrics and notes for the card; curves and figures for people."""

    metrics: list[Metric] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    miscalibrated: list[str] | None = None
    """Distances of ranks and coverage that are more than chance; None where none were judged."""
    verdict: list[str] = field(default_factory=list)
    """What the training came to, which ``zoo.workflows.verdict`` says."""
    curves: dict[str, JsonValue] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)


Runs = dict[str, list[Run]]
"""Runs of each variant, one per seed; the model itself is under ""; the first seed is the released one."""


def evaluate(runs: Runs) -> Evaluation:
    """Judge the runs as the recipe's ``evaluation`` says.

    The value of a metric is that of the released run on the test split; ``detail`` gives mean and standard deviation
    over seeds. Nothing here chooses anything: epochs, seeds and variants are fixed by the recipe.
    """
    recipe = runs[""][0].recipe
    settings = recipe.evaluation
    evaluation = settings.judge(runs)
    metrics = without_itself([*evaluation.metrics, *settings.without_training(recipe.data)])
    evaluation.metrics = [_beside_published(metric, settings.published) for metric in metrics]
    return evaluation


def without_itself(metrics: list[Metric]) -> list[Metric]:
    """The metrics without those of a baseline that turned out to be the model itself.

    Trees are tuned beside every model of halos, one of which is such trees. A ratio to a baseline that is one whatever rows are
    drawn says so, and what else is said of that baseline would stand there twice.
    """
    sure = [metric for metric in metrics if np.allclose([metric.value, *(metric.interval or (0, 0))], 1, rtol=0, atol=ROUNDED)]
    named = [metric.name.partition(" over that of ") for metric in sure]
    same = {(ratio.rpartition("/")[0], f" of {baseline}") for ratio, over, baseline in named if over}
    return [
        metric
        for metric in metrics
        if not any(metric.name.rpartition("/")[0] == test_set and metric.name.endswith(end) for test_set, end in same)
    ]


def _beside_published(metric: Metric, published: list[Published]) -> Metric:
    for figure in published:
        if figure.metric == metric.name:
            return metric.model_copy(update={"baseline": figure.value, "baseline_name": f"{PUBLISHED}{figure.source}"})
    return metric
