"""RealNVP (Dinh et al. 2017, arXiv:1605.08803)."""

from __future__ import annotations

from zoo.families.flows.affine import Affine
from zoo.families.flows.bijector import Bijector, order
from zoo.families.flows.coupling import Coupling
from zoo.families.flows.flow import Flow
from zoo.model.registry import register_family


@register_family("realnvp")
class RealNVP(Flow):
    """Affine couplings: one pass of the networks either way."""

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        return Coupling(order(self.dimensions, index), context, hidden, activation, Affine(), name=f"transform_{index}")
