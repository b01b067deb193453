"""Activations of a layer: as feature maps, and as points in a plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ExplanationError, InputError
from zoo.interpret.attribution.layer_outputs import last_output, layer_named, layers_of, outputs_of
from zoo.interpret.attribution.scalar_output import answer_of, batches, name_of
from zoo.interpret.methods import Asked, explanation_method
from zoo.interpret.result import Result
from zoo.model.handed_in.tensors import numbers_alone
from zoo.seeds import SHORT, expect_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COMPONENTS = 50
"""Principal components that t-SNE starts from."""
LEAST_ROWS = 10


@dataclass(frozen=True, eq=False)
class FeatureMaps(Result):
    """What a layer returns for some rows.

    Attributes
    ----------
    values : ndarray
        Activations, of shape (n, ..., channels).
    layer, model : str
        Names of the layer and the model.
    """

    values: np.ndarray
    layer: str
    model: str

    def plot(self) -> Figure:
        """Maps of the first row, of cubes the middle slice; units against rows where the layer has no space."""
        from zoo.interpret import plots

        return plots.feature_map_grid(self)


@dataclass(frozen=True, eq=False)
class Embedding(Result):
    """Activations of a layer in two dimensions.

    Attributes
    ----------
    points : ndarray
        The points, of shape (n, 2).
    truth : dict of str to ndarray
        Physical quantities of the rows by name, of shape (n,).
    method : str
        "pca" or "tsne".
    layer, model : str
        Names of the layer and the model.
    explained : list of float
        Share of the variance along each axis, of PCA.
    """

    points: np.ndarray
    truth: dict[str, np.ndarray]
    method: str
    layer: str
    model: str
    explained: list[float] = field(default_factory=list)

    def plot(self) -> Figure:
        """A panel for each physical quantity, its color."""
        from zoo.interpret import plots

        return plots.embedding_by_quantity(self)


def feature_maps(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    layer: str | None = None,
    *,
    endpoint: str | None = None,
    allow_out_of_range: bool = False,
) -> FeatureMaps:
    """Activations of a layer.

    Parameters
    ----------
    inputs : ndarray or mapping of str to ndarray
        Rows of shape (n, ...), or an array for each input tensor of the endpoint by name.
    layer : str, optional
        Name of a layer, or of a block for its last; default the last before the head.
    endpoint : str, optional
        Name of the endpoint; by default ``predict``, or the first where there is none.

    Raises
    ------
    ExplanationError
        The model has no layers, or the endpoint does not call this one.
    InputError, UnknownNameError
        Bad inputs, no such layer or endpoint.
    """
    import keras

    name = layer or default_layer(model)
    chosen = layer_named(model, name)
    answer = answer_of(model, inputs, endpoint=endpoint, allow_out_of_range=allow_out_of_range)
    found = []
    for rows in batches(np.arange(len(answer.x)), answer.x[0].size):
        with outputs_of(chosen) as seen:
            answer.scalar(answer.x[rows], rows)
        found.append(keras.ops.convert_to_numpy(last_output(seen, chosen, answer.endpoint)))
    return FeatureMaps(np.concatenate(found), chosen.name, name_of(model))


def default_layer(model: Any) -> str:
    """The last layer with weights to train before the head."""
    trainable = [name for name, layer in layers_of(model).items() if layer.trainable_weights]
    if not trainable:
        raise ExplanationError(f"{type(model).__name__} has no trained layers")
    return trainable[max(0, len(trainable) - 2)]


def embed(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    layer: str | None = None,
    *,
    method: str = "pca",
    truth: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
    endpoint: str | None = None,
    allow_out_of_range: bool = False,
) -> Embedding:
    """Activations of a layer in two dimensions, through scikit-learn.

    Parameters
    ----------
    inputs : ndarray or mapping of str to ndarray
        What `feature_maps` takes, with at least ten rows.
    layer : str, optional
        What `feature_maps` takes, with at least ten rows.
    endpoint : str, optional
        What `feature_maps` takes, with at least ten rows.
    method : str
        "pca", or "tsne" (van der Maaten & Hinton 2008) of the first 50 principal components, in which neighbors are kept and
        distances are not.
    truth : mapping of str to ndarray, optional
        Physical quantities of the rows by name, of shape (n,), for the colors.

    Raises
    ------
    InputError
        Another method, too few rows, a quantity of another length; and as of `feature_maps`.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    expect_seed(seed, below=SHORT)
    if method not in ("pca", "tsne"):
        raise InputError(f"method: expected pca or tsne, given {method!r}")
    maps = feature_maps(model, inputs, layer, endpoint=endpoint, allow_out_of_range=allow_out_of_range)
    rows = maps.values.reshape(len(maps.values), -1).astype(float)
    if len(rows) < LEAST_ROWS:
        raise InputError(f"{method} needs at least {LEAST_ROWS} rows, given {len(rows)}")
    quantities = {name: numbers_alone(values, f"truth {name!r}").astype(float) for name, values in (truth or {}).items()}
    for name, values in quantities.items():
        if values.shape != (len(rows),):
            raise InputError(f"truth {name!r}: expected {len(rows)} numbers, one a row, given shape {values.shape}")
    explained: list[float] = []
    components = 2 if method == "pca" else COMPONENTS
    fitted = PCA(min(components, *rows.shape), random_state=seed)
    points = fitted.fit_transform(rows)
    if method == "tsne":
        points = TSNE(perplexity=min(30.0, (len(rows) - 1) / 3), random_state=seed).fit_transform(points)
    else:
        points = np.pad(points, ((0, 0), (0, 2 - points.shape[1])))
        explained = [float(share) for share in fitted.explained_variance_ratio_]
    return Embedding(points, quantities, method, maps.layer, maps.model, explained)


@explanation_method("feature_maps", "activations of a layer", kind="global")
def _maps(asked: Asked, *, layer: str | None = None, endpoint: str | None = None) -> FeatureMaps:
    return feature_maps(asked.model, asked.inputs, layer, endpoint=endpoint)


@explanation_method("pca", "activations of a layer in two dimensions, colored by physics", kind="global", asks="data")
def _principal(asked: Asked, *, layer: str | None = None, endpoint: str | None = None) -> Embedding:
    return _embedded(asked, "pca", layer, endpoint)


@explanation_method("tsne", "the same, neighbors kept", kind="global", asks="data")
def _neighbors(asked: Asked, *, layer: str | None = None, endpoint: str | None = None) -> Embedding:
    return _embedded(asked, "tsne", layer, endpoint)


def _embedded(asked: Asked, method: str, layer: str | None, endpoint: str | None) -> Embedding:
    truth = asked.rows.truth
    return embed(asked.model, asked.inputs, layer, method=method, truth=truth, endpoint=endpoint, allow_out_of_range=True)
