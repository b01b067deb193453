"""Regressors in physical units, the emulator's data, and how its errors are measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import zoo
from zoo.data.cmb.emulation import PARAMETERS, CMBEmulation
from zoo.data.cmb.feature import CMBFeature, load_spectra
from zoo.data.cmb.simulate import RANGES, design
from zoo.data.dataset import Rows
from zoo.families.mlp import MLP
from zoo.training.recipe import load_recipe

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def data():
    return CMBEmulation()


def test_rescaled_regressor_answers_in_the_units_of_its_targets():
    rng = np.random.default_rng(0)
    x, y = rng.normal(5.0, 2.0, (500, 3)), rng.normal([100.0, -7.0], [30.0, 0.01], (500, 2))
    plain = MLP(inputs=3, hidden=[4], outputs=2, output_activation="linear")
    rescaled = MLP(inputs=3, hidden=[4], outputs=2, output_activation="linear", rescale=True)
    for model in (plain, rescaled):
        model.adapt({"x": x}, y)
    for mine, other in zip(
        (*rescaled.hidden.weights, *rescaled.head.weights), (*plain.hidden.weights, *plain.head.weights), strict=True
    ):
        mine.assign(other)
    x = x[:5].astype(np.float32)
    np.testing.assert_allclose(np.asarray(rescaled(x)), np.asarray(plain(x)) * y.std(axis=0) + y.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(rescaled.target_scale), y.std(axis=0), rtol=1e-6)
    np.testing.assert_array_equal(np.asarray(plain.target_scale), 1)
    assert not {id(w) for w in rescaled.rescale.weights} & {id(w) for w in rescaled.trainable_weights}


def test_rescaled_blocks_and_config():
    model = MLP(inputs=3, hidden=[4], outputs=2, output_activation="linear", rescale=True)
    held = [id(weight) for layers in model.blocks.values() for layer in layers for weight in layer.weights]
    assert sorted(held) == sorted(id(weight) for weight in model.weights)
    assert MLP.from_config(model.get_config()).config == model.config


def test_rescaling_a_probability_is_refused():
    with pytest.raises(ValueError, match="output_activation: linear"):
        MLP(inputs=3, hidden=[4], rescale=True)


def test_emulator_learns_the_spectra_without_feature(data):
    """Same cosmologies, splits and order as the classifiers, whose noise-free target-0 rows these are."""
    for split in SPLITS:
        mine, other = data.rows(split), CMBFeature(noise=False).rows(split)
        plain = other.target[:, 0] == 0
        np.testing.assert_array_equal(mine.target, other.inputs["spectrum"][plain])
        np.testing.assert_array_equal(mine.group, other.group[plain])
        for i, name in enumerate(PARAMETERS):
            np.testing.assert_allclose(mine.inputs["theta"][:, i], other.truth[name][plain], rtol=1e-6)


def test_parameters_fill_the_hypercube_and_no_cosmology_is_in_two_splits(data):
    parts = [data.rows(split) for split in SPLITS]
    assert len(np.unique(np.concatenate([np.unique(part.group) for part in parts]))) == load_spectra().config.cosmologies
    theta = np.concatenate([part.inputs["theta"] for part in parts])
    low, high = np.array(list(RANGES.values())).T
    assert (theta >= low.astype(np.float32)).all()
    assert (theta <= high.astype(np.float32)).all()
    assert (np.ptp(theta, axis=0) > 0.99 * (high - low)).all()
    assert tuple(parts[0].truth) == PARAMETERS
    assert set(PARAMETERS) <= set(design(load_spectra().config))


def test_training_rows_do_not_change_with_the_epoch(data):
    np.testing.assert_array_equal(data.rows("train", 0).target, data.rows("train", 7).target)


class Cubic:
    """Rows of y = x1^3 - 2 x1 x2 and its negative; errors in units of 0.5 and 2."""

    scale = np.array([0.5, 2.0])
    scale_description = "scale"
    abscissa = "output"
    panels = {"y": (slice(0, 2), np.arange(2))}

    def rows(self, split, epoch=0):
        x = np.random.default_rng(SPLITS.index(split)).uniform(-1, 1, (200, 2))
        y = x[:, 0] ** 3 - 2 * x[:, 0] * x[:, 1]
        return Rows({"x": x.astype(np.float32)}, np.stack([y, -y], axis=1).astype(np.float32), np.arange(200) // 4)


class Off:
    """The truth, off by 0.02 and -0.06, but 5 in the first row."""

    def __call__(self, x):
        y = x[:, 0] ** 3 - 2 * x[:, 0] * x[:, 1]
        answer = np.stack([y + 0.02, -y - 0.06], axis=1)
        answer[0, 1] += 5.06
        return answer


@pytest.fixture
def judged():
    from zoo.training.evaluations.regression import Regression, evaluate

    recipe = SimpleNamespace(data=SimpleNamespace(dataset=Cubic))
    run = SimpleNamespace(recipe=recipe, load=Off, history={"loss": [1.0, 0.1], "val_loss": [1.0, 0.2]})
    return evaluate({"": [run]}, Regression())


def test_errors_are_in_the_scale_of_the_data(judged):
    """0.02 / 0.5 = 0.04 and 0.06 / 2 = 0.03, and one row of 200 off by 5 / 2."""
    values = {metric.name: metric.value for metric in judged.metrics}
    assert values["rows within 0.1"] == pytest.approx(199 / 200)
    assert values["worst error, 99%"] == pytest.approx(0.04, rel=1e-3)
    assert values["error, 99%"] == pytest.approx(0.04, rel=1e-3)
    assert values["total error, 99%"] == pytest.approx(0.05, rel=1e-3)
    assert values["rmse"] == pytest.approx(np.sqrt((0.04**2 * 200 + 0.03**2 * 199 + 2.5**2) / 400), rel=1e-3)
    for metric in judged.metrics:
        assert metric.n == 200
        assert metric.interval[0] <= metric.value <= metric.interval[1]
    assert set(judged.figures) == {"error", "learning_curves"}


def test_polynomial_baseline_finds_a_polynomial(judged):
    worst = next(metric for metric in judged.metrics if metric.name == "worst error, 99%")
    assert worst.baseline < 1e-3
    assert worst.baseline_name in {"scikit-learn, polynomial of degree 3", "scikit-learn, polynomial of degree 4"}


def test_training_minimizes_the_error_in_units_of_the_spread(tmp_path):
    """The loss of a fit is the mean squared error over the targets' variance, as numpy computes it."""
    from zoo.training.fit import fit

    recipe = load_recipe("mlp-cmb-emulator").changed({"config.hidden": [16], "epochs": 12, "optimizer.warmup_epochs": 1})
    model, history = fit(recipe, tmp_path)
    data = recipe.data.dataset()
    spread, held_out = data.rows("train").target.astype(float).std(axis=0), data.rows("validation")
    error = (np.asarray(model(held_out.inputs["theta"])) - held_out.target) / spread
    assert history["val_loss"][-1] == pytest.approx(np.mean(error**2), rel=1e-3)
    assert history["val_loss"][-1] < 0.02


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_emulator_agrees_with_camb(seed):
    """Fresh cosmologies of the hypercube: every bin within a tenth of Planck's error."""
    from zoo.data.cmb.binning import bin_spectra
    from zoo.data.cmb.simulate import spectra, transfer_functions

    low, high = np.array(list(RANGES.values())).T
    theta = np.random.default_rng(seed).uniform(low, high)
    cosmology = dict(zip(PARAMETERS, theta.tolist(), strict=True))
    exact = bin_spectra(spectra(transfer_functions(cosmology), ns=cosmology["ns"], ln10As=cosmology["ln10As"]))
    answer = np.asarray(zoo.load("mlp-cmb-emulator")(theta[None].astype(np.float32)))[0]
    assert np.abs((answer - exact) / load_spectra().error).max() < 0.1
