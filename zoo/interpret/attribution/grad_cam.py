"""Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391): which places of a convolution's maps an answer hangs on."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import ExplanationError
from zoo.interpret.attribution.differentiate import value_and_gradient
from zoo.interpret.attribution.layer_outputs import last_output, layer_named, layers_of, outputs_of
from zoo.interpret.attribution.scalar_output import Answer, batches
from zoo.interpret.methods import differentiable, explanation_method
from zoo.progress import track


def _convolutional(model: Any, method: str) -> None:
    differentiable(model, method)
    convolution(model)


@explanation_method("grad_cam", "places of the maps of a convolution, by default the last", requires=_convolutional)
def grad_cam(answer: Answer, x: np.ndarray, start: None, *, layer: str | None = None) -> np.ndarray:
    """Sum over channels of each map times its mean gradient, interpolated linearly to the cells of the input.

    Signed: the paper's rectification, ``np.maximum(values, 0)``, would hide what lowers the answer of a regression. The mean
    over space is the paper's: where dense layers weigh places differently, as in cnn3d, occlusion says more.
    """
    import keras

    chosen = convolution(answer.model, layer)
    found = []
    for rows in track(batches(np.arange(len(x)), x[0].size), "Grad-CAM"):
        with outputs_of(chosen) as seen:
            answer.scalar(x[rows], rows)
        maps = keras.ops.convert_to_numpy(last_output(seen, chosen, answer.endpoint))

        def shifted(delta: Any, rows: np.ndarray = rows) -> Any:
            with outputs_of(chosen, lambda value: value + delta):
                return answer.scalar(x[rows], rows)

        # The derivative with respect to what is added to the maps is that with respect to the maps, on any backend.
        _, gradient = value_and_gradient(shifted, np.zeros_like(maps))
        weights = gradient.mean(axis=tuple(range(1, maps.ndim - 1)), keepdims=True)
        found.append(upsampled(np.sum(weights * maps, axis=-1), x.shape[1:]))
    return np.concatenate(found).astype(x.dtype)


def convolution(model: Any, name: str | None = None) -> Any:
    """A convolution of the model's blocks by name, by default the last.

    Raises
    ------
    ExplanationError
        If there is none, or the named layer is another kind.
    """
    import keras

    kinds = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
    there = [layer for layer in layers_of(model).values() if isinstance(layer, kinds)]
    if not there:
        raise ExplanationError(
            f"method 'grad_cam' needs a convolution, and {type(model).__name__} has none: integrated_gradients, occlusion and"
            " shap need none"
        )
    if name is None:
        return there[-1]
    chosen = layer_named(model, name)
    if not isinstance(chosen, kinds):
        raise ExplanationError(f"layer: expected a convolution, one of {', '.join(one.name for one in there)}; given {name!r}")
    return chosen


def upsampled(maps: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Maps (n, ...) interpolated linearly between the middles of their cells, to rows of ``shape``.

    A last axis of the shape that maps do not have, the channels of an image, gets the same values throughout.
    """
    from scipy.ndimage import zoom

    space = shape[: maps.ndim - 1]
    factors = [new / old for new, old in zip(space, maps.shape[1:], strict=True)]
    fine = zoom(maps, (1, *factors), order=1, mode="nearest", grid_mode=True)
    return np.broadcast_to(fine.reshape(len(maps), *space, *(1,) * (len(shape) - len(space))), (len(maps), *shape))
