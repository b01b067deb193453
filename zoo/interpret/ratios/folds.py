"""Scores of events of which each is given by classifiers that were not trained on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from zoo.interpret.ratios.density_ratio import Sample, learned, some
from zoo.seeds import generator

FOLDS, TRAININGS = 5, 2
"""Parts of the events in a search, and how often they are dealt anew."""
OVERSAMPLING = 4
"""Draws of the background for each event of the data, as the published searches take (arXiv:2109.00546)."""


class Scores(NamedTuple):
    """Log ratios of two normalized densities.

    Attributes
    ----------
    above, below : ndarray
        At the events of the two samples.
    elsewhere : ndarray
        At other events.
    """

    above: np.ndarray
    below: np.ndarray
    elsewhere: np.ndarray


def out_of_fold(
    classifier: Any,
    above: Sample,
    below: Sample,
    elsewhere: np.ndarray,
    *,
    folds: int,
    trainings: int,
    seed: int,
    trained: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Learn a ratio of densities with cross-validation, and score all events alike.

    Events of all three samples are dealt into parts, and those of a part are scored by what was trained on the others. Events
    that are in neither sample are dealt too: scored by all classifiers together they would have less noise than the others,
    and a cut on the score would pass another share of them.

    Parameters
    ----------
    classifier : object
        An unfitted classifier with scikit-learn's interface, which takes ``sample_weight``.
    above, below : Sample
        The sample whose density is above the line, and that below it; no weight is negative.
    elsewhere : ndarray
        Other events, of shape (k, observables).
    folds : int
        Number of parts.
    trainings : int
        How many times events are dealt anew; log ratios are averaged.
    seed : int
        What all random numbers follow from.
    trained : callable, optional
        Is told 1 after each fit.

    Returns
    -------
    Scores
        The log ratios.
    """
    samples = above.rows, below.rows, elsewhere
    sums = [np.zeros(len(rows)) for rows in samples]
    for training in range(trainings):
        rng = generator([seed, training])
        parts = [rng.permutation(len(rows)) % folds for rows in samples]
        for fold in range(folds):
            others = some(above, parts[0] != fold), some(below, parts[1] != fold)
            log_ratio = learned(classifier, *others, int(rng.integers(2**31)))
            for total, part, rows in zip(sums, parts, samples, strict=True):
                total[part == fold] += log_ratio(rows[part == fold]) / trainings
            trained(1)
    return Scores(*sums)
