"""SECURITY.md: behind each sentence stands a test that is there; and those of its sentences that need one of their own."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from zoo.cli.deploy import serve as command
from zoo.serving.server import Server, Settings, serve

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ITEMS = re.findall(r"^- (.*?)(?=\n- |\n\n|\Z)", TEXT, re.MULTILINE | re.DOTALL)
TESTS = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: " ".join(item.split()[:6]))
def test_behind_each_sentence_stands_a_test(item: str) -> None:
    named = TESTS.findall(item)
    assert named, item
    for file, name in named:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_every_part_has_its_sentences() -> None:
    parts = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    assert len(ITEMS) > 30
    assert all(part.count("\n- ") >= 4 for part in parts)


def test_only_this_machine_reaches_a_server_unless_told() -> None:
    for function in (serve, command, Server.start):
        assert inspect.signature(function).parameters["host"].default == "127.0.0.1"
    assert Settings().control == "none"
    assert Settings().forwarded_allow_ips == ""
