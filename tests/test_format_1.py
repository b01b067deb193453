"""Folders of format 1 are read, listed, loaded, served and refused as before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from format_1 import to_format_1
from hypothesis import given
from hypothesis import strategies as st
from quick_training import eagerly
from tiny_folder import make_model_folder

import zoo
import zoo.model.card
from zoo.errors import IntegrityError
from zoo.model import format1, registry
from zoo.model.model_json import read_spec, read_summary, write_spec
from zoo.model.spec import CARD, RANGES, TEST_TENSORS, ModelSpec
from zoo.model.store import locate
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import Session
from zoo.serving.verify import verify


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return make_model_folder(tmp_path)


@pytest.fixture
def card(tmp_path: Path, spec: ModelSpec) -> Path:
    return to_format_1(tmp_path) / CARD


def replace(card: Path, old: str, new: str) -> None:
    text = card.read_text(encoding="utf-8")
    assert old in text
    card.write_text(text.replace(old, new, 1), encoding="utf-8")


def released(name: str, folder: Path) -> Path:
    """A released model as a folder of format 1."""
    source = locate(name)
    folder.mkdir()
    for file in source.spec.files:
        shutil.copy(source.path(file.path), folder)
    write_spec(folder, source.spec)
    return to_format_1(folder)


def test_all_that_format_1_says_is_read(tmp_path: Path, spec: ModelSpec, card: Path) -> None:
    files = [file for file in spec.files if file.path != RANGES]
    assert read_spec(tmp_path) == spec.model_copy(update={"files": files})
    words = {"name", "revision", "family", "task", "summary"}
    assert read_summary(tmp_path).model_dump(include=words) == spec.model_dump(include=words)
    assert read_summary(tmp_path).metric == spec.metrics[0]


def test_model_json_wins_over_the_card(tmp_path: Path, spec: ModelSpec, card: Path) -> None:
    write_spec(tmp_path, spec.model_copy(update={"summary": "of format 2"}))
    assert read_spec(tmp_path).summary == "of format 2"


def test_listed_and_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model_folder(tmp_path / "old-model", name="old-model")
    to_format_1(tmp_path / "old-model")
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    assert "old-model" in registry.list_models("old-*")
    assert registry.get_spec("old-model").name == "old-model"


@pytest.mark.parametrize("name", ["mlp-cmb-feature", "gbt-halo-mass"])
def test_loads_and_serves(tmp_path: Path, name: str) -> None:
    folder = released(name, tmp_path / "old")
    assert verify(folder).ok
    inputs, expected = read_test_tensors(folder / TEST_TENSORS, read_spec(folder))["predict"]
    answer, served = zoo.load(folder).endpoint("predict")(**inputs), Session(folder).run(inputs)
    for key, values in expected.items():
        np.testing.assert_allclose(np.asarray(answer[key]), values, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(served[key], values, rtol=1e-5, atol=1e-5)


def test_fine_tunes_into_format_2(tmp_path: Path) -> None:
    folder = released("logistic-cmb-running", tmp_path / "old")
    inputs, _ = read_test_tensors(folder / TEST_TENSORS, read_spec(folder))["predict"]
    spectrum = np.repeat(inputs["spectrum"], 4, axis=0) * np.random.default_rng(0).uniform(0.98, 1.02, (64, 1)).astype("f4")
    data = {"spectrum": spectrum, "probability": np.tile([0.0, 1.0], 32), "sky": np.arange(64)}
    with eagerly():
        mine = zoo.fine_tune(folder, data, folder=tmp_path / "mine", group="sky", epochs=1, batch_size=16)
    assert mine.spec.format == 2
    assert mine.spec.lineage.parent == "logistic-cmb-running"
    assert (tmp_path / "mine" / "model.json").is_file()


def bomb(levels: int = 60) -> str:
    return "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, levels))


def merge_bomb(levels: int = 30) -> str:
    lines = "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, levels))
    return "a0: &a0 {k: v}\n" + lines


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ("physzoo: !!python/object/apply:os.system ['touch pwned']", "tags"),
        ("physzoo: !!python/name:os.system", "tags"),
        ("physzoo: !!timestamp x", "tags"),
        ("physzoo: 2024-99-99", "physzoo"),
        (bomb(), "anchors"),
        (merge_bomb(), "anchors"),
        ("&a a: *a", "anchors"),
        ("physzoo: " + "[" * 100_000, "deep"),
        ("- " * 200_000 + "a", "deep"),
        ("physzoo: {" * 40, "deep"),
        ("physzoo: [1, 2", "not plain YAML"),
        ("physzoo: \x00", "not plain YAML"),
        ("- a list", "mapping"),
        ("license: mit", "physzoo"),
        ("physzoo: text", "physzoo"),
        ("physzoo: {name: ../../x}", r"name: .*; .*summary: .*required|name: "),
    ],
)
def test_a_malicious_or_broken_front_matter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / CARD).write_text(f"---\n{front}\n---\n# x\n", encoding="utf-8")
    with pytest.raises(IntegrityError, match=f"(?s)README.md.*{message}") as caught:
        read_spec(tmp_path)
    assert len(str(caught.value)) < 2000
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "front matter"),
        (b"# only prose", "front matter"),
        (b"---\nphyszoo: {}\n", "front matter"),
        (b"---\n\xff\xfe\n---\n", "UTF-8"),
        (b"---\n" + b"#" * zoo.model.card.MAX_BYTES + b"\n---\n", "larger"),
    ],
)
def test_a_file_that_is_no_card_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / CARD).write_bytes(content)
    with pytest.raises(IntegrityError, match=f"README.md.*{message}"):
        read_spec(tmp_path)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/b", "..", "a\\b", "", ".hidden", "x\n"])
def test_a_file_outside_the_folder_is_refused(card: Path, path: str) -> None:
    replace(card, "path: model.weights.h5", f"path: {json.dumps(path)}")
    with pytest.raises(IntegrityError, match=r"README\.md.*plain file name"):
        read_spec(card.parent)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", ["1:" * 400_000 + "1", "9" * 900_000, "1." + "9" * 900_000, "0x" + "f" * 900_000])
def test_a_number_without_end_takes_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """YAML's numbers to the base 60 take the square of their length: hours for what a card may hold."""
    (tmp_path / "bomb").mkdir()
    (tmp_path / "bomb" / CARD).write_text(f"---\nphyszoo: {{name: {number}}}\n---\n")
    with pytest.raises(IntegrityError, match=r"README\.md"):
        read_spec(tmp_path / "bomb")
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    with pytest.warns(UserWarning, match="left out of the list: .*README.md"):
        assert "mlp-cmb-feature" in registry.list_models()


