"""Layers shared by the families, in pure ``keras.ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import keras
import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.processes import expect_own_process

LEAST_VARIANCE = 1e-7
"""Smallest eigenvalue of a correlation matrix whose inverse root float32 bears."""
MEASURED = 2048
"""Training cubes on which mean and scale of a cell are measured."""


@keras.saving.register_keras_serializable("physzoo")
class Standardize(keras.layers.Layer):
    """Map physical inputs to zero mean and unit variance, (x - mean) / scale, element by element.

    Mean and scale are weights that no optimizer touches: they travel with the model's file and stay variables in an
    exported graph (``keras.layers.Normalization`` captures eager tensors, which tf2onnx cannot follow).
    """

    def __init__(self, shape: tuple[int, ...], **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.shape = tuple(shape)
        self.mean = self.add_weight(name="mean", shape=self.shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=self.shape, initializer="ones", trainable=False)
        self.built = True

    def adapt(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale on training rows (n, *shape), by their event weights; a constant element gets scale 1."""
        if weight is None:
            mean, scale = np.mean(rows, axis=0, dtype=np.float64), np.std(rows, axis=0, dtype=np.float64)
        else:
            mean, scale = weighted_moments(np.asarray(rows, np.float64), weight)
        self.mean.assign(mean)
        self.scale.assign(np.where(scale > 0, scale, 1.0))

    def __call__(self, *args, **kwargs):
        """Answer as ``call`` does; this is the first layer of most of what a model is asked, before anything is computed."""
        expect_own_process()
        return super().__call__(*args, **kwargs)

    def call(self, x):
        return (x - self.mean) / self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "shape": list(self.shape)}


@keras.saving.register_keras_serializable("physzoo")
class Whiten(keras.layers.Layer):
    """Map standardized inputs to uncorrelated ones of unit variance, by the inverse root of their correlation matrix.

    Of all such maps this one leaves each element as near to itself as can be (ZCA-cor of Kessy, Lewin & Strimmer 2018,
    arXiv:1512.00809), so that elements keep their names. Directions in which rows vary much more than by noise, as spectra
    do with the parameters of their cosmology, come out as short as all others: what is left to see is what neither does.
    """

    def __init__(self, size: int, **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.size = size
        self.matrix = self.add_weight(name="matrix", shape=(size, size), initializer="identity", trainable=False)
        self.built = True

    def adapt(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure the matrix on training rows (n, size), by the absolute values of their event weights.

        Raises
        ------
        InputError
            Some elements follow from others.
        """
        rows = np.asarray(rows, np.float64)
        if len(rows) < 2 * self.size:  # as in a fine-tuning: shrunk towards no correlation (Ledoit & Wolf 2004)
            from sklearn.covariance import ledoit_wolf

            covariance = ledoit_wolf(rows)[0]  # which for two rows may still be singular
            covariance += 1e-2 * np.trace(covariance) / self.size * np.eye(self.size)
        else:
            covariance = np.cov(rows, rowvar=False, aweights=None if weight is None else np.abs(weight))
        scale = np.sqrt(np.diag(covariance))
        scale = np.where(scale > 0, scale, 1.0)
        values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale) + np.diag(np.diag(covariance) == 0))
        if values[0] < LEAST_VARIANCE:
            raise InputError(
                f"the smallest eigenvalue of the inputs' correlation matrix is {values[0]:.1e}, below {LEAST_VARIANCE:g}: leave"
                " out inputs that follow from others, or give rows with noise"
            )
        self.matrix.assign(vectors / np.sqrt(values) @ vectors.T / scale[:, None])

    def call(self, x):
        return ops.matmul(x, self.matrix)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "size": self.size}


def cells(cubes: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Cells of the first training cubes, on which what is common to all cells is measured, and the event weight of each."""
    some = np.asarray(cubes[:MEASURED])
    return some.ravel(), None if weight is None else np.repeat(weight[:MEASURED], some[0].size)


def weighted_moments(rows: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of rows (n, *shape) that count by event weights (n,), of either sign.

    Negative weights take back what others add. Where they leave an element no positive variance, absolute values stand in for
    them: a scale of a network's inputs is to be positive, and what it is exactly does not matter.
    """
    if weight.min() >= 0:
        mean, variance = _moments(rows, weight)
        return mean, np.sqrt(variance)
    mean, variance = _moments(rows, np.abs(weight))
    if weight.sum() > 0:
        signed = _moments(rows, weight)
        mean, variance = (np.where(signed[1] > 0, a, b) for a, b in zip(signed, (mean, variance), strict=True))
    return mean, np.sqrt(variance)


def _moments(rows: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = np.average(rows, axis=0, weights=weight)
    away = rows - mean
    variance = np.average(np.square(away), axis=0, weights=weight)
    return mean, np.where(np.ptp(rows, axis=0) > 0, variance, 0.0)


@keras.saving.register_keras_serializable("physzoo")
class Ramp(keras.layers.Layer):
    """Multiply x by what rises from 0 to 1 in the first ``steps`` calls; how many there were is saved with the model."""

    def __init__(self, steps: int, **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.steps = steps
        self.calls = self.add_weight(name="calls", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def call(self, x):
        self.calls.assign_add(1.0)
        return x * ops.minimum(1.0, self.calls / self.steps)


def dense_stack(
    name: str, inputs: int, units: list[int], activation: str, layer: Callable[..., keras.layers.Layer] = keras.layers.Dense
) -> keras.Sequential:
    """A built stack of dense layers, (batch, inputs) -> (batch, units[-1])."""
    hidden = [layer(n, activation=activation, name=f"{name}_{i}") for i, n in enumerate(units)]
    return keras.Sequential([keras.Input((inputs,)), *hidden], name=name)


def conv3d_stages(
    name: str, size: int, channels: list[int], activation: str, downsample: Literal["stride", "average"] = "stride"
) -> keras.Sequential:
    """Built convolutions of 3^3 that halve a cube each, (batch, size, size, size, 1) -> (batch, ..., channels[-1]).

    Parameters
    ----------
    downsample : {"stride", "average"}
        What halves a cube: the "stride" of the convolution, or the "average" of 2^3 cells after it.
    """
    layers: list[keras.layers.Layer] = []
    for i, units in enumerate(channels):
        strides = 2 if downsample == "stride" else 1
        layers.append(keras.layers.Conv3D(units, 3, strides, padding="same", activation=activation, name=f"stage_{i}"))
        if downsample == "average":
            layers.append(keras.layers.AveragePooling3D(2, name=f"average_{i}"))
    return keras.Sequential([keras.Input((size, size, size, 1)), *layers], name=name)


def sampled(mean, log_variance, noise):
    """Latents at standard normal noise of the shape of ``mean``, so that gradients pass (Kingma & Welling 2014, sec. 2.4)."""
    return mean + ops.exp(0.5 * log_variance) * noise


def gaussian_kl(mean, log_variance):
    """Divergence KL(N(mean, variance) || N(0, 1)) of each latent, in nat; shape of ``mean`` (Kingma & Welling 2014, app. B)."""
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0)
