"""Adaptive micro-batching: an idle model runs a request at once, a busy one joins what arrives into its next batch.

No timer fills batches unless one is asked for: requests that the event loop reads in one turn, and those that arrive while
the model runs, make the next batch. The request whose turn it is decides the lengths of its batch. Requests of other lengths
join it where masks say what is padding and one longer run is expected to take no more time than two; else they keep their turn.
A graph known to be done
in less time than handing it to a thread takes runs on the event loop itself; ONNX Runtime releases the interpreter's lock, so
others run in the pool beside it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter_ns

import numpy as np

from zoo.serving.instances import Arrays, InstanceGroup, fastest, in_pieces, lengths
from zoo.serving.rejections import RefusedError, busy
from zoo.serving.statistics import Statistics
from zoo.serving.widening import Widening, longest

_Result = tuple[list[Arrays | Exception], tuple[int, int, int, int]]

# A round trip through the pool costs 50 to 100 us, and for as long as a graph runs on the loop nobody else is read.
_INLINE_NS = 150_000


@dataclass(frozen=True)
class Policy:
    """How one model batches.

    Attributes
    ----------
    max_batch : int
        Rows up to which requests are joined; a larger request runs alone, in pieces of as many.
    max_rows : int or None
        Rows of one request above which it is refused, as Triton refuses what is above ``max_batch_size``; None where no
        configuration says, and then only the bytes of a request are limited.
    max_delay : float
        Seconds that what arrives at a busy model may wait for more to join it, besides waiting for the model.
    max_queue : int
        Requests that may wait; one more is refused.
    instances : int or None
        Batches of this model that may run at once on a device; None for as many as there are workers on the CPU, and one on
        another device.
    device : str or None
        Where this model runs, as ``zoo.serving.devices.devices`` reads it; None for where the server's models do.
    """

    max_batch: int = 256
    max_rows: int | None = None
    max_delay: float = 0.0
    max_queue: int = 1024
    instances: int | None = None
    device: str | None = None


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
    """The queue of one model; every method runs on the event loop, batches there or in the pool of their device.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    groups : sequence of InstanceGroup
        The model on each of its devices; a batch goes to that which is fastest for its size.
    policy : Policy
        How the model batches.
    statistics : Statistics
        The statistics in which runs are counted.
    free : iterable of tuple of (str, int)
        For each free axis, an input that has it and its position there.
    widening : Widening, optional
        How requests of other lengths are filled up; without, only those of equal lengths are joined.
    """

    def __init__(
        self,
        name: str,
        groups: Sequence[InstanceGroup],
        policy: Policy,
        statistics: Statistics,
        free: Iterable[tuple[str, int]] = (),
        widening: Widening | None = None,
    ) -> None:
        self._name, self.groups, self.policy, self._statistics = name, list(groups), policy, statistics
        self._free, self._widening = tuple(free), widening
        self._callers: OrderedDict[Hashable, deque[_Waiting]] = OrderedDict()
        self._fresh: list[_Waiting] = []
        self._scheduled: asyncio.Handle | None = None
        self._delayed = False
        self._loop: asyncio.AbstractEventLoop | None = None

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
        delayed = self.policy.max_delay and any(group.running for group in self.groups)
        not_before = loop.time() + self.policy.max_delay if delayed else 0.0
        rows = len(next(iter(arrays.values())))
        free = lengths(arrays, self._free) if self._free else ()
        item = _Waiting(arrays, rows, free, loop.create_future(), perf_counter_ns(), not_before, timeout)
        self._callers.setdefault(caller, deque()).append(item)
        self._fresh.append(item)
        self._statistics.pending += 1
        self._schedule()
        return item.future

    def _schedule(self) -> None:
        assert self._loop is not None
        if self._group() is None:
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
        while self._callers and (group := self._group()) is not None:
            wait = self._filling()
            if wait > 0:
                self._scheduled, self._delayed = self._loop.call_later(wait, self._dispatch), True
                break
            batch, rows = self._take(group)
            if not batch:
                break
            known = group.known(rows, self._lengths(batch)) if group.inline else None
            if known is not None and known < _INLINE_NS:
                self._finish(group, batch, rows, self._execute(group, batch))
                continue
            group.running += 1
            self._set_timers(batch)
            running = self._loop.run_in_executor(group.pool, self._execute, group, batch)
            running.add_done_callback(partial(self._returned, group, batch, rows))
        if self._callers:
            self._set_timers(self._fresh)
        self._fresh.clear()

    def _group(self) -> InstanceGroup | None:
        """Where the next batch goes; None while all instances that are fast enough for it are at work."""
        groups = self.groups
        if len(groups) > 1 and self._callers:
            first = next(iter(self._callers.values()))[0]
            groups = fastest(groups, min(max(self._joinable(), first.rows), self.policy.max_batch), first.lengths)
        return next((group for group in groups if group.running < group.count), None)

    def _filling(self) -> float:
        """Seconds for which the next batch may still wait for more."""
        if not self.policy.max_delay or self._full():
            return 0.0
        assert self._loop is not None
        return min(queue[0].not_before for queue in self._callers.values()) - self._loop.time()

    def _full(self) -> bool:
        return self._joinable() >= self.policy.max_batch

    def _joinable(self) -> int:
        """Rows that wait and could join the request whose turn it is."""
        wanted = next(iter(self._callers.values()))[0].lengths
        waiting = (item for queue in self._callers.values() for item in queue)
        return sum(item.rows for item in waiting if item.lengths == wanted)

    def _joins(self, group: InstanceGroup, rows: int, size: tuple[int, ...], item: _Waiting) -> bool:
        """Whether a request may join a batch of so many rows and such lengths."""
        if item.lengths == size:
            return True
        if self._widening is None:
            return False
        together = group.expected(rows + item.rows, longest([size, item.lengths]))
        return together <= group.expected(rows, size) + group.expected(item.rows, item.lengths)

    def _take(self, group: InstanceGroup) -> tuple[list[_Waiting], int]:
        """The next batch, callers in turn, and its rows.

        A caller whose next request does not join is passed over, and is then ahead of all who were served, so that whatever
        lengths the others ask for, its turn comes.
        """
        batch: list[_Waiting] = []
        passed: list[tuple[Hashable, deque[_Waiting]]] = []
        rows, size = 0, next(iter(self._callers.values()))[0].lengths
        while self._callers:
            caller, queue = next(iter(self._callers.items()))
            if batch and not self._joins(group, rows, size, queue[0]):
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
                size = longest([size, item.lengths]) if batch else item.lengths
                batch.append(item)
                rows += item.rows
            elif item.timer is not None:  # its client has gone; the timer would keep its arrays
                item.timer.cancel()
        for caller, queue in reversed(passed):
            self._callers[caller] = queue
            self._callers.move_to_end(caller, last=False)
        return batch, rows

    def _execute(self, group: InstanceGroup, batch: list[_Waiting]) -> _Result:
        """Join, run and take apart; answers in order, and the instants between. A batch that fails runs one by one."""
        start = perf_counter_ns()
        joined, first = start, batch[0].arrays
        try:
            arrays = first if len(batch) == 1 else {name: np.concatenate(self._widened(batch, name)) for name in first}
            joined = perf_counter_ns()
            outputs = in_pieces(group.run, arrays, self.policy.max_batch, lambda: not all(i.future.done() for i in batch))
        except Exception as error:  # errors of ONNX Runtime share no base: one request's alone, or a fault of ours
            now = perf_counter_ns()
            alone: list[Arrays | Exception] = [error]
            if len(batch) > 1:
                alone = [answer for item in batch for answer in self._execute(group, [item])[0]]
            return alone, (start, joined, now, now)
        ran = perf_counter_ns()
        if len(batch) == 1:
            return [outputs], (start, joined, ran, ran)
        answers: list[Arrays | Exception] = []
        row = 0
        for item in batch:
            answers.append({name: self._cut(item, name, array[row : row + item.rows]) for name, array in outputs.items()})
            row += item.rows
        return answers, (start, joined, ran, perf_counter_ns())

    def _lengths(self, batch: list[_Waiting]) -> tuple[int, ...]:
        """Lengths of the free axes of a joined batch."""
        return longest(item.lengths for item in batch) if self._free else ()

    def _widened(self, batch: list[_Waiting], name: str) -> list[np.ndarray]:
        if self._widening is None:
            return [item.arrays[name] for item in batch]
        size = self._lengths(batch)
        return [self._widening.widened(name, item.arrays[name], size) for item in batch]

    def _cut(self, item: _Waiting, name: str, array: np.ndarray) -> np.ndarray:
        return array if self._widening is None else self._widening.cut(name, array, item.lengths)

    def _returned(
        self,
        group: InstanceGroup,
        batch: list[_Waiting],
        rows: int,
        running: asyncio.Future[_Result],
    ) -> None:
        group.running -= 1
        if running.cancelled():
            for item in batch:
                item.future.cancel()
            return
        self._finish(group, batch, rows, running.result())
        if self._callers:
            self._schedule()

    def _finish(self, group: InstanceGroup, batch: list[_Waiting], rows: int, result: _Result) -> None:
        answers, (start, joined, ran, split) = result
        group.learn(rows, self._lengths(batch), ran - joined)
        queued = sum(start - item.arrived for item in batch)
        self._statistics.executed(str(group.device), rows, len(batch), queued, joined - start, ran - joined, split - ran)
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
