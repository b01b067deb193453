"""What is known of the parameters of a posterior: names, units, and where their density ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import InputError
from zoo.interpret.elements import element_names, element_units

Limits = tuple[float | None, float | None]
"""Ends of a density, None where it has none on that side."""


@dataclass(frozen=True)
class ParameterSet:
    """The parameters of a posterior, in their order.

    Attributes
    ----------
    names : list of str
        Their names.
    units : mapping of str to str
        Units by name, where they are known.
    limits : mapping of str to tuple
        Where the density of a parameter ends, by name, where that is known.
    """

    names: list[str]
    units: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Limits] = field(default_factory=dict)


def parameters_of(given: Any) -> ParameterSet:
    """What is known of the parameters of a posterior.

    Parameters
    ----------
    given : Flow or sequence of str
        The flow, or the names of the parameters.

    Returns
    -------
    ParameterSet
        Of a flow, with units and limits.

    Raises
    ------
    InputError
        The flow has no spec and so no names, or a name stands twice.
    """
    if isinstance(given, Sequence) and not isinstance(given, str):
        names = [str(name) for name in given]
        if len(set(names)) < len(names):
            raise InputError(f"parameters: expected names that differ, given {', '.join(names)}")
        return ParameterSet(names)
    spec = getattr(given, "spec", None)
    if spec is None or "sample" not in spec.endpoints:
        raise InputError(
            f"parameters: expected names, or a flow that was loaded or trained, which knows them, given {type(given).__name__}"
        )
    (theta,) = spec.endpoint("sample").outputs
    shape = theta.fixed_shape
    names = element_names(theta.name, theta.axes, shape)
    return ParameterSet(
        names=names,
        units=dict(zip(names, element_units(theta, shape), strict=True)),
        limits=dict(zip(names, _limits(spec.config, len(names)), strict=True)),
    )


def _limits(config: Mapping[str, Any], dimensions: int) -> list[Limits]:
    """Ends of each variable of a flow, of its scales or of its support."""
    if config.get("scales"):
        return [(scale.get("low"), scale.get("high")) for scale in config["scales"]]
    support = config.get("support") or [None] * dimensions
    return [(None, None) if bounds is None else (bounds[0], bounds[1]) for bounds in support]
