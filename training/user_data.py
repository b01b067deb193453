"""A user's columns as a data set: matched to a model's tensors, and split so that no group is on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.data.dataset import Rows, Split
from zoo.errors import InputError, option
from zoo.families.base import ZooModel
from zoo.model.handed_in.columns import Columns, said
from zoo.model.handed_in.on_disk import OnDisk
from zoo.model.handed_in.tensors import element_units, expect_chosen, inputs_of_columns, lacking
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, ModelSpec, Tensor
from zoo.seeds import generator
from zoo.training.checks import expect_fixed

HELD_OUT = 0.2
"""Share of the groups in the validation split, and in the test split."""
LEAST = 20
"""Fewest groups: twelve to train on, four to stop by and four to judge by."""


class UserData:
    """Rows of a user, a `Dataset`.

    Parameters
    ----------
    columns : Columns
        What the user gave.
    model : ZooModel
        Model whose ``call`` takes the rows, with the head that is to be trained.
    spec : ModelSpec
        Spec of the parent: names, shapes and units of the tensors.
    target : str or sequence of str, optional
        Column or columns of the target; by default those named after the model's first output.
    group : str, optional
        Column that names the simulation, object or run of each row; by default every row is its own.
    weights : str, optional
        Column of event weights, of either sign; by default all rows count the same.
    matched : mapping of str to sequence of str, optional
        Columns of each tensor by its name, where they are not called after it.
    units : mapping of str to str, optional
        Units of columns by name, of which the file says none.
    outputs : int, optional
        Number of outputs of a new head, whose target is another quantity than the parent's; None where the parent's is kept.
    seed : int
        Seed of the split.

    Raises
    ------
    InputError, UnknownNameError
        Saying which column was expected, what was given and what to do.
    """

    simulator = "not known: data of a user"
    units: Mapping[str, str] = {}

    def __init__(
        self,
        columns: Columns,
        model: ZooModel,
        spec: ModelSpec,
        *,
        target: str | Sequence[str] | None = None,
        group: str | None = None,
        weights: str | None = None,
        matched: Mapping[str, Sequence[str]] | None = None,
        units: Mapping[str, str] | None = None,
        outputs: int | None = None,
        seed: int = 0,
    ) -> None:
        self.columns, self.seed, self._units = columns, seed, dict(units or {})
        self.target_names: list[str] = []
        self.target_unit: str | None = None
        self.labels: list[str] | None = None
        """Labels of the classes, where a new head tells them apart."""
        endpoint = spec.endpoint(model.data_endpoint)
        for name in filter(None, (group, weights)):
            columns.one(name)
        matched = dict(matched or {})
        expect_chosen(columns, endpoint, matched, self._units)
        expect_fixed(endpoint.outputs[0])
        *_, last = endpoint.inputs
        found = [columns.find(tensor, matched.get(tensor.name)) or [] for tensor in endpoint.inputs]
        self._used = [name for some in found for name in some] + [name for name in (group, weights) if name]
        rows = columns.rows(self._used)
        if rows == 0 and any(found):
            raise InputError(f"{columns.source}: expected rows, given none")
        self.description = f"{rows} rows of {columns.source}"
        free = any(tensor.free for tensor in endpoint.inputs)
        self._inputs = (
            self._of_several_lengths(endpoint, matched)
            if free
            else {
                tensor.name: self._input(model, tensor, matched.get(tensor.name), tensor is endpoint.inputs[0], tensor is last)
                for tensor in endpoint.inputs
            }
        )
        queries = 1 if free else _width(np.shape(self._inputs[last.name])[1:]) // _width(last.fixed_shape)
        own = model.own_target(self._inputs)
        if own is not None and target is not None:
            raise InputError(f"{spec.name} takes no target beside its inputs: leave out target {target!r}")
        self._target = own if own is not None else self._targets(model, endpoint.outputs[0], target, outputs, queries)
        quantities = {name for some in found for name in some} | set(() if model.classes else self.target_names)
        if unused := [name for name in self._units if name not in quantities]:
            raise InputError(
                f"{columns.source}: expected units of columns that inputs or a quantity to be predicted are read from, given"
                f" one of {said(unused)}"
            )
        groups = np.arange(rows) if group is None else np.unique(columns.labels(group), return_inverse=True)[1]
        self._group = groups.reshape(-1)
        self._weight = None if weights is None else columns.weights(weights)
        if weights is None:
            columns.warn_of_weights({*self._used, *self.target_names, group})
        strata = None if model.classes is None else self._target[:, 0]
        self._chosen = _split(self._group, strata, seed, columns.source, group)
        self._cut: dict[Split, Rows] = {}

    def numbers(self, split: Split) -> np.ndarray:
        """Which row of the user's each row of a split is, (n,)."""
        return self._chosen[split]

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        if split not in self._cut:
            chosen = self._chosen[split]
            inputs = {name: _of(array, chosen) for name, array in self._inputs.items()}
            weight = None if self._weight is None else self._weight[chosen]
            self._cut[split] = Rows(inputs, _of(self._target, chosen), self._group[chosen], weight=weight)
        return self._cut[split]

    def _of_several_lengths(self, endpoint: Endpoint, matched: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        """Inputs of which a row has any number of elements, padded to the longest."""
        inputs = inputs_of_columns(self.columns, endpoint, chosen=matched, units=self._units)
        try:  # what is out of range or no number is looked at with the row that it is in, when training rows are
            return InputCheck(endpoint)(inputs, allow_nonfinite=True, allow_out_of_range=True)
        except InputError as error:
            raise InputError(f"{self.columns.source}: {error}") from error

    def _input(self, model: ZooModel, tensor: Tensor, chosen: Sequence[str] | None, first: bool, last: bool) -> Any:
        shape, width = tuple(tensor.fixed_shape), _width(tensor.fixed_shape)
        names = self.columns.find(tensor, chosen)
        if names is None:
            raise lacking(self.columns, tensor, choosable=True)
        given = self.columns.shape(names)
        if len(given) == 1 and given != shape:
            if last and model.asks_many and given[0] and given[0] % width == 0:
                shape = given
            elif first and _takes(model, given[0]):
                raise InputError(
                    f"{self.columns.source}: expected {said(names)} to hold rows of {width} numbers, given {given[0]}: choose"
                    " the columns that belong to it, or ask for a new first layer that takes them all with"
                    f" {option('inputs', str(given[0]))}"
                )
        return self._array(names, shape, element_units(tensor, shape), tensor.floats)

    def _array(
        self, names: Sequence[str], shape: tuple[int, ...], wanted: Sequence[str] | None, dtype: str = "float32"
    ) -> np.ndarray | OnDisk:
        """Columns as numbers of a dtype, or on disk where they lie there."""
        return self.columns.array(names, shape, wanted, self._units, on_disk=True).astype(dtype)

    def _targets(
        self, model: ZooModel, output: Tensor, target: str | Sequence[str] | None, outputs: int | None, queries: int
    ) -> np.ndarray | OnDisk:
        chosen = target.split(",") if isinstance(target, str) else list(target or [])
        width = 1 if model.classes else queries * (_width(output.fixed_shape) if outputs is None else outputs)
        single = ",".join(chosen) or output.name
        several = len(chosen) > 1 and outputs is None  # which are the elements of the parent's output, by their names
        named = output if several or not chosen else output.model_copy(update={"name": single, "axes": []})
        # An output whose elements are called as those of an input is not in the columns of the input.
        there = self.columns if chosen else self.columns.without(self._used)
        names = there.find(named, chosen if len(chosen) > 1 else None)
        names = names if names is None or chosen else [there.in_full(name) for name in names]
        if names is None:
            if chosen:
                self.columns.one(single)  # says what is near
            raise InputError(
                f"{self.columns.source}: expected a target column {output.name} ({output.description}), given"
                f" {self.columns.there()}{self.columns.meant(output)}: say which it is, {option('target', 'NAME')}"
            )
        self.columns.rows([*self._used, *names])
        self.target_names = names if len(chosen) != 1 else chosen
        if model.classes:
            if len(names) > 1:
                raise InputError(
                    f"{self.columns.source}: expected one column that says the class of each row, given {said(names)}: write"
                    f" the number or the name of the class into one, {option('target', 'NAME')}"
                )
            return self._classes(names[0], model.classes, outputs is not None)
        if outputs is not None:
            self.target_unit = self._units.get(names[0], self.columns.one(names[0]).unit) or "1"
        return self._array(names, (width,), element_units(output, (width,)) if outputs is None else None)

    def _classes(self, name: str, classes: int, new_head: bool) -> np.ndarray:
        """Numbers (n, 1) of the classes from 0."""
        values = self.columns.labels(name)
        where = f"{self.columns.source}: target {name}"
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{where}: expected a class in every row, given none in row {row}: remove that row")
        found = np.unique(values)
        if len(found) == 1:
            raise InputError(
                f"{where}: expected rows of {classes} classes, given {found[0]} in all {len(values)} rows: a classifier needs"
                " rows of each class"
            )
        if values.dtype.kind == "f" and (found % 1 != 0).any():
            raise InputError(
                f"{where}: expected classes as whole numbers or names, given {found[found % 1 != 0][0]:g}: for a quantity, ask"
                f" for a regressor with {option('task', repr('regression'), 'regression')}, and outputs"
            )
        if len(found) > classes:
            shown = ", ".join(map(str, found[:6])) + (", ..." if len(found) > 6 else "")
            raise InputError(
                f"{where}: expected {classes} classes, given {len(found)} ({shown}): ask for a new head with"
                f" {option('outputs', str(len(found)))}"
            )
        if new_head:
            self.labels = [f"{value:g}" if values.dtype.kind == "f" else str(value) for value in found]
            if len(found) < classes:
                raise InputError(
                    f"{where}: expected rows of {classes} classes, given {', '.join(self.labels)}: ask for as many outputs"
                )
            values = np.searchsorted(found, values)
        elif values.dtype.kind not in "biuf" or found.min() < 0 or found.max() >= classes:
            raise InputError(
                f"{where}: expected the numbers 0 to {classes - 1} that this model gives probabilities for, given"
                f" {', '.join(map(str, found))}: write them so, or ask for a new head with"
                f" {option('outputs', str(1 if classes == 2 else classes))}"
            )
        return values.astype(np.float32)[:, None]


def _takes(model: ZooModel, inputs: int) -> bool:
    """Whether the family can have another input length."""
    try:
        model.with_inputs(inputs)
    except InputError:
        return False
    return True


def _width(shape: int | Sequence[int]) -> int:
    return int(np.prod(shape, dtype=int))


def _of(array: np.ndarray | OnDisk, rows: np.ndarray) -> np.ndarray | OnDisk:
    return array.of(rows) if isinstance(array, OnDisk) else array[rows]


def _split(group: np.ndarray, strata: np.ndarray | None, seed: int, source: str, named: str | None) -> dict[Split, np.ndarray]:
    """Rows of each split: every fifth group is held out to stop, every fifth to judge.

    Groups come in random order, by class where there are classes.
    """
    members, first = np.unique(group, return_index=True)
    rows = f"groups of {named}" if named else "rows"
    needed = LEAST if strata is None else max(LEAST, 5 * len(np.unique(strata)))
    if len(members) < needed:
        raise InputError(
            f"{source}: expected at least {needed} {rows}, so that a fifth to stop by and a fifth to judge by can be held out,"
            f" given {len(members)}: a few hundred are a good start"
        )
    order = generator(seed).permutation(len(members))
    if strata is not None:
        order = order[np.argsort(strata[first[order]], kind="stable")]
    place = np.empty(len(members), int)
    place[order] = np.arange(len(members))
    fifth = (place % round(1 / HELD_OUT))[np.searchsorted(members, group)]
    return {"train": np.flatnonzero(fifth > 1), "validation": np.flatnonzero(fifth == 1), "test": np.flatnonzero(fifth == 0)}
