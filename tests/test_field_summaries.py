"""Summary statistics of fields against slow sums, waves, noise and Gaussian fields of known spectra."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from zoo.data.fields.summaries import equilateral_bispectrum, one_point, peak_counts, power_spectrum
from zoo.errors import InputError

SIDE = 100.0
both = pytest.mark.parametrize("dimensions", [2, 3])


def noise(n: int, s: int, dimensions: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *[s] * dimensions))


def slow_modes(field: np.ndarray, side: float) -> dict[tuple[int, ...], complex]:
    """Each delta(k) by a direct sum over cells, for wave vectors of components below the Nyquist frequency."""
    s, d = len(field), field.ndim
    cells = np.indices(field.shape).reshape(d, -1).T
    half = (s - 1) // 2
    found = {}
    for wave in product(range(-half, half + 1), repeat=d):
        phase = np.exp(-2j * np.pi / s * (cells @ np.array(wave)))
        found[wave] = complex((side / s) ** d * (phase * field.ravel()).sum())
    return found


@both
def test_power_and_bispectrum_are_direct_sums_over_modes_and_triangles(dimensions):
    s, bins = 7, 2
    field = noise(1, s, dimensions)
    modes = slow_modes(field[0], SIDE)
    k, power, count = power_spectrum(field, SIDE, bins)
    edges = np.geomspace(1, s / 2, bins + 1)
    for i in range(bins):
        inside = [wave for wave in modes if edges[i] <= np.hypot.reduce(wave) < edges[i + 1]]
        assert count[i] == len(inside) / 2
        assert k[i] == pytest.approx(2 * np.pi / SIDE * np.mean([np.hypot.reduce(wave) for wave in inside]))
        assert power[0, i] == pytest.approx(np.mean([abs(modes[wave]) ** 2 for wave in inside]) / SIDE**dimensions)

    k, found, triangles = equilateral_bispectrum(field, SIDE, 1)
    inside = [wave for wave in modes if 1 <= np.hypot.reduce(wave) < s / 3]
    closed = [
        (a, b, tuple(-np.add(a, b))) for a in inside for b in inside if 1 <= np.hypot.reduce(np.add(a, b)) < s / 3
    ]  # fmt: skip
    expected = np.mean([modes[a] * modes[b] * modes[tuple(map(int, c))] for a, b, c in closed]) / SIDE**dimensions
    assert triangles.tolist() == [len(closed)]
    assert found[0, 0] == pytest.approx(expected.real)
    own = np.mean([abs(modes[wave]) ** 2 for wave in inside]) / SIDE**dimensions
    assert equilateral_bispectrum(field, SIDE, 1, reduced=True)[1][0, 0] == pytest.approx(expected.real / (3 * own**2))


@both
def test_white_noise_has_its_variance_times_the_volume_of_a_cell(dimensions):
    s, n, sigma = 16, 40, 1.7
    _, power, modes = power_spectrum(sigma * noise(n, s, dimensions), SIDE, 5)
    expected = sigma**2 * (SIDE / s) ** dimensions
    error = (power.mean(axis=0) / expected - 1) * np.sqrt(n * modes)
    assert np.abs(error).max() < 4
    scatter = power.std(axis=0, ddof=1) / expected * np.sqrt(modes)
    assert np.abs(scatter - 1).max() < 4 / np.sqrt(2 * n)


@both
def test_all_modes_together_have_the_variance_of_the_field(dimensions):
    """Parseval's theorem, for a field without modes beyond the sphere of the last shell."""
    s = 16
    modes = np.fft.fftn(noise(1, s, dimensions)[0])
    waves = np.meshgrid(*[np.fft.fftfreq(s, 1 / s)] * dimensions, indexing="ij")
    modes[np.sqrt(sum(k**2 for k in waves)) >= s / 2] = 0
    field = np.fft.ifftn(modes).real
    _, power, count = power_spectrum(field[None], SIDE, 4)
    assert 2 * (power[0] * count).sum() / SIDE**dimensions == pytest.approx(field.var())


@both
def test_a_wave_has_power_at_its_wavenumber_alone(dimensions):
    s, amplitude = 32, 0.3
    wave = np.array([3, 4, 0][:dimensions])
    phase = 2 * np.pi / s * np.tensordot(wave, np.indices([s] * dimensions), 1)
    k, power, modes = power_spectrum(amplitude * np.cos(phase + 0.4)[None], SIDE, 8)
    (at,) = np.flatnonzero(power[0] > 1e-12)
    assert power[0, at] * modes[at] == pytest.approx(amplitude**2 / 4 * SIDE**dimensions)
    assert k[at] == pytest.approx(5 * 2 * np.pi / SIDE, rel=0.12)


