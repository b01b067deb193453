"""Counts and durations of one served model, as the protocol's statistics extension and Triton's metrics name them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Duration:
    """How often, and for how many nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Count something ``count`` times that lasted ``ns`` each time."""
        self.count += count
        self.ns += ns * count

    def as_json(self) -> dict[str, int]:
        """The duration as the protocol writes it."""
        return {"count": self.count, "ns": self.ns}


@dataclass(slots=True)
class Statistics:
    """Counted on the event loop's thread alone, so without a lock; of a request joined into a batch, the batch's durations."""

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)
    rows: int = 0
    executions: int = 0
    pending: int = 0
    last_ms: int = 0
    batches: dict[int, tuple[Duration, Duration, Duration]] = field(default_factory=dict)
    """Rows of an execution -> its durations of input, inference and output."""
    devices: dict[str, int] = field(default_factory=dict)
    """Device -> executions on it."""

    def executed(
        self, device: str, rows: int, requests: int, queued_ns: int, joining_ns: int, running_ns: int, splitting_ns: int
    ) -> None:
        """Count one execution of the graph; ``queued_ns`` is the sum over its requests."""
        self.devices[device] = self.devices.get(device, 0) + 1
        self.queue.count += requests
        self.queue.ns += queued_ns
        batch = self.batches.get(rows)
        if batch is None and len(self.batches) < 1024:  # sizes are the clients' choice
            batch = self.batches[rows] = (Duration(), Duration(), Duration())
        durations = (joining_ns, running_ns, splitting_ns)
        for stage, ns in zip((self.compute_input, self.compute_infer, self.compute_output), durations, strict=True):
            stage.add(ns, requests)
        for stage, ns in zip(batch or (), durations, strict=False):
            stage.add(ns)
        self.rows += rows
        self.executions += 1
        self.last_ms = time.time_ns() // 1_000_000

    def as_json(self, name: str, version: str) -> dict[str, object]:
        """One entry of the protocol's ``model_stats``."""
        return {
            "name": name,
            "version": version,
            "last_inference": self.last_ms,
            "inference_count": self.rows,
            "execution_count": self.executions,
            "inference_stats": {
                kind: getattr(self, kind).as_json()
                for kind in ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
            }
            | {"cache_hit": Duration().as_json(), "cache_miss": Duration().as_json()},
            "batch_stats": [
                {
                    "batch_size": rows,
                    "compute_input": joining.as_json(),
                    "compute_infer": running.as_json(),
                    "compute_output": splitting.as_json(),
                }
                for rows, (joining, running, splitting) in sorted(self.batches.items())
            ],
        }
