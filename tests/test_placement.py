"""Sizes of batch that a device is prepared for, and which device a batch is sent to; the CPU stands in for a GPU."""

from __future__ import annotations

import asyncio
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import set_models
from hypothesis import given
from hypothesis import strategies as st

from zoo.model.onnx_bytes import OnnxBytes
from zoo.serving.batching import Batcher, Policy
from zoo.serving.devices import CPU, Device
from zoo.serving.graph import Graph
from zoo.serving.instances import InstanceGroup, Timed, fastest
from zoo.serving.padding import Padded, sizes_up_to
from zoo.serving.statistics import Statistics

GPU = Device("cuda")


def padded(model: set_models.SetModel, folder: Path, sizes: list[int]) -> Padded:
    row = model.draw(np.random.default_rng(0), 1)
    return Padded(OnnxBytes.read(model.write(folder / model.name) / "predict.onnx"), model.endpoint, CPU, sizes, row)


@given(st.integers(1, 5000))
def test_a_batch_is_filled_up_to_less_than_twice_its_rows(most: int) -> None:
    sizes = sizes_up_to(most)
    assert sizes == sorted(set(sizes))
    assert (sizes[0], sizes[-1]) == (1, most)
    assert all(after <= 2 * before for before, after in itertools.pairwise(sizes))


@pytest.mark.parametrize("model", set_models.MODELS.values(), ids=set_models.MODELS)
def test_any_number_of_rows_is_answered_as_without_padding(model: set_models.SetModel, tmp_path: Path) -> None:
    graph, random = padded(model, tmp_path, [1, 2, 4, 8]), np.random.default_rng(1)
    plain = Graph(OnnxBytes.read(graph.file), model.endpoint)
    for rows in (0, 1, 2, 3, 5, 8, 9, 30):
        given = graph.check(model.draw(random, rows))
        answers, expected = graph.run(given), plain.run(given)
        for name, array in expected.items():
            assert answers[name].dtype == array.dtype
            np.testing.assert_array_equal(answers[name], array)
    assert bool(graph._bound) == (not graph.free)


def test_only_the_prepared_sizes_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = set_models.JETS
    graph, ran = padded(model, tmp_path, [1, 4, 16]), []
    real = Graph.run
    monkeypatch.setattr(Graph, "run", lambda self, arrays: ran.append(len(next(iter(arrays.values())))) or real(self, arrays))
    for rows in (1, 2, 4, 5, 16, 17, 40):
        graph.run(graph.check(model.draw(np.random.default_rng(rows), rows)))
    assert ran == [1, 4, 4, 16, 16, 16, 1, 16, 16, 16]


def test_answers_stay_what_they_were_when_the_next_batch_runs(tmp_path: Path) -> None:
    """Bound memory holds the next batch's answers."""
    model = set_models.TIMES
    graph = padded(model, tmp_path, [1, 4])
    first = graph.check(model.draw(np.random.default_rng(1), 4))
    answers = graph.run(first)
    kept = {name: array.copy() for name, array in answers.items()}
    graph.run(graph.check(model.draw(np.random.default_rng(2), 4)))
    for name, array in kept.items():
        np.testing.assert_array_equal(answers[name], array)


def timed(device: Device, per_row: float, at_least: float) -> Timed:
    """A device whose runs take so many microseconds a row, and no less than so many."""
    place = Timed(lambda arrays: arrays, device)
    for rows in sizes_up_to(256):
        place.learn(rows, (), 1e3 * max(at_least, per_row * rows))
    return place


def test_each_size_goes_where_it_is_faster() -> None:
    cpu, gpu = timed(CPU, per_row=10, at_least=10), timed(GPU, per_row=0.1, at_least=300)
    chosen = {rows: fastest([gpu, cpu], rows, ())[0].device for rows in (1, 16, 32, 64, 256, 4096)}
    assert chosen == {1: CPU, 16: CPU, 32: GPU, 64: GPU, 256: GPU, 4096: GPU}


def test_a_place_is_fast_enough_up_to_twice_the_time_of_the_fastest() -> None:
    cpu, gpu = timed(CPU, per_row=10, at_least=10), timed(GPU, per_row=0.1, at_least=300)
    chosen = {rows: [place.device for place in fastest([gpu, cpu], rows, ())] for rows in (8, 16, 32, 64, 128)}
    assert chosen == {8: [CPU], 16: [CPU, GPU], 32: [GPU, CPU], 64: [GPU], 128: [GPU]}


def test_sizes_that_never_ran_are_reckoned_from_the_nearest() -> None:
    place = Timed(lambda arrays: arrays)
    assert place.expected(8, ()) == 0.0
    place.learn(64, (), 1000.0)
    assert place.expected(256, ()) == 4000.0
    assert place.expected(16, ()) == 250.0
    assert place.known(256, ()) is None


class Held:
    """A device that notes its batches, and waits until it is told to go."""

    def __init__(self) -> None:
        self.ran: list[int] = []
        self.go = threading.Event()

    def __call__(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.ran.append(len(arrays["x"]))
        assert self.go.wait(10)
        return {"y": arrays["x"]}


def test_small_requests_pass_a_device_that_is_at_work_and_two_of_a_kind_share_the_rest() -> None:
    on_cpu, one, other = Held(), Held(), Held()
    on_cpu.go.set()

    async def ask() -> None:
        with ThreadPoolExecutor(4) as pool:
            groups = [InstanceGroup(one, pool, 1, GPU), InstanceGroup(other, pool, 1, Device("cuda", 1))]
            groups.append(InstanceGroup(on_cpu, pool, 1, CPU))
            for group in groups:
                per_row, at_least = (10, 400) if group.device is CPU else (1, 600)
                for rows in sizes_up_to(256):
                    group.learn(rows, (), 1e3 * max(at_least, per_row * rows))
            statistics = Statistics()
            batcher = Batcher("tiny", groups, Policy(max_batch=256), statistics)
            large = [batcher.submit({"x": np.ones((200, 1))}, number) for number in range(3)]
            while len(one.ran) + len(other.ran) < 2:
                await asyncio.sleep(0.001)
            assert (one.ran, other.ran, on_cpu.ran) == ([200], [200], [])
            one.go.set()
            other.go.set()
            await asyncio.gather(*large)
            one.go.clear()
            busy = batcher.submit({"x": np.ones((200, 1))}, "large")
            while not one.ran[2:] and not other.ran[2:]:
                await asyncio.sleep(0.001)
            await batcher.submit({"x": np.ones((3, 1))}, "small")
            assert on_cpu.ran == [3]
            one.go.set()
            await busy
            assert sum(statistics.devices.values()) == 5
            assert statistics.devices["cpu"] == 1

    asyncio.run(asyncio.wait_for(ask(), 30))
