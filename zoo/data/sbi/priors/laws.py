"""Laws of one parameter, as plain data: what a recipe holds, and what a flow maps the parameter by."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.data.sbi.priors.lognormal_cut import LogNormalCut
from zoo.data.sbi.priors.scale_entries import Ends, Entry, entry_of_law
from zoo.errors import near_names

if TYPE_CHECKING:
    from scipy.stats import rv_continuous

TIGHT = 100
"""Standard deviations between the cuts of a normal up to which the probit of the interval resolves the law."""


class Law(BaseModel):
    """What all laws have: plain numbers and a unit."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    unit: str = "1"
    """Unit of the parameter, "1" for dimensionless."""


class _Interval(Law):
    low: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> _Interval:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, given low {self.low:g} and high {self.high:g}")
        return self

    @property
    def ends(self) -> Ends:
        """The interval."""
        return self.low, self.high


class _Cut(Law):
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> _Cut:
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"expected low < high, given low {self.low:g} and high {self.high:g}")
        return self

    @property
    def _cut(self) -> Ends:
        return -math.inf if self.low is None else self.low, math.inf if self.high is None else self.high


class Uniform(_Interval):
    """Flat between ``low`` and ``high``."""

    distribution: Literal["uniform"] = "uniform"

    @property
    def law(self) -> Any:
        """The distribution, as SciPy has it."""
        from scipy.stats import uniform

        return uniform(self.low, self.high - self.low)

    @property
    def scale(self) -> Entry:
        """How a flow maps the parameter."""
        return {"map": "probit", "low": self.low, "high": self.high}


class LogUniform(_Interval):
    """Flat in the logarithm between ``low`` and ``high``, both positive."""

    distribution: Literal["loguniform"] = "loguniform"
    low: Annotated[float, Field(gt=0)]

    @property
    def law(self) -> Any:
        """The distribution, as SciPy has it."""
        from scipy.stats import loguniform

        return loguniform(self.low, self.high)

    @property
    def scale(self) -> Entry:
        """How a flow maps the parameter."""
        return {"map": "log-probit", "low": self.low, "high": self.high}


class Normal(_Cut):
    """Normal with ``mean`` and standard deviation ``sd``, cut at ``low`` and ``high`` where they are given."""

    distribution: Literal["normal"] = "normal"
    mean: float
    sd: Annotated[float, Field(gt=0)]

    @property
    def ends(self) -> Ends:
        """Where the density is cut, infinite where it is not."""
        return self._cut

    @property
    def law(self) -> Any:
        """The distribution, as SciPy has it."""
        from scipy.stats import norm, truncnorm

        if self.low is None and self.high is None:
            return norm(self.mean, self.sd)
        low, high = ((end - self.mean) / self.sd for end in self.ends)
        return truncnorm(low, high, loc=self.mean, scale=self.sd)

    @property
    def scale(self) -> Entry:
        """How a flow maps the parameter."""
        if self.low is None and self.high is None:
            return {"map": "linear", "origin": self.mean, "width": self.sd}
        if self.low is not None and self.high is not None and self.high - self.low <= TIGHT * self.sd:
            return {"map": "probit", "low": self.low, "high": self.high}
        return entry_of_law(self.law, self.ends)


class LogNormal(_Cut):
    """Normal in the natural logarithm, with standard deviation ``sigma`` there; cut at ``low`` and ``high`` where given.

    ``median`` is in the parameter's unit. A scatter of 0.2 dex is a sigma of 0.2 ln 10 = 0.46.
    """

    distribution: Literal["lognormal"] = "lognormal"
    median: Annotated[float, Field(gt=0)]
    sigma: Annotated[float, Field(gt=0)]
    low: Annotated[float, Field(gt=0)] | None = None
    high: Annotated[float, Field(gt=0)] | None = None

    @property
    def ends(self) -> Ends:
        """Zero or the cut, and infinity or the cut."""
        low, high = self._cut
        return max(low, 0.0), high

    @property
    def law(self) -> Any:
        """The distribution, as SciPy has it; one that is cut has the same methods."""
        from scipy.stats import lognorm

        if self.low is None and self.high is None:
            return lognorm(self.sigma, scale=self.median)
        return LogNormalCut(self.median, self.sigma, *self.ends)

    @property
    def scale(self) -> Entry:
        """How a flow maps the parameter."""
        if self.low is None and self.high is None:
            return {"map": "log", "low": 0.0, "width": self.median}
        if self.low is not None and self.high is not None:
            return {"map": "log-probit", "low": self.low, "high": self.high}
        return entry_of_law(self.law, self.ends)


class Scipy(Law):
    """Any continuous distribution of ``scipy.stats``, by its name there and the arguments that freeze it.

    ``{"distribution": "scipy", "name": "gamma", "args": [2], "kwds": {"scale": 3}}`` is ``scipy.stats.gamma(2, scale=3)``.
    """

    distribution: Literal["scipy"] = "scipy"
    name: str
    args: list[float] = []
    kwds: dict[str, float] = {}

    @model_validator(mode="after")
    def _exists(self) -> Scipy:
        if self.name not in (known := continuous()):
            near = near_names(self.name, known)
            raise ValueError(
                f"scipy.stats has no continuous distribution {self.name!r}" + (f", but {', '.join(near)}" if near else "")
            )
        try:
            start = self.law.support()[0]
        except TypeError as error:
            raise ValueError(f"scipy.stats.{self.name}: {error}") from error
        if np.isnan(start):
            raise ValueError(f"scipy.stats.{self.name} does not take the arguments {self.args} {self.kwds}".rstrip(" {}"))
        return self

    @property
    def ends(self) -> Ends:
        """Ends of the support."""
        low, high = self.law.support()
        return float(low), float(high)

    @property
    def law(self) -> Any:
        """The distribution, as SciPy has it."""
        return continuous()[self.name](*self.args, **self.kwds)

    @property
    def scale(self) -> Entry:
        """How a flow maps the parameter."""
        return entry_of_law(self.law, self.ends)


AnyLaw = Annotated[Uniform | LogUniform | Normal | LogNormal | Scipy, Field(discriminator="distribution")]
LAWS: dict[str, type[Law]] = {
    law.model_fields["distribution"].default: law for law in (Uniform, LogUniform, Normal, LogNormal, Scipy)
}
"""Each law by the name of its distribution."""


def continuous() -> dict[str, rv_continuous]:
    """The continuous distributions of ``scipy.stats`` by name: a name of anything else is none of them."""
    from scipy import stats

    return {name: value for name, value in vars(stats).items() if isinstance(value, stats.rv_continuous)}
