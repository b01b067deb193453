"""Batch normalization over particles, or pairs of them, one below another."""

from __future__ import annotations

import keras
from keras import ops


class RowNorm(keras.layers.BatchNormalization):
    """Keras's layer, which TensorFlow's fused kernel trains where every row counts.

    Rows are many and channels few, so that passes over memory are the cost: Keras's moments with a mask make a dozen of them
    forward and as many backward, the kernel three. Where a row does not count it is Keras's own call, as are the answers of a
    trained layer.
    """

    def call(self, inputs, training=None, mask=None, fused=False):
        """Rows (..., channels) normalized; ``fused`` is whether the kernel may be taken, which XLA and JAX have not."""
        if not (fused and training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        by_keras = super().call
        return ops.cond(ops.all(mask), lambda: self._fused(inputs), lambda: by_keras(inputs, training=True, mask=mask))

    def _fused(self, inputs):
        import tensorflow as tf

        rows = ops.reshape(inputs, (1, 1, -1, inputs.shape[-1]))
        gamma, beta = ops.convert_to_tensor(self.gamma), ops.convert_to_tensor(self.beta)
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(rows, gamma, beta, epsilon=self.epsilon, is_training=True)
        count = ops.cast(ops.shape(rows)[2], variance.dtype)
        biased = variance * (count - 1.0) / count  # as Keras's
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, biased)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return ops.reshape(y, ops.shape(inputs))
