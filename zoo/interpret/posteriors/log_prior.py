"""The density of a prior on the unbounded scales of its parameters, as a function of TensorFlow with a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TABLE = np.linspace(-25.0, 25.0, 2501)
"""Where the density of an independent parameter is tabulated on its scale, beyond which its logarithm is a straight line."""
DIFFERENCE = 1e-4
"""Distance in a difference quotient of a density that only NumPy can compute."""


def log_prior_on_scales(prior: Any, maps: Any) -> tuple[Callable[[Any], Any], bool]:
    """A prior's log density per unit of the scales.

    The density of a parameter on its scale is that of the parameter times dtheta/du, which is smooth and has no edges where
    the prior has.

    Parameters
    ----------
    prior : Prior
        The prior; ``laws`` where its parameters are independent.
    maps : Maps
        Its scales.

    Returns
    -------
    callable
        Makes the log density (n,) of unbounded parameters (n, D), float32, differentiable.
    bool
        Whether XLA can compile it.
    """
    laws = getattr(prior, "laws", None)
    if laws is None:
        return _by_differences(prior, maps), False
    grid = np.tile(TABLE[:, None], (1, len(laws)))
    theta = np.asarray(maps.from_base(grid))
    with np.errstate(divide="ignore"):
        logs = np.stack([law.law.logpdf(column) for law, column in zip(laws.values(), theta.T, strict=True)], axis=1)
    return _tabulated(logs - np.asarray(maps.to_base(theta)[1])), True


def _tabulated(logs: np.ndarray) -> Callable[[Any], Any]:
    """The sum of functions of single variables that are tabulated at TABLE, (m, D)."""
    import tensorflow as tf
    from scipy.interpolate import CubicSpline

    step, cells, dimensions = TABLE[1] - TABLE[0], len(TABLE) - 1, logs.shape[1]
    splines = [CubicSpline(TABLE, _straight(column)) for column in logs.T]
    coefficients = tf.constant(np.stack([spline.c.T for spline in splines]).reshape(-1, 4), tf.float32)
    ends = [tf.constant([float(spline(end, 1)) for spline in splines], tf.float32) for end in TABLE[[0, -1]]]
    first = tf.constant(np.arange(dimensions) * cells, tf.int32)

    def log_prior(u):
        inside = tf.clip_by_value(u, TABLE[0], TABLE[-1])
        cell = tf.clip_by_value(tf.cast((inside - TABLE[0]) / step, tf.int32), 0, cells - 1)
        a, b, c, d = tf.unstack(tf.gather(coefficients, cell + first), axis=-1)
        t = inside - (TABLE[0] + step * tf.cast(cell, tf.float32))
        beyond = tf.minimum(u - inside, 0.0) * ends[0] + tf.maximum(u - inside, 0.0) * ends[1]
        return tf.reduce_sum(((a * t + b) * t + c) * t + d + beyond, axis=-1)

    return log_prior


def _straight(logs: np.ndarray) -> np.ndarray:
    """Values with straight lines, that go on as the last finite cells do, in place of minus infinity at the ends."""
    finite = np.flatnonzero(np.isfinite(logs))
    first, last = finite[0], finite[-1]
    step = TABLE[1] - TABLE[0]
    logs = logs.copy()
    logs[:first] = logs[first] + (logs[first + 1] - logs[first]) / step * (TABLE[:first] - TABLE[first])
    logs[last + 1 :] = logs[last] + (logs[last] - logs[last - 1]) / step * (TABLE[last + 1 :] - TABLE[last])
    return logs


def _by_differences(prior: Any, maps: Any) -> Callable[[Any], Any]:
    """Call the prior's own density, and take difference quotients of it."""
    import tensorflow as tf

    def value(u):
        theta = maps.from_base(u)
        logs = tf.numpy_function(lambda rows: np.asarray(prior.log_density(rows), np.float64), [theta], tf.float64)
        return tf.reshape(logs, (-1,)) - tf.reduce_sum(maps.to_base(theta)[1], axis=-1)

    @tf.custom_gradient
    def log_prior(u):
        at = tf.cast(u, tf.float64)
        aside = [tf.constant(row) for row in DIFFERENCE * np.eye(u.shape[-1])]
        logs = tf.reshape(
            value(tf.concat([at, *(at + s for s in aside), *(at - s for s in aside)], axis=0)), (-1, tf.shape(u)[0])
        )
        more, less = tf.split(logs[1:], 2)
        slope = tf.transpose(tf.cast((more - less) / (2 * DIFFERENCE), tf.float32))
        return tf.cast(logs[0], tf.float32), lambda upstream: upstream[:, None] * slope

    return log_prior
