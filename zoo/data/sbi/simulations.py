"""Any simulator, run on draws from a prior: in parallel, reproducibly, with what failed counted."""

from __future__ import annotations

import inspect
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.atomic import whole_file
from zoo.data.sbi.as_prior import AnyPrior
from zoo.errors import InputError, ZooError, option
from zoo.model.test_tensors import read_npz
from zoo.progress import track

Simulator = Callable[..., Any]
"""Makes x (C,) of theta (D,), or vectorized (n, C) of (n, D); may take ``rng``, a numpy generator, by that name."""

CHUNK = 1000
"""Rows that a vectorized simulator gets at once. Each chunk has its own random stream, so it is no option."""
ROUNDING = 4
"""Steps of a precision by which rounding may change what is the same."""
SAVE_EVERY = 30.0
"""Seconds between two writes of unfinished simulations."""


class SimulationError(ZooError):
    """A simulator that raised, or whose answers are no rows of finite numbers of one width."""


@dataclass(frozen=True)
class Simulations:
    """Draws of the prior and what the simulator made of them.

    Attributes
    ----------
    theta : ndarray of shape (n, D)
        Parameters that were drawn.
    x : ndarray of shape (n, C)
        Data simulated at them.
    dropped : int
        Number of simulations that were left out for NaN or infinity.
    """

    theta: np.ndarray
    x: np.ndarray
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.theta)


def simulate(
    simulator: Simulator,
    prior: AnyPrior,
    n: int,
    *,
    seed: int | list[int] = 0,
    vectorized: bool = False,
    jobs: int | None = None,
    on_nonfinite: Literal["drop", "fail"] = "drop",
    path: Path | None = None,
    overwrite: bool = False,
) -> Simulations:
    """Draw n parameters from the prior and simulate each.

    The same seed gives the same simulations whatever the number of processes: every row (every chunk, if vectorized) has
    a random stream of its own, handed to the simulator as ``rng`` where it takes one, and put into ``numpy.random.seed``
    for those that draw from numpy's global state.

    Parameters
    ----------
    simulator : Simulator
        Makes one row of data of one row of parameters, ``(D,) -> (C,)`` or a number.
    vectorized : bool
        Whether the simulator takes many rows at once, ``(n, D) -> (n, C)``.
    jobs : int, optional
        Number of processes; by default what ``joblib.parallel_config`` says (which may be a dask or ray cluster), else one per
        core.
    on_nonfinite : {"drop", "fail"}
        What becomes of simulations with NaN or infinity: "drop" leaves them out, warns and counts them; "fail" raises.
    path : Path, optional
        File (.npz) that keeps what is done: a killed call goes on there, a finished one is read.
    overwrite : bool
        Whether a file at ``path`` of other simulations is replaced.

    Raises
    ------
    SimulationError
        When the simulator raises (naming the parameters), answers with rows of different widths or no numbers, or
        leaves no finite row, or any at all with ``on_nonfinite="fail"``.
    InputError
        When ``path`` holds other simulations.
    """
    if on_nonfinite not in ("drop", "fail"):
        raise InputError(f"on_nonfinite: expected 'drop' or 'fail', given {on_nonfinite!r}")
    if n < 1:
        raise InputError(f"expected at least one simulation, given {n}")
    seeds = [seed] if isinstance(seed, int) else list(seed)
    theta = prior.sample(n, np.random.default_rng(seeds))
    about = {"prior": prior.plain(), "n": n, "seed": seeds, "vectorised": vectorized}  # files have it so
    done = _resume(path, about, overwrite)
    x = _run(simulator, theta, seeds, vectorized, jobs, done, lambda rows: _write(path, about, theta, rows))
    return _finite(theta, x, on_nonfinite)


