"""Requests of other lengths in one batch: filled up with what masks call padding, where that is faster and changes nothing."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from set_models import CLOUDS, JETS, MODELS, Arrays, SetModel

from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.store import locate
from zoo.serving.batching import Batcher, Policy
from zoo.serving.graph import Graph
from zoo.serving.instances import InstanceGroup
from zoo.serving.statistics import Statistics
from zoo.serving.widening import Widening, can_widen, widening_of


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    return {model.name: model.write(root / model.name) for model in (JETS, CLOUDS)}


def graph_of(folders: dict[str, Path], model: SetModel) -> Graph:
    return Graph(OnnxBytes.read(folders[model.name] / "predict.onnx"), model.endpoint)


def of_length(model: SetModel, length: int, seed: int) -> Arrays:
    """Two rows of so many particles."""
    random = np.random.default_rng(seed)
    while True:
        inputs = model.draw(random, 2)
        if next(iter(inputs.values())).shape[1] == length:
            return inputs


def test_only_what_masks_say_is_padding_is_filled_up() -> None:
    assert [name for name, model in MODELS.items() if can_widen(model.endpoint)] == ["jet-mean", "cloud-sums"]
    unmasked = [t.model_copy(update={"mask": None}) if t.name == "identity" else t for t in CLOUDS.endpoint.inputs]
    assert not can_widen(CLOUDS.endpoint.model_copy(update={"inputs": unmasked}))


@pytest.mark.parametrize(("seed", "length"), [(0, 14), (7, 16)])
def test_a_graph_whose_answer_padding_changes_is_never_filled_up(folders, caplog, seed: int, length: int) -> None:
    """Its export is refused, but a folder may come from elsewhere: the longest rows leave no room, and are cut instead."""
    spec, inputs = locate(folders["jet-mean"]).spec, JETS.draw(np.random.default_rng(seed), 2)
    assert inputs["mask"].shape[1] == length
    graph = graph_of(folders, JETS)
    assert widening_of(spec, "predict", graph.run, inputs) is not None

    def over_all(arrays: Arrays) -> Arrays:
        return graph.run(arrays) | {"mean": arrays["momenta"].mean(axis=1)}

    assert widening_of(spec, "predict", over_all, inputs) is None
    assert "padding changes mean" in caplog.text


@pytest.mark.parametrize(("each", "runs"), [(0.0, 1), (1.0, 3)])
@pytest.mark.parametrize("model", [JETS, CLOUDS], ids=lambda model: model.name)
def test_other_lengths_join_where_that_takes_no_longer(folders, model: SetModel, each: float, runs: int) -> None:
    """Of three clients with 2, 5 and 16 particles; a run takes a second, or a second for each row and particle."""
    graph, statistics = graph_of(folders, model), Statistics()
    taken: list[Arrays] = []

    def run(arrays: Arrays) -> Arrays:
        taken.append(arrays)
        return graph.run(arrays)

    asked = [of_length(model, length, seed) for seed, length in enumerate((2, 5, 16))]

    async def ask() -> list[Arrays]:
        with ThreadPoolExecutor(1) as pool:
            group = InstanceGroup(run, pool, 1, inline=False)
            for rows in (2, 4, 8):
                for length in (2, 8, 16):
                    group.learn(rows, (length,), 1e9 * (rows * length) ** each)
            batcher = Batcher(model.name, [group], Policy(), statistics, graph.free.values(), Widening(model.endpoint))
            return await asyncio.gather(*(batcher.submit(inputs, number) for number, inputs in enumerate(asked)))

    answers = asyncio.run(ask())
    assert statistics.executions == len(taken) == runs
    for inputs, answer in zip(asked, answers, strict=True):
        for name, expected in graph.run(inputs).items():
            np.testing.assert_array_equal(answer[name], expected, strict=True)
