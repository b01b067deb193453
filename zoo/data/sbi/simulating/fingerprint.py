"""What a simulator is made of: its code, the functions of its author that it calls, and the plain values that they use.

It is read without running anything, from bytecode, which comments, layout and the names of local variables do not change. What
a library computes and what is compiled has a name only: whether those answer as before, only answers can tell.
"""

from __future__ import annotations

import datetime
import decimal
import dis
import fractions
import functools
import hashlib
import inspect
import random
import sys
import sysconfig
import types
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

DEPTH, MOST = 12, 5000
"""How deep values lie in one another, and how many of them are read, before the rest is left to the answers."""
VALUES = (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction, PurePath, range)
"""Classes of Python's own whose objects are what they say they are."""
PLAIN = (type(None), bool, int, float, complex, str, bytes, types.EllipsisType)
SHARED = (tuple, frozenset, types.CodeType)
"""Constants, which a module that is read from its compiled file shares otherwise than one that has just been compiled."""
OF_CLASSES = ("__dict__", "__doc__", "__firstlineno__", "__module__", "__qualname__")
"""What Python writes into every class."""
BEHIND = ("py_func", "pyfunc", "__wrapped__")
"""Attributes in which what numba, numpy or a decorator has made keeps the user's function."""
LIBRARIES = tuple(
    str(Path(found).resolve())
    for found in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if found
)


