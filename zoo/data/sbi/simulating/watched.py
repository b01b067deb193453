"""Processes of this machine that simulate and are watched.

A watched process has one task at a time and tells in a file which of its rows it is at. So it is known which parameters a
process ended at, or hangs at; that row is given up, the process replaced, and the other rows of its task are run again.
"""

from __future__ import annotations

import functools
import mmap
import os
import pickle
import re
import signal
import struct
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np

from zoo.data.sbi.simulating.answers import Calls, Part
from zoo.data.sbi.simulating.failures import Elsewhere, SimulationError, described
from zoo.data.sbi.simulating.handing_out import Tasks
from zoo.errors import InputError, option

TICK = 0.2
"""Seconds after which who waits for rows is woken."""
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""What starts threads, which share the cores with the processes."""


def sendable(calls: Calls, rows: np.ndarray, theta: np.ndarray, starts: Callable[[int], None] | None = None) -> Part:
    """A part whose error can be sent to another process, which one of a user's class need not."""
    part = calls.part(rows, theta, starts)
    if part.error is not None:
        part.error = Elsewhere(type(part.error).__name__, str(part.error), "".join(traceback.format_exception(part.error)))
    return part


class _Worker:
    """A process that simulates one task at a time, and the file in which it tells its place."""

    def __init__(self, file: Path, start: Callable[[], Any]) -> None:
        file.write_bytes(struct.pack("q", -1))
        self.file, self.start = file, start
        self.executor: Any = None
        self.future: Future[Part] | None = None
        self.rows = np.empty(0, int)

    def give(self, rows: np.ndarray, theta: np.ndarray) -> None:
        self.file.write_bytes(struct.pack("q", -1))
        self.rows, self.seen, self.waited, self.looked = rows, -1, 0.0, time.monotonic()
        for _ in range(2):
            self.executor = self.executor or self.start()
            try:
                self.future = self.executor.submit(_work, str(self.file), rows, theta)
                return
            except BrokenProcessPool:  # it was ended while it had nothing to do
                self.end()
        raise SimulationError("simulator: its process ends before it gets a task; memory may be short")

    @property
    def place(self) -> int:
        """The row that it is at, counted in its task; -1 before the first and after the last."""
        return struct.unpack("q", self.file.read_bytes())[0]

    def late(self, limit: float) -> bool:
        """Whether a row takes longer than a limit; time in which this process was stopped does not count."""
        now, place = time.monotonic(), self.place
        self.waited = 0.0 if place != self.seen else self.waited + min(now - self.looked, 5 * TICK)
        self.seen, self.looked = place, now
        return place >= 0 and self.waited > limit

    def end(self) -> None:
        """End the process and what it has started."""
        self.future = None
        if self.executor is not None:
            self.executor.shutdown(wait=True, kill_workers=True)
            self.executor = None


