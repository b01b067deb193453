"""Layers shared by the families, in pure ``keras.ops``."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("physzoo")
class Standardize(keras.layers.Layer):
    """Map physical inputs to zero mean and unit variance, (x - mean) / scale, element by element.

    Mean and scale are weights that no optimiser touches: they travel with the model's file and stay variables in an
    exported graph (``keras.layers.Normalization`` captures eager tensors, which tf2onnx cannot follow).
    """

    def __init__(self, shape: tuple[int, ...], **kwargs) -> None:
        super().__init__(trainable=False, **kwargs)
        self.shape = tuple(shape)
        self.mean = self.add_weight(name="mean", shape=self.shape, initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=self.shape, initializer="ones", trainable=False)
        self.built = True

    def adapt(self, rows: np.ndarray) -> None:
        """Measure mean and scale on training rows (n, *shape); a constant element gets scale 1."""
        scale = np.std(rows, axis=0, dtype=np.float64)
        self.mean.assign(np.mean(rows, axis=0, dtype=np.float64))
        self.scale.assign(np.where(scale > 0, scale, 1.0))

    def call(self, x):
        return (x - self.mean) / self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self) -> dict:
        return {**super().get_config(), "shape": list(self.shape)}


def dense_stack(name: str, inputs: int, units: list[int], activation: str) -> keras.Sequential:
    """A built stack of dense layers, (batch, inputs) -> (batch, units[-1])."""
    hidden = [keras.layers.Dense(n, activation=activation, name=f"{name}_{i}") for i, n in enumerate(units)]
    return keras.Sequential([keras.Input((inputs,)), *hidden], name=name)


def gaussian_kl(mean, log_variance):
    """KL(N(mean, variance) || N(0, 1)) of each latent, in nat; shape of ``mean`` (Kingma & Welling 2014, app. B)."""
    return 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0)
