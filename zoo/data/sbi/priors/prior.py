"""Priors of independent parameters, as plain data: what a recipe holds and a flow's scales are read from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ConfigDict, RootModel, ValidationError

from zoo.data.sbi.priors.frozen import law_of
from zoo.data.sbi.priors.laws import LAWS, AnyLaw
from zoo.data.sbi.priors.parameters import expect_names, expect_unit
from zoo.data.sbi.priors.scale_entries import Ends, Entry
from zoo.errors import InputError, UnknownNameError, in_words


class _Parameters(RootModel[dict[str, AnyLaw]]):
    model_config = ConfigDict(frozen=True)


class Prior:
    """Independent parameters, each with its law.

    Parameters
    ----------
    parameters : mapping of str to object
        Law of each parameter by its name: one of ``zoo.data.sbi.priors.laws``, the same as plain data,
        ``{"lifetime": {"distribution": "uniform", "low": 0.5, "high": 5, "unit": "us"}}``, or a frozen distribution of
        ``scipy.stats``.
    units : mapping of str to str, optional
        Units of parameters by name, for laws that say none.

    Raises
    ------
    InputError
        There is no parameter at all, an unknown law, or one with values that it cannot have; a name is no word, a unit is none.
    UnknownNameError
        A unit is given for no parameter.

    Examples
    --------
    >>> from zoo.data.sbi.priors.laws import LogUniform, Uniform
    >>> prior = Prior({"amplitude": LogUniform(low=10, high=1000), "lifetime": Uniform(low=0.5, high=5, unit="us")})
    >>> prior.support
    [[10.0, 1000.0], [0.5, 5.0]]
    """

    def __init__(self, parameters: Mapping[str, Any], units: Mapping[str, str] | None = None) -> None:
        expect_names(parameters)
        units = {name: expect_unit(name, unit) for name, unit in (units or {}).items()}
        if unknown := sorted(units.keys() - parameters.keys()):
            raise UnknownNameError("parameter", unknown[0], parameters)
        try:
            laws = {name: law_of(law, name, units.get(name)) for name, law in parameters.items()}
            self.laws = _Parameters.model_validate(laws).root
        except ValidationError as error:
            wrong = dict.fromkeys(_wrong(one, laws) for one in error.errors())
            raise InputError(f"prior: {'; '.join(wrong)}") from error
        for name, law in self.laws.items():
            expect_unit(name, law.unit)
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
    def ends(self) -> list[Ends]:
        """Ends of the support of each parameter, infinite where it has none."""
        return [law.ends for law in self.laws.values()]

    @property
    def support(self) -> list[list[float] | None]:
        """Limits [low, high] of each parameter that has both, else None: the ``support`` of a flow."""
        return [list(ends) if np.isfinite(ends).all() else None for ends in self.ends]

    @property
    def scales(self) -> list[Entry]:
        """How a flow maps each parameter to unbounded numbers: its ``scales``."""
        return [law.scale for law in self.laws.values()]

    def plain(self) -> dict[str, dict[str, Any]]:
        """The prior as plain data, from which ``Prior`` makes it again."""
        return {name: law.model_dump(exclude_none=True) for name, law in self.laws.items()}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draws (n, D), whose first rows do not depend on n."""
        quantiles = rng.random((n, len(self.laws)))
        laws = zip(self.laws.values(), quantiles.T, strict=True)
        return np.stack([np.clip(law.law.ppf(column), *law.ends) for law, column in laws], axis=1)  # rounding passes an end

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D), -inf outside the support."""
        theta = rows_of(theta, self.names)
        logs = [law.law.logpdf(column) for law, column in zip(self.laws.values(), theta.T, strict=True)]
        return np.sum(logs, axis=0)

    def standard_deviation(self) -> np.ndarray:
        """Standard deviation (D,) of each parameter: the error of who knows the prior alone; infinite where a law has none."""
        return np.array([math.sqrt(law.law.var()) for law in self.laws.values()])


def _wrong(error: Any, laws: Mapping[str, Any]) -> str:
    """What is wrong with a law, as pydantic found it, in the words of who wrote the law."""
    name, *place = map(str, error["loc"])
    kind, given = error["type"], error["input"]
    if kind == "union_tag_not_found":
        return f"{name}: expected 'distribution', one of {', '.join(LAWS)}, given {dict(given)} without it"
    if kind == "union_tag_invalid":
        return f"{name}: {UnknownNameError('distribution', str(given['distribution']), LAWS)}"
    if kind in ("missing", "extra_forbidden"):
        keys = {key: field for key, field in LAWS[place[0]].model_fields.items() if key != "distribution"}
        needed = [key for key, field in keys.items() if field.is_required()]
        other = [key for key in keys if key not in needed]
        found = [key for key in laws[name] if key != "distribution"]
        takes = f"{', '.join(needed)} of a {place[0]} law, and if need be {', '.join(other)}"
        return f"{name}: expected {takes}, given {', '.join(found) or 'none'}"
    said = in_words(error["msg"])
    return f"{name}: {place[1]}: {said}, given {given!r}" if len(place) > 1 else f"{name}: {said}"


def rows_of(theta: np.ndarray, names: list[str]) -> np.ndarray:
    """Rows of parameters as float64.

    Parameters
    ----------
    theta : ndarray
        Parameters (n, D).
    names : list of str
        Names of the D parameters.

    Returns
    -------
    ndarray
        The same numbers, (n, D).

    Raises
    ------
    InputError
        They have another shape.
    """
    theta = np.asarray(theta, dtype=np.float64)
    if theta.ndim != 2 or theta.shape[1] != len(names):
        raise InputError(f"prior of {', '.join(names)}: expected (n, {len(names)}) values, given {theta.shape}")
    return theta