def gaussian(n: int, s: int, dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Fields of the spectrum 50 k^-1.5, and all wavenumbers: noise that is filtered, with numpy's full transform."""
    waves = np.meshgrid(*[2 * np.pi * np.fft.fftfreq(s, SIDE / s)] * dimensions, indexing="ij")
    k = np.sqrt(sum(wave**2 for wave in waves))
    k[(0,) * dimensions] = np.inf
    axes = tuple(range(1, dimensions + 1))
    filtered = np.fft.fftn(noise(n, s, dimensions, seed), axes=axes) * np.sqrt(50 * k**-1.5 * (s / SIDE) ** dimensions)
    return np.fft.ifftn(filtered, axes=axes).real, k


@both
def test_gaussian_fields_have_their_spectrum_and_no_bispectrum(dimensions):
    s, n = 24, 60
    fields, k = gaussian(n, s, dimensions, 3)
    _, power, modes = power_spectrum(fields, SIDE, 5)
    edges = np.geomspace(1, s / 2, 6) * 2 * np.pi / SIDE * (1 - 1e-9)
    expected = np.array([np.mean(50 * k[(k >= low) & (k < high)] ** -1.5) for low, high in pairwise(edges)])
    assert np.abs((power.mean(axis=0) / expected - 1) * np.sqrt(n * modes)).max() < 4.5
    k, bispectrum, triangles = equilateral_bispectrum(fields, SIDE, 3)
    error = np.sqrt(6 * SIDE**dimensions * (50 * k**-1.5) ** 3 / triangles)
    assert np.abs(bispectrum.mean(axis=0) / error * np.sqrt(n)).max() < 4
    assert np.abs(bispectrum.std(axis=0) / error - 1).max() < 0.5  # the spectrum falls within a shell


@both
def test_a_squared_field_has_the_bispectrum_of_its_square(dimensions):
    """White noise delta plus f (delta^2 - mean) has 6 f P^2 at first order, so that the reduced one is 2 f."""
    s, f = 24, 0.05
    fields = noise(60 if dimensions == 3 else 600, s, dimensions, 5)
    fields += f * (fields**2 - 1)
    _, reduced, _ = equilateral_bispectrum(fields, SIDE, 2, reduced=True)
    error = reduced.std(axis=0, ddof=1) / np.sqrt(len(fields))
    expected = 2 * f
    assert np.abs((reduced.mean(axis=0) - expected)[-1] / error[-1]) < 4
    assert expected > 8 * error[-1]


@both
def test_what_moves_and_turns_a_field_changes_no_summary(dimensions):
    field = np.exp(noise(1, 12, dimensions)) - 1
    moved = np.roll(np.swapaxes(np.flip(field, 1), 1, dimensions), (3, 5), axis=(1, 2))
    for summary in (
        lambda f: power_spectrum(f, SIDE, 4)[1],
        lambda f: equilateral_bispectrum(f, SIDE, 2)[1],
        lambda f: one_point(f, np.linspace(-2, 2, 9)),
        *([lambda f: peak_counts(f, np.array([0.0, 2.0]))] if dimensions == 2 else []),
    ):
        np.testing.assert_allclose(summary(moved), summary(field), rtol=1e-9)


@both
def test_many_fields_are_one_after_another(dimensions, monkeypatch):
    fields = noise(7, 8, dimensions)
    for summary in (
        lambda f: power_spectrum(f, SIDE, 3)[1],
        lambda f: equilateral_bispectrum(f, SIDE, 2, reduced=True)[1],
        lambda f: one_point(np.exp(f) - 1, np.linspace(-2, 2, 5)),
    ):
        monkeypatch.setattr("zoo.data.fields.summaries.CELLS", 2**22)
        together = summary(fields)
        monkeypatch.setattr("zoo.data.fields.summaries.CELLS", 2 * fields[0].size)
        np.testing.assert_allclose(summary(fields), together)
        np.testing.assert_allclose(np.concatenate([summary(fields[i : i + 1]) for i in range(7)]), together)


def test_fractions_of_cells_are_counted_as_numpy_counts():
    fields = np.exp(noise(3, 8, 3)).astype(np.float32) - 1
    fields[1, 0] = -1  # empty cells
    edges = np.linspace(-5, 5, 11)
    found = one_point(fields, edges)
    for one, expected in zip(fields, found, strict=True):
        np.testing.assert_allclose(np.histogram(np.log(1.01 + one.astype(float)), edges)[0] / 512, expected)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert found[1, 0] == 64 / 512
    assert one_point(fields, [-1.0, 1.0]).max() < 1  # what is outside is in no bin


def test_peaks_are_higher_than_all_around_them():
    maps = np.zeros((2, 6, 6))
    maps[0, 0, 5], maps[0, 3, 2], maps[0, 3, 3] = 2.0, 1.0, 1.5  # one at a corner, two that touch
    maps[1, 2, 2] = maps[1, 2, 3] = 1.0  # a plateau is no peak
    np.testing.assert_array_equal(peak_counts(maps, [0.5, 1.5, 3.0]), [[2, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: power_spectrum(np.zeros((2, 8, 6)), SIDE, 3), r"\(n, s, s\) or cubes \(n, s, s, s\), given shape \(2, 8, 6\)"),
        (lambda: power_spectrum(np.zeros((8, 8)), SIDE, 3), r"given shape \(8, 8\)"),
        (lambda: power_spectrum(np.full((1, 8, 8), np.nan), SIDE, 3), "finite"),
        (lambda: power_spectrum(np.zeros((1, 8, 8)), 0.0, 3), "side: expected more than 0"),
        (lambda: power_spectrum(np.zeros((1, 8, 8)), SIDE, 30), "given 30, some of which have none"),
        (lambda: power_spectrum(np.zeros((1, 8, 8)), SIDE, 0), "expected bins"),
        (lambda: equilateral_bispectrum(np.zeros((1, 16, 16)), SIDE, 5), "triangles, given 5"),
        (lambda: one_point(np.full((1, 4, 4), -1.5), [0.0, 1.0]), "above -1.01, given -1.5"),
        (lambda: one_point(np.zeros((1, 4, 4)), [1.0, 0.0]), "rising"),
        (lambda: peak_counts(np.zeros((1, 4, 4, 4)), [0.0]), r"maps: expected \(n, s, s\)"),
    ],
)
def test_other_input_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()
