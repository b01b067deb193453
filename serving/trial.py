"""A graph that nobody vouches for is opened and run in a process of its own first, with limits of time and of memory.

ONNX Runtime computes what is constant while it opens a graph, and nothing in it can be stopped: a loop in a graph of a kilobyte
would hold up every other model for ever. What does not end, or ends the process, ends this one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.errors import IntegrityError
from zoo.model.onnx_bytes import OnnxBytes

SECONDS, SECONDS_PER_BYTE = 60.0, 1e-6
"""How long opening a graph and running it once may take; ONNX Runtime opens 100 MB of weights in a few seconds."""
BYTES, BYTES_PER_BYTE = 4 * 2**30, 8
"""How much memory that may take."""
_LENGTH = struct.Struct("<Q")


class Trials:
    """Processes that try graphs, each for as many as come while it lives; any number of threads may ask.

    Parameters
    ----------
    seconds : float
        How long one graph may take, besides what its size adds.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._busy: set[subprocess.Popen[bytes]] = set()
        self._closed = False

    def __call__(self, graph: OnnxBytes, inputs: Mapping[str, np.ndarray]) -> None:
        """Open a graph and run it.

        Parameters
        ----------
        graph : OnnxBytes
            The graph.
        inputs : mapping of str to ndarray
            What it is run on.

        Raises
        ------
        IntegrityError
            It takes too long or too much memory, ends the process, or ONNX Runtime refuses it.
        """
        process = self._take()
        seconds = self._seconds + SECONDS_PER_BYTE * len(graph.content)
        killer = threading.Timer(seconds, process.kill)
        killer.start()
        try:
            answer = _asked(process, graph.content, inputs)
        except (OSError, ValueError):  # it ended before it had read or answered
            answer = None
        finally:
            late = not killer.is_alive()
            killer.cancel()
            self._put_back(process, alive=answer is not None)
        if answer is None:
            raise IntegrityError(f"{graph.path}: {self._ended(process, seconds, late)}; it is no graph that can be served")
        if answer["error"] is not None:
            raise IntegrityError(f"{graph.path}: ONNX Runtime cannot run this graph: {answer['error']}")

    def close(self) -> None:
        """End all processes, also those at work: what waits for one is told so."""
        with self._lock:
            self._closed = True
            for process in (*self._idle, *self._busy):
                process.kill()
            for process in self._idle:
                _let_go(process)
            self._idle.clear()

    def rest(self) -> None:
        """End the processes that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            _let_go(process)

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise IntegrityError("this server is shutting down")
            process = self._idle.pop() if self._idle else _started()
            self._busy.add(process)
            return process

    def _put_back(self, process: subprocess.Popen[bytes], *, alive: bool) -> None:
        with self._lock:
            self._busy.discard(process)
            if alive and not self._closed:
                self._idle.append(process)
                return
        process.kill()
        _let_go(process)

    def _ended(self, process: subprocess.Popen[bytes], seconds: float, late: bool) -> str:
        if self._closed:
            return "this server is shutting down"
        if late:
            return f"opening it and running it on its test tensors took more than {seconds:.0f} s"
        code = process.returncode
        how = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
        return f"opening it or running it on its test tensors ended the process ({how})"


def _started() -> subprocess.Popen[bytes]:
    """A process that waits for graphs; it finds this package where this one did, and dies with its standard input."""
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def _let_go(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):  # what was still to be written has no reader
                stream.close()
    process.wait()


def _asked(process: subprocess.Popen[bytes], content: bytes, inputs: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    assert process.stdin is not None
    assert process.stdout is not None
    packed = io.BytesIO()
    np.savez(packed, **inputs)  # type: ignore[arg-type]  # numpy takes the arrays by their names
    for part in (content, packed.getbuffer()):
        process.stdin.write(_LENGTH.pack(len(part)))
        process.stdin.write(part)
    process.stdin.flush()
    line = process.stdout.readline()
    answer: dict[str, Any] | None = json.loads(line) if line else None
    return answer


def main() -> None:
    """Try graphs from standard input until it ends; one line of JSON each."""
    answers, sys.stdout = sys.stdout, sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which reaches the server too: it decides
    source = sys.stdin.buffer
    while (content := _part(source)) is not None and (packed := _part(source)) is not None:
        print(json.dumps({"error": _tried(content, packed)}), file=answers, flush=True)


def _part(source: IO[bytes]) -> bytes | None:
    length = source.read(_LENGTH.size)
    return source.read(*_LENGTH.unpack(length)) if len(length) == _LENGTH.size else None


def _tried(content: bytes, packed: bytes) -> str | None:
    """What ONNX Runtime says against a graph."""
    from zoo.serving.devices import open_graph

    _limit_memory(BYTES + BYTES_PER_BYTE * len(content))
    try:
        with np.load(io.BytesIO(packed), allow_pickle=False) as inputs:
            open_graph(OnnxBytes(Path("graph"), content)).run(None, dict(inputs))
    except Exception as error:  # ONNX Runtime's errors share no base of their own
        return str(error)[:500] or type(error).__name__
    return None


def _limit_memory(most: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, where the time alone is limited
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
