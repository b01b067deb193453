"""Coupling bijectors (Dinh et al. 2017, arXiv:1605.08803): one half of the variables moves as the other half says."""

from __future__ import annotations

from keras import ops

from zoo.families.flows.bijector import as_columns, as_row, permute
from zoo.families.flows.conditioner import Conditioned


class Coupling(Conditioned):
    """The first half of the variables, at least two in all, stays; the second moves."""

    autoregressive = False

    def shares(self, variables: int) -> tuple[int, int]:
        if variables < 2:
            raise ValueError("couplings need at least two variables: for one, take an autoregressive flow")
        return variables // 2, variables - variables // 2

    def to_base(self, x, c=None):
        x = permute(x, self.order)
        kept, moved = x[:, : self.seen], x[:, self.seen :]
        u, log_slope = self.elementwise.to_base(as_row(moved), self.conditioner(kept, c))
        u, log_slope = (as_columns(row, self.moved) for row in (u, log_slope))
        return ops.concatenate([kept, u], axis=-1), ops.sum(log_slope, axis=-1)

    def from_base(self, u, c=None):
        kept, moved = u[:, : self.seen], u[:, self.seen :]
        x = self.elementwise.from_base(as_row(moved), self.conditioner(kept, c))
        return permute(ops.concatenate([kept, as_columns(x, self.moved)], axis=-1), self.inverse_order)
