"""Names and units of parameters, which become columns of tables, names of files' arrays and words of a spec."""

from __future__ import annotations

import re
from collections.abc import Iterable

from zoo.errors import InputError
from zoo.model.handed_in.units import astropy_unit, spec_unit

BREAKING = re.compile(r"[\s{}\[\],;\"'`\\\x00-\x1f]")
"""What would end a name in a file, a table or a message."""
OWN = re.compile(r"[^\W\d]\w*")
"""A unit of one word, which need not be astropy's: ``R200m``, ``events``."""


def expect_names(names: Iterable[object]) -> list[str]:
    """Names of parameters, each of which is a word and there once.

    Parameters
    ----------
    names : iterable of object
        What was given as names.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    InputError
        One is no text or an empty one, has a character that ends a name elsewhere, or is there twice.
    """
    found: list[str] = []
    for name in names:
        if not isinstance(name, str) or not name or BREAKING.search(name):
            raise InputError(
                "prior: expected names of one word, without spaces, commas, quotes, brackets and braces, such as 'rate' or"
                f" 'log10(M)', given {name!r}"
            )
        if name in found:
            raise InputError(f"prior: expected a name of its own for each parameter, given {name!r} twice")
        found.append(name)
    return found


def expect_unit(name: str, unit: object) -> str:
    """The unit of a parameter as a spec writes it; InputError for what is none."""
    try:
        text = spec_unit(unit)
        if text != "1" and not OWN.fullmatch(text):
            astropy_unit(text, True)
    except ImportError:  # without astropy nothing is converted, and the same text is the same unit
        return text
    except InputError as error:
        raise InputError(f"prior: {name}: {error}") from error
    except (ValueError, TypeError) as error:
        raise InputError(
            f"prior: {name}: expected a unit that astropy.units knows, or one word, given {text!r}"
            f" ({' '.join(str(error).split())})"
        ) from error
    return text
