"""Event weights, positive and negative: in training, on the card, in calibration, importance and figures, against oracles."""

from __future__ import annotations

import json
import warnings

import keras
import numpy as np
import pytest
from command_line import ok, refused
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from tiny_networks import CONFIGS, TARGET, example, released, user_data

import zoo
from zoo.data.dataset import Rows
from zoo.errors import InputError, UnknownNameError
from zoo.families.layers import weighted_moments
from zoo.interpret import partial_dependence, permutation_importance, plots
from zoo.interpret.plots import reliability_diagram
from zoo.interpret.to_files import DataRows, explain_to_files, rows_from_file
from zoo.interpret.uncertainty.calibration import expected_calibration_error, fit_temperature, reliability
from zoo.model.handed_in.tables import columns_of
from zoo.model.registry import get_family
from zoo.training import boosting
from zoo.training.evaluations.classification import _confusion, _roc
from zoo.training.evaluations.density import _gaussian
from zoo.training.fit import EpochData, train
from zoo.training.recipe import RecipeError
from zoo.training.weights import expect_trainable, measure_scalings, relative_weights
from zoo.workflows.rows import own_rows

N = 400


class Given:
    """A data set of given rows, the same in every split."""

    def __init__(self, rows: Rows) -> None:
        self.given = rows

    def rows(self, split, epoch=0):
        return self.given


def classes(seed: int = 0, n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (n, 3) and labels (n, 1) that overlap."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)).astype(np.float32)
    return x, (rng.random((n, 1)) < 1 / (1 + np.exp(-x[:, :1] + 0.5 * x[:, 1:2]))).astype(np.float32)


def weighted(x, y, weight) -> Rows:
    return Rows({"x": x}, y, np.arange(len(x)), weight=weight)


def fitted(rows: Rows, folder=None, epochs: int = 40, batch_size: int | None = None):
    """A logistic regression that starts from zero, trained on full batches unless asked otherwise."""
    model = get_family("mlp")(inputs=3, hidden=[], standardize=False)
    model.head.set_weights([np.zeros((3, 1), np.float32), np.zeros(1, np.float32)])
    optimizer = keras.optimizers.SGD(4.0)
    model.compile(optimizer=optimizer, loss=model.objective, steps_per_execution=1, jit_compile=False)
    optimizer.build(model.trainable_variables)
    if folder is None:  # as train does, without checkpoints and validation
        history = model.fit(EpochData(Given(rows), batch_size or len(rows), 0, 0), epochs=epochs, shuffle=False, verbose=0)
    else:
        settings = {"epochs": epochs, "batch_size": batch_size or len(rows), "patience": None, "seed": 0}
        history = train(model, Given(rows), folder, "weighted", **settings)
    return np.concatenate([weight.ravel() for weight in model.get_weights()]), history


def test_logistic_regression_agrees_with_scikit_learn():
    x, y = classes()
    weight = np.random.default_rng(1).exponential(3e-4, N)  # cross sections: their unit must not matter
    found, _ = fitted(weighted(x, y, weight))
    oracle = LogisticRegression(C=np.inf, tol=1e-6).fit(x.astype(float), y[:, 0], sample_weight=weight / weight.mean())
    assert found == pytest.approx(np.append(oracle.coef_, oracle.intercept_), abs=2e-3)
    plain, _ = fitted(weighted(x, y, None))
    assert np.abs(found - plain).max() > 0.05


@pytest.mark.slow
def test_negative_weights_undo_rows():
    """Rows that are there again with the opposite weight are as good as never simulated."""
    x, y = classes()
    more, label = classes(seed=5, n=100)
    weight = np.concatenate([np.ones(N), np.full(100, 2.0), np.full(100, -2.0)])
    with_them = weighted(np.concatenate([x, more, more]), np.concatenate([y, label, label]), weight)
    assert fitted(with_them)[0] == pytest.approx(fitted(weighted(x, y, None))[0], abs=1e-3)


def test_duplicated_rows_are_integer_weights(tmp_path):
    x, y = classes()
    times = np.random.default_rng(2).integers(1, 5, N)
    repeated = np.repeat(np.arange(N), times)
    a, history = fitted(weighted(x, y, times.astype(float)), tmp_path / "a", epochs=5)
    b, again = fitted(weighted(x[repeated], y[repeated], None), tmp_path / "b", epochs=5)
    assert a == pytest.approx(b, abs=2e-6)
    assert history["loss"] == pytest.approx(again["loss"], abs=1e-6)
    assert history["val_loss"] == pytest.approx(again["val_loss"], abs=1e-6)


def test_weights_of_one_change_no_bit(tmp_path):
    x, y = classes()
    first, second = (fitted(weighted(x, y, w), tmp_path / str(w is None), 5, batch_size=50)[0] for w in (None, np.ones(N)))
    assert (first == second).all()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.full(N, -1.0), "positive sum, given -400"),
        (np.full(N, np.nan), "finite event weight"),
        (np.ones((N, 1)), "finite event weight"),
    ],
)
def test_weights_that_say_nothing_are_refused(weight, message):
    x, y = classes()
    with pytest.raises(InputError, match=message):
        relative_weights(weighted(x, y, weight), "training rows")


