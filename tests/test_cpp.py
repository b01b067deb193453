"""The C++ header: built by its own CMake file, on released models, on damaged folders and on bad input."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported_folder import cut, exported, replace, save
from tiny_folder import TINY_ENDPOINT, make_model_folder

import zoo
from zoo.errors import IntegrityError
from zoo.export.cpp_files import write_cpp_files
from zoo.model.axes import fixed_axes
from zoo.model.spec import TEST_TENSORS, Endpoint, Tensor
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
def onnxruntime_root() -> Path:
    """ONNX Runtime's headers and library; the test skips without them or a compiler."""
    if not (root := os.environ.get("ONNXRUNTIME_ROOT")):
        pytest.skip("no ONNX Runtime headers: make cpp, or set ONNXRUNTIME_ROOT to a folder with include/ and lib/")
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return Path(root).resolve()


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


def swap(folder: Path) -> None:
    shutil.copyfile(folder / "predict.onnx", folder / "encode.onnx")


MEAN = "cpp/encode/out/mean.npy"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such folder: expected one that zoo export wrote"),
        (lambda folder: shutil.rmtree(folder / "cpp"), r"cpp/model.txt: cannot be read"),
        (cut("cpp/model.txt", 0), "line 0: expected the line 'end'"),
        (replace("cpp/model.txt", b"end\n", b""), "expected the line 'end'"),
        (replace("cpp/model.txt", b"physzoo 1", b"physzoo 2"), "line 1: expected 'physzoo 1'"),
        (replace("cpp/model.txt", b"low -1.0", b"low abc"), "expected numbers"),
        (replace("cpp/model.txt", b"low -1.0", b"low -1.0 2.0"), "expected the range of trajectory"),
        (replace("cpp/model.txt", b"trajectory 50", b"trajectory -50"), "expected the shape of trajectory"),
        (replace("cpp/model.txt", b"trajectory 50", b"trajectory 50 999999999"), "expected the shape of trajectory"),
        (replace("cpp/model.txt", b"endpoint predict\n", b""), "expected an endpoint"),
        (replace("cpp/model.txt", b"output displacement 1\nunit m\n", b""), "expected inputs and outputs of predict"),
        (replace("cpp/model.txt", b"unit", b"units"), "expected a known word"),
        (
            replace("cpp/model.txt", b" 1\ntolerance", b" 2\ntolerance"),
            r"expected ive-pendulum@2 predict .* found ive-pendulum@1",
        ),
        (replace("cpp/model.txt", b"trajectory 50", b"trajectory 51"), r"trajectory \(batch, 51\) .* trajectory \(batch, 50\)"),
        (replace("cpp/model.txt", b"input time", b"input clock"), r"expected the inputs clock \(batch, 1\)"),
        (lambda folder: (folder / "encode.onnx").unlink(), "encode.onnx: no such file"),
        (cut("encode.onnx", 5000), "encode.onnx: ONNX Runtime cannot load this graph"),
        (cut("encode.onnx", 0), "encode.onnx: "),
        (swap, "encode.onnx: expected ive-pendulum@1 encode as in cpp/model.txt, found ive-pendulum@1 predict"),
        (cut(MEAN, 0), "mean.npy: expected a .npy file"),
        (cut(MEAN, 100), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 0 bytes"),
        (cut(MEAN, 300), r"mean.npy: expected rows of shape \(batch, 3\), found \(16, 3\) in 172 bytes"),
        (save(MEAN, np.zeros((16, 3))), "mean.npy: expected float32 in C order"),
        (save(MEAN, np.asfortranarray(np.zeros((16, 3), "f4"))), "mean.npy: expected float32 in C order"),
        (save(MEAN, np.zeros((15, 3), "f4")), "mean.npy: expected 16 rows"),
        (save(MEAN, np.zeros((0, 3), "f4")), "mean.npy: expected rows"),
        (save(MEAN, np.zeros((16, 3), "f4")), "encode mean: .*OUTSIDE THE TOLERANCE"),
        (save(MEAN, np.full((16, 3), np.nan, "f4")), "encode mean: .* inf .*OUTSIDE THE TOLERANCE"),
        (lambda folder: (folder / MEAN).unlink(), "mean.npy: cannot be read"),
    ],
)
def test_damaged_folders_are_refused(programs, pendulum, tmp_path, damage, message):
    folder = tmp_path / PENDULUM
    shutil.copytree(pendulum, folder)
    damage(folder)
    ran = run(programs / "physzoo_check", folder)
    assert ran.returncode == 1
    assert re.search(message, ran.stdout + ran.stderr), ran.stdout + ran.stderr


