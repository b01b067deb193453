"""GPUs that work, without one: the CPU answers for what says that it is a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import onnxruntime
import pytest

Asked = list[tuple[str, dict[str, str]]]


@contextmanager
def gpus(count: int) -> Iterator[Asked]:
    """So many GPUs; gives the execution providers that were asked for, with their options."""
    real, asked = onnxruntime.InferenceSession, []
    memory = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    class OnGpu(real):  # type: ignore[misc,valid-type]
        def __init__(self, file: str, options: onnxruntime.SessionOptions, providers: Asked) -> None:
            super().__init__(file, options, providers=["CPUExecutionProvider"])
            self.wanted = [name for name, _ in providers]
            asked.extend(providers)

        def get_providers(self) -> list[str]:
            return self.wanted

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
        patch.setattr(onnxruntime, "InferenceSession", OnGpu)
        patch.setattr("zoo.serving.devices._cuda_devices", lambda: count)
        patch.setattr(
            onnxruntime.OrtValue, "ortvalue_from_shape_and_type", lambda shape, dtype, kind, number: memory(shape, dtype)
        )
        yield asked
