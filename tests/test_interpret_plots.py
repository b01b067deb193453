"""Figures hold what they claim and can be written without a display."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from zoo.data.observation import Observation
from zoo.errors import InputError
from zoo.interpret import Explanation, plots, reliability
from zoo.interpret.latents.information import MutualInformation
from zoo.interpret.latents.traversal import Traversal
from zoo.model.axes import Axis, Coordinates

RNG = np.random.default_rng(0)


def drawn(figure: Figure) -> str:
    """All text of a figure, once it has been written as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    assert buffer.tell() > 5000
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))


GROUPS = {"low": (0, 5), "middle": (5, 8), "high": (8, 12)}
AT = [*range(10, 60, 10), *range(10, 40, 10), *range(20, 60, 10)]
BANDS = Axis(name="wavenumber", size=12, coordinates=Coordinates(values=AT, unit="h/Mpc"), groups=GROUPS)
"""An axis of another domain: three groups that lie along wavenumbers."""


def explanation(rows: int = 1, width: int = 12, **changes) -> Explanation:
    values = RNG.normal(size=(rows, width)).astype(np.float32)
    known = {"method": "integrated_gradients", "endpoint": "predict", "tensor": "power", "output": "logits", "target": 0}
    known |= {"baseline": np.zeros_like(values), "baseline_answer": np.zeros(rows, np.float32)}
    known |= {"meta": {"model": "tiny", "unit": "muK^2"}, "axes": [BANDS] if width == 12 else []}
    return Explanation(values, values, values.sum(axis=1), **known | changes)


def test_attribution_over_an_axis_with_groups():
    found = explanation()
    figure = found.plot()
    assert len(figure.axes) == 3
    high = figure.axes[2]
    heights = [bar.get_height() for bar in high.patches]
    centers = [bar.get_x() + bar.get_width() / 2 for bar in high.patches]
    np.testing.assert_allclose(heights, found.values[0, 8:12], rtol=1e-5)
    np.testing.assert_allclose(centers, AT[8:12], rtol=1e-5)
    text = drawn(figure)
    assert "contribution to logit" in text
    assert "completeness error" in text
    assert f"high   sum {found.values[0, 8:12].sum():+.3g}" in text
    assert "wavenumber [h/Mpc]" in text


def test_attribution_of_many_rows_is_mean_and_band():
    found = explanation(rows=50, method="gradient", baseline=None, baseline_answer=None)
    figure = plots.attribution_over_axis(found)
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), found.values[:, :5].mean(axis=0), rtol=1e-5)
    text = drawn(figure)
    assert "gradient of logit per" in text
    assert "completeness" not in text


@pytest.mark.parametrize("rows", [1, 8])
def test_attribution_over_elements(rows):
    found = explanation(rows=rows, width=50, tensor="trajectory", output="displacement", meta={"unit": "m"})
    text = drawn(found.plot())
    assert "trajectory [m]" in text
    assert "contribution to displacement" in text
    assert "element" in text.splitlines()  # nothing is known of the axis
    seconds = Axis(name="time_step", size=50, coordinates=Coordinates(values=np.linspace(0, 5, 50).tolist(), unit="s"))
    timed = explanation(rows=rows, width=50, tensor="trajectory", output="displacement", axes=[seconds])
    figure = timed.plot()
    assert "time step [s]" in drawn(figure)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_xdata(), np.linspace(0, 5, 50))
    particles = RNG.normal(size=(2, 4, 3)).astype(np.float32)
    with pytest.raises(InputError, match="to draw a curve"):
        plots.attribution_over_axis(Explanation(particles, particles, np.zeros(2), "gradient", "predict", "set", "mass", 0))


@pytest.mark.parametrize("rows", [1, 8])
def test_attribution_over_a_cube(rows):
    """Contributions add up over shells; ``test_a_figure_of_a_cube_sums_contributions_and_averages_derivatives`` for others."""
    values = np.random.default_rng(0).normal(size=(rows, 6, 6, 6))
    found = Explanation(values, values, np.zeros(rows), "occlusion", "predict", "density", "log_mass", 0, meta={"unit": "1"})
    figure = found.plot()
    text = drawn(figure)
    assert "density" in text
    assert "[1]" not in text
    assert "contribution to log_mass" in text
    shells = figure.axes[2].lines[1].get_ydata()
    assert shells.sum() == pytest.approx(values.sum() / rows)
    assert shells[0] == pytest.approx(values[:, 3, 3, 3].mean())
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), values[0, 3].T)


def test_labels_of_elements_are_ticks():
    labels = ["H0", "ombh2", "omch2"]
    axis = Axis(name="parameter", size=3, labels=labels, units=["km/s/Mpc", "1", "1"])
    figure = explanation(rows=5, width=3, tensor="theta", axes=[axis]).plot()
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["H0 km/s/Mpc", "ombh2", "omch2"]
    found = explanation(width=3, tensor="theta", axes=[axis])
    first = found.plot().axes[0].get_xticklabels()[0].get_text()
    assert first == f"H0\n{found.inputs[0, 0]:.4g} km/s/Mpc"
    drawn(figure)


