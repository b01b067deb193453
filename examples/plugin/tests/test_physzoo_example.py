"""What the package adds keeps the zoo's contracts, and is found by its names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import physzoo_example
import pytest

import zoo
from zoo.data.dataset import get_dataset
from zoo.model.registry import get_family
from zoo.testing import check_dataset, check_family
from zoo.training.evaluate import evaluate
from zoo.training.fit import trained
from zoo.training.recipe import load_recipe

RECIPE = Path(physzoo_example.__file__).parent / "kepler-period.yaml"
SMALL = {"train": 200, "validation": 50, "test": 100}


def test_family_keeps_its_contract():
    check_family(get_family("power-law"), {"inputs": 2}, get_dataset("kepler", **SMALL).rows("train"))


def test_data_set_keeps_its_contract():
    check_dataset(get_dataset("kepler", **SMALL), again=lambda: get_dataset("kepler", **SMALL))


def test_training_finds_the_third_law(tmp_path):
    recipe = load_recipe(RECIPE).changed({"epochs": 20})  # a third of those of the released model, by when the law is found
    run = trained(recipe, tmp_path, seed=0)
    np.testing.assert_allclose(run.load().powers(), [1.5, -0.5], atol=0.005)
    scatter, bias = evaluate({"": [run]}).metrics
    assert scatter.interval[0] < 0.02 < scatter.interval[1]  # the noise of a measurement, and nothing beside it
    assert scatter.baseline > 1
    assert bias.interval[0] < bias.value < bias.interval[1]


def test_released_model_is_found_by_name():
    assert "kepler-period" in zoo.list_models(family="power-law")
    model = zoo.load("kepler-period")
    earth, jupiter = np.asarray(model(np.array([[1.0, 1.0], [5.2, 1.0]], np.float32)))[:, 0]
    assert earth == pytest.approx(1.0, rel=0.01)
    assert jupiter == pytest.approx(11.86, rel=0.01)
