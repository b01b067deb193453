"""Files of strangers with a fitting sha256: each is refused in one line, before it takes memory or time."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny_models
from command_line import refused
from tiny_folder import make_model_folder
from tiny_networks import CONFIGS, released
from triton_layout import write_repository

import zoo
from zoo.errors import IntegrityError, ReproductionError
from zoo.export import export
from zoo.families.bounds import at_most, check_config
from zoo.loading import load_weights
from zoo.model import model_json, registry, store, test_tensors
from zoo.model.card import prose_of, split
from zoo.model.integrity import InMemory, read
from zoo.model.model_json import read_spec, write_spec
from zoo.model.registry import get_family
from zoo.model.spec import CARD, RANGES, SPEC, TEST_TENSORS, WEIGHTS
from zoo.model.store import locate
from zoo.model.test_tensors import read_npz, read_test_tensors
from zoo.model.weights_file import plain_arrays
from zoo.serving import layouts
from zoo.serving.graph import Graph
from zoo.serving.server import Server
from zoo.serving.session import Session
from zoo.serving.verify import verify


def npy(shape: str, descr: str = "'<f4'", data: bytes = b"") -> bytes:
    """A ``.npy`` whose header announces a shape."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def encrypted() -> bytes:
    content = bytearray(npz(a=npy("(1,)", data=bytes(4))))
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + at] |= 1
    return bytes(content)


def damaged() -> bytes:
    content = bytearray(npz(a=npy("(1000,)", data=bytes(range(250)) * 16)))
    content[60:90] = bytes(30)
    return bytes(content)


NPZ = {
    "nothing": b"",
    "text": b"text",
    "a header of 10^12 elements": npz(a=npy("(1000000000000,)")),
    "a header of more elements than any number": npz(a=npy(f"({10**30},)")),
    "a header of less than there is": npz(a=npy("(1,)", data=bytes(8))),
    "negative lengths": npz(a=npy("(-2, -3)", data=bytes(24))),
    "elements of no size": npz(a=npy("(1000000000000,)", "'<U0'")),
    "Python objects": npz(a=npy("(1,)", "'|O'", b"cos\nsystem\n(S'true'\ntR.")),
    "a nested header": npz(a=npy("(" * 3000)),
    "a deep header": npz(a=npy("-" * 5000 + "1")),
    "no header": npz(a=b"\x93NUMPY\x01\x00\xff"),
    "a version that nobody knows": npz(a=b"\x93NUMPY\x09\x00" + bytes(200)),
    "text in a member": npz(a=b"text"),
    "an encrypted member": encrypted(),
    "damaged compression": damaged(),
}


@pytest.mark.parametrize("content", NPZ.values(), ids=NPZ)
def test_an_npz_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"x\.npz is not a whole \.npz of plain arrays"):
        read_npz(tmp_path / "x.npz")


def test_a_small_npz_of_large_arrays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(npz(a=npy("(1000000,)", data=bytes(4_000_000))))
    assert path.stat().st_size < 10_000
    assert read_npz(path)["a"].shape == (1_000_000,)
    with pytest.raises(IntegrityError, match="expected arrays of at most 3000000 bytes, these are 4000128"):
        read_npz(path, 3_000_000)
    monkeypatch.setattr(test_tensors, "MOST_BYTES", 3_000_000)
    with pytest.raises(IntegrityError, match="at most 3000000 bytes"):
        read_test_tensors(path, make_model_folder(tmp_path / "model"))


