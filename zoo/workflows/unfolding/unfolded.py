"""What an unfolding gives: weights at particle level, and distributions of any observable with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, UnknownNameError, ZooError, option
from zoo.interpret.result import Result
from zoo.model.handed_in.units import converter
from zoo.model.handed_in.values import values_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

BINS = 20
"""Bins of a figure."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """A distribution at particle level.

    Attributes
    ----------
    edges : ndarray
        Edges of the bins, of shape (bins + 1,); the last bin holds its upper edge.
    values : ndarray
        Sum of the weights in each bin, of shape (bins,), or its density.
    prior : ndarray
        The same of the simulation as it was handed in.
    covariance_data, covariance_simulated : ndarray or None
        Covariance over bootstraps of the data, and of the simulation, of shape (bins, bins); the second holds what trainings of
        other seeds differ by too. None without bootstraps.
    unit : str or None
        Unit of the edges.
    """

    edges: np.ndarray
    values: np.ndarray
    prior: np.ndarray
    covariance_data: np.ndarray | None = None
    covariance_simulated: np.ndarray | None = None
    unit: str | None = None

    @property
    def covariance(self) -> np.ndarray:
        """Covariance over both, of shape (bins, bins); InputError without bootstraps."""
        if self.covariance_data is None or self.covariance_simulated is None:
            raise InputError(f"there are no errors without bootstraps: unfold with {option('bootstrap', '50')}")
        return self.covariance_data + self.covariance_simulated

    @property
    def errors(self) -> np.ndarray:
        """Standard deviation of each bin, of shape (bins,); InputError without bootstraps."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True, eq=False)
class Unfolded(Result):
    """Simulated events with weights by which they are distributed as the data at particle level.

    Attributes
    ----------
    weights : ndarray
        Event weights, of shape (n,), in the order of the simulation; zero of events that fail the selection at particle level.
        Their sum is the number of events that the data tell of, efficiency and fakes included.
    prior : ndarray
        The weights that the simulation came with, of shape (n,), zero of the same events.
    observables : dict of str to ndarray
        Observables at particle level by name, of shape (n,).
    units : dict of str to str
        Their units, "" where none is known.
    by_iteration : ndarray
        Weights after each iteration, of shape (iterations, n).
    of_data, of_simulated : ndarray
        Weights of each bootstrap of the data, and of the simulation, of shape (bootstraps, n).
    """

    weights: np.ndarray
    prior: np.ndarray
    observables: dict[str, np.ndarray]
    units: dict[str, str]
    by_iteration: np.ndarray
    of_data: np.ndarray
    of_simulated: np.ndarray

    def histogram(self, observable: str | Any, bins: int | Any = BINS, *, density: bool = False) -> Histogram:
        """The distribution of any observable of the same events, with its covariance.

        Parameters
        ----------
        observable : str or array_like
            Name of an observable, or values (n,) of another one, in the order of the simulation.
        bins : int or array_like
            Number of bins of one width between the least and the largest value; or their edges, which may have a unit. Events
            outside are left out.
        density : bool
            Whether the integral is one in place of the number of events; in each bootstrap too.

        Returns
        -------
        Histogram
            Values in the bins.

        Raises
        ------
        UnknownNameError
            There is no observable of that name.
        InputError
            Values or edges are no finite numbers, or edges do not increase.
        """
        values, unit = self._values(observable)
        counted = self.prior != 0
        edges = _edges(bins, values[counted], unit)
        place = np.searchsorted(edges, values, side="right") - 1
        place[values == edges[-1]] = len(edges) - 2
        inside = counted & (place >= 0) & (place < len(edges) - 1)

        def filled(weights: np.ndarray) -> np.ndarray:
            sums = np.bincount(place[inside], weights[inside], minlength=len(edges) - 1)
            return sums / (sums.sum() * np.diff(edges)) if density else sums

        def covariance(of: np.ndarray) -> np.ndarray | None:
            return None if len(of) < 2 else np.atleast_2d(np.cov([filled(one) for one in of], rowvar=False))

        found = filled(self.weights), filled(self.prior)
        return Histogram(edges, *found, covariance(self.of_data), covariance(self.of_simulated), unit or None)

    def plot(self, observable: str | Sequence[str] | None = None, bins: int | Any = BINS) -> Figure:
        """Distributions before and after, with errors where there are bootstraps, and their ratio.

        Parameters
        ----------
        observable : str or sequence of str, optional
            Which observables; all of them by default.
        bins : int or array_like
            As ``histogram`` takes them.

        Returns
        -------
        Figure
            A panel for each observable.
        """
        from zoo.workflows.unfolding.figures import unfolded_distributions

        names = list(self.observables) if observable is None else [observable] if isinstance(observable, str) else observable
        return unfolded_distributions({name: self.histogram(name, bins) for name in names})

    def table(self) -> Table:
        """Mean and deviation of each observable before and after, for a terminal."""
        from rich.table import Table

        shown = Table(title=f"{np.count_nonzero(self.prior)} simulated events at particle level")
        for column in ("observable", "simulated", "unfolded"):
            shown.add_column(column)
        for name, values in self.observables.items():
            unit = f" {self.units[name]}" if self.units[name] else ""
            shown.add_row(name, *(f"{_moments(values, weights)}{unit}" for weights in (self.prior, self.weights)))
        return shown

    def to_pandas(self, index: Any = None) -> Any:
        """Observables at particle level and their weights, for pandas.

        Parameters
        ----------
        index : pandas.Index, optional
            Labels of the rows, such as those of the table that was handed in; by default their numbers.

        Returns
        -------
        pandas.DataFrame
            A row for each simulated event; columns are the observables, ``prior`` and ``weights``. Units are in its ``attrs``
            under ``units``.

        Raises
        ------
        ZooError
            Package pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ZooError(f"this needs pandas ({error}): pip install pandas") from error
        frame = pandas.DataFrame({**self.observables, "prior": self.prior, "weights": self.weights}, index=index)
        frame.attrs["units"] = dict(self.units)
        return frame

    def _values(self, observable: str | Any) -> tuple[np.ndarray, str]:
        if isinstance(observable, str):
            if observable not in self.observables:
                raise UnknownNameError("observable", observable, self.observables)
            return self.observables[observable], self.units[observable]
        given = values_of(observable)
        unit = "" if given.unit is None else str(given.unit)
        values = np.asarray(given.array, np.float64)
        if values.shape != self.weights.shape or (given.missing is not None and given.missing.any()):
            raise InputError(f"expected an observable of each of the {len(self.weights)} events, given shape {values.shape}")
        if not np.isfinite(values[self.prior != 0]).all():
            raise InputError("expected finite values of the observable, given NaN or infinity")
        return values, unit


def _edges(bins: int | Any, values: np.ndarray, unit: str) -> np.ndarray:
    """Edges of bins, in a unit."""
    if np.ndim(bins) == 0:
        if int(bins) != bins or bins < 1:
            raise InputError(f"bins: expected a whole number of at least 1, or edges, given {bins}")
        return np.linspace(values.min(), values.max(), int(bins) + 1)
    given = values_of(bins)
    convert = converter(given.unit, [unit], "bins") if given.unit is not None else None
    edges = np.asarray(given.array if convert is None else convert(given.array), np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or not (np.diff(edges) > 0).all():
        raise InputError(f"bins: expected finite edges that increase, given {bins}")
    return edges


def _moments(values: np.ndarray, weights: np.ndarray) -> str:
    mean = np.average(values, weights=weights)
    return f"{mean:.4g} +- {np.sqrt(max(0.0, np.average((values - mean) ** 2, weights=weights))):.3g}"