def test_a_class_without_weight_and_a_loss_of_batches_are_refused():
    x, y = classes()
    model = get_family("mlp")(inputs=3, hidden=[])
    with pytest.raises(InputError, match=r"in each class, given -\d+ in 1"):
        expect_trainable(model, weighted(x, y, np.where(y[:, 0] == 1, -0.5, 1)), 32)
    encoder = released("ive")
    inputs = user_data("ive")
    rows = Rows({name: inputs[name] for name in ("observed", "asked")}, inputs["answer"], np.arange(60), weight=np.ones(60))
    with pytest.raises(InputError, match="loss of whole batches"):
        expect_trainable(encoder, rows, 32)


def test_batches_of_negative_sum_get_a_warning():
    x, y = classes()
    weight = np.random.default_rng(3).choice([1.0, -1.0], N, p=[0.6, 0.4])
    model = get_family("mlp")(inputs=3, hidden=[], output_activation="linear")
    with pytest.warns(UserWarning, match=r"batches of 4 rows .* from a batch_size of (\d+) on"):
        expect_trainable(model, weighted(x, y, weight), 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expect_trainable(model, weighted(x, y, weight), 256)


def test_trees_agree_with_scikit_learn_and_refuse_negative_weights():
    x, _ = classes()
    y = (x[:, :1] ** 2 + x[:, 1:2]).astype(np.float32)
    weight = np.random.default_rng(4).exponential(7.0, N)
    model = get_family("boosted-trees")(inputs=3)
    arrays = boosting._arrays(model, weighted(x, y, weight), "train")
    regressor = model.estimator(0.1, 0).set_params(max_iter=20).fit(*arrays[:2], sample_weight=arrays[2])
    oracle = HistGradientBoostingRegressor(learning_rate=0.1, max_iter=20, early_stopping=False, random_state=0)
    oracle.fit(x, y[:, 0], sample_weight=weight / weight.mean())
    assert regressor.predict(x) == pytest.approx(oracle.predict(x), rel=1e-12)
    losses = boosting._losses(regressor, arrays)
    assert losses[-1] == pytest.approx(np.average((oracle.predict(x) - y[:, 0]) ** 2, weights=weight))
    with pytest.raises(RecipeError, match=r"not negative, given 1 that are.*Train a network"):
        boosting._arrays(model, weighted(x, y, np.where(np.arange(N) == 3, -0.1, 1.0)), "train")


def scored(seed: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels and whole weights of rows that a classifier is too sure of."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(0, 3, N)
    label = (rng.random(N) < 1 / (1 + np.exp(-logit / 2))).astype(int)
    return logit, label, rng.integers(1, 4, N)


def test_calibration_with_whole_weights_is_that_of_repeated_rows():
    logit, label, times = scored()
    repeated = np.repeat(np.arange(N), times)
    probability = 1 / (1 + np.exp(-logit))
    assert fit_temperature(logit, label, times) == pytest.approx(fit_temperature(logit[repeated], label[repeated]), rel=1e-9)
    found = expected_calibration_error(probability, label, weight=times)
    assert found == pytest.approx(expected_calibration_error(probability[repeated], label[repeated]), rel=1e-12)
    bins, oracle = reliability(probability, label, weight=times), reliability(probability[repeated], label[repeated])
    for name in ("predicted", "observed", "count"):
        assert getattr(bins, name) == pytest.approx(getattr(oracle, name), rel=1e-12)
    assert (bins.high - bins.low >= oracle.high - oracle.low).all()  # repeated rows are not worth as many
    assert reliability_diagram(bins).axes[1].get_ylabel() == "sum of weights"


def test_calibration_with_rows_that_are_taken_back():
    logit, label, _ = scored()
    probability = 1 / (1 + np.exp(-logit))
    back = np.concatenate([np.arange(N), np.arange(50), np.arange(50)])
    weight = np.concatenate([np.ones(N), np.ones(50), -np.ones(50)])
    assert fit_temperature(logit[back], label[back], weight) == pytest.approx(fit_temperature(logit, label), rel=1e-9)
    found = expected_calibration_error(probability[back], label[back], weight=weight)
    assert found == pytest.approx(expected_calibration_error(probability, label), rel=1e-12)
    with pytest.raises(InputError, match="positive sum"):
        reliability(probability, label, weight=-np.ones(N))


def test_importance_counts_rows_by_their_weight():
    x, _ = classes()
    model = get_family("mlp")(inputs=3, hidden=[4], output_activation="linear")
    truth = np.asarray(model(x))[:, 0] + x[:, 2]
    groups = {"a": [0], "b": [1]}
    weight = np.random.default_rng(8).integers(1, 4, N)
    repeated = np.repeat(np.arange(N), weight)
    found = permutation_importance(model, x, truth, weight=weight, groups=groups, repeats=20, allow_out_of_range=True)
    assert found.score == pytest.approx(-np.mean(np.square(np.asarray(model(x))[:, 0] - truth)[repeated]))
    with pytest.raises(InputError, match="positive sum"):
        permutation_importance(model, x, truth, weight=-weight, allow_out_of_range=True)


@pytest.fixture(scope="module")
def fine_tuned(tmp_path_factory):
    """A classifier fine-tuned with event weights, the data, and its folder."""
    folder = tmp_path_factory.mktemp("weights")
    data = user_data("logistic", 300)
    noise = np.random.default_rng(10).normal(0, 3, 300)
    data["answer"] = (data["observed"][:, 0] + noise > 2).astype(int)
    data["event_weight"] = np.random.default_rng(9).choice([1.0, 2.0, -0.25], 300)
    np.savez(folder / "rows.npz", **data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = zoo.fine_tune(
            released("logistic"),
            folder / "rows.npz",
            weights="event_weight",
            folder=folder / "mine",
            epochs=15,
            learning_rate=0.05,
            unfreeze="all",
        )
    return model, data, folder


def test_the_folder_records_the_column_and_counts_rows_by_it(fine_tuned):
    model, _, folder = fine_tuned
    assert model.spec.data.parameters["weights"] == "event_weight"
    (test,) = own_rows(model, "test")
    assert set(test.weight) == {1.0, 2.0, -0.25}
    right = (np.asarray(model(test.inputs["observed"]))[:, 0] > 0.5) == (test.target[:, 0] == 1)
    accuracy = next(metric for metric in model.spec.metrics if metric.name == "accuracy")
    assert accuracy.value == pytest.approx(np.average(right, weights=test.weight))
    assert "sum of weights" in accuracy.detail
    history = json.loads((folder / "mine" / "metrics.json").read_text())["history"]
    (held_out,) = own_rows(model, "validation")
    probability = np.asarray(model(held_out.inputs["observed"]))[:, 0].astype(float)
    loss = -np.log(np.where(held_out.target[:, 0] == 1, probability, 1 - probability))
    assert min(history["val_loss"]) == pytest.approx(np.average(loss, weights=held_out.weight), rel=1e-4)


@pytest.mark.parametrize("name", ["w", "W", "wgt", "mcwgt", "weight", "genWeight", "event_weights", "weight_mc", "tree/w"])
def test_names_of_weights(name):
    with pytest.warns(UserWarning, match=f"the column {name} is left out") as caught:
        columns_of({name: np.ones(3), "pt": np.ones(3)}, "rows").warn_of_weights(["pt"])
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in ("width", "m_w", "wavelength", "w0", "heavyweights_n", "awe"):
            columns_of({other: np.ones(3)}, "rows").warn_of_weights([])


@pytest.mark.filterwarnings("ignore:.*independent|.*effective|.*batches|.*outside|.*drifted|.*worth")
def test_a_column_called_weight_that_is_not_named_gets_a_warning(fine_tuned, tmp_path):
    _, data, _ = fine_tuned
    with pytest.warns(UserWarning, match=r"column event_weight is left out .* weights='event_weight'"):
        plain = zoo.fine_tune(released("logistic"), data, folder=tmp_path / "plain", epochs=1)
    assert "weights" not in plain.spec.data.parameters
    assert own_rows(plain, "test", data={**data, "event_weight": np.ones(300)}, weights="event_weight")[0].weight is not None
    with pytest.raises(InputError, match="with columns of data only"):
        own_rows(plain, "test", weights="event_weight")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(np.arange(300) == 7, np.nan, 1.0), "finite number in every row, given nan in row 7"),
        (np.full(300, "1 pb"), "expected numbers"),
        (-np.ones(300), "positive sum"),
    ],
)
def test_columns_that_are_no_weights_are_refused(fine_tuned, tmp_path, values, message):
    _, data, _ = fine_tuned
    with pytest.raises(InputError, match=message):
        zoo.fine_tune(released("logistic"), {**data, "event_weight": values}, weights="event_weight", folder=tmp_path / "no")


