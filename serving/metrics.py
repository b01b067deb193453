"""Counts of the served models for Prometheus, under the names that Triton gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import UnknownMetricFamily

_LABELS = ("model", "version")
_METRICS = {
    "nv_inference_request_success": "Number of successful inference requests",
    "nv_inference_request_failure": "Number of failed inference requests",
    "nv_inference_count": "Number of inferences performed: rows",
    "nv_inference_request_duration_us": "Cumulative time of successful inference requests, in microseconds",
}


class Metrics:
    """One row of counts a served model; counted on the event loop's thread alone, so without a lock.

    Parameters
    ----------
    served : the (model, version) pairs, counted from zero
    """

    def __init__(self, served: Iterable[tuple[str, str]]) -> None:
        self._counts = {labels: dict.fromkeys(_METRICS, 0.0) for labels in served}
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def success(self, model: str, version: str, *, rows: int, seconds: float) -> None:
        """Count one answered request."""
        counts = self._counts[model, version]
        counts["nv_inference_request_success"] += 1
        counts["nv_inference_count"] += rows
        counts["nv_inference_request_duration_us"] += seconds * 1e6

    def failure(self, model: str, version: str) -> None:
        """Count one refused request."""
        self._counts[model, version]["nv_inference_request_failure"] += 1

    def collect(self) -> Iterator[UnknownMetricFamily]:
        """Prometheus's collector protocol; a Counter of its own would append ``_total`` to Triton's names."""
        for name, documentation in _METRICS.items():
            family = UnknownMetricFamily(name, documentation, labels=_LABELS)
            for labels, counts in self._counts.items():
                family.add_metric(labels, counts[name])
            yield family

    def text(self) -> bytes:
        """The exposition in Prometheus's text format."""
        return generate_latest(self._registry)