def test_bad_input_is_refused(onnxruntime_root, pendulum, tmp_path):
    # -ffast-math, as some frameworks have it, must not let NaN through.
    flags = ["-std=c++17", "-O2", "-ffast-math", "-Wall", "-Wextra", "-Werror", "-pthread", "-I", CPP]
    include, lib = onnxruntime_root / "include", onnxruntime_root / "lib"
    link = ["-isystem", include, "-L", lib, f"-Wl,-rpath,{lib}"]
    succeed("c++", *flags, Path(__file__).with_name("cpp_checks.cpp"), "-o", tmp_path / "checks", *link, "-lonnxruntime")
    printed = dict(line.split(": ", 1) for line in succeed(tmp_path / "checks", pendulum).splitlines())
    names = "InputError endpoint predict: expected the inputs trajectory time, given"
    shape = "InputError input trajectory: expected shape (batch, 50), given"
    assert printed == {
        "endpoint": "InputError ive-pendulum has no endpoint encod, it has decode encode predict reconstruct",
        "missing": f"{names} trajectory",
        "none": f"{names} none",
        "name": f"{names} times trajectory",
        "extra": f"{names} time trajectory x",
        "shape": f"{shape} (2, 49)",
        "unbatched": f"{shape} (50)",
        "scalar": f"{shape} ()",
        "negative": f"{shape} (batch, 50)",
        "values": "InputError input trajectory: expected as many values as shape (2, 50) has, given 99",
        "huge": f"InputError input trajectory: expected as many values as shape ({2**62}, 50) has, given 0",
        "batches": "InputError inputs must have the same number of rows, given 3 of time and 2 of trajectory",
        "nan": "InputError input trajectory: 1 values are NaN or infinite, the first at (1, 3);"
        " Checks::finite = false lets them through",
        "infinity": "InputError input trajectory: 1 values are NaN or infinite, the first at (0, 7);"
        " Checks::finite = false lets them through",
        "nan let through": "(2, 1)",
        "range": "InputError input trajectory: 1 values lie outside the trained range, the first at (1, 49):"
        " expected -1 to 1 m, given 1.5; check the units, or extrapolate with Checks::range = false",
        "range let through": "(2, 1)",
        "range, nan let through": "InputError input trajectory: 1 values lie outside the trained range, the first at (1, 49):"
        " expected -1 to 1 m, given -1.5; check the units, or extrapolate with Checks::range = false",
        "nan, range let through": "InputError input trajectory: 1 values are NaN or infinite, the first at (1, 49);"
        " Checks::finite = false lets them through",
        "edge of the range": "(2, 1)",
        "empty": "(0, 1)",
        "threads": "each its own answer",
    }


def test_spec_as_lines_of_text(tmp_path):
    inputs = [
        Tensor(
            name="x", axes=fixed_axes("x", [3]), unit="muK^2\n twice", description="", low=[-1.5, 0.1, 1e-7], high=float("inf")
        )
    ]
    make_model_folder(tmp_path, endpoints={"predict": Endpoint(description="", inputs=inputs, outputs=TINY_ENDPOINT.outputs)})
    spec = locate(tmp_path).spec
    np.savez(tmp_path / TEST_TENSORS, **{"predict/in/x": np.zeros((2, 3))})
    with pytest.raises(IntegrityError, match="expected the tensor predict/out/y, found predict/in/x"):
        write_cpp_files(tmp_path, spec)
    tensors = {"predict/in/x": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "predict/out/y": np.zeros((2, 1))}
    np.savez(tmp_path / TEST_TENSORS, **tensors)
    write_cpp_files(tmp_path, spec)
    assert (tmp_path / "cpp" / "model.txt").read_text().splitlines() == [
        "physzoo 1",
        "model tiny-model 1",
        "tolerance 1e-05 1e-05",
        "endpoint predict",
        "input x 3",
        "unit muK^2 twice",
        "low -1.5 0.1 1e-07",
        "high 3.4028234663852886e+38",
        "output y 1",
        "unit 1",
        "end",
    ]
    stored = np.load(tmp_path / "cpp" / "predict" / "in" / "x.npy")
    assert stored.dtype == np.float32
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, tensors["predict/in/x"])


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


def test_page_shows_lines_of_the_example():
    example = {line.strip() for line in (CPP / "example.cpp").read_text().splitlines()}
    shown = [line.strip() for block in blocks("cpp") for line in block.splitlines() if line.strip()]
    assert shown
    assert [line for line in shown if line not in example] == []


def test_commands_of_the_page(onnxruntime_root, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("tf2onnx")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "ONNXRUNTIME_ROOT": str(onnxruntime_root)}
    printed = succeed("bash", "-euo", "pipefail", "-c", "\n".join(blocks("sh")), cwd=tmp_path, env=environment)
    assert "encode mean: 16 rows" in printed
    assert "pendulum 1: latents" in printed
