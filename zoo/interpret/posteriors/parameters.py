"""What is known of the parameters of a posterior: names, units, and where their density ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError
from zoo.interpret.elements import element_names, element_units
from zoo.model.axes import Axis
from zoo.model.handed_in.tables import columns_of_row, is_row
from zoo.model.handed_in.tensors import rows_of
from zoo.model.spec import Tensor

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

    def point(self, given: Any, what: str) -> np.ndarray:
        """One value of each parameter.

        Parameters
        ----------
        given : array_like
            The values in their order, or by name: a mapping, or one row of a table, in whatever order and with units where it
            has some.
        what : str
            What they are, for messages.

        Returns
        -------
        ndarray of shape (D,)
            The values in the parameters' units.

        Raises
        ------
        InputError, UnknownNameError
            A name is missing or none of a parameter, a value is missing or not finite, or there are more or fewer.
        """
        units = [self.units.get(name, "1") for name in self.names]
        axis = Axis(name="parameter", size=len(self.names), labels=self.names, units=units)
        tensor = Tensor(name=what, axes=[axis], dtype="float64", unit="", description="one value of each parameter")
        names = given if isinstance(given, Mapping) else columns_of_row(given, what) if is_row(given) else ()
        for name in names:
            if name not in self.names:
                raise UnknownNameError(f"parameter ({what})", str(name), self.names)
        rows, _ = rows_of(given, tensor)
        if rows.shape != (1, len(self.names)) or rows.dtype.kind not in "biuf" or not np.isfinite(rows).all():
            raise InputError(
                f"{what}: expected one finite number for each of {', '.join(self.names)}, given {rows.dtype} of shape"
                f" {rows.shape[1:] if len(rows) == 1 else rows.shape}"
            )
        point: np.ndarray = rows[0].astype(np.float64)
        return point


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
