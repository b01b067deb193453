"""What the results of explaining methods share: files."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel

from zoo.atomic import whole_file
from zoo.errors import InputError
from zoo.paths import user_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


def _plain(value: Any) -> Any:
    """An axis as plain data, since it is kept with the arrays that lie along it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    raise TypeError(f"expected plain data, given {type(value).__name__}")


class Result(ABC):
    """A frozen dataclass of arrays, dictionaries of arrays, and plain data."""

    suffixes: ClassVar[tuple[str, ...]] = (".npz",)
    """Forms in which ``save`` writes it."""

    def table(self) -> Table | None:
        """Say what a person reads of it in a terminal; None where the figure says it all."""
        return None

    def destination(self, path: str | PathLike[str]) -> Path:
        """The path of a file to be written, whose folder is made; InputError for a suffix of another kind of file."""
        path = user_path(path)
        if path.suffix not in self.suffixes:
            raise InputError(f"expected a path that ends in {' or '.join(self.suffixes)}, given {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @abstractmethod
    def plot(self) -> Figure:
        """The figure of this result."""

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows: the figure."""
        show = getattr(self.plot(), "_repr_png_", None)
        return None if show is None else show()

    def save(self, path: str | PathLike[str]) -> Path:
        """Write arrays under their names, those of dictionaries as ``field/key``, and plain data as JSON under ``about``.

        One ``.npz`` file, whole or not at all.

        Raises
        ------
        InputError
            The path is of another kind.
        """
        path = self.destination(path)
        arrays: dict[str, Any] = {}
        about: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                arrays[field.name] = value
            elif isinstance(value, dict):
                arrays |= {f"{field.name}/{key}": array for key, array in value.items()}
            else:
                about[field.name] = value
        with whole_file(path) as file:
            np.savez_compressed(file, allow_pickle=False, about=np.array(json.dumps(about, default=_plain)), **arrays)
        return path
