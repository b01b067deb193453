"""What explains networks on clouds: particles that are taken away, filters of directions, attention of a class token."""

from __future__ import annotations

import numpy as np
import pytest
from cloud_models import clouds, released, seen_by
from matplotlib.backends.backend_agg import FigureCanvasAgg

import zoo
from zoo.errors import ExplanationError, InputError
from zoo.interpret import plots
from zoo.interpret.attribution.clouds import filters
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.methods import Asked, default_attribution, method_named, possible
from zoo.interpret.trust.deletion import deletion_insertion
from zoo.interpret.trust.randomization import randomization_check
from zoo.interpret.trust.rank_agreement import rank_correlation


@pytest.fixture(scope="module")
def models():
    return {name: released(name) for name in ("efn", "pfn-id", "particle-transformer")}


@pytest.fixture(scope="module")
def jets():
    return clouds(6, particles=9, seed=2, least=2)


def logit(model, inputs):
    return np.asarray(model.logits(*inputs.values()))[:, 0]


@pytest.mark.parametrize("name", ["efn", "pfn-id"])
def test_occlusion_takes_each_particle_away(models, jets, name):
    model, inputs = models[name], seen_by(name, jets)
    assert default_attribution(model) == "occlusion"
    found = zoo.explain(model, inputs, method="occlusion")
    np.testing.assert_allclose(found.answer, logit(model, inputs), rtol=1e-6)
    for place in range(9):
        without = inputs | {"real": inputs["real"] & (np.arange(9) != place)}
        expected = np.where(inputs["real"][:, place], found.answer - logit(model, without), 0)
        np.testing.assert_allclose(found.values[:, place].sum(axis=-1), expected, atol=2e-6)
    assert not found.values[~inputs["real"]].any()
    np.testing.assert_allclose(found.baseline_answer, logit(model, inputs | {"real": inputs["real"] & False}), rtol=1e-6)


@pytest.mark.slow
def test_shapley_values_of_particles_add_up_from_the_jet_without_any(models, jets):
    pytest.importorskip("shap")
    inputs = seen_by("efn", {name: array[:2] for name, array in jets.items()})
    found = zoo.explain(models["efn"], inputs, method="shap", samples=2)
    assert found.completeness_error.max() < 1e-5
    assert not np.abs(found.values[~inputs["real"]]).max() > 1e-6
    agreement = method_named("agreement").function(Asked(models["efn"], inputs))
    assert "occlusion" in agreement.methods
    assert "integrated_gradients" not in agreement.methods


def test_a_path_from_nothing_is_refused_and_from_a_baseline_taken(models, jets):
    inputs = seen_by("efn", jets)
    with pytest.raises(InputError, match="its particles would be others: give baseline, or take occlusion or shap"):
        zoo.explain(models["efn"], inputs)
    near = inputs["particles"] * np.float32([0.7, 1.1, 1.0])
    other = zoo.explain(models["efn"], inputs, baseline=near, steps=100)
    assert other.completeness_error.max() < 0.02 * np.abs(other.answer - other.baseline_answer).max()
    gradient = zoo.explain(models["efn"], inputs, method="gradient")
    assert not gradient.values[~inputs["real"]].any()
    assert "integrated_gradients" not in possible(models["efn"])


