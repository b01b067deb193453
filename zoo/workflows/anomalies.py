"""From events and the density of their background to a score of how anomalous each is, and to an excess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import InputError
from zoo.interpret.ratios.classifiers import chosen
from zoo.interpret.ratios.density_ratio import Sample
from zoo.interpret.ratios.excess import Excess, excess
from zoo.interpret.ratios.folds import FOLDS, OVERSAMPLING, TRAININGS, out_of_fold
from zoo.interpret.result import Result
from zoo.model.handed_in.columns import Columns
from zoo.model.handed_in.files import read_columns
from zoo.model.handed_in.tables import is_table
from zoo.model.handed_in.tensors import element_units, numbers_alone
from zoo.model.inputs import InputCheck
from zoo.progress import bar
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from zoo.families.flows.density import DensityModel

LEAST = 200
"""Fewest events in the signal region: of fewer, trees learn next to nothing."""


@dataclass(frozen=True, eq=False)
class Anomalies(Result):
    """Events with the ratio of their density to that of the background.

    Attributes
    ----------
    score : ndarray
        Density of the data in the signal region over that of the background at each event, both normalized, of shape (n,), in
        the order in which events were handed in; given by classifiers that were not trained on the event. Events beside the
        signal region have it too.
    mass : ndarray
        Mass of each event, of shape (n,).
    weights : ndarray
        Event weights, of shape (n,).
    in_region : ndarray of bool
        Which events lie in the signal region, of shape (n,).
    background_score : ndarray
        Scores of what was drawn of the background, of shape (k,).
    region : tuple of float
        Ends of the signal region.
    mass_name, mass_unit : str
        What the mass is called, and its unit.
    """

    score: np.ndarray
    mass: np.ndarray
    weights: np.ndarray
    in_region: np.ndarray
    background_score: np.ndarray
    region: tuple[float, float]
    mass_name: str
    mass_unit: str

    def passes(self, background: float = 0.01) -> np.ndarray:
        """Which events score more than all but a share of the background.

        Parameters
        ----------
        background : float
            Share of the draws of the background that pass.

        Returns
        -------
        ndarray of bool
            The events, of shape (n,).

        Raises
        ------
        InputError
            The share is not between 0 and 1, or that of no draw.
        """
        least = 1 / len(self.background_score)
        if isinstance(background, bool) or not least <= background < 1:
            raise InputError(f"background: expected a share of at least {least:.2g} and less than 1, given {background!r}")
        return self.score > np.quantile(self.background_score, 1 - background)

    def excess(self, background: float = 0.01) -> Excess:
        """Events in the signal region that pass a cut, beside those expected by what passes it beside the region.

        Draws of the background choose the cut and no more, so that an interpolation which is a little off makes no excess.

        Parameters
        ----------
        background : float
            As `passes` takes it. It is to be chosen before looking: the p-value is that of one cut and one region.

        Returns
        -------
        Excess
            ``observed``, ``expected`` with ``error``, ``p_value`` and ``significance``.

        Raises
        ------
        InputError
            Fewer than 20 events beside the region pass, or they lie on one side of it.
        """
        return excess(self.passes(background), self.mass, self.region, self.weights)

    def plot(self, background: float = 0.01) -> Figure:
        """Events that pass a cut against the mass, beside what is expected; parameters of `passes`."""
        from zoo.interpret.plots import events_that_pass
        from zoo.interpret.plots.style import with_unit

        found, passes = self.excess(background), self.passes(background)
        label = with_unit(self.mass_name, self.mass_unit)
        return events_that_pass(
            self.mass[passes], self.weights[passes], self.weights * found.share, self.region, self.mass, label
        )

    def table(self) -> Table:
        """The excess after cuts that leave 10%, 1% and 0.1% of the background, for a terminal."""
        from rich.table import Table

        low, high = self.region
        shown = Table(title=f"{self.in_region.sum()} events of {self.mass_name} {low:g} to {high:g} {self.mass_unit}")
        for column in ("background", "observed", "expected", "local significance"):
            shown.add_column(column)
        for share in (0.1, 0.01, 0.001):
            try:
                found = self.excess(share)
            except InputError:
                continue
            expected = f"{found.expected:.1f} +- {found.error:.1f}"
            shown.add_row(f"{share:g}", f"{found.observed:g}", expected, f"{found.significance:.2f}")
        return shown


def find_anomalies(
    events: Any,
    background: str | Path | DensityModel,
    region: tuple[float, float],
    *,
    weights: Any = None,
    trainings: int = TRAININGS,
    classifier: Any = "trees",
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> Anomalies:
    """Score events by how much denser the data are than their background (CATHODE, arXiv:2109.00546).

    A density p(x | m) of the background, learned beside a signal region of the mass m, is drawn from within it, at the masses
    of the data. A classifier tells the data there from the draws: its odds are the ratio of the densities, which is the best
    score for any signal there is (arXiv:2001.04990). Each event is scored by classifiers that were not trained on it.

    Parameters
    ----------
    events : path, mapping or Table
        The data, in the signal region and on both sides of it: a file, a table or arrays by name, with the observables of the
        density and the mass under the names of its spec. Units are converted.
    background : str, Path or ZooModel
        A density given one number, the mass: name or folder of a model, such as "nsf-dijet-density" or what
        ``zoo.train_npe(theta=observables, x=mass)`` made of your own sidebands, or the loaded model.
    region : tuple of float
        Ends of the signal region in the unit of the density's spec.
    weights : str or array_like, optional
        Event weights, none of them negative: a column, or (n,) numbers.
    trainings : int
        How many cross-validations are averaged.
    classifier : str or object
        "trees" (boosted, which see through uninformative observables best, arXiv:2309.13111), a family of the zoo that answers
        rows of numbers with a probability, or an estimator of scikit-learn's interface that takes ``sample_weight``.
    seed : int
        What all random numbers follow from.
    allow_out_of_range : bool
        Let events outside the range of the density's training through.

    Returns
    -------
    Anomalies
        ``score`` of each event, ``passes(share)``, ``excess(share)`` with its local p-value, ``plot()``, ``save(path)``.

    Raises
    ------
    InputError, UnknownNameError
        Columns are missing, values are NaN, of another unit or outside the trained range, the model is no density given one
        number, the region is none, weights are negative, or there are too few events.

    Examples
    --------
    >>> found = find_anomalies("events.parquet", "nsf-dijet-density", (3300, 3700))  # doctest: +SKIP
    >>> found.excess(0.01).significance  # doctest: +SKIP
    """
    expect_counts(trainings=trainings)
    expect_counts(0, seed=seed)
    model = _density(background)
    x, masses, counted = _read(events, weights, model, allow_out_of_range)
    low, high = _region(region)
    inside, tensor = (masses >= low) & (masses <= high), model.spec.endpoint("log_prob").inputs[1]
    name, unit = (tensor.labels or [tensor.name])[0], element_units(tensor, (1,))[0]
    if (there := np.count_nonzero(inside & (counted > 0))) < LEAST:
        raise InputError(
            f"expected at least {LEAST} events in the signal region {low:g} to {high:g}, given {there} of {len(masses)}, whose"
            f" {name} is {masses.min():g} to {masses.max():g}"
        )
    estimator = chosen(classifier)
    share = counted[inside] / counted[inside].sum()
    at = generator(seed).choice(masses[inside], OVERSAMPLING * len(share), p=share)
    drawn = model.draw(1, at[:, None], seed=seed, allow_out_of_range=allow_out_of_range)[:, 0]
    with bar(FOLDS * trainings, "classifiers") as trained:
        found = out_of_fold(
            estimator,
            Sample(x[inside], counted[inside]),
            Sample(drawn, np.ones(len(drawn))),
            x[~inside],
            folds=FOLDS,
            trainings=trainings,
            seed=seed,
            trained=trained,
        )
    score = np.empty(len(x))
    score[inside], score[~inside] = np.exp(found.above), np.exp(found.elsewhere)
    return Anomalies(score, masses, counted, inside, np.exp(found.below), (low, high), name, unit)


def _read(
    events: Any, weights: Any, model: DensityModel, allow_out_of_range: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observables (n, D), masses (n,) and weights (n,) of the events."""
    columns = read_columns(events) if isinstance(events, str | Path | Mapping) or is_table(events) else events
    check = InputCheck(model.spec.endpoint("log_prob"))
    x, mass = check(columns, allow_out_of_range=allow_out_of_range).values()
    counted = _weights(weights, columns, len(mass))
    if isinstance(columns, Columns):
        columns.warn_of_weights([weights] if isinstance(weights, str) else [])
    return x, mass[:, 0].astype(np.float64), counted