def test_the_arrays_are_those_that_numpy_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(3, 4)),
        "b": np.asfortranarray(rng.normal(size=(3, 4)).astype("f4")),
        "c/d": np.array(["µ", "ab"]),
        "e": np.array(1.5),
        "f": np.zeros((0, 3), np.int64),
        "g": np.array([True, False]),
        "h": rng.integers(0, 9, 5).astype(">i4"),
        "i": np.array([(1, 2.0)], [("ä", "i4"), ("y", "f8")]),  # version 3 of the header
    }
    np.savez(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
    found["a"][0] = 1  # they may be written to
    assert list(read_npz(tmp_path / "x.npz", prefix="c/")) == ["c/d"]


def with_tensors(folder: Path, change: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray] | bytes]) -> Path:
    """A tiny model with other test tensors, whose sha256 fits."""
    tiny_models.write_tiny_model(folder)
    with np.load(folder / TEST_TENSORS) as stored:
        changed = change(dict(stored))
    if isinstance(changed, bytes):
        (folder / TEST_TENSORS).write_bytes(changed)
    else:
        np.savez(folder / TEST_TENSORS, **changed)
    return rehashed(folder)


def rehashed(folder: Path, **fields: object) -> Path:
    spec = read_spec(folder)
    write_spec(folder, spec.model_copy(update={"files": tiny_models.files_of(folder), **fields}))
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: b"", "not a whole"),
        (lambda stored: {}, "no predict/in/spectrum"),
        (lambda stored: {key: array[:0] for key, array in stored.items()}, "expected rows of numbers, found float32"),
        (
            lambda stored: stored | {"encode/in/time": stored["encode/in/time"][:2]},
            "encode/in/time has 2 rows, others of encode",
        ),
        (lambda stored: stored | {"predict/out/probability": np.array(["a"] * 4)}, "expected rows of numbers, found <U1"),
        (lambda stored: stored | {"predict/out/probability": np.array(0.5)}, r"expected rows of numbers, found float64 \(\)"),
    ],
    ids=["empty file", "no tensors", "no rows", "other rows", "text", "no axis"],
)
def test_test_tensors_that_say_nothing_do_not_verify(tmp_path: Path, change, message: str) -> None:
    folder = with_tensors(tmp_path / "tiny", change)
    with pytest.raises(IntegrityError, match=rf"test_tensors\.npz .*{message}"):
        verify(folder)
    assert "test_tensors.npz" in refused("verify", folder)


def test_a_graph_that_cannot_be_run_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Graph, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise RuntimeError("Non-zero status code returned while running Gather node")

    folder = tiny_models.write_tiny_model(tmp_path / "tiny")
    monkeypatch.setattr(Graph, "run", fails)
    with pytest.raises(ReproductionError, match="tiny: predict cannot be run on its test tensors: Non-zero status"):
        verify(folder)
    assert refused("verify", folder).startswith("error: tiny: predict cannot be run")


def test_a_graph_that_answers_with_a_sequence_is_refused(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    folder = tiny_models.write_tiny_model(tmp_path / "tiny", endpoints=("predict",))
    graph = onnx.load(folder / "predict.onnx")
    graph.graph.node[-1].output[0] = "one"
    graph.graph.node.append(onnx.helper.make_node("SequenceConstruct", ["one"], ["probability"]))
    del graph.graph.output[:]
    kind = onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(1, None))
    graph.graph.output.append(onnx.helper.make_value_info("probability", kind))
    onnx.save(graph, folder / "predict.onnx")
    assert "predict.onnx" in refused("verify", rehashed(folder))


def deep(file: h5py.File) -> None:
    group = file
    for _ in range(1200):
        group = group.create_group("g")


def circle(file: h5py.File) -> None:
    file.create_group("a")["b"] = file


def doubled(file: h5py.File) -> None:
    """Sixty groups, each under two names in the one before: 2^60 ways."""
    group = file.create_group("0")
    for _ in range(60):
        below = group.create_group("a")
        group["b"] = below
        group = below


def huge(file: h5py.File) -> None:
    for number in range(100):
        file.create_dataset(str(number), (1000, 1000), "f8", chunks=(100, 100))


H5: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "a named type": (lambda file: file.__setitem__("t", np.dtype("f4")), "not a plain array"),
    "a circle": (circle, "under another name"),
    "many ways to one group": (doubled, "under another name"),
    "text": (lambda file: file.__setitem__("x", "text"), "not a plain array"),
    "no shape": (lambda file: file.__setitem__("x", h5py.Empty("f4")), "not a plain array"),
    "a link out": (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/")), "is a link"),
    "arrays that are not there": (huge, "claims 8000000 bytes"),
}