def test_deletion_ends_without_particles_and_finds_what_matters(models, jets):
    model, inputs = models["pfn-id"], seen_by("pfn-id", jets)
    found = deletion_insertion(model, zoo.explain(model, inputs, method="occlusion"), orders=3)
    whole, nothing = logit(model, inputs), logit(model, inputs | {"real": inputs["real"] & False})
    for curve, (first, last) in {
        "deletion": (whole, nothing),
        "insertion": (nothing, whole),
        "random": (whole, nothing),
    }.items():
        np.testing.assert_allclose(getattr(found, curve)[:, 0], first, rtol=1e-5)
        np.testing.assert_allclose(getattr(found, curve)[:, -1], last, rtol=1e-5)
    random = found.direction * np.trapezoid(found.random - found.deletion, found.share, axis=1)
    assert random.mean() > 0
    assert found.area.mean() > 0
    jet = {name: array[:1] for name, array in inputs.items()}
    values = np.zeros_like(jet["particles"])
    values[0, :, 0] = -np.arange(9)  # all evidence is against, and padding has none of it
    count = int(jet["real"].sum())
    told = Explanation(
        values=values * np.sign(whole[0] - nothing[0]),
        inputs=jet["particles"],
        answer=whole[:1],
        method="given",
        endpoint="predict",
        tensor="particles",
        output="logits",
        target=0,
        fixed={key: array for key, array in jet.items() if key != "particles"},
    )
    curve = deletion_insertion(model, told, orders=1).deletion[0]
    kept = np.arange(9) >= 1
    np.testing.assert_allclose(curve[1], logit(model, jet | {"real": jet["real"] & kept})[0], rtol=1e-5)
    assert len(curve) == count + 1
    empty = zoo.explain(model, inputs | {"real": inputs["real"] & (np.arange(6) > 0)[:, None]}, method="occlusion")
    with pytest.raises(InputError, match="an element in each set"):
        deletion_insertion(model, empty)


def test_ranks_are_of_real_particles_alone(models, jets):
    a, b = np.random.default_rng(0).normal(size=(2, 3, 9, 3))
    real = np.arange(9) < np.array([2, 5, 9])[:, None]
    found = rank_correlation(a, b, real)
    for row in range(3):
        assert found[row] == rank_correlation(a[row : row + 1, real[row]], b[row : row + 1, real[row]])[0]
    inputs = {name: array[:2] for name, array in seen_by("efn", jets).items()}
    checked = randomization_check(models["efn"], inputs, method="occlusion", draws=1)
    assert np.nanmax(np.abs(checked.correlation)) <= 1


def test_filters_are_what_the_network_of_a_particle_gives(models):
    found = filters(models["efn"], extent=0.8)
    assert found.values.shape == (101, 101, 6)
    at = np.array([[found.y[10], found.phi[70]]])
    np.testing.assert_allclose(found.values[10, 70], np.asarray(models["efn"].filters(at))[0], rtol=1e-5, atol=1e-6)
    found.plot()
    with pytest.raises(ExplanationError, match="needs the endpoint filters, which DeepSets has not"):
        filters(models["pfn-id"])
    with pytest.raises(InputError, match="positive distance"):
        filters(models["efn"], extent=-1)


def test_attention_of_the_class_token_is_shared_by_particles_and_itself(models, jets, tmp_path):
    inputs = seen_by("particle-transformer", jets)
    found = method_named("attention").function(Asked(models["particle-transformer"], inputs))
    assert found.values.shape == (6, 9, 1, 2)
    assert not found.values[~inputs["real"]].any()
    total = found.values.sum(axis=1)
    assert (total > 0).all()
    assert (total < 1).all()
    found.plot()
    with np.load(found.save(tmp_path / "attention.npz")) as stored:
        np.testing.assert_array_equal(stored["values"], found.values)


@pytest.mark.parametrize("method", ["occlusion", "gradient"])
def test_contributions_are_drawn_at_the_particles(models, jets, method):
    found = zoo.explain(models["pfn-id"], jets, method=method)
    figure = found.plot()
    panels = [ax for ax in figure.axes if ax.collections and ax.get_title("left")]
    assert len(panels) == 6
    for row, ax in enumerate(panels):
        (drawn,) = ax.collections
        assert len(drawn.get_offsets()) == jets["real"][row].sum()
        values = found.values[row].sum(axis=-1) if method == "occlusion" else found.values[row, :, 0]
        assert sorted(drawn.get_array()) == pytest.approx(sorted(values[jets["real"][row]]))
    single = zoo.explain(models["pfn-id"], {name: array[:1] for name, array in jets.items()}, method=method).plot()
    FigureCanvasAgg(single).draw()
    title = single._suptitle.get_window_extent()
    assert 0 <= title.x0 < title.x1 <= single.bbox.width
    empty = zoo.explain(models["pfn-id"], jets | {"real": jets["real"] & False}, method="gradient")
    with pytest.raises(InputError, match="a jet with particles"):
        plots.attribution_over_cloud(empty)
