"""Distance correlation beside its definition, a network that it decorrelates, and how that is judged."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from zoo.data.dataset import Rows
from zoo.data.jets.planing import planing_weights
from zoo.errors import InputError
from zoo.families.decorrelated_mlp import PAIRED, DecorrelatedMLP
from zoo.families.distance_correlation import distance_correlation
from zoo.training.evaluate import Run
from zoo.training.evaluations import decorrelation, evaluation_settings
from zoo.training.evaluations.decorrelation import divergence, sculpting
from zoo.training.metrics import auc


def by_definition(x, y):
    """Squared distance correlation of Szekely, Rizzo & Bakirov (2007), equations 2.8 to 2.10, loop by loop."""
    n = len(x)
    a = [[abs(x[k] - x[m]) for m in range(n)] for k in range(n)]
    b = [[abs(y[k] - y[m]) for m in range(n)] for k in range(n)]

    def centered(distance):
        rows = [sum(row) / n for row in distance]
        columns = [sum(distance[k][m] for k in range(n)) / n for m in range(n)]
        mean = sum(rows) / n
        return [[distance[k][m] - rows[k] - columns[m] + mean for m in range(n)] for k in range(n)]

    a, b = centered(a), centered(b)

    def covariance(one, other):
        return sum(one[k][m] * other[k][m] for k in range(n) for m in range(n)) / n**2

    return covariance(a, b) / np.sqrt(covariance(a, a) * covariance(b, b))


def found(x, y, weight=None):
    weight = np.ones(len(x)) if weight is None else weight
    return float(distance_correlation(*(np.asarray(values, np.float32) for values in (x, y, weight))))


@pytest.fixture
def draws():
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    return x, x**2 + 0.3 * rng.normal(size=40)


def test_it_is_the_definition(draws):
    assert found(*draws) == pytest.approx(by_definition(*draws), rel=1e-5)


def test_a_weight_is_a_number_of_equal_draws(draws):
    weight = np.random.default_rng(1).integers(0, 4, 40)
    repeated = [np.repeat(values, weight) for values in draws]
    assert found(*draws, weight) == pytest.approx(by_definition(*repeated), rel=1e-5)


def test_units_and_offsets_do_not_matter(draws):
    x, y = draws
    assert found(2000 * x + 300, 0.1 * y - 4) == pytest.approx(found(x, y), rel=1e-3)
    assert found(x, 3 * x - 1) == pytest.approx(1, rel=1e-5)
    assert found(x, -x) == pytest.approx(1, rel=1e-5)
    assert found(y, x) == pytest.approx(found(x, y), rel=1e-5)


def test_what_does_not_vary_has_none(draws):
    assert found(draws[0], np.full(40, 3.0)) == 0
    assert found(*draws, np.zeros(40)) == 0


def toy(n, seed=0):
    """Rows of a mass, which is larger in class 1, and of a second number that tells classes at any mass."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    mass = rng.normal(1.5 * label, 1.0)
    x = np.stack([mass, rng.normal(1.5 * label, 1.0) + 0.5 * mass], axis=1)
    return x.astype(np.float32), label[:, None].astype(np.float32)


def trained(penalty):
    keras.utils.set_random_seed(0)
    x, y = toy(4000)
    model = DecorrelatedMLP(inputs=2, hidden=[16], protected=0, penalty=penalty)
    model.adapt({"x": x}, y)
    model.compile(keras.optimizers.Adam(0.01), loss=model.objective, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=250, epochs=12, verbose=0).history
    return model, history


@pytest.fixture(scope="module")
def both():
    return trained(0.0)[0], *trained(3.0)


def left(model, x, y):
    return float(model.correlation(x, y, model(x)))


def test_a_penalty_decorrelates_background_and_not_signal(both):
    plain, decorrelated, _ = both
    x, y = toy(2000, seed=1)
    assert left(plain, x, y) > 0.25
    assert left(decorrelated, x, y) < 0.03
    assert auc(np.stack([np.asarray(decorrelated(x))[:, 0], y[:, 0]], axis=1)) > 0.75


def test_the_loss_is_log_loss_and_penalty(both):
    _, model, history = both
    x, y = toy(1000, seed=2)
    answer = model(x)
    expected = float(np.mean(model.objective(y, answer))) + 3 * left(model, x, y)
    loss = model.evaluate(x, y, batch_size=1000, verbose=0)[0]
    assert loss == pytest.approx(expected, rel=1e-4)
    assert min(history["loss"]) < history["loss"][0]


def test_event_weights_reach_the_penalty(both):
    _, model, _ = both
    x, y = toy(600, seed=3)
    weight = np.where(x[:, 0] > 0, 2.0, 0.0).astype(np.float32)
    answer = model(x)
    some = x[:, 0] > 0
    assert float(model.correlation(x, y, answer, weight)) == pytest.approx(left(model, x[some], y[some]), rel=1e-3)
    with pytest.raises(InputError, match="no negative event weights"):
        model.adapt({"x": x}, y, weight - 1)


