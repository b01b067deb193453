"""Posteriors from a likelihood: a flow p(x | theta) that was learned from simulations, a prior, and the no-U-turn sampler.

Papamakarios, Sterratt & Murray (2019, arXiv:1805.07226) and Hoffman & Gelman (2014, arXiv:1111.4246). Chains start where
waste-free sequential Monte Carlo (Dau & Chopin 2022, arXiv:2011.02328) leaves them: draws from the prior are weighed by a power
of the likelihood that rises from 0 to 1, resampled and moved. So each mode gets as many chains as it has weight.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from zoo.errors import InputError
from zoo.interpret.posteriors.mcmc import ACCEPTANCE, Chains, diagnosed, tensorflow_probability
from zoo.progress import track

POOL = 40
"""Draws from the prior for each chain."""
BLOCK = 10
"""Steps of all chains in one call of the graph."""
EFFECTIVE = 2.0
"""Effective number of weighed states for each chain below which the power of the likelihood rises no further at once."""
GAIN = 1.5
"""How fast the logarithm of the step follows the difference between acceptance and its aim."""
WARM_UP = 4
"""Blocks at the full posterior that are thrown away; the step and the shape of the posterior are measured in them."""
DEEPEST = 7
"""Most doublings of a path, 128 leapfrog steps."""
MIXED, ENOUGH, DIVERGENT = 1.05, 400, 0.01
"""What R-hat and the divergent share may reach, and the effective sample size that is to be reached, without a warning."""
TABLE = np.linspace(-30.0, 30.0, 3001)
"""Places on the unbounded scale of a parameter at which its prior is tabulated."""


class Parameters(Protocol):
    """A prior: draws and a density."""

    names: list[str]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters (n, D)."""
        ...

    def log_density(self, theta: np.ndarray) -> np.ndarray:
        """Natural logarithm (n,) of the density at parameters (n, D)."""
        ...
