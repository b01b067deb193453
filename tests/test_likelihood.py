"""Likelihoods learned from simulations, and the posteriors that NUTS draws from a likelihood."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from tiny_flows import without_xla

from zoo.data.dataset import get_dataset
from zoo.data.sbi.likelihood_rows import counts_of, spread
from zoo.data.sbi.prior import LogNormal, Normal, Prior, Uniform
from zoo.data.sbi.tasks import get_task
from zoo.errors import InputError
from zoo.interpret.posteriors.likelihood import LikelihoodPosterior, sample_posterior
from zoo.workflows.nle import train_nle

PRIOR = Prior({"line": LogNormal(median=30.0, sigma=0.5), "noise": Uniform(low=1, high=3, unit="K")})
TINY = {
    "config.transforms": 2,
    "config.hidden": [24],
    "epochs": 15,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}


def counts_and_noise(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A count of the line, and one measured number on an offset, whose scatter is the noise."""
    return np.array([rng.poisson(theta[0]), 1e6 + rng.normal(0, theta[1])])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    import zoo.training.evaluations.likelihood as module

    folder = tmp_path_factory.mktemp("nle") / "line"
    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 199)
        return folder, train_nle(counts_and_noise, PRIOR, 2000, folder=folder, test=200, jobs=1, changes=TINY)


def test_it(trained):
    folder, flow = trained
    print(flow.spec.metrics)
    theta = np.array([[30.0, 2.0]])
    k = np.arange(60)
    x = np.stack([k, np.full(60, 1e6)], axis=1)
    log_p = flow.log_density(x, theta[0])
    exact = stats.poisson(30).logpmf(k) + stats.norm(1e6, 2).logpdf(1e6)
    print(np.abs(np.exp(log_p) - np.exp(exact)).sum()/np.exp(exact).sum(), np.exp(log_p).sum()/np.exp(exact).sum())
