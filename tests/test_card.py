"""The card for people: what the machine writes on it, what it leaves alone, and that its numbers are those of model.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id
from tiny_folder import TINY_METRICS, make_model_folder

from zoo.errors import IntegrityError
from zoo.model.card import check_card, prose_of, write_card
from zoo.model.card_sections import HEADLINES, headline
from zoo.model.model_json import read_spec, write_spec
from zoo.model.spec import Lineage, Metric, ModelSpec


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return make_model_folder(tmp_path)


@pytest.fixture
def card(tmp_path: Path, spec: ModelSpec) -> Path:
    return tmp_path / "README.md"


def measured(card: Path) -> dict:
    return json.loads((card.parent / "metrics.json").read_text())


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_hub_reads_the_front_matter(card: Path, spec: ModelSpec) -> None:
    # ModelCard straight from huggingface_hub is the oracle: what the Hub will show.
    data = ModelCard.load(card).data
    assert data.model_name == "tiny-model"
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "physzoo", "tabular-classification")
    assert {"physics", "tiny"} <= set(data.tags)
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("auc", spec.metrics[0].value)
    assert (result.dataset_name, result.dataset_split) == ("coins", "test")


def test_the_hub_links_what_it_has_and_nothing_else(tmp_path: Path) -> None:
    """By identifiers there; a parent that is not there by the name that physzoo loads it by."""
    lineage = Lineage(parent="mlp-jets", revision="1")
    citation = "Doe (2026), https://huggingface.co/datasets/doe/jets-2.1. Beside it hf.co/datasets/roe/pions, see doe/jets."
    make_model_folder(tmp_path / "here", lineage=lineage)
    data = ModelCard.load(tmp_path / "here" / "README.md").data
    assert (data.base_model, data.datasets) == ("mlp-jets", None)
    assert "made from `mlp-jets@1`" in (tmp_path / "here" / "README.md").read_text()
    spec = make_model_folder(tmp_path / "hub", lineage=lineage.model_copy(update={"hub": "me/jets"}))
    cited = spec.data.model_copy(update={"citation": citation})
    make_model_folder(tmp_path / "hub", lineage=spec.lineage, data=cited)
    data = ModelCard.load(tmp_path / "hub" / "README.md").data
    assert (data.base_model, data.datasets) == ("me/jets", ["doe/jets-2.1", "roe/pions"])
    for name in (data.base_model, *data.datasets):
        validate_repo_id(name)


def test_numbers_in_the_front_matter_are_numbers(tmp_path: Path) -> None:
    """YAML 1.1 takes 1e-17 for text, for want of a point."""
    metrics = [Metric(name='a "b": c', value=value, n=1, interval=(0, 1)) for value in (1e-17, 2e300, 0.1, -3.0, 1.5e-9)]
    make_model_folder(tmp_path, metrics=metrics)
    front = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    shown = front["model-index"][0]["results"][0]["metrics"]
    assert [metric["value"] for metric in shown] == [metric.value for metric in metrics]
    assert {metric["name"] for metric in shown} == {'a "b": c'}


def test_a_model_without_metrics_has_no_index(tmp_path: Path) -> None:
    make_model_folder(tmp_path, metrics=[])
    card = tmp_path / "README.md"
    assert ModelCard.load(card).data.get("eval_results") is None
    assert "Nothing was measured." in card.read_text()
    check_card(tmp_path, measured(card))


def test_a_card_shows_six_numbers_at_most(tmp_path: Path) -> None:
    def metric(name: str, **fields: object) -> Metric:
        return Metric.model_validate({"name": name, "value": 1.0, "n": 5, "interval": (0.5, 1.5), **fields})

    own = [metric(f"own {number}") for number in range(8)]
    others = [metric("variant/auc"), metric("auc", split="validation"), metric("bare", interval=None)]
    spec = make_model_folder(tmp_path, metrics=[*others, *own])
    assert headline(spec) == own[:HEADLINES]
    text = (tmp_path / "README.md").read_text()
    assert text.count("| own ") == HEADLINES
    assert "these and 5 more" in text
    assert len(text.split("---\n")[1].splitlines()) < 40
    bare = spec.model_copy(update={"metrics": others})
    assert headline(bare) == others[2:]


def test_prose_is_kept_to_the_letter(card: Path, spec: ModelSpec) -> None:
    prose = "Only for coins;  two spaces,\ttab, μ, | and 42.\n\n\n* a list\n"
    replace(card, "<!-- Which question on which data does the model answer? -->", prose)
    before = card.read_text()
    write_card(card.parent, spec.model_copy(update={"metrics": [Metric(name="auc", value=0.5, n=10)]}))
    after = card.read_text()
    assert prose in after
    assert "| auc | 0.5 |" in after
    assert "0.9731" not in after
    assert after.count("physzoo:begin numbers") == 1
    write_card(card.parent, spec)
    assert card.read_text() == before


def test_own_prose_places_the_sections(tmp_path: Path, spec: ModelSpec) -> None:
    markers = "<!-- physzoo:begin numbers -->\n<!-- physzoo:end numbers -->"
    write_card(tmp_path, spec, f"\n# Mine\n\nFirst words.\n\n{markers}\n\nLast.\n")
    body = prose_of(tmp_path / "README.md")
    assert body.startswith("\n# Mine\n\n<!-- physzoo:begin use -->\n")
    assert body.index("First words.") < body.index("| auc |") < body.index("Last.")
    check_card(tmp_path, measured(tmp_path / "README.md"))


def test_a_lost_marker_is_named_and_the_card_left_alone(card: Path, spec: ModelSpec) -> None:
    replace(card, "<!-- physzoo:end numbers -->\n", "")
    before = card.read_bytes()
    with pytest.raises(IntegrityError, match=r"README\.md.*marker"):
        write_card(card.parent, spec)
    assert card.read_bytes() == before


def test_an_untouched_card_passes(card: Path) -> None:
    check_card(card.parent, measured(card))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("model.json", '"value": 0.9731250000000001', '"value": 0.9731250000000002', r"model\.json: metrics.*auc.*value"),
        ("model.json", "0.96,", "0.97,", r"model\.json: metrics.*auc.*interval"),
        ("model.json", '"baseline": 0.5', '"baseline": 0.4', r"model\.json: metrics.*baseline"),
        ("model.json", '"n": 200', '"n": 2000', r"metrics: expected auc \(test\) n 200, found auc \(test\) n 2000"),
        ("README.md", "value: 0.9731250000000001", "value: 0.99", "front matter.*0.99"),
        ("README.md", "license: apache-2.0", "license: apache-2.0\nphyszoo: {}", "front matter.*physzoo"),
        ("README.md", "| auc | 0.9731 |", "| auc | 0.9931 |", "section 'numbers'.*0.9931"),
        ("README.md", "revision 1", "revision 2", "section 'use'"),
        ("README.md", "physzoo:begin numbers", "physzoo:begin gone", "section 'numbers'"),
    ],
)
def test_an_edited_number_is_named(card: Path, file: str, old: str, new: str, message: str) -> None:
    replace(card.with_name(file), old, new)
    with pytest.raises(IntegrityError, match=f"(?s){message}"):
        check_card(card.parent, measured(card))


def test_an_added_or_removed_metric_is_named(card: Path, spec: ModelSpec) -> None:
    folder = card.parent
    for metrics, named in (([*TINY_METRICS, Metric(name="best", value=1.0, n=1)], "best"), ([], "auc")):
        write_card(folder, write_spec(folder, spec.model_copy(update={"metrics": metrics})))
        with pytest.raises(IntegrityError, match=named):
            check_card(folder, measured(card))


def test_how_to_use_it_follows_the_files(tmp_path: Path) -> None:
    """A folder with weights is loaded, one with graphs alone is run, one with neither says nothing."""
    for name, files, said, unsaid in (
        ("whole", {"model.weights.h5": b"w", "predict.onnx": b"g"}, 'zoo.load(".")', "Session"),
        ("graphs", {"predict.onnx": b"g"}, 'Session(".")', "zoo.load"),
        ("bare", {}, "A model made up for tests.", "```"),
    ):
        make_model_folder(tmp_path / name, files=files)
        text = (tmp_path / name / "README.md").read_text()
        assert said in text
        assert unsaid not in text
        assert ("zoo predict . --endpoint predict" in text) == ("predict.onnx" in files)


def test_a_card_that_is_no_card_is_refused(tmp_path: Path, spec: ModelSpec) -> None:
    (tmp_path / "README.md").write_text("# only prose")
    with pytest.raises(IntegrityError, match=r"README\.md.*front matter"):
        write_card(tmp_path, spec)
    assert read_spec(tmp_path) == spec  # no program reads a card
