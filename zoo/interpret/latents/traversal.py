"""What the latents of a variational model carry, and what each of them does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.interpret.elements import axes_of, layout
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result
from zoo.model.array_files import write_outputs
from zoo.model.axes import Axis
from zoo.model.handed_in.tensors import array_of, numbers_alone
from zoo.model.inputs import InputCheck
from zoo.model.spec import TEST_TENSORS, Tensor
from zoo.model.test_tensors import read_test_tensors
from zoo.seeds import SHORT, expect_seed, generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEAD = 0.05
"""KL in nat below which a latent carries nothing."""
QUANTILES = np.linspace(0.05, 0.95, 7)
"""Quantiles through which a latent moves."""
DRAWN = 64
"""Samples of the posterior of each test row."""
QUERIES = 101
"""Number of queries of a traversal over the trained range."""
SCALE = "scale"
"""Name of a decoder's output that is the standard deviation of its answer."""


def kl_per_latent(mean: np.ndarray, log_variance: np.ndarray) -> np.ndarray:
    """KL(q(z|x) || N(0, 1)) of each latent in nat, averaged over rows (Kingma & Welling 2014, arXiv:1312.6114, app. B).

    Parameters
    ----------
    mean, log_variance : ndarray
        Mean and log-variance of the Gaussian posterior of each row, of shape (n, latents).

    Returns
    -------
    ndarray
        The KL of each latent, of shape (latents,).

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
        What `kl_per_latent` refuses.
    """
    mean, log_variance = _posterior(mean, log_variance)
    return mean + np.exp(0.5 * log_variance) * generator(seed).standard_normal(mean.shape)


