"""Activation maximization: the input within the trained range that excites a unit most (Erhan et al. 2009)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.interpret.attribution.activations import default_layer
from zoo.interpret.attribution.differentiate import value_and_gradient
from zoo.interpret.attribution.layer_outputs import last_output, layer_named, outputs_of
from zoo.interpret.attribution.scalar_output import Answer, answer_of, baseline_of, chosen_endpoint, name_of, spec_of
from zoo.interpret.elements import axes_of
from zoo.interpret.methods import Asked, differentiable, explanation_method
from zoo.interpret.result import Result
from zoo.model.axes import Axis
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = 8
"""How many units are maximized where none is asked for."""
RATE = 0.02
"""The rate of a step, in trained ranges of an element."""
MOMENTS = (0.9, 0.999)
"""Adam's decay rates (Kingma & Ba 2014)."""
STARTS, SPREAD = 32, 0.1
"""Random starts that are tried for each unit, and their deviation about the given one, in trained ranges."""
SMOOTH = 1e-3
"""Differences of neighbors, in trained ranges, below which total variation is quadratic."""


@dataclass(frozen=True, eq=False)
class Maximized(Result):
    """Inputs that excite the units of a layer.

    Attributes
    ----------
    inputs : ndarray
        The inputs in physical units, of shape (units, ...).
    start : ndarray
        The row about which every climb began, of shape (...).
    units : ndarray
        Numbers of the units, the channels of a convolution, of shape (units,).
    activation : ndarray
        Mean over space after each step, of shape (units, steps + 1).
    layer, tensor, model : str
        Names of the layer, the input tensor and the model.
    axes : list of Axis
        The axes of the tensor after the batch, as the model's spec has them.
    unit : str
        The unit of the tensor.
    """

    inputs: np.ndarray
    start: np.ndarray
    units: np.ndarray
    activation: np.ndarray
    layer: str
    tensor: str
    model: str
    axes: list[Axis] = field(default_factory=list)
    unit: str = ""

    @property
    def along(self) -> list[Axis]:
        """The axes of the tensor with the sizes of these inputs."""
        return axes_of(self.axes, self.start.shape)

    def plot(self) -> Figure:
        """A panel for each unit: the input minus where it began; of cubes the middle slice."""
        from zoo.interpret import plots

        return plots.maximized_inputs(self)


def maximize_activation(
    model: Any,
    layer: str | None = None,
    units: Sequence[int] | None = None,
    *,
    inputs: np.ndarray | dict[str, np.ndarray] | None = None,
    endpoint: str | None = None,
    wrt: str | None = None,
    smoothness: float = 1.0,
    steps: int = 200,
    seed: int = 0,
) -> Maximized:
    """Climb from near the baseline to inputs that excite units, kept smooth by total variation and inside the trained range.

    With elements u in units of their trained ranges, u_0 where it begins and a the mean of the unit over space, the climb is on
    ``a(u) / |da/du|_1 - smoothness mean(|u_i - u_neighbor| + (u - u_0)^2)``, by Adam (Mahendran & Vedaldi 2015,
    arXiv:1412.0035); ``|da/du|_1`` is that of the first step. The square holds elements back that only follow their neighbors.

    Parameters
    ----------
    layer : str, optional
        Name of a layer, or of a block for its last; default the last before the head.
    units : sequence of int, optional
        Numbers of units, or of channels of a convolution; default the first eight.
    inputs : ndarray or dict of str to ndarray, optional
        One row for each input tensor of the endpoint, about which the climb starts; by default the model's baseline, which is
        the mean of the training data, or the middle of the trained range.
    endpoint, wrt : str, optional
        The function of the model and its input tensor, as `zoo.interpret.explain` takes them.
    smoothness : float
        Weight of the total variation and of the distance.
    steps : int
        Number of steps of Adam.

    Raises
    ------
    ExplanationError
        No gradients, no layers, or a layer that the endpoint does not call.
    InputError, UnknownNameError
        No such layer, unit or tensor; no range to climb in.
    """
    import keras

    differentiable(model, "activation_maximization")
    if steps < 1 or smoothness < 0:
        raise InputError(f"expected steps from 1 and smoothness from 0, given {steps} and {smoothness}")
    chosen = layer_named(model, layer or default_layer(model))
    start = _start(model, endpoint) if inputs is None else inputs  # ours may be unlike any that was trained
    answer = answer_of(model, start, endpoint=endpoint, wrt=wrt, allow_out_of_range=inputs is None)
    if len(answer.x) != 1:
        raise InputError(f"inputs: expected one row to start from, given {len(answer.x)}")
    start, (low, width) = answer.x[0], _range(answer)
    with outputs_of(chosen) as seen:
        answer.scalar(answer.x, np.zeros(1, int))
    size = last_output(seen, chosen, answer.endpoint).shape[-1]
    numbers = np.arange(min(UNITS, size)) if units is None else np.asarray(units, int).reshape(-1)
    if not len(numbers) or numbers.min() < 0 or numbers.max() >= size:
        raise InputError(f"units: expected 0 to {size - 1} of layer {chosen.name!r}, given {numbers.tolist()}")
    begin = (start - low) / width
    starts = np.clip(begin + generator(seed).normal(0, SPREAD, (STARTS, *start.shape)), 0, 1)

    def means(points: Any) -> Any:
        with outputs_of(chosen) as seen:
            answer.scalar(points, np.zeros(len(points), int))
        return keras.ops.mean(keras.ops.reshape(seen[-1], (len(points), -1, size)), axis=1)

    one_hot = np.eye(size, dtype=np.float32)[numbers]

    def activation(points: Any) -> Any:
        return keras.ops.sum(means(points) * one_hot, axis=-1)

    # A rectified unit that is silent where the climb begins has no slope to climb: each begins where it is loudest.
    loudest = np.argmax(keras.ops.convert_to_numpy(means(low + starts.astype(low.dtype) * width)), axis=0)
    found, history = _climb(activation, starts[loudest[numbers]], begin, low, width, smoothness, steps)
    history.append(keras.ops.convert_to_numpy(activation(keras.ops.convert_to_tensor(found))))
    return Maximized(
        inputs=found,
        start=start,
        units=numbers,
        activation=np.stack(history, axis=1),
        layer=chosen.name,
        tensor=answer.wrt,
        model=name_of(model),
        axes=answer.tensor.axes,
        unit=answer.tensor.unit,
    )


