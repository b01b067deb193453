"""What is measured of the linear field, against plane waves, integrals and plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from zoo.data.nbody.lagrangian import (
    SYMMETRIES,
    crops,
    halo_lagrangian_centers,
    particle_cells,
    spherical_average,
    tidal_shear,
    top_hat_densities,
)
from zoo.errors import InputError

N, BOX = 16, 40.0
GRID = np.stack(np.meshgrid(*[np.arange(N)] * 3, indexing="ij"), axis=-1)


def window(x):
    return 3 * (np.sin(x) - x * np.cos(x)) / x**3


def plane_wave(wave, phase=0.0):
    """A wave cos(k x) of an integer wave vector, and k in h/Mpc."""
    return np.cos(GRID @ np.asarray(wave) * (2 * np.pi / N) + phase), 2 * np.pi / BOX * np.linalg.norm(wave)


def noise(n=N, seed=0):
    return np.random.default_rng(seed).normal(size=(n, n, n)).astype(np.float32)


@pytest.mark.parametrize("size", [1, 4, 5, N])
@pytest.mark.parametrize("center", [(8, 9, 10), (0, 0, 0), (N - 1, 2, N - 1)])
def test_crop_is_the_rolled_field(size, center):
    field = noise()
    middle = size // 2
    rolled = np.roll(field, [middle - c for c in center], axis=(0, 1, 2))[:size, :size, :size]
    (crop,) = crops(field, np.array([center]), size)
    np.testing.assert_array_equal(crop, rolled)
    assert crop[middle, middle, middle] == field[center]


def test_particle_is_in_the_middle_of_its_crop(tmp_path):
    """A particle's number is that of its cell in C order; the field may be a read-only memory map."""
    particles = np.array([0, 77, N**3 - 1])
    np.save(tmp_path / "field.npy", np.arange(N**3, dtype=np.float32).reshape(N, N, N))
    field = np.load(tmp_path / "field.npy", mmap_mode="r")
    np.testing.assert_array_equal(crops(field, particle_cells(particles, N), 6)[:, 3, 3, 3], particles)


def test_the_symmetries_of_a_crop_are_those_of_a_cube():
    cube, middle, every = np.arange(27.0).reshape(3, 3, 3), np.array([[1, 1, 1]]), np.arange(SYMMETRIES)

    def turned(values, symmetries):
        return crops(values, np.repeat(middle, len(symmetries), axis=0), 3, symmetries)

    found = turned(cube, every)
    assert len({crop.tobytes() for crop in found}) == 48
    assert (found[:, 1, 1, 1] == cube[1, 1, 1]).all()
    again = {crop.tobytes() for first in found for crop in turned(first, every)}
    assert again == {crop.tobytes() for crop in found}  # a group
    np.testing.assert_array_equal(found[0], cube)
    # Neighbors stay neighbors.
    distance = [np.abs(np.argwhere(crop == 0)[0] - np.argwhere(crop == 1)[0]).sum() for crop in found]
    assert set(distance) == {1}


def test_crops_are_copies():
    field = noise()
    crop = crops(field, np.array([[1, 2, 3]]), 4)
    crop[:] = 0
    np.testing.assert_array_equal(field, noise())


def test_lagrangian_centers_of_halos_across_a_face():
    halo_of = np.full((N, N, N), -1, dtype=np.int32)
    halo_of[[-2, -1, 0, 1, 2], 5, 7] = 0
    halo_of[3:5, 0, 10:12] = 1
    np.testing.assert_allclose(halo_lagrangian_centers(halo_of.ravel(), N), [[0, 5, 7], [3.5, 0, 10.5]], atol=1e-9)


@pytest.mark.parametrize("wave", [(1, 0, 0), (2, -3, 1), (0, 5, 5), (8, 0, 0), (8, 8, 8)])
def test_top_hat_of_a_plane_wave(wave):
    """Its amplitude is the window's, also at the Nyquist frequency."""
    field, k = plane_wave(wave)
    radii = [0.3, 2.0, 11.0]
    expected = np.stack([field * window(k * r) for r in radii])
    smoothed = top_hat_densities(field, BOX, radii)
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed, expected, atol=2e-6)


