"""A simulator that lies in a Python file beside a recipe."""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import InputError, UnknownNameError


def inside(folder: Path, name: str) -> Path:
    """The path of a file in a folder or below; InputError for a way out, be it by ``..``, a root or a link."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(f"{name!r} leaves the folder {folder}: expected a file in it")
    return path


@dataclass(frozen=True)
class SimulatorFile:
    """A function by file and name: every process imports it for itself, so nothing of it is pickled."""

    path: Path
    function: str

    @classmethod
    def beside(cls, folder: Path, source: str) -> SimulatorFile:
        """``"my_sim.py:simulate"`` in ``folder``; imports the file.

        Raises
        ------
        InputError
            When it is not written so, leaves the folder, or cannot be imported.
        UnknownNameError
            When the file has no function of that name.
        """
        name, colon, function = source.partition(":")
        if not (colon and function and name.endswith(".py")):
            raise InputError(f"simulator: expected 'file.py:function', given {source!r}")
        path = inside(folder, name)
        if not path.is_file():
            raise InputError(f"simulator: there is no file {name!r} in {folder.resolve()}")
        found = cls(path, function)
        found.load()
        return found

    def load(self) -> Callable[..., Any]:
        """Import the file and find the function."""
        module = _module(self.path, self.path.stat().st_mtime_ns)
        if not callable(getattr(module, self.function, None)):
            functions = [name for name, value in vars(module).items() if inspect.isfunction(value)]
            raise UnknownNameError(f"function in {self.path.name}", self.function, functions)
        return getattr(module, self.function)

    fingerprinted = load
    """What a fingerprint of the simulator is taken of."""

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.load())

    def __call__(self, theta: np.ndarray, **rng: np.random.Generator) -> Any:
        """Run the function on parameters."""
        return self.load()(theta, **rng)


@functools.lru_cache(maxsize=8)
def _module(path: Path, changed: int) -> Any:
    name = f"_simulator_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.parent))  # as `python my_sim.py` would
    # Bytecode that is kept is told by its second: a file changed within it would go on being what it was.
    keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = keeps
        sys.path.remove(str(path.parent))
    return module
