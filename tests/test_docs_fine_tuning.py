"""Every command and block of docs/fine-tuning.md, on a few rows and for one epoch."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_stand_in import hub_stand_in
from quick_training import eagerly
from typer.testing import CliRunner

import zoo
from zoo.cli import app
from zoo.training import checks

PAGE = (Path(__file__).parents[1] / "docs" / "fine-tuning.md").read_text()
COMMANDS = [shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
CLIENT, PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

pytestmark = [pytest.mark.pages, pytest.mark.filterwarnings("ignore::UserWarning")]


def commands(word: str) -> Iterator[list[str]]:
    """Arguments of every command that starts with ``zoo`` and the word."""
    found = [command[1:] for command in COMMANDS if command[:2] == ["zoo", word]]
    assert found, f"the page has no zoo {word}"
    yield from found


def ok(arguments: list[str]) -> str:
    """Run in this process; what it printed."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def write(path: Path, spectra: np.ndarray, **columns: np.ndarray) -> None:
    header = ",".join([*(f"spectrum_{i}" for i in range(spectra.shape[1])), *columns])
    np.savetxt(path, np.column_stack([spectra, *columns.values()]), "%.9g", delimiter=",", header=header, comments="")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """With the page's files, as the working folder; its fine-tuned models are made."""
    from zoo.data.cmb.feature import CMBFeature

    rows = CMBFeature().rows("validation").some(200)
    spectra, columns = rows.inputs["spectrum"], {"feature": rows.target[:, 0], "sky": rows.group, "tilt": rows.truth["ns"]}
    folder = tmp_path_factory.mktemp("page")
    write(folder / "spectra.csv", spectra, **columns)
    write(folder / "rebinned.csv", spectra[:, :200].reshape(200, 100, 2).mean(axis=2), **columns)
    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.chdir(folder)
        for command in commands("finetune"):
            ok([*command, "--epochs", "1"])
        yield folder


def test_every_command_is_run_here():
    assert {tuple(command[:2]) for command in COMMANDS} == {("zoo", word) for word in ("finetune", "export", "serve", "push")}


def test_models(folder):
    """What the flags are said to do, they did."""
    assert zoo.load("./my-feature").spec.lineage.parent == "mlp-cmb-feature"
    assert zoo.load("./my-tilt").spec.endpoint("predict").outputs[0].name == "tilt"
    rebinned = zoo.load("./my-rebinned").spec.endpoint("predict").inputs[0]
    assert (rebinned.shape, len(rebinned.low)) == ([100], 100)
    assert len(list(folder.glob("*.run"))) == 4


def test_served(folder):
    """Exported, served on a free port and asked by the page's client."""
    for command in commands("export"):
        assert "parity" in ok(command)
    [serve] = commands("serve")
    with subprocess.Popen(
        [sys.executable, "-m", "zoo", *serve, "--port", "0"], stderr=subprocess.PIPE, text=True, cwd=folder
    ) as server:
        try:
            assert server.stderr is not None
            ready = server.stderr.readline()
            found = re.search(r'"port": (\d+)', ready)
            assert found, ready
            client = CLIENT.replace("127.0.0.1:8000", f"127.0.0.1:{found[1]}")
            answer = subprocess.run([sys.executable, "-c", client], capture_output=True, text=True, cwd=folder, check=True)
        finally:
            server.terminate()
    rows = np.loadtxt("spectra.csv", delimiter=",", skiprows=1, max_rows=3, usecols=range(215))
    np.testing.assert_allclose(json.loads(answer.stdout), np.asarray(zoo.load("./my-feature")(rows))[:, 0], atol=1e-5)


def test_pushed(folder, tmp_path, monkeypatch):
    [push] = commands("push")
    with hub_stand_in(monkeypatch, tmp_path / "cache") as hub:
        assert "hf://me/my-feature@" in ok(push)
        assert hub.repositories.keys() == {"me/my-feature"}


def test_python(folder, capsys):
    names: dict = {}
    with eagerly():
        exec(
            compile(PYTHON.replace('    target="feature"', '    epochs=1, target="feature"'), "docs/fine-tuning.md", "exec"),
            names,
        )
    assert "loss minus that from scratch" in capsys.readouterr().out
    assert np.shape(names["probability"]) == (3, 1)
    assert (folder / "my-feature-slowly" / "README.md").is_file()


def test_every_warning_is_explained():
    """Each text that the checks warn with has its row, by the words in italics."""
    source = re.sub(r'"\s*f?"', "", Path(checks.__file__).read_text())
    table = PAGE.split("| warning |")[1].split("## ")[0]
    said = re.findall(r"^\| .*?\*(.*?)\*", table, re.MULTILINE)
    assert len(said) == len(re.findall(r"warnings\.append\(", source)) + 1  # the one of repeated rows is returned
    for words in said:
        assert words.replace("only so many ", "") in source, words


def test_every_option_is_on_the_page():
    shown = ok(["finetune", "--help"])
    others = {"--port", "--precision", "--private"}  # of zoo serve, export and push
    for option in set(re.findall(r"(?<![-|])--[a-z][a-z-]*", PAGE)) - others:
        assert option in shown, option
