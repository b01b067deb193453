"""Sanity check by weight randomization (Adebayo et al. 2018, arXiv:1810.03292): an explanation must depend on the weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.counts import expect_counts
from zoo.errors import ExplanationError
from zoo.families.state import apart
from zoo.interpret.attribution.explain import explain
from zoo.interpret.attribution.layer_outputs import layers_of
from zoo.interpret.attribution.scalar_output import is_keras, spec_of
from zoo.interpret.methods import Asked, default_attribution, explanation_method
from zoo.interpret.result import Result
from zoo.interpret.trust.rank_agreement import rank_correlation
from zoo.progress import track
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Randomization(Result):
    """What is left of an explanation as a model forgets.

    Attributes
    ----------
    correlation : ndarray
        Rank correlation with the explanation of the trained model, once this layer and all after it are random, of shape
        (layers, draws, n).
    layers : list of str
        Names of the layers, from the output to the input.
    method, model : str
        Names of the method and the model.
    """

    correlation: np.ndarray
    layers: list[str]
    method: str
    model: str

    def plot(self) -> Figure:
        """Correlation after each layer, with the band that holds 68% of rows and draws."""
        from zoo.interpret import plots

        return plots.randomization_curve(self)


@explanation_method("randomization", "what is left of an attribution when weights are random", kind="trust")
def _randomization(asked: Asked, *, of: str | None = None, **chosen: Any) -> Randomization:
    return randomization_check(asked.model, asked.inputs, method=of or default_attribution(asked.model), **chosen)


def randomization_check(
    model: Any,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    *,
    method: str = "integrated_gradients",
    draws: int = 3,
    seed: int = 0,
    **options: Any,
) -> Randomization:
    """Make layers random one after another, from the output to the input, and explain each time.

    An explanation that hardly changes is one of the input alone and says nothing about the model. Weights are drawn from a
    normal distribution of mean zero and the root mean square of the trained ones, so that activations keep their size; what
    is measured and not trained, the standardization, stays. The given model is left as it is.

    Parameters
    ----------
    method : str
        An attribution method and its options, as `zoo.interpret.explain` takes them.
    **options : object
        An attribution method and its options, as `zoo.interpret.explain` takes them.
    draws : int
        Number of draws of random weights.

    Raises
    ------
    ExplanationError
        If the model has no layers of weights.
    InputError, UnknownNameError
        What `zoo.interpret.explain` refuses, and no draws.
    """
    if not is_keras(model) or not any(layer.trainable_weights for layer in layers_of(model).values()):
        raise ExplanationError(f"randomization needs layers of weights, and {type(model).__name__} has none")
    expect_counts(draws=draws)
    trained = explain(model, inputs, method=method, **options)
    with apart():
        forgetful = type(model).from_config(model.get_config())
    if (spec := spec_of(model)) is not None:
        forgetful.spec = spec
    order = [name for name, layer in layers_of(forgetful).items() if layer.trainable_weights][::-1]
    rng = generator(seed)
    correlation = np.empty((len(order), draws, len(trained.values)))
    checked = options | {"allow_out_of_range": True}  # by the trained network, as one of random weights cannot
    for draw in track(range(draws), "weight randomization"):
        forgetful.set_weights(model.get_weights())
        layers = layers_of(forgetful)
        for number, name in enumerate(order):
            for weight in layers[name].trainable_weights:
                values = np.asarray(weight)
                weight.assign(np.sqrt(np.mean(values**2)) * rng.standard_normal(values.shape).astype(values.dtype))
            found = explain(forgetful, inputs, method=method, **checked)
            correlation[number, draw] = rank_correlation(trained.values, found.values, trained.real)
    return Randomization(correlation, order, method, str(trained.meta["model"]))
