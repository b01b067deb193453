"""Every command of docs/notebook.md."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_notebook(tmp_path: Path) -> None:
    """The blocks in one fresh interpreter, the server on free ports, and no TensorFlow in it."""
    [serve] = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line.startswith("zoo ")]
    command = [sys.executable, "-m", "zoo", *shlex.split(serve)[1:], "--port", "0", "--grpc-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        ready = server.stderr.readline()
        found = re.search(r'"port": (\d+)', ready)
        if found is None:
            pytest.fail(ready)
        program = "\n".join(block for kind, block in BLOCKS if kind == "python")
        program = program.replace("127.0.0.1:8000", f"127.0.0.1:{found[1]}")
        program += "\nimport sys\nassert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
        server.terminate()
    assert result.returncode == 0, result.stderr
    assert "muK^2" in result.stdout
    assert "outside the trained range" in result.stdout
    assert "ive-pendulum.encode" in result.stdout
