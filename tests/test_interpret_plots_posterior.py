"""Figures of posteriors: what they show is what they were given."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import norm

from zoo.errors import InputError
from zoo.interpret.digits import to_two_digits
from zoo.interpret.plots import (
    corner_plot,
    coverage_curve,
    density_and_samples,
    predictive_plot,
    rank_histograms,
    typicality_curve,
)
from zoo.interpret.posteriors.coverage import Coverage, PredictiveCheck
from zoo.interpret.posteriors.typicality import typicality_calibration

RNG = np.random.default_rng(2)
SAMPLES = RNG.normal(size=(500, 3)) * [1.0, 2.0, 0.1] + [70.0, 0.0, 1.0]
NAMES = ["$H_0$", "b", "$n_s$"]


def shown(figure: Figure, tmp_path) -> int:
    """Save the figure; its size in bytes."""
    path = tmp_path / "figure.png"
    figure.savefig(path)
    return path.stat().st_size


def test_rank_histogram_counts_every_rank(tmp_path):
    ranks = RNG.integers(0, 100, size=(400, 5))
    ranks[:, 0] = 99
    figure = rank_histograms(ranks, 99, list("abcde"))
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert len(panels) == 5
    heights = [patch.get_data().values for patch in panels[0].patches][-1]
    np.testing.assert_allclose(heights, [0] * 19 + [20])
    for ax in panels:
        assert np.mean(ax.patches[-1].get_data().values) == pytest.approx(1)
    assert shown(figure, tmp_path) > 10_000


@pytest.mark.parametrize("draws", [1, 7, 19, 1000])
def test_rank_histogram_of_any_number_of_draws_is_flat_for_flat_ranks(draws):
    ranks = np.repeat(np.arange(draws + 1), 5)[:, None]
    heights = rank_histograms(ranks, draws, ["a"]).axes[0].patches[-1].get_data().values
    np.testing.assert_allclose(heights, 1)


def test_coverage_curves_with_their_numbers(tmp_path):
    levels = np.linspace(0, 1, 11)
    curve = Coverage(levels, levels**2, levels**2 - 0.02, levels**2 + 0.02, 0.25, 1e-4, 300)
    figure = coverage_curve({"flow": curve, "peer": curve})
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "flow: n = 300, KS 0.250, p = 0.0001" in texts
    lower = figure.axes[1].get_lines()[1]
    np.testing.assert_allclose(lower.get_ydata(), levels**2 - levels)
    assert shown(coverage_curve(curve), tmp_path) > 10_000


def test_corner_plot_overlays_sets_truth_and_constraints(tmp_path):
    figure = corner_plot(
        {"flow": SAMPLES, "NUTS": SAMPLES + 0.1},
        NAMES,
        units={"$H_0$": "km/s/Mpc", "b": "1"},
        truth=[70.0, 0.0, 1.0],
        constraints={"published": {"$H_0$": (69.0, 60.0, 78.0), "$n_s$": (1.0, 0.9, 1.1)}},
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["flow", "NUTS", "truth", "published"]
    axes = np.array(figure.axes).reshape(3, 3)
    assert axes[2, 0].get_xlabel() == "$H_0$ [km/s/Mpc]"
    assert axes[2, 1].get_xlabel() == "b"
    low, high = axes[0, 0].get_xlim()
    assert low < 60  # the published interval is in the frame
    assert high > 78
    assert f"{np.median(SAMPLES[:, 0]):.2f}" in axes[0, 0].get_title()
    assert [len(axes[i, j].containers) for i, j in ((1, 0), (2, 0), (2, 1))] == [0, 1, 0]  # crosses where both are published
    assert shown(figure, tmp_path) > 20_000


@pytest.mark.parametrize("narrow_first", [True, False])
def test_marginals_of_every_set_are_within_the_frame(narrow_first):
    sets = {"narrow": SAMPLES * 0.2 + 0.8 * SAMPLES.mean(axis=0), "wide": SAMPLES}
    figure = corner_plot(sets if narrow_first else dict(reversed(sets.items())), NAMES)
    for ax in np.array(figure.axes).reshape(3, 3).diagonal():
        tops = [outline.get_xy()[:, 1].max() for outline in ax.patches]
        assert len(tops) == 2
        assert max(tops) > 2 * min(tops)
        assert ax.get_ylim()[1] > max(tops)


def test_corner_plot_of_a_bare_array_has_no_legend(tmp_path):
    figure = corner_plot(SAMPLES, NAMES)
    assert not figure.legends
    assert shown(figure, tmp_path) > 10_000


def test_corner_plot_takes_tables_and_truth_by_name():
    """By place, the line of one parameter would lie over the samples of another."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(SAMPLES, columns=NAMES).iloc[:, ::-1]
    truth = dict(zip(NAMES, SAMPLES.mean(axis=0), strict=True))
    expected = corner_plot(SAMPLES, NAMES, truth=list(truth.values()))
    for samples in (frame, {name: frame[name] for name in frame}, {"flow": frame}):
        found = corner_plot(samples, NAMES, truth=pd.Series(truth).iloc[::-1])
        for one, other in zip(found.axes, expected.axes, strict=True):
            assert one.get_xlim() == other.get_xlim()
            np.testing.assert_array_equal(
                [line.get_xdata() for line in one.lines[-1:]], [line.get_xdata() for line in other.lines[-1:]]
            )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["a"]}, r"draws from one posterior, \(n, 1\)"),
        ({"samples": np.where(SAMPLES > 71, np.nan, SAMPLES)}, "expected finite"),
        ({"samples": SAMPLES[:2]}, "more than 3"),
        ({"truth": [1.0]}, "one finite number for each"),
        ({"constraints": {"published": {"H_0": (1.0, 0.0, 2.0)}}}, "no names of parameters"),
    ],
)
def test_corner_plot_names_what_does_not_fit(arguments, message):
    with pytest.raises(InputError, match=message):
        corner_plot(**{"samples": SAMPLES, "names": NAMES, **arguments})


