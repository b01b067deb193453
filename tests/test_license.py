"""License and citation of a user's data: on the card, and in the front matter as the Hub's own library reads it."""

from __future__ import annotations

import json
import re

import keras
import pytest
from command_line import ok
from huggingface_hub import ModelCard
from quick_training import eagerly
from tiny_folder import make_model_folder
from tiny_networks import released, user_data

import zoo
from zoo.errors import InputError
from zoo.model.card import check_card
from zoo.model.model_json import read_spec
from zoo.model.spec import Data

NOT_KNOWN = "The license of its data, `arrays`, is not known."
QUICK = {"epochs": 1, "batch_size": 20}


def data(**terms):
    return Data(source="sky.csv", description="", simulator="", seed=0, rows={}, **terms)


@pytest.mark.parametrize(
    ("license", "identifier", "name", "link"),
    [
        ("CC-BY-4.0", "cc-by-4.0", None, None),
        ("cc by-sa 4.0", "cc-by-sa-4.0", None, None),
        ("unknown", "unknown", None, None),
        ("LVK Data Policy, 2nd ed.", "other", "lvk-data-policy-2nd-ed", None),
        ("ours: see https://example.org/Terms?v=1#a", "other", "ours-see", "https://example.org/Terms?v=1#a"),
        ("https://example.org/terms", "other", "example.org-terms", "https://example.org/terms"),
        ("日本", "other", "custom", None),
        ('"quoted": yes', "other", "quoted-yes", None),
    ],
)
def test_the_hub_reads_the_license(tmp_path, license, identifier, name, link):
    make_model_folder(tmp_path, data=data(license=license))
    card = ModelCard.load(tmp_path / "README.md")
    found = card.data.to_dict()
    assert (found["license"], found.get("license_name"), found.get("license_link")) == (identifier, name, link)
    said = "not known" if license == "unknown" else license
    assert f"\n\nThe license of its data, `sky.csv`, is {said}.\n" in card.text
    check_card(tmp_path, json.loads((tmp_path / "metrics.json").read_text()))


def test_a_citation_stands_beside_the_license(tmp_path):
    make_model_folder(tmp_path, data=data(license="MIT", citation="Doe (2024), arXiv:2401.00001"))
    said = "The license of its data, `sky.csv`, is MIT. Who uses the model cites for its data: Doe (2024), arXiv:2401.00001\n"
    assert said in (tmp_path / "README.md").read_text()
    assert read_spec(tmp_path).data.citation == "Doe (2024), arXiv:2401.00001"
    assert "license MIT; cite Doe (2024), arXiv:2401.00001" in re.sub(r"\s+", " ", ok("show", tmp_path, "--full"))


def test_data_of_a_recipe_are_under_the_license_of_physzoo(tmp_path):
    make_model_folder(tmp_path)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "apache-2.0"
    assert "license" not in card.text


@pytest.fixture(scope="module")
def parent():
    """A parent whose own data have a license and a citation, which are not those of a user's data."""
    model = released("logistic")
    model.spec = model.spec.model_copy(update={"data": data(license="CC0-1.0", citation="Parent (2020)")})
    return model


@pytest.fixture(scope="module")
def tuned(parent, tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms") / "mine"
    with eagerly(), pytest.warns(UserWarning, match="independent test rows"):
        zoo.fine_tune(parent, user_data("logistic", 100), folder=folder, **QUICK)
    return folder


def test_without_a_word_the_license_is_not_known(tuned):
    card = ModelCard.load(tuned / "README.md")
    assert card.data.license == "unknown"
    assert NOT_KNOWN in card.text
    assert "Parent (2020)" not in card.text
    spec = zoo.load(tuned).spec
    assert (spec.data.license, spec.data.citation) == ("unknown", None)


def test_what_was_forgotten_is_said_later_and_trains_nothing(parent, tuned, monkeypatch):
    def trained(*_, **__):
        raise AssertionError("it was trained again")

    before = zoo.load(tuned).get_weights()
    monkeypatch.setattr(keras.Model, "fit", trained)
    monkeypatch.setattr(keras.Model, "train_on_batch", trained)
    words = {"license": " CC-BY-4.0\n", "citation": "Mine\n(2026)"}
    with pytest.warns(UserWarning, match="independent test rows"):
        model = zoo.fine_tune(parent, user_data("logistic", 100), folder=tuned, overwrite=True, **words, **QUICK)
    card = ModelCard.load(tuned / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert "is CC-BY-4.0. Who uses the model cites for its data: Mine (2026)\n" in card.text
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    report = (tuned.with_name("mine.run") / "report.html").read_text(encoding="utf-8")
    assert "CC-BY-4.0" in report


@pytest.mark.parametrize(("name", "given"), [("license", " "), ("citation", ""), ("license", 4)])
def test_no_words_are_no_license(parent, tmp_path, name, given):
    with pytest.raises(InputError, match=f"^{name}: expected some words"):
        zoo.fine_tune(parent, user_data("logistic", 100), folder=tmp_path / "mine", **{name: given})
