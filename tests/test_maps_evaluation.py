"""Evaluation of generators of maps, where what is drawn is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from zoo.data.fields.lognormal import LognormalMaps
from zoo.data.fields.summaries import power_spectrum
from zoo.training.evaluate import Run
from zoo.training.evaluations import maps as of_maps
from zoo.training.evaluations.map_classifier import told_apart
from zoo.training.evaluations.maps import MapsSettings, departure, evaluate
from zoo.training.recipe import RecipeError, Source

SMALL = {"simulations": 40, "particles": 32, "cells": 64, "box": 50.0, "steps": 4}


def lognormal(theta: np.ndarray, seed: int, side: int = 32) -> np.ndarray:
    """Maps whose power and mean follow two parameters as the fit takes them to."""
    rng = np.random.default_rng(seed)
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side), indexing="ij"))
    k[0, 0] = np.inf
    amplitude = theta[:, 0, None, None] * (k / 0.1) ** (-theta[:, 1, None, None])
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((len(theta), side, side))) * amplitude).real
    return np.maximum(np.exp(field - 0.5 * field.var(axis=(1, 2), keepdims=True)) - 0.05, 0).astype(np.float32) - 1


def parameters(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform([0.2, 0.5], [0.4, 1.0], (n, 2))


def test_lognormal_maps_have_the_power_that_they_were_fitted_to():
    theta = parameters(3000, 0)
    fitted = LognormalMaps.fitted(theta, lognormal(theta, 1))
    new = parameters(2000, 2)
    _, true, _ = power_spectrum(lognormal(new, 3), 50.0, 8)
    _, found, _ = power_spectrum(fitted.draw(new), 50.0, 8)
    np.testing.assert_allclose(np.log(found).mean(axis=0), np.log(true).mean(axis=0), atol=0.06)


def test_a_classifier_tells_rough_maps_and_no_equal_ones():
    theta = parameters(240, 4)
    group = np.repeat(np.arange(60), 4)
    first, same = lognormal(theta, 5), lognormal(theta, 6)
    right, of_each = told_apart(first, same, group)
    assert set(of_each) == set(range(30, 60))
    assert right.mean() == pytest.approx(0.5, abs=0.08)
    rough = np.random.default_rng(0).permuted(first.reshape(240, -1), axis=1).reshape(first.shape)
    assert told_apart(first, rough, group)[0].mean() > 0.9


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    data = Source(
        source="field-maps",
        parameters={
            "train": 20,
            "validation": 1,
            "test": 10,
            "slabs": 2,
            "pairs": True,
            "design": SMALL,
            "path": str(tmp_path_factory.mktemp("fields")),
        },
    )
    dataset = data.dataset()

    class Remembers:
        """Draws the training map of the nearest parameters."""

        endpoints = {"sample": "sample"}

        def sample(self, z, theta):
            rows = dataset.rows("train")
            near = [np.argmin(np.sum((rows.inputs["theta"] - one) ** 2, axis=1)) for one in np.asarray(theta)]
            return np.asarray(rows.inputs["overdensity"][:])[near]

    recipe = SimpleNamespace(name="toy", data=data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of_maps, "TRIED", 12)
        return evaluate({"": [Run(recipe, 0, Remembers, {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})]})


def test_a_memory_is_seen(evaluation):
    found = {metric.name: metric for metric in evaluation.metrics}
    likest = found["correlation with the likest training map"]
    assert likest.value == pytest.approx(1, abs=1e-4)
    assert likest.baseline < 0.95


def test_every_summary_stands_beside_lognormal_maps(evaluation):
    found = {metric.name: metric for metric in evaluation.metrics}
    for name in ("power", "power, largest", "bispectrum", "one-point", "peaks", "classifier accuracy"):
        assert found[name].baseline_name == "lognormal maps"
        assert np.isfinite([found[name].value, found[name].baseline]).all()
    assert set(evaluation.figures) == {"maps", "power", "learning_curves"}


def test_departure_is_that_of_means():
    off = np.random.default_rng(0).normal([0.0, 3.0, 4.0, 0.0], 1.0, (10_000, 4))
    assert departure(off) == pytest.approx(2.5, abs=0.05)


def test_what_draws_no_maps_is_refused():
    with pytest.raises(RecipeError, match="expected a family with the endpoint sample"):
        MapsSettings().expect("toy", {"": SimpleNamespace(endpoints={"predict": "predict"})})
