"""The scales that physical variables live on: maps, in double precision, to unbounded numbers of order one.

A width of 4e-7 on an offset of 3.5, or an amplitude anywhere from 1e-48 to 1e-42, is lost in single precision. So these maps
stand at the edge of a flow: float64 outside, float32 inside. Each is plain data in the model's config, such as
``{"map": "log-logit", "low": 1e-18, "high": 1e-8}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.flows.bijector import Bijector
from zoo.families.flows.maps import MAPS, Map, double
from zoo.families.layers import Standardize

STEPS = 1000
"""How many steps of the precision a spread must be wide: of double precision outside, of single precision inside."""


class Maps:
    """One map for each feature of the last axis.

    Parameters
    ----------
    entries : sequence of mapping
        The map of each feature as plain data: its name as ``map``, and its numbers.

    Raises
    ------
    ValueError
        An entry names no map, lacks a number, or has one that it cannot have.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]]) -> None:
        columns: dict[Any, list[int]] = {}
        for place, entry in enumerate(entries):
            kind = _kind(place, entry)
            columns.setdefault((kind, place if kind.alone else None), []).append(place)
        self.groups: list[Map] = []
        for (kind, _), places in columns.items():
            self.groups.append(kind([{key: value for key, value in entries[i].items() if key != "map"} for i in places]))
        self.order = np.concatenate(list(columns.values()))
        self.back = np.argsort(self.order)
        of_each = [(group.low, group.high, *group.step) for group in self.groups]
        self.low, self.high, *step = (np.concatenate(parts)[self.back] for parts in zip(*of_each, strict=True))
        self.step = tuple(step)

    def to_base(self, x):
        """Map x (..., D) to u (..., D), with log du/dx (..., D), all float64."""
        found = [group.to_base(part) for group, part in self._parts(x)]
        return self._joined([u for u, _ in found]), self._joined([log_slope for _, log_slope in found])

    def from_base(self, u):
        """Map u (..., D) back to x (..., D), float64."""
        return self._joined([group.from_base(part) for group, part in self._parts(u)])

    def _parts(self, x) -> Iterator[tuple[Map, Any]]:
        """Each group with its columns."""
        x = self._ordered(ops.cast(x, "float64"), self.order)
        start = 0
        for group in self.groups:
            stop = start + len(group.low)
            yield group, x if len(self.groups) == 1 else x[..., start:stop]
            start = stop

    def _joined(self, parts: list):
        return parts[0] if len(parts) == 1 else self._ordered(ops.concatenate(parts, axis=-1), self.back)

    def _ordered(self, x, order: np.ndarray):
        return x if np.all(np.diff(order) == 1) else ops.take(x, order, axis=-1)

    def measured(self, x: np.ndarray, what: str) -> np.ndarray:
        """What rows x (..., D) are inside, float64, of which a standardization is measured.

        Raises
        ------
        InputError
            The rows are float32, or single precision cannot tell them apart inside.
        """
        if np.asarray(x).dtype == np.float32:
            raise InputError(
                f"{what}: this flow has scales, which take float64, and the rows are float32, which has lost digits already:"
                ' set data.parameters.dtype to "float64" in the recipe'
            )
        with double():
            u = ops.convert_to_numpy(self.to_base(np.asarray(x, np.float64))[0])
        each = u.reshape(-1, u.shape[-1])
        mean, spread = np.abs(each.mean(axis=0)), each.std(axis=0)
        blurred = np.flatnonzero((spread < STEPS * np.finfo(np.float32).eps * mean) & (spread > 0))
        if blurred.size:
            at = blurred[0]
            raise InputError(
                f"{what} {at}: on its scale the training rows are {mean[at]:g} from zero and {spread[at]:.2g} wide, which"
                " single precision cannot tell apart: give a scale with an origin among the rows and their width"
            )
        return u

    def tolerance(self, difference: float) -> dict[str, list[float]]:
        """Make of a difference that is accepted inside what is accepted of each feature: ``absolute`` and ``relative``."""
        return {
            kind: [float(f"{difference * number:.3g}") for number in numbers]
            for kind, numbers in zip(("absolute", "relative"), self.step, strict=True)
        }


