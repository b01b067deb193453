"""Information from the distances to nearest neighbors, in nat: no density is fitted.

Kraskov, Stoegbauer & Grassberger 2004 (arXiv:cond-mat/0305641) for continuous quantities, Ross 2014
(doi:10.1371/journal.pone.0087357) for a continuous and a discrete one, and the error of either after Holmes & Nemenman
2019 (arXiv:1903.09280). scikit-learn's `mutual_info_regression` adds jitter, takes single columns only and clips at zero,
which biases the mean over independent quantities; none of that here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from zoo.errors import InputError

PARTS = 4
"""Parts that the rows are cut into for the error; in smaller ones the scatter no longer goes as one over their rows."""
SHUFFLES = 8
"""Cuts that the error is averaged over, which is then known to 15%."""


def ksg(blocks: Sequence[np.ndarray], neighbors: int) -> float:
    """Total correlation of two or more blocks of columns, for two their mutual information.

    Algorithm 1 with the maximum norm, eqs. 8 and 23: psi(k) + (m - 1) psi(N) - <sum_i psi(n_i + 1)>. May come out below
    zero where the truth is near zero, so that averages are unbiased.

    Parameters
    ----------
    blocks : sequence of ndarray
        The variables, arrays of shape (n, d_i), scaled alike.
    neighbors : int
        Number k of nearest neighbors.

    Raises
    ------
    InputError
        A row that is repeated more than k times.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    joint = np.concatenate(blocks, axis=1)
    radius = cKDTree(joint).query(joint, neighbors + 1, p=np.inf)[0][:, -1]
    if not radius.all():
        raise InputError(f"rows repeat more than {neighbors} times; nearest neighbors need continuous quantities")
    counted = sum(digamma(_closer(block, radius) + 1) for block in blocks)
    return float(digamma(neighbors) + (len(blocks) - 1) * digamma(len(joint)) - np.mean(counted))


def ross(x: np.ndarray, labels: np.ndarray, neighbors: int) -> float:
    """Mutual information of columns (n, d) with classes (n,): psi(N) - <psi(N_c)> + <psi(k)> - <psi(m)>, eq. 2.

    A class of fewer than k + 1 rows takes as many neighbors as it has; one of a single row is left out.
    """
    from scipy.spatial import cKDTree
    from scipy.special import digamma

    _, labels, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    kept = sizes[labels] > 1
    x, labels = x[kept], labels[kept]
    radius, used = np.empty(len(x)), np.minimum(neighbors, sizes[labels] - 1)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        radius[members] = cKDTree(x[members]).query(x[members], used[members[0]] + 1, p=np.inf)[0][:, -1]
    if not radius.all():
        raise InputError(f"rows repeat more than {neighbors} times; nearest neighbors need a continuous quantity")
    means = [np.mean(digamma(counts)) for counts in (sizes[labels], used, _closer(x, radius) + 1)]
    return float(digamma(len(x)) - means[0] + means[1] - means[2])


def error_by_parts(estimate: Callable[[np.ndarray], float], rows: int, rng: np.random.Generator) -> float:
    """Standard error of ``estimate(indices)`` on all rows, from its scatter between disjoint quarters of them.

    A bootstrap would repeat rows, whose distance is then zero. The variance goes as one over the number of rows; below some
    500 rows the error comes out about 10% low.
    """
    variances = []
    for _ in range(SHUFFLES):
        parts = np.array_split(rng.permutation(rows), PARTS)
        variances.append(np.var([estimate(part) for part in parts], ddof=1))
    return float(np.sqrt(np.mean(variances) / PARTS))


def _closer(block: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """How many other rows lie strictly within the radius of each."""
    from scipy.spatial import cKDTree

    # The row at the radius itself must not be counted for a rounding error of the sums below.
    radius = np.maximum(radius - 8 * np.spacing(np.abs(block).max()), 0)
    if block.shape[1] > 1:
        return cKDTree(block).query_ball_point(block, radius, p=np.inf, return_length=True) - 1
    column = block[:, 0]
    ordered = np.sort(column)
    return np.searchsorted(ordered, column + radius, "right") - np.searchsorted(ordered, column - radius, "left") - 1
