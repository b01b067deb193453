"""Graphs that never end, or end the process, hold up nothing but themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_models
from hostile_graphs import as_many_as_the_largest_input, large, loop, put_in
from tiny_models import WIDTH

from zoo.errors import IntegrityError
from zoo.model.onnx_bytes import OnnxBytes
from zoo.serving.trial import SECONDS, Trials
from zoo.serving.verify import verify

ROWS = {"spectrum": np.zeros((2, WIDTH), np.float32)}


@pytest.fixture
def trials() -> Iterator[Trials]:
    trials = Trials()
    yield trials
    trials.close()


def test_one_process_tries_graph_after_graph(trials: Trials) -> None:
    for times in (1, 5):
        trials(OnnxBytes(Path("good.onnx"), loop(times)), ROWS)
    [process] = trials._idle
    with pytest.raises(IntegrityError, match=r"bad\.onnx: ONNX Runtime cannot run this graph.*spectrum"):
        trials(OnnxBytes(Path("bad.onnx"), loop(1)), {"spectrum": np.zeros((2, WIDTH + 1), np.float32)})
    assert trials._idle == [process]
    trials.rest()
    assert process.returncode == 0


def test_what_never_ends_is_ended(trials: Trials) -> None:
    trials._seconds = 1
    with pytest.raises(IntegrityError, match=r"endless\.onnx: opening it.*took more than 1 s"):
        trials(OnnxBytes(Path("endless.onnx"), loop(10**18)), ROWS)
    trials._seconds = SECONDS  # starting a process takes longer than a second on a busy machine
    trials(OnnxBytes(Path("good.onnx"), loop(1)), ROWS)


def test_what_takes_all_memory_is_refused(trials: Trials) -> None:
    with pytest.raises(IntegrityError, match=r"large\.onnx: ONNX Runtime cannot run this graph"):
        trials(OnnxBytes(Path("large.onnx"), large(10**10)), ROWS)


def test_what_ends_the_process_is_told(trials: Trials) -> None:
    trials(OnnxBytes(Path("good.onnx"), loop(1)), ROWS)
    trials._idle[0].kill()  # as a fault of a library would
    with pytest.raises(IntegrityError, match=r"fatal\.onnx: .*ended the process \(SIGKILL\)"):
        trials(OnnxBytes(Path("fatal.onnx"), loop(1)), ROWS)
    trials(OnnxBytes(Path("good.onnx"), loop(1)), ROWS)


def test_verify_ends(tmp_path: Path, trials: Trials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.serving.verify.Trials", lambda: trials)
    folder = tiny_models.write_tiny_model(tmp_path / "tiny", endpoints=("predict",))
    assert verify(folder).ok
    trials = Trials(seconds=1)
    monkeypatch.setattr("zoo.serving.verify.Trials", lambda: trials)
    with pytest.raises(IntegrityError, match="took more than 1 s"):
        verify(put_in(folder, loop(10**18)))


def child_of(process: int) -> bool:
    """Whether a process has one of its own."""
    tasks = Path(f"/proc/{process}/task")
    return any((task / "children").read_text().strip() for task in tasks.iterdir())


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks processes up as Linux shows them")
def test_a_server_goes_on_beside_it_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    models = tmp_path / "models"
    tiny_models.write_tiny_model(models / "good", name="good", endpoints=("predict",))
    options = ["--port", "0", "--model-control", "poll", "--poll", "0.1"]
    command = [sys.executable, "-m", "zoo", "serve", str(models), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stderr.readline())
            assert ready["models"] == ["good"]
            hostile = put_in(
                tiny_models.write_tiny_model(tmp_path / "hostile", name="hostile", endpoints=("predict",)), loop(10**18)
            )
            os.rename(hostile, models / "hostile")
            end = time.monotonic() + 30
            while not child_of(process.pid):
                assert time.monotonic() < end
                time.sleep(0.05)
            with urllib.request.urlopen(f"http://127.0.0.1:{ready['port']}/v2/models/good/ready") as response:
                assert response.status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()


def test_a_server_ends_while_a_graph_runs_on(tmp_path: Path) -> None:
    """One that ends on its test tensors, and not on what a client sends."""
    folder = put_in(tiny_models.write_tiny_model(tmp_path / "tiny", endpoints=("predict",)), as_many_as_the_largest_input())
    with np.load(folder / "test_tensors.npz") as stored:
        spectra = np.minimum(stored["predict/in/spectrum"], 0.5)
    answers = spectra.mean(axis=1, keepdims=True)
    np.savez(folder / "test_tensors.npz", **{"predict/in/spectrum": spectra, "predict/out/probability": answers})
    put_in(folder, (folder / "predict.onnx").read_bytes())
    command = [sys.executable, "-m", "zoo", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = json.loads(process.stderr.readline())
            tensor = {"name": "spectrum", "datatype": "FP32", "shape": [1, WIDTH], "data": [1e18] * WIDTH}
            body = {"inputs": [tensor], "parameters": {"timeout": 200_000, "allow_out_of_range": True}}
            url = f"http://127.0.0.1:{ready['port']}/v2/models/tiny/infer"
            with pytest.raises(urllib.error.HTTPError, match="504"):
                urllib.request.urlopen(url, json.dumps(body).encode(), timeout=20)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
            assert "does not end" in process.stderr.read()
        finally:
            process.kill()
