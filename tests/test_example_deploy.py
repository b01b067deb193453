"""The tutorial examples/deploy.py, in its short form: its commands in this process, a real server, real clients."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from command_line import ok, run_script

pytestmark = pytest.mark.pages

for module in ("tensorflow", "tf2onnx", "tritonclient.http", "tritonclient.grpc"):
    pytest.importorskip(module)
SCRIPT = Path(__file__).parents[1] / "examples" / "deploy.py"


def test_short_form(tmp_path, monkeypatch):
    def run(command, *, check):
        zoo, *arguments = command
        assert (zoo.name, check) == ("zoo", True)
        ok(*arguments)

    monkeypatch.setattr(subprocess, "run", run)
    printed = run_script(SCRIPT, tmp_path / "deploy", "--short")
    for way in ("REST", "gRPC"):
        assert f"{way}: my-classifier: probability (16, 1)" in printed
        assert f"{way}: my-classifier.explain: spectrum_gradient (16, 215)" in printed
    failed, sent = map(int, re.search(r"(\d+) of (\d+) requests failed", printed).groups())
    assert failed == 0
    assert sent > 50
    answers = dict(re.findall(r"version (\d): \d+ answers, probability (\S+)", printed))
    assert answers.keys() == {"1", "2"}
    assert answers["1"] != answers["2"]
    made = tmp_path / "deploy"
    assert (made / "deploy.png").stat().st_size > 10_000
    for model in ("my-classifier", "my-classifier.explain"):
        assert {path.parent.name for path in (made / "repository" / model).glob("*/model.onnx")} == {"1", "2"}
