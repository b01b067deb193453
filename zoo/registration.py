"""Registers of what is known by name: ours stand in a table of modules, a plugin's come by decorator and entry point."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from zoo.errors import UnknownNameError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Registered = TypeVar("Registered", bound=type[Any])


class Register(Generic[Registered]):
    """Classes of one kind by name, each imported when it is asked for.

    A plugin decorates its class and names it in its own ``pyproject.toml``, in the entry point group; nothing here is edited.

    Parameters
    ----------
    kind : str
        What is registered, in the words of an error.
    group : str
        Entry point group of installed packages; an entry point carries the name under which its class is registered.
    ours : Mapping of str to str
        Module of each name of this package; importing it registers the class.
    """

    def __init__(self, kind: str, group: str, ours: Mapping[str, str]) -> None:
        self.kind, self.group, self._ours = kind, group, dict(ours)
        self._found: dict[str, Registered] = {}

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Class decorator that makes a class known under a name.

        Raises
        ------
        ValueError
            Another class has that name. Running the definition of the same class again, as in a notebook, is no conflict.
        """

        def decorate(cls: Registered) -> Registered:
            known = self._found.get(name, cls)
            ours = self._ours.get(name, cls.__module__)
            if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__) or ours != cls.__module__:
                taken = ours if ours != cls.__module__ else f"{known.__module__}.{known.__qualname__}"
                raise ValueError(f"two {self.kind}s are named {name!r}: {taken} and {cls.__module__}.{cls.__qualname__}")
            self._found[name] = cls
            return cls

        return decorate

    def get(self, name: str) -> Registered:
        """The class of a name; UnknownNameError with the nearest names otherwise."""
        if name not in self._found and name in self._ours:
            importlib.import_module(self._ours[name])
        if name not in self._found:
            load_named(self.group, name)
        if name not in self._found:
            raise UnknownNameError(self.kind, name, self.names())
        return self._found[name]

    def names(self) -> list[str]:
        """Every name at hand, sorted; nothing is imported for it."""
        return sorted({*self._ours, *self._found, *(entry_point.name for entry_point in entry_points(self.group))})


@functools.cache
def entry_points(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of the installed packages in one group."""
    from importlib.metadata import entry_points  # 20 ms, and most processes need only released names

    return tuple(entry_points(group=group))


def load_named(group: str, name: str) -> None:
    """Import what installed packages have under one name in a group, and nothing else of them."""
    for entry_point in entry_points(group):
        if entry_point.name == name:
            load_entry_point(entry_point)


def load_entry_point(entry_point: EntryPoint) -> Any:
    """What an entry point names; None with a warning where it cannot be loaded, so that no package takes the zoo down."""
    try:
        return entry_point.load()
    except (Exception, SystemExit) as error:
        warnings.warn(f"entry point {entry_point.name} = {entry_point.value} cannot be loaded: {error!r}", stacklevel=3)
        return None