@pytest.mark.parametrize(("make", "message"), H5.values(), ids=H5)
def test_weights_that_are_none_are_refused(tmp_path: Path, make, message: str) -> None:
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(IntegrityError, match=message):
        load_weights(released("mlp"), path)


@pytest.mark.parametrize("make", [deep, lambda file: file.create_group("layers"), lambda file: file.__setitem__("layers", 1.0)])
def test_weights_of_something_else_are_refused(tmp_path: Path, make) -> None:
    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        make(file)
    with pytest.raises(IntegrityError, match="does not fit its model"):
        load_weights(released("mlp"), path)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path, random = tmp_path / "model.weights.h5", np.random.default_rng(0)
    model = released("mlp")
    model.save_weights(path)
    content = path.read_bytes()
    for _ in range(60):
        damaged = bytearray(content)
        for at in random.integers(0, len(content), 4):
            damaged[at] = random.integers(256)
        path.write_bytes(damaged[: random.integers(1, len(content)) if random.random() < 0.3 else None])
        with contextlib.suppress(IntegrityError):
            load_weights(model, path)


CONFIGS_OF_STRANGERS = {
    "mlp": [
        {"inputs": 10**6, "hidden": [10**6]},
        {"inputs": 7, "hidden": [5] * 20_000},
        {"inputs": 7, "hidden": [1] * 100_000},
        {"inputs": 7, "hidden": "text"},
        {"inputs": 7, "hidden": [[[]]]},
        {"inputs": 10**400, "hidden": [5]},
        {"inputs": 7, "hidden": [5], "name": 3},
    ],
    "maf": [
        {"dimensions": 7, "transforms": 20_000, "hidden": [9]},
        {"dimensions": 7, "transforms": 2, "hidden": [10**6, 10**6]},
        {"dimensions": 10**6, "transforms": 2, "hidden": [10**6]},
    ],
    "nsf": [{"dimensions": 7, "transforms": 2, "hidden": [9], "bins": 10**9}],
    "cnn3d": [{"size": 2000, "channels": [3, 4], "hidden": [5]}, {"size": 4, "channels": [10**5, 10**5], "hidden": [5]}],
    "beta-vae": [{"image": [10**4, 10**4, 3], "latents": 3, "convolutions": [[4, 4]], "hidden": 10**6}],
    "ensemble": [{"member": "mlp", "config": {"inputs": 7, "hidden": [5]}, "count": 10**6}],
    "boosted-trees": [{"inputs": 10**9}],
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("family", "config"), [(family, config) for family, configs in CONFIGS_OF_STRANGERS.items() for config in configs]
)
def test_a_config_is_no_larger_than_its_weights(tmp_path: Path, family: str, config: dict[str, object]) -> None:
    """Ten to the twelve weights, and layers without number, are refused before they take memory or time."""
    model = released("mlp")
    model.save_weights(tmp_path / WEIGHTS)
    make_model_folder(tmp_path / "model", files={WEIGHTS: (tmp_path / WEIGHTS).read_bytes()}, family=family, config=config)
    with pytest.raises(IntegrityError, match=f"family {family} does not take this config|does not fit its model"):
        zoo.load(tmp_path / "model")


@pytest.mark.parametrize("family", CONFIGS)
def test_a_config_that_fits_its_weights_is_built(tmp_path: Path, family: str) -> None:
    """Of no family does the file hold less than the bound takes."""
    model = released(family).bare()
    model.save_weights(tmp_path / WEIGHTS)
    arrays, numbers = plain_arrays(InMemory(WEIGHTS, (tmp_path / WEIGHTS).read_bytes()))
    check_config(CONFIGS[family], numbers)
    with at_most(arrays - 64, numbers - 2**16):
        get_family(family)(**CONFIGS[family])