@pytest.mark.parametrize("elements", [3, 60])
def test_predictive_plot(elements, tmp_path):
    replicated = RNG.normal(size=(200, elements))
    check = PredictiveCheck(np.full(elements, 0.5), replicated, SAMPLES[:200], np.full(elements, 0.6), 1.0, 0.25)
    figure = predictive_plot(check, np.arange(elements) * 10.0, r"multipole $\ell$", "muK")
    assert "p = 0.25" in figure.axes[0].get_title()
    residual = figure.axes[1].get_lines()[-1].get_ydata()
    np.testing.assert_allclose(residual, (0.5 - replicated.mean(axis=0)) / replicated.std(axis=0))
    assert shown(figure, tmp_path) > 10_000
    with pytest.raises(InputError, match="abscissa"):
        predictive_plot(check, np.arange(2))


def test_density_tells_how_much_of_it_is_in_the_frame(tmp_path):
    def log_density(points):
        return norm.logpdf(points).sum(axis=1)

    data = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])  # the frame is [-1.2, 1.2] in both
    figure = density_and_samples(log_density, SAMPLES[:, :2], data)
    inside = (norm.cdf(1.2) - norm.cdf(-1.2)) ** 2
    assert f"{inside:.1%}" in figure.axes[1].get_title()
    assert shown(figure, tmp_path) > 10_000
    with pytest.raises(InputError, match="data: expected finite points"):
        density_and_samples(log_density, SAMPLES[:, :2], SAMPLES)


def test_typicality_curve(tmp_path):
    p_value = np.linspace(0, 1, 501)
    figure = typicality_curve({"ours": typicality_calibration(p_value, 400), "bare": typicality_calibration(p_value**2, 400)})
    assert [text.get_text() for text in figure.legends[0].get_texts()][1:] == ["ours (n = 501)", "bare (n = 501)"]
    assert shown(figure, tmp_path) > 10_000


def test_corner_needs_no_display():
    code = (
        "import numpy as np; from zoo.interpret.plots import corner_plot; import matplotlib._pylab_helpers as held;"
        "corner_plot(np.random.default_rng(0).normal(size=(200, 2)), ['a', 'b']).savefig('/dev/null', format='png');"
        "assert not held.Gcf.figs"
    )
    environment = {"PATH": "/usr/bin:/bin", "MPLBACKEND": "", "HOME": "/nonexistent"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("values", "text", "exponent"),
    [
        ((67.2731, 0.6012), ["67.27", "0.60"], 0),
        ((1.234e-17, 4.4e-18, 2e-18), ["1.23", "0.44", "0.20"], -17),
        ((2459005.123456789, 3.8e-7), ["2459005.12345679", "0.00000038"], 0),
        ((-3.2e12, 4.1e11), ["-3.20", "0.41"], 12),
        ((0.0, 2.0e-5), ["0.0", "2.0"], -5),
        ((1234.5, 0.0), ["1234.500000", "0.000000"], 0),
    ],
)
def test_values_to_two_digits_of_their_errors_at_any_decade(values, text, exponent):
    assert to_two_digits(*values) == (text, exponent)


def test_corner_of_parameters_of_any_decade(tmp_path):
    rng = np.random.default_rng(0)
    samples = np.stack([10 ** rng.normal(-17, 0.07, 2000), rng.normal(2459005.1234, 3e-3, 2000)], axis=1)
    figure = corner_plot(samples, ["sigma", "T0"], {"sigma": "cm^2", "T0": "d"})
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert r"\times 10^{-1" in titles[0]
    assert "2459005.12" in titles[1]
    labels = figure.axes[2].get_xlabel(), figure.axes[3].get_xlabel()
    assert labels[0].startswith(r"sigma [cm^2]  ($\times$1e")
    assert labels[1].startswith("T0 [d]  (+2.45900")
    assert shown(figure, tmp_path) > 10_000
