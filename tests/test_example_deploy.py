"""The tutorial examples/deploy.py, in its short form: real commands, a real server, real clients."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

for module in ("tensorflow", "tf2onnx", "tritonclient.http", "tritonclient.grpc"):
    pytest.importorskip(module)
SCRIPT = Path(__file__).parents[1] / "examples" / "deploy.py"


def test_short_form(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "deploy"), "--short"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for way in ("REST", "gRPC"):
        assert f"{way}: my-classifier: probability (16, 1)" in ran.stdout
        assert f"{way}: my-classifier.explain: spectrum_gradient (16, 215)" in ran.stdout
    failed, sent = map(int, re.search(r"(\d+) of (\d+) requests failed", ran.stdout).groups())
    assert failed == 0
    assert sent > 50
    answers = dict(re.findall(r"version (\d): \d+ answers, probability (\S+)", ran.stdout))
    assert answers.keys() == {"1", "2"}
    assert answers["1"] != answers["2"]
    made = tmp_path / "deploy"
    assert (made / "deploy.png").stat().st_size > 10_000
    for model in ("my-classifier", "my-classifier.explain"):
        assert {path.parent.name for path in (made / "repository" / model).glob("*/model.onnx")} == {"1", "2"}
