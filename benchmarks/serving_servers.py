"""Servers to compare: ours, and each peer in an environment of its own, made with pip where it is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

PEERS = {"mlserver": "mlserver==1.7.1", "kserve": "kserve==0.21.0", "ray": "ray[serve]==2.60.0"}
SPOKEN = {"mlserver": ("json", "grpc"), "kserve": ("rest", "grpc"), "ray": ("rest",)}
"""What each peer speaks; ``rest`` is with binary tensors."""

_PROGRAMS = Path(__file__).with_name("serving_peers")
_START_SECONDS = 300


def ours(folder: Path) -> list[str]:
    """``zoo serve`` on a folder, up to the ports."""
    return [sys.executable, "-m", "zoo", "serve", str(folder)]


def nothing(folder: Path) -> list[str]:
    """A program that answers without a model, up to the ports."""
    return [sys.executable, str(_PROGRAMS / "on_nothing.py"), str(folder)]


def peer(name: str, venvs: Path, folder: Path) -> list[str]:
    """A peer's program on a folder, up to the ports."""
    return [str(_python(name, venvs)), str(_PROGRAMS / f"on_{name}.py"), str(folder)]


def found(venvs: Path) -> list[str]:
    """The peers that have an environment."""
    return [name for name in PEERS if _python(name, venvs).is_file()]


def install(name: str, venvs: Path) -> None:
    """Make a peer's environment, with the ONNX Runtime of this one."""
    subprocess.run([sys.executable, "-m", "venv", str(venvs / name)], check=True)
    runtime = f"onnxruntime=={version('onnxruntime')}"
    subprocess.run([str(_python(name, venvs)), "-m", "pip", "install", "--quiet", PEERS[name], runtime], check=True)


def _python(name: str, venvs: Path) -> Path:
    return venvs.absolute() / name / "bin" / "python"


@contextmanager
def running(command: Sequence[str]) -> Iterator[tuple[dict[str, str], int]]:
    """Run a server on free ports once it is ready; gives the address of each protocol, and the process."""
    rest, grpc = _free_port(), _free_port()
    ports = ["--port", str(rest), "--grpc-port", str(grpc)] if "zoo" in command else [str(rest), str(grpc)]
    process = subprocess.Popen([*command, *ports], stdout=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{rest}/v2/health/ready", process)
        yield {"rest": f"127.0.0.1:{rest}", "json": f"127.0.0.1:{rest}", "grpc": f"127.0.0.1:{grpc}"}, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server did not start: {' '.join(map(str, process.args))}")


def processor_seconds(process: int) -> float:
    """Processor time so far of a process and its descendants, which does not depend on what else the machine does."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        number = int(stat.parent.name)
        parents[number], used[number] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    family = {process}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used[member] for member in family)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port
