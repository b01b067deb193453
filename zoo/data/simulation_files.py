"""What simulators share that write a file each: many at once with progress, and where a cache keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
from pydantic import BaseModel
from rich.progress import track

from zoo.jobs import expect_jobs
from zoo.model.store import cache_folder
from zoo.progress import console


def simulate_all(
    one: Callable[..., None], arguments: Sequence[tuple[Any, ...]], jobs: int, description: str, *, stderr: bool
) -> None:
    """Make files in parallel, and show how many are done.

    Parameters
    ----------
    one : callable
        Makes one file, whose path is its first argument; one that another process has made meanwhile is left as it is.
    arguments : sequence of tuple
        What it is given for each.
    jobs : int
        At a time, -1 for one per core. The backend is that of ``joblib.parallel_config``.
    description : str
        What the bar says.
    stderr : bool
        Whether it is drawn on standard error.

    Raises
    ------
    InputError
        There cannot be as many jobs.
    """
    expect_jobs(jobs)
    done = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
        joblib.delayed(_unless_made)(one, *given) for given in arguments
    )
    for _ in track(done, description, total=len(arguments), console=console(stderr=stderr)):
        pass


def _unless_made(one: Callable[..., None], path: Path, *given: Any) -> None:
    """Make a file that no other process has made since this one began."""
    if not path.exists():
        one(path, *given)


def threads_of_each(jobs: int) -> int:
    """Threads that each of so many jobs at a time may take, where cores are left over."""
    expect_jobs(jobs)
    return max(1, joblib.cpu_count() // joblib.effective_n_jobs(jobs))


def cached_folder(kind: str, config: BaseModel) -> Path:
    """The cache's folder for the simulations of one config, whose name begins with their kind."""
    name = hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:12]
    return cache_folder() / "simulations" / f"{kind}-{name}"
