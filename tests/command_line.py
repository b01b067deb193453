"""The command line and scripts in this process, for the tests that use them: a process of its own imports TensorFlow anew."""

from __future__ import annotations

import contextlib
import io
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zoo.cli import app, main

runner = CliRunner()


def ok(*arguments: object) -> str:
    """Run in this process; what it printed."""
    result = runner.invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: object) -> str:
    """Run as ``zoo`` does, with an error for its end; what it wrote to stderr."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        patch.setattr(sys, "argv", ["zoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


def run_script(path: Path, *arguments: object) -> str:
    """Run a script with arguments, as ``python`` would; what it printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
    return printed.getvalue()
