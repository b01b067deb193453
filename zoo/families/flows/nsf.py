"""Neural spline flow (Durkan et al. 2019, arXiv:1906.04032)."""

from __future__ import annotations

from zoo.families.flows.autoregressive import Autoregressive
from zoo.families.flows.bijector import Bijector, order
from zoo.families.flows.coupling import Coupling
from zoo.families.flows.flow import Flow
from zoo.families.flows.spline import AffineSpline
from zoo.model.registry import register_family


@register_family("nsf")
class NSF(Flow):
    """Rational-quadratic splines in couplings, or autoregressive; an affine map of the same conditioner before each.

    Parameters
    ----------
    bins : int
        Number of bins of each spline.
    autoregressive : bool
        Whether splines are autoregressive: more expressive, and slower to sample.
    """

    def __init__(self, dimensions: int, bins: int = 8, autoregressive: bool = False, **kwargs) -> None:
        self.bins, self.autoregressive = bins, autoregressive
        super().__init__(dimensions=dimensions, **kwargs)
        self.config |= {"bins": bins, "autoregressive": autoregressive}

    def transform(self, index: int, context: int, hidden: list[int], activation: str) -> Bijector:
        kind = Autoregressive if self.autoregressive else Coupling
        elementwise = AffineSpline(self.bins)
        return kind(order(self.dimensions, index), context, hidden, activation, elementwise, name=f"transform_{index}")
