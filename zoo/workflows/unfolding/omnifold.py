"""OmniFold: iterative reweighting by classifiers (Andreassen et al. 2020, arXiv:1911.09107), with both kinds of acceptance.

Each iteration weights the simulation at detector level to the data, and takes the mean of these weights at each point at
particle level. In bins this is iterative Bayesian unfolding (D'Agostini 1995), which the treatment of events that pass one
selection only follows too (arXiv:2007.01795):

- *Simulated events that fail the detector's selection* have the weight of those that pass it at the same point at particle
  level, which divides by the efficiency. The second step therefore learns from those that pass, and answers for all.
- *Simulated events that fail the selection at particle level* (fakes) keep their share at each point at detector level: data
  count by the simulated probability that an event there passes it.
- *Event weights of either sign* are replaced, for the training alone, by their local mean |w| (2 p - 1), where p is the learned
  probability of a positive sign (Nachman & Thaler 2020, arXiv:2007.11586): the densities are the same, and none is negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zoo.errors import InputError, warn
from zoo.interpret.ratios.density_ratio import DensityRatio, Sample

NEGATIVE = 0.01
"""Share of the weights that local means below zero may have before there is a warning."""
SIGN_DATA, SIGN_BOTH, SIGN_FAKES, FAKES, DETECTOR, PARTICLE = range(6)
"""What distinguishes the random numbers of the trainings."""


@dataclass(frozen=True, eq=False)
class Events:
    """Measured events, and simulated ones at both levels.

    Attributes
    ----------
    data : ndarray
        Observables of the data at detector level, of shape (m, d).
    data_weight : ndarray
        Their event weights, of shape (m,).
    detector, particle : ndarray
        Observables of the simulated events at detector level, of shape (n, d), and at particle level, of shape (n, e). What
        events hold that fail a selection means nothing.
    weight : ndarray
        Event weights of the simulation, of shape (n,).
    pass_reco, pass_truth : ndarray of bool
        Which simulated events pass the selection at detector and at particle level, of shape (n,).
    """

    data: np.ndarray
    data_weight: np.ndarray
    detector: np.ndarray
    particle: np.ndarray
    weight: np.ndarray
    pass_reco: np.ndarray
    pass_truth: np.ndarray

    @property
    def fakes(self) -> np.ndarray:
        """Which simulated events pass at detector level alone."""
        return self.pass_reco & ~self.pass_truth

    def resampled(self, data: np.ndarray | None = None, simulated: np.ndarray | None = None) -> Events:
        """The same events, each as often as counts say."""
        return replace(
            self,
            data_weight=self.data_weight if data is None else self.data_weight * data,
            weight=self.weight if simulated is None else self.weight * simulated,
        )


def trainings_of(events: Events, iterations: int) -> int:
    """How many ratios an unfolding learns, each by as many trainings as are averaged."""
    fakes = bool(events.fakes.any())
    signs = [events.data_weight, events.weight[events.pass_reco & events.pass_truth], events.weight[events.fakes]]
    return 2 * iterations + fakes + sum(bool((weight < 0).any()) for weight in signs)


def omnifold(events: Events, iterations: int, learn: DensityRatio, run: int = 0) -> np.ndarray:
    """Factors by which the weights of simulated events at particle level become those of the data.

    Parameters
    ----------
    events : Events
        The events.
    iterations : int
        Number of iterations.
    learn : DensityRatio
        Learns ratios of densities.
    run : int
        What distinguishes the random numbers of this unfolding from those of others.

    Returns
    -------
    ndarray of shape (iterations, n)
        Factors after each iteration; zero of events that fail the selection at particle level.
    """
    both = events.pass_reco & events.pass_truth
    detector, particle = events.detector[both], events.particle[both]
    joint = np.concatenate([detector, particle], axis=1)
    weight = _local_mean(Sample(joint, events.weight[both]), learn, (run, SIGN_BOTH), "simulated events")
    data = Sample(events.data, _local_mean(Sample(events.data, events.data_weight), learn, (run, SIGN_DATA), "data"))
    data = data._replace(weight=data.weight * _purity(events, Sample(detector, weight), data.rows, learn, run))
    missed = events.pass_truth & ~events.pass_reco
    factors = np.zeros((iterations, len(events.weight)))
    push = np.ones(len(weight))
    for i in range(iterations):
        now = Sample(detector, weight * push)
        pull = push * learn(data, now, (run, DETECTOR, i)).keeping_sum(data, now).below
        above, below = Sample(particle, weight * pull), Sample(particle, weight)
        answers = learn(above, below, (run, PARTICLE, i), elsewhere=events.particle[missed], paired=True)
        _, push, elsewhere = answers.keeping_sum(above, below)
        factors[i, both], factors[i, missed] = push, elsewhere
    return factors


def _purity(events: Events, both: Sample, at: np.ndarray, learn: DensityRatio, run: int) -> np.ndarray | float:
    """Share of the simulated events at points at detector level that pass the selection at particle level too."""
    if not events.fakes.any():
        return 1.0
    rows = events.detector[events.fakes]
    weight = _local_mean(Sample(rows, events.weight[events.fakes]), learn, (run, SIGN_FAKES), "simulated fakes")
    ratio = learn(both, Sample(rows, weight), (run, FAKES), elsewhere=at).elsewhere
    return ratio / (1 + ratio)


def _local_mean(sample: Sample, learn: DensityRatio, key: tuple[int, ...], what: str) -> np.ndarray:
    """Weights of one sign that have the same sum wherever events are: the weights themselves, where none is negative."""
    weight = sample.weight
    total = float(weight.sum())
    if not total > 0:
        raise InputError(f"{what}: expected event weights with a positive sum, given {total:g}")
    negative = weight < 0
    if not negative.any():
        return weight
    size = np.abs(weight)
    answers = learn(Sample(sample.rows[~negative], size[~negative]), Sample(sample.rows[negative], size[negative]), key)
    ratio = np.empty(len(weight))
    ratio[~negative], ratio[negative] = answers.above, answers.below
    found = size * (ratio - 1) / (ratio + 1)
    below = -found[found < 0].sum() / total
    if below > NEGATIVE:
        warn(
            f"{what}: where the events are, the mean of their weights is negative in places, with {below:.1%} of the sum: no"
            " density is, so that it is taken as zero there; more events would tell"
        )
    found = np.maximum(found, 0)
    return found * (total / found.sum())
