"""Whether an unfolding finds what is known: one half of the simulation, with known weights, is unfolded with the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, option
from zoo.interpret.result import Result
from zoo.seeds import generator
from zoo.workflows.unfolding.handed_in import Observables
from zoo.workflows.unfolding.omnifold import Events
from zoo.workflows.unfolding.unfold import counts, read_events, run
from zoo.workflows.unfolding.unfolded import Unfolded

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Closure(Result):
    """Distributions of one half of the simulation: as they were made, and as unfolding them with the other half gives them.

    Attributes
    ----------
    edges : dict of str to ndarray
        Edges of the bins of each observable, of shape (bins + 1,); about as many events of the truth are in each.
    truth, unfolded, prior : dict of str to ndarray
        Sums of weights in the bins: of the changed half, unfolded, and of the other half as it was, of shape (bins,).
    covariance : dict of str to ndarray
        Covariance of unfolded minus truth, over bootstraps of the data with their truth, and of the simulation, (bins, bins).
    chi_squared : dict of str to float
        Chi-squared of unfolded minus truth, of as many degrees of freedom as bins.
    p_value : dict of str to float
        Probability of a larger one, were the unfolding right, as Hotelling's distribution has it, since the covariance is known
        from so many bootstraps only.
    triangular_before, triangular_after : dict of str to float
        Triangular discriminator between the normalized distributions, times 1,000, of truth with prior, and with unfolded
        (arXiv:1911.09107).
    units : dict of str to str
        Units of the observables, "" where none is known.
    """

    edges: dict[str, np.ndarray]
    truth: dict[str, np.ndarray]
    unfolded: dict[str, np.ndarray]
    prior: dict[str, np.ndarray]
    covariance: dict[str, np.ndarray]
    chi_squared: dict[str, float]
    p_value: dict[str, float]
    triangular_before: dict[str, float]
    triangular_after: dict[str, float]
    units: dict[str, str]

    def table(self) -> Table:
        """A row for each observable, for a terminal."""
        from rich.table import Table

        shown = Table(title="closure: unfolded against truth")
        for column in ("observable", "chi-squared / bins", "p-value", "triangular discriminator x 1000", "before"):
            shown.add_column(column)
        for name, edges in self.edges.items():
            after, before = self.triangular_after[name], self.triangular_before[name]
            chi = f"{self.chi_squared[name]:.1f} / {len(edges) - 1}"
            shown.add_row(name, chi, f"{self.p_value[name]:.2g}", f"{after:.2f}", f"{before:.2f}")
        return shown

    def plot(self) -> Figure:
        """Truth, unfolded with errors, and the simulation as it was; below, unfolded over truth."""
        from zoo.workflows.unfolding.figures import closure_distributions

        return closure_distributions(self.edges, self.truth, self.unfolded, self.prior, self.covariance, self.units)


def closure_test(
    simulated: Any,
    truth: Any,
    change: Callable[[Mapping[str, np.ndarray]], np.ndarray],
    *,
    observables: Sequence[str] | None = None,
    truth_observables: Sequence[str] | None = None,
    simulated_weights: Any = None,
    pass_reco: Any = None,
    pass_truth: Any = None,
    iterations: int = 4,
    bootstrap: int = 20,
    trainings: int = 1,
    classifier: Any = "trees",
    seed: int = 0,
    bins: int = 5,
) -> Closure:
    """Unfold one half of the simulation, changed by a known function, with the other half, and compare with its truth.

    Parameters
    ----------
    simulated, truth : path or array_like
        Simulated events at detector and at particle level, as ``zoo.unfold`` takes them.
    change : callable
        Factors (n,) for the event weights of the half that stands for the data, none negative, of its observables (n,) at
        particle level by name. A change as large as data and simulation differ by tests what matters.
    observables, truth_observables, simulated_weights, pass_reco, pass_truth, iterations : object
        As ``zoo.unfold`` takes them.
    bootstrap : int
        How many times either half is resampled; at least three more than bins.
    trainings, classifier, seed : object
        As ``zoo.unfold`` takes them.
    bins : int
        Bins of each observable.

    Returns
    -------
    Closure
        Chi-squared and triangular discriminator of each observable, ``table()`` and ``plot()``.

    Raises
    ------
    InputError, UnknownNameError
        As ``zoo.unfold``; factors are not one finite number an event, or negative; there are too few bootstraps.

    Examples
    --------
    >>> heavier = lambda event: np.exp(0.01 * (event["mass"] - 80))
    >>> closure_test("simulated.root", "truth.root", heavier).table()  # doctest: +SKIP
    """
    if bins < 1 or bootstrap < bins + 3:
        raise InputError(
            f"expected at least three more bootstraps than bins, which their covariance takes, given {bootstrap} and {bins}:"
            f" ask for {option('bootstrap', str(bins + 3))}"
        )
    events, at_truth = read_events(
        None,
        simulated,
        truth,
        names=observables,
        truth_names=truth_observables,
        data_weights=simulated_weights,
        simulated_weights=simulated_weights,
        pass_reco=pass_reco,
        pass_truth=pass_truth,
    )
    first = generator([seed, 3]).permutation(len(events.weight)) % 2 == 0
    known = events.weight * events.pass_truth * _factors(events, at_truth, first, change)
    measured = first & events.pass_reco
    second = Events(
        events.detector[measured],
        np.where(events.pass_truth, known, events.weight)[measured],
        *(array[~first] for array in (events.detector, events.particle, events.weight, events.pass_reco, events.pass_truth)),
    )
    unfolded = run(second, at_truth, iterations, bootstrap, trainings, classifier, seed)
    replicas = []
    for b in range(bootstrap):
        number = counts(seed, 3, b, len(known))
        number[measured] = counts(seed, 1, b, int(measured.sum()))  # those of the data, whose truth goes with them
        replicas.append((known * number)[first])
    changed = Observables(at_truth.names, at_truth.units, events.particle[first])
    return _compared(changed, known[first], replicas, unfolded, bins)


def _factors(events: Events, at_truth: Observables, first: np.ndarray, change: Any) -> np.ndarray:
    """What the known function gives for each event of the first half at particle level, one for all others (n,)."""
    chosen = first & events.pass_truth
    seen = {name: events.particle[chosen, place] for place, name in enumerate(at_truth.names)}
    factors = np.ones(len(first))
    found = np.asarray(change(seen), np.float64)
    if found.shape != (int(chosen.sum()),) or not np.isfinite(found).all() or found.min() < 0 or not found.max() > 0:
        raise InputError(
            f"change: expected a finite factor of at least zero for each of the {chosen.sum()} events, given {found.shape}"
            f" from {np.min(found, initial=np.inf):g} to {np.max(found, initial=-np.inf):g}"
        )
    factors[chosen] = found
    return factors


def _compared(changed: Observables, known: np.ndarray, replicas: list[np.ndarray], unfolded: Unfolded, bins: int) -> Closure:
    """Distributions of each observable, and how far they are apart."""
    parts: dict[str, dict[str, Any]] = {field.name: {} for field in fields(Closure)}
    for place, name in enumerate(changed.names):
        values = changed.rows[:, place]
        edges = _quantiles(np.concatenate([values[known != 0], unfolded.observables[name][unfolded.prior != 0]]), bins)

        def filled(weights: np.ndarray, values: np.ndarray = values, edges: np.ndarray = edges) -> np.ndarray:
            return np.histogram(values[weights != 0], edges, weights=weights[weights != 0])[0]

        after = unfolded.histogram(name, edges)
        of_data = [filled(one, unfolded.observables[name]) for one in unfolded.of_data]
        apart = np.atleast_2d(np.cov(np.subtract(of_data, [filled(one) for one in replicas]), rowvar=False))
        assert after.covariance_simulated is not None  # there are bootstraps
        truth, covariance = filled(known), apart + after.covariance_simulated
        chi_squared, p_value = _hotelling(after.values - truth, covariance, len(replicas))
        found = edges, truth, after.values, after.prior, covariance, chi_squared, p_value
        distances = triangular(truth, after.prior), triangular(truth, after.values)
        for part, value in zip(parts.values(), (*found, *distances, changed.units[place]), strict=True):
            part[name] = value
    return Closure(**parts)


def _quantiles(values: np.ndarray, bins: int) -> np.ndarray:
    """Edges of bins of about as many events, fewer where a single value fills more than one; whole numbers lie inside bins."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    if (values == np.rint(values)).all():
        edges = np.unique([values.min() - 0.5, *(np.rint(edges[1:-1]) - 0.5), values.max() + 0.5])
    return edges


def _hotelling(difference: np.ndarray, covariance: np.ndarray, bootstraps: int) -> tuple[float, float]:
    """Chi-squared of a difference, and the probability of a larger one where the covariance is that of some bootstraps."""
    from scipy.stats import f

    k, n = len(difference), bootstraps - 1
    chi_squared = float(difference @ np.linalg.pinv(covariance, hermitian=True) @ difference)
    return chi_squared, float(f.sf(chi_squared * (n - k + 1) / (n * k), k, n - k + 1))


def triangular(first: np.ndarray, second: np.ndarray) -> float:
    """Triangular discriminator between two distributions in bins, normalized, times 1,000 (arXiv:1911.09107).

    Parameters
    ----------
    first, second : ndarray
        Sums of weights in the bins, of shape (bins,).

    Returns
    -------
    float
        Half the sum of (p - q)^2 / (p + q), times 1,000: 0 for the same distribution, 1,000 for such as share no bin.
    """
    p, q = (np.asarray(one, np.float64) / np.sum(one) for one in (first, second))
    there = p + q != 0
    return float(500 * np.sum(((p - q)[there]) ** 2 / (p + q)[there]))
