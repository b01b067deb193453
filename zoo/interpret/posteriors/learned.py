"""What a likelihood was learned from, and where a prior reaches beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.data.sbi.priors.follows import EXTRAPOLATED, Drawable, reaches_beyond
from zoo.errors import warn


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
