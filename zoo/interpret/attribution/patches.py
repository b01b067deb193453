"""Parts of an input that are taken away together: patches, and shells about the middle of a cube."""

from __future__ import annotations

import math

import numpy as np

from zoo.counts import expect_counts
from zoo.interpret.attribution.scalar_output import Answer, batches
from zoo.progress import track

MOST = 256
"""Patches into which an input is cut by default: single elements up to that many."""


def tiles(shape: tuple[int, ...], patch: int | None = None) -> np.ndarray:
    """Number of the patch that each element lies in.

    Parameters
    ----------
    shape : tuple of int
        The shape of one row.
    patch : int, optional
        Elements along a side of a patch, on an axis that is shorter all of it; by default the fewest that make at most 256
        patches.

    Returns
    -------
    ndarray
        Whole numbers from 0, of that shape.

    Raises
    ------
    InputError
        Patch below one.
    """
    if patch is None:
        patch = next(side for side in range(1, max(shape, default=1) + 1) if math.prod(_counts(shape, side)) <= MOST)
    expect_counts(patch=patch)
    along = np.indices(shape) // np.minimum(patch, shape).reshape((-1,) + (1,) * len(shape))
    return np.ravel_multi_index(tuple(along), _counts(shape, patch)) if shape else np.zeros((), int)


def patches_of(answer: Answer, x: np.ndarray, patch: int | None = None) -> np.ndarray:
    """Number of the patch that each element of a row of x lies in; of a tensor with a mask, whole elements of the set."""
    if answer.real is None:
        return tiles(x.shape[1:], patch)
    elements = answer.real.shape[1:]
    labels = tiles(elements, patch)
    return np.broadcast_to(labels.reshape(*elements, *(1,) * (x.ndim - 1 - labels.ndim)), x.shape[1:])


def _counts(shape: tuple[int, ...], patch: int) -> tuple[int, ...]:
    return tuple(-(-n // min(patch, n)) for n in shape)


def shells(shape: tuple[int, ...]) -> np.ndarray:
    """Distance of each cell from cell s // 2 of every axis, rounded to whole cells."""
    middle = np.array([n // 2 for n in shape]).reshape((-1,) + (1,) * len(shape))
    return np.rint(np.sqrt(np.sum((np.indices(shape) - middle) ** 2, axis=0))).astype(int)


def spread(contributions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Contributions (n, patches) divided evenly among the elements of each patch: (n, *labels.shape)."""
    return contributions[:, labels] / np.bincount(labels.ravel())[labels]


def answer_left(answer: Answer, x: np.ndarray, start: np.ndarray | None, rows: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Answers (m,) to some rows of x of which only what is ``left`` (m, ...) is there.

    The rest is at the baseline. A set has none: its elements are taken away, by its mask.
    """
    if start is None:
        assert answer.real is not None
        here = left.reshape(*left.shape[: answer.real.ndim], -1).any(axis=-1)
        return answer.at(x[rows], rows, answer.real[rows] & here)
    return answer.at(np.where(left, x[rows], start[rows]), rows)


def masked_answers(
    answer: Answer, x: np.ndarray, start: np.ndarray | None, labels: np.ndarray, kept: np.ndarray, description: str
) -> np.ndarray:
    """Answers (n, m) where only some patches of each row are left, the others at the baseline or, of a set, taken away.

    Parameters
    ----------
    kept : ndarray
        Whether a patch is left, of shape (m, patches), or (n, m, patches) where rows differ.
    """
    n, m = len(x), kept.shape[-2]
    found = np.empty(n * m)
    for part in track(batches(np.arange(n * m), x[0].size), description):
        rows, which = np.divmod(part, m)
        left = (kept[which] if kept.ndim == 2 else kept[rows, which])[:, labels]
        found[part] = answer_left(answer, x, start, rows, left)
    return found.reshape(n, m)