class Watched:
    """Processes of this machine, each with one task at a time."""

    def __init__(self, calls: Calls, processes: int, timeout: float | None, folder: Path) -> None:
        import joblib

        self.calls, self.timeout = calls, timeout
        self.tick = TICK if timeout is None else min(TICK, timeout / 4)
        self.threads = {name: str(max(1, joblib.cpu_count() // processes)) for name in THREADS}
        self.workers = [_Worker(folder / str(i), self._start) for i in range(processes)]
        self.suspects: set[int] = set()
        self.payload = b""

    def end(self) -> None:
        """End all processes."""
        for worker in self.workers:
            worker.end()

    def _start(self) -> Any:
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.backend.reduction import dumps

        if not self.payload:
            try:
                self.payload = bytes(dumps(self.calls))
            except Exception as error:
                raise InputError(
                    f"the simulator cannot be handed to other processes: {type(error).__name__}: {error};"
                    f" {option('jobs', '1')} runs it in this one"
                ) from error
        env = {**self.threads, **{name: value for name, value in os.environ.items() if name in self.threads}}
        return ProcessPoolExecutor(1, initializer=_prepare, initargs=(self.payload,), env=env)

    def run(self, theta: np.ndarray, rows: np.ndarray) -> Iterator[Part | None]:
        tasks = Tasks(rows, self.calls.vectorized, len(self.workers))
        while True:
            for worker in self.workers:
                if worker.future is None and tasks.waiting:
                    chosen = tasks.take()
                    worker.give(chosen, theta[chosen])
            busy = [worker for worker in self.workers if worker.future is not None]
            if not busy:
                return
            done, _ = wait([worker.future for worker in busy if worker.future], self.tick, FIRST_COMPLETED)
            for worker in busy:
                if worker.future in done:
                    yield from self._ended(worker, tasks, theta)
                elif self._late(worker):
                    words = f"did not answer within {self.timeout:g} s"
                    yield from self._without(worker, tasks, theta, worker.seen, "late", words)
            if not done:
                yield None

    def _late(self, worker: _Worker) -> bool:
        together = len(worker.rows) if self.calls.vectorized else 1
        return self.timeout is not None and worker.late(self.timeout * together)

    def _ended(self, worker: _Worker, tasks: Tasks, theta: np.ndarray) -> Iterator[Part]:
        """What a task came to whose process answered or ended."""
        future, worker.future = worker.future, None
        try:
            part = future.result()  # type: ignore[union-attr]
        except BrokenProcessPool as error:
            place = worker.place
            suspect = int(worker.rows[max(place, 0)])
            how = re.search(r"exit codes of the workers are \{(.*?)\}", str(error))
            words = f"ended its process{f', {how[1]}' if how else ''}"
            if suspect in self.suspects:
                if place < 0:
                    raise SimulationError(f"simulator: {words}, before or after simulations; memory may be short") from error
                yield from self._without(worker, tasks, theta, place, "ended", words)
                return
            # The system may have ended the process for the memory of all: the row has a second try, alone.
            self.suspects.add(suspect)
            worker.end()
            if place < 0 or self.calls.vectorized:
                tasks.again(worker.rows)
            else:
                tasks.again(worker.rows[:place], worker.rows[place : place + 1], worker.rows[place + 1 :])
            return
        except Exception as error:
            raise InputError(
                f"the simulator cannot be loaded in another process: {type(error).__name__}: {error};"
                f" {option('jobs', '1')} runs it in this one"
            ) from error
        tasks.took(part)
        yield part

    def _without(self, worker: _Worker, tasks: Tasks, theta: np.ndarray, place: int, lost: str, words: str) -> Iterator[Part]:
        """Give up the row at a place, if the process is there still, and have the others of its task again."""
        worker.end()
        if place != worker.place:
            tasks.again(worker.rows)
            return
        if self.calls.vectorized:
            first, last = worker.rows[[0, -1]]
            raise SimulationError(
                f"vectorized simulator: it {words}, for rows {first} to {last}, {described(theta[first])} to"
                f" {described(theta[last])}; {option('vectorized', 'False')} finds the parameters"
            )
        tasks.again(worker.rows[:place], worker.rows[place + 1 :])
        yield Part(worker.rows[place : place + 1], lost=lost, words=words)


_payload: bytes = b""


def _prepare(payload: bytes) -> None:
    """Keep the simulator until the first task. Ctrl-C, which a terminal sends to all processes, is the first one's."""
    global _payload
    _payload = payload
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@functools.lru_cache(maxsize=1)
def _loaded() -> Calls:
    global _payload
    calls: Calls = pickle.loads(_payload)  # noqa: S301 - from the process that started this one
    _payload = b""
    return calls


def _work(file: str, rows: np.ndarray, theta: np.ndarray) -> Part:
    """Run a task in a watched process."""
    calls = _loaded()
    with open(file, "r+b") as opened, mmap.mmap(opened.fileno(), 8) as place:
        part = sendable(calls, rows, theta, lambda at: struct.pack_into("q", place, 0, at))
        struct.pack_into("q", place, 0, -1)
    return part
