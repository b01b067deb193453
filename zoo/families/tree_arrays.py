"""Boosted trees of scikit-learn as plain arrays and back: the one place that knows how it keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sklearn.ensemble import HistGradientBoostingRegressor

FIELDS: dict[str, type] = {
    "value": np.float64,
    "count": np.uint32,
    "feature_idx": np.uint32,
    "num_threshold": np.float64,
    "missing_go_to_left": np.uint8,
    "left": np.uint32,
    "right": np.uint32,
    "gain": np.float64,
    "depth": np.uint32,
    "is_leaf": np.uint8,
}
"""What is kept of a node, by scikit-learn's names: answers, and what partial dependence and SHAP values need."""
FIRST, BASELINE = "first", "baseline"
"""Names of the first node of each tree, and one past the last (trees + 1,); and of the answer before the first tree (1,)."""


def to_arrays(regressor: HistGradientBoostingRegressor) -> dict[str, np.ndarray]:
    """All trees, one after the other: (nodes,) of each field, ``first`` (trees + 1,) and ``baseline`` (1,)."""
    with _known_internals():
        trees = [tree.nodes for (tree,) in regressor._predictors]
        arrays: dict[str, np.ndarray] = {
            field: np.concatenate([nodes[field] for nodes in trees]).astype(kind) for field, kind in FIELDS.items()
        }
        arrays[FIRST] = np.cumsum([0, *(len(nodes) for nodes in trees)], dtype=np.uint32)
        arrays[BASELINE] = np.asarray(regressor._baseline_prediction, np.float64).reshape(1)
    return arrays


def from_arrays(arrays: Mapping[str, np.ndarray], inputs: int, **settings: float) -> HistGradientBoostingRegressor:
    """A fitted regressor of ``inputs`` features with the trees of checked arrays; ``settings`` are scikit-learn's own.

    It is fitted on two rows of nothing, which sets whatever this scikit-learn sets, before it gets its trees.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    bounds = arrays[FIRST].astype(np.int64)
    regressor = HistGradientBoostingRegressor(max_iter=1, early_stopping=False, **settings)
    regressor.fit(np.zeros((2, inputs)), np.zeros(2))
    with _known_internals():
        ((tree,),) = regressor._predictors
        nodes = np.zeros(bounds[-1], tree.nodes.dtype)
        for field in FIELDS:
            nodes[field] = arrays[field]
        rest = (tree.binned_left_cat_bitsets, tree.raw_left_cat_bitsets)
        regressor._predictors = [[type(tree)(nodes[start:stop].copy(), *rest)] for start, stop in pairwise(bounds)]
        regressor._baseline_prediction = arrays[BASELINE].reshape(regressor._baseline_prediction.shape)
    return regressor.set_params(max_iter=len(bounds) - 1)


def first_trees(arrays: Mapping[str, np.ndarray], trees: int) -> dict[str, np.ndarray]:
    """The arrays of the first so many trees."""
    nodes = int(arrays[FIRST][trees])
    kept = {field: arrays[field][:nodes] for field in FIELDS}
    return kept | {FIRST: arrays[FIRST][: trees + 1], BASELINE: arrays[BASELINE]}


def check(arrays: Mapping[str, np.ndarray], inputs: int) -> None:
    """Refuse what is not a forest over so many features.

    The arrays may come from anybody, and scikit-learn's compiled code follows indices unchecked.

    Raises
    ------
    ValueError
        Naming the array and what was expected: kinds and sizes that agree, finite numbers, features that there are, and
        trees, in which each node but the first is the child of one earlier node.
    """
    first = _whole("first", arrays[FIRST])
    if len(first) < 2 or first[0] != 0 or (np.diff(first) < 1).any():
        raise ValueError(f"{FIRST}: expected the first nodes of one tree at least, in growing order from 0")
    n = int(first[-1])
    for name, size in {**dict.fromkeys(FIELDS, n), BASELINE: 1}.items():
        if arrays[name].shape != (size,):
            raise ValueError(f"{name}: expected shape ({size},), given {arrays[name].shape}")
    for name in (BASELINE, *(field for field, kind in FIELDS.items() if kind is np.float64)):
        if arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name}: expected finite floating-point numbers")
    whole = {field: _whole(field, arrays[field]) for field, kind in FIELDS.items() if kind is not np.float64}
    for name in ("missing_go_to_left", "is_leaf"):
        if (whole[name] > 1).any():
            raise ValueError(f"{name}: expected 0 or 1")
    start = np.repeat(first[:-1], np.diff(first))
    inner = whole["is_leaf"] == 0
    if (whole["feature_idx"][inner] >= inputs).any():
        raise ValueError(f"feature_idx: expected features below {inputs}, given {whole['feature_idx'][inner].max()}")
    parents = np.zeros(n, np.int64)
    for side in ("left", "right"):
        child, own = (start + whole[side])[inner], np.flatnonzero(inner)
        # A child lies beyond its parent, so that every path ends, and within the parent's tree.
        if (child <= own).any() or (child >= np.repeat(first[1:], np.diff(first))[inner]).any():
            raise ValueError(f"{side}: expected children between their parent and the end of its tree")
        parents += np.bincount(child, minlength=n)
    roots = np.zeros(n, bool)
    roots[first[:-1]] = True
    if not np.array_equal(parents, np.where(roots, 0, 1)):
        raise ValueError("left, right: expected each node but a tree's first to be the child of one node")


def _whole(name: str, array: np.ndarray) -> np.ndarray:
    """A one-dimensional array of whole numbers that 32 bits hold, as int64."""
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected whole numbers in one dimension, given {array.dtype} of shape {array.shape}")
    if array.size and (array.min() < 0 or array.max() >= 2**31):
        raise ValueError(f"{name}: expected numbers from 0 to 2^31 - 1, given {array.min()} to {array.max()}")
    return array.astype(np.int64)


@contextmanager
def _known_internals() -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        from sklearn import __version__

        raise ZooError(
            f"scikit-learn {__version__} keeps its boosted trees otherwise than 1.5 to 1.9 do ({error}): install one of those"
        ) from error
