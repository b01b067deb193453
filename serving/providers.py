"""The ONNX Runtime execution provider that really runs a graph, CPU or GPU, rather than the one that was hoped for."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.errors import IntegrityError, ProviderError

try:
    import onnxruntime
except ImportError as error:
    raise ImportError(
        "zoo.serving needs ONNX Runtime: pip install 'physzoo[cpu]', or 'physzoo[gpu]' on a machine with CUDA"
    ) from error

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

# TensorFloat-32, on by default, keeps 10 bits of mantissa: far outside the tolerance that a card promises.
_OPTIONS = {CUDA: {"use_tf32": "0"}}
_SILENT, _WARNING = 4, 2
# The entry "location" of a tensor with external data: field 1, 8 bytes, its length in any of the ways that protobuf reads.
_EXTERNAL = re.compile(rb"\x0a(?:\x08|\x88\x80*\x00)location")


def open_graph(file: Path, *, providers: Sequence[str] | None, threads: int) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session over one graph.

    Parameters
    ----------
    file : Path
        The ONNX graph.
    providers : sequence of str, optional
        Execution providers in order of preference, of which the first must really be in use; None takes CUDA where it works
        and the CPU elsewhere, quietly.
    threads : int
        Threads within one operator.

    Returns
    -------
    onnxruntime.InferenceSession
        The graph, ready to run.

    Raises
    ------
    ProviderError
        When the first provider asked for is not in use: ONNX Runtime itself falls back to the CPU without an error.
    IntegrityError
        When ONNX Runtime cannot load the graph, or when it would read weights from other files.
    """
    if _EXTERNAL.search(file.read_bytes()):
        raise IntegrityError(
            f"{file} keeps weights in other files, which no sha256 covers: save it with save_as_external_data=False"
        )
    available = onnxruntime.get_available_providers()
    for provider in providers or ():
        if provider not in available:
            raise ProviderError(f"this ONNX Runtime has no {provider}; it has {', '.join(available)}")
    wanted = list(providers or [provider for provider in (CUDA, CPU) if provider in available])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # ONNX Runtime's plan of which tensors may share memory takes two thirds of opening a flow's thousands of nodes; its arena
    # reuses what is freed all the same: as fast, and no larger.
    options.enable_mem_reuse = False
    if CUDA in wanted and hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # finds CUDA in pip's nvidia packages; prints where it does not
            onnxruntime.preload_dlls()
    with _quiet() if not providers and CUDA in wanted else contextlib.nullcontext():
        try:
            session = onnxruntime.InferenceSession(
                str(file), options, providers=[(provider, _OPTIONS.get(provider, {})) for provider in wanted]
            )
        except Exception as error:  # ONNX Runtime's errors share no base of their own
            raise IntegrityError(f"{file}: ONNX Runtime cannot load this graph: {error}") from error
    used = session.get_providers()[0]
    if providers and used != providers[0]:
        raise ProviderError(
            f"asked for {providers[0]}, but ONNX Runtime fell back to {used}: its libraries or its device are missing"
            " (the log above says which); leave providers out to accept any"
        )
    return session


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No log lines about CUDA libraries that a machine without a GPU does not have."""
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNING)
