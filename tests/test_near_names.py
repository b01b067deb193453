"""Which of the names that there are a user may have meant: none is better than one that is nothing like it."""

from __future__ import annotations

import pytest

from zoo.errors import near_names
from zoo.model.registry import list_models

KEYS = ["config.hidden", "config.bins", "epochs", "patience", "batch_size", "optimizer.learning_rate", "seeds"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("mlp-jet", "mlp-jets"),
        ("pendulum", "ive-pendulum"),
        ("MLP-Jets", "mlp-jets"),
        ("cmb-posterior", "nsf-cmb-posterior"),
        ("nsf-posterior", "nsf-cmb-posterior"),
        ("halos", "nsf-halo-mass"),
        ("mlp-resonnance", "mlp-resonance-parameterized"),
        ("quark", "pfn-quark-gluon"),
        ("particle", "particlenet-jets"),
        ("relativistic", "lnn-relativistic-particle"),
    ],
)
def test_a_model_that_may_be_meant_is_named(asked, meant):
    assert meant in near_names(asked, list_models())


@pytest.mark.parametrize("asked", ["nothere", "foo", "mymodel", "resnet50", "bert-base", "my-calibrated", "test", "x"])
def test_a_model_that_is_nothing_like_it_is_not_named(asked):
    assert near_names(asked, list_models()) == []


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("epoch", ["epochs"]),
        ("config.hiden", ["config.hidden"]),
        ("batchsize", ["batch_size"]),
        ("learning_rate", ["optimizer.learning_rate"]),
        ("lr", ["learning_rate"]),
        ("momentum", []),
    ],
)
def test_the_likeliest_stands_first(asked, meant):
    assert near_names(asked, [*KEYS, "learning_rate"] if asked == "lr" else KEYS)[:1] == meant