def test_attribution_over_a_map_of_two_axes():
    """Particles and their features are neither an image nor a curve."""
    values = RNG.normal(size=(2, 6, 3)).astype(np.float32)
    axes = [Axis(name="particle", least=1, most=9), Axis(name="feature", size=3, labels=["pt", "eta", "phi"])]
    found = Explanation(values, values, np.zeros(2), "occlusion", "predict", "jet", "logits", 0, meta={"unit": "1"}, axes=axes)
    figure = found.plot()
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), values[0])
    text = drawn(figure)
    assert all(word in text for word in ("particle", "feature", "eta", "contribution to logit"))


def test_a_cube_with_coordinates_is_drawn_in_their_unit():
    cells = Coordinates(values=[0.5 * number - 1.5 for number in range(6)], unit="Mpc/h")
    values = RNG.normal(size=(1, 6, 6, 6))
    axes = [Axis(name=name, size=6, coordinates=cells) for name in "xyz"]
    found = Explanation(values, values, np.zeros(1), "occlusion", "predict", "density", "log_mass", 0, axes=axes)
    figure = found.plot()
    text = drawn(figure)
    assert all(word in text for word in ("y [Mpc/h]", "z [Mpc/h]", "distance from the middle [Mpc/h]", "slices at x = 0 "))
    np.testing.assert_allclose(figure.axes[0].images[0].get_extent(), [-1.75, 1.25, -1.75, 1.25])
    np.testing.assert_allclose(figure.axes[2].lines[-1].get_xdata()[:3], [0, 0.5, 1.0])


def test_attribution_beside_an_observation():
    """Data over their reference, pulls and contributions, a column for each group."""
    found = explanation()
    error, reference = np.full((1, 12), 2.0), found.inputs - 6.0
    observation = Observation(
        inputs={"power": found.inputs},
        label="sky",
        description="a sky",
        error={"power": error},
        reference={"power": reference},
        reference_name="best fit",
    )
    figure = plots.attribution_over_observation(found, observation)
    assert len(figure.axes) == 9
    np.testing.assert_allclose(figure.axes[3].lines[0].get_ydata(), 3, rtol=1e-5)
    text = drawn(figure)
    assert all(word in text for word in ("a sky", "best fit", "middle", "wavenumber [h/Mpc]", "contribution to logit"))
    with pytest.raises(InputError, match="error of power: expected 12 numbers"):
        plots.attribution_over_observation(found, replace(observation, error={"power": error[:, :3]}))


def test_classification_figures():
    probability = RNG.uniform(size=500)
    label = RNG.uniform(size=500) < probability
    assert "perfect calibration" in drawn(plots.reliability_diagram(reliability(probability, label)))
    assert "mlp" in drawn(plots.roc({"mlp": (np.array([0, 0.1, 1]), np.array([0, 0.9, 1]))}))
    text = drawn(plots.confusion(np.array([[90, 10], [300, 700]]), ["LambdaCDM", "feature"]))
    assert "30.0%\n300" in text
    assert "predicted" in text


def test_learning_curves_without_validation_and_with():
    history = {"loss": [1.0, 0.1, 0.01], "val_loss": [1.0, 0.2, 0.1], "accuracy": [0.5, 0.6, 0.7], "learning_rate": [1, 1, 1]}
    figure = plots.learning_curves(history)
    assert len(figure.axes) == 2
    assert [ax.get_yscale() for ax in figure.axes] == ["log", "linear"]
    assert "validation" in drawn(figure)


def test_recall_against_difficulty():
    curve = {"at": [-3.0, -2.0], "recall": [0.4, 0.9], "low": [0.3, 0.85], "high": [0.5, 0.95]}
    published = {"noise-free/recall at log10_amplitude -3": 0.99, "auc": 0.5}
    figure = plots.recall_against_difficulty({"with noise": curve, "without": curve}, "log10_amplitude", published)
    (star,) = [line for line in figure.axes[0].lines if line.get_label() == "published"]
    assert (list(star.get_xdata()), list(star.get_ydata())) == ([-3.0], [0.99])
    assert "amplitude" in drawn(figure)


def test_every_curve_is_drawn_however_many():
    curve = {"at": [-3.0, -2.0], "recall": [0.4, 0.9], "low": [0.3, 0.85], "high": [0.5, 0.95]}
    names = [f"variant {i}" for i in range(12)]
    text = drawn(plots.recall_against_difficulty(dict.fromkeys(names, curve), "log10_amplitude"))
    assert all(name in text.splitlines() for name in names)