@pytest.mark.timeout(60)
def test_a_card_that_is_a_pipe_or_a_link_out(tmp_path: Path, load, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe is not waited for, and what lies outside of the folder is not copied into a card that may be published."""
    card = make_and_spoil(tmp_path / "piped", os.mkfifo)
    assert prose_of(card, card.parent) is None
    with pytest.raises(IntegrityError, match=r"README\.md: expected a plain file"):
        split(card)
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    assert "piped" in registry.list_models()
    (tmp_path / "secret").write_text("---\nx: y\n---\nprivate")
    card = make_and_spoil(tmp_path / "linked", lambda path: path.symlink_to(tmp_path / "secret"))
    with pytest.raises(IntegrityError, match=r"README\.md is a link that leaves"):
        prose_of(card, card.parent)
    with pytest.raises(IntegrityError, match=r"README\.md is a link that leaves"):
        export(load("logistic-cmb-running"), tmp_path / "out", source=card.parent)
    assert not (tmp_path / "out").exists()


def make_and_spoil(folder: Path, spoil: Callable[[Path], object]) -> Path:
    """A released model's folder under another name, with something else in place of its card."""
    copied(folder)
    spoil(folder / CARD)
    return folder / CARD


def copied(folder: Path) -> Path:
    """A released model's folder under another name, without a card."""
    released_folder = locate("logistic-cmb-running")
    folder.mkdir()
    for file in released_folder.spec.files:
        shutil.copy(released_folder.path(file.path), folder)
    write_spec(folder, released_folder.spec.model_copy(update={"name": folder.name}))
    return folder


@pytest.mark.parametrize("use", ["load", "session", "server", "repository"])
def test_a_file_that_is_replaced_once_its_hash_agreed_is_not_read(tmp_path: Path, monkeypatch, use: str) -> None:
    """What is used are the bytes that were hashed: weights, arrays of the spec, test tensors and graphs."""
    replaced: set[str] = set()

    def read_and_replace(local: Path, *described) -> InMemory:
        content = read(local, *described)
        if local.is_relative_to(tmp_path):
            local.write_bytes(b"another file")
            replaced.add(local.name)
        return content

    folder = copied(tmp_path / "model")
    repository = write_repository(tmp_path / "repository", "1")
    for module in (store, model_json, layouts):
        monkeypatch.setattr(module, "read", read_and_replace)
    if use == "load":
        model, x = zoo.load(folder), np.zeros((1, 215), np.float32)
        assert replaced == {WEIGHTS, TEST_TENSORS, RANGES}
        np.testing.assert_array_equal(model(x), zoo.load("logistic-cmb-running", verify=False)(x))
    elif use == "session":
        Session(folder)
        assert replaced == {"predict.onnx", RANGES}
    else:
        Server([folder if use == "server" else repository]).repository.close()
        assert replaced >= {TEST_TENSORS, "predict.onnx" if use == "server" else "model.onnx"}


@pytest.mark.parametrize("size", [-1, 0, 10**12, 10**400])
def test_a_size_that_is_none_takes_no_memory(tmp_path: Path, size: int) -> None:
    """Python takes the memory of what it is asked to read before it reads."""
    folder = copied(tmp_path / "model")
    spec = json.loads((folder / SPEC).read_text())
    for file in spec["files"]:
        file["bytes"] = size
    (folder / SPEC).write_text(json.dumps(spec))
    for use in (zoo.load, Session, verify):
        with pytest.raises(IntegrityError, match=r"expected .*bytes, found \d+|files.*bytes"):
            use(folder)


def test_a_pipe_in_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    spec = make_model_folder(tmp_path / "model")
    (tmp_path / "model" / WEIGHTS).unlink()
    os.mkfifo(tmp_path / "model" / WEIGHTS)
    assert spec.file(WEIGHTS) is not None
    with pytest.raises(IntegrityError, match="not a plain file"):
        zoo.load(tmp_path / "model")
