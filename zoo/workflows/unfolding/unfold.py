"""From data at detector level to weights at particle level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.counts import expect_counts
from zoo.effective_number import effective_number
from zoo.errors import InputError, option, warn
from zoo.interpret.ratios.classifiers import chosen
from zoo.interpret.ratios.density_ratio import DensityRatio
from zoo.model.handed_in.tables import expect_one_index
from zoo.progress import bar
from zoo.seeds import generator
from zoo.workflows.unfolding.handed_in import Observables, event_weights, other_names, read, read_observables, selection
from zoo.workflows.unfolding.omnifold import Events, omnifold, trainings_of
from zoo.workflows.unfolding.unfolded import Unfolded

LEAST = 200
"""Fewest events of data, and fewest simulated ones that pass both selections: of fewer, trees learn next to nothing."""
OUTSIDE = 0.01
"""Share of the data beyond all of the simulation above which there is a warning."""
WORTH = 0.05
"""Share of the simulated events that weights are worth below which there is a warning."""


def unfold(
    data: Any,
    simulated: Any,
    truth: Any,
    *,
    observables: Sequence[str] | None = None,
    truth_observables: Sequence[str] | None = None,
    data_weights: Any = None,
    simulated_weights: Any = None,
    pass_reco: Any = None,
    pass_truth: Any = None,
    iterations: int = 4,
    bootstrap: int = 0,
    trainings: int = 1,
    classifier: Any = "trees",
    seed: int = 0,
) -> Unfolded:
    """Unfold by OmniFold: weights of simulated events by which they are distributed as the data at particle level.

    No observable is binned, and all of them are unfolded together; distributions of any others follow from the same weights.
    Classifiers learn ratios of densities, each of which answers for events that it was not trained on. In bins the method is
    iterative Bayesian unfolding, whose number of iterations is the only regularization.

    Parameters
    ----------
    data : path or array_like
        What was measured: a file, a table whose columns are observables, or an array (m,) or (m, d).
    simulated : path or array_like
        Simulated events at detector level, with the observables of the data; columns are taken by name, and converted into the
        units of the data.
    truth : path or array_like
        The same simulated events at particle level, in the same order; where one table holds both levels, that table again.
    observables : sequence of str, optional
        Observables at detector level; by default all columns of the data. Of arrays, what to call them.
    truth_observables : sequence of str, optional
        Observables at particle level; by default all columns of ``truth``.
    data_weights, simulated_weights : str or array_like, optional
        Event weights of either sign: a column, or (m,) and (n,) numbers. Background is subtracted by handing in simulated
        background as further data with negative weights.
    pass_reco, pass_truth : str or array_like, optional
        Which simulated events pass the selection at detector level, and that at particle level: a column, or (n,) true or
        false; by default all do. What an event holds at a level whose selection it fails is not looked at.
    iterations : int
        Number of iterations: the more, the less the result remembers of the simulation, and the more noise there is.
    bootstrap : int
        How many times the data are resampled, and then the simulation as often, for errors; each is an unfolding of its own.
    trainings : int
        How many trainings of each classifier are averaged.
    classifier : str or object
        "trees" (boosted, of scikit-learn), a family of the zoo that answers rows of numbers with a probability, such as "mlp",
        or an estimator of scikit-learn's interface that takes ``sample_weight``.
    seed : int
        What all random numbers follow from.

    Returns
    -------
    Unfolded
        ``weights`` of the simulated events, ``histogram(observable, bins)`` with covariance, ``plot()``, ``to_pandas()``.

    Raises
    ------
    InputError, UnknownNameError
        Events at the two levels do not belong together, values are missing, NaN, or in units that cannot be converted, weights
        have no positive sum, or there are too few events.

    Warns
    -----
    UserWarning
        Data lie where there is no simulation; few simulated events carry all of the weight; numbers look as if they stood for
        none; local means of event weights are negative.

    Examples
    --------
    >>> unfolded = unfold("data.root", "simulated.root", "truth.root", simulated_weights="weight")  # doctest: +SKIP
    >>> unfolded.histogram("mass", [0, 20, 40, 80]).values  # doctest: +SKIP
    """
    if data is None:
        raise InputError("data: expected what was measured, given none")
    events, at_truth = read_events(
        data,
        simulated,
        truth,
        names=observables,
        truth_names=truth_observables,
        data_weights=data_weights,
        simulated_weights=simulated_weights,
        pass_reco=pass_reco,
        pass_truth=pass_truth,
    )
    return run(events, at_truth, iterations, bootstrap, trainings, classifier, seed)


def run(
    events: Events, at_truth: Observables, iterations: int, bootstrap: int, trainings: int, classifier: Any, seed: int
) -> Unfolded:
    """Unfold events that were read, and their bootstraps; parameters and errors of `unfold`."""
    expect_counts(iterations=iterations, trainings=trainings)
    expect_counts(0, bootstrap=bootstrap, seed=seed)
    if bootstrap == 1:
        raise InputError("bootstrap: expected 0 or at least 2, of which errors can be known, given 1")
    _expect_enough(events)
    estimator = chosen(classifier)
    total = trainings_of(events, iterations) * trainings * (1 + 2 * bootstrap)
    with bar(total, "unfolding") as trained:
        learn = DensityRatio(estimator, trainings, seed, trained)
        by_iteration = events.weight * omnifold(events, iterations, learn)
        of_data = [
            events.weight * omnifold(events.resampled(data=counts(seed, 1, b, len(events.data))), iterations, learn)[-1]
            for b in range(bootstrap)
        ]
        of_simulated = []
        for b in range(bootstrap):
            again = events.resampled(simulated=counts(seed, 2, b, len(events.weight)))
            of_simulated.append(again.weight * omnifold(again, iterations, learn, run=1 + b)[-1])
    _warn_of_worth(by_iteration[-1], events)
    prior = np.where(events.pass_truth, events.weight, 0.0)
    held = {name: events.particle[:, place] for place, name in enumerate(at_truth.names)}
    units = dict(zip(at_truth.names, at_truth.units, strict=True))
    shape = (bootstrap, len(prior))
    return Unfolded(
        by_iteration[-1], prior, held, units, by_iteration, np.reshape(of_data, shape), np.reshape(of_simulated, shape)
    )


def counts(seed: int, kind: int, number: int, n: int) -> np.ndarray:
    """How often each of n events is in a bootstrap of the data (kind 1) or the simulation (2): Poisson numbers of mean 1."""
    return generator([seed, kind, number]).poisson(1.0, n).astype(np.float64)


def read_events(
    data: Any,
    simulated: Any,
    truth: Any,
    *,
    names: Sequence[str] | None,
    truth_names: Sequence[str] | None,
    data_weights: Any,
    simulated_weights: Any,
    pass_reco: Any,
    pass_truth: Any,
) -> tuple[Events, Observables]:
    """Events as they were handed in, and what their observables at particle level are called; parameters of `unfold`.

    Without data, their observables are those of the simulation, which stands for them.
    """
    _expect_two_levels(simulated, truth, truth_names)
    detector, particle = read(simulated, "simulated"), read(truth, "truth")
    measured, what = (detector, "simulated") if data is None else (read(data, "data"), "data")
    used = [one for one in (data_weights, simulated_weights, pass_reco, pass_truth) if isinstance(one, str)]
    levels = [detector, particle]
    passed = {"pass_reco": selection(pass_reco, levels, "pass_reco"), "pass_truth": selection(pass_truth, levels, "pass_truth")}
    others = [*used, *(truth_names or [])] if data is None else used
    real = passed["pass_reco"] if data is None else None
    of_data = read_observables(measured, what, _listed(names, measured, others, "observables"), None, real)
    of_detector = read_observables(detector, "simulated", of_data.names, of_data.units, passed["pass_reco"])
    if any(mine != theirs for mine, theirs in zip(of_data.units, of_detector.units, strict=True)):  # the data say none
        of_data = read_observables(measured, what, of_data.names, of_detector.units, real)
    asked = _listed(truth_names, particle, used, "truth_observables")
    of_particle = read_observables(particle, "truth", asked, None, passed["pass_truth"])
    n = len(of_detector.rows)
    if len(of_particle.rows) != n:
        raise InputError(
            f"expected the same simulated events at both levels, given {n} in simulated and {len(of_particle.rows)} in truth:"
            f" hand in events that fail a selection too, and name the column that says so with {option('pass_reco', 'NAME')}"
        )
    everything = np.ones(n, bool)
    events = Events(
        of_data.rows,
        event_weights(data_weights, levels if data is None else [measured], len(of_data.rows), what),
        of_detector.rows,
        of_particle.rows,
        event_weights(simulated_weights, levels, n, "simulated events"),
        *(everything if one is None else one for one in passed.values()),
    )
    return events, of_particle


def _listed(names: Sequence[str] | None, columns: Any, used: Sequence[str], asked: str) -> Sequence[str] | None:
    """Observables that were asked for, or all that there are."""
    if isinstance(names, str):
        raise InputError(f"{asked}: expected a list of names, given {names!r}: [{names!r}]")
    return other_names(columns, used, asked) if names is None else list(names)


def _expect_two_levels(simulated: Any, truth: Any, truth_names: Sequence[str] | None) -> None:
    """Refuse one table for both levels without names, and two frames whose rows have other labels."""
    same = simulated is truth or (isinstance(truth, str) and simulated == truth)
    if same and truth_names is None:
        raise InputError(
            "simulated and truth are the same table: say which of its columns are at particle level,"
            f" {option('truth_observables', '[...]', 'NAME,NAME,...')}, or hand in another"
        )
    expect_one_index(simulated, truth, ("simulated", "truth"))


def _expect_enough(events: Events) -> None:
    """Refuse too few events, and warn of data where there is no simulation."""
    both = events.pass_reco & events.pass_truth
    for what, number in (("events of data", len(events.data)), ("simulated events that pass both selections", both.sum())):
        if number < LEAST:
            raise InputError(f"expected at least {LEAST} {what}, given {number}")
    reach = events.detector[events.pass_reco]
    beyond = ((events.data < reach.min(axis=0)) | (events.data > reach.max(axis=0))).any(axis=1)
    if (share := float(beyond.mean())) > OUTSIDE:
        warn(
            f"{share:.1%} of the data lie where there is no simulated event at detector level, and no weight brings any there:"
            " compare units and selections, and simulate events there"
        )


def _warn_of_worth(weights: np.ndarray, events: Events) -> None:
    """Warn where few simulated events carry the weight of all."""
    before, after = (effective_number(one[events.pass_truth]) for one in (events.weight, weights))
    if after < WORTH * before:
        warn(
            f"the weights are worth {after:.0f} events of one weight, of {before:.0f} before: data and simulation have little"
            " in common, so that a few simulated events stand for most of the data"
        )