def test_latent_figures():
    grid, time = np.linspace(-1, 1, 5), np.linspace(0, 1, 20)[:, None]
    moved = np.stack([np.outer(grid, np.ones(20)), np.zeros((5, 20))])[..., None]
    found = Traversal(np.array([0, 2]), grid, time, moved, "time [s]", "displacement [m]")
    text = drawn(plots.latent_traversal(found))
    assert "latent 2: dead" in text
    assert "latent 0: changes of up to 2" in text
    with pytest.raises(InputError, match="to draw curves"):
        plots.latent_traversal(Traversal(np.array([0]), grid, None, moved[:1, :, 0]))
    mean, truth = RNG.normal(size=(100, 3)), {"b": RNG.uniform(size=100), "kappa": RNG.uniform(size=100)}
    text = drawn(plots.latents_against_parameters(mean, truth, np.array([0.9, 2.0, 0.001])))
    assert "KL 0.00 nat, dead" in text
    assert text.count("dead") == 1


def test_traversal_of_a_profile():
    """A band of one deviation around the outer and the middle curve; untrained radii are gray, and the axis is logarithmic."""
    radius, grid = np.geomspace(0.1, 5, 30), np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    curves = (grid[:, None] - 2 * np.log10(radius))[None, ..., None]
    deviations, trained = np.full(curves.shape, 0.25), np.array([[0.2], [3.0]])
    found = Traversal(np.array([1]), grid, radius[:, None], curves, "radius [R200m]", "log_density", deviations, trained)
    figure = plots.latent_traversal(found)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert len(ax.lines) == 5
    assert len(ax.collections) == 3
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(-1 + 2 + 0.25)
    spans = sorted((patch.get_x(), patch.get_x() + patch.get_width()) for patch in ax.patches)
    np.testing.assert_allclose(spans, [(0.1, 0.2), (3.0, 5.0)])
    assert "extrapolated" in drawn(figure)
    inside = Traversal(found.latents, grid, radius[10:20, None], curves[:, :, 10:20], trained=trained)
    assert "extrapolated" not in drawn(plots.latent_traversal(inside))
    assert not plots.latent_traversal(inside).axes[0].collections


@pytest.mark.parametrize("channels", [1, 3])
def test_traversal_of_images(channels):
    images = np.full((2, 3, 8, 10, channels), 0.5)
    images[0, :, 2, 4] = np.array([0.0, 0.4, 1.0])[:, None]
    figure = plots.latent_traversal(Traversal(np.array([0, 4]), np.array([-2.0, 0.0, 2.0]), None, images))
    (ax,) = figure.axes
    mosaic = ax.images[0].get_array()
    assert mosaic.shape == (8 * 2 + 2, 10 * 3 + 4, 3)
    np.testing.assert_allclose(mosaic[2, [4, 16, 28]], np.array([0.0, 0.4, 1.0])[:, None].repeat(3, axis=1))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["latent 0", "latent 4, dead"]
    assert "-2.00 to 2.00" in ax.get_title()


def test_information_along_a_query():
    radius, values = np.geomspace(0.2, 3, 4), np.array([[1.0, 0.8, 0.2, 0.1], [0.0, 0.1, 0.6, 0.7]])
    figure = plots.information_along_query(radius, values, 0.1 + 0 * values, "r / R200m", 1.0)
    text = drawn(figure)
    assert "latent 1" in text
    assert "r / R200m" in text
    assert figure.axes[0].get_ylim()[0] == pytest.approx(-0.1)
    assert plots.information_along_query(np.arange(4.0), values, values, "t [s]").axes[0].get_xscale() == "linear"
    with pytest.raises(InputError, match="a name each"):
        plots.information_along_query(radius[:3], values, values, "r")
    with pytest.raises(InputError, match="1 names"):
        plots.information_along_query(radius, values, values, "r", names=["one"])


def test_information_heat_map():
    pairs = [("latent 0", "b"), ("latent 0", "kappa"), ("latent 1", "b"), ("latent 1", "kappa")]
    information = {pair: MutualInformation(i / 2, 0.01, 1) for i, pair in enumerate(pairs)}
    figure = plots.information_heat_map(information)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0, 0.5], [1, 1.5]])
    assert "1.50\n$\\pm$ 0.01" in drawn(figure)
    small = {("latent 0", "b"): MutualInformation(-0.001, 3e-4), ("latent 0", "kappa"): MutualInformation(2.0, 0.023)}
    text = drawn(plots.information_heat_map(small))
    assert "\n0.00\n$\\pm$ 0.01" in "\n" + text
    assert "2.00\n$\\pm$ 0.03" in text


def test_the_users_settings_are_left_alone():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    plots.roc({"mlp": (np.array([0, 1]), np.array([0, 1]))})
    assert dict(mpl.rcParams) == before
