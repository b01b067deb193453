"""Holes of Gaussian maps, whose fills are known: the normal law of the cells of the hole given the others."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

SIDE, COUNT, DEVIATION = 8, 400, 0.3


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("fields_holes", Path(__file__).parents[1] / "examples" / "fields_holes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fills_follow_the_law_of_a_hole_given_what_is_seen(example):
    at = np.stack(np.meshgrid(*[np.arange(SIDE)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    covariance = DEVIATION**2 * np.exp(-0.5 * ((at[:, None] - at) ** 2).sum(axis=-1) / 2.0**2) + 0.3**2 * DEVIATION**2 * np.eye(
        len(at)
    )
    values, vectors = np.linalg.eigh(covariance)

    def denoise(noisy, noise, theta):
        modes = noisy.reshape(len(noisy), -1) @ vectors
        return ((modes * (values / (values + noise[:, None] ** 2))) @ vectors.T).reshape(noisy.shape)

    seen = np.ones((SIDE, SIDE), bool)
    seen[2:5, 3:6] = False
    hidden = ~seen.ravel()
    logarithm = np.random.default_rng(2).multivariate_normal(np.zeros(len(at)), covariance)
    weight = np.linalg.solve(covariance[~hidden][:, ~hidden], covariance[~hidden][:, hidden])
    mean = logarithm[~hidden] @ weight
    deviation = np.sqrt(np.diag(covariance[hidden][:, hidden] - covariance[hidden][:, ~hidden] @ weight))

    truth = (np.exp(logarithm) - example.FLOOR - 1).reshape(SIDE, SIDE)
    maps = np.repeat(np.where(seen, truth, np.nan)[None], COUNT, axis=0)
    fills = example.filled(denoise, maps, seen, np.zeros((COUNT, 2)), seed=0)
    np.testing.assert_allclose(fills[:, seen], maps[:, seen], atol=1e-5)
    found = np.log(fills[:, ~seen] + 1 + example.FLOOR)
    assert np.abs((found.mean(axis=0) - mean) / deviation).max() < 0.5
    np.testing.assert_allclose(found.std(axis=0) / deviation, 1, atol=0.25)