class Fingerprint:
    """The code behind a simulator.

    Parameters
    ----------
    simulator : object
        What is called.

    Attributes
    ----------
    code : str
        Hash of it, which another version of Python has otherwise.
    generators : list of str
        Names of random generators that it holds and draws from, which are none of the numbers that it is given.
    """

    def __init__(self, simulator: Any) -> None:
        self._hash = hashlib.sha256(f"{sys.version_info[:2]}".encode())
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no number of a value that has gone stands for another
        self.generators: list[str] = []
        self._describe(simulator, 0, "simulator", whole=True)
        self.code = self._hash.hexdigest()

    def _add(self, *words: object) -> None:
        self._hash.update("\0".join(map(str, words)).encode() + b"\1")

    def _describe(self, value: Any, depth: int, name: str, *, whole: bool = False) -> None:
        """Add a value; ``whole`` is the simulator itself, whose code is read wherever it lies."""
        if isinstance(value, PLAIN):
            self._add(type(value).__name__, repr(value))
        elif id(value) in self._seen:
            self._add("again", self._seen[id(value)])
        elif depth > DEPTH or len(self._kept) > MOST:
            self._add("more")
        else:
            self._kept.append(value)
            if not isinstance(value, SHARED):
                self._seen[id(value)] = len(self._seen)
            self._kind(value, depth, name, whole=whole)

    def _kind(self, value: Any, depth: int, name: str, *, whole: bool) -> None:
        if _is_generator(getattr(value, "__self__", None) if isinstance(value, types.BuiltinFunctionType) else value):
            self.generators.append(name)
            self._add(type(value).__name__)
        elif isinstance(value, np.ndarray | np.generic):
            self._array(value, depth, name)
        elif isinstance(value, types.CodeType):
            self._code(value, depth)
        elif isinstance(value, types.FunctionType):
            self._function(value, depth, whole=whole)
        elif isinstance(value, types.BuiltinFunctionType):
            self._add("builtin", value.__module__, value.__qualname__)
        elif isinstance(value, type):
            self._class(value, depth)
        elif (parts := _parts(value)) is not None:
            self._add(type(value).__name__, len(parts))
            for part in parts:
                self._describe(part, depth + 1, name, whole=whole)
        else:
            self._object(value, depth, name, whole=whole)

    def _all(self, values: Iterable[Any], depth: int, name: str) -> None:
        for value in values:
            self._describe(value, depth + 1, name)

    def _array(self, value: np.ndarray | np.generic, depth: int, name: str) -> None:
        array = np.asarray(value)
        self._add(type(value).__name__, array.dtype, array.shape, getattr(value, "unit", ""))
        if array.dtype.hasobject:
            self._all(array.ravel().tolist(), depth, name)
        else:
            self._hash.update(np.ascontiguousarray(array).tobytes())

    def _function(self, function: types.FunctionType, depth: int, *, whole: bool) -> None:
        if not whole and not _is_users(function.__module__):
            self._add(function.__module__, function.__qualname__)
            return
        self._add("function")
        self._describe(function.__code__, depth + 1, function.__name__)
        self._all([function.__defaults__, function.__kwdefaults__], depth, function.__name__)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._describe(cell.cell_contents, depth + 1, name)
            except ValueError:  # a name that has no value yet
                self._add("empty")
        for name, attributes in _names_in(function.__code__).items():
            if name in function.__globals__:
                self._global(name, function.__globals__[name], attributes, depth)

    def _global(self, name: str, value: Any, attributes: list[str], depth: int) -> None:
        self._add(name)
        if not isinstance(value, types.ModuleType):
            self._describe(value, depth + 1, name)
        elif _is_users(value.__name__):
            for attribute in attributes:
                if hasattr(value, attribute):
                    self._describe(getattr(value, attribute), depth + 1, f"{name}.{attribute}")

    def _code(self, code: types.CodeType, depth: int) -> None:
        """Instructions without where they stand in the file and in memory, and without the docstring."""
        self._add(code.co_argcount, code.co_kwonlyargcount, code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        for step in dis.get_instructions(code):
            if step.opname in ("RESUME", "NOP", "CACHE", "PRECALL"):
                continue
            local = step.opcode in dis.haslocal
            self._add(step.opname, step.arg if local or step.opcode in dis.hasjrel or step.opcode in dis.hasjabs else "")
            if not local and step.arg is not None:
                if isinstance(step.argval, tuple | types.CodeType | frozenset):
                    self._describe(step.argval, depth + 1, "constant")
                else:
                    self._add(type(step.argval).__name__, repr(step.argval))

    def _class(self, value: type, depth: int) -> None:
        self._add("class", value.__qualname__)
        for kind in value.__mro__:
            if not _is_users(kind.__module__):
                self._add(kind.__module__, kind.__qualname__)
                continue
            for name, member in sorted(vars(kind).items()):
                found = getattr(member, "__func__", getattr(member, "fget", member))
                if name not in OF_CLASSES and isinstance(found, (types.FunctionType, *PLAIN, list, tuple, dict, np.ndarray)):
                    self._add(name)
                    self._describe(found, depth + 1, name)

    def _object(self, value: Any, depth: int, name: str, *, whole: bool) -> None:
        """An object: of the user's own class with its state, else the function behind it or the name of its class."""
        load = getattr(type(value), "fingerprinted", None)
        if load is not None:  # what stands for code elsewhere says where it is
            self._describe(load(value), depth + 1, name, whole=True)
            return
        kind = type(value)
        if _is_users(kind.__module__):
            self._class(kind, depth + 1)
            state = dict(getattr(value, "__dict__", {}))
            state |= {slot: getattr(value, slot) for slot in getattr(kind, "__slots__", ()) if hasattr(value, slot)}
            for attribute in sorted(state):
                self._add(attribute)
                self._describe(state[attribute], depth + 1, f"{name}.{attribute}")
            return
        self._add(kind.__module__, kind.__qualname__, getattr(value, "__name__", ""))
        for attribute in BEHIND:
            found = inspect.getattr_static(value, attribute, None)
            found = getattr(value, attribute, None) if found is not None else None
            if inspect.isfunction(found):
                self._describe(found, depth + 1, name, whole=whole)
                return
        if isinstance(value, VALUES):
            self._add(repr(value))


def _parts(value: Any) -> list[Any] | None:
    """What a value consists of, None where it is no such value."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, dict | types.MappingProxyType):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    return list(value) if isinstance(value, list | tuple) else None


def _is_generator(value: Any) -> bool:
    """Whether random numbers are drawn from it that follow from no number that a simulator is given."""
    if isinstance(value, np.random.RandomState):
        return value is not np.random.mtrand._rand
    if isinstance(value, np.random.Generator | np.random.BitGenerator):
        return True
    if isinstance(value, random.Random):
        return value is not getattr(random, "_inst", None)
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Generator) and value is not torch.default_generator


def _is_users(module: str | None) -> bool:
    """Whether a module is the user's own: in no folder of installed packages or of Python, and no part of the zoo."""
    if module is None or module.partition(".")[0] in ("zoo", "builtins"):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return module not in sys.builtin_module_names and module not in sys.stdlib_module_names
    path = Path(file).resolve()
    return "site-packages" not in path.parts and not any(path.is_relative_to(folder) for folder in LIBRARIES)


def _names_in(code: types.CodeType) -> dict[str, list[str]]:
    """Globals that code and the functions inside it use, each with all attributes that are taken of anything."""
    names: dict[str, None] = {}
    attributes: dict[str, None] = {}
    codes = [code]
    while codes:
        one = codes.pop()
        codes += [constant for constant in one.co_consts if isinstance(constant, types.CodeType)]
        for step in dis.get_instructions(one):
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names[step.argval] = None
            elif step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                attributes[step.argval] = None
    return {name: list(attributes) for name in names}
