"""The affine map of RealNVP (Dinh et al. 2017, arXiv:1605.08803) and MAF (Papamakarios et al. 2017, arXiv:1705.07057)."""

from __future__ import annotations

from keras import ops

from zoo.families.flows.bijector import Elementwise

LIMIT = 5.0
"""Bound of a log-scale: beyond e^-5..e^5 in standardized units a conditioner has gone astray."""


class Affine(Elementwise):
    """The map u = (x - shift) exp(-log_scale), with parameters shift and log_scale, the latter softly bounded."""

    parameters = 2

    def to_base(self, x, parameters):
        log_slope = -_log_scale(parameters)
        return (x - parameters[:1]) * ops.exp(log_slope), log_slope

    def from_base(self, u, parameters):
        return u * ops.exp(_log_scale(parameters)) + parameters[:1]


def _log_scale(parameters):
    return LIMIT * ops.tanh(parameters[1:] / LIMIT)