def _density(given: Any) -> DensityModel:
    """A loaded density, given one number."""
    from zoo.families.flows.density import DensityModel
    from zoo.loading import load

    model = load(given) if isinstance(given, str | Path) else given
    if not isinstance(model, DensityModel) or not hasattr(model, "spec"):
        raise InputError(f"background: expected name, folder or model of a density, given {given!r}")
    shape = model.context_shape
    if shape is None or shape.shape != (1,):
        raise InputError(f"background: expected a density given one number, the mass, given {model.spec.name}, which is not")
    return model


def _region(given: Any) -> tuple[float, float]:
    ends = numbers_alone(given, "region")
    if ends.shape != (2,) or ends.dtype.kind not in "iuf" or not np.isfinite(ends).all() or not ends[0] < ends[1]:
        raise InputError(f"region: expected the ends of the signal region, such as (3300, 3700), given {given!r}")
    return float(ends[0]), float(ends[1])


def _weights(given: Any, columns: Any, n: int) -> np.ndarray:
    """Event weights (n,), none of them negative."""
    if given is None:
        return np.ones(n)
    if isinstance(given, str) and not isinstance(columns, Columns):
        raise InputError(f"weights: expected numbers, since the events have no columns, given the name {given!r} of one")
    weight = columns.weights(given) if isinstance(given, str) else numbers_alone(given, "weights")
    if weight.shape != (n,) or weight.dtype.kind not in "biuf" or not np.isfinite(weight).all():
        raise InputError(f"weights: expected a finite number for each of the {n} events, given shape {weight.shape}")
    if (weight < 0).any() or not weight.sum() > 0:
        raise InputError(
            f"weights: expected none below 0, given {np.count_nonzero(weight < 0)}: a classifier learns densities, which are"
            " not negative; leave weights out, or give a sample without negative ones"
        )
    return weight.astype(np.float64)
