"""Whether simulations that were kept are of the simulator at hand: some of their rows are simulated again.

Rows have random streams of their own, so that a simulator answers them as before. What differs by less than a millionth of the
spread is rounding, which another machine or number of threads brings; a posterior cannot tell. Where the code is another one,
more rows are compared, those without a finite answer among them, and what cannot be seen in them is said.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from zoo.data.sbi.simulating.failures import SimulationError, described, raise_error
from zoo.data.sbi.simulating.handing_out import CHUNK
from zoo.data.sbi.simulating.kept import ABSENT, ANSWERED, ENDED, LATE, Kept, anew
from zoo.data.sbi.simulating.read_answer import Labels
from zoo.data.sbi.simulating.running import Run
from zoo.errors import InputError, warn

FEW, MANY = 2, 30
"""Rows that are simulated again, where the code is the same and where it is not or not known to be."""
ROUNDING = 1e-6
"""Difference, of the spread over simulations, that is none."""


def expect_same(kept: Kept, run: Run, code: str, path: Path, *, vectorized: bool) -> None:
    """Refuse simulations of another simulator.

    Parameters
    ----------
    kept : Kept
        Simulations from a file, whose notes are brought up to date.
    run : Run
        Runs the simulator at hand.
    code : str
        Its fingerprint.
    path : Path
        The file, for messages.
    vectorized : bool
        Whether it takes many rows at once.

    Raises
    ------
    InputError
        The simulator answers otherwise, or its answers do not repeat and its code is another one.
    SimulationError
        It raises where it answered before.
    """
    note = kept.about.get("simulator", {})
    comparable = note.get("python") == _python()
    known = comparable and code in note["codes"]
    rows = _chosen(kept, vectorized, many=not known)
    answers = _Answers(kept, run)
    now = answers.again(rows)
    if answers.labels not in (None, kept.labels):
        raise InputError(
            f"{path} holds simulations of another simulator: it answered with {kept.labels} and now with {answers.labels};"
            f" {anew()}"
        )
    if differing := [row for row in now if not answers.close(answers.stored(row), now[row]).all()]:
        twice = answers.again(rows if vectorized else np.array(differing[:FEW]))
        if answers.wide_as_before(now) and not all(answers.close(now[row], twice[row]).all() for row in twice):
            _expect_known(path, known or not comparable)
        else:
            raise InputError(answers.difference(differing[0], now[differing[0]], path))
    elif comparable and not known:
        warn(
            f"the simulator's code, or a value that it uses, has changed since {path} was written; it answers {len(now)} of the"
            f" {int(np.sum(kept.state != ABSENT))} simulations there as before, so these are used; if they are not to be:"
            f" {anew()}"
        )
    if not known:
        if comparable:  # what had no answer may have been put right
            kept.state[(kept.state == LATE) | (kept.state == ENDED)] = ABSENT
        kept.about["simulator"] = {"python": _python(), "codes": [code]}
        kept.changed = True


def note_code(kept: Kept, *codes: str) -> None:
    """Note what the simulator is made of, before and after it ran: it may count its calls, or keep what it has done.

    Parameters
    ----------
    kept : Kept
        Simulations of it.
    *codes : str
        Its fingerprints.
    """
    note = kept.about.setdefault("simulator", {"python": _python(), "codes": []})
    if new := [code for code in dict.fromkeys(codes) if code not in note["codes"]]:
        note["codes"] = [*note["codes"], *new][-2:]
        kept.changed = True


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _expect_known(path: Path, known: bool) -> None:
    """Say that answers do not repeat; without the same code nothing then tells one simulator from another."""
    why = "the simulator draws random numbers that follow neither from rng nor from numpy's seed"
    if not known:
        raise InputError(f"{path} holds simulations of other code, whose answers cannot be compared: {why}; {anew()}")
    warn(f"the simulations in {path} cannot be reproduced: {why}")


def _chosen(kept: Kept, vectorized: bool, *, many: bool) -> np.ndarray:
    """Rows spread over those that are done, and the first that are not finite; a whole chunk where rows go together."""
    done = np.flatnonzero(kept.state == ANSWERED)
    if vectorized and len(done):
        start = done[0] // CHUNK * CHUNK
        return np.arange(start, min(start + CHUNK, len(kept.theta)))
    number = min(len(done), max(FEW, min(MANY, len(done) // 4)) if many else FEW)
    spread = done[np.linspace(0, len(done) - 1, number).astype(int)]
    if not many or kept.x is None:
        return spread
    strange = done[~np.isfinite(kept.x[done].reshape(len(done), -1)).all(axis=1)]
    return np.union1d(spread, strange[:FEW])


class _Answers:
    """Answers that were kept beside those of the simulator at hand."""

    def __init__(self, kept: Kept, run: Run) -> None:
        self.kept, self.run = kept, run
        self.labels: Labels | None = None
        """What stands beside the answers now."""
        self.x = np.empty((0,)) if kept.x is None else kept.x
        rows = np.flatnonzero(kept.state == ANSWERED)[:CHUNK]
        x = self.x[rows]
        if kept.free:
            x = x[np.arange(x.shape[1]) < kept.lengths[rows, None]]
        spread = np.ma.masked_invalid(x).std(axis=0) if len(x) else 0.0
        self.rounding = ROUNDING * np.ma.filled(spread, 0.0)

    def stored(self, row: int) -> np.ndarray:
        return self.x[row, : self.kept.lengths[row]] if self.kept.free else self.x[row]

    def again(self, rows: np.ndarray) -> dict[int, np.ndarray]:
        """What the simulator answers now; without a row that takes too long, as it may on a slower machine."""
        found: dict[int, np.ndarray] = {}
        for part in self.run(self.kept.theta, rows):
            if part is None:
                continue
            if part.lost == "ended":
                raise SimulationError(f"simulator at {described(self.kept.theta[part.rows[0]])}: {part.words}")
            found |= dict(zip(part.rows.tolist(), part.answers, strict=False))
            self.labels = part.labels or self.labels
            raise_error(part, self.kept.theta)
        return found

    def wide_as_before(self, now: dict[int, np.ndarray]) -> bool:
        free = self.kept.free
        return all(answer.shape[free:] == self.x.shape[1:][free:] for answer in now.values())

    def close(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Where two answers are the same but for rounding, nowhere if their shapes differ."""
        if one.shape != other.shape:
            return np.zeros(1, bool)
        with np.errstate(invalid="ignore"):
            near = np.abs(one - other) <= self.rounding + 1e-14 * np.abs(one)
        return near & np.isfinite(one) | (one == other) | (np.isnan(one) & np.isnan(other))

    def difference(self, row: int, now: np.ndarray, path: Path) -> str:
        """The message that says where the simulators differ."""
        stored = self.stored(row)
        if now.shape != stored.shape:
            said = f"it answered with shape {stored.shape} and now with {now.shape}"
        else:
            place = np.flatnonzero(~self.close(stored, now))[:3]
            before, after = (", ".join(f"{values.flat[i]:.10g}" for i in place) for values in (stored, now))
            said = f"x[{', '.join(map(str, place))}] was {before} and is now {after}"
        return f"{path} holds simulations of another simulator: at {described(self.kept.theta[row])} {said}; {anew()}"
