"""What a network computes as a formula of named physical quantities, and how much of it that explains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from zoo.errors import InputError
from zoo.interpret.formulae.formula import Formula, columns
from zoo.interpret.formulae.polynomial import polynomial
from zoo.interpret.formulae.search import FormulaSearch
from zoo.interpret.formulae.symbolic import symbolic
from zoo.model.handed_in.tensors import numbers_alone
from zoo.progress import track
from zoo.seeds import SHORT, expect_seed

Search = Literal["polynomial", "symbolic"]
GAIN = 0.01
"""Part of the variance that a longer formula must explain beyond a shorter one."""
WRITER = "transformer-formulae"
"""Name of the network that writes formulae."""


def distill(
    answer: np.ndarray,
    quantities: Mapping[str, np.ndarray],
    *,
    search: Search = "polynomial",
    degree: int = 2,
    most_terms: int = 5,
    gain: float = GAIN,
    writer: Any = None,
    seed: int = 0,
) -> Formula:
    """The shortest formula that explains an answer about as well as longer ones do.

    Parameters
    ----------
    answer : ndarray
        One number of any endpoint, such as the mean of a latent's posterior, of shape (n,).
    quantities : mapping of str to ndarray
        Quantities by name, of shape (n,), in physical units or their logarithms.
    search : {"polynomial", "symbolic"}
        A polynomial of few terms, of any number of quantities; or a formula of the four quantities at most that matter most,
        with roots, exponentials, logarithms, sines and fractions, of what a network writes.
    degree : int
        Degree of a polynomial.
    most_terms : int
        Terms of a polynomial at most, beside the intercept.
    gain : float
        Part of the variance that a longer formula must explain beyond a shorter one; 0 for all that rows can tell.
    writer : ZooModel, Session or FormulaSearch, optional
        The network that writes formulae, or a search that asks it, to be used again; by default "transformer-formulae".
    seed : int
        Seed of which rows are held out, and of the starts of fits.

    Returns
    -------
    Polynomial or SymbolicFormula
        The formula.

    Raises
    ------
    InputError
        No quantity, different lengths, NaN or infinity, a constant answer or quantity, fewer than 50 rows, a degree that is
        not 1, 2 or 3, no terms, a negative gain, another search.

    Examples
    --------
    >>> found = zoo.interpret.distill(mean[:, 0], {"damping": b, "stiffness": k}, search="symbolic")  # doctest: +SKIP
    >>> print(found, found.latex())  # doctest: +SKIP
    """
    expect_seed(seed, below=SHORT - 1)  # one of its searches takes the next seed too
    names = tuple(quantities)
    table, target = columns(quantities, names), numbers_alone(answer, "answer").astype(float)
    if target.shape != (len(table),) or not np.isfinite(target).all() or np.ptp(target) == 0:
        raise InputError(f"answer: expected {len(table)} finite values that are not all equal, given shape {target.shape}")
    if constant := [name for name, column in zip(names, table.T, strict=True) if np.ptp(column) == 0]:
        raise InputError(f"quantities: {', '.join(constant)} are constant: leave them out")
    if not 0 <= gain < 1:
        raise InputError(f"gain: expected a part of the variance from 0 to below 1, given {gain}")
    if search == "symbolic":
        return symbolic(target, table, names, _search(writer, seed), gain, seed)
    if search != "polynomial":
        raise InputError(f"search: expected polynomial or symbolic, given {search!r}")
    return polynomial(target, table, names, degree, most_terms, gain, seed)


def distill_latents(
    mean: np.ndarray,
    quantities: Mapping[str, np.ndarray],
    *,
    search: Search = "polynomial",
    writer: Any = None,
    seed: int = 0,
    **options: Any,
) -> list[Formula]:
    """A formula for each latent, from the means of their posteriors (n, latents); options and errors as for `distill`."""
    array = numbers_alone(mean, "mean").astype(float)
    if array.ndim != 2:
        raise InputError(f"mean: expected shape (n, latents), given {array.shape}")
    if search == "symbolic":
        writer = _search(writer, seed)  # whose graphs serve all latents
    columns = track(list(array.T), "formulae")
    return [distill(latent, quantities, search=search, writer=writer, seed=seed, **options) for latent in columns]


def _search(writer: Any, seed: int) -> FormulaSearch:
    from zoo.loading import load

    return writer if isinstance(writer, FormulaSearch) else FormulaSearch(writer or load(WRITER), seed=seed)