def test_top_hat_keeps_the_mean_and_tiny_spheres_the_field():
    field = noise() + np.float32(1.5)
    wide, tiny = top_hat_densities(field, BOX, [9.0, 1e-4])
    np.testing.assert_allclose(wide.mean(), field.mean(), rtol=1e-5)
    np.testing.assert_allclose(tiny, field, atol=1e-5)


def test_sigma_of_a_field_is_the_integral_over_its_spectrum():
    """P = k^2 exp(-k^2 / k0^2), random phases and amplitudes at their mean: sigma^2(R) = int k^2 P W^2 dk / 2 pi^2."""
    n, box, k0 = 64, 128.0, 0.35
    k = 2 * np.pi / box * np.sqrt(sum(q**2 for q in np.meshgrid(*[np.fft.fftfreq(n, 1 / n)] * 3, indexing="ij", sparse=True)))
    modes = np.fft.fftn(noise(n))
    modes *= np.sqrt(k**2 * np.exp(-((k / k0) ** 2)) / box**3) * n**3 / np.abs(modes)
    field = np.fft.ifftn(modes).real
    radii = np.array([1.0, 3.0, 6.0, 10.0])
    variance = [quad(lambda q, r=r: q**4 * np.exp(-((q / k0) ** 2)) * window(q * r) ** 2, 0, 10 * k0)[0] for r in radii]
    sigma = top_hat_densities(field, box, radii).std(axis=(1, 2, 3))
    np.testing.assert_allclose(sigma, np.sqrt(np.array(variance) / (2 * np.pi**2)), rtol=5e-3)


@pytest.mark.parametrize("wave", [(1, 0, 0), (2, -3, 1), (3, 3, 3)])
def test_shear_of_a_plane_wave(wave):
    """One direction takes all: eigenvalues 2/3, -1/3, -1/3 of the density, so e = |delta|, p = delta."""
    field, k = plane_wave(wave, 0.7)
    density = field * window(k * 3.0)
    (ellipticity,), (prolateness,) = tidal_shear(field, BOX, [3.0])
    np.testing.assert_allclose(ellipticity, np.abs(density), atol=1e-5)
    np.testing.assert_allclose(prolateness, density, atol=1e-5)


@pytest.mark.parametrize(
    "axes", [np.eye(3, dtype=int), np.array([[1, 1, 0], [1, -1, 0], [0, 0, 1]]), np.array([[2, 1, 2], [1, 2, -2], [-2, 2, 1]])]
)
def test_shear_of_a_potential_with_known_eigenvalues(axes):
    """Around its extremum at the origin the potential is quadratic, with these eigenvalues along these axes."""
    eigenvalues = np.array([0.9, -0.2, 0.35])
    waves = [plane_wave(axis) for axis in axes]
    field = sum(value / window(k * 2.0) * wave for value, (wave, k) in zip(eigenvalues, waves, strict=True))
    (ellipticity,), (prolateness,) = tidal_shear(field, BOX, [2.0])
    np.testing.assert_allclose(ellipticity[0, 0, 0], 0.9 + 0.2, rtol=1e-5)
    np.testing.assert_allclose(prolateness[0, 0, 0], 0.9 - 0.2 - 2 * 0.35, atol=1e-5)


def test_shear_is_that_of_numpys_eigenvalues():
    """Everywhere, of a sum of plane waves whose deformation tensor is known."""
    rng = np.random.default_rng(7)
    field, tensor = np.zeros((N, N, N)), np.zeros((N, N, N, 3, 3))
    for _ in range(12):
        wave, amplitude, phase = rng.integers(-7, 8, 3), rng.normal(), rng.uniform(0, 2 * np.pi)
        values, k = plane_wave(wave, phase)
        field += amplitude * values
        tensor += (amplitude * window(k * 2.5) * values)[..., None, None] * np.outer(wave, wave) / (wave @ wave)
    t3, t2, t1 = np.moveaxis(np.linalg.eigvalsh(tensor), -1, 0)
    (ellipticity,), (prolateness,) = tidal_shear(field, BOX, [2.5])
    assert ellipticity.dtype == prolateness.dtype == np.float32
    np.testing.assert_allclose(ellipticity, t1 - t3, atol=1e-5)
    np.testing.assert_allclose(prolateness, t1 + t3 - 2 * t2, atol=1e-5)
    assert t2.std() > 0.05