def test_a_run_with_other_weights_is_another_run(fine_tuned):
    from zoo.training.checks import check

    model, _, _ = fine_tuned
    (test,) = own_rows(model, "test")
    rows = {split: own_rows(model, split)[0] for split in ("train", "validation", "test")}
    changed = {**rows, "test": Rows(test.inputs, test.target, test.group, weight=test.weight * 2)}

    class Splits:
        def __init__(self, of):
            self.rows = lambda split, epoch=0: of[split]

    assert check(Splits(rows), model, model.spec).sha256 != check(Splits(changed), model, model.spec).sha256


def test_calibrate_takes_the_recorded_column(fine_tuned, tmp_path):
    model, _, _ = fine_tuned
    calibrated = zoo.calibrate(model, folder=tmp_path / "calibrated")
    validation, test = own_rows(model, "validation", "test")
    logit = np.asarray(model.logits(validation.inputs["observed"]))[:, 0].astype(float)
    temperature = fit_temperature(logit, validation.target[:, 0].astype(int), validation.weight)
    found = {metric.name: metric for metric in calibrated.spec.metrics}
    assert found["temperature"].value == pytest.approx(temperature)
    probability = np.asarray(calibrated(test.inputs["observed"]))[:, 0].astype(float)
    loss = -np.log(np.where(test.target[:, 0] == 1, probability, 1 - probability))
    assert found["log loss"].value == pytest.approx(np.average(loss, weights=test.weight), rel=1e-4)


