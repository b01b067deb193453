"""Simulations while they are made, and the file that keeps them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from zoo.atomic import whole_file
from zoo.data.sbi.simulating.answers import SAME, Part
from zoo.data.sbi.simulating.failures import SimulationError, described
from zoo.data.sbi.simulating.read_answer import Labels
from zoo.errors import InputError, IntegrityError, option
from zoo.model.test_tensors import read_npz

ABSENT, ANSWERED, LATE, ENDED = range(4)
"""What became of a row: nothing yet, an answer (NaN is one), none in time, none because it ends the process."""
LOST = {"late": LATE, "ended": ENDED}
NOTES = {"simulator", "timeout", "x"}
"""What the file says that another call may have otherwise or does not know yet; all else decides the numbers."""
SAVE_EVERY = 30.0
"""Seconds between two writes of unfinished simulations."""
SHARE = 20
"""How many times as long as a write the work before the next one takes, where simulations are large."""


def anew() -> str:
    """What to do about a file that has something else, for the end of a message."""
    return f"give another file or folder, delete this one, or start anew with {option('overwrite')}"


@dataclass
class Kept:
    """Simulations of which some are done.

    Attributes
    ----------
    theta : ndarray of shape (n, D)
        Parameters of all of them.
    state : ndarray of shape (n,)
        What became of each.
    about : dict
        What decides the numbers, and notes on their making, as plain data.
    free : bool
        Whether answers (L, F) have lengths L of their own.
    x : ndarray of shape (n, ...), optional
        Answers, once there is one; a free axis is as long as the longest.
    lengths : ndarray of shape (n,)
        Length of each along a free axis.
    """

    theta: np.ndarray
    state: np.ndarray
    about: dict[str, Any]
    free: bool = False
    x: np.ndarray | None = None
    lengths: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    changed: bool = False
    _first: int = 0

    @classmethod
    def new(cls, theta: np.ndarray, about: dict[str, Any], free: bool) -> Kept:
        """Parameters of which none is simulated."""
        n = len(theta)
        return cls(theta, np.zeros(n, np.uint8), about, free, lengths=np.zeros(n, int))

    @classmethod
    def read(cls, path: Path, new: Kept) -> Kept:
        """What an earlier call has done.

        Parameters
        ----------
        path : Path
            Its file.
        new : Kept
            What is to be simulated, of which nothing is done.

        Raises
        ------
        InputError
            The file has other simulations.
        IntegrityError
            It is damaged.
        """
        try:
            arrays = read_npz(path)
            if "about" not in arrays:
                raise InputError(f"{path} was not written by simulate, which would replace it: {anew()}")
            about = json.loads(str(arrays["about"]))
            keys = (about.keys() | new.about.keys()) - NOTES
            if differing := sorted(key for key in keys if about.get(key) != new.about.get(key)):
                raise InputError(f"{path} holds simulations that differ in {', '.join(differing)}: {anew()}")
            return cls._of(arrays, about, new, path)
        except (IntegrityError, KeyError, json.JSONDecodeError) as error:
            raise IntegrityError(f"{path} is damaged ({error}): {anew()}") from error

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray], about: dict[str, Any], new: Kept, path: Path) -> Kept:
        """The arrays of a file as simulations."""
        theta, x = arrays["theta"], arrays["x"]
        k = len(x)
        state = arrays.get("state", np.full(k, ANSWERED, np.uint8))
        mask = arrays["x_mask"] if new.free else np.empty((k, 0), bool)
        if not (len(theta) == len(state) == len(mask) == k <= len(new.theta)) or theta.shape[1:] != new.theta.shape[1:]:
            raise IntegrityError("its arrays do not fit together")
        if not np.allclose(theta, new.theta[:k], rtol=1e-9, atol=0):
            raise InputError(f"{path} holds simulations at other parameters than this prior draws: {anew()}")
        kept = cls.new(np.concatenate([theta, new.theta[k:]]), about, new.free)
        kept.state[:k] = state
        if k:
            kept._room(x.shape[1:])[:k] = x
            kept.lengths[:k] = mask.sum(axis=1)
        return kept

    def _room(self, shape: tuple[int, ...]) -> np.ndarray:
        """Room for answers of a shape, and for longer ones where lengths are free."""
        if self.x is None or (self.free and shape[0] > self.x.shape[1]):
            new = np.zeros((len(self.theta), *shape))
            if self.x is not None:
                new[:, : self.x.shape[1]] = self.x
            self.x = new
        return self.x

    @property
    def complete(self) -> bool:
        """Whether all is done and written."""
        return bool(self.state.all()) and not self.changed

    @property
    def bytes(self) -> int:
        """What all simulations take in the file, once the shape of an answer is known, and sets are as long as until now."""
        return self.theta.nbytes + (0 if self.x is None else self.x.nbytes)

    @property
    def labels(self) -> Labels:
        """Names and units of the answers."""
        return Labels.of(self.about.get("x", {}))

    def take(self, part: Part) -> None:
        """Keep what a part came to.

        Parameters
        ----------
        part : Part
            Answers to its first rows, or the word that its row is lost.

        Raises
        ------
        SimulationError
            An answer has another shape than those before it, or other names or units.
        """
        if part.lost:
            self.state[part.rows], self.changed = LOST[part.lost], True
        if part.labels is not None:
            self._note_labels(part.labels, int(part.rows[0]))
        for rows, answers in _alike(part):
            shape = answers.shape[1:]
            if self.free and len(shape) != 2:
                raise SimulationError(
                    f"simulator at {described(self.theta[rows[0]])}: expected (L, F), F numbers of each of L elements, as"
                    f" {option('free')} says; given shape {shape}"
                )
            if self.x is None:
                self._first = int(rows[0])
            else:
                self._expect(shape, rows)
            x = self._room(shape)
            if self.free:
                x[rows] = 0
                x[rows, : shape[0]] = answers
                self.lengths[rows] = shape[0]
            else:
                x[rows] = answers
            self.state[rows] = ANSWERED
            self.changed = True

    def _note_labels(self, labels: Labels, row: int) -> None:
        """Keep what stands beside the first answers, which others must agree with."""
        if self.x is None and labels != Labels():
            self.about["x"] = labels.plain()
        if labels != self.labels:
            raise SimulationError(
                f"simulator: an answer with {labels} at {described(self.theta[row])}, and with {self.labels} at"
                f" {described(self.theta[self._first])}: {SAME}"
            )

    def _expect(self, shape: tuple[int, ...], rows: np.ndarray) -> None:
        expected = self.x.shape[1:]  # type: ignore[union-attr]
        if shape[self.free :] == expected[self.free :]:
            return
        hint = f"; {option('free')} takes answers whose first axis has any length" if shape[1:] == expected[1:] != () else ""
        raise SimulationError(
            f"simulator: an answer of shape {shape} at {described(self.theta[rows[0]])}, where it answered {expected} at"
            f" {described(self.theta[self._first])}: {SAME}; what is missing may be NaN{hint}"
        )

    def save(self, path: Path) -> None:
        """Write what is done, up to the last row of it, if it is not written yet."""
        if self.x is None or not self.changed:
            return
        done = np.flatnonzero(self.state)
        k = int(done[-1]) + 1 if len(done) else 0
        state, x = self.state[:k], self.x[:k]
        x[state != ANSWERED] = np.nan
        arrays = {"theta": self.theta[:k], "x": x, "about": np.array(json.dumps(self.about))}
        if (state != ANSWERED).any():
            arrays["state"] = state
        if self.free:
            arrays["x_mask"] = np.arange(x.shape[1]) < self.lengths[:k, None]
        with whole_file(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
        self.changed = False


def _alike(part: Part) -> list[tuple[np.ndarray, np.ndarray]]:
    """Answers of one shape at once, else one by one."""
    rows = part.rows[: len(part.answers)]
    if isinstance(part.answers, np.ndarray):
        return [(rows, part.answers)]
    return [(rows[i : i + 1], answer[None]) for i, answer in enumerate(part.answers)]


class Writer:
    """Writes simulations now and then, seldom where writing takes long."""

    def __init__(self, kept: Kept, path: Path | None) -> None:
        self.kept, self.path, self.due = kept, path, time.monotonic() + SAVE_EVERY

    def now_and_then(self) -> None:
        """Write if something has changed and the last write is long ago."""
        began = time.monotonic()
        if self.path is not None and began >= self.due:
            self.kept.save(self.path)
            now = time.monotonic()
            self.due = now + max(SAVE_EVERY, SHARE * (now - began))
