"""What a simulator answers to rows of parameters, each row, or chunk of rows, with a random stream of its own."""

from __future__ import annotations

import inspect
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.data.sbi.simulating.read_answer import Answer, Labels, read_answer

SAME = "expected the same at all parameters"
Simulator = Callable[..., Any]
"""Makes x of theta (D,), or vectorized (n, ...) of (n, D); may take ``rng``, a numpy generator, or ``seed``, a whole number."""


@dataclass
class Part:
    """Some rows and what became of them.

    Attributes
    ----------
    rows : ndarray of shape (m,)
        Numbers of the rows that were to be simulated.
    answers : ndarray or list
        Answers to the first of them, to all if nothing ended the part; arrays in a list where their shapes differ.
    labels : Labels, optional
        What stands beside the numbers of all of them, None where there are none.
    error : BaseException, optional
        What the simulator raised at the row after the last answer.
    at : int, optional
        Number of that row, where rows are simulated one by one.
    lost : str
        Why the only row has no answer and cannot have one: "late" or "ended".
    words : str
        The same in words, with what is known of it.
    seconds : float
        Time that the answers took.
    """

    rows: np.ndarray
    answers: list[np.ndarray] | np.ndarray = field(default_factory=list)
    labels: Labels | None = None
    error: BaseException | None = None
    at: int | None = None
    lost: str = ""
    words: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Calls:
    """A simulator and how it is called, which every process needs to know.

    Attributes
    ----------
    simulator : Simulator
        The user's function.
    seeds : list of int
        What the random streams of all rows follow from.
    vectorized : bool
        Whether it takes many rows at once.
    takes : tuple of str
        Which of "rng" and "seed" it takes.
    """

    simulator: Simulator
    seeds: list[int]
    vectorized: bool
    takes: tuple[str, ...]

    @classmethod
    def of(cls, simulator: Simulator, seeds: list[int], vectorized: bool) -> Calls:
        """Look at the simulator's signature, if it has one."""
        return cls(simulator, seeds, vectorized, _takes(simulator))

    def part(self, rows: np.ndarray, theta: np.ndarray, starts: Callable[[int], None] | None = None) -> Part:
        """Simulate some rows.

        Parameters
        ----------
        rows : ndarray of shape (m,)
            Numbers of the rows, which their random streams follow from.
        theta : ndarray of shape (m, D)
            Their parameters; the simulator may write into them.
        starts : callable, optional
            Is told the place of each row among these, before it is simulated.

        Returns
        -------
        Part
            Answers up to the first row at which the simulator raises.
        """
        part, began = Part(rows), time.perf_counter()
        with _random_states_as_they_were("rng" not in self.takes):
            try:
                if self.vectorized:
                    if starts is not None:
                        starts(0)
                    answer = self._rows_at_once(int(rows[0]), theta)
                    part.answers, part.labels = answer.array, answer.labels
                else:
                    part.answers = answers = []
                    for place, (row, one) in enumerate(zip(rows.tolist(), theta, strict=True)):
                        if starts is not None:
                            starts(place)
                        part.at = row
                        answer = self._answer(row, one)
                        if part.labels not in (None, answer.labels):
                            raise ValueError(f"it answers with {answer.labels}, and before with {part.labels}: {SAME}")
                        part.labels = answer.labels
                        answers.append(answer.array)
            except BaseException as error:
                part.error = error
        part.seconds = time.perf_counter() - began
        if isinstance(part.answers, list) and len({answer.shape for answer in part.answers}) == 1:
            part.answers = np.stack(part.answers)
        return part

    def _rows_at_once(self, start: int, theta: np.ndarray) -> Answer:
        expected = len(theta), theta.shape
        answer = self._answer(start, theta)
        if answer.array.ndim < 2 or len(answer.array) != expected[0]:
            raise ValueError(f"expected ({expected[0]}, C) for {expected[1]} parameters, given {answer.array.shape}")
        return answer

    def _answer(self, row: int, theta: np.ndarray) -> Answer:
        rng = np.random.default_rng([*self.seeds, row, 1])  # the prior has [*seeds]
        given: dict[str, Any] = {}
        if "rng" in self.takes:
            given["rng"] = rng
        else:
            seed = int(rng.integers(2**32))
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
        if "seed" in self.takes:
            given["seed"] = int(np.random.default_rng([*self.seeds, row, 2]).integers(2**31))  # C takes no more
        if torch := sys.modules.get("torch"):  # its default seed is a constant: all processes would draw the same
            torch.manual_seed(int(np.random.default_rng([*self.seeds, row, 3]).integers(2**63)))
        return read_answer(self.simulator(theta, **given))


def _takes(simulator: Simulator) -> tuple[str, ...]:
    """Which of ``rng`` and ``seed`` a simulator takes by name; a ``seed`` with a fraction as its default is something else."""
    try:
        parameters = inspect.signature(simulator).parameters
    except (TypeError, ValueError):  # a compiled function often has no signature
        return ()
    named = {name: one for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    seed = named.get("seed")
    if seed is not None and not (seed.default in (seed.empty, None) or type(seed.default) is int):
        del named["seed"]
    return tuple(name for name in ("rng", "seed") if name in named)


@contextmanager
def _random_states_as_they_were(global_ones: bool) -> Iterator[None]:
    """Give the program back the random states that simulators draw from where they take no generator."""
    numpy, python = (np.random.get_state(), random.getstate()) if global_ones else (None, None)  # noqa: NPY002
    torch = sys.modules.get("torch")
    of_torch = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        if numpy is not None and python is not None:
            np.random.set_state(numpy)  # noqa: NPY002
            random.setstate(python)
        if torch:
            torch.set_rng_state(of_torch)
