"""The commands of docs/triton.md, as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from live_server import running

pytest.importorskip("onnx")
pytest.importorskip("tritonclient.grpc")
from typer.testing import CliRunner

from zoo.cli import app
from zoo.export import add_to_repository
from zoo.model.model_json import write_spec
from zoo.model.spec import File, onnx_file
from zoo.model.store import locate
from zoo.serving.server import Server

PAGE = (Path(__file__).parents[1] / "docs" / "triton.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    released = locate("ive-pendulum")
    for revision in ("1", "2"):
        folder = Path(f"my-pendulum-{revision}")
        folder.mkdir()
        for name in [*map(onnx_file, released.spec.endpoints), "test_tensors.npz"]:
            shutil.copyfile(released.path(name), folder / name)
        files = [File.of(path) for path in sorted(folder.iterdir())]
        spec = released.spec.model_copy(update={"name": "my-pendulum", "revision": revision, "files": files})
        write_spec(folder, spec)
    CliRunner().invoke(app, ["export", "./my-pendulum-1", "--repository", "models"], catch_exceptions=False)
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 2
    for program, *arguments in commands:
        assert program == "zoo"
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    for path in ("kserve.yaml", "ive-pendulum.encode/1/model.onnx", "mlp-cmb-feature/probability_labels.txt"):
        assert (tmp_path / "models" / path).is_file()
    assert {path.name for path in (tmp_path / "models" / "my-pendulum").glob("*/model.onnx")} == {"model.onnx"}
    assert (tmp_path / "models" / "my-pendulum" / "2" / "model.onnx").is_file()
    assert "storageUri: s3://bucket/models" in (tmp_path / "models" / "kserve.yaml").read_text()
    [serve] = re.findall(r"`(zoo serve .*?)`", PAGE.partition("## Serve it")[2])
    servers = []
    monkeypatch.setattr("zoo.serving.server.serve", lambda names, **_: servers.append(Server(names)))
    CliRunner().invoke(app, shlex.split(serve)[1:], catch_exceptions=False)
    index = {(row["name"], row["version"]): row["state"] for row in servers[0].repository.index()}
    assert set(index.values()) == {"READY"}
    assert {("ive-pendulum", "1"), ("ive-pendulum.encode", "1"), ("my-pendulum", "1"), ("my-pendulum", "2")} <= index.keys()


def test_client(tmp_path, capsys):
    """The page's client against the embedded server on the page's repository."""
    code, _ = blocks("python")  # the other: test_ray_serve
    add_to_repository("ive-pendulum", tmp_path / "models")
    with running(Server([tmp_path / "models"])) as address:
        exec(compile(code.replace("localhost:8000", address), "docs/triton.md", "exec"), {})
    assert len(capsys.readouterr().out.strip("[] \n").split()) == 3
