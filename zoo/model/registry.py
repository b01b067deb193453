"""Which models and families there are, by name.

Names come from four places, in this order: the folders that ship with physzoo, those given to ``register_path``, those of
``ZOO_PATH``, and the entry point group ``zoo.models`` of installed packages. The first that knows a name wins, so a released
name never changes its meaning.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import importlib.util
import os
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.extras import missing
from zoo.model.model_json import Summary, described_in, is_model_folder, read_spec, read_summary
from zoo.model.spec import SPEC
from zoo.paths import user_path
from zoo.registration import entry_points, load_entry_point

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from zoo.model.spec import ModelSpec

RELEASED = Path(importlib.import_module("zoo.model_cards").__path__[0])
"""Where the folders of the released models lie."""
DEPRECATED: dict[str, str] = {"logistic-cmb-feature": "mlp-cmb-feature", "maf-halo-mass": "nsf-halo-mass"}
"""Names that were given up, and the released model that answers the same question from the same inputs."""

_families: dict[str, type[Any]] = {}
_registered: dict[str, Path] = {}


def list_models(pattern: str = "*", *, task: str | None = None, family: str | None = None) -> list[str]:
    """Names of the models at hand, sorted.

    Parameters
    ----------
    pattern : str
        A shell-style pattern, such as ``"ive-*"``, or a part of the name, such as ``"halo"``.
    task : str, optional
        Keep only models of this task.
    family : str, optional
        Keep only models of this family.

    Returns
    -------
    list of str
        The names.

    Raises
    ------
    UnknownNameError
        No model at all has that task or family.

    Warns
    -----
    UserWarning
        For a folder that cannot be read; its model is left out.
    """
    return [summary.name for summary in summaries(pattern, task=task, family=family)]


def summaries(pattern: str = "*", *, task: str | None = None, family: str | None = None) -> list[Summary]:
    """What a list says of each model at hand, in the order of the names; takes and raises what :func:`list_models` does."""
    found = dict(_summaries())
    for kind, wanted in (("task", task), ("family", family)):
        known = {getattr(summary, kind) for summary in found.values()}
        if wanted is not None and wanted not in known:
            raise UnknownNameError(kind, wanted, known)
    wanted_names = pattern if set(pattern) & set("*?[") else f"*{pattern}*"
    return [
        summary
        for name, summary in sorted(found.items())
        if fnmatch.fnmatchcase(name, wanted_names) and task in (None, summary.task) and family in (None, summary.family)
    ]


def get_spec(name: str) -> ModelSpec:
    """The spec of a model by name; no weights and no graph are read or fetched for it.

    Raises
    ------
    UnknownNameError
        There is no such model; the nearest names are suggested.
    IntegrityError
        The spec cannot be read.
    """
    name = current_name(name)
    return spec_of(name, find_folder(name))


def find_folder(name: str) -> Path:
    """The folder of a model by name; UnknownNameError with the nearest names otherwise."""
    for source in _SOURCES:
        if folder := source().get(name):
            return folder
    for entry_point in entry_points("zoo.models"):
        if entry_point.name == name and entry_point.attr and (place := load_entry_point(entry_point)) is not None:
            return Path(place)
    if name and is_model_folder(Path(name)):
        raise ZooError(f"no model is named {name!r}, but there is a folder of that name: for the folder write {'./' + name!r}")
    raise UnknownNameError("model", name, {name for source in _SOURCES for name in source()} | DEPRECATED.keys())


def spec_of(name: str, folder: Path) -> ModelSpec:
    """The spec of a folder, which must carry the name under which it was found; parsed once as long as it is unchanged."""
    spec = _parsed(folder, _stamp(folder))
    _check_name(name, folder, spec.name)
    return spec


def _check_name(name: str, folder: Path, found: str) -> None:
    if found != name:
        raise IntegrityError(f"{folder} was found under the name {name!r} but describes {found!r}: make the two agree")


def current_name(name: str) -> str:
    """The name itself, or with a FutureWarning the one that took its place."""
    if name in DEPRECATED:
        warnings.warn(f"the model {name!r} was given up; {DEPRECATED[name]!r} takes its place", FutureWarning, stacklevel=3)
    return DEPRECATED.get(name, name)


def register_path(folder: str | Path) -> str:
    """Make a model's folder known by the name in it, for as long as this process lives.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    str
        The name.

    Raises
    ------
    IntegrityError
        The folder holds no spec that can be read.
    ZooError
        A released model, or another folder, has that name.
    """
    place = user_path(folder).resolve()
    name = read_spec(place).name
    refuse_released_name(name, folder)
    if _registered.setdefault(name, place) != place:
        raise ZooError(f"{folder}: {_registered[name]} is registered as {name!r}: rename one of the two in its {SPEC}")
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
        There is no such family; the nearest names are suggested.
    ZooError
        Keras is not installed.
    """
    if name not in _families:
        _import_families()
    theirs = {entry_point.name: entry_point for entry_point in entry_points("zoo.families")}
    if name not in _families and name in theirs:
        load_entry_point(theirs[name])
    if name not in _families:
        raise UnknownNameError("family", name, _families.keys() | theirs.keys())
    return _families[name]


