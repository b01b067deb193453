"""Coupling bijectors (Dinh et al. 2017, arXiv:1605.08803): one half of the variables moves as the other half says."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.families.flows.bijector import Bijector, Elementwise, as_columns, as_row, permute
from zoo.families.flows.conditioner import Conditioner


class Coupling(Bijector):
    """Variables in ``order``; the first half stays, the second goes through ``elementwise``.

    Parameters
    ----------
    order : permutation of the variables, at least two
    context : features of the context
    hidden, activation : of the conditioner
    elementwise : the map of each variable
    """

    def __init__(
        self, order: np.ndarray, context: int, hidden: list[int], activation: str, elementwise: Elementwise, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        if len(order) < 2:
            raise ValueError("couplings need at least two variables: for one, take an autoregressive flow")
        self.order, self.inverse_order = order, np.argsort(order)
        self.elementwise = elementwise
        self.kept = len(order) // 2
        self.conditioner = Conditioner(
            self.kept, context, hidden, len(order) - self.kept, elementwise.parameters, activation, name="conditioner"
        )
        self.built = True

    def to_base(self, x, c=None):
        x = permute(x, self.order)
        kept, moved = x[:, : self.kept], x[:, self.kept :]
        u, log_slope = self.elementwise.to_base(as_row(moved), self.conditioner(kept, c))
        u, log_slope = (as_columns(row, len(self.order) - self.kept) for row in (u, log_slope))
        return ops.concatenate([kept, u], axis=-1), ops.sum(log_slope, axis=-1)

    def from_base(self, u, c=None):
        kept, moved = u[:, : self.kept], u[:, self.kept :]
        x = self.elementwise.from_base(as_row(moved), self.conditioner(kept, c))
        return permute(ops.concatenate([kept, as_columns(x, len(self.order) - self.kept)], axis=-1), self.inverse_order)
