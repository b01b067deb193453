"""How far a model is from the best that its data allow, as its card says it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from zoo.errors import InputError
from zoo.model.axes import Strict

if TYPE_CHECKING:
    from zoo.model.spec import Metric

BASELINE = "baseline"
"""What ``Limit.best`` says where the limit is the baseline that stands beside the metric."""


class Limit(Strict):
    """The best that the data allow of one metric, or why nobody knows it."""

    metric: str | None = None
    """Name of the metric that is limited; None where no limit is known."""
    best: str | float | None = None
    """The limit: the name of the metric that measures it, ``"baseline"`` for that of the metric itself, or a number that needs
    no measurement."""
    what: Annotated[str, Field(min_length=1)] | None = None
    """What the limit is, which says too whether it is a bound or only the best that is known."""
    why: Annotated[str, Field(min_length=1)]
    """Why the model is not there; without a limit, why none is known and what stands in its place. Whole sentences."""

    @model_validator(mode="after")
    def _whole(self) -> Limit:
        given = [self.metric is not None, self.best is not None, self.what is not None]
        if any(given) and not all(given):
            raise ValueError("a limit has metric, best and what, or none of them where no limit is known")
        return self

    @property
    def names(self) -> set[str]:
        """Names of the metrics that the limit speaks of."""
        return {name for name in (self.metric, self.best) if isinstance(name, str)} - {BASELINE}

    def value(self, metrics: Sequence[Metric]) -> float | None:
        """The limit as a number; None where none is known.

        Parameters
        ----------
        metrics : sequence of Metric
            What was measured of the model.

        Raises
        ------
        InputError
            A metric that the limit names was not measured, or has no baseline.
        """
        if self.metric is None or self.best is None:
            return None
        limited = _named(metrics, self.metric)
        if not isinstance(self.best, str):
            return float(self.best)
        best = limited.baseline if self.best == BASELINE else _named(metrics, self.best).value
        if best is None:
            raise InputError(f"limit: expected {self.metric} to have a baseline, which it has not")
        return best

    def words(self, metrics: Sequence[Metric]) -> str:
        """The sentences of the card: the metric, the limit, how far apart they are, and why."""
        best = self.value(metrics)
        if best is None or self.metric is None:
            return f"No number stands for it. {self.why}"
        found = _named(metrics, self.metric)
        between = "" if found.interval is None else " ({:.4g} to {:.4g})".format(*found.interval)
        apart = abs(found.value - best)
        away = f"{apart:.2g}" if apart < 100 else f"{apart:.0f}"
        return f"`{found.name}` is {found.value:.4g}{between}, and {best:.4g} is {self.what}: {away} away. {self.why}"


def _named(metrics: Sequence[Metric], name: str) -> Metric:
    for metric in metrics:
        if metric.name == name:
            return metric
    raise InputError(f"limit: expected the name of a metric that was measured, given {name!r}")
