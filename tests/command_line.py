"""The command line in this process, for the tests that use it."""

from __future__ import annotations

from typer.testing import CliRunner

from zoo.cli import app

runner = CliRunner()


def ok(*arguments: object) -> str:
    """Run in this process; what it printed."""
    result = runner.invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output
