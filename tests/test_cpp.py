"""The C++ header: built by its own CMake file, on released models, on damaged folders and on bad input."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported_folder import DAMAGES, SET_DAMAGES, SPEC, cut, exported, put, swap
from set_graphs import CONNECT, JET_REFUSALS, JET_WORDS, POOL, REFUSALS, TAG, jet, set_folder
from tiny_folder import TINY_ENDPOINT, make_model_folder

import zoo
from zoo.errors import InputError, IntegrityError
from zoo.export.client_files import write_client_files
from zoo.model.axes import Axis, fixed_axes
from zoo.model.inputs import InputCheck
from zoo.model.outputs import OutputCheck
from zoo.model.spec import TEST_TENSORS, Endpoint, Tensor, Tolerance
from zoo.model.store import locate
from zoo.serving import Session

ROOT = Path(__file__).parents[1]
CPP = ROOT / "export" / "cpp"
DOCS = ROOT / "docs" / "cpp.md"
PENDULUM = "ive-pendulum"


def run(*command: object, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def succeed(*command: object, **options) -> str:
    ran = run(*command, **options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def programs(onnxruntime_root, tmp_path_factory) -> Path:
    """Folder with the built programs of export/cpp."""
    build = tmp_path_factory.mktemp("build")
    succeed("cmake", "-S", CPP, "-B", build, f"-DONNXRUNTIME_ROOT={onnxruntime_root}")
    succeed("cmake", "--build", build)
    return build


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory) -> Path:
    return exported(PENDULUM, tmp_path_factory.mktemp("exported") / PENDULUM)


@pytest.mark.parametrize("name", zoo.list_models())
def test_released_models_check_themselves(programs, tmp_path, name):
    printed = succeed(programs / "physzoo_check", exported(name, tmp_path / name)).splitlines()
    spec = zoo.get_spec(name)
    outputs = [f"{endpoint} {tensor.name}" for endpoint, given in spec.endpoints.items() for tensor in given.outputs]
    assert printed[0].startswith(f"{name}@{spec.revision}, ONNX Runtime ")
    assert [line.partition(":")[0] for line in printed[1:]] == outputs
    assert all(line.endswith(": ok") for line in printed[1:])


def test_example_answers_as_python_does(programs, pendulum):
    printed = succeed(programs / "physzoo_example", pendulum)
    t = np.linspace(0, 5, 50)
    trajectory = np.stack([np.exp(-0.3 * t) * np.cos(frequency * t) for frequency in (2.5, 3.0)])
    expected = Session(PENDULUM).run({"trajectory": trajectory}, "encode")["mean"]
    found = [[float(number) for number in line.split()[3:]] for line in printed.splitlines()]
    np.testing.assert_allclose(found, expected, atol=6e-5)


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    return set_folder(tmp_path_factory.mktemp("sets") / "tiny-sets")


def test_sets_check_themselves(programs, sets):
    *printed, multiplicity = succeed(programs / "physzoo_check", sets).splitlines()
    assert [line.partition(":")[0] for line in printed[1:]] == [
        *(f"pool {name}" for name in ("sums", "kept", "count", "soft")),
        "connect steps",
        "connect charge",
    ]
    assert multiplicity == "tag multiplicity: 4 rows, largest |difference| 0 in one batch, 0 row by row: ok"
    assert all(line.endswith(": ok") for line in printed[1:])


@pytest.mark.parametrize("family", ["deep-set", "edge-network"])
def test_released_families_of_sets_check_themselves(programs, tmp_path, family):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    from set_families import ENDPOINTS, write_folder

    folder = exported(write_folder(family, tmp_path / "released"), tmp_path / "exported")
    printed = succeed(programs / "physzoo_check", folder).splitlines()
    assert len(printed) == 1 + sum(len(endpoint.outputs) for endpoint in ENDPOINTS[family].values())
    assert all(line.endswith(": ok") for line in printed[1:])


def refuses(programs: Path, good: Path, folder: Path, damage, message: str) -> None:
    shutil.copytree(good, folder)
    damage(folder)
    ran = run(programs / "physzoo_check", folder)
    assert ran.returncode == 1
    assert re.search(message, ran.stdout + ran.stderr), ran.stdout + ran.stderr


def make_older(folder: Path) -> None:
    shutil.rmtree(folder / "clients")
    (folder / "cpp").mkdir()
    (folder / "cpp" / "model.txt").write_text("physzoo 1\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        *DAMAGES,
        (shutil.rmtree, "no such folder: expected one that zoo export wrote"),
        (lambda folder: shutil.rmtree(folder / "clients"), "model.json: cannot be read: copy the exported folder again"),
        (make_older, "model.json: no such file, but cpp/model.txt of an older physzoo: export the model again"),
        (put("2", "revision"), "expected ive-pendulum@2 predict .* found ive-pendulum@1"),
        (lambda folder: (folder / "encode.onnx").unlink(), "encode.onnx: no such file"),
        (cut("encode.onnx", 5000), "encode.onnx: ONNX Runtime cannot load this graph"),
        (cut("encode.onnx", 0), "encode.onnx: "),
        (swap, f"encode.onnx: expected ive-pendulum@1 encode as in {SPEC}, found ive-pendulum@1 predict"),
    ],
)
def test_damaged_folders_are_refused(programs, pendulum, tmp_path, damage, message):
    refuses(programs, pendulum, tmp_path / PENDULUM, damage, message)


@pytest.mark.parametrize(("damage", "message"), SET_DAMAGES)
def test_damaged_sets_are_refused(programs, sets, tmp_path, damage, message):
    refuses(programs, sets, tmp_path / "sets", damage, message)


CHECKS = """
cmake_minimum_required(VERSION 3.16)
project(checks LANGUAGES CXX)
add_subdirectory({cpp} physzoo EXCLUDE_FROM_ALL)
add_executable(checks {checks})
target_link_libraries(checks PRIVATE physzoo)
# -ffast-math, as some frameworks have it, must not let NaN through.
target_compile_options(checks PRIVATE -O2 -ffast-math -Wall -Wextra -Werror)
"""


def test_bad_input_is_refused(onnxruntime_root, pendulum, sets, tmp_path):
    checks = Path(__file__).with_name("cpp_checks.cpp")
    (tmp_path / "CMakeLists.txt").write_text(CHECKS.format(cpp=CPP, checks=checks))
    succeed("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DONNXRUNTIME_ROOT={onnxruntime_root}")
    succeed("cmake", "--build", tmp_path / "build", "--target", "checks")
    printed = dict(line.split(": ", 1) for line in succeed(tmp_path / "build" / "checks", pendulum, sets).splitlines())
    names = "InputError endpoint predict: expected the inputs trajectory time, given"
    shape = "InputError input trajectory: expected shape (batch, 50), given"
    infinite = "InputError input {}: 1 values are NaN or infinite, the first at {}; Checks::finite = false lets them through"
    outside = (
        "InputError input {}: 1 values lie outside the trained range, the first at {}:"
        " expected {}, given {}; check the units, or extrapolate with Checks::range = false"
    )
    assert printed == {
        "endpoint": "InputError ive-pendulum has no endpoint encod, it has decode encode predict reconstruct",
        "missing": f"{names} trajectory",
        "none": f"{names} none",
        "name": f"{names} times trajectory",
        "extra": f"{names} time trajectory x",
        "shape": f"{shape} (2, 49)",
        "unbatched": f"{shape} (50)",
        "scalar": f"{shape} ()",
        "negative": f"{shape} (-1, 50)",
        "values": "InputError input trajectory: expected as many values as shape (2, 50) has, given 99",
        "huge": f"InputError input trajectory: expected as many values as shape ({2**62}, 50) has, given 0",
        "batches": "InputError inputs must have the same number of rows, given 3 of time and 2 of trajectory",
        "nan": infinite.format("trajectory", "(1, 3)"),
        "infinity": infinite.format("trajectory", "(0, 7)"),
        "nan let through": "(2, 1)",
        "range": outside.format("trajectory", "(1, 49)", "-1 to 1 m", 1.5),
        "range let through": "(2, 1)",
        "range, nan let through": outside.format("trajectory", "(1, 49)", "-1 to 1 m", -1.5),
        "nan, range let through": infinite.format("trajectory", "(1, 49)"),
        "edge of the range": "(2, 1)",
        "empty": "(0, 1)",
        "page": "1",
        **{
            case: f"InputError {message.format(finite='Checks::finite = false', range='Checks::range = false')}"
            for case, message in (REFUSALS | JET_WORDS).items()
        },
        "padding that is real, range let through": f"InputError {JET_WORDS['padding that is real']}",
        "few codes of one sign": "(13)",
        "codes of one sign, range let through": "(14)",
        "jets": "(29)(30)",
        "few jets that do not reach far": "(29)",
        "jets without particles": "(40)",
        "no jets": "(0)",
        "jets, range let through": "(1)",
        "jets, nan let through": "(1)",
        "sets": "(1, 3) 3 0 0.75, (1) 3, (1, 3) 1 1 1",
        "padded": "(1, 3) 2 0 0.5, (1) 2, (1, 3) 1 1 1",
        "mask of 2": "InputError input mask: expected 0 and 1, given 2 at (0, 1)",
        "mask of float32": "InputError input mask: expected dtype bool, given float32",
        "both": "InputError input mask: expected dtype bool, given bool and float32 at once",
        "no sets": "(0, 3), (0), (0, 3)",
        "graph": "(1, 2, 2) 1.00009e-12 0 1 0, (1) -1",
        "fraction, range let through": "(1, 2, 2) 1.00009e-12 -0.5 1 0.5, (1) -1",
        "answer that guards, range let through": "(1, 2, 2) -999 0 1000 0, (1) -1",
        "answer that guards, nan let through": "(1, 2, 2) -inf 0 inf 0, (1) -1",
        "another dtype": "Error this tensor holds int64: ask for numbers of that dtype",
        "threads": "each its own answer",
    }


def particles(at: int = 0, value: float = 1.0, count: int = 3, mask: tuple[bool, ...] = (True,)) -> dict[str, np.ndarray]:
    given = np.tile(np.array([1, 0, 0.25], "f4"), (1, count, 1))
    given.reshape(-1)[at : at + 1] = value
    return {"particles": given, "mask": np.resize(np.array(mask), (1, count if len(mask) == 1 else len(mask)))}


def graph(to: int = 0, first: float = 1.0, charge: int = 1, second: float = 0.0) -> dict[str, np.ndarray]:
    nodes, edges = np.array([[[first, second], [1, 0], [0, 0]]]), np.array([[[0, 1], [2, to]]])
    return {"nodes": nodes, "edges": edges, "charges": np.array([[charge, 0, -2]], "i4")}


@pytest.mark.parametrize(
    ("case", "endpoint", "inputs"),
    [
        ("real out of range", POOL, particles(3, 0)),
        ("unit of the element", POOL, particles(5, -4)),
        ("NaN in padding", POOL, particles(4, np.nan, mask=(True, False, True))),
        ("too many", POOL, particles(count=9)),
        ("too few", POOL, particles(count=0)),
        ("lengths", POOL, particles(mask=(True, True))),
        ("position too far", CONNECT, graph(3)),
        ("position below zero", CONNECT, graph(-1)),
        ("whole number out of range", CONNECT, graph(charge=5)),
        ("fraction", CONNECT, graph(second=0.5)),
        ("double out of range", CONNECT, graph(first=1e101)),
        ("double NaN", CONNECT, graph(first=np.nan)),
        ("codes of one sign", TAG, jet([80, 10, 10], 0.6, rows=14, code=211)),
        *((case, TAG, inputs) for case, (inputs, _) in JET_REFUSALS.items()),
    ],
)
def test_python_refuses_the_same_with_the_same_words(case, endpoint, inputs):
    expected = (REFUSALS | JET_WORDS)[case].format(finite="allow_nonfinite=True", range="allow_out_of_range=True")
    with pytest.raises(InputError) as refused:
        InputCheck(endpoint)(inputs)
    assert str(refused.value).replace("'", "") == expected


@pytest.mark.parametrize("given", [[-999.0, 0, 1000, 0], [-999.0, np.nan, 0, 0], [-999.0, -np.inf, 0, 0]])
def test_python_refuses_the_same_answers_with_the_same_words(given):
    answers = {"steps": np.reshape(given, (1, 2, 2)), "charge": np.zeros(1, "i4")}
    check = OutputCheck(CONNECT)
    with pytest.raises(InputError) as refused:
        check(answers)
    assert str(refused.value).replace("'", "") == REFUSALS["answer that guards"].format(range="allow_out_of_range=True")
    answers["steps"][0, 0, 0] = -100  # the edge of the range
    if np.isfinite(given).all():
        answers["steps"][0, 1, 0] = 100
        check(answers)
    else:
        check(answers, allow_nonfinite=True)
    check({name: array[:0] for name, array in answers.items()})
    assert not OutputCheck(POOL)


def test_python_lets_the_same_jets_through():
    check = InputCheck(TAG)
    check(jet([80, 10, 10], 0.6, rows=29))
    check(jet([80, 10, 10], 0.31, rows=30))
    check(jet([80, 10, 10], 0.25, rows=29))
    check({name: array[:0] for name, array in jet([80, 10, 10]).items()})
    check({name: np.zeros_like(array) for name, array in jet([80, 10, 10], rows=40).items()})
    check(jet([100, 50, 50], 0.75), allow_out_of_range=True)
    check(jet([80, 10, 10], 0.6, rows=13, code=-211))
    check(jet([80, 10, 10], 0.6, rows=14, code=2212), allow_out_of_range=True)
    check(jet([np.nan, 500, 500], 0.75), allow_nonfinite=True)
    with pytest.raises(InputError, match="padding is not real"):
        check(jet([60, 40, 0]), allow_out_of_range=True)


def tensor(name: str, **fields) -> Tensor:
    return Tensor(name=name, **({"axes": fixed_axes(name, [3]), "unit": "muK^2", "description": ""} | fields))


def test_spec_as_json(tmp_path):
    inputs = [
        tensor("x", low=[-1.5, 0.1, 1e-7], high=float("inf"), tolerance=Tolerance(absolute=1e-3)),
        tensor("n", axes=[Axis(name="of", least=2, most=4)], dtype="int64", low=0.5, high=float("inf"), index_of="x_0"),
    ]
    endpoint = Endpoint(description="", inputs=inputs, outputs=TINY_ENDPOINT.outputs)
    spec = make_model_folder(tmp_path).model_copy(update={"endpoints": {"predict": endpoint}})
    tensors = {
        "predict/in/x": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "predict/in/n": np.arange(4).reshape(2, 2),
        "predict/out/y": np.zeros((2, 1)),
    }
    np.savez(tmp_path / TEST_TENSORS, **tensors)
    write_client_files(tmp_path, spec)
    written = json.loads((tmp_path / SPEC).read_text())
    x, n = written["endpoints"]["predict"].pop("inputs")
    assert x == {
        "name": "x",
        "axes": [{"name": "x_0", "size": 3}],
        "dtype": "float32",
        "unit": "muK^2",
        "description": "",
        "low": [-1.5, 0.1, 1e-7],
        "high": float(np.finfo("f4").max),
        "tolerance": {"absolute": 1e-3, "relative": 1e-5},
    }
    assert n["axes"] == [{"name": "of", "least": 2, "most": 4}]
    assert (n["index_of"], n["low"], n["high"]) == ("x_0", 0, 2.0**63)
    assert written.pop("endpoints").keys() == {"predict"}
    assert written == {
        "format": 2,
        "name": "tiny-model",
        "revision": "1",
        "tolerance": {"absolute": 1e-5, "relative": 1e-5},
    }
    stored = np.load(tmp_path / "clients" / "predict" / "in" / "x.npy")
    assert stored.dtype == np.float32
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, tensors["predict/in/x"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected the tensor predict/in/n, found none"),
        ({"predict/in/n": np.zeros((2, 3))}, "expected int32 as predict/in/n, found float64"),
        ({"predict/in/n": np.zeros((2, 3), "i8")}, "expected int32 as predict/in/n, found int64"),
    ],
)
def test_test_tensors_of_other_numbers_are_refused(tmp_path, given, message):
    endpoint = Endpoint(description="", inputs=[tensor("n", dtype="int32")], outputs=TINY_ENDPOINT.outputs)
    make_model_folder(tmp_path, endpoints={"predict": endpoint})
    np.savez(tmp_path / TEST_TENSORS, **given)
    with pytest.raises(IntegrityError, match=message):
        write_client_files(tmp_path, locate(tmp_path).spec)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


def test_page_shows_lines_that_run():
    sources = (CPP / "example.cpp", Path(__file__).with_name("cpp_checks.cpp"))
    run_here = {line.strip() for source in sources for line in source.read_text().splitlines()}
    shown = [line.strip() for block in blocks("cpp") for line in block.splitlines() if line.strip()]
    assert shown
    assert [line for line in shown if line not in run_here] == []


def test_commands_of_the_page(onnxruntime_root, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ONNXRUNTIME_ROOT": str(onnxruntime_root)}
    printed = succeed("bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh")), cwd=tmp_path, env=environment)
    assert "encode mean: 16 rows" in printed
    assert "pendulum 1: latents" in printed