def test_the_tail_counts_more_by_a_power_of_the_answer(both):
    _, model, _ = both
    x, y = toy(600, seed=5)
    tail = DecorrelatedMLP(**model.config | {"tail": 2.0})
    tail.set_weights(model.get_weights())
    answer = model(x)
    weight = np.asarray(answer)[:, 0] ** 2
    assert left(tail, x, y) == pytest.approx(float(model.correlation(x, y, answer, weight)), rel=1e-4)


def test_large_batches_are_thinned(both):
    _, model, _ = both
    x, y = toy(3 * PAIRED, seed=4)
    assert left(model, x, y) == pytest.approx(left(model, x[::3], y[::3]), abs=1e-6)


@pytest.mark.parametrize(
    "wrong", [{"protected": 2}, {"protected": -1}, {"penalty": -1.0}, {"penalty": float("nan")}, {"tail": -1.0}]
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DecorrelatedMLP(**{"inputs": 2, "hidden": [4], "protected": 0, "penalty": 1.0, **wrong})


def rows(n=4000, seed=5):
    x, y = toy(n, seed)
    return Rows({"x": x}, y, np.arange(n), {"mass": x[:, 0].astype(float)})


def test_planed_background_has_the_signals_mass():
    training, others = rows(), rows(seed=6)
    weight = planing_weights(training, training, "mass")
    background, mass = training.target[:, 0] == 0, training.truth["mass"]
    assert weight[background].mean() == pytest.approx(1)
    assert (weight[~background] == 1).all()
    assert np.average(mass[background], weights=weight[background]) == pytest.approx(mass[~background].mean(), abs=0.1)
    weight, background = planing_weights(others, training, "mass"), others.target[:, 0] == 0
    mass = others.truth["mass"]
    assert np.average(mass[background], weights=weight[background]) == pytest.approx(mass[~background].mean(), abs=0.2)
    with pytest.raises(InputError, match="expected a truth of the rows, mass, given pt"):
        planing_weights(training, training, "pt")


def test_divergence_is_scipys():
    before, after = np.array([10, 20, 0, 5]), np.array([1, 0, 3, 1])
    assert divergence(before, after) == pytest.approx(jensenshannon(before, after, base=2) ** 2)
    assert divergence(before, 3 * before) == pytest.approx(0, abs=1e-12)
    assert divergence(np.array([1, 0]), np.array([0, 1])) == pytest.approx(1)


def test_a_cut_on_the_variable_sculpts_it_and_one_on_noise_does_not():
    rng = np.random.default_rng(0)
    mass, label = rng.normal(size=20000), np.arange(20000) % 2
    edges = np.quantile(mass, np.linspace(0, 1, 11))
    on_mass, on_noise = (np.stack([score, label, mass], axis=1) for score in (mass, rng.normal(size=20000)))
    assert sculpting(on_mass, 0.5, edges) == pytest.approx(
        0.311, abs=0.01
    )  # of p = 1 and 2 p on a half: 3/2 log2(4/3) - 1/4 ...
    assert sculpting(on_noise, 0.5, edges) < 0.001


def test_judging_tells_what_sculpts(monkeypatch):
    monkeypatch.setattr(decorrelation, "DRAWS", 60)
    monkeypatch.setattr(decorrelation, "PART", 300)
    monkeypatch.setattr(decorrelation, "BINS", 8)
    held = rows(4000)
    data = SimpleNamespace(dataset=lambda: SimpleNamespace(rows=lambda split: held, units={"mass": "GeV"}))

    def run(name, penalty, answer):
        recipe = SimpleNamespace(name=name, config={"penalty": penalty}, data=data)
        return Run(recipe, 0, lambda: lambda x: 1 / (1 + np.exp(-answer(np.asarray(x)))), {"loss": [1.0], "val_loss": [1.0]})

    clean, sculpts = run("clean", 2.0, lambda x: x[:, 1:] - 0.5 * x[:, :1]), run("sculpts", 0.0, lambda x: x[:, :1])
    settings = evaluation_settings({"kind": "decorrelation", "classes": ["qcd", "top"], "protected": "mass"})
    evaluation = settings.judge({"": [clean, clean], "sculpts": [sculpts, sculpts]})
    metrics = {metric.name: metric for metric in evaluation.metrics}
    good, bad = metrics["inverse JSD at 50%"], metrics["sculpts/inverse JSD at 50%"]
    assert bad.value < 5 < 0.3 * good.baseline < good.value
    for one in (good, bad):
        assert one.interval[0] < one.value < one.interval[1]
    clean_correlation, other = metrics["distance correlation"], metrics["sculpts/distance correlation"]
    assert clean_correlation.value < 3 * clean_correlation.baseline
    assert other.value > 0.9
    assert set(evaluation.figures) == {"rejection_and_divergence", "sculpting", "learning_curves"}
