"""Global importance, dependence, layers and trust in explanations, where the answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import keras
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.ensemble import HistGradientBoostingRegressor

from zoo.errors import ExplanationError, InputError, UnknownNameError
from zoo.families.base import ZooModel
from zoo.families.boosted_trees import BoostedTrees
from zoo.families.cnn3d import CNN3D
from zoo.families.mlp import MLP
from zoo.interpret import (
    agreement,
    as_estimator,
    deletion_insertion,
    embed,
    explain,
    feature_maps,
    impurity_importance,
    maximize_activation,
    methods,
    partial_dependence,
    permutation_importance,
    randomization_check,
    rank_correlation,
    stability,
)
from zoo.interpret.attribution.patches import shells, tiles
from zoo.model.axes import fixed_axes
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

WIDTH = 6
RNG = np.random.default_rng(4)
W = np.array([3.0, -2.0, 1.0, 0.5, 0.0, 0.0], np.float32)
X = RNG.normal(size=(3000, WIDTH)).astype(np.float32)


def regressor(hidden: tuple[int, ...] = ()) -> MLP:
    """A linear model w x, or a network with random weights."""
    keras.utils.set_random_seed(0)
    model = MLP(WIDTH, list(hidden), activation="tanh", output_activation="linear", standardize=False)
    if not hidden:
        model.head.kernel.assign(W[:, None])
    return model


def with_spec(model, low: float = -5.0, high: float = 5.0):
    inputs = [Tensor(name="x", axes=fixed_axes("x", [model.config["inputs"]]), unit="1", description="", low=low, high=high)]
    outputs = [Tensor(name="y", axes=fixed_axes("y", [1]), unit="1", description="")]
    model.spec = ModelSpec(
        name="tiny",
        family="mlp",
        config={},
        task="regression",
        summary="",
        endpoints={"predict": Endpoint(description="", inputs=inputs, outputs=outputs)},
        data=Data(source="", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )
    return model


class Additive(ZooModel):
    """A model sin(x0) + x1^2, and t, a tensor of its own."""

    endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

    def call(self, x, t):
        return (keras.ops.sin(x[:, 0]) + keras.ops.square(x[:, 1]))[:, None] + t


@pytest.fixture(scope="module")
def trees() -> BoostedTrees:
    """Fitted to two steps, of which the first has four times the variance of the second."""
    x = RNG.uniform(size=(4000, WIDTH)).astype(np.float32)
    fitted = HistGradientBoostingRegressor(max_iter=60, max_leaf_nodes=4, early_stopping=False)
    fitted.fit(x, 2.0 * (x[:, 0] > 0.5) + (x[:, 3] > 0.5))
    model = BoostedTrees(WIDTH, max_leaf_nodes=4)
    model.take(fitted, 60, x.mean(axis=0))
    return model


def test_patches_cover_a_row():
    assert tiles((6,)).tolist() == list(range(6))
    assert tiles((6,), 4).tolist() == [0, 0, 0, 0, 1, 1]
    assert tiles((24, 24, 24)).max() + 1 == 216
    assert tiles((64, 64, 3)).max() + 1 == 256
    assert tiles((4, 4), 2).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert tiles(()).shape == ()
    with pytest.raises(InputError, match=r"patch: expected a whole number of at least 1, given 2\.5"):
        tiles((4, 4), 2.5)
    assert np.bincount(shells((4, 4, 4)).ravel())[:2].tolist() == [1, 18]


def test_an_endpoint_as_an_estimator():
    x, t = X[:50], RNG.normal(size=(50, 1)).astype(np.float32)
    model = Additive()
    estimator, matrix = as_estimator(model, {"x": x, "t": t})
    assert matrix.shape == (50, WIDTH + 1)
    np.testing.assert_allclose(estimator.predict(matrix[::-1]), keras.ops.convert_to_numpy(model(x, t))[::-1, 0], rtol=1e-5)
    assert estimator.score(matrix, np.sin(x[:, 0]) + x[:, 1] ** 2 + t[:, 0]) == pytest.approx(1)


def test_permutation_importance_of_a_linear_model():
    """A shuffled independent feature costs 2 w^2 times its variance; a group the sum of its members'."""
    found = permutation_importance(regressor(), X, X @ W, repeats=5)
    np.testing.assert_allclose(found.mean, 2 * W**2 * X.var(axis=0), rtol=0.1, atol=1e-6)
    assert found.score == pytest.approx(0, abs=1e-9)
    grouped = permutation_importance(regressor(), X, X @ W, groups={"first two": [0, 1], "idle": [4, 5]}, repeats=5)
    np.testing.assert_allclose(grouped.mean, [26, 0], rtol=0.1, atol=1e-6)
    one = permutation_importance(regressor(), X, X @ W, patch=4, repeats=1)
    assert one.names == ["x patch 0", "x patch 1"]
    assert [column.header for column in found.table().columns] == ["input", "mean", "least", "most"]
    assert [column.header for column in one.table().columns] == ["input", "importance"]
    first = next(iter(found.table().columns[0].cells))
    assert first == found.names[int(np.argmax(found.mean))]