def _climb(
    activation: Callable[[Any], Any],
    u: np.ndarray,
    begin: np.ndarray,
    low: np.ndarray,
    width: np.ndarray,
    smoothness: float,
    steps: int,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Inputs after steps of Adam from elements ``u`` in trained ranges, and the activations before each step."""
    axes = tuple(range(1, u.ndim))
    history, scale, first, second = [], None, np.zeros_like(u), np.zeros_like(u)
    for step in track(range(1, steps + 1), "activation maximization"):
        value, gradient = value_and_gradient(activation, (low + u * width).astype(low.dtype))
        history.append(value)
        gradient = gradient * width
        if scale is None:
            norm = np.sum(np.abs(gradient), axis=axes, keepdims=True)
            scale = np.where(norm > 0, norm, 1.0)
        gradient = gradient / scale - smoothness * (_total_variation_gradient(u) + 2 * (u - begin) / begin.size)
        first = MOMENTS[0] * first + (1 - MOMENTS[0]) * gradient
        second = MOMENTS[1] * second + (1 - MOMENTS[1]) * gradient**2
        mean, square = first / (1 - MOMENTS[0] ** step), second / (1 - MOMENTS[1] ** step)
        # The rate falls to zero, so that the climb comes to rest on ridges.
        u = np.clip(u + RATE * (1 - (step - 1) / steps) * mean / (np.sqrt(square) + 1e-12), 0, 1)
    return (low + u * width).astype(low.dtype), history


@explanation_method(
    "activation_maximization", "inputs that excite the units of a layer", kind="global", asks="nothing", requires=differentiable
)
def _maximized(asked: Asked, *, layer: str | None = None, endpoint: str | None = None, wrt: str | None = None) -> Maximized:
    return maximize_activation(asked.model, layer, endpoint=endpoint, wrt=wrt)


def _total_variation_gradient(u: np.ndarray) -> np.ndarray:
    """Gradient of the mean over elements of sqrt((u_i - u_next)^2 + SMOOTH^2), summed over axes, of each of (n, ...)."""
    total = np.zeros_like(u)
    for axis in range(1, u.ndim):
        step = np.diff(u, axis=axis)
        slope = step / np.sqrt(step**2 + SMOOTH**2)
        before, after = [(0, 0)] * u.ndim, [(0, 0)] * u.ndim
        before[axis], after[axis] = (1, 0), (0, 1)
        total += np.pad(slope, before) - np.pad(slope, after)
    return total / u[0].size


def _start(model: Any, endpoint: str | None) -> dict[str, np.ndarray]:
    """One row: the baseline of each input tensor, or the middle of its trained range."""
    if (spec := spec_of(model)) is None:
        raise InputError("inputs: expected a row to start from, as the model has no spec that says what it takes")
    rows = {}
    for tensor in spec.endpoint(chosen_endpoint(model, endpoint)).inputs:
        shape = (1, *tensor.fixed_shape)
        middle = None if tensor.low is None or tensor.high is None else (np.asarray(tensor.low) + np.asarray(tensor.high)) / 2
        known = model.baseline(tensor.name)
        given = middle if known is None else known
        rows[tensor.name] = baseline_of(model, tensor.name, np.zeros(shape, tensor.dtype), given)
    return rows


def _range(answer: Answer) -> tuple[np.ndarray, np.ndarray]:
    if answer.low is None or answer.high is None:
        raise InputError(f"tensor {answer.wrt!r}: expected a trained range in the model's spec to climb in, found none")
    return answer.low, np.maximum(answer.high - answer.low, np.finfo(answer.low.dtype).tiny)
