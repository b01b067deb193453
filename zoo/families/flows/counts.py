"""Counts among the variables of a density that was learned of them spread over intervals of 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import InputError


def expect_counts(model: Any, x: np.ndarray, otherwise: str = "") -> None:
    """Refuse data that are no whole numbers where the simulator's are: a fraction of a count has no probability.

    Parameters
    ----------
    model : object
        The density; one without a spec has no counts.
    x : ndarray
        Rows of its variables, of shape (k, C).
    otherwise : str
        What lets them through, for the end of the message.

    Raises
    ------
    InputError
        Naming the first such number.
    """
    spec = getattr(model, "spec", None)
    if spec is None or "log_prob" not in spec.endpoints:
        return
    counts = spec.data.parameters.get("counts", [])
    fraction = np.isfinite(x) & (x != np.round(x))
    if wrong := [column for column in counts if fraction[:, column].any()]:
        tensor = spec.endpoint("log_prob").inputs[0]
        labels = tensor.labels or [f"column {k}" for k in range(x.shape[1])]
        value = x[fraction[:, wrong[0]], wrong[0]][0]
        raise InputError(
            f"{tensor.name}: expected whole numbers, as the simulator's are, of {labels[wrong[0]]}, given {value:g}: give the"
            f" counts themselves, not a rate or what is left after a background is subtracted{otherwise}"
        )
