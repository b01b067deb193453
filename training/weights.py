"""Event weights in training: rows of a weight w count w times, also where w is negative.

Simulations beyond leading order come with negative weights, and only the sum over a region of phase space is a density. The
loss takes them as they are: its gradient, and that of every batch on average, is that of the sample without negative weights
which the weights stand for (Nachman & Thaler 2020, arXiv:2007.11586, learn densities so). Weights are divided by their mean,
so that neither the loss nor the learning rate depends on their unit.

What this cannot carry is refused: rows of a split, or of a class, whose weights do not add up to more than zero, and trees,
whose leaves divide by sums of weights. Single batches may well have a negative sum. To leave those out would bias the
gradient, so none is; a batch size at which they are frequent gets a warning.
"""

from __future__ import annotations

import inspect

import numpy as np
from scipy.special import ndtr, ndtri

from zoo.data.dataset import Rows
from zoo.errors import InputError, option, warn
from zoo.families.base import ZooModel

FREQUENT = 0.01
"""Share of batches of a negative sum above which there is a warning."""


def relative_weights(rows: Rows, what: str) -> np.ndarray | None:
    """Weights over their mean (n,), None where all rows count the same.

    Raises
    ------
    InputError
        Weights are not one finite number a row, or their sum is not positive.
    """
    if rows.weight is None:
        return None
    weight = np.asarray(rows.weight, np.float64)
    if weight.shape != (len(rows),) or not np.isfinite(weight).all():
        raise InputError(f"{what}: expected a finite event weight for each of the {len(rows)} rows")
    if not (total := float(weight.sum())) > 0:
        raise InputError(f"{what}: expected event weights with a positive sum, given {total:g}")
    return weight * (len(weight) / total)


def measure_scalings(model: ZooModel, rows: Rows) -> None:
    """Standardize a model on training rows by their weights; unweighted where its family leaves them out of its scalings.

    A scaling is where training starts from and no part of the loss, so that it may be coarse, but of weights that differ by
    orders of magnitude most rows would have next to no part in what is learned and all of it in the scalings.
    """
    takes = rows.weight is not None and "weight" in inspect.signature(model.adapt).parameters
    model.adapt(rows.inputs, rows.target, **({"weight": np.asarray(rows.weight, np.float64)} if takes else {}))


def expect_positive_classes(rows: Rows, what: str) -> None:
    """Refuse weights that leave a class nothing: no probability could be learned of it, and the loss would have no minimum."""
    label = np.asarray(rows.target[:])[:, 0].astype(int)
    for number, total in enumerate(np.bincount(label, rows.weight)):
        if (label == number).any() and not total > 0:
            raise InputError(f"{what}: expected event weights with a positive sum in each class, given {total:g} in {number}")


def effective(weight: np.ndarray) -> float:
    """How many rows of equal weight would have the same relative error of their sum (Kish 1965)."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def expect_trainable(model: ZooModel, rows: Rows, batch_size: int) -> None:
    """Look whether the weights of training rows reach the whole of a model's loss, and whether its batches bear them.

    Raises
    ------
    InputError
        The family adds a loss of a whole batch, such as a divergence of latents, which weights of rows cannot reach; or the
        weights of all rows, or of a class, have no positive sum.

    Warns
    -----
    UserWarning
        Batches often have a negative sum of weights.
    """
    weight = relative_weights(rows, "training rows")
    if weight is None:
        return
    if model.classes:
        expect_positive_classes(rows, "training rows")
    first = [np.asarray(array[:2]) for array in rows.inputs.values()]
    before = len(model.losses)
    model(first[0] if len(first) == 1 else tuple(first))
    if len(model.losses) > before:
        raise InputError(
            f"{type(model).__name__} adds a loss of whole batches to that of rows, which event weights do not reach: leave out"
            f" {option('weights')}, or choose a family whose loss is that of rows, such as mlp"
        )
    share = float(ndtr(-np.sqrt(batch_size) / max(weight.std(), 1e-9)))
    if weight.min() < 0 and share > FREQUENT:
        enough = int(np.ceil(float(ndtri(FREQUENT)) ** 2 * weight.var()))
        warn(
            f"batches of {batch_size} rows have a negative sum of event weights in {share:.0%} of the steps, which makes"
            f" training noisy: from a batch_size of {enough} on it is less than {FREQUENT:.0%}"
        )
