"""The linear part of a posterior: what a regression on the context says, before any network."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.families.flows.bijector import Bijector

PENALTIES = np.logspace(-4, 4, 33)
"""Penalties of the regression, of which each variable gets the one that predicts rows left out best."""
MEASURED = 20_000
"""Training rows, at most, that a flow gives the regression to be measured on."""
LEAST_SPREAD = 1e-2
"""Least standard deviation that is left of a direction, in those of the variables: single precision must tell draws apart."""


class Linear(Bijector):
    """Take off what a linear regression on the context predicts, and make what is left white.

    The regression and the covariance of its residuals are measured on training rows, so that training starts from a normal
    posterior whose mean is linear in the context, and a network has only to learn how the true one is another. Its
    coefficients are trained on; the whitening stays.

    Parameters
    ----------
    dimensions : int
        Number D of variables.
    context : int
        Number of features of the context.
    """

    def __init__(self, dimensions: int, context: int, **kwargs) -> None:
        super().__init__(**kwargs)
        self.slope = self.add_weight(name="slope", shape=(context, dimensions), initializer="zeros")
        self.shift = self.add_weight(name="shift", shape=(dimensions,), initializer="zeros")
        square = {"shape": (dimensions, dimensions), "initializer": "identity", "trainable": False}
        self.whitening = self.add_weight(name="whitening", **square)
        self.coloring = self.add_weight(name="coloring", **square)
        self.log_det = self.add_weight(name="log_det", shape=(), initializer="zeros", trainable=False)
        self.built = True

    def adapt(self, u: np.ndarray, c: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure regression and residuals of rows u (n, D) on features c (n, C), by the absolute values of event weights."""
        from sklearn.linear_model import RidgeCV

        u, c = np.asarray(u, np.float64), np.asarray(c, np.float64)
        weight = None if weight is None else np.abs(weight)
        found = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(c, u, sample_weight=weight)
        residual = u - found.predict(c).reshape(u.shape)
        covariance = np.atleast_2d(np.cov(residual, rowvar=False, aweights=weight))
        values, vectors = np.linalg.eigh(covariance)
        spread = np.sqrt(np.maximum(values, LEAST_SPREAD**2))
        self.slope.assign(np.atleast_2d(found.coef_).T)
        self.shift.assign(np.atleast_1d(found.intercept_))
        self.whitening.assign(vectors / spread @ vectors.T)
        self.coloring.assign(vectors * spread @ vectors.T)
        self.log_det.assign(-np.log(spread).sum())

    def to_base(self, x, c=None):
        u = ops.matmul(x - self._predicted(c), self.whitening)
        return u, self.log_det + ops.zeros_like(u[:, 0])

    def from_base(self, u, c=None):
        return ops.matmul(u, self.coloring) + self._predicted(c)

    def _predicted(self, c):
        return ops.matmul(c, self.slope) + self.shift
