"""Explanation methods: what there is, in words, and what each takes.

A method is one function with one registration, in any file of ``attribution``, ``latents`` or ``trust``, or in an installed
package that names it and its module in the entry point group ``zoo.explanations``; that module is imported when the method is
asked for. Help, options and errors follow from the registration. The files that hold methods load neither Keras nor
scikit-learn before a method is run.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.registration import entry_points, load_named

if TYPE_CHECKING:
    import numpy as np

    from zoo.data.dataset import Rows

GROUP = "zoo.explanations"
"""Entry point group of installed packages; an entry point carries a method's name and names the module that registers it."""
ROOMS = ("attribution", "latents", "trust")
"""Folders beside this file whose modules may register methods."""

Kind = Literal["attribution", "global", "trust"]
"""What each element of given rows contributes; what the model does over all rows; whether attributions can be believed."""
Asks = Literal["rows", "data", "nothing"]
"""Given rows; many rows of a data set with their truth; the model alone."""
KINDS: dict[Kind, str] = {"attribution": "Attribution methods", "global": "Global methods", "trust": "Trust methods"}
CHOICE = ("endpoint", "output", "target", "wrt")
"""Options that say which number of a model is explained, and by which tensor."""


@dataclass(frozen=True)
class ExplanationMethod:
    """A registered method.

    Attributes
    ----------
    name : str
        Its name, in Python and on the command line.
    summary : str
        What it tells, in some words of a help text.
    function : callable
        An attribution takes an `Answer`, rows and their baseline and returns contributions of the shape of the rows; another
        method takes `Asked` and returns a `Result`. Keywords with a default are options.
    kind : str
        Under which heading it stands.
    asks : str
        What it is asked on.
    baseline : bool
        Whether an attribution is measured from a baseline.
    requires : callable, optional
        Takes the model and the name of the method; raises ExplanationError where the model does not have what it needs.
    endpoint : str, optional
        Endpoint whose inputs it asks for, where it is always the same.
    rows : int
        Rows of a data set at most that it takes by default.
    weighs : bool
        Whether rows of a data set count by their event weights.
    takes_away : bool
        Whether it takes elements of a set away by their mask, and so is given None as their baseline unless one is asked for.
    """

    name: str
    summary: str
    function: Callable[..., Any]
    kind: Kind
    asks: Asks
    baseline: bool = False
    requires: Callable[[Any, str], object] | None = None
    endpoint: str | None = None
    rows: int = 1000
    weighs: bool = False
    takes_away: bool = False

    @property
    def keywords(self) -> dict[str, Any]:
        """The options of the function with their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}

    @property
    def options(self) -> set[str]:
        """Every option that it takes: its own, which number it explains, how many rows of a data set and by which weights."""
        kinds = {one.kind for one in inspect.signature(self.function).parameters.values()}
        chooses = self.kind == "attribution" or inspect.Parameter.VAR_KEYWORD in kinds
        return {*self.keywords, *(CHOICE if chooses else ()), *self._of_data}

    @property
    def _of_data(self) -> list[str]:
        return ["rows"] * (self.asks == "data") + ["weights"] * self.weighs

    def check(self, model: Any) -> None:
        """Refuse a model that does not have what the method needs.

        Parameters
        ----------
        model : EndpointModel
            The model that is to be explained.

        Raises
        ------
        ExplanationError
            Saying what is missing.
        """
        if self.requires is not None:
            self.requires(model, self.name)


@dataclass(frozen=True)
class Asked:
    """What a method that is no attribution is asked on.

    Attributes
    ----------
    model : EndpointModel
        The model.
    inputs : mapping of str to ndarray
        Rows of the endpoint's input tensors.
    data : Rows, optional
        The same rows with their truth, for a method that asks for data.
    quantities : sequence of str, optional
        Physical quantities of the data that are to be looked for; all of them by default.
    """

    model: Any
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    data: Rows | None = None
    quantities: Sequence[str] | None = None

    @property
    def rows(self) -> Rows:
        """The rows with their truth.

        Raises
        ------
        InputError
            No rows are given.
        """
        if self.data is None:
            raise InputError("expected rows of a data set with their truth, and none are given")
        return self.data


_methods: dict[str, ExplanationMethod] = {}
_complete = False


def explanation_method(
    name: str,
    summary: str,
    *,
    kind: Kind = "attribution",
    asks: Asks = "rows",
    baseline: bool = False,
    requires: Callable[[Any, str], object] | None = None,
    endpoint: str | None = None,
    rows: int = 1000,
    weighs: bool = False,
    takes_away: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the decorated function as a method of explaining; the parameters are those of `ExplanationMethod`.

    Parameters
    ----------
    name : str
        Its name.
    summary : str
        What it tells.
    kind : str
        Under which heading it stands.
    asks : str
        What it is asked on.
    baseline : bool
        Whether an attribution is measured from a baseline.
    requires : callable, optional
        Raises ExplanationError for a model that does not have what the method needs.
    endpoint : str, optional
        Endpoint whose inputs it asks for, where it is always the same.
    rows : int
        Rows of a data set at most that it takes by default.
    weighs : bool
        Whether rows of a data set count by their event weights.
    takes_away : bool
        Whether it takes elements of a set away by their mask.

    Returns
    -------
    callable
        The decorator, which leaves the function as it is.

    Raises
    ------
    ValueError
        Another function has that name.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        known = _methods.get(name)
        if known is not None and _place(known.function) != _place(function):
            raise ValueError(f"two explanation methods are named {name!r}: {_place(known.function)} and {_place(function)}")
        _methods[name] = ExplanationMethod(
            name, summary, function, kind, asks, baseline, requires, endpoint, rows, weighs, takes_away
        )
        return function

    return register


def _place(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def registered(kind: Kind | None = None) -> dict[str, ExplanationMethod]:
    """Every method of this package, and of others what this process has defined or asked for.

    Parameters
    ----------
    kind : str, optional
        The kind that they must be of; all by default.

    Returns
    -------
    dict of str to ExplanationMethod
        Methods by name, heading by heading and sorted under each.
    """
    global _complete
    if not _complete:
        for room in ROOMS:
            for module in pkgutil.iter_modules([str(Path(__file__).with_name(room))]):
                importlib.import_module(f"zoo.interpret.{room}.{module.name}")
        _complete = True
    order = list(KINDS)
    found = sorted(_methods.values(), key=lambda method: (order.index(method.kind), method.name))
    return {method.name: method for method in found if kind in (None, method.kind)}


def method_named(name: str, kind: Kind | None = None) -> ExplanationMethod:
    """A method by name.

    Parameters
    ----------
    name : str
        Name of the method.
    kind : str, optional
        The kind that it must be of.

    Returns
    -------
    ExplanationMethod
        The method.

    Raises
    ------
    UnknownNameError
        No such method, with the nearest names.
    """
    if name not in registered():
        load_named(GROUP, name)
    methods = registered(kind)
    if name not in methods:
        raise UnknownNameError(f"{kind} method" if kind else "method", name, {*methods, *_not_imported()})
    return methods[name]


def _not_imported() -> list[str]:
    """Names of methods of installed packages that nobody has asked for yet."""
    return sorted({entry_point.name for entry_point in entry_points(GROUP)} - registered().keys())


def differentiable(model: Any, method: str) -> None:
    """Refuse a model whose answers have no derivative.

    Parameters
    ----------
    model : EndpointModel
        The model.
    method : str
        Name of the method that needs one.

    Raises
    ------
    ExplanationError
        The model has no gradient; with the reason and what explains it instead.
    """
    if reason := model.no_gradient:
        raise ExplanationError(f"method {method!r} needs gradients, and {type(model).__name__} has none: {reason}")


def possible(model: Any) -> list[str]:
    """Attribution methods that a model allows.

    Parameters
    ----------
    model : EndpointModel
        The model.

    Returns
    -------
    list of str
        Names of methods.
    """
    found = []
    for name, method in registered("attribution").items():
        try:
            method.check(model)
        except ExplanationError:
            continue
        if model.no_baseline is None or method.takes_away or not method.baseline:
            found.append(name)
    return found


def default_attribution(model: Any) -> str:
    """The attribution method that is taken where none is asked for.

    Parameters
    ----------
    model : EndpointModel
        The model.

    Returns
    -------
    str
        Integrated gradients, or occlusion of a model without gradients or without a baseline.
    """
    return "integrated_gradients" if model.no_gradient is None and model.no_baseline is None else "occlusion"


def given_options(method: ExplanationMethod, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that are given, of those that a user can give.

    Parameters
    ----------
    method : ExplanationMethod
        The method that takes them.
    options : mapping of str to object
        Options by name; None is as good as none.

    Returns
    -------
    dict of str to object
        The options that are not None.

    Raises
    ------
    InputError
        The method does not take an option; naming those that do.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in method.options:
            takers = [other.name for other in registered().values() if name in other.options]
            raise InputError(f"--method {method.name} takes no --{name}, which goes with {', '.join(takers)}")
    return given


def described(options: Sequence[str] = ()) -> str:
    """Help for all methods.

    Parameters
    ----------
    options : sequence of str
        Options of the command line that are named where a method takes them.

    Returns
    -------
    str
        One line a method, under its heading; of methods that are not imported yet the names.
    """
    methods = registered()
    width = max(map(len, methods))
    parts = []
    for kind, heading in KINDS.items():
        lines = []
        for method in registered(kind).values():
            own = "".join(f"; --{option}" for option in options if option in method.keywords and option not in CHOICE)
            lines.append(f"  {method.name:{width}}  {method.summary}{own}")
        parts.append("\b\n" + f"{heading}\n" + "\n".join(lines))
    if theirs := _not_imported():
        parts.append("\b\n" + "\n  ".join(["Methods of installed packages", *theirs]))
    return "\n\n".join(parts)
