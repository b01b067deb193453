"""To the Hub and back by its own library, against a stand-in: LFS files, a private repository, what breaks on the way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import ok, refused
from hub_stand_in import LFS, Hub, hub_stand_in
from huggingface_hub import ModelCard
from tiny_folder import make_model_folder

import zoo
from zoo.errors import ZooError
from zoo.model.registry import RELEASED
from zoo.model.spec import WEIGHTS
from zoo.model.store import locate
from zoo.workflows.folder import lineage_of

LARGE = bytes(range(256)) * 400


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_stand_in(monkeypatch, tmp_path / "cache") as stand_in:
        yield stand_in


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with a large file, which is no real one."""
    make_model_folder(tmp_path / "tiny", files={WEIGHTS: LARGE, "predict.onnx": b"graph"})
    return tmp_path / "tiny"


def test_a_model_comes_back_and_its_card_says_how(hub: Hub, tmp_path: Path) -> None:
    mine = shutil.copytree(RELEASED / "logistic-cmb-running", tmp_path / "mine")
    (mine / "notes.txt").write_text("mine alone")
    said = ok("push", mine, "hf://me/mine").split()[-1]
    address = re.search(r"hf://me/mine@[0-9a-f]{40}", said)[0]
    sent = hub.repositories["me/mine"].commits[address.partition("@")[2]]
    assert sent.keys() == {path.relative_to(mine).as_posix() for path in mine.rglob("*") if path.is_file()} - {"notes.txt"}
    assert set(hub.stored.values()) == {content for path, content in sent.items() if path.endswith(LFS)}
    assert "logistic-cmb-running revision 1" in ok("show", address)
    assert ok("predict", "hf://me/mine").count("probability")
    card = ModelCard(sent["README.md"].decode())
    assert card.data.library_name == "physzoo"
    assert {"physics", "cosmology", "cosmic-microwave-background", "keras"} <= set(card.data.tags)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", card.text, re.DOTALL)[1], names)
    assert names["model"].folder.folder.is_relative_to(tmp_path / "cache")
    assert lineage_of(names["model"], None).hub == "me/mine"
    with np.load(mine / "test_tensors.npz") as rows:
        np.testing.assert_allclose(names["answer"]["probability"], rows["predict/out/probability"], rtol=1e-5)


def test_a_commit_stays_what_it_was(hub: Hub, folder: Path) -> None:
    first = zoo.push(folder, "hf://me/tiny")
    make_model_folder(folder, files={WEIGHTS: LARGE[::-1], "predict.onnx": b"graph"}, revision="2")
    second = zoo.push(folder, "hf://me/tiny")
    assert locate(first).path(WEIGHTS).read_bytes() == LARGE
    assert locate("hf://me/tiny").path(WEIGHTS).read_bytes() == locate(second).path(WEIGHTS).read_bytes() == LARGE[::-1]


def test_a_private_one_is_for_who_has_its_token(
    hub: Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo.push(folder, "hf://me/tiny", private=True)
    assert hub.repositories["me/tiny"].private
    assert locate("hf://me/tiny").spec.name == "tiny-model"
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "of somebody else"))
    (line,) = refused("show", "hf://me/tiny").strip().splitlines()
    assert line.startswith("error: hf://me/tiny could not be fetched: ")
    assert "HF_TOKEN" in line
    (line,) = refused("push", folder, "hf://me/tiny").strip().splitlines()
    assert line.startswith("error: hf://me/tiny could not be written: ")
    assert not (tmp_path / "of somebody else" / "models--me--tiny" / "snapshots").exists()


def test_a_revision_or_a_name_that_is_not_there(hub: Hub, folder: Path) -> None:
    zoo.push(folder, "hf://me/tiny")
    (line,) = refused("show", "hf://me/tiny@v9").strip().splitlines()
    assert line.startswith("error: hf://me/tiny@v9 could not be fetched: ")
    assert "Revision Not Found" in line
    with pytest.raises(ZooError, match=r"hf://me/tinny could not be fetched: .*HF_TOKEN"):
        locate("hf://me/tinny")


def test_a_download_that_breaks_goes_on_where_it_was(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what of the last piece came is asked for again
    zoo.push(folder, "hf://me/tiny")
    hub.breaks = [5000]
    assert locate("hf://me/tiny").path(WEIGHTS).read_bytes() == LARGE
    assert "bytes=5000-" in hub.ranges


def test_a_download_that_breaks_for_good_leaves_nothing_half(hub: Hub, folder: Path, tmp_path: Path) -> None:
    _, _, commit = zoo.push(folder, "hf://me/tiny").partition("@")
    hub.breaks = [5000, 0, 0]
    with pytest.raises(ZooError, match="hf://me/tiny could not be fetched: "):
        locate("hf://me/tiny")
    for path in (tmp_path / "cache").rglob("snapshots/*/*"):
        assert path.read_bytes() == hub.repositories["me/tiny"].commits[commit][path.name]
    hub.breaks = []
    assert locate("hf://me/tiny").path(WEIGHTS).read_bytes() == LARGE