def _posterior(mean: np.ndarray, log_variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, log_variance = np.asarray(mean, dtype=float), np.asarray(log_variance, dtype=float)
    if mean.ndim != 2 or mean.shape != log_variance.shape or not len(mean):
        raise InputError(f"expected mean and log-variance of one shape (n, latents), given {mean.shape}, {log_variance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(log_variance).all()):
        raise InputError("mean and log-variance must be finite, given NaN or infinity")
    return mean, log_variance


@dataclass(frozen=True, eq=False)
class Traversal(Result):
    """What a decoder answers as one latent moves.

    Attributes
    ----------
    latents : ndarray
        Indices of the moved latents, of shape (k,).
    grid : ndarray
        Values that each of them takes, of shape (k, g).
    quantiles : ndarray, optional
        Quantiles of the encoded rows that these values are, of shape (g,); None where they are not from rows.
    query : ndarray, optional
        Queries, None for a decoder that takes latents alone, of shape (q, d).
    decoded : ndarray
        Answers of shape (k, g, q, ...), without queries of shape (k, g, ...).
    query_label, answer_label : str
        Names with units.
    scale : ndarray, optional
        Standard deviations of the answers, of the shape of ``decoded``, None for a decoder without an output of that name.
    trained : ndarray, optional
        Lowest and highest trained query, None where the spec has none, of shape (2, d).
    axes : list of Axis
        The axes of the answer after the batch, as the model's spec has them.
    """

    latents: np.ndarray
    grid: np.ndarray
    query: np.ndarray | None
    decoded: np.ndarray
    query_label: str = ""
    answer_label: str = ""
    scale: np.ndarray | None = None
    trained: np.ndarray | None = None
    quantiles: np.ndarray | None = None
    axes: list[Axis] = field(default_factory=list)

    @property
    def images(self) -> bool:
        """Whether the answers are images."""
        shape = self.decoded.shape[2:]
        return self.query is None and layout(axes_of(self.axes, shape), shape) == "image"

    @property
    def effect(self) -> np.ndarray:
        """The largest change (k,) of any answer as the latent runs through the grid, in the unit of the answer."""
        return np.ptp(self.decoded, axis=1).reshape(len(self.latents), -1).max(axis=1)

    @property
    def extrapolated(self) -> np.ndarray | None:
        """Whether each query (q,) lies outside the trained range; None without queries."""
        if self.query is None:
            return None
        if self.trained is None:
            return np.zeros(len(self.query), bool)
        return ((self.query < self.trained[0]) | (self.query > self.trained[1])).any(axis=1)

    @property
    def logarithmic(self) -> bool:
        """Whether queries go on a logarithmic axis: one element, trained from above zero over a decade or more."""
        if self.query is None or self.trained is None or self.query.shape[1] != 1:
            return False
        return bool((self.query > 0).all() and spans_decade(*self.trained[:, 0]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything numeric by name, to be saved."""
        found = {
            name: getattr(self, name) for name in ("latents", "grid", "query", "decoded", "scale", "extrapolated", "quantiles")
        }
        return {name: array for name, array in found.items() if array is not None}

    def save(self, path: str | PathLike[str]) -> Path:
        """Write `arrays` to a ``.npz``, whole or not at all; InputError for a path of another kind."""
        return write_outputs(self.destination(path), self.arrays())

    def plot(self) -> Figure:
        """What the decoder answers as each latent moves: curves, or images."""
        from zoo.interpret import plots

        return plots.latent_traversal(self)


def traverse(
    model: Any,
    *,
    latents: np.ndarray | None = None,
    grid: np.ndarray | None = None,
    query: np.ndarray | None = None,
    at: np.ndarray | float | None = None,
    drawn: np.ndarray | None = None,
    allow_out_of_range: bool = False,
) -> Traversal:
    """Decode while one latent at a time moves and the others stay.

    Latents of real rows need not fill the prior, nor keep to it, where its weight is small: ``drawn`` asks for what occurs.

    Parameters
    ----------
    model : EndpointModel
        A model with a spec and an endpoint ``decode``, which takes latents, and a query where there is one, and answers with
        a value at the query or an image.
    latents : ndarray, optional
        Indices to move, default all.
    grid : ndarray, optional
        Values of the moved latent, default seven quantiles from 5% to 95%, of its prior N(0, 1) or of ``drawn``, of shape
        (g,).
    query : ndarray, optional
        Queries of shape (q,) or (q, d), by default 101 points over the trained range; evenly in the logarithm if it is
        positive and spans a decade or more.
    at : ndarray or float, optional
        Where the other latents stay, one value or one each, of shape (latents,); by default the mean of the prior, or the
        median of ``drawn``.
    drawn : ndarray, optional
        Samples of the posteriors of rows, as of `sample`, of shape (n, latents).
    allow_out_of_range : bool
        Decode latents and queries outside the trained range too; the answer says which queries.

    Raises
    ------
    UnknownNameError
        If the model has no endpoint ``decode``.
    InputError
        A latent that does not exist, a shape that does not fit, a latent or query outside the trained range, no trained range
        to take queries from.
    """
    from scipy.stats import norm

    described = model.spec.endpoint("decode")
    latent, *queries = described.inputs
    width = latent.shape[-1]
    chosen = np.arange(width) if latents is None else np.atleast_1d(latents)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or ((chosen < 0) | (chosen >= width)).any():
        raise InputError(f"latents: expected indices from 0 to {width - 1}, given {chosen.tolist()}")
    if drawn is not None and (np.ndim(drawn) != 2 or np.shape(drawn)[1] != width or not len(drawn)):
        raise InputError(f"drawn: expected rows of {width} latents, given shape {np.shape(drawn)}")
    if at is None:
        at = 0.0 if drawn is None else np.median(drawn, axis=0)
    quantiles = QUANTILES if drawn is not None and grid is None else None
    if grid is None:
        grid = norm.ppf(QUANTILES) if drawn is None else np.quantile(np.asarray(drawn)[:, chosen], QUANTILES, axis=0).T
    elif np.ndim(grid) != 1:
        raise InputError(f"grid: expected values of shape (g,), given shape {np.shape(grid)}")
    grid = np.broadcast_to(np.asarray(grid, dtype=float), (len(chosen), np.shape(grid)[-1]))
    if not np.isfinite(grid).all() or np.shape(at) not in ((), (width,)):
        raise InputError(f"expected finite values to move to, and one value or {width} for `at`")

    def checked(tensor: Tensor, rows: np.ndarray) -> np.ndarray:
        alone = described.model_copy(update={"inputs": [tensor]})
        return InputCheck(alone)({tensor.name: rows}, allow_out_of_range=allow_out_of_range)[tensor.name]

    asked = checked(queries[0], _queries(queries[0], query)) if queries else None
    position = np.broadcast_to(np.asarray(at, dtype=float), (*grid.shape, width)).copy()
    position[np.arange(len(chosen)), :, chosen] = grid
    rows = checked(latent, position.reshape(-1, width))
    tensors = {latent.name: rows}
    if asked is not None:
        tensors = {latent.name: np.repeat(rows, len(asked), axis=0), queries[0].name: np.tile(asked, (len(rows), 1))}
    answer = described.outputs[0]
    lead = grid.shape if asked is None else (*grid.shape, len(asked))
    answers = {name: np.asarray(array) for name, array in model.endpoint("decode")(**tensors, allow_out_of_range=True).items()}
    shaped = {name: array.reshape(*lead, *array.shape[1:]) for name, array in answers.items()}
    return Traversal(
        latents=chosen,
        grid=grid,
        query=asked,
        decoded=shaped[answer.name],
        query_label=_label(queries[0]) if queries else "",
        answer_label=_label(answer),
        scale=shaped.get(SCALE),
        trained=_trained(queries[0]) if queries else None,
        quantiles=quantiles,
        axes=answer.axes,
    )


@explanation_method("traversal", "what answers do as one latent moves", kind="global", asks="nothing")
def _traversal(asked: Asked) -> Traversal:
    return traverse(asked.model, drawn=_drawn(asked.model))


def _drawn(model: Any) -> np.ndarray | None:
    """Samples of the latents of the test rows that came with the model, None for one without."""
    if model.folder is None or "encode" not in model.spec.endpoints:
        return None
    _, outputs = read_test_tensors(model.folder.read(TEST_TENSORS), model.spec)["encode"]
    if not {"mean", "log_variance"} <= outputs.keys():
        return None
    mean, log_variance = (np.repeat(outputs[name], DRAWN, axis=0) for name in ("mean", "log_variance"))
    return sample(mean, log_variance)


def _trained(tensor: Tensor) -> np.ndarray | None:
    """Float32 bounds (2, d) of the trained range, infinite on a side that has none."""
    if tensor.low is None and tensor.high is None:
        return None
    bounds = -np.inf if tensor.low is None else tensor.low, np.inf if tensor.high is None else tensor.high
    return np.stack([np.broadcast_to(np.asarray(bound, np.float32), tensor.fixed_shape) for bound in bounds])


def spans_decade(low: float, high: float) -> bool:
    """Whether a range is best seen on a logarithmic axis."""
    return low > 0 and high >= 10 * low


def _queries(tensor: Tensor, given: np.ndarray | None) -> np.ndarray:
    """Queries (q, d), over the trained range where none are given."""
    if given is None:
        trained = _trained(tensor)
        if tensor.shape != [1] or trained is None or not np.isfinite(trained).all():
            raise InputError(f"query: {tensor.name} {tensor.shape} has no trained range along one axis; give the queries")
        low, high = map(float, trained[:, 0])
        given = np.geomspace(low, high, QUERIES) if spans_decade(low, high) else np.linspace(low, high, QUERIES)
    array = array_of(given, tensor)
    return array[:, None] if array.ndim == 1 else array


def linear_r2(
    predictors: np.ndarray | Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray], *, folds: int = 5, seed: int = 0
) -> dict[str, np.ndarray]:
    """How much of each target a linear function of the predictors explains, on held-out rows.

    Parameters
    ----------
    predictors : ndarray or mapping of str to ndarray
        Latents of shape (n, d), or quantities of shape (n,) by name.
    targets : mapping of str to ndarray
        What is read off the predictors by name, of shape (n,): physical quantities or, the other way, latents.
    folds, seed : int
        Number of folds and seed of the shuffled cross-validation.

    Returns
    -------
    dict of str to ndarray
        R^2 of each fold by name, of shape (folds,).

    Raises
    ------
    InputError
        Different numbers of rows, NaN or infinity, a constant target, fewer than two rows a fold.
    """
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_score

    expect_seed(seed, below=SHORT)
    if isinstance(predictors, Mapping):
        known = np.column_stack([numbers_alone(values, name) for name, values in predictors.items()])
    else:
        known = numbers_alone(predictors, "predictors")
    if known.ndim != 2 or not known.shape[1] or not np.isfinite(known).all():
        raise InputError(f"predictors: expected finite numbers of shape (n, d), given shape {known.shape}")
    if len(known) < 2 * folds:
        raise InputError(f"expected at least {2 * folds} rows for {folds} folds, given {len(known)}")
    splits = KFold(folds, shuffle=True, random_state=seed)
    found = {}
    for name, values in targets.items():
        target = numbers_alone(values, name).astype(float)
        if target.shape != (len(known),) or not np.isfinite(target).all() or np.ptp(target) == 0:
            raise InputError(f"{name}: expected {len(known)} finite values that are not all equal, given shape {target.shape}")
        found[name] = cross_val_score(LinearRegression(), known, target, cv=splits, scoring="r2")
    return found


def _label(tensor: Tensor) -> str:
    """The name of a tensor, with its unit unless it is dimensionless."""
    return tensor.name if tensor.unit == "1" else f"{tensor.name} [{tensor.unit}]"
