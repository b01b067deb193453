"""How many draws, events or values of one weight tell as much as weighted ones."""

from __future__ import annotations

import numpy as np


def effective_number(weight: np.ndarray) -> float:
    """Effective number of weights (n,), (sum w)^2 / sum w^2 (Kish 1965); 0 where all are 0."""
    weight = np.asarray(weight, np.float64)
    return float(weight.sum() ** 2 / np.square(weight).sum()) if weight.any() else 0.0
