"""Check of the answers that guard: inputs that are each in its range may be together unlike any that was trained.

A double pendulum may have any angle and any of a wide range of rates, but at the corners of that box it has many times the
energy of any trajectory that was seen. A tensor of a spec that ``guards`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.errors import InputError, option
from zoo.model.handed_in.values import values_of
from zoo.model.spec import Endpoint
from zoo.model.unit_text import unit_behind


class OutputCheck:
    """Check of one endpoint's outputs that guard, prepared once.

    It is false where there is none, and makes no arrays of the answers then.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint whose outputs are looked at.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._guards = []
        for tensor in endpoint.outputs:
            if tensor.guards and not tensor.unbounded:  # of a model in training nothing was measured yet
                limits = np.finfo(tensor.dtype)
                low, high = limits.min if tensor.low is None else tensor.low, limits.max if tensor.high is None else tensor.high
                self._guards.append((tensor, np.asarray(low, tensor.dtype), np.asarray(high, tensor.dtype)))

    def __bool__(self) -> bool:
        return bool(self._guards)

    def __call__(self, outputs: Mapping[str, Any], allow_nonfinite: bool = False, allow_out_of_range: bool = False) -> None:
        """Refuse answers beyond those of the training.

        Parameters
        ----------
        outputs : mapping of str to ndarray
            Answers (batch, ...) by the name of their tensor, or tensors of Keras' backend.
        allow_nonfinite : bool
            Let NaN and infinity through, as those of inputs.
        allow_out_of_range : bool
            Let all answers through.

        Raises
        ------
        InputError
            Naming the tensor, the first row, its answer, the trained range and what to do.
        """
        for tensor, low, high in () if allow_out_of_range else self._guards:
            answers = values_of(outputs[tensor.name]).array
            outside = ~((answers >= low) & (answers <= high))  # NaN is within no range
            if allow_nonfinite:
                outside &= np.isfinite(answers)
            if outside.any():
                at = tuple(int(i) for i in np.argwhere(outside)[0])
                lowest, highest = (np.broadcast_to(bound, answers.shape)[at] for bound in (low, high))
                expected = unit_behind(f"{lowest:.6g} to {highest:.6g}", tensor.unit_of(at[1:]))
                raise InputError(
                    f"output {tensor.name!r}: {np.count_nonzero(outside)} values lie outside the trained range, the first at"
                    f" {at}: expected {expected}, found {answers[at]:.6g}, since"
                    f" the inputs of row {at[0]} are together unlike any that was trained; give others, or extrapolate with"
                    f" {option('allow_out_of_range')}"
                )
