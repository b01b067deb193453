"""Micro-batching: what is joined, in whose turn, how long it waits, and what happens when something fails."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from zoo.serving.batching import Batcher, Policy
from zoo.serving.instances import InstanceGroup
from zoo.serving.rejections import RefusedError
from zoo.serving.statistics import Statistics

Arrays = dict[str, np.ndarray]


class Doubling:
    """A model that doubles, notes its batches, and waits until it is told to go."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.go = threading.Event()
        self.go.set()
        self.threads: set[int] = set()

    def __call__(self, arrays: Arrays) -> Arrays:
        self.batches.append(arrays["x"][:, 0].tolist())
        self.threads.add(threading.get_ident())
        assert self.go.wait(10)
        if np.isnan(arrays["x"]).any():
            raise RuntimeError("no number")
        return {"y": 2 * arrays["x"]}


class Clock:
    """The event loop as the batcher sees it, whose time stands still until a test moves it on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def __getattr__(self, name: str) -> object:
        return getattr(asyncio.get_running_loop(), name)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: object) -> SimpleNamespace:
        timer = (self.now + delay, callback, arguments)
        self.timers.append(timer)
        return SimpleNamespace(cancel=lambda: self.timers.remove(timer))

    def move_to(self, now: float) -> None:
        self.now = now
        for timer in [timer for timer in self.timers if timer[0] <= now]:
            self.timers.remove(timer)
            timer[1](*timer[2])


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("zoo.serving.batching.asyncio", SimpleNamespace(get_running_loop=lambda: clock))
    return clock


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def rows(*values: float) -> Arrays:
    return {"x": np.array(values, np.float32)[:, None]}


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


def make(model: Doubling, pool: ThreadPoolExecutor, **policy: object) -> tuple[Batcher, Statistics]:
    statistics = Statistics()
    group = InstanceGroup(model, pool, policy.pop("instances", 1) or 2)
    return Batcher("tiny", [group], Policy(**policy), statistics), statistics


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_requests_of_one_turn_and_those_that_arrive_meanwhile_are_joined(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, statistics = make(model, pool)

    async def test() -> None:
        model.go.clear()
        first = [batcher.submit(rows(1.0), "a"), batcher.submit(rows(2.0, 3.0), "b")]
        await until(lambda: model.batches)
        later = [batcher.submit(rows(value), "a") for value in (4.0, 5.0, 6.0)]
        await asyncio.sleep(0.01)
        model.go.set()
        answers = await asyncio.gather(*first, *later)
        assert [answer["y"][:, 0].tolist() for answer in answers] == [[2.0], [4.0, 6.0], [8.0], [10.0], [12.0]]
        assert model.batches == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]

    run(test)
    assert (statistics.rows, statistics.executions, statistics.queue.count, statistics.pending) == (6, 2, 5, 0)
    assert {size: batch[1].count for size, batch in statistics.batches.items()} == {3: 2}


def test_an_idle_model_runs_at_once_even_with_a_delay(pool: ThreadPoolExecutor, clock: Clock) -> None:
    batcher, _ = make(Doubling(), pool, max_delay=5.0)

    async def test() -> None:
        for value in range(5):
            await batcher.submit(rows(value), "a")

    run(test)
    assert clock.timers == []


def test_a_busy_model_waits_for_the_delay(pool: ThreadPoolExecutor, clock: Clock) -> None:
    model = Doubling()
    batcher, _ = make(model, pool, max_delay=5.0, max_batch=4)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(1.0), "a")
        await until(lambda: model.batches)
        clock.move_to(1.0)
        second = batcher.submit(rows(2.0), "a")
        clock.move_to(3.0)
        model.go.set()
        await first
        await until(lambda: clock.timers)
        third = batcher.submit(rows(3.0), "b")
        clock.move_to(5.9)
        await asyncio.sleep(0)
        assert model.batches == [[1.0]]
        clock.move_to(6.0)
        await asyncio.gather(second, third)
        assert model.batches == [[1.0], [2.0, 3.0]]

    run(test)


def test_a_batch_that_is_full_does_not_wait_for_the_delay(pool: ThreadPoolExecutor, clock: Clock) -> None:
    model = Doubling()
    batcher, _ = make(model, pool, max_delay=20.0, max_batch=4)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(1.0), "a")
        await until(lambda: model.batches)
        second = batcher.submit(rows(2.0, 3.0), "a")
        model.go.set()
        await first
        await until(lambda: clock.timers)
        await asyncio.gather(second, batcher.submit(rows(4.0, 5.0), "b"))
        assert model.batches == [[1.0], [2.0, 3.0, 4.0, 5.0]]
        assert (clock.now, clock.timers) == (0.0, [])

    run(test)


def test_a_batch_that_cannot_be_joined_runs_one_by_one(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> np.ndarray:
        raise MemoryError

    model = Doubling()
    batcher, _ = make(model, pool)
    monkeypatch.setattr(np, "concatenate", full)

    async def test() -> None:
        answers = await asyncio.gather(*(batcher.submit(rows(value), "a") for value in (1.0, 2.0)))
        assert [answer["y"].tolist() for answer in answers] == [[[2.0]], [[4.0]]]

    run(test)


def test_callers_take_turns(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool, max_batch=2)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(0.0), "a")
        await until(lambda: model.batches)
        greedy = [batcher.submit(rows(1.0), "greedy") for _ in range(6)]
        modest = batcher.submit(rows(2.0), "modest")
        model.go.set()
        await asyncio.gather(first, *greedy, modest)

    run(test)
    assert model.batches == [[0.0], [1.0, 2.0], [1.0, 1.0], [1.0, 1.0], [1.0]]


def test_a_batch_never_grows_beyond_its_limit_but_a_large_request_runs(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool, max_batch=4)

    async def test() -> None:
        answers = await asyncio.gather(*(batcher.submit(rows(*range(n)), "a") for n in (3, 2, 9, 1)))
        assert [len(answer["y"]) for answer in answers] == [3, 2, 9, 1]

    run(test)
    assert [len(batch) for batch in model.batches] == [3, 2, 4, 4, 1, 1]  # alone, in pieces as large as a batch


@pytest.mark.parametrize(("microseconds", "on_the_loop"), [(10, True), (1000, False)])
def test_short_runs_stay_on_the_loop_and_long_ones_do_not(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, microseconds: int, on_the_loop: bool
) -> None:
    clock = itertools.count(step=1000 * microseconds)
    for module in ("batching", "instances"):
        monkeypatch.setattr(f"zoo.serving.{module}.perf_counter_ns", lambda: next(clock))
    model = Doubling()
    batcher, _ = make(model, pool)
    batcher.groups[0].warm_up(rows(1.0), (), [1])
    model.threads.clear()

    async def test() -> None:
        await batcher.submit(rows(1.0), "a")

    run(test)
    assert (model.threads == {threading.get_ident()}) == on_the_loop


def test_a_full_queue_refuses(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, statistics = make(model, pool, max_queue=2)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(0.0), "a")
        await until(lambda: model.batches)
        waiting = [batcher.submit(rows(value), "a") for value in (1.0, 2.0)]
        with pytest.raises(RefusedError, match="2 requests waiting") as caught:
            batcher.submit(rows(3.0), "a")
        assert caught.value.status == 503
        assert caught.value.headers == ((b"retry-after", b"1"),)
        model.go.set()
        await asyncio.gather(first, *waiting)

    run(test)
    assert statistics.pending == 0


def test_a_timeout_holds_in_the_queue_and_while_running(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool)

    async def test() -> None:
        model.go.clear()
        running = batcher.submit(rows(0.0), "a", 0.05)
        waiting = batcher.submit(rows(1.0), "a", 0.05)
        patient = batcher.submit(rows(2.0), "a", 20.0)
        for future in (running, waiting):
            with pytest.raises(RefusedError, match=r"within 0\.05 s") as caught:
                await future
            assert caught.value.status == 504
        model.go.set()
        assert (await patient)["y"].tolist() == [[4.0]]

    run(test)


def test_a_timed_out_or_abandoned_request_is_not_run(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(0.0), "a")
        await until(lambda: model.batches)
        abandoned = batcher.submit(rows(1.0), "a")
        abandoned.cancel()
        last = batcher.submit(rows(2.0), "a")
        model.go.set()
        await asyncio.gather(first, last)

    run(test)
    assert model.batches == [[0.0], [2.0]]


def test_an_abandoned_request_is_forgotten_with_its_turn(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(rows(0.0), "a")
        await until(lambda: model.batches)
        arrays = rows(1.0)
        array = weakref.ref(arrays["x"])
        batcher.submit(arrays, "a", 60.0).cancel()
        del arrays
        model.go.set()
        await first
        await asyncio.sleep(0.01)
        gc.collect()
        assert array() is None

    run(test)


def test_one_request_that_fails_does_not_take_its_batch_along(pool: ThreadPoolExecutor) -> None:
    batcher, _ = make(Doubling(), pool)

    async def test() -> None:
        futures = [batcher.submit(rows(value), "a") for value in (1.0, np.nan, 3.0)]
        answers = await asyncio.gather(*futures, return_exceptions=True)
        assert [answers[0]["y"].tolist(), answers[2]["y"].tolist()] == [[[2.0]], [[6.0]]]
        assert isinstance(answers[1], RuntimeError)

    run(test)


def test_as_many_batches_at_once_as_instances(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher, _ = make(model, pool, instances=None)

    async def test() -> None:
        model.go.clear()
        futures = [batcher.submit(rows(0.0), "a")]
        await until(lambda: len(model.batches) == 1)
        futures.append(batcher.submit(rows(1.0), "a"))
        await until(lambda: len(model.batches) == 2)
        futures += [batcher.submit(rows(value), "a") for value in (2.0, 3.0)]
        await asyncio.sleep(0.01)
        assert len(model.batches) == 2
        model.go.set()
        await asyncio.gather(*futures)

    run(test)
    assert model.batches == [[0.0], [1.0], [2.0, 3.0]]


def test_many_callers_get_their_own_answers(pool: ThreadPoolExecutor) -> None:
    batcher, statistics = make(Doubling(), pool, max_batch=16, instances=None)

    async def caller(number: int) -> None:
        random = np.random.default_rng(number)
        for _ in range(30):
            mine = rows(*random.normal(size=random.integers(1, 6)))
            np.testing.assert_array_equal((await batcher.submit(mine, number))["y"], 2 * mine["x"])

    async def test() -> None:
        await asyncio.gather(*(caller(number) for number in range(20)))

    run(test)
    assert statistics.queue.count == 600
    assert statistics.executions < 600


def of_length(length: int, rows: int = 1) -> Arrays:
    """Rows of one length along a free axis, each element of which is the length."""
    return {"x": np.full((rows, length), length, np.float32)}


def make_free(model: Doubling, pool: ThreadPoolExecutor, **policy: object) -> Batcher:
    return Batcher("tiny", [InstanceGroup(model, pool, 1)], Policy(**policy), Statistics(), [("x", 1)])


def test_only_requests_of_one_length_are_joined(pool: ThreadPoolExecutor) -> None:
    model = Doubling()
    batcher = make_free(model, pool)

    async def test() -> None:
        lengths = [3, 5, 3, 5, 2]
        answers = await asyncio.gather(*(batcher.submit(of_length(n), caller) for caller, n in enumerate(lengths)))
        assert [answer["y"].tolist() for answer in answers] == [[[2.0 * n] * n] for n in lengths]

    run(test)
    assert model.batches == [[3.0, 3.0], [5.0, 5.0], [2.0]]


def test_a_caller_of_another_length_has_the_next_batch(pool: ThreadPoolExecutor) -> None:
    """Whatever the others ask for, and however often: who was passed over is ahead of those who were served."""
    model = Doubling()
    batcher = make_free(model, pool, max_batch=2)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(of_length(1), "a")
        await until(lambda: model.batches)
        greedy = [batcher.submit(of_length(3), "greedy") for _ in range(4)]
        also_greedy = [batcher.submit(of_length(n), "also greedy") for n in (3, 4, 5)]
        modest = [batcher.submit(of_length(6), "modest") for _ in range(2)]
        model.go.set()
        await asyncio.gather(first, *greedy, *also_greedy, *modest)

    run(test)
    assert model.batches == [[1.0], [3.0, 3.0], [6.0, 6.0], [3.0, 3.0], [4.0], [3.0], [5.0]]


def test_a_batch_of_one_length_is_full_by_its_own_rows(pool: ThreadPoolExecutor, clock: Clock) -> None:
    """Rows of other lengths do not end the delay of what waits to be joined."""
    model = Doubling()
    batcher = make_free(model, pool, max_batch=2, max_delay=20.0)

    async def test() -> None:
        model.go.clear()
        first = batcher.submit(of_length(1), "a")
        await until(lambda: model.batches)
        waiting = [batcher.submit(of_length(2), "b"), batcher.submit(of_length(4, rows=3), "c")]
        model.go.set()
        await first
        await until(lambda: clock.timers)
        await asyncio.gather(*waiting, batcher.submit(of_length(2), "d"))

    run(test)
    assert model.batches == [[1.0], [2.0, 2.0], [4.0, 4.0], [4.0]]


def test_how_long_a_run_takes_is_learned_for_each_length(pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is known to be short for two particles is not for a hundred."""
    for module in ("batching", "instances"):
        monkeypatch.setattr(f"zoo.serving.{module}.perf_counter_ns", itertools.count(step=10_000).__next__)
    model = Doubling()
    batcher = make_free(model, pool)
    batcher.groups[0].warm_up(of_length(2), (2,), [1])
    model.threads.clear()

    async def test() -> None:
        await batcher.submit(of_length(2), "a")
        assert model.threads == {threading.get_ident()}
        await batcher.submit(of_length(100), "a")
        assert len(model.threads) == 2

    run(test)
