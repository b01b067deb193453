"""What a likelihood was learned from, and what of it a prior or an observation is not like."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.data.sbi.priors.follows import EXTRAPOLATED, Drawable, reaches_beyond
from zoo.errors import InputError, warn


def spec_of(flow: Any) -> Any:
    """The spec of a likelihood that was learned, None of one that has none.

    Parameters
    ----------
    flow : object
        The likelihood.

    Returns
    -------
    ModelSpec or None
        Its spec.
    """
    spec = getattr(flow, "spec", None)
    return None if spec is None or "log_prob" not in spec.endpoints else spec


def warn_of_a_wider_prior(flow: Any, prior: Drawable) -> None:
    """Warn of a prior that reaches beyond the parameters that a likelihood was trained on.

    Parameters
    ----------
    flow : object
        The likelihood.
    prior : Drawable
        The prior.

    Warns
    -----
    UserWarning
        With each such parameter, its range, that of the training and the share beyond.
    """
    spec = spec_of(flow)
    theta = None if spec is None else spec.endpoint("log_prob").inputs[1]
    if theta is None or theta.unbounded:
        return
    low, high = (np.broadcast_to(np.asarray(end, np.float64), len(prior.names)) for end in (theta.low, theta.high))
    if found := reaches_beyond(prior, low, high, spec.data.rows["train"]):
        warn(f"the prior reaches beyond the trained range: {'; '.join(found)}; {EXTRAPOLATED}")


def expect_counts(flow: Any, x: np.ndarray) -> None:
    """Refuse data that are no whole numbers where the simulator's are: a fraction of a count has no probability.

    Parameters
    ----------
    flow : object
        The likelihood.
    x : ndarray
        Observations, of shape (k, C).

    Raises
    ------
    InputError
        Naming the first such number.
    """
    spec = spec_of(flow)
    counts = [] if spec is None else spec.data.parameters.get("counts", [])
    wrong = [column for column in counts if not (x[:, column] == np.round(x[:, column])).all()]
    if wrong:
        labels = spec.endpoint("log_prob").inputs[0].labels or [f"column {k}" for k in range(x.shape[1])]
        value = next(value for value in x[:, wrong[0]] if value != np.round(value))
        raise InputError(
            f"x_o: expected whole numbers, as the simulator's are, of {labels[wrong[0]]}, given {value:g}: give the counts"
            " themselves, not a rate or what is left after a background is subtracted"
        )