@pytest.mark.parametrize(
    "move", [lambda f: np.rot90(f, 1, (0, 1)), lambda f: np.rot90(f, 1, (1, 2)), lambda f: f[::-1], np.transpose]
)
def test_shear_turns_with_the_field(move):
    """White noise, so that the Nyquist planes count."""
    field = noise()
    for turned, plain in zip(tidal_shear(move(field), BOX, [1.0]), tidal_shear(field, BOX, [1.0]), strict=True):
        np.testing.assert_allclose(turned[0], move(plain[0]), atol=1e-5)


def test_shear_of_an_even_field_is_none():
    for shape in tidal_shear(np.full((N, N, N), 3.0), BOX, [2.0]):
        np.testing.assert_array_equal(shape, 0)


@pytest.mark.parametrize("size", [1, 5, 8, 24])
def test_spherical_average(size):
    """Means over shells by hand; idempotent; keeps the mean and the middle cell."""
    crop = np.random.default_rng(0).normal(size=(2, 3, size, size, size)).astype(np.float32) + 1
    averaged = spherical_average(crop)
    assert averaged.shape == crop.shape
    assert averaged.dtype == np.float32
    offset = np.stack(np.meshgrid(*[np.arange(size) - size // 2] * 3, indexing="ij"))
    shell = np.floor(np.linalg.norm(offset, axis=0) + 0.5)
    for number in np.unique(shell):
        cells = shell == number
        expected = crop[..., cells].astype(float).mean(axis=-1, keepdims=True)
        np.testing.assert_allclose(
            averaged[..., cells], np.broadcast_to(expected, averaged[..., cells].shape), rtol=1e-5, atol=1e-6
        )
    np.testing.assert_allclose(spherical_average(averaged), averaged, rtol=1e-6)
    np.testing.assert_allclose(averaged.mean(axis=(-3, -2, -1)), crop.mean(axis=(-3, -2, -1)), rtol=1e-5)
    middle = (..., size // 2, size // 2, size // 2)
    np.testing.assert_array_equal(averaged[middle], crop[middle])


def test_spherical_average_does_not_see_rotations_about_the_middle():
    crop = noise(9)
    np.testing.assert_allclose(spherical_average(np.rot90(crop, 1, (0, 2))), spherical_average(crop), atol=1e-6)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: crops(noise(), np.array([[0, 0, N]]), 4), rf"cells in \[0, {N}\), given 0 to {N}"),
        (lambda: crops(noise(), np.array([[0.0, 0, 1]]), 4), "integers, given float64"),
        (lambda: crops(noise(), np.array([[0, 0, 0]]), N + 1), f"given {N + 1}"),
        (lambda: crops(noise()[:4], np.array([[0, 0, 0]]), 2), r"given \(4, 16, 16\)"),
        (lambda: top_hat_densities(noise(5), BOX, [1.0]), "n even"),
        (lambda: top_hat_densities(noise(), BOX, [1.0, 0.0]), "more than 0 Mpc/h, given 0"),
        (lambda: tidal_shear(noise(), BOX, [-1.0]), "more than 0 Mpc/h"),
        (lambda: halo_lagrangian_centers(np.zeros(5, int), N), r"shape \(5,\)"),
        (lambda: spherical_average(np.zeros((2, 4, 4))), r"given shape \(2, 4, 4\)"),
    ],
)
def test_what_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_at_some_cells_as_everywhere():
    cells, radii = np.array([[0, 0, 0], [3, 15, 7]]), [2.0, 5.0]
    everywhere = [top_hat_densities(noise(), BOX, radii), *tidal_shear(noise(), BOX, radii)]
    chosen = [top_hat_densities(noise(), BOX, radii, cells), *tidal_shear(noise(), BOX, radii, cells)]
    for whole, some in zip(everywhere, chosen, strict=True):
        np.testing.assert_array_equal(some, whole[:, *cells.T])
