"""Where graphs run: the CPU, or a CUDA device that is really in use rather than the one that was hoped for."""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from zoo.errors import InputError, IntegrityError, ProviderError, option
from zoo.model.onnx_bytes import OnnxBytes

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "zoo.serving needs ONNX Runtime: pip install 'physzoo[cpu]', or 'physzoo[gpu]' on a machine with CUDA"
    ) from error

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
# TensorFloat-32, on by default, keeps 10 bits of mantissa: far outside the tolerance that a card promises. cuDNN's exhaustive
# search, the default too, spends 30 to 50 ms on each new size of batch; the heuristic one spends 7, and runs as fast later.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
_SILENT, _WARNING = 4, 2
_SETTING = threading.Lock()


@dataclass(frozen=True)
class Device:
    """A device that runs graphs.

    Attributes
    ----------
    kind : {"cpu", "cuda"}
        What it is.
    number : int
        Which of several; CUDA counts those that ``CUDA_VISIBLE_DEVICES`` leaves.
    """

    kind: Literal["cpu", "cuda"] = "cpu"
    number: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "cpu" else f"{self.kind}:{self.number}"

    @property
    def provider(self) -> str:
        """The execution provider of ONNX Runtime that runs graphs on it."""
        return _PROVIDERS[self.kind]


CPU = Device()


def devices(wanted: str = "auto") -> list[Device]:
    """The devices that a word of a user's names.

    Parameters
    ----------
    wanted : str
        ``auto`` for all, CUDA's first and the CPU last; ``cpu``; ``cuda`` for all of CUDA's; ``cuda:1`` for one of them.

    Returns
    -------
    list of Device
        At least one.

    Raises
    ------
    InputError
        The word names no device.
    ProviderError
        CUDA is asked for, and this ONNX Runtime lacks it or finds no such device.
    """
    named = re.fullmatch(r"auto|cpu|cuda(?::(\d{1,3}))?", wanted)
    if named is None:
        raise InputError(f"expected {option('device', 'auto')}, cpu, cuda or cuda:NUMBER, given {wanted!r}")
    if wanted == "cpu":
        return [CPU]
    available = _PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    found = [Device("cuda", number) for number in range(_cuda_devices() if available else 0)]
    if wanted == "auto":
        return [*found, CPU]
    if not available:
        raise ProviderError(f"{wanted} was asked for, and this ONNX Runtime runs on the CPU alone: pip install 'physzoo[gpu]'")
    chosen = found if named[1] is None else [device for device in found if device.number == int(named[1])]
    if not chosen:
        raise ProviderError(
            f"{wanted} was asked for, and the driver shows {len(found)} CUDA devices: see nvidia-smi and CUDA_VISIBLE_DEVICES"
        )
    return chosen


def _cuda_devices() -> int:
    """How many devices the driver shows, which also says that there is a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value


def open_graph(
    graph: OnnxBytes, device: Device = CPU, *, threads: int = 1, capture: bool = False
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session over one graph, on the device asked for and no other.

    Parameters
    ----------
    graph : OnnxBytes
        The graph. ONNX Runtime is given its bytes and not where they lie, so that it reads nothing that was not hashed.
    device : Device
        Where it is to run.
    threads : int
        Threads within one operator on the CPU.
    capture : bool
        Whether runs may be kept as CUDA graphs, which asks of ONNX Runtime that every operation runs on the device.

    Returns
    -------
    onnxruntime.InferenceSession
        The graph, ready to run.

    Raises
    ------
    ProviderError
        The device is not in use: ONNX Runtime itself falls back to the CPU without an error.
    IntegrityError
        ONNX Runtime cannot load the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # ONNX Runtime's plan of which tensors may share memory takes two thirds of opening a flow's thousands of nodes; its arena
    # reuses what is freed all the same: as fast, and no larger.
    options.enable_mem_reuse = False
    own: dict[str, str] = {}
    if device.kind == "cuda":
        own = {**_CUDA_OPTIONS, "device_id": str(device.number)} | ({"enable_cuda_graph": "1"} if capture else {})
    with _quiet() if device.kind == "cuda" else contextlib.nullcontext():
        if device.kind == "cuda" and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # finds CUDA in pip's nvidia packages
        try:
            session = onnxruntime.InferenceSession(graph.content, options, providers=[(device.provider, own)])
        except Exception as error:  # ONNX Runtime's errors share no base of their own
            raise IntegrityError(f"{graph.path}: ONNX Runtime cannot load this graph: {error}") from error
    used = session.get_providers()[0]
    if used != device.provider:
        raise ProviderError(
            f"asked for {device}, but ONNX Runtime fell back to {used}: CUDA's libraries are missing or do not fit the driver;"
            " docs/gpu.md says which are needed"
        )
    return session


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No lines about CUDA libraries that a machine does not have: what comes of it is said in an error of ours.

    One thread at a time, since the process has one standard output and one severity: threads that overlapped would put back
    what another had set.
    """
    with _SETTING:
        onnxruntime.set_default_logger_severity(_SILENT)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        finally:
            onnxruntime.set_default_logger_severity(_WARNING)
