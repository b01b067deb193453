"""What readers in other languages get of an export, and ways to damage it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.export.client_files import write_client_files
from zoo.model.spec import TEST_TENSORS, onnx_file
from zoo.model.store import locate

Damage = Callable[[Path], None]
SPEC = "clients/model.json"
MEAN = "clients/encode/out/mean.npy"


def exported(name: str | Path, folder: Path) -> Path:
    """What they read of an export, made of the released graphs: exporting anew takes TensorFlow and a minute."""
    found = locate(name)
    folder.mkdir()
    for file in (TEST_TENSORS, *map(onnx_file, found.spec.endpoints)):
        shutil.copyfile(found.path(file), folder / file)
    write_client_files(folder, found.spec)
    return folder


def cut(file: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / file, size)


def save(file: str, array: np.ndarray) -> Damage:
    return lambda folder: np.save(folder / file, array)


def replace(file: str, old: bytes, new: bytes) -> Damage:
    """Another text in a file, at its first place."""

    def damage(folder: Path) -> None:
        content = (folder / file).read_bytes()
        assert old in content
        (folder / file).write_bytes(content.replace(old, new, 1))

    return damage


def put(value: Any, *path: str | int) -> Damage:
    """Another value in the spec, at a path of keys and positions."""

    def damage(folder: Path) -> None:
        spec = json.loads((folder / SPEC).read_text())
        *way, last = path
        place = spec
        for step in way:
            place = place[step]
        place[last] = value
        (folder / SPEC).write_text(json.dumps(spec))

    return damage


def misname(folder: Path) -> None:
    """An endpoint whose name leads out of the folder."""
    spec = json.loads((folder / SPEC).read_text())
    spec["endpoints"]["../predict"] = spec["endpoints"].pop("predict")
    (folder / SPEC).write_text(json.dumps(spec))


def swap(folder: Path) -> None:
    """The graph of another endpoint."""
    shutil.copyfile(folder / "predict.onnx", folder / "encode.onnx")


def shift_one(folder: Path) -> None:
    """A test tensor of which one element is off, where the tolerance of the others is wide."""
    put({"absolute": [9.0, 1e-3, 9.0], "relative": [0.0, 0.0, 0.0]}, *LATENT, "tolerance")(folder)
    np.save(folder / MEAN, np.load(folder / MEAN) + np.array([0, 0.5, 0], "f4"))


TRAJECTORY = ("endpoints", "predict", "inputs", 0)
TIME = ("endpoints", "predict", "inputs", 1)
DISPLACEMENT = ("endpoints", "predict", "outputs", 0)
LATENT = ("endpoints", "encode", "outputs", 0)
FREE = {"name": "moment", "least": 1, "most": 9}
DAMAGES: list[tuple[Damage, str]] = [
    (cut(SPEC, 0), "model.json: not the whole spec of a model .*: copy the exported folder again"),
    (cut(SPEC, 200), "model.json: not the whole spec of a model .*: copy the exported folder again"),
    (replace(SPEC, b"{", b"["), "model.json: not the whole spec of a model"),
    (put(1, "format"), "model.json: expected format 2, found 1: export the model again with the physzoo of this"),
    (put(3, "format"), "model.json: expected format 2, found 3: export the model again with the physzoo of this"),
    (put(None, "endpoints"), "model.json: (not the whole spec of a model|expected an endpoint)"),
    (put({}, "endpoints"), "model.json: expected an endpoint: copy"),
    (misname, "expected a plain name"),
    (put("../time", *TIME, "name"), "expected a plain name"),
    (put("__proto__", *TIME, "name"), "expected a plain name"),
    (put([], "endpoints", "predict", "outputs"), "expected inputs and outputs of predict"),
    (put("float16", *TIME, "dtype"), "expected float32, float64, int32, int64(,| or) bool as dtype"),
    (put({}, "tolerance"), "not the whole spec of a model|expected the tolerance of"),
    (put({"absolute": [1.0, 1.0], "relative": 0.0}, *LATENT, "tolerance"), "expected the tolerance of mean"),
    (shift_one, "encode mean: .*OUTSIDE THE TOLERANCE"),
    *((put(size, *TRAJECTORY, "axes", 0, "size"), "expected whole numbers above zero") for size in (0, -50, 1.5, "50", None)),
    (put(FREE | {"least": 10}, *TRAJECTORY, "axes", 0), "expected (least <= most|whole numbers above zero)"),
    (put([{"name": "a", "size": 999_999_999}] * 2, *TRAJECTORY, "axes"), "expected the shape of trajectory"),
    (put("abc", *TRAJECTORY, "low"), "expected the range of trajectory"),
    (put([-1.0, 2.0], *TRAJECTORY, "low"), "expected the range of trajectory"),
    (put("time", *TRAJECTORY, "mask"), "expected a bool input as the mask of trajectory"),
    (put("nothing", *TRAJECTORY, "mask"), "expected a bool input as the mask of trajectory"),
    (put("moment", *TRAJECTORY, "index_of"), "expected whole numbers along an axis as trajectory"),
    (put([50], *TRAJECTORY, "whole"), "expected elements of the last axis as the whole numbers of trajectory"),
    (put([FREE], *DISPLACEMENT, "axes"), "expected an input with the axis moment"),
    (put(51, *TRAJECTORY, "axes", 0, "size"), r"trajectory float32 \(batch, 51\) .* trajectory float32 \(batch, 50\)"),
    (put([FREE], *TRAJECTORY, "axes"), r"trajectory float32 \(batch, moment\) .* trajectory float32 \(batch, 50\)"),
    (put("float64", *TIME, "dtype"), r"time float64 \(batch, 1\) .* time float32 \(batch, 1\)"),
    (put("clock", *TIME, "name"), r"expected the inputs clock float32 \(batch, 1\)"),
    (cut(MEAN, 0), "mean.npy: expected a .npy file"),
    (cut(MEAN, 100), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 0 bytes"),
    (cut(MEAN, 300), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 172 bytes"),
    (save(MEAN, np.zeros((16, 3))), "mean.npy: expected float32 in C order"),
    (save(MEAN, np.zeros((16, 3), "i4")), "mean.npy: expected float32 in C order"),
    (save(MEAN, np.asfortranarray(np.zeros((16, 3), "f4"))), "mean.npy: expected float32 in C order"),
    (save(MEAN, np.zeros((15, 3), "f4")), r"mean.npy: expected shape \(16, 3\), found \(15, 3\)"),
    (save(MEAN, np.zeros((0, 3), "f4")), "mean.npy: expected rows"),
    (save(MEAN, np.zeros((16, 3), "f4")), "encode mean: .*OUTSIDE THE TOLERANCE"),
    (save(MEAN, np.full((16, 3), np.nan, "f4")), "encode mean: .* (inf|Infinity) .*OUTSIDE THE TOLERANCE"),
    (lambda folder: (folder / MEAN).unlink(), "mean.npy: cannot be read"),
]
"""Damage to an exported ive-pendulum, and what every reader says of it."""

_JET = ("endpoints", "tag", "inputs", 0, "jet")
_COUNT = "clients/pool/out/count.npy"
_SOFT = "clients/pool/out/soft.npy"
_STEPS = "clients/connect/out/steps.npy"
_KEPT = "clients/pool/out/kept.npy"
SET_DAMAGES: list[tuple[Damage, str]] = [
    (replace(SPEC, b'"particle"', b'"track"'), "expected (one length of|a bool input as the mask|an input with the axis)"),
    (
        lambda folder: (folder / SPEC).write_text((folder / SPEC).read_text().replace('"particle"', '"track"')),
        r"expected the inputs mask bool \(batch, track\) .*found the inputs mask bool \(batch, particle\)",
    ),
    (put(9, "endpoints", "pool", "outputs", 1, "axes", 0, "most"), "expected one length of particle"),
    (put("int32", "endpoints", "pool", "outputs", 2, "dtype"), r"count int32 \(batch\) .* count int64 \(batch\)"),
    (put("none", "endpoints", "connect", "inputs", 1, "index_of"), "expected whole numbers along an axis as edges"),
    (put({"radius": 0.4, "pt": [110, 90]}, *_JET), "expected radius and transverse momenta of the jets of constituents"),
    (put({"radius": -1, "pt": [90, 110]}, *_JET), "expected radius and transverse momenta of the jets of constituents"),
    (put({"radius": 0.4}, *_JET), "expected radius and transverse|not the whole spec of a model"),
    (put("float64", *_JET[:-1], "dtype"), "expected particles with a mask as constituents"),
    (save(_COUNT, np.array([5, 3, 1, 4], "i4")), "count.npy: expected int64 in C order"),
    (save(_COUNT, np.array([5, 3, 1, 5])), "pool count: 4 rows, largest .difference. 1(.0e.0)? .*OUTSIDE THE TOLERANCE"),
    (save(_SOFT, np.zeros((4, 5), "?")), "pool soft: .*OUTSIDE THE TOLERANCE"),
    (save(_SOFT, np.zeros((4, 9), "?")), r"soft.npy: expected rows of shape \(batch, particle 1-8\), found \(4, 9\)"),
    (save(_KEPT, np.zeros((4, 6, 3), "f4")), r"kept.npy: expected shape \(4, 5, 3\), found \(4, 6, 3\)"),
    (save(_STEPS, np.zeros((4, 7, 2), "f4")), "steps.npy: expected float64 in C order"),
    (save(_STEPS, np.full((4, 7, 2), 1e300)), "connect steps: .*OUTSIDE THE TOLERANCE"),
    (save("clients/connect/in/edges.npy", np.full((4, 7, 2), 3)), "expected positions from 0 to 2 along the axis node"),
]
"""Damage to the folder of ``set_graphs.set_folder``, and what every reader says of it."""
