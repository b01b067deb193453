"""One module for each kind of evaluation: what a recipe says of it, and how it judges the runs of that recipe.

A kind is a class of settings under ``@register_evaluation("kind")``; a plugin's is found through the entry point group
``zoo.evaluations``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from zoo.errors import UnknownNameError, fault
from zoo.model.axes import Strict
from zoo.registration import Register

if TYPE_CHECKING:
    from zoo.model.spec import Metric
    from zoo.training.evaluate import Evaluation, Runs
    from zoo.training.recipe import Source


class Published(Strict):
    """A figure from the literature that stands beside one of our metrics."""

    metric: str
    value: float
    source: str


class EvaluationSettings(Strict, ABC):
    """What a recipe says of its evaluation; a kind of evaluation adds its own settings and says how it judges."""

    kind: str
    """The name under which the kind is registered."""
    published: list[Published] = []
    """Figures that replace the baseline of the metric that each names."""

    @abstractmethod
    def judge(self, runs: Runs) -> Evaluation:
        """Metrics, curves and figures of the runs.

        Every metric is made by ``zoo.training.metrics``, with an interval over independent units. A run's model is loaded when
        it is asked for, ``run.load()``, and let go before the next one, so that one model at a time takes memory.
        """

    def expect(self, name: str, models: Mapping[str, Any]) -> None:
        """Refuse, before a training, models of families that cannot be judged so.

        Parameters
        ----------
        name : str
            Name of the recipe, for the error.
        models : mapping of str to EndpointModel
            The untrained model of each variant that is to be trained; the model itself is under "".

        Raises
        ------
        RecipeError
            Saying what is expected of the family.
        """

    def without_training(self, data: Source) -> list[Metric]:
        """Metrics of what takes no training: the best possible answers, and simple ones, as far as the data know them.

        They are measured once more for a released model whose card lacks them, without its weights.
        """
        return []


EVALUATIONS: Register[type[EvaluationSettings]] = Register(
    "evaluation",
    "zoo.evaluations",
    {
        kind: f"zoo.training.evaluations.{kind}"
        for kind in (
            "anomaly",
            "classification",
            "decorrelation",
            "density",
            "disentanglement",
            "displacements",
            "distribution",
            "formulae",
            "latents",
            "likelihood",
            "maps",
            "moments",
            "motion",
            "parameterized",
            "posterior",
            "profiles",
            "regression",
            "tagging",
        )
    },
)
register_evaluation = EVALUATIONS.register


def evaluation_settings(value: object) -> EvaluationSettings:
    """The settings that plain data stand for; ValueError, which pydantic takes, where no kind takes them."""
    if isinstance(value, EvaluationSettings):
        return value
    kind = value.get("kind") if isinstance(value, Mapping) else None
    if not isinstance(kind, str):
        raise ValueError(f"expected a mapping with a kind, one of {', '.join(EVALUATIONS.names())}, given {value!r}")
    try:
        return EVALUATIONS.get(kind).model_validate(value)
    except UnknownNameError as error:
        raise ValueError(str(error)) from error
    except ValidationError as error:
        raise ValueError("; ".join(fault(one, kind) for one in error.errors())) from error
