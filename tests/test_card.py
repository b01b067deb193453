from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from tiny_folder import TINY_ENDPOINT, TINY_METRICS, make_model_folder

import zoo.model.card
from zoo.errors import IntegrityError
from zoo.model.card import check_card, load_card, read_spec, write_card
from zoo.model.spec import Export, Lineage, Metric, ModelSpec


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return make_model_folder(tmp_path)


@pytest.fixture
def card(tmp_path: Path, spec: ModelSpec) -> Path:
    return tmp_path / "README.md"


def measured(card: Path) -> dict:
    return json.loads((card.parent / "metrics.json").read_text())


def replace(card: Path, old: str, new: str) -> None:
    text = card.read_text(encoding="utf-8")
    assert old in text
    card.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_every_field_survives(tmp_path: Path) -> None:
    spec = make_model_folder(
        tmp_path,
        name="full-model",
        revision="2.1",
        config={"text": "on", "nothing": None, "list": [None, [1, 2.5], {"a": True}], "date": "2024-01-01", "exp": "1e-5"},
        summary="Wörds with 'quotes', a: colon, a # hash and a line\nbreak, μK² ✓ \u2028 --- \n---\nend",
        endpoints={"predict": TINY_ENDPOINT, "encode": TINY_ENDPOINT},
        lineage=Lineage(parent="mlp", revision="1"),
        export=Export(runtimes=["onnxruntime 1.31.1"], parity={"predict": 1.1920928955078125e-07}),
        earlier_revisions={"1": "0" * 64},
        metrics=[*TINY_METRICS, Metric(name="rmse", value=1e-17, n=3, split="noise-free")],
    )
    assert read_spec(tmp_path / "README.md") == spec


@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), min_size=3, max_size=3), st.floats(-1e300, 1e300))
def test_floats_come_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, numbers: list[float], value: float) -> None:
    folder = tmp_path_factory.mktemp("floats")
    metric = Metric(name="auc", value=value, n=1)
    spec = make_model_folder(folder, config={"numbers": numbers}, metrics=[metric])
    back = read_spec(folder / "README.md")
    assert repr(back.config) == repr(spec.config)  # repr tells -0.0 from 0.0
    assert back.metrics[0].value.hex() == value.hex()


def test_the_hub_reads_the_metrics(card: Path, spec: ModelSpec) -> None:
    # ModelCard straight from huggingface_hub is the oracle: what the Hub will show.
    data = ModelCard.load(card).data
    assert data.model_name == "tiny-model"
    assert (data.license, data.library_name, data.pipeline_tag) == ("apache-2.0", "keras", "tabular-classification")
    assert {"physics", "tiny"} <= set(data.tags)
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("auc", spec.metrics[0].value)
    assert (result.dataset_name, result.dataset_split) == ("coins", "test")
    assert yaml.safe_load(data.to_yaml())["physzoo"]["name"] == "tiny-model"


def test_a_model_without_metrics_has_no_index(tmp_path: Path) -> None:
    make_model_folder(tmp_path, metrics=[])
    card = tmp_path / "README.md"
    assert load_card(card).data.get("eval_results") is None
    check_card(card, measured(card))


def test_numbers_are_written_on_wrapped_lines(tmp_path: Path) -> None:
    make_model_folder(tmp_path, config={"numbers": [i / 7 for i in range(215)]})
    lines = (tmp_path / "README.md").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if "numbers:" in line)
    end = next(i for i, line in enumerate(lines) if line.endswith("]") and i >= begin)
    assert 10 < end - begin < 100
    assert max(map(len, lines[begin : end + 1])) < 120


def test_prose_is_kept_to_the_letter(card: Path, spec: ModelSpec) -> None:
    prose = "Only for coins;  two spaces,\ttab, μ, | and 42.\n\n\n* a list\n"
    replace(card, "<!-- Which question on which data does the model answer? -->", prose)
    before = card.read_text()
    better = spec.model_copy(update={"metrics": [Metric(name="auc", value=0.5, n=10)]})
    write_card(card, better)
    after = card.read_text()
    assert prose in after
    assert "| auc | 0.5 |" in after
    assert "0.9731" not in after
    assert after.count("physzoo:begin metrics") == 1
    write_card(card, spec)
    assert card.read_text() == before


def test_own_prose_places_the_sections(tmp_path: Path, spec: ModelSpec) -> None:
    card = tmp_path / "own.md"
    write_card(card, spec, "\n# Mine\n\n<!-- physzoo:begin files -->\n<!-- physzoo:end files -->\n\nLast words.\n")
    body = load_card(card).text
    assert body.startswith("\n# Mine\n\n<!-- physzoo:begin files -->\n| File")
    assert body.index("Last words.") < body.index("physzoo:begin metrics")
    check_card(card, measured(card))


