"""Every released endpoint on the CPU and on the GPU: latency and throughput against batch, and what clients of a server see.

    python benchmarks/gpu_serving.py [NAME...] [--batches 1,8,64,512,4096] [--rounds 9] [--seconds 0.05] [--out FILE]
    python benchmarks/gpu_serving.py --batches '' --load 3      # the server's load alone

On a machine with an NVIDIA GPU, in an environment of its own (onnxruntime and onnxruntime-gpu exclude each other):

    pip install 'physzoo[gpu]' 'onnxruntime-gpu[cuda,cudnn]'      # + tensorrt for TensorRT
    python benchmarks/gpu_serving.py

It needs numpy, ONNX Runtime and the light core of the zoo, no TensorFlow; for float16 also onnx, or exported folders, which
are named like models. What is not there is listed as skipped, so that it
runs on the CPU alone.

With ``--load`` Triton's client (``pip install 'tritonclient[http]'``) asks ``zoo serve --device cpu``, ``cuda`` and ``auto``
for so many seconds each, ``served_load.py``.

The ways: ``run`` copies arrays in and out, ``binding`` has them on the device before and after, ``graph`` replays a CUDA graph
of this one batch. The time of ``run`` is what a server sees; that of the others leaves the transfer out. Ways take turns within
a round; median and 10-90% over rounds. A way counts only where its answers to the test tensors lie within the tolerance of the
card; TF32 is off. Writes benchmarks/results/gpu_serving.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import onnxruntime

import zoo
from zoo.model.spec import TEST_TENSORS, ModelSpec
from zoo.model.store import ModelFolder, locate
from zoo.serving.session import graph_of

OUT = Path(__file__).parent / "results" / "gpu_serving.json"
CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OPTIONS = {CPU: {}, CUDA: {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}, TENSORRT: {}}
os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # read by NVIDIA's libraries; TensorRT has no option for it here

Arrays = dict[str, np.ndarray]
Session = onnxruntime.InferenceSession
Way = Callable[[], object]
Asked = tuple[Way, Callable[[], Arrays]]
"""A call, and what gives its answers once it was called."""


@dataclass(frozen=True)
class Case:
    """One endpoint of one folder."""

    folder: ModelFolder
    endpoint: str
    precision: str
    graph: bytes
    spare: Arrays
    """Output -> what float16 may add to the card's tolerance."""

    @property
    def spec(self) -> ModelSpec:
        return self.folder.spec

    @property
    def title(self) -> str:
        return f"{self.spec.name}/{self.endpoint}/{self.precision}"

    def rows(self, batch: int | None = None) -> Arrays:
        """Test rows, as often as it takes."""
        with np.load(self.folder.path(TEST_TENSORS)) as stored:
            inputs = {t.name: stored[f"{self.endpoint}/in/{t.name}"] for t in self.spec.endpoints[self.endpoint].inputs}
        return {k: np.ascontiguousarray(a if batch is None else np.resize(a, (batch, *a.shape[1:]))) for k, a in inputs.items()}

    def expected(self) -> Arrays:
        with np.load(self.folder.path(TEST_TENSORS)) as stored:
            return {t.name: stored[f"{self.endpoint}/out/{t.name}"] for t in self.spec.endpoints[self.endpoint].outputs}


def cases(names: list[str], skipped: dict[str, str]) -> list[Case]:
    found = []
    for name in names or [name for name in zoo.list_models() if locate(name).released]:
        folder = locate(name)
        reduced = folder.spec.export.reduced
        for endpoint in folder.spec.endpoints:
            graph = graph_of(folder, endpoint).content
            found.append(Case(folder, endpoint, reduced.precision if reduced else "float32", graph, {}))
            if reduced is None:
                try:
                    found.append(in_float16(found[-1]))
                except (zoo.ZooError, ImportError) as error:
                    skipped[f"{name}/{endpoint}/float16"] = str(error)
    return found


def in_float16(case: Case) -> Case:
    """A case in float16, allowed three times what rounding does on the test rows."""
    import onnx

    from zoo.export.precision import to_float16

    proto, where = onnx.ModelProto.FromString(case.graph), f"{case.spec.name}, endpoint {case.endpoint!r}"
    rounded = replace(case, graph=to_float16(proto, where, emulated=True).SerializeToString())
    expected = case.expected()
    given = dict(zip(expected, open_session(rounded, CPU).run(list(expected), case.rows()), strict=True))
    spare = {name: 3 * np.abs(given[name] - expected[name]).max() for name in expected}
    graph = to_float16(proto, where).SerializeToString(deterministic=True)
    return replace(case, precision="float16", graph=graph, spare=spare)


