"""Priors of independent parameters, as plain data: what a recipe holds and a support is read from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from zoo.errors import InputError

if TYPE_CHECKING:
    from scipy.stats._distn_infrastructure import rv_frozen


class _Law(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    unit: str = "1"
    """Unit of the parameter, "1" for dimensionless."""


class _Bounded(_Law):
    low: float
    high: float

    @model_validator(mode="after")
    def _in_order(self) -> _Bounded:
        if not self.low < self.high:
            raise ValueError(f"expected low < high, given low {self.low:g} and high {self.high:g}")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        return self.low, self.high


class Uniform(_Bounded):
    """Flat between ``low`` and ``high``."""

    distribution: Literal["uniform"] = "uniform"

    @property
    def law(self) -> rv_frozen:
        """The distribution, as SciPy has it."""
        from scipy.stats import uniform

        return uniform(self.low, self.high - self.low)

    @property
    def scale(self) -> dict[str, Any]:
        """How a flow maps the parameter to unbounded numbers, an entry of its ``scales``."""
        return {"map": "logit", "low": self.low, "high": self.high}


class LogUniform(_Bounded):
    """Flat in the logarithm between ``low`` and ``high``, both positive."""

    distribution: Literal["loguniform"] = "loguniform"
    low: Annotated[float, Field(gt=0)]

    @property
    def law(self) -> rv_frozen:
        """The distribution, as SciPy has it."""
        from scipy.stats import loguniform

        return loguniform(self.low, self.high)

    @property
    def scale(self) -> dict[str, Any]:
        """How a flow maps the parameter to unbounded numbers, an entry of its ``scales``."""
        return {"map": "log-logit", "low": self.low, "high": self.high}


class Normal(_Law):
    """Normal with ``mean`` and standard deviation ``sd``; cut to [low, high] where both are given."""

    distribution: Literal["normal"] = "normal"
    mean: float
    sd: Annotated[float, Field(gt=0)]
    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Normal:
        if (self.low is None) != (self.high is None):
            raise ValueError("expected both low and high, or neither")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"expected low < high, given low {self.low:g} and high {self.high:g}")
        return self

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Where the density is cut, None where it is not."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def law(self) -> rv_frozen:
        """The distribution, as SciPy has it."""
        from scipy.stats import norm, truncnorm

        if self.bounds is None:
            return norm(self.mean, self.sd)
        low, high = ((bound - self.mean) / self.sd for bound in self.bounds)
        return truncnorm(low, high, loc=self.mean, scale=self.sd)

    @property
    def scale(self) -> dict[str, Any]:
        """How a flow maps the parameter to unbounded numbers, an entry of its ``scales``."""
        if self.bounds is None:
            return {"map": "linear", "origin": self.mean, "width": self.sd}
        return {"map": "logit", "low": self.bounds[0], "high": self.bounds[1]}


class LogNormal(_Law):
    """Normal in the natural logarithm, with standard deviation ``sigma`` there; ``median`` is in the parameter's unit."""

    distribution: Literal["lognormal"] = "lognormal"
    median: Annotated[float, Field(gt=0)]
    sigma: Annotated[float, Field(gt=0)]
    bounds: ClassVar[None] = None

    @property
    def law(self) -> rv_frozen:
        """The distribution, as SciPy has it."""
        from scipy.stats import lognorm

        return lognorm(self.sigma, scale=self.median)

    @property
    def scale(self) -> dict[str, Any]:
        """How a flow maps the parameter to unbounded numbers, an entry of its ``scales``."""
        return {"map": "log", "low": 0.0, "width": self.median}


class _Parameters(RootModel[dict[str, Annotated[Uniform | LogUniform | Normal | LogNormal, Field(discriminator="distribution")]]]):
    model_config = ConfigDict(frozen=True)


class Prior:
    """Independent parameters, each with its law.

    Parameters
    ----------
    parameters : mapping of str to object
        Law of each parameter by its name, or the same as plain data: ``{"lifetime": {"distribution": "uniform", "low": 0.5,
        "high": 5, "unit": "us"}}``.

    Raises
    ------
    InputError
        There is no parameter at all, an unknown law, or one with values that it cannot have.

    Examples
    --------
    >>> prior = Prior({"amplitude": LogUniform(low=10, high=1000), "lifetime": Uniform(low=0.5, high=5, unit="us")})
    >>> prior.support
    [[10.0, 1000.0], [0.5, 5.0]]
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        try:
            self.laws = _Parameters.model_validate(dict(parameters)).root
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InputError(f"prior: {problems}") from error
        if not self.laws:
            raise InputError("prior: expected at least one parameter, given none")

    @property
    def names(self) -> list[str]:
        """Names of the parameters in their order."""
        return list(self.laws)

    @property
    def units(self) -> dict[str, str]:
        """Unit of each parameter."""
        return {name: law.unit for name, law in self.laws.items()}

    @property
    def support(self) -> list[list[float] | None]:
        """Limits [low, high] of each parameter, None where it is unbounded: the ``support`` of a flow."""
        return [None if law.bounds is None else list(law.bounds) for law in self.laws.values()]

    @property
    def scales(self) -> list[dict[str, Any]]:
        """How a flow maps each parameter to unbounded numbers: its ``scales``."""
        return [law.scale for law in self.laws.values()]

    def plain(self) -> dict[str, dict[str, Any]]:
        """The prior as plain data, from which ``Prior`` makes it again."""
        return {name: law.model_dump(exclude_none=True) for name, law in self.laws.items()}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D), whose first rows do not depend on n."""
        quantiles = rng.random((n, len(self.laws)))
        return np.stack([law.law.ppf(column) for law, column in zip(self.laws.values(), quantiles.T, strict=True)], axis=1)

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), -inf outside the support."""
        theta = np.asarray(theta, dtype=np.float64)
        if theta.ndim != 2 or theta.shape[1] != len(self.laws):
            raise InputError(f"prior of {', '.join(self.laws)}: expected (n, {len(self.laws)}) values, given {theta.shape}")
        logs = [law.law.logpdf(column) for law, column in zip(self.laws.values(), theta.T, strict=True)]
        return np.sum(logs, axis=0)

    def standard_deviation(self) -> np.ndarray:
        """Standard deviation (D,) of each parameter: the error of who knows the prior alone."""
        return np.array([math.sqrt(law.law.var()) for law in self.laws.values()])
