"""Many rows handed to an endpoint at once, of which a network makes far more numbers than a machine has memory for."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import zoo
from zoo.families.batches import answer, rows_at_once
from zoo.model.spec import TEST_TENSORS
from zoo.model.test_tensors import read_test_tensors


@pytest.mark.parametrize("name", ["cnn2d-cosmology", "pfn-quark-gluon", "ive-halo-mass", "gbt-halo-mass"])
def test_an_endpoint_asks_its_network_for_as_many_rows_as_memory_bears(name: str, monkeypatch) -> None:
    model = zoo.load(name)
    described = model.spec.endpoint("predict")
    stored = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)["predict"][0]
    inputs = {key: np.concatenate([array] * 3)[:5] for key, array in stored.items()}
    expected = model.endpoint("predict")(inputs, allow_out_of_range=True)
    asked = []
    method = getattr(model, model.endpoints["predict"])

    def noted(*arrays):
        asked.append(len(arrays[0]))
        return method(*arrays)

    monkeypatch.setattr("zoo.families.batches.rows_at_once", lambda arrays: 2)
    monkeypatch.setattr(model, model.endpoints["predict"], noted)
    found = model.endpoint("predict")(inputs, allow_out_of_range=True)
    assert asked == [2, 2, 1]
    assert [*found] == [tensor.name for tensor in described.outputs]
    for key, value in expected.items():
        assert type(found[key]) is type(value)
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-5)


def test_maps_go_by_hundreds_and_small_rows_by_thousands() -> None:
    assert rows_at_once([np.zeros((10_000, 64, 64), np.float32)]) == 512
    assert rows_at_once([np.zeros((100_000, 3), np.float32)]) == 8192


def test_tensors_of_the_backend_stay_whole(monkeypatch) -> None:
    monkeypatch.setattr("zoo.families.batches.rows_at_once", lambda arrays: 2)
    asked = []
    answer(lambda x: asked.append(len(x)), keras.ops.ones((5, 3)))
    assert asked == [5]


def test_no_rows_are_one_call() -> None:
    assert answer(lambda x: x, np.zeros((0, 3))).shape == (0, 3)
