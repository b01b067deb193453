"""Monotone rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032, section 3.1 and appendix A)."""

from __future__ import annotations

import math

import numpy as np
from keras import ops

from zoo.families.flows.affine import Affine
from zoo.families.flows.bijector import Elementwise

BOUND = 4.0
"""The spline is the identity outside [-BOUND, BOUND], in standard deviations of the base."""
MIN_BIN = 1e-3
"""Least width and height of a bin, as a fraction of the interval."""
MIN_SLOPE = 1e-3
RAW_LIMIT = 20.0
"""Bound of the raw widths and heights: keeps their exponentials finite without a softmax's maximum."""
RAW_SLOPE_ONE = math.log(math.expm1(1.0 - MIN_SLOPE))
"""Solution of softplus(RAW_SLOPE_ONE) + MIN_SLOPE = 1: raw parameters of zero give the identity."""


class Spline(Elementwise):
    """A spline of ``bins`` bins; parameters: raw widths and heights of the bins, raw slopes at the inner knots.

    All sums over bins are products with small constant matrices, and the bin is chosen by comparison, not by a search:
    ONNX before opset 18 has no other way, and it is the fastest in ONNX Runtime and TensorFlow.
    """

    def __init__(self, bins: int) -> None:
        self.bins = bins
        self.parameters = 3 * bins - 1
        # Adds MIN_BIN of the interval to each bin, before normalization.
        self._widen = (np.eye(bins) + MIN_BIN / (1 - bins * MIN_BIN)).astype(np.float32)
        self._ends = (np.tril(np.ones((bins, bins))) @ self._widen).astype(np.float32)

    def to_base(self, x, parameters):
        inside = ops.clip(x, -BOUND, BOUND)
        widths, heights = self._sizes(parameters)
        ends = ops.matmul(self._ends, widths)
        x0, width, y0, height, slope0, slope1 = self._bin(inside, ends, widths, heights, parameters)
        at, mean = (inside - x0) / width, height / width
        left, twice = 1 - at, 2 * mean
        squared, between = at * at, at * left
        denominator = mean + (slope0 + slope1 - twice) * between
        y = y0 + height * (mean * squared + slope0 * between) / denominator
        slope = slope1 * squared + twice * between + slope0 * left * left
        ratio = mean / denominator
        # A clipped x sits at an end, where the slope is 1: only its distance from there is missing.
        return y + (x - inside), ops.log(slope * ratio * ratio)

    def from_base(self, u, parameters):
        inside = ops.clip(u, -BOUND, BOUND)
        widths, heights = self._sizes(parameters)
        ends = ops.matmul(self._ends, heights)
        y0, height, x0, width, slope0, slope1 = self._bin(inside, ends, heights, widths, parameters)
        mean = height / width
        above = inside - y0
        bend = above * (slope0 + slope1 - 2 * mean)
        a, b, c = height * (mean - slope0) + bend, height * slope0 - bend, -mean * above
        at = 2 * c / (-b - ops.sqrt(ops.maximum(b * b - 4 * a * c, 0.0)))
        return x0 + width * at + (u - inside)

    def _sizes(self, parameters):
        """Widths and heights of the bins (bins, n), not yet normalized."""
        raw = ops.exp(ops.clip(parameters[: 2 * self.bins], -RAW_LIMIT, RAW_LIMIT))
        return raw[: self.bins], raw[self.bins :]

    def _bin(self, at, ends, along, across, parameters):
        """Start and size along the axis of ``at``, start and size across it, and the slopes at both ends, of the bin it is in.

        ``ends`` are those of the bins along the axis, the last being their total; everything raw is (bins, n) or (1, n).
        """
        along, across = ops.matmul(self._widen, along), ops.matmul(self._widen, across)
        total = ends[-1:]
        passed = ops.cast((at + BOUND) / (2 * BOUND) * total >= ends[:-1], at.dtype)
        reached = ops.pad(passed, [[1, 0], [0, 0]], constant_values=1.0)
        passed = ops.pad(passed, [[0, 1], [0, 0]])
        chosen = reached - passed
        unit_along, unit_across = 2 * BOUND / total, 2 * BOUND / _sum(across)
        slopes = parameters[2 * self.bins :]
        return (
            _sum(passed * along) * unit_along - BOUND,
            _sum(chosen * along) * unit_along,
            _sum(passed * across) * unit_across - BOUND,
            _sum(chosen * across) * unit_across,
            _slope(_sum(chosen[1:] * slopes)),
            _slope(_sum(chosen[:-1] * slopes)),
        )


class AffineSpline(Elementwise):
    """An affine map, which puts a narrow conditional density under the spline's fixed interval, then a spline."""

    def __init__(self, bins: int) -> None:
        self.affine, self.spline = Affine(), Spline(bins)
        self.parameters = self.affine.parameters + self.spline.parameters

    def to_base(self, x, parameters):
        x, log_scale = self.affine.to_base(x, parameters[: self.affine.parameters])
        u, log_slope = self.spline.to_base(x, parameters[self.affine.parameters :])
        return u, log_scale + log_slope

    def from_base(self, u, parameters):
        x = self.spline.from_base(u, parameters[self.affine.parameters :])
        return self.affine.from_base(x, parameters[: self.affine.parameters])


def _sum(rows):
    """Sum (1, n) of the rows of (k, n)."""
    return ops.matmul(np.ones((1, rows.shape[0]), np.float32), rows)


def _slope(raw):
    """Compute softplus, which ONNX Runtime does five times slower than its parts."""
    raw = raw + RAW_SLOPE_ONE
    return ops.maximum(raw, 0.0) + ops.log(1.0 + ops.exp(-ops.abs(raw))) + MIN_SLOPE
