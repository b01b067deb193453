"""Adaptive micro-batching: an idle model runs a request at once, a busy one joins what arrives into its next batch.

No timer fills batches unless one is asked for: requests that the event loop reads in one turn, and those that arrive while
the model runs, make the next batch. Only requests whose free axes have equal lengths are joined, as nothing is padded: the
request whose turn it is decides the lengths of its batch, and those of other lengths keep their turn. A graph known to be done
in less time than handing it to a thread takes runs on the event loop itself; ONNX Runtime releases the interpreter's lock, so
others run in the pool beside it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns

import numpy as np

from zoo.serving.rejections import RefusedError, busy
from zoo.serving.statistics import Statistics

Arrays = dict[str, np.ndarray]
_Result = tuple[list[Arrays | Exception], tuple[int, int, int, int]]

# A round trip through the pool costs 50 to 100 us, and for as long as a graph runs on the loop nobody else is read.
_INLINE_NS = 150_000


@dataclass(frozen=True)
class Policy:
    """How one model batches.

    Attributes
    ----------
    max_batch : int
        Rows up to which requests are joined; a larger request runs alone.
    max_delay : float
        Seconds that what arrives at a busy model may wait for more to join it, besides waiting for the model.
    max_queue : int
        Requests that may wait; one more is refused.
    instances : int or None
        Batches of this model that may run at once; None for as many as the pool has workers.
    """

    max_batch: int = 256
    max_delay: float = 0.0
    max_queue: int = 1024
    instances: int | None = None


@dataclass(slots=True, eq=False)
class _Waiting:
    arrays: Arrays
    rows: int
    lengths: tuple[int, ...]
    future: asyncio.Future[Arrays]
    arrived: int
    not_before: float
    timeout: float | None
    timer: asyncio.TimerHandle | None = None


class Batcher:
    """The queue of one model; every method runs on the event loop, ``run`` there or in the pool.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    run : callable
        The graph, checked arrays in and out.
    pool : Executor
        The pool that longer runs go to.
    workers : int
        How many of them may go there at once.
    policy : Policy
        How the model batches.
    statistics : Statistics
        The statistics in which runs are counted.
    free : iterable of tuple of (str, int)
        For each free axis, an input that has it and its position there; only requests of equal lengths along all of them are
        joined.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Arrays], Arrays],
        pool: Executor,
        workers: int,
        policy: Policy,
        statistics: Statistics,
        free: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._name, self._run, self._pool, self.policy, self._statistics = name, run, pool, policy, statistics
        self._free = tuple(free)
        self.instances = policy.instances or workers
        self._callers: OrderedDict[Hashable, deque[_Waiting]] = OrderedDict()
        self._fresh: list[_Waiting] = []
        self._scheduled: asyncio.Handle | None = None
        self._delayed = False
        self._running = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run_ns: dict[tuple[int, ...], float] = {}

    def learn(self, rows: int, lengths: tuple[int, ...], ns: float) -> None:
        """Note how long a run took.

        Runs of 2^k to 2^(k+1) - 1 rows share an estimate, and so do lengths of free axes. A run during which the machine did
        something else says little of the graph: estimates fall faster than they rise.

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
        known = self._run_ns.get(size, ns)
        self._run_ns[size] = known + (0.5 if ns < known else 0.05) * (ns - known)

    def warm_up(self, arrays: Arrays) -> None:
        """Run a few times, from any thread, before the first request does; what it takes decides where it will run."""
        for _ in range(3):
            start = perf_counter_ns()
            self._run(arrays)
            self.learn(len(next(iter(arrays.values()))), self._lengths(arrays), perf_counter_ns() - start)

    def _lengths(self, arrays: Arrays) -> tuple[int, ...]:
        return tuple([arrays[name].shape[position] for name, position in self._free])

    def submit(self, arrays: Arrays, caller: Hashable, timeout: float | None = None) -> asyncio.Future[Arrays]:
        """Queue one request.

        Parameters
        ----------
        arrays : dict of str to ndarray
            Checked inputs, of one number of rows.
        caller : hashable
            Who asks; callers take turns, whatever each has waiting.
        timeout : float, optional
            Seconds until the future fails.

        Returns
        -------
        Future of dict of str to ndarray
            The outputs of these rows.

        Raises
        ------
        RefusedError
            503: the queue is full.
        """
        if self._statistics.pending >= self.policy.max_queue:
            raise busy(f"{self._name} has {self._statistics.pending} requests waiting, as many as it may: ask again later")
        loop = self._loop = asyncio.get_running_loop()
        not_before = loop.time() + self.policy.max_delay if self._running and self.policy.max_delay else 0.0
        rows = len(next(iter(arrays.values())))
        lengths = self._lengths(arrays) if self._free else ()
        item = _Waiting(arrays, rows, lengths, loop.create_future(), perf_counter_ns(), not_before, timeout)
        self._callers.setdefault(caller, deque()).append(item)
        self._fresh.append(item)
        self._statistics.pending += 1
        self._schedule()
        return item.future

    def _schedule(self) -> None:
        assert self._loop is not None
        if self._running >= self.instances:
            self._set_timers(self._fresh)
            self._fresh.clear()
        elif self._scheduled is None:
            self._scheduled = self._loop.call_soon(self._dispatch)
        elif self._delayed and self._full():
            self._scheduled.cancel()
            self._delayed = False
            self._scheduled = self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Start as many batches as may run; what then still waits, or runs in the pool, gets its timer."""
        assert self._loop is not None
        self._scheduled, self._delayed = None, False
        while self._callers and self._running < self.instances:
            wait = self._filling()
            if wait > 0:
                self._scheduled, self._delayed = self._loop.call_later(wait, self._dispatch), True
                break
            batch, rows = self._take()
            if not batch:
                break
            if self._run_ns.get(_size(rows, batch[0].lengths), _INLINE_NS) < _INLINE_NS:
                self._finish(batch, rows, self._execute(batch))
                continue
            self._running += 1
            self._set_timers(batch)
            running = self._loop.run_in_executor(self._pool, self._execute, batch)
            running.add_done_callback(partial(self._returned, batch, rows))
        if self._callers:
            self._set_timers(self._fresh)
        self._fresh.clear()

    def _filling(self) -> float:
        """Seconds for which the next batch may still wait for more."""
        if not self.policy.max_delay or self._full():
            return 0.0
        assert self._loop is not None
        return min(queue[0].not_before for queue in self._callers.values()) - self._loop.time()

    def _full(self) -> bool:
        lengths = next(iter(self._callers.values()))[0].lengths
        waiting = (item for queue in self._callers.values() for item in queue)
        return sum(item.rows for item in waiting if item.lengths == lengths) >= self.policy.max_batch

    def _take(self) -> tuple[list[_Waiting], int]:
        """The next batch, callers in turn, and its rows.

        The first request decides the lengths of the free axes. A caller whose next request has others is passed over, and is
        then ahead of all who were served, so that whatever lengths the others ask for, its turn comes.
        """
        batch: list[_Waiting] = []
        passed: list[tuple[Hashable, deque[_Waiting]]] = []
        rows = 0
        while self._callers:
            caller, queue = next(iter(self._callers.items()))
            if batch and queue[0].lengths != batch[0].lengths:
                passed.append((caller, self._callers.pop(caller)))
                continue
            if batch and rows + queue[0].rows > self.policy.max_batch:
                break
            item = queue.popleft()
            if queue:
                self._callers.move_to_end(caller)
            else:
                del self._callers[caller]
            self._statistics.pending -= 1
            if not item.future.done():
                batch.append(item)
                rows += item.rows
            elif item.timer is not None:  # its client has gone; the timer would keep its arrays
                item.timer.cancel()
        for caller, queue in reversed(passed):
            self._callers[caller] = queue
            self._callers.move_to_end(caller, last=False)
        return batch, rows

    def _execute(self, batch: list[_Waiting]) -> _Result:
        """Join, run and take apart; answers in order, and the instants between. A batch that fails runs one by one."""
        start = perf_counter_ns()
        joined, first = start, batch[0].arrays
        try:
            arrays = first if len(batch) == 1 else {name: np.concatenate([i.arrays[name] for i in batch]) for name in first}
            joined = perf_counter_ns()
            outputs = self._run(arrays)
        except Exception as error:  # errors of ONNX Runtime share no base: one request's alone, or a fault of ours
            now = perf_counter_ns()
            alone: list[Arrays | Exception] = [error]
            if len(batch) > 1:
                alone = [answer for item in batch for answer in self._execute([item])[0]]
            return alone, (start, joined, now, now)
        ran = perf_counter_ns()
        if len(batch) == 1:
            return [outputs], (start, joined, ran, ran)
        answers: list[Arrays | Exception] = []
        row = 0
        for item in batch:
            answers.append({name: array[row : row + item.rows] for name, array in outputs.items()})
            row += item.rows
        return answers, (start, joined, ran, perf_counter_ns())

    def _returned(
        self,
        batch: list[_Waiting],
        rows: int,
        running: asyncio.Future[_Result],
    ) -> None:
        self._running -= 1
        if running.cancelled():
            for item in batch:
                item.future.cancel()
            return
        self._finish(batch, rows, running.result())
        if self._callers:
            self._schedule()

    def _finish(self, batch: list[_Waiting], rows: int, result: _Result) -> None:
        answers, (start, joined, ran, split) = result
        self.learn(rows, batch[0].lengths, ran - joined)
        queued = sum(start - item.arrived for item in batch)
        self._statistics.executed(rows, len(batch), queued, joined - start, ran - joined, split - ran)
        for item, answer in zip(batch, answers, strict=True):
            if item.timer is not None:
                item.timer.cancel()
            if item.future.done():
                continue
            if isinstance(answer, Exception):
                item.future.set_exception(answer)
            else:
                item.future.set_result(answer)

    def _set_timers(self, items: list[_Waiting]) -> None:
        assert self._loop is not None
        for item in items:
            if item.timeout is not None and item.timer is None and not item.future.done():
                item.timer = self._loop.call_later(item.timeout, self._expire, item)

    def _expire(self, item: _Waiting) -> None:
        if not item.future.done():
            message = f"{self._name} did not answer within {item.timeout:g} s: ask for fewer rows, or with a longer timeout"
            item.future.set_exception(RefusedError(504, message))


def _size(rows: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """The powers of two between which a run has its rows and the lengths of its free axes."""
    return (rows.bit_length(), *map(int.bit_length, lengths)) if lengths else (rows.bit_length(),)
