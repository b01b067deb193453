"""How taggers are judged, on normal distributions whose ROC curves are known, and beside scikit-learn."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve
from threadpoolctl import threadpool_limits

from zoo.data.dataset import Rows
from zoo.training.evaluate import Run
from zoo.training.evaluations import evaluation_settings, tagging, tagging_baselines

APART = 1.5
"""Distance of the means of two classes in standard deviations."""
N = {"train": 2000, "validation": 1000, "test": 1600}
TWO = {"kind": "tagging", "classes": ["gluon", "quark"]}


class Normals:
    """Rows of classes 0, 1, ... whose first number is normal about the class times a distance."""

    def __init__(self, classes=2, shift=0.0, training_jets=N["train"], weighted=False):
        self.classes, self.shift, self.training_jets, self.weighted = classes, shift, training_jets, weighted

    def rows(self, split, epoch=0):
        n = self.training_jets if split == "train" else N[split]
        rng = np.random.default_rng([list(N).index(split), self.classes])
        label = np.arange(n) % self.classes
        x = rng.normal(0, 1, (n, 2))
        x[:, 0] += APART * label + self.shift
        weight = rng.uniform(0.5, 1.5, n) if self.weighted else None
        truth = {"first": x[:, 0], "fewer": -x[:, 0]}
        return Rows({"x": x.astype(np.float32)}, label[:, None].astype(np.float32), np.arange(n), truth, weight)


def exact(x, classes=2):
    """Probability of the classes of rows."""
    density = norm.pdf(np.asarray(x)[:, :1] - APART * np.arange(classes))
    probability = density / density.sum(axis=1, keepdims=True)
    return probability[:, 1:] if classes == 2 else probability


def judged(settings, **data):
    recipe = SimpleNamespace(
        name="toy", config={}, data=SimpleNamespace(dataset=lambda **more: Normals(**{**data, **more}), parameters=data)
    )
    history = {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}
    run = Run(recipe, 0, lambda: partial(exact, classes=data.get("classes", 2)), history)
    few = {**data, "training_jets": 100}
    fewer = SimpleNamespace(
        name="toy", config={}, data=SimpleNamespace(dataset=lambda **more: Normals(**{**few, **more}), parameters=few)
    )
    evaluation = settings.judge({"": [run], "100 rows": [Run(fewer, 0, run.load, history)]})
    return evaluation, {metric.name: metric for metric in evaluation.metrics}


@pytest.fixture(scope="module")
def two():
    settings = evaluation_settings({**TWO, "observables": ["first", "fewer"], "also_on": {"shifted": {"shift": 0.5}}})
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        patch.setattr(tagging_baselines, "STAGES", 15)
        return judged(settings.model_copy(update={"trees": SimpleNamespace(dataset=Normals)}))


def test_area_and_rejection_are_those_of_normal_distributions(two):
    _, found = two
    area = norm.cdf(APART / np.sqrt(2))
    assert found["auc"].value == pytest.approx(area, abs=0.02)
    assert found["auc"].interval[0] < area < found["auc"].interval[1]
    for share in (0.3, 0.5):
        expected = 1 / norm.sf(norm.isf(share) + APART)
        low, high = found[f"rejection at {share:.0%}"].interval
        assert low < expected < high
    assert found["accuracy"].value == pytest.approx(norm.cdf(APART / 2), abs=0.025)


def test_observables_and_trees_stand_beside_the_model(two):
    _, found = two
    assert found["first/auc"].value == pytest.approx(found["auc"].value, abs=1e-6)
    assert found["fewer/auc"].value == pytest.approx(found["auc"].value, abs=1e-6)
    assert found["auc"].value - 0.02 < found["boosted trees/auc"].value <= found["auc"].value + 0.005
    assert found["auc"].baseline == pytest.approx(found["boosted trees/auc"].value)
    ahead = found["auc minus that of boosted trees"]
    assert ahead.value == pytest.approx(found["auc"].value - found["boosted trees/auc"].value)
    assert ahead.interval[1] - ahead.interval[0] < found["auc"].interval[1] - found["auc"].interval[0]


def test_cut_of_the_test_split_is_kept_where_samples_vary(two):
    _, found = two
    assert found["shifted/auc"].value == pytest.approx(found["auc"].value, abs=1e-6)
    passing = found["shifted/quark passing 50% of quark"]
    assert passing.value == pytest.approx(norm.cdf(0.5), abs=0.04)
    assert passing.baseline == pytest.approx(0.5, abs=1e-3)
    wrong = found["shifted/gluon passing 50% of quark"]
    assert wrong.value == pytest.approx(norm.sf(APART - 0.5), abs=0.04)
    assert wrong.baseline == pytest.approx(norm.sf(APART), abs=0.025)


def test_learning_curve_has_a_point_for_each_number_of_rows(two):
    evaluation, found = two
    assert evaluation.curves["learning"]["rows"] == [100, N["train"]]
    assert evaluation.curves["learning"]["auc"] == [found["100 rows/auc"].value, found["auc"].value]
    assert set(evaluation.figures) == {"confusion", "learning_curves", "rejection", "auc_against_rows"}


def test_several_classes_are_each_told_from_the_others():
    settings = evaluation_settings({"kind": "tagging", "classes": ["q", "g", "top"], "efficiencies": [0.5]})
    evaluation, found = judged(settings, classes=3)
    rows = Normals(3).rows("test")
    expected = roc_auc_score(rows.target[:, 0], exact(rows.inputs["x"], 3), multi_class="ovr")
    assert found["auc"].value == pytest.approx(expected, abs=1e-12)
    areas = [found[f"auc of {name}"].value for name in settings.classes]
    assert found["auc"].value == pytest.approx(np.mean(areas))
    assert areas[2] > areas[1]
    assert found["accuracy"].value == pytest.approx(np.trace(evaluation.curves["confusion"]) / N["test"])
    assert "rejection of top at 50%" in found


def test_event_weights_count_as_repeated_rows():
    rng = np.random.default_rng(0)
    scored = np.stack([rng.normal(size=500), np.arange(500) % 2], axis=1)
    times = rng.integers(1, 4, 500)
    repeated = np.repeat(scored, times, axis=0)
    for share in (0.3, 0.5):
        assert tagging.rejection(scored, times.astype(float), efficiency=share) == pytest.approx(
            tagging.rejection(repeated, efficiency=share)
        )
        cut = tagging.cut_at(scored[:, 0], times.astype(float), share)
        assert cut == tagging.cut_at(repeated[:, 0], None, share)
        assert np.average(scored[:, 0] >= cut, weights=times) == pytest.approx(share, abs=0.01)


def test_roc_curve_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    scored = np.stack([rng.normal(size=300).round(1), np.arange(300) % 2], axis=1)
    weights = rng.uniform(0.5, 2, 300)
    cuts, signal, background = tagging.kept(scored, weights)
    false_positive, true_positive, expected = roc_curve(
        scored[:, 1], scored[:, 0], sample_weight=weights, drop_intermediate=False
    )
    for found, other in ((cuts, expected), (signal, true_positive), (background, false_positive)):
        np.testing.assert_allclose(found, other, atol=1e-12)


def test_negative_weights_leave_the_first_point_of_an_efficiency():
    scored = np.array([[4, 1], [3, 0], [2, 1], [1, 1], [0, 0]], float)
    weights = np.array([1.0, 1, -0.5, 1.5, 1])  # half of label 1 is kept by the first cut, and by a later one once more
    assert tagging.rejection(scored, weights, efficiency=0.5) == 2  # as none of two rows of label 0 are kept by the first
    assert tagging.cut_at(scored[scored[:, 1] == 1, 0], weights[[0, 2, 3]], 0.5) == 4


def test_weighted_rows_have_weighted_numbers():
    settings = evaluation_settings({**TWO, "observables": ["first"], "also_on": {"shifted": {"shift": 0.5}}})
    evaluation, found = judged(settings, weighted=True)
    rows = Normals(weighted=True).rows("test")
    expected = roc_auc_score(rows.target[:, 0], rows.truth["first"], sample_weight=rows.weight)
    assert found["auc"].value == pytest.approx(expected, abs=1e-6)
    assert np.sum(evaluation.curves["confusion"]) == pytest.approx(rows.weight.sum())


def test_rejection_without_any_background_kept_is_what_the_rows_can_show():
    scored = np.stack([[0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]], axis=1)
    assert tagging.rejection(scored, efficiency=0.5) == 2


def test_observables_of_several_classes_are_refused():
    with pytest.raises(ValueError, match="one of two classes, given 3"):
        evaluation_settings({"kind": "tagging", "classes": ["q", "g", "t"], "observables": ["mass"]})


def test_direction_of_an_observable_is_chosen_on_the_validation_split():
    data = Normals()
    upside_down = data.rows("test")
    upside_down.target[:] = 1 - upside_down.target
    score = tagging_baselines.observable(data.rows("validation"), upside_down, "first")
    assert roc_auc_score(upside_down.target[:, 0], score[:, 1]) < 0.5


def test_bit_operations_stand_beside_the_area():
    """Of a network in fixed point and its variants, with a curve from few to many."""

    class Chip(SimpleNamespace):
        dense = ()

        def __call__(self, x):
            return exact(x)

    def run(cost):
        data = SimpleNamespace(dataset=lambda **more: Normals(), parameters={})
        recipe = SimpleNamespace(name="toy", config={"beta": cost}, data=data)
        return Run(recipe, 0, lambda: Chip(ebops=lambda: np.float32(cost)), {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]})

    evaluation = evaluation_settings(TWO).judge({"": [run(300), run(310)], "fewer": [run(100)]})
    metrics = {metric.name: metric for metric in evaluation.metrics}
    assert (metrics["ebops"].value, metrics["ebops"].seeds, metrics["fewer/ebops"].value) == (300, 2, 100)
    assert evaluation.curves["ebops"]["ebops"] == [100, 300]
    assert evaluation.curves["ebops"]["auc"] == [metrics["fewer/auc"].value, metrics["auc"].value]
    assert "auc_against_ebops" in evaluation.figures
