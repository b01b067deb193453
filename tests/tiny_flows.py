"""Small flows of every kind with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod

import numpy as np
import pytest

from zoo.families.flows.flow import Flow
from zoo.model.registry import get_family

KINDS = {
    "realnvp": ("realnvp", {}),
    "maf": ("maf", {}),
    "nsf-coupling": ("nsf", {"bins": 5}),
    "nsf-autoregressive": ("nsf", {"bins": 5, "autoregressive": True}),
}
CONTINUOUS = {"flow-matching": ("flow-matching", {"steps": 12})}
"""Flows that are no chain of bijectors with a closed form."""
CASES = {
    "plane": {"dimensions": 2},
    "conditional": {"dimensions": 3, "context": 2},
    "boxed": {"dimensions": 2, "context": 2, "support": [[-1.0, 2.0], [0.0, 5.0]]},
    "bounded": {"dimensions": 4, "context": 3, "embedding": [6], "support": [[-1.0, 2.0], None, [0.0, 5.0], None]},
}


def build(kind: str, case: str, *, spread: float = 0.7, seed: int = 3, **changes):
    """A flow with random weights, and rows for it: a start at zero would be the identity."""
    family, own = (KINDS | CONTINUOUS)[kind]
    config = ({"transforms": 3} if kind in KINDS else {}) | {"hidden": [8, 8]} | CASES[case] | own | changes
    rng = np.random.default_rng(seed)
    flow = get_family(family)(**config)
    x = rng.normal(0.5, 0.2, (64, flow.dimensions)).clip(0.01, 1.99).astype(np.float32)
    c = rng.normal(3.0, 2.0, (64, flow.context)).astype(np.float32) if flow.context else None
    flow.adapt({"x": x} if c is None else {"x": x, "c": c}, None)
    for weight in flow.trainable_weights:
        weight.assign(rng.normal(0, spread / np.sqrt(weight.shape[0] if len(weight.shape) == 2 else 1), weight.shape))
    return flow, x, c


@contextmanager
def without_xla() -> Iterator[None]:
    """Flows train without XLA, which takes longer to compile a step than a tiny training takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flow, "compile", partialmethod(Flow.compile, jit_compile=False))
        yield
