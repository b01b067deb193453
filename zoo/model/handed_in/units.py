"""Units of what a user hands in, converted to those of a spec.

A spec writes units as text. They are astropy's, but for these: ``mu`` is the prefix that astropy calls ``u``; ``h`` is the
reduced Hubble constant, astropy's ``littleh``, never the hour; ``log10(X)`` is ``dex(X)``; "1" has no dimension. What is left,
such as ``R200m`` or ``log10(1 + rho/mean)``, is no unit of astropy's: only the same text is the same unit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from zoo.errors import InputError, ZooError

Convert = Callable[[np.ndarray], np.ndarray]
"""Makes numbers in one unit from those in another."""
HOURS = ("h", "hr", "hour", "hours")
"""Texts that can only mean the hour, where ``Mpc/h`` means the Hubble constant."""
NONE = ("", "1", "dimensionless")
"""How no dimension is written."""


FEW = 6
"""Elements of a row up to which a message lists their units."""


def converter(given: Any, wanted: Sequence[str], where: str) -> Convert | None:
    """What converts rows in one unit to the unit that each element of a row is to have.

    Parameters
    ----------
    given : object
        Unit of the rows, as text or as astropy's; None where it is not known and the numbers are taken as they are.
    wanted : sequence of str
        Unit of each element of a row in C order.
    where : str
        What the rows are, for messages.

    Returns
    -------
    callable or None
        Makes float64 from an array (n, ...) with as many elements a row; None where nothing is to be done.

    Raises
    ------
    InputError
        There is no way from the one unit to the other.
    ZooError
        They differ, and astropy is not installed.
    """
    try:
        ways = {unit: _between(given, unit, where) for unit in dict.fromkeys(wanted)}
    except InputError as error:
        if len(set(wanted)) == 1 or len(wanted) > FEW:
            raise
        raise InputError(
            f"{error}; the elements of a row have the units {', '.join(wanted)}: convert them, or give each as a column"
        ) from error
    if not any(ways.values()):
        return None
    if len(ways) == 1:
        return ways[wanted[0]]
    places = {unit: np.array([place for place, one in enumerate(wanted) if one == unit]) for unit in ways}

    def convert(rows: np.ndarray) -> np.ndarray:
        flat = np.array(rows, dtype=np.float64).reshape(len(rows), len(wanted))
        for unit, way in ways.items():
            if way is not None:
                flat[:, places[unit]] = way(flat[:, places[unit]])
        return flat.reshape(np.shape(rows))

    return convert


def _between(given: Any, wanted: str, where: str) -> Convert | None:
    text = given.strip() if isinstance(given, str) else str(given)
    # Of a text nobody knows which h is meant, so it is that of the spec; a unit of astropy's says it.
    written = isinstance(given, str) or type(given).__name__ == "UnrecognizedUnit"
    if given is None or (written and not text) or (_bare(text) == _bare(wanted) and (written or not _little(wanted))):
        return None
    try:
        from astropy.units import UnitsError
    except ImportError as error:
        raise ZooError(f"{where}: {text} to {wanted} needs astropy, which is not installed: pip install astropy") from error
    try:
        target = astropy_unit(wanted, True)
        source = astropy_unit(text, _little(wanted)) if written else given
        if str(source) == str(target):
            return None
        source.to(target, 1.0)
    except (UnitsError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{where}: expected {wanted}, given {text or 'no dimension'}, between which astropy.units knows no way"
            f" ({' '.join(str(error).split())}): convert it, or give the numbers alone, or their unit as {wanted!r}, if they"
            " are in it"
        ) from error
    return lambda rows: np.asarray(source.to(target, np.asarray(rows, np.float64)), np.float64)


def same_unit(given: Any, said: str) -> bool:
    """Whether two units are one, however they are written.

    Parameters
    ----------
    given : object
        A unit, as text or as astropy's.
    said : str
        Another.

    Returns
    -------
    bool
        Whether they are the same.
    """
    if _bare(str(given)) == _bare(said):
        return True
    try:
        one, other = (astropy_unit(str(unit), _little(said)) for unit in (given, said))
    except (ImportError, ValueError, TypeError):
        return False
    return bool(one == other)


def spec_unit(given: Any) -> str:
    """A unit as a spec writes it.

    Parameters
    ----------
    given : object
        Unit of numbers that a spec is to describe, as text or as astropy's.

    Returns
    -------
    str
        The text, "1" of what has no dimension.

    Raises
    ------
    InputError
        It has the hour in it, which no spec can say.
    """
    text = str(given).strip()
    if text in HOURS or (not isinstance(given, str) and any(str(base) == "h" for base in getattr(given, "bases", ()))):
        raise InputError(
            f"expected a unit without the hour, since h of a spec is the reduced Hubble constant, given {text}: convert it to"
            " s, min or d"
        )
    return "1" if text in NONE else text


@lru_cache(maxsize=256)
def astropy_unit(text: str, little_h: bool) -> Any:
    """The unit of astropy's that a text means.

    Parameters
    ----------
    text : str
        The unit, as a spec or a file writes it.
    little_h : bool
        Whether ``h`` is the reduced Hubble constant; else it is the hour.

    Returns
    -------
    astropy.units.UnitBase
        The unit.

    Raises
    ------
    ValueError
        There is no such unit.
    """
    from astropy import units
    from astropy.cosmology.units import littleh

    text = text.strip()
    if logarithm := re.fullmatch(r"(?:log10|dex)\((.+)\)", text):
        return units.dex(astropy_unit(logarithm[1], little_h))
    if text in NONE:
        return units.dimensionless_unscaled
    little_h = little_h or "littleh" in text
    text = re.sub(r"\bmu(?=[A-Za-z])", "u", text.replace("littleh", "h"))
    numerator, *denominators = text.split("/")
    if len(denominators) > 1 and "(" not in text:  # astropy warns of several slashes
        text = f"{numerator} / ({' '.join(denominators)})"
    found = units.Unit(text)
    if not little_h or units.hour not in found.bases:
        return found
    return units.CompositeUnit(found.scale, [littleh if base == units.hour else base for base in found.bases], found.powers)


def _little(text: str) -> bool:
    """Whether a unit of a spec has the reduced Hubble constant in it."""
    return re.search(r"\bh\b", text) is not None


def _bare(text: str) -> str:
    """A unit as text, without what two ways of writing the same differ in."""
    return re.sub(r"\s+", "", text)
