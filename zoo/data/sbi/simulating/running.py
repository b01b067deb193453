"""Where simulators run: here, in processes of this machine that are watched, or where a joblib backend has it."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from zoo.data.sbi.simulating.answers import Calls, Part
from zoo.data.sbi.simulating.failures import SimulationError
from zoo.data.sbi.simulating.handing_out import CHUNK, Tasks
from zoo.data.sbi.simulating.watched import Watched, sendable
from zoo.errors import InputError, option
from zoo.jobs import expect_jobs

Run = Callable[[np.ndarray, np.ndarray], Iterator[Part | None]]
"""Simulates the rows of given numbers of theta (n, D): parts in the order in which they end, None now and then in between."""


@contextmanager
def running(calls: Calls, jobs: int | None, timeout: float | None, generators: Sequence[str] = ()) -> Iterator[Run]:
    """Be ready to simulate; processes that were started for it end with the block.

    Parameters
    ----------
    calls : Calls
        The simulator.
    jobs : int, optional
        Number of processes; None for what ``joblib.parallel_config`` says, else one per core.
    timeout : float, optional
        Seconds that a simulation may take.
    generators : sequence of str
        Names of random generators that the simulator holds: copies in other processes would all draw the same.

    Yields
    ------
    Run
        The function that simulates.

    Raises
    ------
    InputError
        A timeout where no process of this machine could be ended; several processes where they would draw the same noise;
        jobs that are neither -1 nor at least 1.
    """
    expect_jobs(jobs)
    import joblib
    from joblib.parallel import BACKENDS, get_active_backend

    backend, configured = get_active_backend()
    asked = jobs if jobs is not None or configured != 1 else -1
    processes = joblib.effective_n_jobs(asked)
    if generators and not (processes == 1 and timeout is None):
        raise InputError(
            f"the simulator draws from a random generator of its own, {generators[0]}: its copies in processes would draw"
            f" the same noise. Let it take one as an argument, (theta, rng), or run it here with {option('jobs', '1')}"
        )
    if isinstance(backend, BACKENDS["loky"]) and (processes > 1 or timeout is not None):
        with tempfile.TemporaryDirectory() as folder:
            watched = Watched(calls, processes, timeout, Path(folder))
            try:
                yield watched.run
            finally:
                watched.end()
    elif timeout is not None:
        raise InputError(
            f"timeout: a simulation that hangs is ended with its process, which joblib's {type(backend).__name__} does not"
            f" allow: leave the timeout out, or simulate outside joblib.parallel_config with {option('jobs', 'N')}"
        )
    elif processes == 1:
        yield functools.partial(_here, calls)
    else:
        yield functools.partial(_by_joblib, calls, asked)


def _here(calls: Calls, theta: np.ndarray, rows: np.ndarray) -> Iterator[Part]:
    tasks = Tasks(rows, calls.vectorized, 1)
    while tasks.waiting:
        chosen = tasks.take()
        part = calls.part(chosen, theta[chosen])
        tasks.took(part)
        yield part


def _by_joblib(calls: Calls, jobs: int | None, theta: np.ndarray, rows: np.ndarray) -> Iterator[Part]:
    import joblib

    size = CHUNK if calls.vectorized else max(1, min(100, len(rows) // 100))
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    tasks = (joblib.delayed(sendable)(calls, chunk, theta[chunk]) for chunk in chunks)
    try:
        yield from joblib.Parallel(n_jobs=jobs, return_as="generator")(tasks)
    except BrokenProcessPool as error:
        raise SimulationError(
            f"a process that simulated has ended; {option('jobs', 'N')} outside joblib.parallel_config finds the parameters"
        ) from error
