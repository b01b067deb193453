"""Triton's client against ``zoo serve`` on one device after the other: what a client sees of the CPU and of CUDA.

Used by ``gpu_serving.py``. Each client is a process of its own, so that clients do not wait for each other; each of its answers
to the first request is compared with a session's on the CPU.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from dataclasses import dataclass

import numpy as np
from serving_servers import running

from zoo.model.dtypes import NAMES
from zoo.model.spec import TEST_TENSORS, wire_name
from zoo.serving import Session

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Load:
    """Clients that each ask an endpoint for so many rows, again and again."""

    model: str
    endpoint: str
    rows: int
    clients: int

    @property
    def title(self) -> str:
        return f"{self.model}/{self.endpoint}, {self.rows} rows, {self.clients} clients"


LOADS = [
    Load("mlp-cmb-feature", "predict", 1, 8),
    Load("cnn3d-halo-mass", "predict", 1, 4),
    Load("cnn3d-halo-mass", "predict", 64, 4),
    Load("bvae-shapes3d", "encode", 64, 4),
    Load("ive-halo-profile-3", "predict", 64, 4),
    Load("nsf-cmb-posterior", "sample", 256, 4),
]


def measured(loads: list[Load], devices: list[str], seconds: float, skipped: dict[str, str]) -> dict[str, dict]:
    """Requests and rows per second and latencies of each load on each device.

    Parameters
    ----------
    loads : list of Load
        What is asked.
    devices : list of str
        Words for ``zoo serve --device``.
    seconds : float
        How long each client asks.
    skipped : dict of str to str
        Takes what did not run, and why.

    Returns
    -------
    dict
        Title of the load -> device -> numbers.
    """
    found: dict[str, dict] = {}
    models = sorted({load.model for load in loads})
    for device in devices:
        try:
            with running([sys.executable, "-m", "zoo", "serve", *models, "--device", device]) as (addresses, _):
                for load in loads:
                    found.setdefault(load.title, {})[device] = _asked(load, addresses["rest"], seconds)
                    print(f"{load.title}, {device}: {found[load.title][device]}", flush=True)
        except SystemExit as error:  # a device that is not there
            skipped[f"zoo serve --device {device}"] = str(error)
    return found


def _asked(load: Load, address: str, seconds: float) -> dict[str, float]:
    inputs, expected = _tensors(load)
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    work = (address, wire_name(load.model, load.endpoint), inputs, expected, seconds, answers)
    clients = [context.Process(target=_client, args=work) for _ in range(load.clients)]
    for client in clients:
        client.start()
    results = [answers.get(timeout=seconds + 120) for _ in clients]
    for client in clients:
        client.join()
    taken = np.concatenate([latencies for latencies, _ in results])
    p50, p99 = np.percentile(taken, [50, 99]) * 1e3
    rate = len(taken) / seconds
    return {
        "requests_per_second": rate,
        "rows_per_second": rate * load.rows,
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "largest_difference_from_cpu": max(worst for _, worst in results),
    }


def _tensors(load: Load) -> tuple[Arrays, Arrays]:
    """Test rows, as often as it takes, and a session's answers on the CPU."""
    session = Session(load.model, device="cpu")
    with np.load(session.folder.path(TEST_TENSORS)) as stored:
        given = {t.name: stored[f"{load.endpoint}/in/{t.name}"] for t in session.spec.endpoints[load.endpoint].inputs}
    inputs = {name: np.resize(array, (load.rows, *array.shape[1:])) for name, array in given.items()}
    return inputs, session.run(inputs, load.endpoint)


def _client(address: str, model: str, inputs: Arrays, expected: Arrays, seconds: float, answers: multiprocessing.Queue) -> None:
    import tritonclient.http as triton

    client, tensors = triton.InferenceServerClient(address), []
    for name, array in inputs.items():
        wire = array if array.ndim > 1 else array[:, None]
        tensors.append(triton.InferInput(name, list(wire.shape), NAMES[array.dtype.name].datatype))
        tensors[-1].set_data_from_numpy(np.ascontiguousarray(wire), binary_data=True)
    wanted = [triton.InferRequestedOutput(name, binary_data=True) for name in expected]
    answer = client.infer(model, tensors, outputs=wanted)
    worst = max(float(np.abs(answer.as_numpy(n).reshape(array.shape) - array).max()) for n, array in expected.items())
    end = time.perf_counter() + 0.5  # all clients are under way before anything is counted
    while time.perf_counter() < end:
        client.infer(model, tensors, outputs=wanted)
    latencies, end = [], time.perf_counter() + seconds
    while (asked := time.perf_counter()) < end:
        client.infer(model, tensors, outputs=wanted)
        latencies.append(time.perf_counter() - asked)
    answers.put((np.array(latencies), worst))