# Scalings, baselines and figures: a weight of two is the row twice


def repeated(rows: Rows) -> Rows:
    """Rows of whole weights as often as their weight says."""
    index = np.repeat(np.arange(len(rows)), np.asarray(rows.weight, int))
    return Rows({name: x[index] for name, x in rows.inputs.items()}, rows.target[index], np.arange(len(index)))


@pytest.mark.parametrize("family", ["mlp", "cnn3d", "ive", "maf"])
def test_scalings_count_rows_by_their_weight(family):
    config = CONFIGS[family] | ({"support": [[-60.0, 60.0], *[None] * 6]} if family == "maf" else {})
    model, again = (get_family(family)(**config) for _ in range(2))
    inputs = example(family, 40)
    rows = Rows(inputs, TARGET[:40], np.arange(40), weight=np.random.default_rng(0).integers(1, 5, 40).astype(float))
    measure_scalings(model, rows)
    measure_scalings(again, repeated(rows))
    found, oracle = ([weight.numpy() for weight in one.non_trainable_weights] for one in (model, again))
    for a, b in zip(found, oracle, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    again.adapt(inputs, TARGET[:40])
    assert any(np.abs(a - weight.numpy()).max() > 1e-3 for a, weight in zip(found, again.non_trainable_weights, strict=True))


def test_scalings_of_rows_that_are_taken_back():
    rows = np.random.default_rng(0).normal(3.0, 2.0, (50, 2))
    more = np.random.default_rng(1).normal(50.0, 9.0, (10, 2))
    weight = np.concatenate([np.ones(50), np.full(10, 2.0), np.full(10, -2.0)])
    mean, scale = weighted_moments(np.concatenate([rows, more, more]), weight)
    np.testing.assert_allclose(mean, rows.mean(axis=0))
    np.testing.assert_allclose(scale, rows.std(axis=0))
    mean, scale = weighted_moments(np.array([[0.0], [1.0], [10.0]]), np.array([1.0, 1.0, -1.5]))  # of no positive variance
    assert scale > 0
    assert np.isfinite(mean).all()


def test_families_without_weights_in_their_scalings_are_scaled_all_the_same():
    class Plain(get_family("mlp")):
        def adapt(self, inputs, target):
            self.adapted = len(target)

    x, y = classes()
    model = Plain(inputs=3, hidden=[])
    measure_scalings(model, weighted(x, y, np.ones(N)))
    assert model.adapted == N


def test_the_gaussian_beside_a_density_counts_rows_by_their_weight():
    x, y = classes()
    weight = np.random.default_rng(2).integers(1, 5, N).astype(float)
    name, log_density = _gaussian(Given(weighted(x, y, weight)))
    twice = np.repeat(x, weight.astype(int), axis=0)
    oracle = GaussianMixture(1, reg_covar=0).fit(twice)
    assert name == "Gaussian of the weighted rows"
    np.testing.assert_allclose(log_density(x[:20]), oracle.score_samples(x[:20]), rtol=1e-5)
    with pytest.raises(InputError, match="no positive covariance"):
        _gaussian(Given(weighted(x[:3], y[:3], np.array([1.0, 1.0, -1.5]))))


def lines(figure, place: int = 0) -> list[np.ndarray]:
    return [np.column_stack(line.get_data()) for line in figure.axes[place].lines]


def test_figures_of_a_classifier_with_whole_weights_are_those_of_repeated_rows():
    logit, label, times = scored()
    score = 1 / (1 + np.exp(-logit))
    rows = Rows({"x": score[:, None]}, label[:, None], np.arange(N), weight=times.astype(float))
    twice = repeated(rows)
    again = twice.inputs["x"][:, 0]
    np.testing.assert_allclose(_confusion(rows, score), _confusion(twice, again))
    (_, found), (_, oracle) = (lines(plots.roc({"model": _roc(one, s)})) for one, s in ((rows, score), (twice, again)))
    at = np.linspace(0, 1, 500)
    np.testing.assert_allclose(np.interp(at, *found.T), np.interp(at, *oracle.T), atol=1e-12)
    # In units of cross sections, where a whole class adds up to less than one.
    figure = plots.confusion(_confusion(rows, score) * 1e-6, ["no", "yes"])
    texts = [text.get_text().splitlines()[0] for text in figure.axes[0].texts]
    assert texts == [
        text.get_text().splitlines()[0] for text in plots.confusion(_confusion(twice, again), ["no", "yes"]).axes[0].texts
    ]


def test_figures_of_a_regressor_with_whole_weights_are_those_of_repeated_rows():
    rng = np.random.default_rng(4)
    truth, times = rng.uniform(0, 10, 3000), rng.integers(1, 4, 3000)
    answer = truth + rng.normal(0, 1 + 0.2 * truth)
    probability = rng.random(3000)
    index, weight = np.repeat(np.arange(3000), times), times.astype(float)

    def both(draw):
        return draw(truth, answer, probability, weight), draw(truth[index], answer[index], probability[index], None)

    found, oracle = both(lambda t, a, p, w: plots.error_against_truth(t, {"a": a}, "mass", "g", w))
    np.testing.assert_allclose(lines(found, 1)[0], lines(oracle, 1)[0])  # root mean square
    np.testing.assert_allclose(lines(found)[1], lines(oracle)[1], atol=0.05)  # medians, between rows
    found, oracle = both(lambda t, a, p, w: plots.coverage_of_intervals({"a": p}, w))
    np.testing.assert_allclose(lines(found)[1], lines(oracle)[1], atol=1e-12)
    found, oracle = both(
        lambda t, a, p, w: plots.error_quantiles(np.abs(a - t)[:, None], {"a": (slice(0, 1), np.zeros(1))}, "", "g", w)
    )
    for a, b in zip(lines(found), lines(oracle), strict=True):
        np.testing.assert_allclose(a, b, rtol=0.02)
    found, oracle = both(lambda t, a, p, w: plots.distribution_of_answers(t, {"a": a}, "mass", "g", w))
    assert np.abs(lines(found)[0] - lines(oracle)[0]).max() < 0.005  # repeated rows count as independent in the kernel's width


def test_partial_dependence_with_whole_weights_is_that_of_repeated_rows():
    x, _ = classes()
    keras.utils.set_random_seed(3)
    model = get_family("mlp")(inputs=3, hidden=[4], output_activation="linear")
    weight = np.random.default_rng(8).integers(1, 4, N)
    points = np.linspace(-1, 1, 5)
    found, oracle, plain = (
        partial_dependence(model, rows, [0], weight=w, points=9, allow_out_of_range=True)
        for rows, w in ((x, weight), (np.repeat(x, weight, axis=0), None), (x, None))
    )
    curves = [np.interp(points, one.grid[0], one.average[0]) for one in (found, oracle, plain)]
    np.testing.assert_allclose(curves[0], curves[1], atol=2e-2)
    direct = [
        np.average(np.asarray(model(np.column_stack([np.full(N, v), x[:, 1:]])))[:, 0], weights=weight) for v in found.grid[0]
    ]
    np.testing.assert_allclose(found.average[0], direct, rtol=1e-4)
    with pytest.raises(InputError, match="positive sum"):
        partial_dependence(model, x, [0], weight=-weight, allow_out_of_range=True)


def test_event_weights_of_a_file_that_is_explained(tmp_path):
    rng = np.random.default_rng(0)
    densities, weight = rng.uniform(-0.5, 0.5, (40, 25)), rng.choice([1.0, 2.0, -0.25], 40)
    np.savez(tmp_path / "mine.npz", densities=densities, target=densities[:, :1], event_weight=weight)
    command = ("explain", "gbt-halo-mass", "--method", "partial_dependence", "--features", "3", "--out", tmp_path)
    file = ("--input", tmp_path / "mine.npz")
    ok(*command, *file, "--weights", "event_weight")
    with np.load(tmp_path / "gbt-halo-mass-partial-dependence.npz") as found:
        oracle = partial_dependence(zoo.load("gbt-halo-mass"), densities, [3], weight=weight, allow_out_of_range=True)
        np.testing.assert_array_equal(found["average"], oracle.average)
    with pytest.warns(UserWarning, match=r"column event_weight is left out and every row .* weights='event_weight'"):
        assert rows_from_file(zoo.get_spec("gbt-halo-mass"), tmp_path / "mine.npz", "predict").rows.weight is None
    for arguments, message in (
        (
            (*command[:3], "pca", *file, "--weights", "w"),
            "takes no --weights, which goes with partial_dependence, permutation_imp",
        ),
        ((*command, "--weights", "event_weight"), "--weights is of columns of --input"),
    ):
        assert message in refused(*arguments)
    with pytest.raises(UnknownNameError, match="event_weight"):
        rows_from_file(zoo.get_spec("gbt-halo-mass"), tmp_path / "mine.npz", "predict", "event_wieght")


def test_methods_that_leave_out_event_weights_say_so(tmp_path):
    model = released("mlp")
    rows = Rows({"observed": example("mlp", 30)["observed"]}, TARGET[:30], np.arange(30), weight=np.ones(30))
    with pytest.warns(UserWarning, match="pca leaves out the event weights"):
        explain_to_files(model, tmp_path, method="pca", data=lambda endpoint, most: DataRows(rows, "made up"))
