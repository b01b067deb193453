"""Autoregressive bijectors (Papamakarios et al. 2017, arXiv:1705.07057): each variable moves as those before it say."""

from __future__ import annotations

from keras import ops

from zoo.families.flows.bijector import as_columns, as_row, permute
from zoo.families.flows.conditioner import Conditioned

UNROLLED = 10
"""Variables up to which the inverse is a flat graph; a loop above (21 variables: 17 s to export flat, 5 s as a loop)."""


class Autoregressive(Conditioned):
    """Each variable moves with parameters that depend on those before it.

    One pass of the network towards the base, one for each variable back.
    """

    autoregressive = True

    def shares(self, variables: int) -> tuple[int, int]:
        return variables, variables

    def to_base(self, x, c=None):
        x = permute(x, self.order)
        u, log_slope = self.elementwise.to_base(as_row(x), self.conditioner(x, c))
        if len(self.order) == 1:  # tf2onnx mistakes the shape of a transposed row where nothing else follows
            return ops.reshape(u, (-1, 1)), ops.reshape(log_slope, (-1,))
        variables = len(self.order)
        return as_columns(u, variables), ops.sum(as_columns(log_slope, variables), axis=-1)

    def from_base(self, u, c=None):
        from_context = self.conditioner.from_context(c)
        x = self._unrolled(u, from_context) if len(self.order) <= UNROLLED else self._looped(u, from_context)
        return permute(x, self.inverse_order)

    def _unrolled(self, u, from_context):
        """Invert variable by variable: only its own parameters are computed."""
        variables = len(self.order)
        known = ops.zeros_like(u)
        for i in range(variables):
            parameters = self.conditioner.head(self.conditioner.features(known, from_context), variable=i)
            x = as_columns(self.elementwise.from_base(as_row(u[:, i : i + 1]), parameters), 1)
            known = ops.concatenate([known[:, :i], x, known[:, i + 1 :]], axis=-1)
        return known

    def _looped(self, u, from_context):
        """Invert all variables at once: after pass i the first i are right."""
        variables = len(self.order)

        def again(_, x):
            parameters = self.conditioner.head(self.conditioner.features(x, from_context))
            return as_columns(self.elementwise.from_base(as_row(u), parameters), variables)

        return ops.fori_loop(0, variables, again, ops.zeros_like(u))
