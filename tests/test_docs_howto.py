"""Each command of docs/howto.md is one that can be given, and what it exports passes for where it is to run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command_line import ok

import zoo

PAGE = (Path(__file__).parents[1] / "docs" / "howto.md").read_text()
COMMANDS = re.findall(r"`zoo (\w.*?)`", PAGE)


@pytest.mark.parametrize("command", COMMANDS)
def test_options_and_models_are_there(command):
    words = shlex.split(command)
    shown = ok(*words[: 2 if words[0] == "simulate" else 1], "--help")
    assert [word for word in words if word.startswith("--") and word not in shown] == []
    models = [word for word in words if re.match(r"(mlp|ive|logistic|nsf|pfn|efn)-", word)]
    assert set(models) <= set(zoo.list_models())


@pytest.mark.pages
@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("export")])
def test_exports_run(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ok(*shlex.split(command))
