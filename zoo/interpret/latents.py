"""What the latents of a variational model carry, and what each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import InputError

DEAD = 0.05
"""KL in nat below which a latent carries nothing."""


def kl_per_latent(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    """KL(q(z|x) || N(0, 1)) of each latent in nat, averaged over rows (Kingma & Welling 2014, arXiv:1312.6114, app. B).

    Parameters
    ----------
    mean, log_variance : (n, latents) of the Gaussian posterior of each row

    Returns
    -------
    (latents,) array

    Raises
    ------
    InputError
        Different shapes, or NaN or infinity.
    """
    mean, log_variance = _posterior(mean, log_variance)
    return 0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1).mean(axis=0)


def active_latents(kl: np.ndarray, threshold: float = DEAD) -> np.ndarray:
    """Indices of the latents whose KL exceeds ``threshold`` nat, ascending."""
    return np.flatnonzero(np.asarray(kl) > threshold)


def sample(mean: np.ndarray, log_variance: np.ndarray, seed: int = 0) -> np.ndarray:
    """One sample (n, latents) of each row's posterior: what the decoder is trained on.

    Raises
    ------
    InputError
        As for `kl_per_latent`.
    """
    mean, log_variance = _posterior(mean, log_variance)
    return mean + np.exp(0.5 * log_variance) * np.random.default_rng(seed).standard_normal(mean.shape)


def _posterior(mean: np.ndarray, log_variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, log_variance = np.asarray(mean, dtype=float), np.asarray(log_variance, dtype=float)
    if mean.ndim != 2 or mean.shape != log_variance.shape or not len(mean):
        raise InputError(f"expected mean and log-variance of one shape (n, latents), given {mean.shape}, {log_variance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(log_variance).all()):
        raise InputError("mean and log-variance must be finite, given NaN or infinity")
    return mean, log_variance


@dataclass(frozen=True, eq=False)
class Traversal:
    """What a decoder answers as one latent moves.

    Attributes
    ----------
    latents : (k,) indices of the moved latents
    grid : (g,) values that each of them takes
    query : (q, d) queries, None for a decoder that takes latents alone
    decoded : (k, g, q, ...) answers; (k, g, ...) without queries
    query_label, answer_label : names with units
    """

    latents: np.ndarray
    grid: np.ndarray
    query: np.ndarray | None
    decoded: np.ndarray
    query_label: str = ""
    answer_label: str = ""

    @property
    def effect(self) -> np.ndarray:
        """(k,) largest change of any answer as the latent runs through the grid, in the unit of the answer."""
        return np.ptp(self.decoded, axis=1).reshape(len(self.latents), -1).max(axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything numeric by name, to be saved."""
        found = {"latents": self.latents, "grid": self.grid, "query": self.query, "decoded": self.decoded}
        return {name: array for name, array in found.items() if array is not None}


def traverse(
    model: Any,
    *,
    latents: np.ndarray | None = None,
    grid: np.ndarray | None = None,
    query: np.ndarray | None = None,
    at: np.ndarray | float = 0.0,
) -> Traversal:
    """Decode while one latent at a time moves and the others stay.

    Parameters
    ----------
    model : with a spec and an endpoint ``decode``: latents, and a query where it takes one -> answer
    latents : indices to move, default all
    grid : (g,) values of the moved latent, default seven quantiles of its prior N(0, 1) from 5% to 95%
    query : (q,) or (q, d) queries, default 101 points over the trained range
    at : (latents,) or one value: where the others stay, default the mean of the prior

    Raises
    ------
    UnknownNameError
        If the model has no endpoint ``decode``.
    InputError
        A latent that does not exist, a shape that does not fit, no trained range to take queries from.
    """
    from scipy.stats import norm

    described = model.spec.endpoint("decode")
    latent, *queries = described.inputs
    width = latent.shape[-1]
    chosen = np.arange(width) if latents is None else np.atleast_1d(latents)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or ((chosen < 0) | (chosen >= width)).any():
        raise InputError(f"latents: expected indices from 0 to {width - 1}, given {chosen.tolist()}")
    grid = norm.ppf(np.linspace(0.05, 0.95, 7)) if grid is None else np.asarray(grid, dtype=float)
    if grid.ndim != 1 or not np.isfinite(grid).all() or np.shape(at) not in ((), (width,)):
        raise InputError(f"expected a finite grid of shape (g,) and one value or {width} for `at`")
    asked = _queries(queries[0], query) if queries else None

    position = np.broadcast_to(np.asarray(at, dtype=float), (len(chosen), len(grid), width)).copy()
    position[np.arange(len(chosen)), :, chosen] = grid
    rows = position.reshape(-1, width).astype(np.float32)
    tensors = {latent.name: rows}
    if asked is not None:
        tensors = {latent.name: np.repeat(rows, len(asked), axis=0), queries[0].name: np.tile(asked, (len(rows), 1))}
    answer = described.outputs[0]
    decoded = np.asarray(model.endpoint("decode")(**tensors)[answer.name])
    lead = (len(chosen), len(grid)) if asked is None else (len(chosen), len(grid), len(asked))
    return Traversal(
        latents=chosen,
        grid=grid,
        query=asked,
        decoded=decoded.reshape(*lead, *decoded.shape[1:]),
        query_label=f"{queries[0].name} [{queries[0].unit}]" if queries else "",
        answer_label=f"{answer.name} [{answer.unit}]",
    )


def _queries(tensor: Any, given: np.ndarray | None) -> np.ndarray:
    """(q, d) queries, over the trained range where none are given."""
    if given is None:
        if tensor.shape != [1] or tensor.low is None or tensor.high is None:
            raise InputError(f"query: {tensor.name} {tensor.shape} has no trained range along one axis; give the queries")
        given = np.linspace(np.ravel(tensor.low)[0], np.ravel(tensor.high)[0], 101)
    array = np.asarray(given, dtype=np.float32)
    array = array[:, None] if array.ndim == 1 else array
    if list(array.shape[1:]) != tensor.shape or not np.isfinite(array).all():
        raise InputError(f"query: expected finite numbers of shape (q, {tensor.shape[0]}), given {np.shape(given)}")
    return array


def linear_r2(
    predictors: np.ndarray | Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray], *, folds: int = 5, seed: int = 0
) -> dict[str, np.ndarray]:
    """How much of each target a linear function of the predictors explains, on held-out rows.

    Parameters
    ----------
    predictors : (n, d) latents, or name -> (n,) quantities
    targets : name -> (n,): physical quantities to read off the latents or, the other way, latents
    folds, seed : of the shuffled cross-validation

    Returns
    -------
    name -> (folds,) R^2 of each fold

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, a constant target, fewer than two rows a fold.
    """
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_score

    known = np.column_stack(list(predictors.values())) if isinstance(predictors, Mapping) else np.asarray(predictors)
    if known.ndim != 2 or not known.shape[1] or not np.isfinite(known).all():
        raise InputError(f"predictors: expected finite numbers of shape (n, d), given shape {known.shape}")
    if len(known) < 2 * folds:
        raise InputError(f"expected at least {2 * folds} rows for {folds} folds, given {len(known)}")
    splits = KFold(folds, shuffle=True, random_state=seed)
    found = {}
    for name, values in targets.items():
        target = np.asarray(values, dtype=float)
        if target.shape != (len(known),) or not np.isfinite(target).all() or np.ptp(target) == 0:
            raise InputError(f"{name}: expected {len(known)} finite values that are not all equal, given shape {target.shape}")
        found[name] = cross_val_score(LinearRegression(), known, target, cv=splits, scoring="r2")
    return found
