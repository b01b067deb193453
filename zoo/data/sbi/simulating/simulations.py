"""Any simulator, run on draws from a prior: in parallel, reproducibly, with what failed counted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.atomic import locked
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.simulating.answers import Calls, Simulator
from zoo.data.sbi.simulating.by_name import of_rows
from zoo.data.sbi.simulating.failures import SimulationError, described, raise_error
from zoo.data.sbi.simulating.fingerprint import Fingerprint
from zoo.data.sbi.simulating.kept import ABSENT, ANSWERED, ENDED, LATE, Kept, Writer
from zoo.data.sbi.simulating.read_answer import Labels
from zoo.data.sbi.simulating.running import Run, running
from zoo.data.sbi.simulating.same_simulator import expect_same, note_code
from zoo.errors import InputError, IntegrityError, ZooError, warn
from zoo.model.test_tensors import read_npz
from zoo.progress import bar
from zoo.seeds import expect_seed
from zoo.space import expect_space

__all__ = ["SimulationError", "Simulations", "Simulator", "check_simulations", "read_simulations", "simulate"]

ROUNDING = 4
"""Steps of a precision by which rounding may change what is the same."""
HOPELESS = 20
"""How many rows may be lost while fewer than as many have answers."""


@dataclass(frozen=True)
class Simulations:
    """Draws of the prior and what the simulator made of them.

    Attributes
    ----------
    theta : ndarray of shape (n, D)
        Parameters that were drawn.
    x : ndarray of shape (n, ...)
        Data simulated at them, such as (n, C); (n, L, F) where their lengths are free, 0 beyond the length.
    dropped : int
        Number of simulations that were left out for NaN or infinity, or because they did not end.
    mask : ndarray of shape (n, L), optional
        True for elements of x that there are, where lengths are free.
    labels : Labels
        Names and units of the numbers of x, where the simulator says them.
    """

    theta: np.ndarray
    x: np.ndarray
    dropped: int = 0
    mask: np.ndarray | None = None
    labels: Labels = field(default_factory=Labels)

    def __len__(self) -> int:
        return len(self.theta)

    def __getitem__(self, rows: slice) -> Simulations:
        """Some of the rows, none of them left out."""
        mask = None if self.mask is None else self.mask[rows]
        return Simulations(self.theta[rows], self.x[rows], mask=mask, labels=self.labels)


def simulate(
    simulator: Simulator,
    prior: AnyPrior,
    n: int,
    *,
    seed: int | list[int] = 0,
    vectorized: bool = False,
    jobs: int | None = None,
    on_nonfinite: Literal["drop", "fail"] = "drop",
    path: str | Path | None = None,
    timeout: float | None = None,
    free: bool = False,
    overwrite: bool = False,
) -> Simulations:
    """Draw n parameters from the prior and simulate each.

    The same seed gives the same simulations whatever the number of processes: every row (every chunk, if vectorized) has
    a random stream of its own, handed to the simulator as ``rng`` or ``seed`` where it takes one, and put into
    ``numpy.random.seed`` and ``random.seed`` for those that draw from global states.

    A row without an answer (NaN, infinity, none in time, a process that ends, as with a segmentation fault) is what
    ``on_nonfinite`` is about. What a simulator raises, it could have caught: it ends the call, as do answers of different
    shapes. What was done until then, or until Ctrl-C, is in the file at ``path``.

    Parameters
    ----------
    simulator : Simulator
        Makes one row of data of one row of parameters, ``(D,) -> (C,)``, a number, or an array of any fixed shape; it may take
        each of several parameters by its name, ``(rate, lifetime, rng)``. Units and names that its answers have are kept.
    prior : Prior
        The prior of the parameters, in the simulator's order.
    n : int
        Number of simulations.
    seed : int or list of int
        What parameters and noise follow from.
    vectorized : bool
        Whether the simulator takes many rows at once, ``(n, D) -> (n, C)``.
    jobs : int, optional
        Number of processes; by default what ``joblib.parallel_config`` says (which may be a dask or ray cluster), else one per
        core. With 1 the simulator runs in this process, which then ends if it does.
    on_nonfinite : {"drop", "fail"}
        What becomes of rows without an answer: "drop" leaves them out, warns and counts them; "fail" raises.
    path : str or Path, optional
        File (.npz) that keeps what is done: a killed call goes on there, a finished one is read. Some rows are simulated again,
        to see that they are of this simulator.
    timeout : float, optional
        Seconds that a simulation may take, of a chunk so many for each row; needs a process of its own even with one job.
    free : bool
        Whether answers are sets or sequences (L, F), whose length L changes from row to row.
    overwrite : bool
        Whether a file at ``path`` of other simulations is replaced.

    Returns
    -------
    Simulations
        Parameters and data.

    Raises
    ------
    SimulationError
        When the simulator raises (naming the parameters), answers with rows of different shapes, names or units, or no
        numbers, or leaves no finite row, or any at all with ``on_nonfinite="fail"``.
    InputError
        When ``path`` holds other simulations, or such of another simulator; when the simulator cannot run in processes, or
        takes other arguments than parameters and random numbers.
    FullDiskError
        When there is no space for the file, which is known from the first answers.
    IntegrityError
        When the file at ``path`` is damaged.
    ZooError
        When another process simulates into ``path``.
    """
    _check(n, on_nonfinite, timeout, vectorized, free)
    path = None if path is None else Path(path)
    seeds = [seed] if isinstance(seed, int | np.integer) else list(seed)
    expect_seed(seeds)
    seeds = [int(one) for one in seeds]
    theta = prior.sample(n, np.random.default_rng(seeds))
    about = {"prior": prior.plain(), "n": n, "seed": seeds, "vectorised": vectorized}  # files have it so
    if free:
        about["free"] = True
    simulator = of_rows(simulator, getattr(prior, "names", ()))
    calls, made_of = Calls.of(simulator, seeds, vectorized), Fingerprint(simulator)
    with running(calls, jobs, timeout, made_of.generators) as run:

        def opened() -> Kept:
            return _opened(path, Kept.new(theta, about, free), run, made_of.code, timeout, overwrite=overwrite)

        seen, kept = _stamp(path), opened()
        if not kept.complete:
            with _only_here(path):
                kept = kept if _stamp(path) == seen else opened()
                try:
                    _finish(kept, run, path, on_nonfinite)
                finally:
                    if path is not None:
                        note_code(kept, made_of.code, Fingerprint(simulator).code)
                        kept.save(path)
    return _answered(kept, on_nonfinite)


def _check(n: int, on_nonfinite: str, timeout: float | None, vectorized: bool, free: bool) -> None:
    if on_nonfinite not in ("drop", "fail"):
        raise InputError(f"on_nonfinite: expected 'drop' or 'fail', given {on_nonfinite!r}")
    if n < 1:
        raise InputError(f"expected at least one simulation, given {n}")
    if timeout is not None and not 0 < timeout < math.inf:
        raise InputError(f"timeout: expected a positive number of seconds, given {timeout}")
    if free and vectorized:
        raise InputError("a vectorized simulator answers all rows with one shape: expected free or vectorized, given both")


@contextmanager
def _only_here(path: Path | None) -> Iterator[None]:
    """Keep other processes from writing the file meanwhile."""
    if path is None:
        yield
        return
    with locked(path.with_name(f".{path.name}.lock")) as held:
        if not held:
            raise ZooError(f"another process simulates into {path}: wait for it, or give another file")
        yield


def _stamp(path: Path | None) -> tuple[int, int] | None:
    """What changes when another process writes the file."""
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def _opened(path: Path | None, new: Kept, run: Run, code: str, timeout: float | None, *, overwrite: bool) -> Kept:
    """What an earlier call has done with this simulator, or nothing yet."""
    kept = new
    if path is not None and path.exists():
        try:
            kept = Kept.read(path, new)
            expect_same(kept, run, code, path, vectorized=new.about["vectorised"])
        except (InputError, IntegrityError):
            if not overwrite:
                raise
            kept = new
    if timeout is not None:
        if timeout > kept.about.get("timeout", math.inf):  # another try
            kept.state[kept.state == LATE] = ABSENT
        kept.about["timeout"] = timeout
    return kept


def _finish(kept: Kept, run: Run, path: Path | None, on_nonfinite: str) -> None:
    """Simulate the rows that are not done."""
    rows, writer, lost, asked = np.flatnonzero(kept.state == ABSENT), Writer(kept, path), 0, path is None
    if not len(rows):
        return
    with bar(len(rows), "Simulating") as advance:
        for part in run(kept.theta, rows):
            if part is None:
                advance(0)
            else:
                if part.lost:
                    lost += 1
                    _expect_hope(kept, part.rows[0], part.words, lost, on_nonfinite)
                kept.take(part)
                if path is not None and not asked and kept.x is not None:
                    there = path.stat().st_size if path.exists() else 0
                    expect_space(path, 2 * kept.bytes - there)  # the last file stays until the next is whole
                    asked = True
                raise_error(part, kept.theta)
                advance(len(part.rows))
            writer.now_and_then()


def _expect_hope(kept: Kept, row: int, words: str, lost: int, on_nonfinite: str) -> None:
    where = f"simulator at {described(kept.theta[row])}: it {words}"
    if on_nonfinite == "fail":
        raise SimulationError(where)
    answered = int(np.sum(kept.state == ANSWERED))
    if lost > HOPELESS and lost > answered:
        raise SimulationError(f"{where}, as {lost} simulations did, while {answered} have answered")


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
    mask = arrays.get("x_mask")
    if theta.ndim != 2 or x.ndim < 2 or len(theta) != len(x):
        raise InputError(f"{path}: expected theta (n, D) and x (n, C) of one n, given {theta.shape} and {x.shape}")
    if mask is not None and (mask.shape != x.shape[:2] or mask.dtype != bool or x.ndim != 3):
        raise InputError(f"{path}: expected x (n, L, F) and x_mask (n, L) of truth values, given {x.shape} and {mask.shape}")
    state = arrays.get("state", np.full(len(x), ANSWERED, np.uint8))
    about: dict[str, Any] = json.loads(str(arrays["about"])) if "about" in arrays else {"n": len(x)}
    done = int(np.sum(state != ABSENT))
    if done < about["n"]:
        raise InputError(f"{path} holds {done} of {about['n']} simulations: call simulate again to finish them")
    return _finite(theta, x, mask, state, on_nonfinite, Labels.of(about.get("x", {})))


def check_simulations(theta: np.ndarray, x: np.ndarray, names: list[str], mask: np.ndarray | None = None) -> None:
    """Refuse simulations that a flow cannot learn from.

    Parameters
    ----------
    theta : ndarray of shape (n, D)
        Parameters.
    x : ndarray of shape (n, ...)
        Data simulated at them.
    names : list of str
        Names of the parameters.
    mask : ndarray of shape (n, L), optional
        True for elements of x that there are, where lengths are free.

    Raises
    ------
    InputError
        Arrays do not fit together, values are not finite, or columns, which are named, never change.
    """
    if theta.ndim != 2 or x.ndim < 2 or len(theta) != len(x):
        raise InputError(f"expected theta (n, D) and x (n, C) of one n, given {theta.shape} and {x.shape}")
    if theta.shape[1] != len(names):
        raise InputError(f"expected {len(names)} parameters ({', '.join(names)}), given theta with {theta.shape[1]} columns")
    finite = np.isfinite(theta).all(axis=1) & np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    if bad := int(np.sum(~finite)):
        raise InputError(f"{bad} of {len(x)} simulations have NaN or infinity: leave them out")
    constant = [name for name, column in zip(names, theta.T, strict=True) if np.ptp(column) == 0]
    if constant:
        raise InputError(f"the same value in all {len(theta)} simulations: {_listed('parameter', constant)}; fix it instead")
    values = x if mask is None else x[mask]
    if not values.size:
        raise InputError(f"no element in any of {len(x)} simulations: expected some that are not empty")
    # A change of a number in its last digits is rounding.
    changes = np.ptp(values, axis=0) > ROUNDING * np.spacing(np.abs(values).max(axis=0))
    if changes.ndim > 1 and changes.any():  # a corner of an image may well be dark in all
        return
    constant = [", ".join(map(str, place)) for place in np.argwhere(~changes).tolist()]
    if constant:
        raise InputError(
            f"the same value in all {len(x)} simulations: {_listed('column', constant)} of x, counted from 0;"
            " leave out of the simulator's answer what does not depend on chance or parameters"
        )


def _listed(kind: str, names: list[str]) -> str:
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
    return f"{kind}{'s' if len(names) > 1 else ''} {shown}"


def _answered(kept: Kept, on_nonfinite: str) -> Simulations:
    if kept.x is None:
        raise SimulationError(f"none of {len(kept.theta)} simulations has an answer, first at {described(kept.theta[0])}")
    kept.x[kept.state != ANSWERED] = np.nan
    mask = np.arange(kept.x.shape[1]) < kept.lengths[:, None] if kept.free else None
    return _finite(kept.theta, kept.x, mask, kept.state, on_nonfinite, kept.labels)


def _finite(
    theta: np.ndarray, x: np.ndarray, mask: np.ndarray | None, state: np.ndarray, on_nonfinite: str, labels: Labels
) -> Simulations:
    """The rows with finite answers, and how many others there were, for which reasons."""
    if mask is not None:
        x = np.where(mask[..., None] | (state != ANSWERED)[:, None, None], x, 0.0)
    finite = np.isfinite(x).all(axis=tuple(range(1, x.ndim))) & (state == ANSWERED)
    dropped = int(np.sum(~finite))
    if dropped:
        kinds = {ANSWERED: "with NaN or infinity", LATE: "that took too long", ENDED: "that ended their process"}
        said = "; ".join(
            f"{len(rows)} {words}, first at {described(theta[rows[0]])}"
            for kind, words in kinds.items()
            if len(rows := np.flatnonzero(~finite & (state == kind)))
        )
        if on_nonfinite == "fail" or dropped == len(x):
            raise SimulationError(f"{dropped} of {len(x)} simulations have no finite answer: {said}")
        warn(f"left out {dropped} of {len(x)} simulations: {said}")
    return Simulations(theta[finite], x[finite], dropped, None if mask is None else mask[finite], labels)