def test_correlated_features_hide_each_other_unless_they_are_shuffled_together():
    """The truth goes with one of two equal features; the model takes half of each: alone each costs a quarter of both."""
    x = X.copy()
    x[:, 1] = x[:, 0]
    model = regressor()
    model.head.kernel.assign(np.array([0.5, 0.5, 0, 0, 0, 0], np.float32)[:, None])
    alone = permutation_importance(model, x, x[:, 0]).mean
    together = permutation_importance(model, x, x[:, 0], groups={"both": [0, 1]}).mean
    np.testing.assert_allclose(alone[:2] / together, 0.25, rtol=0.1)


def test_importance_over_shells_of_a_cube():
    class Shell(ZooModel):
        endpoints: ClassVar[dict[str, str]] = {"predict": "call"}

        def call(self, cube):
            return keras.ops.sum(cube * (shells((6, 6, 6)) == 2).astype("float32"), axis=(1, 2, 3))[:, None]

    cubes = RNG.normal(size=(100, 6, 6, 6)).astype(np.float32)
    found = permutation_importance(Shell(), cubes, cubes[:, shells((6, 6, 6)) == 2].sum(axis=1), repeats=2)
    assert found.names[np.argmax(found.mean)] == "cube shell 2"
    assert found.mean[2] > 1e3 * np.abs(np.delete(found.mean, 2)).max()


def test_impurity_importance_is_the_share_of_the_variance(trees):
    found = impurity_importance(trees)
    np.testing.assert_allclose(found.mean, [0.8, 0, 0, 0.2, 0, 0], atol=0.02)
    assert found.mean.sum() == pytest.approx(1)
    assert found.names[3] == "3"


def test_trees_are_explained_without_gradients(trees):
    x = RNG.choice([0.1, 0.3, 0.7, 0.9], (8, WIDTH)).astype(np.float32)
    wanted = np.zeros_like(x)
    wanted[:, 0], wanted[:, 3] = 2.0 * (x[:, 0] > 0.5), x[:, 3] > 0.5
    np.testing.assert_allclose(explain(trees, x, method="occlusion", baseline=0.2).values, wanted, atol=0.05)
    np.testing.assert_allclose(explain(trees, x, method="lime", baseline=0.2).values, wanted, atol=0.05)
    with pytest.raises(ExplanationError, match="'smoothgrad' needs gradients"):
        explain(trees, x, method="smoothgrad")
    pytest.importorskip("shap", reason="the library shap is not installed")
    shares = explain(trees, x, method="shap", baseline=0.2)
    np.testing.assert_allclose(shares.values, wanted, atol=0.05)
    assert shares.completeness_error.max() < 1e-5