@functools.cache
def _import_families() -> None:
    package = importlib.import_module("zoo.families")
    try:
        for module in pkgutil.walk_packages(package.__path__, "zoo.families."):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        raise missing(error) from error


def _released() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in RELEASED.glob(f"[!.]*/{SPEC}")}


def on_path() -> dict[str, Path]:
    """Folders of models on ``ZOO_PATH`` by name; the first that has a name wins."""
    models: dict[str, Path] = {}
    for folder in filter(None, os.environ.get("ZOO_PATH", "").split(os.pathsep)):
        try:
            found = _models_below(user_path(folder))
        except (ZooError, OSError) as error:
            warnings.warn(f"ZOO_PATH: {folder!r} cannot be read: {error}", stacklevel=2)
            continue
        if not found:
            warnings.warn(f"ZOO_PATH: no folder in {folder!r} holds a {SPEC}", stacklevel=2)
        models = found | models
    return models


def packages() -> list[tuple[str, Path]]:
    """Name and folder of each entry point ``zoo.models`` of installed packages, none of which is imported for it.

    Such an entry point names the folder of one model, as a package or as a path in it that has the entry point's name, or a
    package of many of them.
    """
    found = []
    for entry_point in entry_points("zoo.models"):
        folders = _folders(entry_point)
        if not folders:
            warnings.warn(
                f"entry point {entry_point.name} = {entry_point.value} cannot be loaded: its package, which is not run for a"
                f" list, has no such folder, nor one named {entry_point.name}",
                stacklevel=3,
            )
        found += [(entry_point.name, folder) for folder in folders]
    return found


def _folders(entry_point: EntryPoint) -> list[Path]:
    """The folders that an entry point names, found without a line of its package's code."""
    top, *below = entry_point.module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    places = [Path(place, *below) for place in (spec and spec.submodule_search_locations) or ()]
    if entry_point.attr:
        names = (entry_point.name, entry_point.name.replace("-", "_"))
        places = [place / name for place in places for name in names]
    return [place for place in places if place.is_dir()]


def _in_packages() -> dict[str, Path]:
    models: dict[str, Path] = {}
    for name, folder in packages():
        found = {name: folder} if is_model_folder(folder) else _models_below(folder)
        models = found | models
    return models


def _models_below(folder: Path) -> dict[str, Path]:
    found = {}
    for child in sorted(folder.glob("[!.]*")):
        try:
            if is_model_folder(child):
                found[child.name] = child
        except OSError as error:
            warnings.warn(f"left out of the list: {child} cannot be read: {error}", stacklevel=2)
    return found


def _by_register_path() -> dict[str, Path]:
    return _registered


_SOURCES = (_released, _by_register_path, on_path, _in_packages)


def _summaries() -> Iterator[tuple[str, Summary]]:
    folders = {name: folder for source in reversed(_SOURCES) for name, folder in source().items()}
    for name, folder in folders.items():
        try:
            summary = _summary(folder, _stamp(folder))
            _check_name(name, folder, summary.name)
            yield name, summary
        except Exception as error:  # whatever is wrong with one folder must not take the list down
            reason = error if isinstance(error, ZooError) else f"{folder} cannot be read: {error!r}"
            warnings.warn(f"left out of the list: {reason}", stacklevel=4)


def _stamp(folder: Path) -> tuple[str, int, int] | None:
    path = described_in(folder)
    try:
        stat = path.stat()
    except OSError:
        return None  # read_spec says what is wrong
    return path.name, stat.st_mtime_ns, stat.st_size


@functools.lru_cache(maxsize=256)
def _parsed(folder: Path, stamp: tuple[str, int, int] | None) -> ModelSpec:
    return read_spec(folder)


@functools.lru_cache(maxsize=256)
def _summary(folder: Path, stamp: tuple[str, int, int] | None) -> Summary:
    return read_summary(folder)
