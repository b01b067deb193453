"""The kit for data sets."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from zoo.data.dataset import Dataset, FromUser, Rows, Split

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def check_dataset(dataset: Dataset, *, again: Callable[[], Dataset] | None = None) -> None:
    """Hold a data set to what training, evaluation and a card ask of it.

    Parameters
    ----------
    dataset : Dataset
        The data set, a small one.
    again : callable, optional
        Makes the same data set anew, to see that its seed decides every row; by default its class is called without arguments
        only where it was made so, and the rows of this one are asked for twice.

    Raises
    ------
    AssertionError
        Naming what the data set lacks, and what to do.
    """
    name = type(dataset).__name__
    assert isinstance(dataset, Dataset), f"{name}: give it description, simulator, seed, units and rows(split, epoch)"
    assert dataset.description, f"{name}: say in description what the rows are"
    assert dataset.simulator, f"{name}: say in simulator what made the rows"
    splits = {split: dataset.rows(split) for split in SPLITS}
    other = dataset if again is None else again()
    for split, rows in splits.items():
        _check_rows(f"{name}, {split}", rows, dataset)
        _check_same(f"{name}, {split}: the seed must decide every row, asked twice they differ", rows, other.rows(split))
        if split != "train":
            _check_same(f"{name}, {split}: held-out rows must not change with the epoch", rows, dataset.rows(split, 3))
        shapes, first = _shapes(rows), _shapes(splits["train"])
        assert shapes == first, (
            f"{name}: {split} rows have inputs {shapes}, training rows {first}: make them alike, in one order"
        )
    for a, b in combinations(SPLITS, 2):
        shared = np.intersect1d(splits[a].group, splits[b].group)
        assert not shared.size, (
            f"{name}: {a} and {b} share {shared.size} groups, as {shared[:3]}: split by independent simulation"
        )


def _shapes(rows: Rows) -> dict[str, tuple[int | str, ...]]:
    """Shapes of the inputs after the batch; beside a mask, an axis as long as the mask's may have any length."""
    shapes = {key: np.shape(array)[1:] for key, array in rows.inputs.items()}
    masked = {shapes[key][0] for key, array in rows.inputs.items() if np.asarray(array[:1]).dtype == bool and shapes[key]}
    return {key: tuple("free" if size in masked else size for size in shape) for key, shape in shapes.items()}


def _check_rows(where: str, rows: Rows, dataset: Dataset) -> None:
    n = len(rows)
    assert n > 0, f"{where}: no rows: give each split some"
    assert rows.inputs, f"{where}: no inputs: name at least one tensor"
    for key, array in rows.inputs.items():
        assert len(array) == n, f"{where}: input {key!r} has {len(array)} rows, the target {n}: give one for each"
        kind = np.asarray(array[:2]).dtype
        assert kind in (np.float32, np.float64, np.int32, np.int64, bool), f"{where}: input {key!r} is {kind}: cast it"
        assert np.isfinite(np.asarray(array[:256])).all(), f"{where}: input {key!r} has NaN or infinity: leave such rows out"
    target = np.asarray(rows.target[:256])
    assert target.ndim >= 2, f"{where}: expected a target (n, outputs), given {np.shape(rows.target)}: add an axis"
    assert np.isfinite(target).all(), f"{where}: the target has NaN or infinity: leave such rows out"
    assert np.shape(rows.group) == (n,), f"{where}: group must be (n,), the independent simulation of each row"
    assert rows.weight is None or np.shape(rows.weight) == (n,), f"{where}: weight must be (n,), or None"
    for key, values in rows.truth.items():
        assert np.shape(values) == (n,), f"{where}: truth {key!r} must be (n,), given {np.shape(values)}"
    if not isinstance(dataset, FromUser):
        lacking = rows.truth.keys() - set(dataset.units)
        assert not lacking, f"{where}: state the unit of {', '.join(sorted(lacking))} in units, '1' for a dimensionless number"


def _check_same(said: str, rows: Rows, other: Rows) -> None:
    same = rows.inputs.keys() == other.inputs.keys() and all(
        np.array_equal(np.asarray(array[:64]), np.asarray(other.inputs[key][:64])) for key, array in rows.inputs.items()
    )
    assert same, said
    assert np.array_equal(np.asarray(rows.target[:64]), np.asarray(other.target[:64])), said
    assert np.array_equal(rows.group, other.group), said
