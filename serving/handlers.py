"""What the server answers, as plain data: one set of handlers for REST and gRPC."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from zoo.errors import InputError
from zoo.model.dtypes import NAMES
from zoo.model.spec import Tensor
from zoo.serving.instances import InstanceGroup
from zoo.serving.limits import Limits
from zoo.serving.protocol import InferRequest
from zoo.serving.repository import Repository, Served

# Below this size reading and writing take less time than a thread does to begin; above it, they would hold up everyone else.
INLINE_BYTES = 64 * 2**10
EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]


class Handlers:
    """The protocol's methods over one repository.

    Parameters
    ----------
    repository : Repository
        The models.
    pool : Executor
        The pool in which large requests are read and their answers written.
    timeout : float or None
        Seconds after which a request is refused unless it names its own; None waits.
    limits : Limits
        What one client may take, and what all may together.
    """

    def __init__(
        self,
        repository: Repository,
        pool: Executor,
        timeout: float | None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self.repository, self.limits = repository, limits
        self._pool, self._timeout = pool, timeout
        self.pending = 0
        """Bytes of the requests that are being read or answered and of answers that are not sent yet, over all ways to ask."""
        self._ready = True

    @property
    def ready(self) -> bool:
        """Models are loaded and verified before the ports open; set to false when the server is asked to stop."""
        return self._ready

    @ready.setter
    def ready(self, ready: bool) -> None:
        self._ready = ready
        self.repository.announce()

    def server(self) -> dict[str, object]:
        """Metadata of the server."""
        try:
            release = version("physzoo")
        except PackageNotFoundError:  # run from a checkout
            release = "unknown"
        return {"name": "physzoo", "version": release, "extensions": EXTENSIONS}

    def devices(self) -> list[str]:
        """The devices that run what is served, for which the protocol's metadata has no field."""
        return sorted({str(group.device) for served in self.repository.loaded() for group in served.batcher.groups})

    def model(self, name: str, wanted: str | None = None) -> dict[str, object]:
        """Metadata of a model; RefusedError (404) where there is none."""
        served = self.repository.find(name, wanted)
        return {
            "name": served.name,
            "versions": self.repository.versions(name) if not wanted else [served.version],
            "platform": "onnxruntime_onnx",
            "inputs": [_tensor(tensor) for tensor in served.endpoint.inputs],
            "outputs": [_tensor(tensor) for tensor in served.endpoint.outputs],
        }

    def config(self, name: str, wanted: str | None = None) -> dict[str, object]:
        """What Triton's model configuration says that holds here too."""
        served = self.repository.find(name, wanted)
        policy = served.batcher.policy
        return {
            "name": served.name,
            "platform": "onnxruntime_onnx",
            "backend": "onnxruntime",
            "max_batch_size": policy.max_batch,
            "input": [_config(tensor) for tensor in served.endpoint.inputs],
            "output": [_config(tensor) for tensor in served.endpoint.outputs],
            "instance_group": [_instances(group) for group in served.batcher.groups],
            "dynamic_batching": {"max_queue_delay_microseconds": round(policy.max_delay * 1e6)},
        }

    def statistics(self, name: str = "", wanted: str | None = None) -> dict[str, object]:
        """Statistics of one model, in one version or in all that are served, or of all models."""
        repository = self.repository
        if wanted:
            chosen = [repository.find(name, wanted)]
        elif name:
            chosen = [repository.find(name, version) for version in repository.versions(repository.find(name).name)]
        else:
            chosen = repository.loaded()
        return {"model_stats": [served.statistics.as_json(served.name, served.version) for served in chosen]}

    def in_pool(self, call: Callable[..., Any], *arguments: object) -> Awaitable[Any]:
        """Call beside the event loop."""
        return asyncio.get_running_loop().run_in_executor(self._pool, call, *arguments)

    def check(self, served: Served, request: InferRequest) -> dict[str, np.ndarray]:
        """The tensors of a request, checked as ``Session`` checks them, and their rows; InputError otherwise."""
        most = served.batcher.policy.max_rows
        rows = max(map(len, request.inputs.values()), default=0)
        if most is not None and rows > most:
            raise InputError(
                f"{served.name}: expected at most {most} rows in a request, the max_batch_size of its configuration,"
                f" given {rows}: split the request"
            )
        return served.graph.check(
            request.inputs, allow_nonfinite=request.allow_nonfinite, allow_out_of_range=request.allow_out_of_range
        )

    def infer(
        self, served: Served, request: InferRequest, arrays: dict[str, np.ndarray], caller: Hashable
    ) -> Awaitable[dict[str, np.ndarray]]:
        """Queue checked tensors; RefusedError (503, or later 504) where they cannot be answered in time.

        InputError where an answer that guards says that they are together unlike any that was trained.
        """
        answer = served.batcher.submit(arrays, caller, self._timeout if request.timeout is None else request.timeout)
        if request.allow_out_of_range or not served.graph.guard:
            return answer
        return _guarded(answer, served, request.allow_nonfinite)

    def hold_answer(self, served: Served, request: InferRequest, arrays: dict[str, np.ndarray]) -> int:
        """Hold what an answer takes from now until it is sent, which is known before anything is computed.

        Parameters
        ----------
        served : Served
            The model.
        request : InferRequest
            The request, which says which outputs are wanted as JSON.
        arrays : dict of str to ndarray
            Its checked tensors.

        Returns
        -------
        int
            The bytes that are held, to be released.

        Raises
        ------
        RefusedError
            More than there is at all (413), or than is left (503).
        """
        size, rows = served.answer_size(arrays, request.outputs), len(next(iter(arrays.values())))
        if size > self.limits.pending:
            raise self.limits.too_much(size, rows)
        if self.pending + size > self.limits.pending:
            raise self.limits.too_many()
        self.pending += size
        return size

    def release(self, size: int) -> None:
        """Hold so many bytes less."""
        self.pending -= size

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold so many bytes for a while; RefusedError (503) where there are not as many left."""
        self.pending += size
        try:
            if self.pending > self.limits.pending:
                raise self.limits.too_many()
            yield
        finally:
            self.pending -= size

    @staticmethod
    def count(served: Served, since_ns: int, *, failed: bool) -> None:
        """Count one request of a model."""
        stage = served.statistics.fail if failed else served.statistics.success
        stage.add(time.perf_counter_ns() - since_ns)


async def _guarded(
    answer: asyncio.Future[dict[str, np.ndarray]], served: Served, allow_nonfinite: bool
) -> dict[str, np.ndarray]:
    """The answer of one request, checked as ``Session`` checks it."""
    outputs = await answer
    served.graph.guard(outputs, allow_nonfinite)
    return outputs


def _tensor(tensor: Tensor) -> dict[str, object]:
    return {"name": tensor.name, "datatype": NAMES[tensor.dtype].datatype, "shape": [-1, *tensor.wire_shape]}


def _instances(group: InstanceGroup) -> dict[str, object]:
    """An instance group as Triton writes it."""
    if group.device.kind == "cpu":
        return {"count": group.count, "kind": "KIND_CPU"}
    return {"count": group.count, "kind": "KIND_GPU", "gpus": [group.device.number]}


def _config(tensor: Tensor) -> dict[str, object]:
    return {"name": tensor.name, "data_type": NAMES[tensor.dtype].triton, "dims": tensor.wire_shape}
