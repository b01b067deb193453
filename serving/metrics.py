"""Counts of the served models for Prometheus, under the names that Triton gives them.

Triton's counters do not end in ``_total``, and dashboards ask for its names; ``prometheus_client`` ends every counter so, in
the line of its type and in its samples. The ending is taken off both, which the text format allows: there it is a convention,
and a rule of OpenMetrics alone, which this server does not speak.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from zoo.serving.statistics import Statistics

_LABELS = ("model", "version")
_COUNTERS: dict[str, tuple[str, Callable[[Statistics], float]]] = {
    "nv_inference_request_success": ("Number of successful inference requests", lambda s: s.success.count),
    "nv_inference_request_failure": ("Number of failed inference requests", lambda s: s.fail.count),
    "nv_inference_count": ("Number of inferences performed: rows", lambda s: s.rows),
    "nv_inference_exec_count": ("Number of executions: batches", lambda s: s.executions),
    "nv_inference_request_duration_us": (
        "Cumulative time of successful inference requests, in microseconds",
        lambda s: s.success.ns / 1e3,
    ),
    "nv_inference_queue_duration_us": ("Cumulative time in the queue, in microseconds", lambda s: s.queue.ns / 1e3),
    "nv_inference_compute_input_duration_us": (
        "Cumulative time of joining requests into batches, in microseconds",
        lambda s: s.compute_input.ns / 1e3,
    ),
    "nv_inference_compute_infer_duration_us": (
        "Cumulative time of running the graph, in microseconds",
        lambda s: s.compute_infer.ns / 1e3,
    ),
    "nv_inference_compute_output_duration_us": (
        "Cumulative time of taking batches apart, in microseconds",
        lambda s: s.compute_output.ns / 1e3,
    ),
}
_PENDING = "nv_inference_pending_request_count"
_DEVICES = "zoo_inference_device_exec_count"


_ENDING = re.compile(rb"^((?:# (?:HELP|TYPE) )?\w+)_total(?=[ {])", re.MULTILINE)


class _Collector:
    """Prometheus's collector protocol."""

    def __init__(self, statistics: Mapping[tuple[str, str], Statistics]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        for name, (documentation, value) in _COUNTERS.items():
            yield self._family(CounterMetricFamily(name, documentation, labels=_LABELS), value)
        gauge = GaugeMetricFamily(_PENDING, "Number of requests that wait for an execution", labels=_LABELS)
        yield self._family(gauge, lambda s: s.pending)
        devices = CounterMetricFamily(_DEVICES, "Number of executions on each device", labels=(*_LABELS, "device"))
        for labels, statistics in self._statistics.items():
            for device, executions in statistics.devices.items():
                devices.add_metric((*labels, device), executions)
        yield devices

    def _family(
        self, family: CounterMetricFamily | GaugeMetricFamily, value: Callable[[Statistics], float]
    ) -> CounterMetricFamily | GaugeMetricFamily:
        for labels, statistics in self._statistics.items():
            family.add_metric(labels, value(statistics))
        return family


def text(statistics: Mapping[tuple[str, str], Statistics]) -> bytes:
    """The statistics of each (model, version) in Prometheus's text format."""
    registry = CollectorRegistry()
    registry.register(_Collector(statistics))
    return _ENDING.sub(rb"\1", generate_latest(registry))
