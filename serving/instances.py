"""An endpoint on each of its devices: how long a batch takes there, and so where it is sent.

An instance is what Triton calls so, one execution of a model at a time; an instance group is as many on one device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from time import perf_counter_ns
from typing import TypeVar

import numpy as np

from zoo.serving.devices import CPU, Device

Arrays = dict[str, np.ndarray]
AnyTimed = TypeVar("AnyTimed", bound="Timed")
_LONG_NS = 50_000_000
"""A warm-up goes to no larger batch once one has taken this long: larger ones are reckoned from it."""


class Timed:
    """An endpoint on one device, which knows how long its runs take.

    Parameters
    ----------
    run : callable
        The endpoint, checked arrays in and out.
    device : Device
        The device.
    """

    def __init__(self, run: Callable[[Arrays], Arrays], device: Device = CPU) -> None:
        self.run, self.device = run, device
        self._ns: dict[tuple[int, ...], float] = {}

    def learn(self, rows: int, lengths: tuple[int, ...], ns: float) -> None:
        """Note how long a run took.

        Runs of more than 2^(k-1) and at most 2^k rows share an estimate, and so do lengths of free axes. A run during which the
        machine did something else says little of the graph: estimates fall faster than they rise.

        Parameters
        ----------
        rows : int
            Rows of the run.
        lengths : tuple of int
            Lengths of its free axes.
        ns : float
            Nanoseconds that it took.
        """
        size = _size(rows, lengths)
        known = self._ns.get(size, ns)
        self._ns[size] = known + (0.5 if ns < known else 0.05) * (ns - known)

    def known(self, rows: int, lengths: tuple[int, ...]) -> float | None:
        """Nanoseconds of such runs; None where there was none."""
        return self._ns.get(_size(rows, lengths))

    def expected(self, rows: int, lengths: tuple[int, ...]) -> float:
        """Nanoseconds that a run will take: as before, or where none was of that size in proportion to the nearest one."""
        if (known := self.known(rows, lengths)) is not None or not self._ns:
            return known or 0.0
        size = _size(rows, lengths)
        nearest = min(self._ns, key=lambda other: sum(abs(a - b) for a, b in zip(size, other, strict=True)))
        return self._ns[nearest] * 2.0 ** (sum(size) - sum(nearest))

    def warm_up(self, row: Arrays, lengths: tuple[int, ...], sizes: Sequence[int]) -> None:
        """Run each size of batch a few times, from any thread, before the first request does."""
        for rows in sizes:
            arrays = {name: np.repeat(array[:1], rows, axis=0) for name, array in row.items()}
            for _ in range(3):
                start = perf_counter_ns()
                self.run(arrays)
                ns = perf_counter_ns() - start
                self.learn(rows, lengths, ns)
                if ns > _LONG_NS:
                    return


class InstanceGroup(Timed):
    """Instances of an endpoint on one device.

    Parameters
    ----------
    run : callable
        The endpoint, checked arrays in and out.
    pool : Executor
        The threads that it runs in.
    count : int
        Batches that may run there at once.
    device : Device
        The device.
    inline : bool
        Whether a run that was short before is short whatever it is given, so that it may run on the event loop.
    """

    def __init__(
        self, run: Callable[[Arrays], Arrays], pool: Executor, count: int, device: Device = CPU, *, inline: bool = True
    ) -> None:
        super().__init__(run, device)
        self.pool, self.count, self.inline = pool, count, inline and device.kind == "cpu"
        self.running = 0
        """Batches that run there now."""


def fastest(places: Sequence[AnyTimed], rows: int, lengths: tuple[int, ...]) -> list[AnyTimed]:
    """The places that are expected to run a batch in at most twice the time of the fastest, which comes first.

    Where the fastest is at work, waiting for it takes about as long as one of its runs, so no slower place is worth a batch.
    """
    expected = {place: place.expected(rows, lengths) for place in places}
    most = 2 * min(expected.values())
    return sorted((place for place in places if expected[place] <= most), key=expected.__getitem__)


def in_pieces(run: Callable[[Arrays], Arrays], arrays: Arrays, most: int, wanted: Callable[[], bool] = lambda: True) -> Arrays:
    """Run a batch of any number of rows in pieces, whose intermediate results take no more memory than a full batch's do.

    Parameters
    ----------
    run : callable
        The endpoint, checked arrays in and out.
    arrays : dict of str to ndarray
        The batch.
    most : int
        Rows of a piece.
    wanted : callable
        Whether anyone still waits for the answer, asked before each piece.

    Returns
    -------
    dict of str to ndarray
        The outputs of all rows.

    Raises
    ------
    TimeoutError
        Nobody waits any more.
    """
    rows = len(next(iter(arrays.values())))
    if rows <= most:
        return run(arrays)
    outputs: Arrays = {}
    for start in range(0, rows, most):
        if not wanted():
            raise TimeoutError
        for name, part in run({name: array[start : start + most] for name, array in arrays.items()}).items():
            if not start:
                outputs[name] = np.empty((rows, *part.shape[1:]), part.dtype)
            outputs[name][start : start + most] = part
    return outputs


def lengths(arrays: Arrays, free: Iterable[tuple[str, int]]) -> tuple[int, ...]:
    """Lengths of the free axes of a batch.

    Parameters
    ----------
    arrays : dict of str to ndarray
        The inputs.
    free : iterable of tuple of (str, int)
        For each free axis, an input that has it and its position there.
    """
    return tuple([arrays[name].shape[position] for name, position in free])


def _size(rows: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """The powers of two up to which a run has its rows and the lengths of its free axes."""
    return ((rows - 1).bit_length(), *[(length - 1).bit_length() for length in lengths])
