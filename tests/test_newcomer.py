"""Someone with a CSV of 500 rows and no Keras: fine-tune, export, serve, each one command; and publish."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import ok, refused, runner
from hub_stand_in import Hub, hub_stand_in
from quick_training import eagerly

import zoo
from zoo.cli import app
from zoo.errors import IntegrityError, ZooError
from zoo.model.store import locate


@pytest.fixture(scope="module")
def spectra() -> tuple[np.ndarray, np.ndarray]:
    """500 spectra, and which of them have a feature."""
    from zoo.data.cmb.feature import CMBFeature

    rows = CMBFeature().rows("validation")
    chosen = np.random.default_rng(0).permutation(len(rows))[:500]
    return rows.inputs["spectrum"][chosen], rows.target[chosen, 0].astype(int)


@pytest.fixture(scope="module")
def mine(spectra, tmp_path_factory) -> Path:
    """The first command, on a CSV."""
    folder = tmp_path_factory.mktemp("newcomer")
    with (folder / "spectra.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"spectrum_{i}" for i in range(215)), "feature"])
        writer.writerows([*map(float, spectrum), label] for spectrum, label in zip(*spectra, strict=True))
    with eagerly():
        shown = ok(
            "finetune", "mlp-cmb-feature", "--data", folder / "spectra.csv", "--target", "feature",
            "--folder", folder / "my-feature", "--epochs", 2,
        )  # fmt: skip
    assert "accuracy minus" in shown
    return folder / "my-feature"


def test_second_command_exports(mine, tmp_path):
    assert "parity" in ok("export", mine, "--folder", tmp_path / "onnx")
    assert json.loads(ok("verify", tmp_path / "onnx", "--json"))["ok"]
    assert json.loads(ok("verify", mine, "--json"))["ok"]
    assert "my-feature revision 1" in ok("show", mine)


def test_third_command_serves(mine, spectra):
    """As a process of its own, asked over HTTP for what Keras answers."""
    spectrum = spectra[0][:3]
    expected = np.asarray(zoo.load(mine)(spectrum))
    command = [sys.executable, "-m", "zoo", "serve", str(mine), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            found = re.search(r'"port": (\d+)', server.stderr.readline())
            assert found, "the server did not start"
            tensor = {"name": "spectrum", "shape": [3, 215], "datatype": "FP32", "data": spectrum.ravel().tolist()}
            request = urllib.request.Request(
                f"http://127.0.0.1:{found[1]}/v2/models/my-feature/infer", json.dumps({"inputs": [tensor]}).encode()
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)["outputs"][0]["data"]
        finally:
            server.terminate()
    np.testing.assert_allclose(answer, expected[:, 0], atol=1e-5)


def test_its_name_is_found_on_the_path(mine, monkeypatch):
    monkeypatch.setenv("ZOO_PATH", str(mine.parent))
    assert "my-feature" in zoo.list_models()
    spec = zoo.load("my-feature").spec
    assert spec.lineage.parent == "mlp-cmb-feature"
    assert spec.data.fields == zoo.get_spec("mlp-cmb-feature").data.fields


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "feature", "--unfreeze", "tail"), "no trainable block of the model named 'tail'"),
        (("--target", "featur"), "did you mean feature"),
        ((), "expected a target column probability .* say which it is, --target NAME"),
        (
            ("--target", "feature", "--task", "ranking", "--outputs", "1"),
            "task: expected 'classification' or 'regression'",
        ),
        (("--target", "feature", "--columns", "spectrum"), "expected --columns NAME=VALUE, given 'spectrum'"),
        (("--target", "feature", "--group", "sky"), "no column of .* named 'sky'"),
    ],
)
def test_wrong_words(mine, arguments, message, tmp_path):
    data = mine.parent / "spectra.csv"
    given = ["mlp-cmb-feature", "--data", str(data), "--folder", str(tmp_path / "x"), *arguments]
    result = runner.invoke(app, ["finetune", *given])
    assert isinstance(result.exception, ZooError)
    assert re.search(message, str(result.exception)), result.exception
    assert not (tmp_path / "x").exists()


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    with hub_stand_in(monkeypatch, tmp_path / "cache") as stand_in:
        yield stand_in


def test_it_is_published_and_loaded_from_there(mine, spectra, hub):
    address = re.search(r"hf://me/my-feature@\w+", ok("push", mine, "hf://me/my-feature"))[0]
    model = zoo.load(address)
    np.testing.assert_array_equal(np.asarray(model(spectra[0][:3])), np.asarray(zoo.load(mine)(spectra[0][:3])))


def test_without_a_network_it_is_one_line(tmp_path, monkeypatch):
    """By the Hub's own library, which finds nobody there; whichever HTTP library it has, whose errors share no base."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    released = Path(locate("logistic-cmb-running").folder)
    for said in (refused("push", released, "hf://me/mine"), refused("verify", "hf://me/mine")):
        (line,) = said.strip().splitlines()
        assert line.startswith("error: hf://me/mine could not be ")


def test_nothing_wrong_is_published(mine, hub, tmp_path):
    with pytest.raises(ZooError, match="expected hf://owner/name, given 'me/my-feature'"):
        zoo.push(mine, "me/my-feature")
    with pytest.raises(ZooError, match=r"could not be written: .*403"):
        zoo.push(mine, "hf://nobody/my-feature")
    broken = shutil.copytree(mine, tmp_path / "broken")
    (broken / "model.weights.h5").write_bytes(b"no weights")
    with pytest.raises(IntegrityError, match=r"model\.weights\.h5"):
        zoo.push(broken, "hf://me/broken")
    (tmp_path / "secret.md").write_text("---\nx: y\n---\nprivate")
    for spoil in (lambda path: path.symlink_to(tmp_path / "secret.md"), os.mkfifo):
        for name in ("README.md", "figures/roc.png"):
            hostile = shutil.copytree(mine, tmp_path / "hostile", dirs_exist_ok=True)
            (hostile / name).parent.mkdir(exist_ok=True)
            (hostile / name).unlink(missing_ok=True)
            spoil(hostile / name)
            with pytest.raises(IntegrityError, match=f"{Path(name).stem}.* (is a link that leaves|expected a plain file)"):
                zoo.push(hostile, "hf://me/hostile")
            shutil.rmtree(hostile)
    assert not hub.repositories
