"""Every client of docs/clients.md, as it stands there, and what a client gets that asks for what is not there."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from live_server import running
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from zoo.serving.server import Server

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "clients.md").read_text()
MOMENTA = np.array([[[1, 2, 3], [3, 4, 5], [0, 0, 0]]], np.float32)
MASK = np.array([[True, True, False]])
MEAN = ["2.0", "3.0", "4.0"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page's first commands: the model by its example, and the folder served by its plain name."""
    (make, serve) = blocks("bash")[0].splitlines()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("work"))
        program, script, *arguments = shlex.split(make)
        assert program == "python"
        patch.setattr(sys, "argv", [script, *arguments])
        runpy.run_path(str(ROOT / script), run_name="__main__")
        zoo, command, folder, *options = shlex.split(serve)
        assert (zoo, command, options) == ("zoo", "serve", ["--grpc-port", "8001"])
        server = Server([folder])
    with running(server):
        yield server


def here(code: str, server: Server) -> str:
    return code.replace("localhost:8000", f"127.0.0.1:{server.port}").replace("localhost:8001", f"127.0.0.1:{server.grpc_port}")


def test_python(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Triton's clients of REST and gRPC, and requests."""
    pytest.importorskip("requests")
    programs = blocks("python")
    assert len(programs) == 3
    for program in programs:
        exec(compile(here(program, server), "docs/clients.md", "exec"), {})
    assert re.findall(r"[\d.]+", capsys.readouterr().out.replace(". ", ".0 ").replace(".]", ".0]")) == MEAN * 3


def test_curl(server: Server) -> None:
    curl = shutil.which("curl")
    if curl is None or "--json" not in subprocess.run([curl, "--help", "all"], capture_output=True, text=True).stdout:
        pytest.skip("curl 7.82 has --json")
    [command] = blocks("sh")
    done = subprocess.run(["sh", "-c", here(command, server)], capture_output=True, text=True, check=True)
    assert '"data": [2.0, 3.0, 4.0]' in done.stdout


def test_java(server: Server, tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("takes a JDK")
    [program] = blocks("java")
    (tmp_path / "Ask.java").write_text(here(program, server))
    done = subprocess.run(["java", "Ask.java"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("200 "), done.stderr
    assert '"data": [2.0, 3.0, 4.0]' in done.stdout


@pytest.mark.slow  # generated code takes a minute to compile
def test_cpp(server: Server, tmp_path: Path) -> None:
    missing = [name for name in ("g++", "protoc", "grpc_cpp_plugin", "pkg-config") if shutil.which(name) is None]
    if missing or subprocess.run(["pkg-config", "--exists", "grpc++", "protobuf"], check=False).returncode:
        pytest.skip(f"takes gRPC for C++ {missing or ''}")
    [program], [build] = blocks("cpp"), blocks("shell")
    (tmp_path / "ask.cpp").write_text(here(program, server))
    build = build.replace("$(python ", f"$({sys.executable} ")
    built = subprocess.run(["sh", "-ec", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    done = subprocess.run(["./ask"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "3", "4"]


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize(
    ("model", "momenta", "mask", "status", "words"),
    [
        ("jet-mean.encode", MOMENTA, MASK, 404, "no served model named 'jet-mean.encode'; did you mean jet-mean?"),
        ("jet-mean", MOMENTA[..., :2], MASK, 400, "'momenta': expected shape [batch, particles 1-64, 3], given [1, 3, 2]"),
        ("jet-mean", np.zeros((1, 65, 3), np.float32), np.zeros((1, 65), bool), 400, "particles 1-64"),
        ("jet-mean", MOMENTA, MASK[:, :2], 400, "mask"),
        ("jet-mean", MOMENTA, np.repeat(MASK, 2, axis=0), 400, "mask"),
    ],
)
def test_what_is_refused_is_named(
    server: Server, kind: str, model: str, momenta: np.ndarray, mask: np.ndarray, status: int, words: str
) -> None:
    module = {"http": tritonclient.http, "grpc": tritonclient.grpc}[kind]
    inputs = []
    for name, array in (("momenta", momenta), ("mask", mask)):
        inputs.append(module.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype)))
        inputs[-1].set_data_from_numpy(array)
    with (
        module.InferenceServerClient(f"127.0.0.1:{server.port if kind == 'http' else server.grpc_port}") as client,
        pytest.raises(InferenceServerException) as caught,
    ):
        client.infer(model, inputs)
    codes = {400: ("400", "StatusCode.INVALID_ARGUMENT"), 404: ("404", "StatusCode.NOT_FOUND")}
    assert caught.value.status() in codes[status]
    assert words in caught.value.message()
