"""Global importance: how much worse a model answers without an input, and how much its trees gained by splitting on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ExplanationError, InputError
from zoo.families.contracts import Trees
from zoo.interpret.attribution.patches import MOST, shells, tiles
from zoo.interpret.attribution.scalar_output import name_of, spec_of
from zoo.interpret.elements import axes_of, cell_side, element_names, layout
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result
from zoo.model.axes import Axis, Coordinates
from zoo.model.handed_in.tensors import numbers_alone
from zoo.seeds import SHORT, expect_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from zoo.interpret.attribution.scalar_output import Answer

LISTED = 10
"""Groups that a table shows."""


@dataclass(frozen=True, eq=False)
class Importance(Result):
    """Importance of groups of features.

    Attributes
    ----------
    values : ndarray
        The importance of each group in each repeat, of shape (groups, repeats).
    names : list of str
        Names of the groups.
    label : str
        What the values are.
    model : str
        Name of the model.
    score : float, optional
        Minus the mean squared error of the undisturbed model on the same rows, None where no rows were asked.
    axis : Axis, optional
        The axis along which the groups lie, None where they lie along none.
    """

    values: np.ndarray
    names: list[str]
    label: str
    model: str
    score: float | None = None
    axis: Axis | None = None

    @property
    def mean(self) -> np.ndarray:
        """The mean over repeats, of shape (groups,)."""
        return self.values.mean(axis=1)

    def table(self) -> Table:
        """The most important groups, of each the mean and, of several repeats, their range."""
        from rich.table import Table

        table = Table(title=f"{self.model}: {self.label}", title_justify="left", title_style="bold")
        table.add_column("input", overflow="fold")
        for column in ("mean", "least", "most") if self.values.shape[1] > 1 else ("importance",):
            table.add_column(column, justify="right")
        order = np.argsort(-self.mean, kind="stable")[:LISTED]
        for place in order:
            repeats = self.values[place]
            numbers = (repeats.mean(), repeats.min(), repeats.max())[: len(table.columns) - 1]
            table.add_row(self.names[place], *(f"{number:.3g}" for number in numbers))
        if len(order) < len(self.names):
            table.caption, table.caption_justify = f"the first {len(order)} of {len(self.names)}", "left"
        return table

    def plot(self) -> Figure:
        """Bars, the most important group first; of more than 30 groups a curve."""
        from zoo.interpret import plots

        return plots.importance_of_groups(self)


def permutation_importance(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    truth: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    groups: Mapping[str, Sequence[int]] | None = None,
    patch: int | None = None,
    repeats: int = 5,
    scoring: str | Callable[..., float] = "neg_mean_squared_error",
    endpoint: str | None = None,
    output: str | None = None,
    target: int | str = 0,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> Importance:
    """How much a score falls when a group of features is shuffled among the rows (Breiman 2001), through scikit-learn.

    Correlated features stand in for each other: shuffle them as one group.

    Parameters
    ----------
    inputs : ndarray or mapping of str to ndarray
        Rows of shape (n, ...), or an array for each input tensor of the endpoint by name.
    truth : ndarray
        What the model should answer, of shape (n,) or (n, 1); 0 or 1 for a probability, whose default score is then Brier's.
    weight : ndarray, optional
        Event weights, of either sign, by which rows count in the score, of shape (n,).
    groups : mapping of str to sequence of int, optional
        Name -> elements that are shuffled together, counted through all input tensors in C order. Default: single elements,
        shells about the middle of a cube, patches of whatever has more than 256 elements.
    patch : int, optional
        Elements along a side of a patch, instead of that default.
    repeats : int
        Shuffles of each group.
    scoring : str or callable
        The name that scikit-learn has for a score of a regressor, or a function of estimator, features and truth.
    endpoint : str, optional
        The explained number, as `as_estimator` takes it.
    output : str, optional
        The explained number, as `as_estimator` takes it.
    target : int or str
        The explained number, as `as_estimator` takes it.
    allow_out_of_range : bool
        The explained number, as `as_estimator` takes it.

    Raises
    ------
    InputError
        Truth or weights of another shape, an unknown element, or bad inputs.
    """
    from sklearn.base import BaseEstimator
    from sklearn.inspection import permutation_importance as importance_of_columns

    from zoo.interpret.estimator import as_estimator

    expect_seed(seed, below=SHORT)
    estimator, features = as_estimator(
        model, inputs, endpoint=endpoint, output=output, target=target, allow_out_of_range=allow_out_of_range
    )
    truth = numbers_alone(truth, "truth").astype(float)
    if truth.shape not in ((len(features),), (len(features), 1)):
        raise InputError(f"truth: expected {len(features)} numbers, one a row, given shape {truth.shape}")
    if not np.isfinite(truth).all():
        raise InputError(f"truth: {np.count_nonzero(~np.isfinite(truth))} values are NaN or infinite")
    if weight is not None and (np.shape(weight) != (len(features),) or not np.sum(weight) > 0):
        raise InputError(f"weight: expected {len(features)} numbers with a positive sum, given shape {np.shape(weight)}")
    axis = default_axis(estimator.answer, patch) if groups is None else None
    chosen = default_groups(estimator.answer, patch) if groups is None else _checked(groups, features.shape[1])
    of_element = np.full(features.shape[1], len(chosen))
    for number, members in enumerate(chosen.values()):
        of_element[members] = number
    own = np.arange(len(features))

    class OfRowNumbers(BaseEstimator):
        """Which row each group is taken from -> answers: scikit-learn shuffles one column, which here is a whole group."""

        def fit(self, X: np.ndarray, y: Any = None) -> OfRowNumbers:
            return self

        def predict(self, X: np.ndarray) -> np.ndarray:
            rows = np.column_stack([X, own])
            size = max(1, 2**24 // features.shape[1])
            parts = (rows[start : start + size] for start in range(0, len(rows), size))
            answers = (estimator.predict(features[part[:, of_element], np.arange(len(of_element))]) for part in parts)
            return np.concatenate(list(answers))

    found = importance_of_columns(
        OfRowNumbers(),
        np.repeat(own[:, None], len(chosen), axis=1),
        truth.reshape(-1),
        n_repeats=repeats,
        random_state=seed,
        scoring=scoring,
        sample_weight=weight,
    )
    score = -float(np.average((estimator.predict(features) - truth.reshape(-1)) ** 2, weights=weight))
    told = scoring.removeprefix("neg_").replace("_", " ") if isinstance(scoring, str) else "score"
    return Importance(found.importances, list(chosen), f"permutation importance [{told}]", name_of(model), score, axis)


def _comparable(model: Any, method: str) -> None:
    if model.answers_with == "log density":
        raise ExplanationError(
            f"{method} compares answers with the truth, and {name_of(model)} answers with a log density:"
            " partial_dependence and occlusion need no truth"
        )


@explanation_method(
    "permutation_importance",
    "what answers lose when an input is shuffled among rows",
    kind="global",
    asks="data",
    requires=_comparable,
    weighs=True,
)
def _permutation(
    asked: Asked, *, patch: int | None = None, endpoint: str | None = None, output: str | None = None, target: int | str = 0
) -> Importance:
    from zoo.interpret.estimator import as_estimator

    data = asked.rows
    if data.target is next(iter(data.inputs.values())):
        raise InputError("permutation_importance needs what the model should answer: a column or an array named target")
    truth = numbers_alone(data.target, "target").reshape(len(data), -1)
    estimator, _ = as_estimator(
        asked.model, asked.inputs, endpoint=endpoint, output=output, target=target, allow_out_of_range=True
    )
    number = estimator.answer.target
    if not 0 <= number < truth.shape[1]:
        raise InputError(f"target: expected 0 to {truth.shape[1] - 1}, given {number}")
    return permutation_importance(
        asked.model,
        asked.inputs,
        truth[:, number],
        weight=data.weight,
        patch=patch,
        endpoint=endpoint,
        output=output,
        target=number,
        allow_out_of_range=True,
    )


def _has_trees(model: Any, method: str) -> None:
    if not isinstance(model, Trees):
        raise ExplanationError(
            f"{method} needs trees, and {type(model).__name__} has none: permutation_importance needs only answers"
        )


@explanation_method(
    "impurity_importance", "what splits on an input gained, of trees", kind="global", asks="nothing", requires=_has_trees
)
def _impurity(asked: Asked) -> Importance:
    return impurity_importance(asked.model)


def impurity_importance(model: Any) -> Importance:
    """Share of each feature in what the splits of a model's trees gained on the training rows (Breiman et al. 1984).

    Raises
    ------
    ExplanationError
        If the model is not made of trees.
    """
    from zoo.families.tree_arrays import to_arrays

    _has_trees(model, "impurity_importance")
    regressor = model.regressor
    arrays = to_arrays(regressor)
    inner = arrays["is_leaf"] == 0
    gain = np.bincount(arrays["feature_idx"][inner].astype(int), arrays["gain"][inner], regressor.n_features_in_)
    names, axis = [str(number) for number in range(len(gain))], None
    if (spec := spec_of(model)) is not None:
        tensor = spec.endpoint(spec.default_endpoint).inputs[0]
        names, axis = element_names(tensor.name, tensor.axes, tensor.fixed_shape), tensor.axes[-1]
    label = "impurity importance [share of all gains]"
    return Importance((gain / gain.sum())[:, None], names, label, name_of(model), axis=axis)


def default_groups(answer: Answer, patch: int | None) -> dict[str, np.ndarray]:
    """Name -> elements of all inputs side by side: single ones, shells of cubes, patches of what is larger or as asked."""
    from zoo.interpret.estimator import feature_names

    groups: dict[str, np.ndarray] = {}
    elements, start = feature_names(answer), 0
    for name, array in answer.arrays.items():
        shape, size = array.shape[1:], array[0].size
        labels, word = (shells(shape), "shell") if _in_shells(answer, name, patch) else (tiles(shape, patch), "patch")
        single = word == "patch" and labels.max(initial=0) + 1 == size <= MOST
        for number in range(int(labels.max(initial=0)) + 1):
            members = start + np.flatnonzero(labels.ravel() == number)
            groups[elements[members[0]] if single else f"{name} {word} {number}"] = members
        start += size
    return groups


def default_axis(answer: Answer, patch: int | None) -> Axis | None:
    """The axis along which the default groups of the only input lie: its own, or the distance of shells from the middle."""
    if len(answer.arrays) != 1:
        return None
    shape, axes = answer.x.shape[1:], answer.tensor.axes
    if _in_shells(answer, answer.wrt, patch):
        side, unit = cell_side(axes_of(axes, shape))
        distances = side * np.arange(int(shells(shape).max()) + 1)
        return Axis(
            name="distance_from_the_middle",
            size=len(distances),
            coordinates=Coordinates(values=distances.tolist(), unit=unit),
        )
    return axes[0] if len(axes) == 1 and patch is None and answer.x[0].size <= MOST else None


def _in_shells(answer: Answer, name: str, patch: int | None) -> bool:
    shape = answer.arrays[name].shape[1:]
    return patch is None and layout(axes_of(answer.tensors[name].axes, shape), shape) == "cube"


def _checked(groups: Mapping[str, Sequence[int]], elements: int) -> dict[str, np.ndarray]:
    chosen = {name: np.asarray(members, int).reshape(-1) for name, members in groups.items()}
    for name, members in chosen.items():
        if not len(members) or members.min() < 0 or members.max() >= elements:
            raise InputError(f"group {name!r}: expected elements from 0 to {elements - 1}, given {list(groups[name])[:8]}")
    together = np.concatenate(list(chosen.values())) if chosen else np.empty(0, int)
    if not len(chosen) or len(np.unique(together)) < len(together):
        raise InputError("groups: expected at least one group, and each element in one group at most")
    return chosen
