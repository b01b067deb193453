"""Times of several ways to do one thing, in turns: a slow minute of the machine falls on all of them."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
ROUNDS = 15
BUDGET = 0.1
"""Seconds of calls of each way in a round."""


def compare(title: str, ways: dict[str, Callable[[], object]]) -> dict[str, dict]:
    """Prints and returns, for each way, its median time and how many times longer than the first it takes (10-90%)."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, function in ways.items():
            taken[name].append(per_call(function))
    results = {}
    print(title)
    for name, values in taken.items():
        ratios = [a / b for a, b in zip(values[1:], next(iter(taken.values()))[1:], strict=True)]  # the first warms up
        low, ratio, high = np.percentile(ratios, [10, 50, 90])
        results[name] = {"median_us": statistics.median(values[1:]) * 1e6, "ratio": ratio, "ratio_10_90": [low, high]}
        print(f"  {name:14s} {results[name]['median_us']:10.1f} us  {ratio:7.2f}x  ({low:.2f} to {high:.2f})", flush=True)
    return results


def per_call(function: Callable[[], object]) -> float:
    """Seconds per call, over as many calls as fit into the budget."""
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < BUDGET or not calls:
        function()
        calls += 1
    return elapsed / calls


def about(*packages: str) -> dict[str, str]:
    """The machine and the versions of the packages."""
    machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    return machine | {package: version(package) for package in ("physzoo", *packages)}


def write(name: str, content: dict) -> None:
    path = RESULTS / name
    path.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {path}")
