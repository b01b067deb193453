"""A full disk is one error, which names the path, the bytes that it takes and those that are free; earlier results stay."""

from __future__ import annotations

import copy
import errno
import io
import re
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import refused
from quick_training import eagerly
from tiny_networks import released

import zoo
from zoo import space
from zoo.atomic import whole_file, whole_folder, whole_hdf5, write_whole
from zoo.data.cmb.simulate import SimulationConfig
from zoo.data.cmb.simulate import simulate as simulate_spectra
from zoo.data.nbody.simulate import NBodyConfig
from zoo.data.nbody.simulate import simulate as simulate_boxes
from zoo.errors import FullDiskError

SAID = r"was not written: File too large: (more than )?[\d,]+ bytes are needed and [\d,]+ are free there"


@contextmanager
def full_disk(most: int = 1000) -> Iterator[None]:
    """Let no file grow beyond so many bytes: writing past the limit fails as on a full disk, of which a test has none."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_names_what_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with full_disk(), pytest.raises(FullDiskError, match=r"a\.bin was not written: File too large: 12,345 bytes are needed"):
        write_whole(path, b"x" * 12_345)
    with full_disk(), pytest.raises(FullDiskError, match="more than 1,000 bytes are needed"), whole_file(path) as file:
        np.savez(file, np.zeros(10_000))
    with full_disk(), pytest.raises(FullDiskError, match=r"a\.bin was not written: No space left"), whole_file(path) as file:
        np.save(file, np.zeros(10_000))  # whose error has no number of the system's
    with full_disk(), pytest.raises(FullDiskError, match=SAID), whole_hdf5(path) as file:
        file["x"] = np.zeros(10_000)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["a.bin"])


def test_a_folder_names_itself_and_all_that_it_takes(tmp_path: Path) -> None:
    def make() -> None:
        with whole_folder(tmp_path / "model", overwrite=False, marker="a") as new:
            (new / "a").write_bytes(b"x" * 500)
            write_whole(new / "b", b"x" * 2000)

    with full_disk(), pytest.raises(FullDiskError, match="model was not written: File too large: more than 2,500 bytes are"):
        make()
    assert names(tmp_path) == []


def test_a_disk_that_is_really_full_has_as_few_bytes_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a library removes again after it failed is not forgotten."""
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=7000))
    error = space.no_space(tmp_path / "x", 20, OSError(errno.ENOSPC, "full"))
    assert str(error).startswith(f"{tmp_path / 'x'} was not written: No space left on device: more than 7,000 bytes are needed")


def test_the_error_comes_back_from_another_process() -> None:
    error = copy.copy(FullDiskError("/a/b", 10, 5, "full", exactly=True))
    assert (type(error), error.needed, error.free, error.errno) == (FullDiskError, 10, 5, errno.ENOSPC)
    assert str(error) == str(FullDiskError("/a/b", 10, 5, "full", exactly=True))


@pytest.mark.parametrize("family", ["mlp", "boosted-trees"])
def test_weights_are_whole_or_not_at_all(tmp_path: Path, family: str, load) -> None:
    """HDF5 itself ends the process with a segmentation fault."""
    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"old")
    model = load("gbt-halo-mass") if family == "boosted-trees" else released(family)
    with full_disk(), pytest.raises(FullDiskError, match=SAID):
        model.save_weights(path)
    assert (path.read_bytes(), names(tmp_path)) == (b"old", [path.name])
    model.save_weights(path)
    again = io.BytesIO(path.read_bytes())
    model.save_weights(path)
    assert path.read_bytes() == again.getvalue()


TRAIN = ["logistic-cmb-running", "--set", "epochs=1", "--set", "patience=1"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["train", *TRAIN, "--out"], marks=pytest.mark.slow, id="train --out"),
        ["calibrate", "mlp-cmb-feature", "--folder"],
        ["predict", "bvae-shapes3d", "--out"],
        ["explain", "mlp-cmb-feature", "--out"],
        ["export", "logistic-cmb-running", "--folder"],
        ["export", "logistic-cmb-running", "--repository"],
        ["simulate", "nbody", "--seeds", "0:1", "--particles", "8", "--jobs", "1", "--out"],
        ["simulate", "fields", "--numbers", "0:1", "--particles", "8", "--jobs", "1", "--out"],
    ],
    ids=lambda arguments: f"{arguments[0]} {arguments[-1]}",
)
def test_every_command_says_so(tmp_path: Path, arguments: list[str], load, exported) -> None:
    with eagerly(), full_disk():
        said = refused(*arguments, tmp_path / "out")
    assert re.search(rf"^error: {re.escape(str(tmp_path))}.* {SAID}", said, re.MULTILINE), said
    assert not [name for name in names(tmp_path) if name.endswith((".part", ".new", ".old"))]


def test_fine_tuning_says_so(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    spectra = zoo.load("logistic-cmb-running").baseline("spectrum") * rng.uniform(0.98, 1.02, (64, 1)).astype("f4")
    data = {"spectrum": spectra, "probability": np.tile([0.0, 1.0], 32), "sky": np.arange(64)}
    with eagerly(), full_disk(), pytest.raises(FullDiskError, match=SAID):
        zoo.fine_tune("logistic-cmb-running", data, folder=tmp_path / "mine", group="sky", epochs=1, batch_size=16)


def test_what_a_command_says_of_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    said = refused("predict", "logistic-cmb-running", "--out", tmp_path / "out")
    assert re.search(r"out was not written: No space left on device: more than [\d,]+ bytes are needed and", said)


def test_space_is_asked_for_before_a_long_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100_000))
    with pytest.raises(FullDiskError, match="16,777,216 bytes are needed and 100,000 are free"):
        simulate_boxes(tmp_path / "boxes", NBodyConfig(), [0, 1], jobs=1)
    with pytest.raises(FullDiskError, match="1,100,800 bytes are needed and 100,000 are free"):
        simulate_spectra(tmp_path / "spectra", SimulationConfig(cosmologies=80), jobs=1)
    said = refused("train", "mlp-cmb-feature", "--out", tmp_path / "run")
    assert re.search(r"checkpoint\.npz was not written: .* [\d,]+ bytes are needed and 100,000 are free", said)