def test_a_lost_marker_is_named_and_the_card_left_alone(card: Path, spec: ModelSpec) -> None:
    replace(card, "<!-- physzoo:end metrics -->\n", "")
    before = card.read_bytes()
    with pytest.raises(IntegrityError, match=r"README\.md.*marker"):
        write_card(card, spec)
    assert card.read_bytes() == before


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_card(
    card: Path, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def fail(self: ModelCard, path: Path) -> None:
        path.write_text("---\nhalf")
        raise failure

    before, names = card.read_bytes(), sorted(card.parent.iterdir())
    monkeypatch.setattr(ModelCard, "save", fail)
    with pytest.raises(type(failure)):
        write_card(card, spec)
    assert card.read_bytes() == before
    assert sorted(card.parent.iterdir()) == names


def test_nan_is_not_written(tmp_path: Path, spec: ModelSpec) -> None:
    with pytest.raises(IntegrityError, match="NaN"):
        write_card(tmp_path / "nan.md", spec.model_copy(update={"metrics": [Metric(name="auc", value=float("nan"), n=1)]}))
    assert not (tmp_path / "nan.md").exists()


def test_an_untouched_card_passes(card: Path) -> None:
    check_card(card, measured(card))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  - name: auc\n    value: 0.9731250000000001",
            "  - name: auc\n    value: 0.9731250000000002",
            r"physzoo block.*auc.*value",
        ),
        ("interval: [0.96, 0.98]", "interval: [0.97, 0.98]", "physzoo block.*auc.*interval"),
        ("baseline: 0.5", "baseline: 0.4", "physzoo block.*baseline"),
        ("    n: 200", "    n: 2000", r"physzoo block.*auc \(test\) n 200, found auc \(test\) n 2000"),
        ("    - type: auc\n      value: 0.9731250000000001", "    - type: auc\n      value: 0.99", "model-index.*0.99"),
        ("| auc | 0.9731 |", "| auc | 0.9931 |", "section 'metrics'.*0.9931"),
        ("| in | x | (batch, 3) |", "| in | x | (batch, 4) |", "section 'endpoints'"),
        ("| train | 800 |", "| train | 8000 |", "section 'data'"),
        ("| ONNX opset | 13 |", "| ONNX opset | 11 |", "section 'exports'"),
        ("<!-- physzoo:end files -->", "| extra | 1 | 2 |\n<!-- physzoo:end files -->", "section 'files'.*extra"),
        ("physzoo:begin metrics", "physzoo:begin gone", "section 'metrics'"),
    ],
)
def test_an_edited_number_is_named(card: Path, old: str, new: str, message: str) -> None:
    replace(card, old, new)
    with pytest.raises(IntegrityError, match=f"(?s)README.md.*{message}"):
        check_card(card, measured(card))


def test_an_added_or_removed_metric_is_named(card: Path, spec: ModelSpec) -> None:
    honest = measured(card)
    write_card(card, spec.model_copy(update={"metrics": [*spec.metrics, Metric(name="best", value=1.0, n=1)]}))
    with pytest.raises(IntegrityError, match="best"):
        check_card(card, honest)
    write_card(card, spec.model_copy(update={"metrics": []}))
    with pytest.raises(IntegrityError, match="auc"):
        check_card(card, honest)


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
        ("physzoo: 2024-99-99", "not plain YAML"),
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
    (tmp_path / "README.md").write_text(f"---\n{front}\n---\n# x\n", encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(IntegrityError, match=f"(?s)README.md.*{message}") as caught:
        read_spec(tmp_path / "README.md")
    with pytest.raises(IntegrityError):
        load_card(tmp_path / "README.md")
    assert time.perf_counter() - start < 2
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
    (tmp_path / "README.md").write_bytes(content)
    with pytest.raises(IntegrityError, match=f"README.md.*{message}"):
        read_spec(tmp_path / "README.md")


def test_a_missing_card_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"nothing\.md.*No such file"):
        read_spec(tmp_path / "nothing.md")
    with pytest.raises(IntegrityError, match=r"cannot be read"):
        read_spec(tmp_path)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/b", "..", "a\\b", "", ".hidden", "x\n"])
def test_a_file_outside_the_folder_is_refused(card: Path, path: str) -> None:
    replace(card, "path: model.weights.h5", f"path: {json.dumps(path)}")
    with pytest.raises(IntegrityError, match=r"README\.md.*plain file name"):
        read_spec(card)


def test_unknown_fields_and_wrong_types_are_named(card: Path) -> None:
    replace(card, "  revision: '1'", "  revision: one\n  surprise: 1")
    with pytest.raises(IntegrityError) as caught:
        read_spec(card)
    assert "revision" in str(caught.value)
    assert "surprise" in str(caught.value)


def test_a_broken_model_index_is_refused(card: Path) -> None:
    replace(card, "  results:\n", "  resultz:\n")
    assert read_spec(card)  # the fast path reads the physzoo block alone
    with pytest.raises(IntegrityError, match=r"README\.md"):
        check_card(card, measured(card))


def test_windows_line_ends_and_byte_order_mark_are_read(card: Path, spec: ModelSpec) -> None:
    card.write_bytes(b"\xef\xbb\xbf" + card.read_bytes().replace(b"\n", b"\r\n"))
    assert read_spec(card) == spec
    check_card(card, measured(card))


@given(st.text(alphabet=st.sampled_from(list("a:- \n[]{}&*!<|>'\"#%@`0_xe.,?~\t")), max_size=80))
def test_no_front_matter_escapes_as_another_error(tmp_path_factory: pytest.TempPathFactory, front: str) -> None:
    card = tmp_path_factory.getbasetemp() / "fuzz.md"
    card.write_text(f"---\n{front}\n---\n", encoding="utf-8")
    with pytest.raises(IntegrityError):
        read_spec(card)
