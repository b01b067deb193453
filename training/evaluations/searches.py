"""Searches for a signal that was hidden in simulated data, and what each of them finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.data.dataset import Events, Resonant
from zoo.families.contracts import Generates
from zoo.interpret.ratios.classifiers import trees
from zoo.interpret.ratios.density_ratio import Sample
from zoo.interpret.ratios.excess import excess
from zoo.interpret.ratios.folds import FOLDS, OVERSAMPLING, TRAININGS, out_of_fold
from zoo.interpret.ratios.improvement import Improvement, improvement

CUT = 0.01
"""Share of the background's draws that pass the cut after which events are counted."""
SIGNALS = 20_000
"""Signal events at most of which efficiencies are taken."""


@dataclass(frozen=True)
class Search:
    """What became of one injection.

    Attributes
    ----------
    signal, background : ndarray
        Scores of events in the signal region, none of which trained what scored it.
    before : float
        Signal over the root of the background in the data of the signal region.
    significance : float
        Of the excess after a cut, in standard deviations; NaN where it was not counted.
    """

    signal: np.ndarray
    background: np.ndarray
    before: float = float("nan")
    significance: float = float("nan")

    @property
    def improvement(self) -> Improvement:
        """By how much a cut on the score makes the signal more significant."""
        return improvement(self.signal, self.background)


class Searches:
    """Searches in the training split of a data set. Efficiencies are taken with its background and that of the test split.

    Parameters
    ----------
    dataset : Resonant
        The data set.
    """

    def __init__(self, dataset: Resonant) -> None:
        self.dataset = dataset
        held_out = dataset.events("test").within(dataset.region)
        self.background, self.signal = held_out[~held_out.signal].x, held_out[held_out.signal].x[:SIGNALS]

    def interpolated(self, model: Generates, fraction: float, hidden: int, seed: int) -> Search:
        """Tell data from draws of a density, in the signal region.

        Parameters
        ----------
        model : Generates
            The density of the background, given the mass.
        fraction : float
            Signal per background event.
        hidden, seed : int
            Seed of the choice of signal events, and of all else.

        Returns
        -------
        Search
            Scores under "interpolated", and the excess.
        """
        data, beside = self._data(fraction, hidden)
        masses = np.random.default_rng(seed).choice(data.mass, OVERSAMPLING * len(data.mass))
        drawn = model.draw(1, masses[:, None], seed=seed)[:, 0]
        above, below, *rest = _scored(data.x, drawn, [beside.x, self.background, self.signal], seed)
        cut = np.quantile(below, 1 - CUT)
        mass, passes = np.concatenate([data.mass, beside.mass]), np.concatenate([above, rest[0]]) > cut
        found = excess(passes, mass, self.dataset.region, np.ones(len(mass)))
        background = np.concatenate([above[~data.signal], rest[1]])
        before = np.count_nonzero(data.signal) / np.sqrt(np.count_nonzero(~data.signal))
        return Search(rest[2], background, float(before), found.significance)

    def idealized(self, fraction: float, hidden: int, seed: int) -> Search:
        """Tell data from background of the signal region itself; parameters of `interpolated`."""
        data, _ = self._data(fraction, hidden)
        above, below, signal = _scored(data.x, self.background, [self.signal], seed)
        return Search(signal, np.concatenate([above[~data.signal], below]))

    def supervised(self, seed: int) -> Search:
        """Tell signal from background, all of both known, in the signal region."""
        known = self.dataset.events("train").within(self.dataset.region)
        _, below, background, signal = _scored(
            known[known.signal].x[:SIGNALS], known[~known.signal].x, [self.background, self.signal], seed
        )
        return Search(signal, np.concatenate([below, background]))

    def _data(self, fraction: float, hidden: int) -> tuple[Events, Events]:
        """Data in the signal region, and beside it."""
        data = self.dataset.observed("train", fraction, hidden)
        inside = (data.mass >= self.dataset.region[0]) & (data.mass <= self.dataset.region[1])
        return data[inside], data[~inside]


def _scored(above: np.ndarray, below: np.ndarray, elsewhere: list[np.ndarray], seed: int) -> list[np.ndarray]:
    """Scores of two samples, each event's by trees that it did not train, and of other events."""
    ends = np.cumsum([len(rows) for rows in elsewhere])[:-1]
    first, second = (Sample(rows, np.ones(len(rows))) for rows in (above, below))
    others = np.concatenate(elsewhere)
    found = out_of_fold(trees(), first, second, others, folds=FOLDS, trainings=TRAININGS, seed=seed)
    return [found.above, found.below, *np.split(found.elsewhere, ends)]
