"""Latents mapped onto known physics: how much each carries, of which quantity, and by which formula."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from zoo.atomic import whole_file
from zoo.data.dataset import Rows
from zoo.errors import InputError, UnknownNameError
from zoo.interpret.formulae.distillation import Search, distill_latents
from zoo.interpret.formulae.formula import Formula
from zoo.interpret.latents.information import MutualInformation, mutual_information_matrix
from zoo.interpret.latents.traversal import DEAD, active_latents, linear_r2, sample
from zoo.interpret.latents.use import LatentUse, use_of_latents
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result
from zoo.jobs import expect_jobs
from zoo.model.handed_in.tensors import numbers_alone
from zoo.model.inputs import InputCheck
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

ROWS = 5000
"""Rows at most: mutual information costs more with each."""
CLASSES = 20
"""A quantity of at most this many different values is taken for a factor with classes."""
LEAST_ROWS = 50
LEAST_IN_CLASS = 4
"""Rows of a class that its nearest neighbors need."""
SIGNIFICANT = 3.0
"""Standard errors above zero from which information counts as found."""


@dataclass(frozen=True, eq=False)
class LatentReport(Result):
    """What each latent of a model has to do with each physical quantity.

    Attributes
    ----------
    name : str
        Name of the model, or what the table is to be headed with.
    rows : int
        Number of rows that all numbers are from.
    names : tuple of str
        Names of the latents, "latent 0" and so on.
    active : ndarray
        Indices of those whose KL exceeds 0.05 nat; the others are dead.
    information : dict of tuple of str to MutualInformation
        Mutual information of a sample of each latent with each quantity in nat, by their two names.
    linear_r2, linear_r2_error : ndarray
        R^2 of a linear function of all quantities for the latent's mean, held out; NaN for dead latents, whose means are
        small functions of anything; of shape (latents,).
    formulae : dict of str to Formula
        The distilled formula of each active latent by its name.
    use : LatentUse
        KL per latent, total correlation and information between latents.
    """

    name: str
    rows: int
    names: tuple[str, ...]
    active: np.ndarray
    information: dict[tuple[str, str], MutualInformation]
    linear_r2: np.ndarray
    linear_r2_error: np.ndarray
    formulae: dict[str, Formula]
    use: LatentUse

    suffixes: ClassVar[tuple[str, ...]] = (".json", ".npz")

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities."""
        return tuple(dict.fromkeys(quantity for _, quantity in self.information))

    def ranked(self, latent: str) -> list[tuple[str, MutualInformation]]:
        """Quantities that the latent carries, the most of them first: at least three standard errors above zero."""
        found = [(quantity, self.information[latent, quantity]) for quantity in self.quantities]
        told = [(quantity, one) for quantity, one in found if one.value > SIGNIFICANT * one.error]
        return sorted(told, key=lambda pair: -pair[1].value)

    def table(self) -> Table:
        """A line a latent for people: its best two quantities, and how well all explain it; the formulae of means beneath."""
        from rich.table import Table

        table = Table(title=f"latents of {self.name}, {self.rows} rows", title_justify="left", title_style="bold")
        for column in (
            "latent",
            "KL [nat]",
            "best quantity",
            "information [nat]",
            "next",
            "linear R^2 of all",
        ):
            table.add_column(column, overflow="fold")
        for i, name in enumerate(self.names):
            table.add_row(name, f"{self.use.kl[i]:.2f}", *self._cells(i, name))
        table.caption, table.caption_justify = self._caption(), "left"
        return table

    def _cells(self, i: int, name: str) -> list[str]:
        if name not in self.formulae:
            return ["dead", "", "", ""]
        told = self.ranked(name)
        best, second = (_measured(told[k][1].value, told[k][1].error, 2) if len(told) > k else "" for k in (0, 1))
        return [
            told[0][0] if told else "none of them",
            best,
            f"{told[1][0]} {second}" if second else "",
            _measured(self.linear_r2[i], self.linear_r2_error[i], 3),
        ]

    def _caption(self) -> str:
        shared = self.use.total_correlation
        between = f"total correlation of the active units {_measured(shared.value, shared.error, 2)} nat; "
        means = [f"mean of {name} = {formula}" for name, formula in self.formulae.items()]
        return "\n".join([*means, between + "information is of samples of the latents, R^2 on held-out rows"])

    def about(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "name": self.name,
            "rows": self.rows,
            "latents": [
                {
                    "latent": name,
                    "kl": float(self.use.kl[i]),
                    "active": name in self.formulae,
                    "information": {q: self.information[name, q]._asdict() for q in self.quantities},
                    "ranked": [quantity for quantity, _ in self.ranked(name)] if name in self.formulae else [],
                    **self._explained(i, name),
                }
                for i, name in enumerate(self.names)
            ],
            "total_correlation": self.use.total_correlation._asdict(),
        }

    def _explained(self, i: int, name: str) -> dict[str, Any]:
        if name not in self.formulae:
            return {}
        formula = self.formulae[name]
        shown = ("text", "found", "r2", "r2_error", "symbols")
        return {
            "linear_r2": float(self.linear_r2[i]),
            "linear_r2_error": float(self.linear_r2_error[i]),
            "formula": {key: getattr(formula, key) for key in shown},
        }

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a ``.json`` of everything as plain data, or a ``.npz`` of arrays with that as text in its array ``about``.

        Raises
        ------
        InputError
            The path is of another kind.
        """
        path = self.destination(path)
        about = json.dumps(self.about(), indent=1)
        with whole_file(path) as file:
            if path.suffix == ".json":
                file.write(about.encode())
            else:
                np.savez(file, allow_pickle=False, about=np.array(about), **self.arrays())
        return path

    def arrays(self) -> dict[str, np.ndarray]:
        """Numbers by name: information and errors (latents, quantities), R^2, and those of ``use``, prefixed so."""
        table = np.array([[self.information[name, quantity][:2] for quantity in self.quantities] for name in self.names])
        return {
            "latents": np.array(self.names),
            "quantities": np.array(self.quantities),
            "active": self.active,
            "information": table[..., 0],
            "information_error": table[..., 1],
            "linear_r2": self.linear_r2,
            "linear_r2_error": self.linear_r2_error,
            **{f"use/{name}": array for name, array in self.use.arrays().items()},
        }

    def plot(self) -> Figure:
        """Heat map of the information, dead latents marked."""
        from zoo.interpret import plots

        marked = {name: name if name in self.formulae else f"{name}\n(dead)" for name in self.names}
        return plots.information_heat_map({(marked[a], b): found for (a, b), found in self.information.items()})


def relate_latents(
    model: Any,
    data: Rows,
    *,
    quantities: Sequence[str] | None = None,
    rows: int = ROWS,
    search: Search = "symbolic",
    degree: int = 2,
    seed: int = 0,
    jobs: int = 1,
    allow_out_of_range: bool = False,
) -> LatentReport:
    """Relate the latents of a model to the truth of a data set.

    Parameters
    ----------
    model : EndpointModel
        A loaded model with an endpoint ``encode`` that returns ``mean`` and ``log_variance``.
    data : Rows
        Rows that hold the endpoint's inputs by name, which may be cut as they are asked for, and the quantities as ``truth``.
    quantities : sequence of str, optional
        Names of those that are asked for, default the whole truth.
    rows : int
        Number of rows at most, drawn at random.
    search : {"polynomial", "symbolic"}
        Setting that `relate_posteriors` takes.
    degree : int
        Setting that `relate_posteriors` takes.
    seed : int
        Seed of the rows, and of what `relate_posteriors` draws.
    jobs : int
        Setting that `relate_posteriors` takes.
    allow_out_of_range : bool
        Encode inputs outside the trained range too.

    Raises
    ------
    UnknownNameError
        If the model has no endpoint ``encode``, or the data no such quantity.
    InputError
        An input that is missing or not as the endpoint takes it, no rows, and as for `relate_posteriors`.
    """
    from zoo.families.batches import rows_at_once

    described = model.spec.endpoint("encode")
    if missing := [tensor.name for tensor in described.inputs if tensor.name not in data.inputs]:
        raise InputError(f"encode of {model.spec.name} takes {', '.join(missing)}, given {', '.join(data.inputs) or 'nothing'}")
    if not {"mean", "log_variance"} <= {tensor.name for tensor in described.outputs}:
        raise InputError(f"encode of {model.spec.name}: expected outputs mean and log_variance of a Gaussian posterior")
    asked = list(data.truth) if quantities is None else list(quantities)
    if unknown := [name for name in asked if name not in data.truth]:
        raise UnknownNameError("quantity", unknown[0], data.truth)
    given = {tensor.name: data.inputs[tensor.name] for tensor in described.inputs}
    lengths = {name: len(column) for name, column in (given | {name: data.truth[name] for name in asked}).items()}
    if rows < 1 or set(lengths.values()) != {len(data)} or not len(data):
        raise InputError(f"expected at least one row, and the same number of each, given {lengths} and rows={rows}")

    expect_jobs(jobs)
    index = np.sort(generator(seed).choice(len(data), min(rows, len(data)), replace=False))
    size, check, encode = rows_at_once(given.values()), InputCheck(described), model.endpoint("encode")
    parts = []
    for start in track(range(0, len(index), size), "encoding"):
        tensors = {name: column[index[start : start + size]] for name, column in given.items()}
        answer = encode(**check(tensors, allow_out_of_range=allow_out_of_range), allow_out_of_range=True)
        parts.append([np.asarray(answer[name]) for name in ("mean", "log_variance")])
    mean, log_variance = (np.concatenate(column) for column in zip(*parts, strict=True))
    truth = {name: np.asarray(data.truth[name])[index] for name in asked}
    return relate_posteriors(
        mean, log_variance, truth, name=model.spec.name, search=search, degree=degree, seed=seed, jobs=jobs
    )


@explanation_method(
    "latents",
    "which physical quantities latents carry, and by which formula",
    kind="global",
    asks="data",
    endpoint="encode",
    rows=ROWS,
)
def _latents(asked: Asked, *, search: Search = "symbolic") -> LatentReport:
    return relate_latents(asked.model, asked.rows, quantities=asked.quantities, rows=len(asked.rows), search=search)


def relate_posteriors(
    mean: np.ndarray,
    log_variance: np.ndarray,
    quantities: Mapping[str, np.ndarray],
    *,
    name: str = "a model",
    search: Search = "polynomial",
    degree: int = 2,
    seed: int = 0,
    jobs: int = 1,
) -> LatentReport:
    """Relate latents to physical quantities.

    Information is by a Gaussian mixture; for quantities of at most 20 different values by nearest neighbors within
    classes (Ross 2014). Formulae are of the means of active latents.

    Parameters
    ----------
    mean, log_variance : ndarray
        Mean and log-variance of the Gaussian posterior of each row, of shape (n, latents).
    quantities : mapping of str to ndarray
        Quantities by name, of shape (n,), in physical units or their logarithms.
    name : str
        Name that heads the table.
    search : {"polynomial", "symbolic"}
        Which formulae are tried, as `distill` takes it.
    degree : int
        Degree of polynomials.
    seed : int
        Seed of samples, estimators and folds.
    jobs : int
        Processes for the information.

    Raises
    ------
    InputError
        No quantity, a constant one, different lengths, NaN or infinity anywhere, fewer than 50 rows.
    """
    expect_jobs(jobs)
    drawn = sample(mean, log_variance, seed)
    if len(drawn) < LEAST_ROWS or not quantities:
        raise InputError(f"expected at least {LEAST_ROWS} rows and one quantity, given {len(drawn)} and {len(quantities)}")
    known = {quantity: _quantity(quantity, values, len(drawn)) for quantity, values in quantities.items()}
    use = use_of_latents(mean, log_variance, rows=len(drawn), seed=seed, jobs=jobs)
    names = tuple(f"latent {i}" for i in range(drawn.shape[1]))
    samples = dict(zip(names, drawn.T, strict=True))
    active = active_latents(use.kl, DEAD)
    explained = {names[i]: np.asarray(mean, dtype=float)[:, i] for i in active}
    folds = linear_r2(known, explained, seed=seed)
    scores = np.full((2, len(names)), np.nan)
    for i in active:
        scores[:, i] = np.mean(folds[names[i]]), np.std(folds[names[i]], ddof=1) / np.sqrt(len(folds[names[i]]))
    return LatentReport(
        name=name,
        rows=len(drawn),
        names=names,
        active=active,
        information=_information(samples, known, seed, jobs),
        linear_r2=scores[0],
        linear_r2_error=scores[1],
        formulae=_formulae(explained, known, search, degree, seed),
        use=use,
    )


def _formulae(
    explained: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray], search: Search, degree: int, seed: int
) -> dict[str, Formula]:
    """A formula for the means of each latent by its name."""
    if not explained:
        return {}
    means = np.column_stack(list(explained.values()))
    return dict(zip(explained, distill_latents(means, known, search=search, degree=degree, seed=seed), strict=True))


def _information(
    samples: Mapping[str, np.ndarray], known: Mapping[str, np.ndarray], seed: int, jobs: int
) -> dict[tuple[str, str], MutualInformation]:
    """The information of each sample with each quantity, by the estimator that suits the quantity."""
    factors = {quantity: values for quantity, values in known.items() if _has_classes(values)}
    rng = generator(seed)
    continuous = {quantity: _untied(values, rng) for quantity, values in known.items() if quantity not in factors}
    rows = len(next(iter(known.values())))
    found: dict[tuple[str, str], MutualInformation] = {}
    if continuous:
        found |= mutual_information_matrix(samples, continuous, rows=rows, seed=seed, jobs=jobs)
    if factors:
        found |= mutual_information_matrix(samples, factors, estimator="classes", rows=rows, seed=seed, jobs=jobs)
    return {(latent, quantity): found[latent, quantity] for latent in samples for quantity in known}


def _measured(value: float, error: float, digits: int) -> str:
    """A value with its error, which is rounded up, so that it never reads as zero."""
    return f"{round(value, digits) + 0.0:.{digits}f} +- {np.ceil(round(error * 10**digits, 6)) / 10**digits:.{digits}f}"


def _quantity(name: str, values: np.ndarray, rows: int) -> np.ndarray:
    array = numbers_alone(values, name)
    if array.shape != (rows,) or array.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected {rows} numbers, one a row, given {array.dtype} of shape {array.shape}")
    array = array.astype(float)
    if not np.isfinite(array).all():
        raise InputError(f"{name}: {np.count_nonzero(~np.isfinite(array))} values are NaN or infinite; leave those rows out")
    if np.ptp(array) == 0:
        raise InputError(f"{name} is constant, {array[0]:g} in every row: leave it out")
    return array


def _has_classes(values: np.ndarray) -> bool:
    """Few different values, none of them rare."""
    kinds, sizes = np.unique(values, return_counts=True)
    return len(kinds) <= CLASSES and sizes.min() >= LEAST_IN_CLASS


def _untied(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Ranks, with equal values in random order where most repeat: counts, say.

    The estimators see ranks only, and a count is still read off its rank: the information stays what it is.
    """
    if len(np.unique(values)) > len(values) / 2:
        return values
    ranks = np.empty(len(values))
    ranks[np.lexsort((rng.uniform(size=len(values)), values))] = np.arange(len(values))
    return ranks
