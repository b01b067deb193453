"""One classifier for all masses: the family, the data set of hypotheses, and how it is judged."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import norm
from test_jets_dijets import EVENTS, events

from zoo.data.dataset import Rows
from zoo.data.jets import dijet_masses, dijets
from zoo.data.jets.dijet_masses import DijetMasses
from zoo.data.jets.dijets import UNITS
from zoo.errors import InputError
from zoo.families.mlp import MLP
from zoo.families.parameterized_mlp import ParameterizedMLP
from zoo.testing import check_dataset
from zoo.training.evaluate import Run
from zoo.training.evaluations import evaluation_settings, parameterized
from zoo.training.recipe import RecipeError, load_recipe


@pytest.fixture
def made(monkeypatch):
    """Jets of any seed without a simulation, and no particles to take features of; the masses whose files were asked for."""
    asked = []

    def load(folder, config, seeds, on_missing):
        asked.append((config.mass, list(seeds)))
        return [events(seed) for seed in seeds]

    def features(parts, name, radius, identity):
        return [np.random.default_rng(part.momentum.view(np.uint32)[0]).uniform(size=(len(part), 3)) for part in parts]

    monkeypatch.setattr(dijet_masses, "load_folder", load)
    monkeypatch.setattr(dijets, "features_of", features)
    return asked


def small(**changes):
    return DijetMasses(
        **{"masses": [1000, 2000], "test_masses": [1000, 1500, 2000], "train": 2, "events": EVENTS // 2, **changes}
    )


def test_it_is_a_data_set(made):
    check_dataset(small(), again=small)
    assert dict(made)[1500] == [1503]  # files of a split have one number at all masses


def test_background_has_the_hypotheses_of_the_signal_anew_each_epoch(made):
    dataset = small()
    rows, later = dataset.rows("train"), dataset.rows("train", 1)
    background = rows.target[:, 0] == 0
    assert background.sum() == 2 * 2 * EVENTS // 2
    mass = rows.inputs["mass"][:, 0]
    np.testing.assert_array_equal(mass, rows.truth["mass"])
    assert set(mass[background]) == set(mass[~background]) == {1000, 2000}
    assert abs(np.mean(mass[background] == 1000) - 0.5) < 0.2
    assert (later.inputs["mass"][~background] == rows.inputs["mass"][~background]).all()
    assert 0.3 < np.mean(later.inputs["mass"][background] == rows.inputs["mass"][background]) < 0.7
    np.testing.assert_array_equal(later.inputs["event"], rows.inputs["event"])


def test_every_test_background_event_has_every_hypothesis(made):
    rows = small().rows("test")
    background = rows.target[:, 0] == 0
    per_mass = [set(rows.group[background & (rows.truth["mass"] == mass)]) for mass in (1000, 1500, 2000)]
    assert len(per_mass[0]) == 3 * EVENTS // 2
    assert per_mass[0] == per_mass[1] == per_mass[2]
    signal = rows.group[~background]
    assert len(set(signal)) == len(signal) == 3 * EVENTS // 2
    m_jj = rows.inputs["event"][:, list(UNITS).index("m_jj")]
    np.testing.assert_allclose(m_jj, rows.truth["m_jj"], rtol=1e-6)


def test_parameters_choose_rows(made):
    alone = small(masses=[1500], background_masses=[1000, 2000])
    rows = alone.rows("train")
    assert set(rows.truth["mass"]) == {1500}
    assert {number // 10**8 for number in rows.group[rows.target[:, 0] == 0]} == {1000, 1001, 2000, 2001}
    assert list(small(hypothesis=False).rows("train").inputs) == ["event"]
    assert small().rows("train").weight is None
    weighted = small(weighted=True)
    rows = weighted.rows("train")
    np.testing.assert_array_equal(rows.weight, rows.truth["event_weight"])
    assert weighted.rows("test").weight is None


@pytest.mark.parametrize("masses", [[1000, 1003], [1000.5, 2000]])
def test_masses_that_share_seeds_are_refused(masses):
    with pytest.raises(InputError, match="at least 4 apart"):
        small(masses=masses, test_masses=masses)


def test_it_sees_elements_over_the_parameter():
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 5, (50, 3)).astype(np.float32)
    mass = rng.uniform(1, 4, (50, 1)).astype(np.float32)
    model = ParameterizedMLP(inputs=3, hidden=[4], over_parameter=[2, 0])
    plain = MLP(inputs=4, hidden=[4])
    seen = np.concatenate([x[:, :1] / mass, x[:, 1:2], x[:, 2:] / mass, mass], axis=1)
    model.adapt({"x": x, "mass": mass}, None)
    plain.adapt({"seen": seen}, None)
    for ours, other in zip(model.trainable_weights, plain.trainable_weights, strict=True):
        other.assign(ours)
    np.testing.assert_allclose(np.asarray(model((x, mass))), np.asarray(plain(seen)), rtol=1e-5)


@pytest.mark.parametrize("over", [[3], [-1], [0, 0]])
def test_elements_that_are_none_are_refused(over):
    with pytest.raises(ValueError, match="over_parameter"):
        ParameterizedMLP(inputs=3, hidden=[4], over_parameter=over)


SEPARATION = 1.5


class Toy:
    """Rows whose first number is normal about the parameter in signal and about zero in background."""

    description = simulator = "toy"
    seed = 0
    units = {"mass": "GeV"}

    def __init__(self, masses=(1.0, 3.0), n=4000):
        self.masses, self.n = masses, n

    def rows(self, split, epoch=0):
        masses = (1.0, 2.0, 3.0) if split == "test" else self.masses
        rng = np.random.default_rng(["train", "validation", "test"].index(split))
        mass = rng.choice(masses, self.n)
        label = np.arange(self.n) % 2
        x = rng.normal(SEPARATION * label * mass / 2, 1)[:, None].astype(np.float32)
        weight = np.where(x[:, 0] > 0, 2.0, 1.0)
        truth = {"mass": mass, "event_weight": weight}
        return Rows({"x": x, "mass": mass[:, None].astype(np.float32)}, label[:, None], np.arange(self.n), truth)


class Exact:
    """The monotone answer, and what trees are given."""

    def __call__(self, given):
        return np.asarray(1 / (1 + np.exp(-given[0])))

    def joined(self, x, mass):
        return np.concatenate([x, mass], axis=1)


def run(masses, data=None):
    toy = Toy(masses) if data is None else data
    recipe = SimpleNamespace(name="toy", data=SimpleNamespace(dataset=lambda: toy))
    return Run(recipe, 0, Exact, {"loss": [1.0], "val_loss": [1.0]})


@pytest.fixture(scope="module")
def judged():
    settings = evaluation_settings(
        {"kind": "parameterized", "classes": ["qcd", "X"], "parameter": "mass", "event_weight": "event_weight"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parameterized, "boosted_classifier", lambda data: np.tile(data.rows("test").inputs["joined"][:, :1], 2))
        everywhere = run((1.0, 3.0))
        return settings.judge({"": [everywhere, everywhere], "only-2": [run((2.0,))] * 2})


def test_areas_are_those_of_normal_distributions_at_each_value(judged):
    found = {metric.name: metric for metric in judged.metrics}
    for mass, name in ((1, "auc at 1 GeV"), (2, "auc at 2 GeV, unseen"), (3, "auc at 3 GeV")):
        area = norm.cdf(SEPARATION * mass / 2 / np.sqrt(2))
        low, high = found[name].interval
        assert low < area < high
        assert found[name].baseline == found[name].value  # trees that answer the same
    expected = np.mean([norm.cdf(SEPARATION * mass / 2 / np.sqrt(2)) for mass in (1, 3)])
    assert found["auc, mean of trained values"].value == pytest.approx(expected, abs=0.02)
    assert found["auc, mean of unseen values"].value == found["auc at 2 GeV, unseen"].value


def test_a_variant_of_one_value_is_judged_there(judged):
    names = [metric.name for metric in judged.metrics]
    assert [name for name in names if name.startswith("only-2/")] == ["only-2/auc at 2 GeV, unseen"]
    assert next(m for m in judged.metrics if m.name == "auc minus that of only-2 at 2 GeV, unseen").value == 0
    assert judged.curves["auc"]["trained at that value alone"]["at"] == [2.0]
    assert set(judged.figures) == {"auc", "learning_curves"}


def test_rejection_is_by_the_weight_of_events(judged):
    found = next(metric for metric in judged.metrics if metric.name == "rejection at 50% at 3 GeV")
    cut = (
        SEPARATION * 3 / 2
    )  # above zero, where events have twice the weight; so of half the background and of signal nearly all
    kept, below = 2 * norm.sf(cut), norm.cdf(0)
    low, high = found.interval
    assert low < (2 * (1 - below) + below) / kept < high


def test_variants_with_other_test_rows_are_refused():
    settings = evaluation_settings({"kind": "parameterized", "classes": ["a", "b"], "parameter": "mass", "trees": False})
    with pytest.raises(RecipeError, match="the test rows of the model itself"):
        settings.judge({"": [run((1.0, 3.0))], "other": [run(None, Toy((1.0, 3.0), n=100))]})


def test_the_recipe_tests_masses_that_it_does_not_train():
    parameters = load_recipe("mlp-resonance-parameterized").data.parameters
    unseen = set(parameters["test_masses"]) - set(parameters["masses"])
    assert unseen == {1250, 1750, 2750, 3250, 3750}
