"""In-process inference: the answers of bare ONNX Runtime and of numpy, and errors that name what is wrong."""

from __future__ import annotations

import ast
import copy
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pytest
import tiny_models
from gpu_stand_in import gpus

from zoo.errors import InputError, IntegrityError, ProviderError, UnknownNameError
from zoo.model.model_json import read_spec, write_spec
from zoo.model.spec import RANGES, TEST_TENSORS, WEIGHTS
from zoo.serving import Session
from zoo.serving.verify import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def session(folder: Path) -> Session:
    return Session(folder)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A copy of the model that a test may damage."""
    return shutil.copytree(folder, tmp_path / "copied")


def spectra(rows: int = 3) -> np.ndarray:
    return np.random.default_rng(rows).normal(size=(rows, tiny_models.WIDTH)).astype(np.float32)


class TestRun:
    def test_answers_as_bare_onnxruntime_and_numpy_do(self, session: Session, folder: Path) -> None:
        bare = onnxruntime.InferenceSession(str(folder / "predict.onnx"), providers=["CPUExecutionProvider"])
        given = session.run({"spectrum": spectra()})["probability"]
        np.testing.assert_array_equal(given, bare.run(None, {"spectrum": spectra()})[0])
        np.testing.assert_allclose(given, tiny_models.predict(spectra()), atol=1e-6)
        assert given.dtype == np.float32

    def test_endpoint_with_several_tensors_in_any_order(self, session: Session) -> None:
        time = np.array([[0.0], [1.0], [2.0]])
        given = session.run({"time": time, "trajectory": spectra()}, endpoint="encode")
        mean, log_variance = tiny_models.encode(spectra(), time)
        assert list(given) == ["mean", "log_variance"]
        np.testing.assert_allclose(given["mean"], mean, atol=1e-6)
        np.testing.assert_allclose(given["log_variance"], log_variance, atol=1e-6)

    @pytest.mark.parametrize("array", [spectra().astype(np.float64), spectra()[::-1], np.asfortranarray(spectra())])
    def test_takes_any_memory_layout_and_precision(self, session: Session, array: np.ndarray) -> None:
        expected = tiny_models.predict(array)
        np.testing.assert_allclose(session.run({"spectrum": array})["probability"], expected, atol=1e-6)

    def test_takes_nested_lists(self, session: Session) -> None:
        given = session.run({"spectrum": spectra().tolist()})["probability"]
        np.testing.assert_allclose(given, tiny_models.predict(spectra()), atol=1e-6)

    def test_empty_batch_gives_empty_outputs(self, session: Session) -> None:
        given = session.run({"trajectory": np.empty((0, tiny_models.WIDTH)), "time": np.empty((0, 1))}, "encode")
        assert {name: array.shape for name, array in given.items()} == {"mean": (0, 8), "log_variance": (0, 8)}

    def test_opting_out_of_the_checks(self, session: Session) -> None:
        far = spectra() * 1e3
        np.testing.assert_allclose(
            session.run({"spectrum": far}, allow_out_of_range=True)["probability"], tiny_models.predict(far), atol=1e-6
        )
        assert np.isnan(session.run({"spectrum": spectra() * np.nan}, allow_nonfinite=True)["probability"]).all()

    def test_many_threads_at_once(self, session: Session) -> None:
        batches = [spectra(rows) for rows in range(1, 65)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda batch: session.run({"spectrum": batch})["probability"], batches))
        for batch, answer in zip(batches, answers, strict=True):
            np.testing.assert_allclose(answer, tiny_models.predict(batch), atol=1e-6)

    def test_the_only_endpoint_needs_no_name(self, tmp_path: Path) -> None:
        session = Session(tiny_models.write_tiny_model(tmp_path / "encoder", endpoints=("encode",)))
        assert set(session.run({"trajectory": spectra(), "time": np.zeros((3, 1))})) == {"mean", "log_variance"}

    def test_describes_itself(self, session: Session) -> None:
        assert session.endpoints == ["predict", "encode"]
        assert session.devices == ["cpu"]
        assert session.spec.endpoints["predict"].inputs[0].unit == "muK^2"


class TestInputErrors:
    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ({}, ["spectrum"]),
            ({"spectra": spectra()}, ["spectrum", "spectra"]),
            ({"spectrum": spectra(), "time": spectra()}, ["spectrum", "time"]),
            ({"spectrum": spectra()[0]}, ["spectrum", "(batch, 5)", "(5)"]),
            ({"spectrum": spectra()[:, :4]}, ["spectrum", "(batch, 5)", "(3, 4)"]),
            ({"spectrum": np.float32(1.0)}, ["spectrum", "(batch, 5)"]),
            ({"spectrum": spectra().astype(str)}, ["spectrum", "float32", "<U"]),
            ({"spectrum": spectra().astype(complex)}, ["spectrum", "complex128"]),
            ({"spectrum": np.where(spectra() > 0, np.nan, spectra())}, ["spectrum", "NaN", "allow_nonfinite"]),
            ({"spectrum": spectra() * np.inf}, ["spectrum", "infinite"]),
            ({"spectrum": spectra() * 1e3}, ["spectrum", "muK^2", "-10 to 10", "allow_out_of_range"]),
        ],
    )
    def test_names_the_tensor_and_what_was_expected(
        self, session: Session, inputs: Mapping[str, object], words: list[str]
    ) -> None:
        with pytest.raises(InputError) as caught:
            session.run(inputs)
        assert [word for word in words if word not in str(caught.value)] == []

    @pytest.mark.parametrize("rows", [3, 7000])  # large batches are judged by their extremes
    @pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (np.inf, "infinite"), (11.0, "outside"), (-11.0, "outside")])
    def test_one_wrong_number_is_found_anywhere(self, session: Session, rows: int, value: float, words: str) -> None:
        for row, column in ((0, 0), (rows // 2, 2), (rows - 1, 4)):
            array = np.clip(spectra(rows), -10, 10)
            array[row, column] = value
            with pytest.raises(InputError, match=rf"{words}.*\({row}, {column}\)"):
                session.run({"spectrum": array})

    def test_batches_of_different_length(self, session: Session) -> None:
        with pytest.raises(InputError, match=r"trajectory 3, time 2"):
            session.run({"trajectory": spectra(), "time": np.zeros((2, 1))}, "encode")

    def test_unknown_endpoint_gets_a_suggestion(self, session: Session) -> None:
        with pytest.raises(UnknownNameError, match="encode"):
            session.run({}, "encoder")

    def test_several_endpoints_and_none_named(self, folder: Path, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
        graph = session._graphs["encode"]
        monkeypatch.setattr(session, "_graphs", {"encode": graph, "decode": graph})
        with pytest.raises(InputError, match="encode, decode"):
            session.run({})


def _pickled(session: Session) -> Session:
    sent: Session = pickle.loads(pickle.dumps(session))  # noqa: S301 what this process made itself
    return sent


class TestDevices:
    """No GPU needed: the CPU answers for what says that it is a GPU."""

    @pytest.fixture
    def gpus(self) -> Iterator[list[tuple[str, dict[str, str]]]]:
        """Two GPUs that work, and what was asked of them."""
        with gpus(2) as asked:
            yield asked

    @pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:-1", "CUDA", "", "cpu:1"])
    def test_a_word_that_names_no_device(self, folder: Path, device: str) -> None:
        with pytest.raises(InputError, match=rf"expected device=auto, cpu, cuda or cuda:NUMBER, given '{device}'"):
            Session(folder, device=device)

    def test_cuda_that_this_build_lacks(self, folder: Path) -> None:
        with pytest.raises(ProviderError, match=r"runs on the CPU alone: pip install 'physzoo\[gpu\]'"):
            Session(folder, device="cuda")

    def test_cuda_without_a_device(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        monkeypatch.setattr("zoo.serving.devices._cuda_devices", lambda: 0)
        with pytest.raises(ProviderError, match="the driver shows 0 CUDA devices"):
            Session(folder, device="cuda:0")
        assert Session(folder).devices == ["cpu"]

    def test_a_silent_fallback_to_the_cpu_is_an_error(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        # This is what onnxruntime-gpu does where CUDA's libraries are missing: listed as available, then not used.
        real = onnxruntime.InferenceSession
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        monkeypatch.setattr("zoo.serving.devices._cuda_devices", lambda: 1)
        monkeypatch.setattr(
            onnxruntime, "InferenceSession", lambda file, options, providers: real(file, options, ["CPUExecutionProvider"])
        )
        with pytest.raises(ProviderError, match=r"asked for cuda:0.*fell back to CPUExecutionProvider"):
            Session(folder, device="cuda")
        assert Session(folder).devices == ["cpu"]

    @pytest.mark.parametrize(("device", "used"), [("cuda:1", ["cuda:1"]), ("cuda", ["cuda:0"]), ("auto", ["cuda:0", "cpu"])])
    def test_a_gpu_that_works_is_taken_and_answers_as_the_cpu(
        self, folder: Path, gpus: list[tuple[str, dict[str, str]]], device: str, used: list[str]
    ) -> None:
        session, alone = Session(folder, device=device), Session(folder, device="cpu")
        assert session.devices == used
        assert verify(session).devices == used
        assert {row.device for row in verify(session).rows} == set(used)
        for name, options in gpus:
            if name == "CUDAExecutionProvider":
                assert options.items() >= {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}.items()
        for rows in (0, 1, 2, 3, 33, 1024, 2500):
            given = {"spectrum": spectra(rows)}
            np.testing.assert_array_equal(session.run(given)["probability"], alone.run(given)["probability"])

    @pytest.mark.usefixtures("gpus")
    def test_graphs_opened_at_once_leave_standard_output_alone(self, folder: Path) -> None:
        before = sys.stdout
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: Session(folder, device="cuda"), range(24)))
        assert sys.stdout is before

    def test_the_cpu_on_request(self, folder: Path) -> None:
        assert Session(folder, device="cpu", threads=2).devices == ["cpu"]

    @pytest.mark.parametrize("send", [_pickled, copy.deepcopy])
    def test_it_is_sent_as_its_folder_and_opened_again(self, session: Session, send: Callable[[Session], Session]) -> None:
        given = {"spectrum": spectra(5)}
        np.testing.assert_array_equal(send(session).run(given)["probability"], session.run(given)["probability"])

    def test_workers_of_joblib_answer(self, session: Session) -> None:
        batches = [{"spectrum": spectra(rows)} for rows in (1, 2, 3)]
        answers = joblib.Parallel(n_jobs=2)(joblib.delayed(session.run)(given) for given in batches)
        for given, answer in zip(batches, answers, strict=True):
            np.testing.assert_array_equal(answer["probability"], session.run(given)["probability"])


class TestVerify:
    def test_report_of_a_sound_folder(self, folder: Path) -> None:
        report = verify(folder)
        assert report.ok
        assert report.files == 5
        assert [(row.endpoint, row.output, row.rows) for row in report.rows] == [
            ("predict", "probability", 4),
            ("encode", "mean", 4),
            ("encode", "log_variance", 4),
        ]
        assert all(row.max_abs_diff < 1e-6 and row.max_rel_diff < 1e-3 for row in report.rows)

    @pytest.mark.parametrize("damage", [1e-3, np.nan])
    def test_reports_an_answer_outside_the_tolerance(self, copied: Path, damage: float) -> None:
        with np.load(copied / TEST_TENSORS) as stored:
            tensors = dict(stored)
        tensors["encode/out/mean"][1, 2] += damage
        _replace(copied, TEST_TENSORS, tensors)
        report = verify(copied)
        assert not report.ok
        assert [row.output for row in report.rows if not row.ok] == ["mean"]
        failed = next(row for row in report.rows if not row.ok)
        assert failed.max_abs_diff == pytest.approx(damage, rel=1e-2, nan_ok=True)

    def test_reports_a_shape_that_would_broadcast(self, copied: Path) -> None:
        with np.load(copied / TEST_TENSORS) as stored:
            tensors = dict(stored)
        tensors["predict/out/probability"] = tensors["predict/out/probability"].repeat(2, axis=1)
        _replace(copied, TEST_TENSORS, tensors)
        assert [row.output for row in verify(copied).rows if not row.ok] == ["probability"]

    @pytest.mark.parametrize("name", ["predict.onnx", "encode.onnx", TEST_TENSORS, WEIGHTS, RANGES])
    def test_a_flipped_byte_is_refused_by_name(self, copied: Path, name: str) -> None:
        content = bytearray((copied / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copied / name).write_bytes(content)
        with pytest.raises(IntegrityError, match=name):
            verify(copied)

    @pytest.mark.parametrize("name", ["encode.onnx", TEST_TENSORS, WEIGHTS])
    def test_a_missing_file_is_named(self, copied: Path, name: str) -> None:
        (copied / name).unlink()
        with pytest.raises(IntegrityError, match=name):
            verify(copied)

    def test_an_endpoint_that_was_never_exported(self, copied: Path) -> None:
        spec = read_spec(copied)
        write_spec(copied, spec.model_copy(update={"files": [f for f in spec.files if f.path != "encode.onnx"]}))
        with pytest.raises(IntegrityError, match=r"encode\.onnx.*zoo export"):
            verify(copied)

    def test_a_missing_test_tensor_is_named(self, copied: Path) -> None:
        with np.load(copied / TEST_TENSORS) as stored:
            tensors = dict(stored)
        del tensors["encode/out/mean"]
        _replace(copied, TEST_TENSORS, tensors)
        with pytest.raises(IntegrityError, match="encode/out/mean"):
            verify(copied)

    def test_pickled_test_tensors_are_refused(self, copied: Path) -> None:
        _replace(copied, TEST_TENSORS, {"predict/in/spectrum": np.array([{}], dtype=object)})
        with pytest.raises(IntegrityError, match=TEST_TENSORS):
            verify(copied)

    def test_a_file_that_is_no_graph(self, copied: Path) -> None:
        (copied / "predict.onnx").write_bytes(b"not a graph")
        _rehash(copied)
        with pytest.raises(IntegrityError, match=r"predict\.onnx.*no ONNX graph"):
            Session(copied)

    def test_a_graph_of_other_tensors_than_its_card(self, copied: Path) -> None:
        shutil.copy(copied / "encode.onnx", copied / "predict.onnx")
        _rehash(copied)
        with pytest.raises(IntegrityError, match=r"predict\.onnx: expected the inputs \['spectrum'\]"):
            Session(copied)


SESSION = """
import numpy
from zoo.serving import Session
from zoo.serving.verify import verify
Session(FOLDER).run({"spectrum": numpy.zeros((1, 5))})
assert verify(FOLDER).ok
"""
SERVER = """
from zoo.serving import grpc_server, metrics
from zoo.serving.server import Server
Server([FOLDER])
"""
LIGHT = {"numpy", "onnxruntime", "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
LIGHT |= {"yaml", "lazy_loader"}  # a card's front matter, and the names of ``zoo`` itself
SERVED = LIGHT | {
    "google",
    "grpc",
    "uvicorn",
    "click",
    "httptools",
    "grpc_health",
    "grpc_reflection",
    "uvloop",
    "prometheus_client",
}
SERVED |= {"grpc_tools", "pkg_resources", "setuptools"}  # which grpc imports where it finds them


@pytest.mark.parametrize(("program", "allowed"), [(SESSION, LIGHT), (SERVER, SERVED)], ids=["session", "server"])
def test_what_is_imported(folder: Path, program: str, allowed: set[str]) -> None:
    """Neither TensorFlow nor the rest of the zoo: numpy, pydantic, ONNX Runtime, and what the extra ``serve`` names."""
    program = f"""
import sys
FOLDER = {str(folder)!r}
{program}
names = {{name.partition(".")[0] for name in sys.modules}} - sys.stdlib_module_names
print(sorted(name for name in names if not name.startswith("_") and name not in {{"zoo", "cython_runtime"}}))
print(sorted({{".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("zoo.")}}))
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder)
    libraries, ours = (set(ast.literal_eval(line)) for line in result.stdout.splitlines())
    assert libraries - allowed == set()
    core = ("atomic", "errors", "extras", "model", "model_cards", "paths", "quiet", "registration", "serving", "space")
    assert ours - {f"zoo.{name}" for name in core} == set()


def _replace(folder: Path, name: str, tensors: dict[str, np.ndarray]) -> None:
    np.savez(folder / name, **tensors)
    _rehash(folder)


def _rehash(folder: Path) -> None:
    """Make the card describe the files as they are, so that only what is in them can be wrong."""
    spec = read_spec(folder)
    write_spec(folder, spec.model_copy(update={"files": tiny_models.files_of(folder)}))