def test_words_that_are_numbers_to_yaml_alone_stay_words(tmp_path: Path) -> None:
    words = "[1:1:1, 0x1F, 010, 1_000, 2024-01-01, yes, off, 123456789012345678901, =]"
    values = "[1, -3, 1.5, 1e-5, 1.0e-05, true, null, ~, .inf, 0, '5', +2]"
    (tmp_path / CARD).write_text(f"---\nphyszoo: {{words: {words}, values: {values}}}\n---\n")
    block = format1._front_matter(tmp_path / CARD)["physzoo"]
    assert block["words"] == words.strip("[]").split(", ")
    assert block["values"] == [1, -3, 1.5, 1e-5, 1e-5, True, None, None, float("inf"), 0, "5", 2]


def test_unknown_fields_and_wrong_types_are_named(card: Path) -> None:
    replace(card, "  revision: '1'", "  revision: one\n  surprise: 1")
    with pytest.raises(IntegrityError, match=r"(?s)revision.*surprise"):
        read_spec(card.parent)


def test_windows_line_ends_and_byte_order_mark_are_read(card: Path, spec: ModelSpec) -> None:
    before = read_spec(card.parent)
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes().replace(b"\n", b"\r\n"))
    assert read_spec(card.parent) == before


@given(st.text(alphabet=st.sampled_from(list("a:- \n[]{}&*!<|>'\"#%@`0_xe.,?~\t")), max_size=80))
def test_no_front_matter_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, front: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    (folder / CARD).write_text(f"---\n{front}\n---\n", encoding="utf-8")
    with pytest.raises(IntegrityError):
        read_spec(folder)
