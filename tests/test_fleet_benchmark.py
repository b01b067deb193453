"""The queueing simulation of a fleet against theory."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from fleet import Service, capacity, latencies


@pytest.mark.parametrize("use", [0.3, 0.7])
def test_one_server_without_batching_waits_as_theory_says(use: float) -> None:
    """M/D/1 (Pollaczek and Khinchine): the mean wait is use * service / (2 * (1 - use))."""
    service = Service(first=1.0, further=0.0, around=0.0, max_batch=1)
    taken = latencies(service, 1, 1e3 * use, 60_000, np.random.default_rng(1))
    assert taken.min() == pytest.approx(1.0)
    assert (taken - 1.0).mean() == pytest.approx(use / (2 * (1 - use)), rel=0.08)


def test_batches_let_a_server_answer_more_than_one_run_at_a_time() -> None:
    alone = Service(first=1.0, further=0.01, around=0.0, max_batch=1)
    joined = Service(first=1.0, further=0.01, around=0.0, max_batch=64)
    assert capacity(alone, 1, 5000) < 1000 < 10 * capacity(alone, 1, 5000) < capacity(joined, 1, 5000)
    assert capacity(joined, 4, 5000) > 3.5 * capacity(joined, 1, 5000)


def test_what_a_server_does_for_each_request_bounds_it() -> None:
    assert capacity(Service(first=0.1, further=0.0, around=0.5, max_batch=64), 1, 5000) < 2000
