"""From a loaded model to one that a cluster serves: export, verify, serve, ask, and switch the version under load.

    python examples/deploy.py FOLDER [--short]

FOLDER receives the exports, the model repository and deploy.png. Every line that starts with $ is a command that you can type
yourself. The short form leaves out the graphs of lower precision and sends fewer requests; it is what the tests run.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from matplotlib.figure import Figure

from zoo.data.cmb.feature import CMBFeature
from zoo.model.spec import TEST_TENSORS
from zoo.model.test_tensors import TestTensors, read_test_tensors
from zoo.serving import Session

ZOO = Path(sys.executable).with_name("zoo")
PARENT, CLASSIFIER = "mlp-cmb-feature", "my-classifier"
EXPLAIN = f"{CLASSIFIER}.explain"
Ask = Callable[[str, np.ndarray], Any]
"""A served model and spectra (batch, 215) in muK^2 -> what the server answers."""


def zoo(*arguments: object) -> None:
    """Run a command of the zoo as a user would."""
    print(f"\n$ zoo {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([ZOO, *map(str, arguments)], check=True)


def export_and_verify(folder: Path, short: bool) -> Path:
    """A calibrated classifier, and its graphs for a given opset and place, with the gradient as an endpoint."""
    exported, first = folder / "exported", folder / "first" / CLASSIFIER
    zoo("calibrate", PARENT, "--folder", first)
    zoo("export", first, "--explain", "--opset", 13, "--target", "triton", "--folder", exported)
    zoo("verify", exported)  # needs no TensorFlow: this is what the machine that serves would run
    if not short:
        zoo("export", first, "--precision", "float16", "--folder", folder / "float16")
    return exported


def second_version(folder: Path) -> Path:
    """The classifier calibrated anew on rows of ours, under the same name and so its next revision."""
    rows = CMBFeature().rows("validation").some(2000)
    np.savez(folder / "spectra.npz", spectrum=rows.inputs["spectrum"], probability=rows.target, cosmology=rows.group)
    second = folder / "second" / CLASSIFIER
    zoo("calibrate", folder / "first" / CLASSIFIER, "--data", folder / "spectra.npz", "--folder", second)
    zoo("export", second, "--explain", "--target", "triton", "--folder", folder / "second-exported")
    return folder / "second-exported"


def other_languages(exported: Path) -> None:
    """What reads the same folder elsewhere; docs/cpp.md and docs/browser.md say how to build and install it."""
    print("\nthe same folder in C++, with export/cpp built:")
    print(f"$ build/physzoo_check {exported}")
    print("in Node or a browser, with export/web installed:")
    print(f"$ node web/check.mjs {exported}")


@contextmanager
def serving(repository: Path) -> Iterator[tuple[str, str]]:
    """``zoo serve`` on a repository that it looks at again and again; addresses of REST and gRPC."""
    http, grpc = free_ports(2)
    print(f"\n$ zoo serve {repository} --port {http} --grpc-port {grpc} --model-control poll --poll 0.5", flush=True)
    options = ["--port", str(http), "--grpc-port", str(grpc), "--model-control", "poll", "--poll", "0.5"]
    with (repository.parent / "serve.log").open("w") as log:
        server = subprocess.Popen([ZOO, "serve", str(repository), *options], stderr=log)
        try:
            wait_until_ready(f"127.0.0.1:{http}", server)
            yield f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"
        finally:
            server.terminate()
            server.wait()


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    with tritonclient.http.InferenceServerClient(address) as client:
        for _ in range(600):
            try:
                if client.is_model_ready(CLASSIFIER):
                    return
            except OSError:  # nobody listens yet
                if server.poll() is not None:
                    break
            time.sleep(0.1)
    raise SystemExit("the server did not start: see serve.log")


def http_client(address: str) -> tuple[Any, Ask]:
    return _client(tritonclient.http, address)


def grpc_client(address: str) -> tuple[Any, Ask]:
    return _client(tritonclient.grpc, address)


def _client(library: Any, address: str) -> tuple[Any, Ask]:
    client = library.InferenceServerClient(address)

    def ask(model: str, spectra: np.ndarray) -> Any:
        tensor = library.InferInput("spectrum", list(spectra.shape), "FP32")
        tensor.set_data_from_numpy(spectra)
        return client.infer(model, [tensor])

    return client, ask


def compare(name: str, ask: Ask, tensors: TestTensors) -> None:
    """Prediction and explanation against what Keras and its GradientTape gave at the export."""
    for endpoint, served in (("predict", CLASSIFIER), ("explain", EXPLAIN)):
        inputs, expected = tensors[endpoint]
        answer = ask(served, inputs["spectrum"])
        for key, array in expected.items():
            difference = np.abs(answer.as_numpy(key) - array).max()
            print(f"{name}: {served}: {key} {array.shape}, largest difference from Keras {difference:.1e}")
            if not difference <= 1e-5 * max(1.0, np.abs(array).max()):
                raise SystemExit("the served answer is not that of the Keras model")


def latencies(call: Callable[[np.ndarray], object], spectra: np.ndarray, requests: int) -> np.ndarray:
    """Seconds of each of several requests, one after the other; the first ones are not counted."""
    found = []
    for _ in range(requests + 5):
        start = time.perf_counter()
        call(spectra)
        found.append(time.perf_counter() - start)
    return np.array(found[5:])


def measure(exported: Path, http: Ask, grpc: Ask, spectra: np.ndarray, requests: int) -> dict[str, np.ndarray]:
    """Latency of a client that asks for one row, with and without explanation, by each way there is."""
    session = Session(exported)
    found = {}
    for endpoint, served in (("predict", CLASSIFIER), ("explain", EXPLAIN)):
        ways: dict[str, Callable[[np.ndarray], object]] = {
            "in process": lambda x, endpoint=endpoint: session.run({"spectrum": x}, endpoint),  # type: ignore[misc]
            "gRPC": lambda x, served=served: grpc(served, x),  # type: ignore[misc]
            "REST": lambda x, served=served: http(served, x),  # type: ignore[misc]
        }
        for way, call in ways.items():
            found[f"{way}, {endpoint}"] = latencies(call, spectra[:1], requests)
    for name, seconds in found.items():
        median, slow = np.quantile(seconds, (0.5, 0.99)) * 1e3
        print(f"{name}: median {median:.2f} ms, 99% within {slow:.2f} ms, n = {len(seconds)}")
    return found


@dataclass
class Load:
    """Clients that ask until they are told to stop; every answer and every failure is kept."""

    address: str
    spectrum: np.ndarray
    answers: list[tuple[float, float, str, float]] = field(default_factory=list)
    """Start, seconds, version and probability of each."""
    failures: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, clients: int = 4) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join()

    def wait_for(self, version: str, seconds: float = 60.0) -> None:
        """Until a version has answered."""
        end = time.monotonic() + seconds
        while not any(answer[2] == version for answer in self.answers[-100:]):
            if time.monotonic() > end:
                raise SystemExit(f"version {version} did not answer within {seconds:g} s")
            time.sleep(0.05)

    def _ask(self) -> None:
        client, ask = http_client(self.address)
        with client:
            while not self.stop.is_set():
                start = time.perf_counter()
                try:
                    answer = ask(CLASSIFIER, self.spectrum)
                    version, probability = answer.get_response()["model_version"], float(answer.as_numpy("probability")[0, 0])
                    self.answers.append((start, time.perf_counter() - start, version, probability))
                except Exception as error:  # whatever it is, it counts
                    self.failures.append(repr(error))
                time.sleep(0.005)


def switch_under_load(load: Load, repository: Path, second: Path, steady: float) -> None:
    """Add the second version while clients ask; the server takes it up, and no request fails."""
    with load.running():
        load.wait_for("1")
        time.sleep(steady)
        zoo("export", second, "--repository", repository)
        load.wait_for("2")
        time.sleep(steady)
    by_version = {v: [p for _, _, version, p in load.answers if version == v] for v in ("1", "2")}
    for version, found in by_version.items():
        print(f"version {version}: {len(found)} answers, probability {min(found):.4f} to {max(found):.4f}")
    print(f"{len(load.failures)} of {len(load.answers) + len(load.failures)} requests failed")
    if load.failures:
        raise SystemExit(load.failures[0])


def draw(found: dict[str, np.ndarray], load: Load) -> Figure:
    """Left, how long a request takes, by each way; right, requests while the version changed."""
    figure = Figure(figsize=(11, 4.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    colors = {"in process": "#009E73", "gRPC": "#0072B2", "REST": "#D55E00"}
    for name, seconds in found.items():
        way, endpoint = name.split(", ")
        style = "-" if endpoint == "predict" else "--"
        share = (np.arange(len(seconds)) + 1) / len(seconds)
        left.plot(np.sort(seconds) * 1e3, share, style, color=colors[way], label=name)
    left.set_xscale("log")
    left.set_xlabel("time of a request of one row (ms)")
    left.set_ylabel("share of requests answered")
    left.legend(frameon=False, fontsize=8)
    first = min(start for start, *_ in load.answers)
    for version, color in (("1", "#0072B2"), ("2", "#D55E00")):
        rows = np.array([(start - first, seconds * 1e3) for start, seconds, v, _ in load.answers if v == version])
        right.plot(*rows.T, ".", color=color, markersize=3, label=f"version {version}, {len(rows)} answers")
    right.set_yscale("log")
    right.set_xlabel("time since the first request (s)")
    right.set_ylabel("time of a request (ms), four clients")
    right.set_title(f"{len(load.failures)} failed requests", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    for ax in (left, right):
        ax.grid(color="0.9")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("deploy"), help="for exports, repository and figure")
    parser.add_argument("--short", action="store_true", help="fewer requests, no graphs of lower precision")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for made in ("exported", "float16", "first", "second", "second-exported", "repository"):
        shutil.rmtree(folder / made, ignore_errors=True)

    exported, repository = export_and_verify(folder, given.short), folder / "repository"
    other_languages(exported)
    zoo("export", exported, "--repository", repository)
    second = second_version(folder)
    tensors = read_test_tensors(exported / TEST_TENSORS, Session(exported).spec)
    spectra = tensors["predict"][0]["spectrum"]
    with serving(repository) as (http_address, grpc_address), ExitStack() as stack:
        client, http = http_client(http_address)
        stack.enter_context(client)
        client, grpc = grpc_client(grpc_address)
        stack.enter_context(client)
        compare("REST", http, tensors)
        compare("gRPC", grpc, tensors)
        found = measure(exported, http, grpc, spectra, 200 if given.short else 2000)
        load = Load(http_address, spectra[:1])
        switch_under_load(load, repository, second, 1.0 if given.short else 5.0)
    draw(found, load).savefig(folder / "deploy.png")
    print(f"\nwrote {folder / 'deploy.png'}")


if __name__ == "__main__":
    main()
