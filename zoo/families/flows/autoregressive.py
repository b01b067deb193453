"""Autoregressive bijectors (Papamakarios et al. 2017, arXiv:1705.07057): each variable moves as those before it say."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.families.flows.bijector import Bijector, Elementwise, as_columns, as_row, permute
from zoo.families.flows.conditioner import Conditioner

UNROLLED = 10
"""Variables up to which the inverse is a flat graph; a loop above (21 variables: 17 s to export flat, 5 s as a loop)."""


class Autoregressive(Bijector):
    """Variables in ``order``; each goes through ``elementwise`` with parameters that depend on those before it.

    One pass of the network towards the base, one for each variable back.

    Parameters
    ----------
    order : permutation of the variables
    context : features of the context
    hidden, activation : of the conditioner
    elementwise : the map of each variable
    """

    def __init__(
        self, order: np.ndarray, context: int, hidden: list[int], activation: str, elementwise: Elementwise, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.order, self.inverse_order = order, np.argsort(order)
        self.elementwise = elementwise
        self.conditioner = Conditioner(
            len(order), context, hidden, len(order), elementwise.parameters, activation, autoregressive=True, name="conditioner"
        )
        self.built = True

    def to_base(self, x, c=None):
        x = permute(x, self.order)
        u, log_slope = self.elementwise.to_base(as_row(x), self.conditioner(x, c))
        variables = len(self.order)
        return as_columns(u, variables), ops.sum(as_columns(log_slope, variables), axis=-1)

    def from_base(self, u, c=None):
        from_context = self.conditioner.from_context(c)
        x = self._unrolled(u, from_context) if len(self.order) <= UNROLLED else self._looped(u, from_context)
        return permute(x, self.inverse_order)

    def _unrolled(self, u, from_context):
        """Variable by variable: only its own parameters are computed."""
        variables = len(self.order)
        known = ops.zeros_like(u)
        for i in range(variables):
            parameters = self.conditioner.head(self.conditioner.features(known, from_context), variable=i)
            x = as_columns(self.elementwise.from_base(as_row(u[:, i : i + 1]), parameters), 1)
            known = ops.concatenate([known[:, :i], x, known[:, i + 1 :]], axis=-1)
        return known

    def _looped(self, u, from_context):
        """All variables at once: after pass i the first i are right."""
        variables = len(self.order)

        def again(_, x):
            parameters = self.conditioner.head(self.conditioner.features(x, from_context))
            return as_columns(self.elementwise.from_base(as_row(u), parameters), variables)

        return ops.fori_loop(0, variables, again, ops.zeros_like(u))
