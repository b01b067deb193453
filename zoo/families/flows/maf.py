"""Masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057)."""

from __future__ import annotations

from zoo.families.flows.affine import Affine
from zoo.families.flows.autoregressive import Autoregressive
from zoo.families.flows.bijector import Bijector, order
from zoo.families.flows.flow import Flow
from zoo.model.registry import register_family


@register_family("maf")
class MAF(Flow):
    """Affine autoregressive bijectors: a density in one pass of the networks, a sample in one for each variable."""

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        return Autoregressive(order(self.dimensions, index), context, hidden, activation, Affine(), name=f"transform_{index}")
