"""Draws from a posterior in whatever a user has them: by name, in the units of the parameters, one chain or several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.errors import InputError, warn
from zoo.interpret.posteriors.mcmc import Chains
from zoo.interpret.posteriors.parameters import ParameterSet
from zoo.model.handed_in.columns import Columns, named_as_weights
from zoo.model.handed_in.tables import columns_of, is_table
from zoo.model.handed_in.tensors import numbers_alone

DIFFER = 1.05
"""R-hat of chains above which there is a warning: they have not mixed, or are no chains of one posterior."""


def draws_of(samples: Any, known: ParameterSet, what: str = "samples") -> np.ndarray:
    """Draws from one posterior.

    Parameters
    ----------
    samples : array_like
        Draws (n, D), or chains (chains, draws, D), as arviz has them; of a single parameter also (n,). A table
        or a mapping that names the parameters, of (n,) or (chains, draws) each; a posterior of arviz; or `Chains`.
    known : ParameterSet
        The parameters.
    what : str
        What they are, for messages.

    Returns
    -------
    ndarray of shape (chains, draws, D)
        The draws in float64, those of one chain where there are no chains.

    Raises
    ------
    InputError, UnknownNameError
        They have another shape, lack a parameter, are not finite, have other units or weights.

    Warns
    -----
    UserWarning
        The chains of an array differ from each other.
    """
    dimensions = len(known.names)
    if isinstance(samples, Chains):
        chains = samples.samples.swapaxes(0, 1)
    else:
        posterior = _of_arviz(samples)
        named = is_table(posterior) or isinstance(posterior, Mapping)
        chains = _by_name(posterior, known, what) if named else _as_chains(numbers_alone(posterior, what), dimensions, what)
    if not chains.size or not np.isfinite(chains).all():
        said = f"{np.count_nonzero(~np.isfinite(chains))} values that are NaN or infinite" if chains.size else "none"
        raise InputError(f"{what}: expected finite draws, given {said}")
    if not isinstance(samples, Chains) and len(chains) > 1:
        _warn_of_others(chains, known, what)
    return np.ascontiguousarray(chains, dtype=np.float64)


def _as_chains(array: np.ndarray, dimensions: int, what: str) -> np.ndarray:
    """Chains (chains, draws, D) of an array whose columns are the parameters."""
    chains = array[:, None] if array.ndim == dimensions == 1 else array
    chains = chains[None] if chains.ndim == 2 else chains
    if chains.ndim != 3 or chains.shape[2] != dimensions:
        raise InputError(
            f"{what}: expected draws from one posterior, (n, {dimensions}), or chains, (chains, draws, {dimensions}), given"
            f" shape {array.shape}"
        )
    if len(chains) > chains.shape[1]:
        raise InputError(
            f"{what}: expected (chains, draws, {dimensions}), given {len(chains)} chains of {chains.shape[1]} draws: if the"
            " first axis is that of the draws, give samples.swapaxes(0, 1), or the Chains that the sampler gave"
        )
    return chains


def _by_name(given: Any, known: ParameterSet, what: str) -> np.ndarray:
    """Chains (chains, draws, D) of columns that are called as the parameters."""
    if isinstance(given, Mapping):
        given = {name: _chain_first(values) for name, values in given.items()}
    columns = columns_of(given, what)
    if weights := [name for name in columns if name not in known.names and named_as_weights(name)]:
        raise InputError(
            f"{what}: the column {weights[0]} holds weights, and draws count the same here: draw rows again in proportion to"
            " their weights, and leave the column out"
        )
    return _as_chains(np.stack([_column(columns, name, known) for name in known.names], axis=-1), len(known.names), what)


def _column(columns: Columns, name: str, known: ParameterSet) -> np.ndarray:
    """The draws of one parameter, (n,) or (chains, draws)."""
    shape, unit = columns.one(name).shape, known.units.get(name)
    if unit is None and (given := columns.one(name).unit) is not None:
        raise InputError(
            f"{columns.source}: {name} has the unit {given}, and that of the parameter is not known: give the flow as"
            " parameters, or the numbers alone"
        )
    found = columns.array([name], shape, None if unit is None else [unit] * int(np.prod(shape, dtype=int)))
    return np.asarray(found)


def _of_arviz(samples: Any) -> Any:
    """The posterior of what arviz or xarray hold as groups; anything else as it is."""
    if type(samples).__module__.partition(".")[0] not in ("arviz", "xarray"):
        return samples
    posterior = getattr(samples, "posterior", samples)
    return getattr(posterior, "dataset", posterior)


def _chain_first(values: Any) -> Any:
    """An array of xarray with its axes in the order that they are read in, which are told by name."""
    return values.transpose("chain", "draw", ...) if {"chain", "draw"} <= set(getattr(values, "dims", ())) else values


def _warn_of_others(chains: np.ndarray, known: ParameterSet, what: str) -> None:
    """Warn of chains that are not of one posterior, such as draws for several observations."""
    within, between = chains.var(axis=1, ddof=1).mean(axis=0), chains.mean(axis=1).var(axis=0, ddof=1)
    r_hat = np.sqrt(1 + between / np.where(within > 0, within, 1.0))
    worst = int(np.argmax(r_hat))
    if r_hat[worst] > DIFFER:
        warn(
            f"{what}: {len(chains)} chains differ in {known.names[worst]} (R-hat {r_hat[worst]:.2f}): they have not mixed, or"
            f" are draws for {len(chains)} observations, each of which has a posterior of its own, such as {what}[0]"
        )
