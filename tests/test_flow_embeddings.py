"""Flows whose context is a set, a sequence or an image: the kit, what may change nothing, and exact posteriors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.families.flows.embeddings import default_embedding
from zoo.families.flows.flow import Flow
from zoo.families.flows.nsf import NSF
from zoo.families.flows.realnvp import RealNVP
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint, Tensor
from zoo.testing import check_family

MOST = 9
SMALL: dict[str, dict[str, Any]] = {
    "mean-pooled": {"element_units": [6], "units": [5]},
    "attention": {"width": 8, "heads": 2, "blocks": 1, "units": [5]},
    "convolution-1d": {"filters": [6, 6], "kernel": 3, "units": [5]},
    "convolution-2d": {"filters": [4, 6], "kernel": 3, "units": [5]},
}
CASES = {
    "deep set": ([None, 3], "mean-pooled"),
    "set of numbers": ([None], "mean-pooled"),
    "set transformer": ([None, 3], "attention"),
    "sequence of free length": ([None, 2], "convolution-1d"),
    "sequence": ([7, 2], "convolution-1d"),
    "series of numbers": (8, "convolution-1d"),
    "image": ([6, 5], "convolution-2d"),
    "image of two channels": ([6, 6, 2], "convolution-2d"),
    "cube of numbers": ([2, 3, 2], None),
}
SETS = ("deep set", "set of numbers", "set transformer", "sequence of free length")


def config(case: str) -> dict[str, Any]:
    context, kind = CASES[case]
    embedding = [6] if kind is None else {"kind": kind, **SMALL[kind]}
    return {"dimensions": 2, "context": context, "transforms": 2, "hidden": [8], "activation": "tanh", "embedding": embedding}


def contexts(case: str, n: int = 24, seed: int = 0, most: int = MOST) -> dict[str, np.ndarray]:
    """Random contexts far from zero and, of free length, their mask, which leaves one element at least."""
    context, _ = CASES[case]
    rng = np.random.default_rng(seed)
    shape = [most if size is None else size for size in np.atleast_1d(np.array(context, object))]
    c = rng.normal(30.0, 5.0, (n, *shape)).astype(np.float32)
    if case not in SETS:
        return {"c": c}
    mask = np.arange(most) < rng.integers(1, most + 1, (n, 1))
    return {"c": np.where(mask.reshape(n, most, *(1,) * (c.ndim - 2)), c, 0), "mask": mask}


def rows_of(case: str, n: int = 24) -> Rows:
    x = np.random.default_rng(1).normal(1.0, 0.5, (n, 2)).astype(np.float32)
    return Rows({"x": x, **contexts(case, n)}, np.zeros((n, 1), np.float32), np.arange(n))


def endpoints(case: str) -> dict[str, Endpoint]:
    """The tensors of a flow as a recipe describes them."""
    context, _ = CASES[case]
    axes = [
        Axis(name="element", least=1, most=MOST) if size is None else Axis(name=f"axis_{place}", size=size)
        for place, size in enumerate(np.atleast_1d(np.array(context, object)))
    ]
    variables = Axis(name="variable", size=2)
    own = {"unit": "1", "description": ""}
    given = [Tensor(name="c", axes=axes, mask="mask" if case in SETS else None, **own)]
    if case in SETS:
        given.append(Tensor(name="mask", axes=axes[:1], dtype="bool", **own))
    x, z = (Tensor(name=name, axes=[variables], **own) for name in ("x", "z"))
    return {
        "log_prob": Endpoint(description="", inputs=[x, *given], outputs=[Tensor(name="log_prob", **own)]),
        "sample": Endpoint(description="", inputs=[z, *given], outputs=[x]),
    }


def random_flow(case: str) -> Flow:
    """A flow with random weights: one that starts at the identity would look at no context."""
    rng = np.random.default_rng(3)
    flow = RealNVP(**config(case))
    rows = rows_of(case)
    flow.adapt(rows.inputs, rows.target)
    for weight in flow.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return flow


@pytest.mark.parametrize("case", CASES)
def test_every_embedding_passes_the_kit(case):
    check_family(RealNVP, config(case), rows_of(case), endpoints=endpoints(case), opsets=[11, 13, 18])
