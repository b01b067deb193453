"""The dtypes of tensors, and what others call them: the Open Inference Protocol, Triton's configuration, ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from zoo.model.spec import DType


@dataclass(frozen=True)
class Names:
    """How one dtype is named outside the zoo."""

    datatype: str
    """The name in requests and answers of the Open Inference Protocol, which Triton's configuration writes after ``TYPE_``."""
    contents: str
    """The field that holds its values in a message of the protocol."""
    onnx: str
    """The type of a tensor of such elements, as ONNX Runtime writes it."""

    @property
    def triton(self) -> str:
        """The name in Triton's model configuration."""
        return f"TYPE_{self.datatype}"


NAMES: dict[DType, Names] = {
    "float32": Names("FP32", "fp32_contents", "tensor(float)"),
    "float64": Names("FP64", "fp64_contents", "tensor(double)"),
    "int32": Names("INT32", "int_contents", "tensor(int32)"),
    "int64": Names("INT64", "int64_contents", "tensor(int64)"),
    "bool": Names("BOOL", "bool_contents", "tensor(bool)"),
}
"""The five dtypes that a spec knows, by their name in it, which is also numpy's."""


@cache
def little_endian(dtype: DType) -> np.dtype:
    """The dtype with the byte order of binary tensors; on most machines this is the very object of the native dtype."""
    return np.dtype(f"<{np.dtype(dtype).str[1:]}")
