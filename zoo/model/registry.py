"""Which models and families there are, by name.

Names come from four places, in this order: the cards that ship with physzoo, folders given to ``register_path``, the folders
of ``ZOO_PATH``, and the entry point group ``zoo.models`` of installed packages. The first that knows a name wins, so a released
name never changes its meaning.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import os
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.model.card import read_spec

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from zoo.model.spec import ModelSpec

CARDS = Path(importlib.import_module("zoo.model_cards").__path__[0])
DEPRECATED: dict[str, str] = {}
"""Names that were given up, and the released name that took over."""

_families: dict[str, type[Any]] = {}
_registered: dict[str, Path] = {}


def list_models(pattern: str = "*", *, task: str | None = None, family: str | None = None) -> list[str]:
    """Names of the models at hand, sorted.

    Parameters
    ----------
    pattern : shell-style, such as ``"ive-*"``
    task, family : keep only models of this task or family

    Raises
    ------
    UnknownNameError
        No model at all has that task or family.

    Warns
    -----
    UserWarning
        For a card that cannot be read; its model is left out.
    """
    specs = dict(_specs())
    for kind, wanted in (("task", task), ("family", family)):
        known = {getattr(spec, kind) for spec in specs.values()}
        if wanted is not None and wanted not in known:
            raise UnknownNameError(kind, wanted, known)
    return sorted(
        name
        for name, spec in specs.items()
        if fnmatch.fnmatchcase(name, pattern) and task in (None, spec.task) and family in (None, spec.family)
    )


def get_spec(name: str) -> ModelSpec:
    """The spec of a model by name, from its card alone: no other file is read or fetched.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    IntegrityError
        The card cannot be read.
    """
    name = current_name(name)
    return spec_of(name, find_card(name))


def find_card(name: str) -> Path:
    """The card of a model by name; UnknownNameError with the nearest names otherwise."""
    for source in _SOURCES:
        if card := source().get(name):
            return card
    if name and (Path(name) / "README.md").is_file():
        raise ZooError(f"no model is named {name!r}, but there is a folder of that name: for the folder write {'./' + name!r}")
    raise UnknownNameError("model", name, {name for source in _SOURCES for name in source()} | DEPRECATED.keys())


def spec_of(name: str, card: Path) -> ModelSpec:
    """The spec in a card, which must carry the name under which the card was found; parsed once as long as it is unchanged."""
    spec = _parsed(card, _stamp(card))
    if spec.name != name:
        raise IntegrityError(f"{card} was found under the name {name!r} but describes {spec.name!r}: make the two agree")
    return spec


def current_name(name: str) -> str:
    """The name itself, or with a FutureWarning the one that replaced it."""
    if name in DEPRECATED:
        warnings.warn(f"the model {name!r} is now called {DEPRECATED[name]!r}", FutureWarning, stacklevel=3)
    return DEPRECATED.get(name, name)


def register_path(folder: str | Path) -> str:
    """Make a model's folder known by the name on its card, for as long as this process lives; the name.

    Raises
    ------
    IntegrityError
        The folder has no card that can be read.
    ZooError
        A released model, or another folder, has that name.
    """
    card = (Path(folder).expanduser() / "README.md").resolve()
    name = read_spec(card).name
    refuse_released_name(name, folder)
    if _registered.setdefault(name, card) != card:
        raise ZooError(f"{folder}: {_registered[name].parent} is registered as {name!r}: rename one of the two on its card")
    return name


def refuse_released_name(name: str, folder: str | Path) -> None:
    """Refuse the name of a released model for a folder of a user's: a released name never changes its meaning.

    Parameters
    ----------
    name : str
        The name of the model in the folder, or of the model that is to be written there.
    folder : str or Path
        The folder, for the message.

    Raises
    ------
    ZooError
        A released model has that name.
    """
    if name in _released():
        raise ZooError(f"{folder}: {name!r} is a released model, whose name never changes its meaning: choose another name")


def register_family(name: str) -> Callable[[type[Any]], type[Any]]:
    """Class decorator that makes a family of models known under a name.

    Raises
    ------
    ValueError
        Another class has that name. Running the definition of the same class again, as in a notebook, is no conflict.
    """

    def register(family: type[Any]) -> type[Any]:
        other = _families.get(name, family)
        if (other.__module__, other.__qualname__) != (family.__module__, family.__qualname__):
            raise ValueError(f"two families are named {name!r}: {other.__module__}.{other.__qualname__} and {family!r}")
        _families[name] = family
        return family

    return register


def get_family(name: str) -> type[Any]:
    """The class of a family, whose ``library`` says what it is made with; the first call imports Keras.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    ZooError
        Keras is not installed.
    """
    if name not in _families:
        _import_families()
    if name not in _families:
        raise UnknownNameError("family", name, _families)
    return _families[name]


@functools.cache
def _import_families() -> None:
    package = importlib.import_module("zoo.families")
    try:
        for module in pkgutil.walk_packages(package.__path__, "zoo.families."):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in {"keras", "tensorflow", "jax", "torch"}:
            raise
        raise ZooError(f"this needs {error.name}, which is not installed: pip install 'physzoo[train]'") from error
    for entry_point in _entry_points("zoo.families"):
        _load(entry_point)


def _released() -> dict[str, Path]:
    return {card.stem: card for card in CARDS.glob("*.md")}


def on_path() -> dict[str, Path]:
    """Cards on ``ZOO_PATH`` by name; the first folder wins."""
    cards: dict[str, Path] = {}
    for folder in filter(None, os.environ.get("ZOO_PATH", "").split(os.pathsep)):
        found = sorted(Path(folder).expanduser().glob("[!.]*/README.md"))
        if not found:
            warnings.warn(f"ZOO_PATH: no folder in {folder!r} holds a README.md", stacklevel=2)
        cards = {card.parent.name: card for card in found} | cards
    return cards


def _in_packages() -> dict[str, Path]:
    cards: dict[str, Path] = {}
    for entry_point in _entry_points("zoo.models"):
        place = _load(entry_point)
        for folder in getattr(place, "__path__", () if place is None else (place,)):
            cards.setdefault(entry_point.name, Path(folder) / "README.md")
    return cards


def _by_register_path() -> dict[str, Path]:
    return _registered


_SOURCES = (_released, _by_register_path, on_path, _in_packages)


def _specs() -> Iterator[tuple[str, ModelSpec]]:
    cards = {name: card for source in reversed(_SOURCES) for name, card in source().items()}
    for name, card in cards.items():
        try:
            yield name, spec_of(name, card)
        except IntegrityError as error:
            warnings.warn(f"left out of the list: {error}", stacklevel=3)


def _stamp(card: Path) -> tuple[int, int] | None:
    try:
        stat = card.stat()
    except OSError:
        return None  # read_spec says what is wrong
    return stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=256)
def _parsed(card: Path, stamp: tuple[int, int] | None) -> ModelSpec:
    return read_spec(card)


@functools.cache
def _entry_points(group: str) -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points  # 20 ms, and most processes need only released names

    return tuple(entry_points(group=group))


def _load(entry_point: EntryPoint) -> Any:
    try:
        return entry_point.load()
    except Exception as error:  # a broken package of others must not take the zoo down
        warnings.warn(f"entry point {entry_point.name} = {entry_point.value} cannot be loaded: {error!r}", stacklevel=3)
        return None
