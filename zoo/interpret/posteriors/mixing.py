"""Whether Markov chains have mixed, few long ones or many short ones, and what their draws are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.quiet import quiet_autocorrelation


def split_r_hat(tfp: Any, samples: np.ndarray) -> np.ndarray:
    """Potential scale reduction (D,) of the halves of chains (draws, chains, D); NaN where there is too little."""
    if len(samples) < 4 or samples.shape[1] < 2:
        return np.full(samples.shape[2], np.nan)
    even = samples[len(samples) % 2 :]
    return tfp.mcmc.potential_scale_reduction(even, independent_chain_ndims=1, split_chains=True).numpy()


def nested_r_hat(samples: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Nested potential scale reduction of many short chains (Margossian et al. 2024, arXiv:2110.13017).

    The mean of a short chain scatters, however well the chains mix, which `split_r_hat` takes for chains that differ.
    Superchains of several chains average that away. What is left between them is what chains remember of where they began: for
    each variable, a superchain is made of chains that began next to each other in it, so that the means of superchains differ
    where chains are stuck, or where each stays in the mode that it began in.

    Parameters
    ----------
    samples : ndarray
        States of shape (draws, chains, D).
    start : ndarray
        Where the chains began, before a warm-up, of shape (chains, D).

    Returns
    -------
    ndarray of shape (D,)
        The square root of 1 + B / W: the variance B of the means of superchains, and the mean variance W within one.
    """
    found = np.empty(samples.shape[2])
    for k, (column, began) in enumerate(zip(np.moveaxis(samples, 2, 0).astype(np.float64), start.T, strict=True)):
        groups = np.array_split(np.argsort(began, kind="stable"), superchains(len(began)))
        parts = [column[:, group] for group in groups]
        within = [part.var(axis=0, ddof=1).mean() + part.mean(axis=0).var(ddof=1) for part in parts]
        found[k] = np.sqrt(1 + np.var([part.mean() for part in parts], ddof=1) / np.mean(within))
    return found


def nested_limit(chains: int) -> float:
    """The nested R-hat above which chains have not mixed: so much is due to chance where each gave but one independent draw.

    It adds two deviations of the variance between superchains to its expectation.
    """
    parts = superchains(chains)
    return float(np.sqrt(1 + parts / chains * (1 + 2 * np.sqrt(2 / (parts - 1)))))


def superchains(chains: int) -> int:
    """How many superchains so many chains are parted into: as many as each has chains."""
    return round(np.sqrt(chains))


def effective_size(tfp: Any, samples: np.ndarray) -> np.ndarray:
    """Effective sample size (D,) of chains (draws, chains, D) together."""
    with quiet_autocorrelation():
        return tfp.mcmc.effective_sample_size(samples, filter_beyond_positive_pairs=True, cross_chain_dims=1).numpy()