def open_session(case: Case, provider: str, **options: str) -> Session:
    """A session in which the provider is really in use; RuntimeError otherwise."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    if provider == CPU:
        settings.intra_op_num_threads = 1
    providers = [(provider, OPTIONS[provider] | options)]
    if provider == TENSORRT:  # for what TensorRT does not take
        providers.append((CUDA, OPTIONS[CUDA]))
    session = onnxruntime.InferenceSession(case.graph, settings, providers=providers)
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"ONNX Runtime fell back to {session.get_providers()[0]}")
    return session


def bound(session: Session, arrays: Arrays, outputs: Arrays, device: str) -> tuple[Way, Callable[[], Arrays]]:
    """A run with every tensor on the device at an address that stays, and what gives its answers."""
    binding = session.io_binding()
    given = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0) for name, array in arrays.items()}
    made = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0) for name, array in outputs.items()}
    for name, value in given.items():
        binding.bind_ortvalue_input(name, value)
    for name, value in made.items():
        binding.bind_ortvalue_output(name, value)
    keep = (given, made)  # the binding holds addresses, not values

    def run(_: object = keep) -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run, lambda: {name: value.numpy() for name, value in made.items()}


def ways(case: Case, provider: str, batch: int, session: Session, skipped: dict[str, str]) -> dict[str, Asked]:
    """Way -> a call, and its answers once it was called."""
    device = "cpu" if provider == CPU else "cuda"
    arrays, names = case.rows(batch), list(case.expected())

    def answers() -> Arrays:
        return dict(zip(names, session.run(names, arrays), strict=True))

    outputs = {name: np.zeros((batch, *array.shape[1:]), np.float32) for name, array in case.expected().items()}
    found = {"run": (lambda: session.run(names, arrays), answers), "binding": bound(session, arrays, outputs, device)}
    if provider == CUDA:
        try:
            replay = bound(open_session(case, CUDA, enable_cuda_graph="1"), arrays, outputs, device)
            replay[0]()  # captures
            found["graph"] = replay
        except Exception as error:  # loops, or operators that stay on the CPU
            skipped[f"{case.title}/CUDA graph/{batch}"] = str(error).splitlines()[0]
    return found


def fault(case: Case, given: Arrays, batch: int) -> str | None:
    """What is wrong with the answers to test rows, repeated to a batch; None where they lie within the card's tolerance."""
    tolerance = case.spec.tolerance
    for name, expected in case.expected().items():
        wanted = np.resize(expected, (batch, *expected.shape[1:])).astype(np.float64)
        difference = np.abs(given[name] - wanted)
        if not (difference <= tolerance.absolute + case.spare.get(name, 0.0) + tolerance.relative * np.abs(wanted)).all():
            return f"{name} differs by up to {difference.max():.3g}"
    return None


def measure(case: Case, providers: list[str], batches: list[int], rounds: int, seconds: float, skipped: dict[str, str]) -> dict:
    sessions = {}
    for provider in providers:
        try:
            sessions[provider] = open_session(case, provider)
        except Exception as error:  # each provider has its own
            skipped[f"{case.title}/{provider}"] = str(error).splitlines()[0]
    results: dict[str, dict] = {}
    for batch in batches:
        calls: dict[str, Way] = {}
        for provider, session in sessions.items():
            try:
                for way, (call, answers) in ways(case, provider, batch, session, skipped).items():
                    name = f"{provider.removesuffix('ExecutionProvider')} {way}"
                    call()
                    if reason := fault(case, answers(), batch):
                        skipped[f"{case.title}/{name}/{batch}"] = reason
                    else:
                        calls[name] = call
            except Exception as error:
                skipped[f"{case.title}/{provider}/{batch}"] = str(error).splitlines()[0]
        taken: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds + 1):
            for name, call in calls.items():
                taken[name].append(per_call(call, seconds))
        results[str(batch)] = {name: summary(batch, values[1:]) for name, values in taken.items()}  # the first round warms up
        line = ", ".join(f"{name} {found['median_us']:.0f} us" for name, found in results[str(batch)].items())
        print(f"{case.title} batch {batch}: {line}", flush=True)
    return results


def summary(batch: int, values: list[float]) -> dict:
    low, median, high = np.percentile(values, [10, 50, 90])
    return {"median_us": median * 1e6, "us_10_90": [low * 1e6, high * 1e6], "rows_per_s": batch / median}


def per_call(call: Way, seconds: float) -> float:
    calls, start = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds or not calls:
        call()
        calls += 1
    return elapsed / calls


def about() -> dict[str, str]:
    """Machine and versions."""
    found = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
    for package in ("physzoo", "numpy", "onnxruntime", "onnxruntime-gpu", "onnx", "tensorrt"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        found["gpu"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models or exported folders; default: all released ones")
    parser.add_argument("--batches", default="1,8,64,512,4096")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.05, help="of calls of each way in a round")
    parser.add_argument(
        "--load", type=float, default=0.0, help="seconds for which each client asks a server; default: none does"
    )
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # prints what it does not find
            onnxruntime.preload_dlls()
    onnxruntime.set_default_logger_severity(4)
    available = onnxruntime.get_available_providers()
    skipped = {p: "not in this ONNX Runtime" for p in (CUDA, TENSORRT) if p not in available}
    providers = [p for p in (CPU, CUDA, TENSORRT) if p in available]
    batches = [int(batch) for batch in filter(None, arguments.batches.split(","))]
    results = {
        case.title: measure(case, providers, batches, arguments.rounds, arguments.seconds, skipped)
        for case in (cases(arguments.names, skipped) if batches else [])
    }
    served = {}
    if arguments.load:
        from served_load import LOADS, measured

        loads = [load for load in LOADS if not arguments.names or load.model in arguments.names]
        served = measured(loads, ["cpu", "cuda", "auto"], arguments.load, skipped)
    for what, reason in skipped.items():
        print(f"skipped {what}: {reason}")
    content = {"versions": about(), "rounds": arguments.rounds, "skipped": skipped, "results": results, "served": served}
    arguments.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