def test_partial_dependence_of_an_additive_function_is_its_term():
    rows = {"x": X[:300], "t": RNG.normal(size=(300, 1)).astype(np.float32)}
    found = partial_dependence(Additive(), rows, [0, 1, "t"], points=20)
    for number, term in enumerate((np.sin, np.square, np.asarray)):
        shape = found.average[number] - found.average[number].mean()
        wanted = term(found.grid[number])
        np.testing.assert_allclose(shape, wanted - wanted.mean(), atol=1e-4)
        parallel = found.individual[number] - found.individual[number][:, :1]
        np.testing.assert_allclose(parallel, np.tile(parallel[:1], (300, 1)), atol=1e-4)
    assert found.names == ["x[0]", "x[1]", "t"]
    assert len(found.plot().axes) == 3


def test_partial_dependence_chooses_what_matters():
    assert set(partial_dependence(regressor(), X[:200], points=10).names) == {f"x[{number}]" for number in range(4)}


def test_feature_maps_are_what_the_layer_returns():
    model = CNN3D(8, [3, 5], [4])
    cubes = RNG.normal(size=(4, 8, 8, 8)).astype(np.float32)
    found = feature_maps(model, cubes, "stage_0")
    inside = keras.ops.convert_to_numpy(model.stages.layers[0](model.standardize(cubes)[..., None]))
    np.testing.assert_allclose(found.values, inside, rtol=1e-5, atol=1e-6)
    assert feature_maps(model, cubes, "stages").layer == "stage_1"
    assert feature_maps(model, cubes).layer == "hidden_0"
    for maps in (found, feature_maps(model, cubes)):
        assert isinstance(maps.plot(), Figure)


def test_maximized_inputs_of_a_linear_unit():
    """Without smoothness a unit climbs into the corner that its weights point at; with it, neighbors go together."""
    model = with_spec(regressor())
    corner = maximize_activation(model, "head", smoothness=0.0)
    np.testing.assert_allclose(corner.inputs[0, :4], 5 * np.sign(W[:4]), atol=1e-3)
    assert np.abs(corner.inputs[0, 4:]).max() < 4  # no weight: where it began
    assert corner.activation[0, -1] == pytest.approx(5 * np.abs(W).sum(), rel=1e-3)
    smooth = maximize_activation(model, "head", smoothness=2.0)
    assert np.abs(np.diff(smooth.inputs[0])).sum() < 0.7 * np.abs(np.diff(corner.inputs[0])).sum()
    assert smooth.activation[0, -1] > 1  # zero at the baseline


def test_a_rectified_unit_that_is_silent_at_the_baseline_is_woken():
    model = with_spec(MLP(WIDTH, [1], output_activation="linear", standardize=False))
    model.hidden.layers[0].kernel.assign(W[:, None])
    model.hidden.layers[0].bias.assign([-1.0])
    found = maximize_activation(model, "hidden", smoothness=0.0)
    assert found.activation[0, -1] > 20


def test_a_planted_filter_is_found_by_activation_maximization():
    model = with_spec(MLP(40, [2], activation="linear", output_activation="linear", standardize=False))
    bump = np.exp(-(((np.arange(40) - 25) / 2.0) ** 2))
    model.hidden.layers[0].kernel.assign(np.stack([bump, -bump], axis=1))
    found = maximize_activation(model, "hidden")
    assert found.units.tolist() == [0, 1]
    for row, sign in zip(found.inputs, (1, -1), strict=True):
        assert 23 <= np.argmax(sign * row) <= 27
        assert np.abs(row[bump < 1e-3]).max() < 0.5 * np.abs(row).max()
    assert len(found.plot().axes) == 2


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_activations_in_two_dimensions(method):
    """A layer sees one strong direction of the input; rows that differ along it must lie apart."""
    model = regressor((8,))
    model.hidden.layers[0].kernel.assign(np.outer([1, 0, 0, 0, 0, 0], np.linspace(-0.5, 0.5, 8)).astype(np.float32))
    strength = X[:60, 0].astype(float)
    found = embed(model, X[:60], "hidden", method=method, truth={"strength": strength, "none": np.full(60, np.nan)})
    if method == "pca":
        assert abs(np.corrcoef(found.points[:, 0], strength)[0, 1]) > 0.95
        assert found.explained[0] > 0.99
    near = np.argsort(np.linalg.norm(found.points[:, None] - found.points, axis=-1), axis=1)[:, 1]
    assert np.abs(strength[near] - strength).mean() < 0.3 * np.abs(strength[:, None] - strength).mean()
    assert "strength" in [ax.get_title() for ax in found.plot().axes]


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    a, b = RNG.normal(size=(2, 4, 50))
    wanted = [spearmanr(np.abs(one), np.abs(other)).statistic for one, other in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), wanted)
    np.testing.assert_allclose(rank_correlation(a, -3 * a), 1)
    assert np.isnan(rank_correlation(np.ones((1, 5)), a[:1, :5])).all()