def read_simulations(path: Path, on_nonfinite: Literal["drop", "fail"] = "drop") -> Simulations:
    """Simulations from a ``.npz`` with ``theta`` (n, D) and ``x`` (n, C), written by ``simulate`` or by anything else.

    Raises
    ------
    InputError
        When an array is missing or the file belongs to a call of ``simulate`` that did not finish.
    SimulationError
        There are NaN or infinity, as in ``simulate``.
    IntegrityError
        When the file is damaged.
    """
    arrays = read_npz(path)
    if missing := {"theta", "x"} - arrays.keys():
        raise InputError(f"{path}: expected arrays theta and x, no {' and no '.join(sorted(missing))}")
    theta, x = (np.asarray(arrays[name], dtype=np.float64) for name in ("theta", "x"))
    if theta.ndim != 2 or x.ndim != 2 or len(theta) != len(x):
        raise InputError(f"{path}: expected theta (n, D) and x (n, C) of one n, given {theta.shape} and {x.shape}")
    wanted = json.loads(str(arrays["about"]))["n"] if "about" in arrays else len(x)
    if len(x) < wanted:
        raise InputError(f"{path} holds {len(x)} of {wanted} simulations: call simulate again to finish them")
    return _finite(theta, x, on_nonfinite)


def check_simulations(theta: np.ndarray, x: np.ndarray, names: list[str]) -> None:
    """Refuse simulations that a flow cannot learn from.

    Raises
    ------
    InputError
        Arrays do not fit together, values are not finite, or columns, which are named, never change.
    """
    if theta.ndim != 2 or x.ndim != 2 or len(theta) != len(x):
        raise InputError(f"expected theta (n, D) and x (n, C) of one n, given {theta.shape} and {x.shape}")
    if theta.shape[1] != len(names):
        raise InputError(f"expected {len(names)} parameters ({', '.join(names)}), given theta with {theta.shape[1]} columns")
    if bad := int(np.sum(~(np.isfinite(theta).all(axis=1) & np.isfinite(x).all(axis=1)))):
        raise InputError(f"{bad} of {len(x)} simulations have NaN or infinity: leave them out")
    constant = [name for name, column in zip(names, theta.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise InputError(f"the same value in all {len(theta)} simulations: {_listed('parameter', constant)}; fix it instead")
    # In the precision of the rows: a change of a number in its last digits is rounding.
    constant = [str(i) for i, column in enumerate(x.T) if np.ptp(column) <= ROUNDING * np.spacing(np.abs(column).max())]
    if constant:
        raise InputError(
            f"the same value in all {len(x)} simulations: {_listed('column', constant)} of x, counted from 0;"
            " leave out of the simulator's answer what does not depend on chance or parameters"
        )


def _listed(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{kind}{'s' if len(names) > 1 else ''} {shown}"


def _run(
    simulator: Simulator,
    theta: np.ndarray,
    seeds: list[int],
    vectorized: bool,
    jobs: int | None,
    done: np.ndarray | None,
    save: Callable[[np.ndarray], None],
) -> np.ndarray:
    """Data x of every row of theta; ``done`` are the first rows from an earlier call."""
    import joblib

    takes_rng = "rng" in inspect.signature(simulator).parameters
    # Many small tasks keep the processes busy to the end; rows have their own streams, so that their grouping is free.
    size = CHUNK if vectorized else max(1, min(100, len(theta) // 100))
    parts = [] if done is None else [done]
    starts = range(0 if done is None else len(done), len(theta), size)
    work = joblib.delayed(_chunk if vectorized else _rows)
    tasks = (work(simulator, theta[start : start + size], [*seeds, start], takes_rng) for start in starts)
    answers = joblib.Parallel(n_jobs=_jobs(jobs), return_as="generator")(tasks)
    written, width = time.monotonic(), None if done is None else done.shape[1]
    for start in track(starts, "Simulating"):
        part = next(answers)
        width = part.shape[1] if width is None else width
        if part.shape[1] != width:
            raise SimulationError(f"simulator: {width} values in the first rows, {part.shape[1]} from row {start} on")
        parts.append(part)
        if time.monotonic() - written > SAVE_EVERY:
            save(np.concatenate(parts))
            written = time.monotonic()
    x = np.concatenate(parts)
    if len(starts):
        save(x)
    return x


def _jobs(jobs: int | None) -> int | None:
    """A number that was asked for; None where a ``parallel_config`` decides; else every core."""
    from joblib.parallel import get_active_backend

    return jobs if jobs is not None or get_active_backend()[1] != 1 else -1


def _rows(simulator: Simulator, theta: np.ndarray, stream: list[int], takes_rng: bool) -> np.ndarray:
    *seeds, start = stream
    rows = [_answer(simulator, row, [*seeds, start + i], takes_rng) for i, row in enumerate(theta)]
    rows = [np.atleast_1d(row) for row in rows]
    for i, row in enumerate(rows):
        if row.shape != rows[0].shape or row.ndim != 1:
            expected = "one row of numbers" if row.ndim != 1 else f"{rows[0].shape[0]} values as before"
            raise SimulationError(f"simulator: expected {expected}, given shape {row.shape} for row {start + i}")
    return np.stack(rows)


def _chunk(simulator: Simulator, theta: np.ndarray, stream: list[int], takes_rng: bool) -> np.ndarray:
    x = _answer(simulator, theta, stream, takes_rng)
    if x.ndim != 2 or len(x) != len(theta):
        raise SimulationError(f"vectorized simulator: expected ({len(theta)}, C) for {theta.shape} parameters, given {x.shape}")
    return x


def _answer(simulator: Simulator, theta: np.ndarray, stream: list[int], takes_rng: bool) -> np.ndarray:
    rng = np.random.default_rng([*stream, 1])  # the prior has [*seeds]
    state = None if takes_rng else np.random.get_state()  # noqa: NPY002 - many simulators draw from numpy's global state
    try:
        if takes_rng:
            answer = simulator(theta, rng=rng)
        else:
            np.random.seed(rng.integers(2**32))  # noqa: NPY002
            answer = simulator(theta)
        if answer is None:
            raise TypeError("it answers nothing; does it return?")
        return np.asarray(answer, dtype=np.float64)
    except Exception as error:
        where = "" if theta.ndim > 1 else f" at theta = {np.array2string(theta, separator=', ')}"
        raise SimulationError(f"simulator{where}: {type(error).__name__}: {error}") from error
    finally:
        if state is not None:
            np.random.set_state(state)  # noqa: NPY002


def _finite(theta: np.ndarray, x: np.ndarray, on_nonfinite: str) -> Simulations:
    finite = np.isfinite(x).all(axis=1)
    dropped = int(np.sum(~finite))
    if dropped:
        first = f"first at theta = {np.array2string(theta[~finite][0], separator=', ')}"
        if on_nonfinite == "fail" or dropped == len(x):
            raise SimulationError(f"{dropped} of {len(x)} simulations have NaN or infinity, {first}")
        warnings.warn(f"left out {dropped} of {len(x)} simulations with NaN or infinity, {first}", stacklevel=3)
    return Simulations(theta[finite], x[finite], dropped)


def _resume(path: Path | None, about: dict[str, Any], overwrite: bool) -> np.ndarray | None:
    if path is None or not path.exists():
        return None
    arrays = read_npz(path)
    found = json.loads(str(arrays["about"])) if "about" in arrays else {}
    if differing := sorted(key for key in about if found.get(key) != about[key]):
        if overwrite:
            return None
        raise InputError(
            f"{path} holds simulations that differ in {', '.join(differing)}: give another file or folder, or start anew with"
            f" {option('overwrite')}"
        )
    return arrays["x"]


def _write(path: Path | None, about: dict[str, Any], theta: np.ndarray, x: np.ndarray) -> None:
    if path is None:
        return
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, theta=theta[: len(x)], x=x, about=json.dumps(about))
