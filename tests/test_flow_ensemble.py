"""Ensembles of flows: mixtures in equal parts, in Keras, as graphs, in draws, and trained and judged as one."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from quick_training import eagerly
from scipy.special import logsumexp
from scipy.stats import norm
from test_flows_export import described
from tiny_flows import build, without_xla

import zoo
from zoo.data.observation import Observation
from zoo.data.sbi import Prior
from zoo.families.contracts import Density, Generates, Predictive, any_range
from zoo.families.flows.flow_ensemble import FlowEnsemble
from zoo.interpret.posteriors.infer import infer
from zoo.serving import Session
from zoo.training.fit import fit
from zoo.training.members import in_members
from zoo.training.npe_recipe import FAMILIES, npe_recipe
from zoo.training.recipe import RecipeError, load_recipe
from zoo.workflows.ensemble import ensemble as build_ensemble
from zoo.workflows.folder import write_model_folder

CENTERS = np.array([-40.0, 0.0, 40.0])


@functools.cache
def apart() -> tuple[FlowEnsemble, np.ndarray]:
    """Three flows with random weights, far enough from each other that a draw tells whose it is; and contexts."""
    model = FlowEnsemble("maf", {"dimensions": 2, "context": 2, "transforms": 1, "hidden": [6]}, 3)
    for i, member in enumerate(model.members):
        flow, x, c = build("maf", "conditional", dimensions=2, transforms=1, hidden=[6], spread=0.3, seed=i)
        member.set_weights(flow.get_weights())
        member.adapt({"x": x + CENTERS[i], "c": c}, None)
    return model, c


def whose(draws: np.ndarray) -> np.ndarray:
    return np.abs(draws[..., :1] - CENTERS).argmin(axis=-1)


def test_it_is_a_density_that_generates():
    model, _ = apart()
    assert isinstance(model, Density)
    assert isinstance(model, Generates)
    assert (model.dimensions, model.context) == (2, 2)
    with pytest.raises(ValueError, match="logistic is none"):
        FlowEnsemble("logistic", {"inputs": 2}, 2)


def test_a_context_beyond_the_trained_range_is_refused_or_let_through_as_of_one_flow():
    model, c = apart()
    wide = {method: any_range(getattr(model, method)) for method in ("draw", "log_density")}
    assert all(one == {"allow_out_of_range": True} for one in wide.values())
    x = model.draw(1, c, **wide["draw"])[:, 0]
    np.testing.assert_array_equal(model.log_density(x, c, **wide["log_density"]), model.log_density(x, c))


def test_the_last_number_of_the_noise_picks_the_member_by_its_quantile():
    model, c = apart()
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.standard_normal((64, 2)), norm.ppf((np.arange(64)[:, None] + 0.5) / 64)], axis=1).astype(np.float32)
    x = np.asarray(model.sample(z, c))
    member = (np.arange(64) + 0.5) * 3 // 64
    np.testing.assert_array_equal(whose(x), member)
    for i, flow in enumerate(model.members):
        np.testing.assert_allclose(x[member == i], np.asarray(flow.sample(z[:, :2], c))[member == i], rtol=1e-6)


def test_draws_are_of_members_in_equal_parts_and_independent_between_contexts():
    model, c = apart()
    drawn = model.draw(3000, c[:2], seed=1)
    assert drawn.shape == (2, 3000, 2)
    counts = [np.bincount(whose(row), minlength=3) for row in drawn]
    assert np.all(np.abs(np.array(counts) - 1000) < 4 * np.sqrt(3000 * 2 / 9))
    assert np.mean(whose(drawn[0]) == whose(drawn[1])) == pytest.approx(1 / 3, abs=0.05)
    assert model.draw(5, c[0]).shape == (5, 2)
    np.testing.assert_array_equal(model.draw(5, c[0], seed=3), model.draw(5, c[0], seed=3))
    one = model.members[0].draw(3000, c[0], seed=2)
    np.testing.assert_allclose(drawn[0][whose(drawn[0]) == 0].mean(axis=0), one.mean(axis=0), atol=5 * one.std() / 30)


def test_log_density_is_that_of_the_mixture():
    model, c = apart()
    x = model.draw(20, c[0])
    each = np.stack([flow.log_density(x, c[0]) for flow in model.members]).astype(float)
    expected = logsumexp(each, axis=0) - np.log(3)
    np.testing.assert_allclose(model.log_density(x, c[0]), expected, rtol=1e-5)
    np.testing.assert_allclose(np.asarray(model.log_prob(x, np.tile(c[:1], (20, 1)))), expected, rtol=1e-5, atol=1e-6)


def test_draws_are_what_the_endpoint_makes_of_the_same_noise():
    model, c = apart()
    z = np.random.default_rng(5).standard_normal((100, 3), dtype=np.float32)
    expected = np.asarray(model.sample(z, np.repeat(c[:2], 50, axis=0)))
    np.testing.assert_allclose(model.draw(50, c[:2], seed=5).reshape(100, 2), expected, rtol=1e-5, atol=1e-5)


def test_predictions_of_one_variable_are_those_of_the_mixture():
    model = FlowEnsemble("maf", {"dimensions": 1, "context": 2, "transforms": 1, "hidden": [6]}, 2)
    for i, member in enumerate(model.members):
        flow, x, c = build("maf", "conditional", dimensions=1, transforms=1, hidden=[6], spread=0.5, seed=i)
        member.set_weights(flow.get_weights())
        member.adapt({"x": x + i, "c": c}, None)
    assert isinstance(model, Predictive)
    inputs = {"x": x + 0.5, "c": c}
    found, each = model.predictive(inputs, x), [member.predictive(inputs, x) for member in model.members]
    np.testing.assert_allclose(found.probability, np.mean([one.probability for one in each], axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.log_density, logsumexp([one.log_density for one in each], axis=0) - np.log(2), atol=1e-5)
    at_median = model.predictive({"x": found.location[:, None], "c": c}, x).probability
    np.testing.assert_allclose(at_median, 0.5, atol=1e-4)


def test_a_mixture_given_sets_has_the_features_of_all_members():
    config = {"dimensions": 2, "context": [None, 2], "transforms": 1, "hidden": [6]}
    model = FlowEnsemble("maf", config | {"embedding": {"kind": "mean-pooled", "units": [5, 3]}}, 2)
    rng = np.random.default_rng(0)
    for member in model.members:
        for weight in member.trainable_weights:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    sets = [rng.normal(size=(length, 2)) for length in (1, 4)]
    np.testing.assert_array_equal(model.embedded(sets), np.hstack([member.embedded(sets) for member in model.members]))
    drawn = model.draw(30, sets, seed=1)
    assert drawn.shape == (2, 30, 2)
    z = np.random.default_rng(1).standard_normal((60, 3), dtype=np.float32)[30:]
    expected = np.asarray(model.sample(z, np.repeat(sets[1][None], 30, axis=0), np.ones((30, 4), bool)))
    np.testing.assert_allclose(drawn[1], expected, atol=1e-5)
    each = [member.log_density(drawn[1], sets[1]) for member in model.members]
    np.testing.assert_allclose(model.log_density(drawn[1], sets[1]), logsumexp(each, axis=0) - np.log(2), atol=1e-5)


@pytest.mark.slow
def test_folders_of_flows_are_joined_and_served_with_both_endpoints(tmp_path):
    for seed in (0, 1):
        flow, inputs = described("maf", "conditional", seed=seed, transforms=1)
        given = {name: tuple(tensors.values()) for name, tensors in inputs.items()}
        write_model_folder(flow, flow.spec, tmp_path / f"m{seed}", given, prose="# Tiny\n")
    build_ensemble([tmp_path / "m0", tmp_path / "m1"], folder=tmp_path / "both")
    model = zoo.load(tmp_path / "both")
    assert (model.spec.family, model.spec.endpoint("sample").inputs[0].fixed_shape) == ("flow-ensemble", [4])
    z = np.random.default_rng(0).standard_normal((40, 4), dtype=np.float32)
    x = np.tile(np.float32([[2.0, 3.0]]), (40, 1))
    session = Session(tmp_path / "both")
    np.testing.assert_allclose(session.run({"z": z, "x": x}, "sample")["theta"], np.asarray(model.sample(z, x)), atol=1e-4)
    observation = Observation({"x": x[:1]}, "it", "an observation")
    report = infer(model.spec, lambda inputs: session.run(inputs, "sample"), observation, tmp_path, draws=3000)
    drawn = model.draw(3000, x[0])
    for i, parameter in enumerate(report.parameters):
        assert parameter.mean == pytest.approx(drawn[:, i].mean(), abs=0.15 * float(drawn[:, i].std()))
        assert parameter.std == pytest.approx(drawn[:, i].std(), rel=0.15)


@pytest.fixture
def recipe():
    changes = {"data.parameters.simulations": 150, "data.parameters.test": 60, "epochs": 2, "batch_size": 64, "seeds": [1]}
    changes |= {"config.hidden": [8], "config.transforms": 1, "config.bins": 4, "config.autoregressive": False}
    return load_recipe("nsf-sbi-two-moons").changed(changes)


def test_a_recipe_trains_members_of_their_own_seeds_and_goes_on_where_it_was_killed(recipe, tmp_path):
    joined = in_members(recipe, 2)
    assert joined.family == "flow-ensemble"
    assert joined.endpoints["sample"].inputs[0].fixed_shape == [3]
    with eagerly():
        model, history = fit(joined, tmp_path / "both")
        alone = [fit(recipe, tmp_path / f"seed-{seed}", seed) for seed in (2, 3)]  # those of ensemble 1 of two members
        for member, (flow, _) in zip(model.members, alone, strict=True):
            for a, b in zip(member.get_weights(), flow.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
        assert history["val_loss"] == pytest.approx(np.mean([own["val_loss"] for _, own in alone], axis=0))
        again, same = fit(joined, tmp_path / "both")  # which for finished members means: reads them
    assert same == history
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("family", FAMILIES)
def test_npe_has_members_of_every_family(family):
    prior = Prior({"a": {"distribution": "uniform", "low": 0, "high": 1}, "b": {"distribution": "normal", "mean": 0, "sd": 1}})
    data = {"source": "simulations", "parameters": {"file": "a.npz"}}
    changes = {"config.hidden": [8]} | ({"config.transforms": 1} if family != "flow-matching" else {"config.steps": 2})
    alone, both = (npe_recipe("a", prior, data, 1000, 3, family=family, members=n, changes=changes) for n in (1, 2))
    assert both.config == {"member": family, "config": alone.config, "count": 2}
    mixture = both.untrained()
    assert mixture.config == both.config
    assert mixture.draw(4, np.zeros(3)).shape == (4, 2)


def test_what_is_no_ensemble_of_flows_is_refused(recipe):
    assert in_members(recipe, 1) is recipe
    with pytest.raises(RecipeError, match="at least 1"):
        in_members(recipe, 0)
    with pytest.raises(RecipeError, match="family of flows, given mlp"):
        in_members(load_recipe("mlp-cmb-emulator"), 3)


@pytest.mark.slow
def test_a_mixture_of_flow_matching_is_trained_judged_and_served_on_scales_of_double_precision(tmp_path):
    """A period of which single precision knows five values."""
    prior = {"period": {"distribution": "normal", "mean": 3.52474859, "sd": 3.8e-7, "unit": "d"}}
    changes = {"config.hidden": [16, 16], "config.steps": 8, "epochs": 30, "batch_size": 64, "test_rows": 4}
    with without_xla():
        flow = zoo.train_npe(
            lambda theta, rng: (theta - 3.52474859) / 3.8e-7 + rng.normal(0, 0.5, 1),
            prior, 1000, folder=tmp_path / "period", test=100, jobs=1, family="flow-matching", members=2, changes=changes,
        )  # fmt: skip
    found = {metric.name: metric for metric in flow.spec.metrics}
    assert found["log_prob"].value > found["log_prob"].baseline + 0.4
    drawn = flow.draw(2000, [1.0])
    assert len(np.unique(drawn)) > 1900
    assert (drawn.mean() - 3.52474859) / 3.8e-7 == pytest.approx(0.8, abs=0.15)
    assert drawn.std() / 3.8e-7 == pytest.approx(0.2**0.5, rel=0.2)
    z = np.random.default_rng(0).standard_normal((500, 2), dtype=np.float32)
    served = Session(tmp_path / "period").run({"z": z, "x": np.ones((500, 1))}, "sample")["theta"]
    np.testing.assert_allclose(served, np.asarray(flow.sample(z, np.ones((500, 1)))), atol=1e-9, rtol=0)