def test_methods_agree_on_a_linear_model():
    methods = ["integrated_gradients", "occlusion", "lime", "gradient_x_input"]
    rows = X[:20] + np.float32(0.1)
    found = agreement([explain(regressor(), rows, method=method) for method in methods])
    np.testing.assert_allclose(found.matrix, 1, atol=0.06)  # the last two elements tie at zero, but for rounding
    np.testing.assert_allclose(found.matrix, found.matrix.T)
    assert found.methods == methods
    with pytest.raises(InputError, match="the same rows"):
        agreement([explain(regressor(), rows), explain(regressor(), rows + 1)])
    with pytest.raises(InputError, match="at least two"):
        agreement([explain(regressor(), rows)])


def test_randomization_tells_a_gradient_from_a_picture_of_the_input(monkeypatch):
    model = regressor((16, 16))
    before = [np.array(weight) for weight in model.get_weights()]
    found = randomization_check(model, X[:5], method="gradient", draws=40)
    assert found.layers == ["head", "hidden_1", "hidden_0"]
    assert found.correlation.shape == (3, 40, 5)
    assert abs(np.nanmean(found.correlation[-1])) < 0.15
    constant = replace(methods.method_named("gradient"), function=lambda answer, x, start: x)
    monkeypatch.setitem(methods._methods, "gradient", constant)
    np.testing.assert_allclose(randomization_check(model, X[:5], method="gradient", draws=2).correlation, 1)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_deletion_and_insertion_of_a_linear_model():
    """Taking away the strongest evidence first lowers a linear answer as fast as any order can."""
    model, rows = regressor(), X[:8]
    explanation = explain(model, rows)
    found = deletion_insertion(model, explanation)
    terms = rows * W
    evidence = np.sort(terms * np.sign(terms.sum(axis=1, keepdims=True)), axis=1)[:, ::-1]
    wanted = np.abs(terms.sum(axis=1, keepdims=True)) - np.pad(np.cumsum(evidence, axis=1), ((0, 0), (1, 0)))
    np.testing.assert_allclose(found.deletion * np.sign(terms.sum(axis=1, keepdims=True)), wanted, atol=1e-4)
    np.testing.assert_allclose(found.insertion[:, -1], found.deletion[:, 0], atol=1e-5)
    worst = deletion_insertion(model, replace(explanation, values=-explanation.values))
    np.testing.assert_allclose(worst.area, -found.area, atol=1e-4)
    shuffled = replace(explanation, values=RNG.normal(size=rows.shape).astype(np.float32))
    assert (deletion_insertion(model, shuffled).area <= found.area + 1e-5).all()
    assert (found.area > 0).all()


def test_stability_of_a_linear_model():
    model, rows = regressor(), X[:5]
    steady = stability(model, rows, method="gradient", noises=[0.1], draws=2)
    np.testing.assert_allclose(steady.change, 0, atol=1e-6)
    found = stability(model, rows, noises=[1e-4, 0.3], draws=20)
    assert np.nanmean(found.correlation[0]) > 0.95 > np.nanmean(found.correlation[1])
    ratio = found.change[1].mean() / found.change[0].mean()
    assert ratio == pytest.approx(3000, rel=0.5)


