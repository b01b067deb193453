"""Taggers for CMSSW through a C++ program that reads preprocess.json by the documented rules, against Keras."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")
from jet_variables import Particles, padded
from tagger_models import PARTICLE, TAGGERS, endpoint, jets, tagger, write_folder

import zoo
from zoo.export import export

ROOT = Path(__file__).parents[1]
BUILD = """
cmake_minimum_required(VERSION 3.16)
project(producer LANGUAGES CXX)
add_subdirectory({cpp} physzoo EXCLUDE_FROM_ALL)
add_executable(producer {source})
target_link_libraries(producer PRIVATE physzoo)
target_compile_options(producer PRIVATE -O2 -Wall -Wextra -Werror)
"""


@pytest.fixture(scope="module")
def producer(onnxruntime_root, tmp_path_factory) -> Path:
    """The built program."""
    folder = tmp_path_factory.mktemp("producer")
    source = ROOT / "tests" / "cmssw_producer.cpp"
    (folder / "CMakeLists.txt").write_text(BUILD.format(cpp=ROOT / "export" / "cpp", source=source))
    for command in (
        ["cmake", "-S", folder, "-B", folder / "build", f"-DONNXRUNTIME_ROOT={onnxruntime_root}"],
        ["cmake", "--build", folder / "build", "--target", "producer"],
    ):
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder / "build" / "producer"


def write_jets(folder: Path, filled: list[dict[str, np.ndarray]]) -> None:
    """One file a variable, all jets one after the other, and how many particles each has."""
    folder.mkdir()
    np.array([len(one["pfcand_mask"]) for one in filled], "<i8").tofile(folder / "counts.i64")
    for name in filled[0]:
        np.concatenate([one[name] for one in filled]).astype("<f4").tofile(folder / f"{name}.f32")


@pytest.mark.parametrize("name", TAGGERS)
def test_a_thousand_jets_of_any_length_answer_as_keras_does(producer, tmp_path, name):
    """Of none to more particles than are kept; some with momenta that are no number, which are left out."""
    export(zoo.load(write_folder(name, tmp_path / "released")), tmp_path / "out", target="cmssw", parity_rows=50)
    given = jets(1000, particles=PARTICLE.most + 20, seed=8)
    given["real"][::97] = False
    masses = TAGGERS[name].get("identity", True)
    filled, seen = [], []
    for row in range(1000):
        one = Particles.of(given, row, masses)
        variables, (momenta, codes) = one.cmssw(), one.mirrored()
        kept = np.arange(len(codes)) < PARTICLE.most
        if row % 5 == 1 and len(codes) > 3:
            kept[2] = False
            variables["pfcand_pt_log"][2] = [np.nan, np.inf, -np.inf][row % 3]
        filled.append(variables)
        seen.append((momenta[kept], codes[kept]))
    write_jets(tmp_path / "jets", filled)
    flavors = max(2, TAGGERS[name].get("outputs", 1))
    command = [producer, tmp_path / "out" / "cmssw", tmp_path / "jets", str(flavors)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    scores = np.array([line.split() for line in ran.stdout.splitlines()], float)
    inputs = padded(seen)
    expected = np.asarray(tagger(name).answer(*(inputs[tensor.name] for tensor in endpoint(**TAGGERS[name]).inputs)))
    expected = np.concatenate([1 - expected, expected], axis=1) if expected.shape[1] == 1 else expected
    nothing = ~inputs["real"].any(axis=1)
    assert nothing.sum() > 5
    assert inputs["real"].sum(axis=1).max() == PARTICLE.most
    np.testing.assert_array_equal(scores[nothing], 0)
    np.testing.assert_allclose(scores[~nothing], expected[~nothing], atol=2e-5)
    assert np.ptp(expected[~nothing], axis=0).max() > 0.05  # jets that are not all the same to it
