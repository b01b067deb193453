"""``model.json`` and ``ranges.npz``: what is written is read, and nothing else is."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_folder import TINY_ENDPOINT, TINY_METRICS, file_entry, make_model_folder

import zoo.model.model_json
from zoo.errors import IntegrityError
from zoo.model.axes import Axis, Coordinates
from zoo.model.model_json import read_spec, read_summary, write_spec
from zoo.model.spec import RANGES, SPEC, Export, Lineage, Metric, ModelSpec, Tensor


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return make_model_folder(tmp_path)


def edit(folder: Path, **fields: object) -> None:
    """Change top-level fields of model.json, as a person would."""
    path = folder / SPEC
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def with_ranges(folder: Path, content: bytes) -> None:
    """Put another ranges.npz in the folder and its hash into model.json, as an attacker would."""
    (folder / RANGES).write_bytes(content)
    files = [file for file in json.loads((folder / SPEC).read_text())["files"] if file["path"] != RANGES]
    edit(folder, files=[*files, file_entry(RANGES, content).model_dump()])


def npz(**arrays: np.ndarray) -> bytes:
    """The bytes of a .npz."""
    import io

    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def spectrum() -> Tensor:
    """A tensor with all that an axis can say."""
    axis = Axis(
        name="multipole",
        size=4,
        labels=["a", "b", "c", "d"],
        units=["1", "2", "3", "4"],
        coordinates=Coordinates(values=[1.0, 2.5, 3.25, 1e9], unit="1"),
        groups={"TT": (0, 3), "EE": (3, 4)},
    )
    return Tensor(name="spectrum", axes=[axis], unit="K", description="x", low=[0.1, -0.0, 1e-300, 5.0], high=7.0)


def test_every_field_survives(tmp_path: Path) -> None:
    free = Axis(name="particle", least=1, most=128)
    endpoint = TINY_ENDPOINT.model_copy(
        update={
            "inputs": [
                spectrum(),
                Tensor(name="p", axes=[free], unit="GeV", description="momenta", mask="real"),
                Tensor(name="real", axes=[free], dtype="bool", unit="1", description="mask"),
                Tensor(name="at", axes=[free], dtype="int64", unit="1", description="positions", index_of="multipole"),
            ]
        }
    )
    spec = make_model_folder(
        tmp_path,
        name="full-model",
        revision="2.1",
        config={"text": "on", "nothing": None, "list": [None, [1, 2.5], {"a": True}], "date": "2024-01-01", "exp": "1e-5"},
        summary="Wörds with 'quotes', a: colon, a # hash and a line\nbreak, μK² ✓ \u2028 --- \n---\nend",
        endpoints={"predict": endpoint, "encode": TINY_ENDPOINT},
        lineage=Lineage(parent="mlp", revision="1"),
        export=Export(runtimes=["onnxruntime 1.31.1"], parity={"predict": 1.1920928955078125e-07}),
        earlier_revisions={"1": "0" * 64},
        metrics=[*TINY_METRICS, Metric(name="rmse", value=1e-17, n=3, split="noise-free")],
    )
    assert read_spec(tmp_path) == spec
    assert read_summary(tmp_path).metric == TINY_METRICS[0]


def test_arrays_lie_in_ranges_once(tmp_path: Path) -> None:
    endpoint = TINY_ENDPOINT.model_copy(update={"inputs": [spectrum()]})
    make_model_folder(tmp_path, endpoints={"predict": endpoint, "encode": endpoint})
    said = json.loads((tmp_path / SPEC).read_text())["endpoints"]
    for name in ("predict", "encode"):
        tensor = said[name]["inputs"][0]
        assert tensor["low"] == "predict/spectrum/low"
        assert tensor["high"] == 7.0
        assert tensor["axes"][0]["coordinates"] == {"values": "predict/spectrum/multipole", "unit": "1"}
    with np.load(tmp_path / RANGES) as stored:
        assert sorted(stored.files) == ["predict/spectrum/low", "predict/spectrum/multipole"]
        np.testing.assert_array_equal(stored["predict/spectrum/low"], [0.1, -0.0, 1e-300, 5.0])


def test_without_arrays_there_is_no_ranges(tmp_path: Path, spec: ModelSpec) -> None:
    bare = TINY_ENDPOINT.model_copy(update={"inputs": TINY_ENDPOINT.outputs, "outputs": TINY_ENDPOINT.outputs})
    written = write_spec(tmp_path, spec.model_copy(update={"endpoints": {"predict": bare}}))
    assert not (tmp_path / RANGES).exists()
    assert written.file(RANGES) is None
    assert read_spec(tmp_path) == written


def test_the_same_spec_gives_the_same_bytes(tmp_path: Path, spec: ModelSpec) -> None:
    before = {name: (tmp_path / name).read_bytes() for name in (SPEC, RANGES)}
    assert write_spec(tmp_path, read_spec(tmp_path)) == spec
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@given(st.lists(st.floats(width=64, allow_nan=False, allow_infinity=False), min_size=3, max_size=3), st.floats(-1e300, 1e300))
def test_floats_come_back_to_the_bit(tmp_path_factory: pytest.TempPathFactory, numbers: list[float], value: float) -> None:
    folder = tmp_path_factory.mktemp("floats")
    metric = Metric(name="auc", value=value, n=1)
    tensor = TINY_ENDPOINT.inputs[0].model_copy(update={"low": numbers, "high": None})
    endpoint = TINY_ENDPOINT.model_copy(update={"inputs": [tensor]})
    spec = make_model_folder(folder, config={"numbers": numbers}, metrics=[metric], endpoints={"predict": endpoint})
    back = read_spec(folder)
    assert repr(back.config) == repr(spec.config)  # repr tells -0.0 from 0.0
    assert repr(back.endpoints["predict"].inputs[0].low) == repr(numbers)
    assert back.metrics[0].value.hex() == value.hex()


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("where", ["metric", "config", "range"])
def test_what_is_no_number_is_not_written(tmp_path: Path, spec: ModelSpec, number: float, where: str) -> None:
    tensor = TINY_ENDPOINT.inputs[0].model_copy(update={"low": [0.0, number, 1.0]})
    changes = {
        "metric": {"metrics": [Metric(name="auc", value=number, n=1)]},
        "config": {"config": {"deep": [1.0, {"rate": number}]}},
        "range": {"endpoints": {"predict": TINY_ENDPOINT.model_copy(update={"inputs": [tensor]})}},
    }[where]
    named = {"metric": r"metrics\.0\.value", "config": r"config\.deep\.1\.rate", "range": "predict/x/low"}[where]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(IntegrityError, match=rf"model\.json: {named}: expected"):
        write_spec(tmp_path, spec.model_copy(update=changes))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not plain JSON"),
        (b"{", "not plain JSON"),
        (b"[1, 2]", "expected an object, found list"),
        (b"\xff\xfe", "not plain JSON"),
        (b'{"name": NaN}', "NaN is no number"),
        (b'{"name": -Infinity}', "-Infinity is no number"),
        (b'{"name": "a", "name": "b"}', "a key stands twice"),
        (b'{"config": {"x": {"a": 1, "a": 2}}}', "a key stands twice among a"),
        (b'{"config": ' + b"[" * 100_000, "not plain JSON"),
        (b'{"config": ' + b"[" * 40 + b"]" * 40 + b"}", "deep"),
        (b'{"endpoints": {"predict": {"inputs": [{"low": "x"}]}}}', "names arrays and lists no ranges.npz"),
        (b'{"name": "../../x"}', "name: .*; .*required"),
        (b" " * (zoo.model.model_json.MAX_BYTES + 1), "larger"),
        (b'{"summary": "\\u001b[2J"}', "without control characters"),
        (b'{"notes": ["\xc2\x9b2J"]}', "without control characters"),
        (b'{"task": "\\u202E"}', "without control characters"),
        (b'{"revision": "' + b"9" * 5000 + b'"}', "revision: String should have at most 80"),
    ],
)
def test_a_malicious_or_broken_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / SPEC).write_bytes(content)
    with pytest.raises(IntegrityError, match=rf"(?s)model\.json.*{message}") as caught:
        read_spec(tmp_path)
    assert len(str(caught.value)) < 2000


def test_a_text_that_takes_a_terminal_is_never_listed(tmp_path: Path, spec: ModelSpec) -> None:
    write_spec(tmp_path, spec.model_copy(update={"summary": "Zeta \u03b6,\ttwo\nlines, \\beta"}))
    assert read_summary(tmp_path).summary == "Zeta \u03b6,\ttwo\nlines, \\beta"
    changed = spec.model_copy(update={"summary": "\x1b]0;title\x07"})
    with pytest.raises(IntegrityError, match=r"model\.json: expected text without control characters"):
        write_spec(tmp_path, changed)
    (tmp_path / SPEC).write_text(json.dumps(changed.model_dump(mode="json")))
    for read in (read_spec, read_summary):
        with pytest.raises(IntegrityError, match=r"model\.json: expected text without control characters, found b'.*u001b'"):
            read(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"nothing.model\.json.*No such file"):
        read_spec(tmp_path / "nothing")


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/b", "..", "a\\b", "", ".hidden", "x\n"])
def test_a_file_outside_the_folder_is_refused(tmp_path: Path, spec: ModelSpec, path: str) -> None:
    files = [file.model_dump() for file in spec.files if file.path == RANGES]
    edit(tmp_path, files=[*files, {"path": path, "sha256": "0" * 64, "bytes": 1}])
    with pytest.raises(IntegrityError, match=r"model\.json.*plain file name"):
        read_spec(tmp_path)


def test_unknown_fields_and_wrong_types_are_named(tmp_path: Path, spec: ModelSpec) -> None:
    edit(tmp_path, revision="one", surprise=1)
    with pytest.raises(IntegrityError, match=r"(?s)revision.*surprise"):
        read_spec(tmp_path)


class TestRanges:
    def test_a_flipped_bit(self, tmp_path: Path, spec: ModelSpec) -> None:
        damaged = bytearray((tmp_path / RANGES).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (tmp_path / RANGES).write_bytes(damaged)
        with pytest.raises(IntegrityError, match=r"ranges\.npz: expected sha256"):
            read_spec(tmp_path)
        assert read_summary(tmp_path).name == spec.name  # a list needs no ranges

    def test_missing(self, tmp_path: Path, spec: ModelSpec) -> None:
        (tmp_path / RANGES).unlink()
        with pytest.raises(IntegrityError, match=r"ranges\.npz: missing"):
            read_spec(tmp_path)

    def test_a_link_out_of_the_folder(self, tmp_path: Path) -> None:
        make_model_folder(tmp_path / "model")
        (tmp_path / "model" / RANGES).rename(tmp_path / "outside.npz")
        (tmp_path / "model" / RANGES).symlink_to(tmp_path / "outside.npz")
        with pytest.raises(IntegrityError, match="link that leaves"):
            read_spec(tmp_path / "model")

    def test_no_array_of_that_name(self, tmp_path: Path, spec: ModelSpec) -> None:
        with_ranges(tmp_path, npz(other=np.zeros(3)))
        with pytest.raises(IntegrityError, match=r"model\.json.*no array 'predict/x/low': it has other"):
            read_spec(tmp_path)

    @pytest.mark.parametrize(
        "array", [np.zeros((3, 1)), np.zeros(3, "f4"), np.array([0, np.nan, 1]), np.array(["a", "b", "c"]), np.zeros(())]
    )
    def test_what_is_no_row_of_numbers(self, tmp_path: Path, spec: ModelSpec, array: np.ndarray) -> None:
        with_ranges(tmp_path, npz(**{"predict/x/low": array}))
        with pytest.raises(IntegrityError, match=r"ranges\.npz: predict/x/low: expected a row of finite|not a whole"):
            read_spec(tmp_path)

    def test_another_length(self, tmp_path: Path, spec: ModelSpec) -> None:
        with_ranges(tmp_path, npz(**{"predict/x/low": np.zeros(4)}))
        with pytest.raises(IntegrityError, match=r"model\.json.*4 bounds for a last axis"):
            read_spec(tmp_path)

    def test_pickles(self, tmp_path: Path, spec: ModelSpec) -> None:
        with_ranges(tmp_path, npz(**{"predict/x/low": np.array([{"a": 1}, None, 2], dtype=object)}))
        with pytest.raises(IntegrityError, match=r"not a whole \.npz of plain arrays"):
            read_spec(tmp_path)

    def test_a_bomb(self, tmp_path: Path, spec: ModelSpec) -> None:
        with_ranges(tmp_path, npz(**{"predict/x/low": np.zeros(2**24)}))
        with pytest.raises(IntegrityError, match="expected arrays of at most"):
            read_spec(tmp_path)

    def test_the_same_name_twice(self, tmp_path: Path, spec: ModelSpec) -> None:
        path = tmp_path / "twice.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("predict/x/low.npy", b"")
            with pytest.warns(UserWarning, match="Duplicate"):
                archive.writestr("predict/x/low.npy", b"")
        with_ranges(tmp_path, path.read_bytes())
        with pytest.raises(IntegrityError, match="twice"):
            read_spec(tmp_path)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (lambda spec: spec["tolerance"].update(absolute=-1.0), "greater than or equal to 0"),
        (lambda spec: spec["tolerance"].update(relative=1e999), "finite|Infinity|not plain JSON"),
        (lambda spec: spec["files"].append({**spec["files"][0], "sha256": "0" * 64}), "listed twice"),
        (lambda spec: spec["endpoints"]["predict"]["inputs"][0].update(low=3.0), "lies above its upper one"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(tmp_path, place, words):
    make_model_folder(tmp_path)
    content = json.loads((tmp_path / SPEC).read_text())
    content["files"] = content["files"] or [{"path": "a.txt", "sha256": "0" * 64, "bytes": 1}]
    place(content)
    (tmp_path / SPEC).write_text(json.dumps(content).replace("Infinity", "1e999"))
    with pytest.raises(IntegrityError, match=words):
        read_spec(tmp_path)
