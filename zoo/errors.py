"""What goes wrong, by name. Every message says what was expected, what was given and what to do."""

from __future__ import annotations

import difflib
import errno
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from os import PathLike
from pathlib import Path
from typing import Any


def _in_python(name: str, value: str, text: str) -> str:
    return f"{name}={value}"


INTERFACE: ContextVar[Callable[[str, str, str], str]] = ContextVar("interface", default=_in_python)
"""How the interface in use writes an option, of the arguments of :func:`option`; the command line sets its own."""


def option(name: str, value: str = "True", text: str | None = None) -> str:
    """Name an option as the user of a failed call writes it, for the end of an error's message.

    Parameters
    ----------
    name : str
        The keyword of the Python function.
    value : str
        The value as it is written in Python, or a word in capitals that stands for it.
    text : str, optional
        The value as it is written on a command line, where that is not the same.

    Returns
    -------
    str
        Such as ``overwrite=True`` in Python and ``--overwrite`` on the command line.

    Examples
    --------
    >>> option("overwrite")
    'overwrite=True'
    """
    return INTERFACE.get()(name, value, value if text is None else text)


def in_words(message: str) -> str:
    """What pydantic says of a value, as the zoo says it: what was expected.

    Examples
    --------
    >>> in_words("Input should be greater than 0")
    'expected a number greater than 0'
    """
    said = re.sub(r"^Input should be (?=(greater|less) than)", "expected a number ", message.removeprefix("Value error, "))
    return said.replace("Input should be", "expected")


def needs_library(path: Path, library: str) -> ZooError:
    """What to raise where a file cannot be read without a library that is not there."""
    return ZooError(f"{path}: {path.suffix} needs {library}, which is not installed: pip install {library}")


def fault(error: Mapping[str, Any], whole: str = "", *, within: int = 0) -> str:
    """One of pydantic's errors in the zoo's words, behind where it is.

    Parameters
    ----------
    error : mapping
        One of ``ValidationError.errors()``.
    whole : str
        What to call the value itself, where the error is of no part of it.
    within : int
        How many parts of the place the user did not write.

    Returns
    -------
    str
        Such as ``optimizer.learning_rate: expected a number greater than 0``.
    """
    return f"{'.'.join(map(str, error['loc'][within:])) or whole}: {in_words(error['msg'])}"


_OURS = {"zoo", "contextlib", "functools", "keras", "tensorflow"}
"""Packages between what warns and the line of the user's that it warns of."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what is the user's to see, at the line of theirs that led to it, however deep in the zoo it was found.

    Parameters
    ----------
    message : str
        What is to be said.
    category : type
        The kind of warning.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


_LONGEST = 200
"""Letters of a name that is compared with others; whoever asks may have sent millions."""
_ALIKE, _SAME = 0.6, 0.8
"""Likeness, as ``difflib`` measures it, from which a name may be another misspelled, and from which two words are the same."""
_LISTED = 40
"""Names that a message lists, such as the columns of a table, which may have thousands."""


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """The names that a user may have meant, in capitals or not or abbreviated, up to three of each, the likeliest first.

    Where none is spelled alike, those that share a word of three letters at least, such as ``halo`` of ``nsf-halo-mass``.

    Parameters
    ----------
    name : str
        What was written.
    known : iterable of str
        The names that there are.

    Returns
    -------
    list of str
        Some of them.
    """
    if len(name) > _LONGEST:
        return []
    folded: dict[str, list[str]] = {}
    for one in known:
        folded.setdefault(one.casefold(), []).append(one)
    asked, words = name.casefold(), {one: re.split(r"[\W_]+", one) for one in folded}
    short = [one for one in folded if len(asked) > 1 and "".join(word[:1] for word in words[one]) == asked]
    alike = difflib.get_close_matches(asked, folded, n=3, cutoff=_ALIKE)
    if not alike:
        long = [word for word in re.split(r"[\W_]+", asked) if len(word) >= 3]
        shared = [one for one in folded if any(difflib.get_close_matches(word, words[one], cutoff=_SAME) for word in long)]
        alike = difflib.get_close_matches(asked, shared, n=3, cutoff=0.0)
    return [one for key in dict.fromkeys([*short, *alike]) for one in folded[key]]


class ZooError(Exception):
    """Base of all errors that the zoo raises on purpose; the command line prints them without a traceback."""


class UnknownNameError(ZooError, KeyError):
    """No model, family, endpoint, data set or method of that name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = near_names(name, known)
        if len(name) > _LONGEST:
            name = f"{name[:_LONGEST]}..."
        more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known[:_LISTED]) or 'none'}{more}"
        self.message = f"no {kind} named {name!r}; {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would print the repr
        return self.message


class MissingExtraError(ZooError, ModuleNotFoundError):
    """A package that is not installed, with the extra that brings it.

    Parameters
    ----------
    module : str
        The module that was to be imported.
    extra : str
        The extra of physzoo, or several with commas.
    """

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(f"this needs {module}, which is not installed: pip install 'physzoo[{extra}]'")
        self.name = module


class InputError(ZooError, ValueError):
    """A tensor of the wrong name, shape, dtype or range, or with NaN or infinity in it."""


class IntegrityError(ZooError):
    """A file that is missing, truncated or not the one that its card describes."""


class ReproductionError(ZooError):
    """A model that does not reproduce its own test tensors."""


class ParityError(ZooError):
    """An exported graph that does not answer as its model does."""


class ExportError(ZooError):
    """A model, an operation or a target folder that cannot be exported."""


class FullDiskError(ZooError, OSError):
    """A file or folder for which its disk has no space left; what was there before is as it was.

    Parameters
    ----------
    path : PathLike
        What was to be written.
    needed : int
        Bytes that it takes.
    free : int
        Bytes that are free there.
    reason : str
        What the system says.
    exactly : bool
        Whether it takes just as many bytes, or more.
    """

    errno = errno.ENOSPC

    def __init__(self, path: PathLike[str] | str, needed: int, free: int, reason: str, exactly: bool = False) -> None:
        self.path, self.needed, self.free, self.reason, self.exactly = path, needed, free, reason, exactly
        amount = f"{needed:,}" if exactly else f"more than {needed:,}"
        super().__init__(
            f"{path} was not written: {reason}: {amount} bytes are needed and {free:,} are free there: make room, or write to"
            " another disk"
        )

    def __reduce__(self) -> tuple[type[FullDiskError], tuple[object, ...]]:
        """What makes it anew, as for the process that started the one in which it was raised."""
        return type(self), (self.path, self.needed, self.free, self.reason, self.exactly)


class FolderError(ZooError, ValueError):
    """A folder that holds what was made with other settings."""


class ProviderError(ZooError):
    """An ONNX Runtime execution provider that was asked for and is not there."""


class ExplanationError(ZooError, TypeError):
    """A method of explanation that needs what the model does not have."""


class MisspecificationWarning(UserWarning):
    """An observation that is unlike all simulations which a posterior was learned from, so that its answer is extrapolated."""
