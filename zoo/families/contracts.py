"""What the zoo may ask of a model beyond its endpoints, where its family can do it: one Protocol for each thing, with shapes.

A family fulfils a Protocol by having its members; nothing is registered. A batch is n rows; C is the width of a context, D the
number of variables of a density. ``zoo.testing.check_family`` holds a family to the shapes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Prediction(NamedTuple):
    """What a model says of one quantity of each row, and of its true value.

    Attributes
    ----------
    location : ndarray
        The answer, or the middle of the distribution that is answered, (n,), in units of the target.
    log_density : ndarray, optional
        Logarithm of the density at the truth, (n,), nat; None where no distribution is answered.
    probability : ndarray, optional
        Probability of less than the truth, (n,); None where no distribution is answered.
    """

    location: np.ndarray
    log_density: np.ndarray | None = None
    probability: np.ndarray | None = None


@runtime_checkable
class Classifies(Protocol):
    """A model that makes the probabilities it answers with of logits."""

    def logits(self, *inputs: Any) -> Any:
        """Logits (batch, outputs) of the inputs of ``predict``."""
        ...


@runtime_checkable
class LinearLogit(Protocol):
    """A classifier whose log odds are linear in its one input."""

    def coefficients(self) -> np.ndarray:
        """What each element of the input, in standard deviations of the training rows, adds to the log odds: (elements,)."""
        ...


@runtime_checkable
class OfSets(Protocol):
    """A network of sets, every input of which has the elements of a set along the first axis after the batch."""

    padding_mask: str
    """Name of the boolean input (n, elements) that says which are real; what is padding in every row of a batch is cut off."""


@runtime_checkable
class Softens(Protocol):
    """A classifier whose probabilities can be made less sure in its weights."""

    def soften(self, temperature: float) -> None:
        """Divide the logits by a temperature for good."""
        ...


class DenseInFixedPoint(Protocol):
    """A dense layer whose numbers are whole multiples of powers of two."""

    units: int
    signed: bool
    """Whether inputs may be negative."""
    activation: Any

    def input_format(self) -> tuple[Any, Any]:
        """Bits of each input before the point, without the sign, and after it, (inputs,) each; beyond them inputs saturate."""
        ...

    def rounded_kernel(self) -> Any:
        """The weights (inputs, units)."""
        ...

    def rounded_bias(self) -> Any:
        """The biases (units,)."""
        ...


@runtime_checkable
class InFixedPoint(Protocol):
    """A network that computes in fixed point from its scaled inputs to its logits, as firmware does."""

    dense: list[Any]
    """Its layers, each a `DenseInFixedPoint`, input to output."""

    def ebops(self) -> Any:
        """Effective bit operations of an answer."""
        ...


@runtime_checkable
class Predictive(Protocol):
    """A model of one quantity that can be held against its true value, with a distribution or without."""

    def predictive(self, inputs: Mapping[str, Any], target: np.ndarray) -> Prediction:
        """What is said of rows of a data set, any number of them, and of their targets (n, 1)."""
        ...


@runtime_checkable
class Density(Protocol):
    """A density p(x), or p(x | c) given a context."""

    dimensions: int
    """Number D of variables."""
    context: int | tuple[int | None, ...]
    """Width C of the context, 0 where there is none; or its shape, None first where its length is free."""

    def log_density(self, x: np.ndarray, c: np.ndarray | None = None) -> np.ndarray:
        """Natural logarithm of the density, (n,), at rows x (n, D), given contexts (n, C) or one (C,), or of another shape."""
        ...


@runtime_checkable
class Generates(Protocol):
    """A model that samples can be drawn from."""

    def draw(self, n: int, c: np.ndarray | None = None, seed: int = 0) -> np.ndarray:
        """Samples (n, D), or (m, n, D) for several contexts (m, C), or of another shape, or m arrays of several lengths."""
        ...


@runtime_checkable
class Latent(Protocol):
    """A model that passes an observation through Gaussian latents."""

    latents: int
    """Number of latents."""

    def encode(self, observation: Any) -> tuple[Any, Any]:
        """Mean and log-variance of the latents, (batch, latents) each, of the first input."""
        ...

    def answer(self, *inputs: Any) -> Any:
        """What ``predict`` answers, at the mean of the latents: no noise."""
        ...


@runtime_checkable
class Queried(Latent, Protocol):
    """A latent model that answers queries of an observation, several of them to a row."""

    def answers_at(self, inputs: Mapping[str, Any], latent: np.ndarray | None = None) -> np.ndarray:
        """Answers (n, k outputs) to the k queries of each row, with their deviations (n, 2 k outputs) where there are such.

        They are taken at the mean of the latents, or at ``latent`` (n, latents).
        """
        ...


@runtime_checkable
class Reconstructs(Latent, Protocol):
    """A latent model of images whose intensities are probabilities."""

    variational: bool
    """Whether latents are random, with a prior; a plain autoencoder's are not."""

    def decode(self, latent: Any) -> Any:
        """Intensities (batch, height, width, channels) in [0, 1], given latents (batch, latents)."""
        ...

    def decoded_logits(self, latent: Any) -> Any:
        """Logits of these intensities, which ``objective`` takes as an answer."""
        ...

    def objective(self, target: Any, answer: Any) -> Any:
        """Negative log-likelihood of each image, (batch,), nat, as of every ``ZooModel``."""
        ...


@runtime_checkable
class Boosted(Protocol):
    """A family that is fitted to all rows at once, tree after tree, by an estimator with scikit-learn's interface."""

    def estimator(self, learning_rate: float, seed: int) -> Any:
        """An unfitted estimator with ``max_iter`` and a warm start, whose ``staged_predict`` answers after each tree."""
        ...

    def take(self, fitted: Any, trees: int, mean: np.ndarray) -> None:
        """Become the first trees of a fitted estimator; ``mean`` (inputs,) is that of the training rows."""
        ...


@runtime_checkable
class Trees(Protocol):
    """A model that holds an estimator of trees, which scikit-learn's and shap's own functions take."""

    regressor: Any
    """The fitted estimator."""


def any_range(method: Callable[..., Any]) -> dict[str, bool]:
    """What makes ``draw`` or ``log_density`` take contexts outside the trained range too, where a model checks them.

    Parameters
    ----------
    method : callable
        The method of a model.

    Returns
    -------
    dict of str to bool
        The keyword, or nothing.
    """
    return {"allow_out_of_range": True} if "allow_out_of_range" in inspect.signature(method).parameters else {}