class Scales(Bijector):
    """Map each variable as its scale says, then scale all to zero mean and unit variance.

    The density is zero outside the bounds that a map has, and no sample leaves them or lies on them. What lies on a bound has
    the density just inside.

    Parameters
    ----------
    entries : sequence of mapping
        The map of each variable, as in :class:`Maps`.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], **kwargs) -> None:
        super().__init__(**kwargs)
        self.maps = Maps(entries)
        self.standardize = Standardize((len(entries),), name="standardize")
        self.built = True

    def adapt(self, x: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale of the mapped training rows (n, D), float64.

        Raises
        ------
        InputError
            A value lies outside the support, is not finite, or is the same in every row; or a column is lost in single
            precision, given or mapped.
        """
        low, high = self.maps.low, self.maps.high
        if np.ndim(x) != 2 or np.shape(x)[1] != len(low):
            raise InputError(f"expected training rows of {len(low)} variables, given shape {np.shape(x)}")
        outside = ~((x >= low) & (x <= high) & np.isfinite(x))
        if outside.any():
            row, column = np.argwhere(outside)[0]
            ends = low[column], high[column]
            where = "finite" if not np.isfinite(ends).any() else f"within [{ends[0]:.17g}, {ends[1]:.17g}]"
            raise InputError(
                f"variable {column} must be {where}: {outside.any(axis=1).sum()} of {len(x)} training rows are not,"
                f" row {row} holds {x[row, column]:.17g}"
            )
        constant = np.flatnonzero(np.ptp(x, axis=0) == 0)
        if constant.size:
            raise InputError(
                f"variable {constant[0]} is {x[0, constant[0]]:g} in every training row: it has no density, leave it out"
            )
        self.standardize.adapt(self.maps.measured(x, "variable"), weight)

    def to_base(self, x, c=None):
        u, log_slope = self.maps.to_base(x)
        log_det = ops.cast(ops.sum(log_slope, axis=-1), "float32") - ops.sum(ops.log(self.standardize.scale))
        bounds = [(end, np.isfinite(end)) for end in (self.maps.low, self.maps.high)]
        if any(bounded.any() for _, bounded in bounds):
            x = ops.cast(x, "float64")
            low, high = (ops.convert_to_tensor(end, "float64") for end, _ in bounds)
            inside = ops.all(ops.logical_and(x >= low, x <= high), axis=-1)
            log_det = ops.where(inside, log_det, -np.inf)
        return self.standardize(ops.cast(u, "float32")), log_det

    def from_base(self, u, c=None):
        return self.maps.from_base(u * self.standardize.scale + self.standardize.mean)


class ContextScales(Standardize):
    """Map each feature of a context, the last axis, as its scale says, then standardize.

    Parameters
    ----------
    entries : sequence of mapping
        The map of each feature, as in :class:`Maps`.
    """

    def __init__(self, entries: Sequence[Mapping[str, Any]], **kwargs) -> None:
        super().__init__((len(entries),), autocast=False, **kwargs)
        self.maps = Maps(entries)

    def adapt(self, rows: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure mean and scale of the mapped training rows (n, ..., C), float64; InputError where digits are lost."""
        super().adapt(self.maps.measured(rows, "feature of the context"), weight)

    def call(self, x):
        return super().call(ops.cast(self.maps.to_base(x)[0], "float32"))

    def center(self) -> np.ndarray:
        """The physical value of each feature at the mean of the mapped training rows, (C,)."""
        with double():
            return ops.convert_to_numpy(self.maps.from_base(ops.convert_to_numpy(self.mean)))


def _kind(place: int, entry: Mapping[str, Any]) -> type[Map]:
    """The map that an entry names; ValueError where its keys or numbers are not those of such a map."""
    where = f"scale {place}"
    if not isinstance(entry, Mapping) or entry.get("map") not in MAPS:
        raise ValueError(f'{where}: expected {{"map": ...}} with one of {", ".join(MAPS)}, given {entry!r}')
    kind = MAPS[entry["map"]]
    keys = entry.keys() - {"map"}
    if not any(set(required) <= keys <= set(required) | set(kind.optional) for required in kind.required):
        expected = " or ".join(", ".join(required) for required in kind.required)
        raise ValueError(f"{where}: {entry['map']} takes {expected}, given {', '.join(sorted(map(str, keys))) or 'nothing'}")
    for key in keys:
        value = np.asarray(entry[key])
        if value.dtype.kind not in "fiu" or value.ndim != (key in kind.arrays) or not np.isfinite(value).all():
            kind_of_value = "finite numbers" if key in kind.arrays else "one finite number"
            raise ValueError(f"{where}: {entry['map']}: expected {kind_of_value} as {key}, given {entry[key]!r}")
    try:
        kind([{key: entry[key] for key in keys}])
    except ValueError as error:
        raise ValueError(f"{where}: {entry['map']}: {error}") from error
    return kind
