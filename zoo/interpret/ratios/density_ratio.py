"""Ratios of densities that a classifier has learned from two samples with event weights.

Every event is answered by a classifier that was not trained on it: two are trained on half of the events each and answer for
the other half. One that answers for its own training rows has learned their noise too, so that each iteration of an unfolding
keeps a little of the detector's fluctuations, which narrows and shifts what is unfolded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.errors import InputError, option
from zoo.seeds import generator

FOLDS = 2
"""Parts of the events, each of which is answered by what was trained on the others."""
FEW = 50
"""Events that count below which a sample tells no more than its sum of weights: the ratio is then the same everywhere."""
LIMIT = 20.0
"""Largest log ratio, beyond which a classifier has seen events of one sample only."""


class Sample(NamedTuple):
    """Events of one sample.

    Attributes
    ----------
    rows : ndarray
        Observables, of shape (n, observables).
    weight : ndarray
        Event weights, of shape (n,), none of them negative.
    """

    rows: np.ndarray
    weight: np.ndarray


class Answers(NamedTuple):
    """Ratios of two densities, each as large as the sum of weights in its sample.

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

    def keeping_sum(self, above: Sample, below: Sample) -> Answers:
        """The ratios times what makes weights below, multiplied by them, add up to those above.

        It is for a sample below that lies wherever that above does: elsewhere the sums differ for another reason than noise.
        """
        scale = above.weight.sum() / (below.weight * self.below).sum()
        return Answers(*(scale * one for one in self))


@dataclass(frozen=True)
class DensityRatio:
    """Learns the density of one sample over that of another.

    Attributes
    ----------
    classifier : object
        An unfitted classifier with scikit-learn's interface, which takes ``sample_weight``.
    trainings : int
        How many trainings with other halves and seeds are averaged, in the logarithm of the ratio.
    seed : int
        What all random numbers follow from.
    trained : callable
        Is told 1 after each training of one ratio.
    """

    classifier: Any
    trainings: int
    seed: int
    trained: Callable[[int], None]

    def __call__(
        self, above: Sample, below: Sample, key: tuple[int, ...], *, elsewhere: np.ndarray | None = None, paired: bool = False
    ) -> Answers:
        """Train, and answer for both samples and for other events.

        Parameters
        ----------
        above, below : Sample
            The sample whose density is above the line, and that below it.
        key : tuple of int
            What distinguishes the random numbers of this call from those of others.
        elsewhere : ndarray, optional
            Other events, of shape (k, observables).
        paired : bool
            Whether row i of both samples is the same event, which then lies in one half.

        Returns
        -------
        Answers
            The ratios.
        """
        other = below.rows[:0] if elsewhere is None else elsewhere
        sums = [np.zeros(len(rows)) for rows in (above.rows, below.rows, other)]
        few = min(np.count_nonzero(sample.weight) for sample in (above, below)) < FEW
        for training in range(self.trainings):
            rng = generator([self.seed, *key, training])
            if not few:
                self._train(above, below, other, rng, paired, sums)
            self.trained(1)
        scale = above.weight.sum() / below.weight.sum()
        return Answers(*(scale * np.exp(total / self.trainings) for total in sums))

    def _train(
        self, above: Sample, below: Sample, other: np.ndarray, rng: np.random.Generator, paired: bool, sums: list[np.ndarray]
    ) -> None:
        """Train on each part of the events, and add the log ratio of those that were not in it to the sums."""
        part_above, part_below = (rng.permutation(len(sample.rows)) % FOLDS for sample in (above, below))
        part_above = part_below if paired else part_above
        for fold in range(FOLDS):
            log_ratio = learned(
                self.classifier,
                some(above, part_above != fold),
                some(below, part_below != fold),
                int(rng.integers(2**31)),
            )
            sums[0][part_above == fold] += log_ratio(above.rows[part_above == fold])
            sums[1][part_below == fold] += log_ratio(below.rows[part_below == fold])
            sums[2][:] += log_ratio(other) / FOLDS


def learned(classifier: Any, above: Sample, below: Sample, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """What a classifier learns of the log ratio of two densities, both normalized: it counts both samples the same.

    Parameters
    ----------
    classifier : object
        An unfitted classifier, which stays so.
    above, below : Sample
        The sample whose density is above the line, and that below it.
    seed : int
        Seed of the training.

    Returns
    -------
    callable
        Answers rows (n, observables) with their log ratio (n,).
    """
    from sklearn.base import clone

    fitted = clone(classifier)
    if "random_state" in fitted.get_params():
        fitted.set_params(random_state=seed)
    counts = len(above.rows), len(below.rows)
    weight = np.concatenate([one.weight / one.weight.sum() for one in (above, below)]) * (sum(counts) / 2)
    fitted.fit(np.concatenate([above.rows, below.rows]), np.repeat([1, 0], counts), sample_weight=weight)
    return lambda rows: _log_odds(fitted, rows)


def some(sample: Sample, chosen: np.ndarray) -> Sample:
    """Those of the chosen events that count."""
    chosen = chosen & (sample.weight > 0)
    return Sample(sample.rows[chosen], sample.weight[chosen])


def _log_odds(classifier: Any, rows: np.ndarray) -> np.ndarray:
    """Logarithm of the probability of the sample above over that of the one below, (n,)."""
    if not len(rows):
        return np.empty(0)
    with np.errstate(divide="ignore"):
        probability = np.asarray(classifier.predict_proba(rows), np.float64)
        found = np.log(probability[:, 1]) - np.log(probability[:, 0])
    if np.isnan(found).any():
        raise InputError(f"{type(classifier).__name__} answers with NaN: choose another {option('classifier', '...')}")
    return np.clip(found, -LIMIT, LIMIT)
