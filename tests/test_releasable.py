"""A release says before it trains what it would say after its last epoch."""

from __future__ import annotations

import keras
import pytest
from command_line import refused

import zoo.model.registry
from zoo.errors import ExportError, IntegrityError, ZooError
from zoo.families.mlp import MLP
from zoo.model.card import TEMPLATE
from zoo.model.model_json import is_model_folder
from zoo.model.registry import register_family
from zoo.training.recipe import RecipeError, load_recipe, recipe_names
from zoo.workflows.releasable import _built, expect_releasable
from zoo.workflows.release import first_card
from zoo.workflows.train import train

SMALL = {
    "variants": {},
    "config.encoder": [4],
    "config.decoder": [4],
    "data.parameters": {"train": 32, "validation": 32, "test": 32},
}


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("ive-pendulum").changed(SMALL)


def test_a_recipe_that_can_be_released(recipe, tmp_path):
    """Nothing is left behind, and the program's random numbers go on."""
    before = keras.random.uniform([]), keras.random.uniform([])
    assert before[0] != before[1]
    expect_releasable(recipe, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latnts": 3}, "ive-pendulum: the family ive does not take this config: .*latnts"),
        ({"outputs": 2}, r"ive-pendulum: predict: displacement has the shape \(2,\) a row, the recipe says \(1,\)"),
    ],
)
def test_what_does_not_fit(recipe, change, message, tmp_path):
    wrong = recipe.model_copy(update={"config": recipe.config | change})
    with pytest.raises(ZooError, match=message):
        expect_releasable(wrong, tmp_path / "mine")


def test_an_endpoint_of_another_name(recipe, tmp_path):
    wrong = recipe.model_copy(update={"endpoints": {"predct": recipe.endpoints["predict"]}})
    with pytest.raises(ZooError, match="endpoint of the family ive named 'predct'; did you mean predict"):
        expect_releasable(wrong, tmp_path / "mine")


def test_a_variant_need_not_have_the_endpoints_of_the_model(recipe, tmp_path):
    """It is measured and not exported."""
    plain = {"description": "a plain network", "set": {"family": "mlp", "config": {"inputs": 51, "hidden": [4], "outputs": 1}}}
    expect_releasable(recipe.changed({"variants": {"plain": plain}}), tmp_path / "mine")


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ({"kind": "moments"}, "ive-pendulum: evaluation moments: expected a family that answers with Gaussians"),
        ({"kind": "distribution"}, r"ive-pendulum: expected a family with predictive\(inputs, target\)"),
    ],
)
def test_an_evaluation_of_another_kind_of_answers(recipe, evaluation, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        train(recipe.changed({"evaluation": evaluation}), tmp_path / "runs")
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_cannot_be_built_again(monkeypatch, tmp_path):
    monkeypatch.setattr(zoo.model.registry, "_families", dict(zoo.model.registry._families))

    @register_family("forgets")
    class Forgets(MLP):
        def get_config(self):
            return {"name": self.name, **self.config, "hidden": [3]}

    recipe = load_recipe("mlp-jets").changed({"family": "forgets"})
    with pytest.raises(ZooError, match=r"mlp-jets: Forgets: get_config must return its name and self\.config"):
        expect_releasable(recipe, tmp_path / "mine")


@pytest.mark.parametrize("front", ["", "---\nlicense: mit\n---\n"])
def test_a_card_may_be_written_first(front, tmp_path):
    """Its prose is the card's, with front matter or without; it is no model yet."""
    (tmp_path / "README.md").write_text(front + "# mine\n\nWritten first.\n")
    assert first_card(tmp_path) == ("# mine\n\nWritten first.\n", "README.md")
    assert not is_model_folder(tmp_path)


def test_a_folder_of_something_else_is_refused_before_training(recipe, tmp_path):
    (tmp_path / "mine").mkdir()
    assert first_card(tmp_path / "mine") == (None, "metrics.json")
    with pytest.raises(ExportError, match=r"holds no metrics\.json"):
        expect_releasable(recipe, tmp_path / "mine")
    for name in ("README.md", "metrics.json", "model.json"):
        (tmp_path / "mine" / name).write_text(TEMPLATE)
    with pytest.raises(IntegrityError, match="front matter"):
        expect_releasable(recipe, tmp_path / "mine")
    assert "front matter" in refused("release", "ive-pendulum", "--folder", tmp_path / "mine", "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).variants])
def test_every_variant_of_a_released_recipe_can_be_built(name):
    """What a release asks before hours of training, of the recipes that are there."""
    recipe = load_recipe(name)
    for variant in recipe.variants.values():
        _built(recipe.changed(variant.set))