def test_every_result_is_drawn_and_saved(tmp_path, trees):
    model, rows = regressor((8,)), X[:12]
    results = {
        "agreement": agreement([explain(model, rows), explain(model, rows, method="occlusion")]),
        "deletion": deletion_insertion(model, explain(model, rows)),
        "embedding": embed(model, rows, truth={"first": rows[:, 0]}),
        "impurity": impurity_importance(trees),
        "maps": feature_maps(model, rows),
        "maximized": maximize_activation(with_spec(regressor((8,))), steps=3),
        "permutation": permutation_importance(model, rows, rows[:, 0], repeats=2),
        "randomization": randomization_check(model, rows, draws=1),
        "stability": stability(model, rows, noises=[0.1], draws=1),
    }
    for name, result in results.items():
        path = tmp_path / f"{name}.png"
        result.plot().savefig(path, dpi=40)
        assert path.stat().st_size > 1_000
        with np.load(result.save(tmp_path / f"{name}.npz"), allow_pickle=False) as file:
            assert "about" in file
        with pytest.raises(InputError, match=r"expected a path that ends in \.npz, given .*table\.csv"):
            result.save(tmp_path / "table.csv")
    with np.load(tmp_path / "embedding.npz") as file:
        np.testing.assert_allclose(file["truth/first"], rows[:, 0])


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda m: permutation_importance(m, X, X), InputError, "truth: expected 3000 numbers"),
        (lambda m: permutation_importance(m, X, np.full(3000, np.nan)), InputError, "truth: 3000 values are NaN"),
        (lambda m: permutation_importance(m, X, ["top"] * 3000), InputError, "truth: expected numbers, given 'top'"),
        (lambda m: permutation_importance(m, X, X[:, 0], groups={"a": [6]}), InputError, "'a': expected elements from 0 to 5"),
        (lambda m: permutation_importance(m, X, X[:, 0], groups={"a": [1], "b": [1]}), InputError, "in one group at most"),
        (lambda m: impurity_importance(m), ExplanationError, "needs trees, and MLP has none: permutation_importance"),
        (lambda m: partial_dependence(m, X, ["x[9]"]), UnknownNameError, "no feature named 'x\\[9\\]'"),
        (lambda m: partial_dependence(m, X, [6]), InputError, "expected 0 to 5, given 6"),
        (lambda m: feature_maps(m, X, "hiden"), UnknownNameError, "did you mean hidden"),
        (lambda m: embed(m, X[:9]), InputError, "at least 10 rows, given 9"),
        (lambda m: embed(m, X[:20], method="umap"), InputError, "expected pca or tsne"),
        (lambda m: embed(m, X[:20], truth={"a": np.zeros(3)}), InputError, "truth 'a': expected 20 numbers"),
        (lambda m: maximize_activation(m), InputError, "no spec that says what it takes"),
        (lambda m: maximize_activation(with_spec(m), units=[8]), InputError, "units: expected 0 to 7 of layer 'hidden_0'"),
        (lambda m: maximize_activation(with_spec(m, low=None), "head"), InputError, "expected a trained range"),
        (lambda m: randomization_check(Additive(), {"x": X, "t": X[:, :1]}), ExplanationError, "declares no blocks"),
        (lambda m: stability(m, X, noises=[-1.0]), InputError, "noise: expected a positive fraction"),
    ],
)
def test_what_is_missing_is_said(function, error, message):
    with pytest.raises(error, match=message):
        function(regressor((8,)))


def test_trees_say_what_they_do_not_have(trees):
    with pytest.raises(ExplanationError, match="needs layers of weights"):
        randomization_check(trees, X[:3])
    with pytest.raises(ExplanationError, match="'activation_maximization' needs gradients"):
        maximize_activation(trees)
    with pytest.raises(ExplanationError, match="has no layers to look into"):
        feature_maps(trees, X[:3])
