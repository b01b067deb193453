"""Holes of fields filled as exact posteriors fill them, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from command_line import ok, refused

import zoo
from zoo.errors import InputError, UnknownNameError
from zoo.interpret.posteriors.filling import STEPS, filled, passes
from zoo.model.spec import TEST_TENSORS
from zoo.model.test_tensors import read_test_tensors
from zoo.seeds import generator
from zoo.serving import Session

SIDE, HOLE, FIELDS, DRAWS = 24, 8, 16, 32


@pytest.fixture(scope="module")
def gaussian():
    """Fills of Gaussian fields of known denoiser, rotated to where they are independent and of variance one, and the fields."""
    k = SIDE * np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE))
    power = 1 / (1 + (k / 3) ** 2) ** 1.2
    power[0, 0] = 0.05
    power /= power.mean()
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    covariance = np.fft.ifft2(power).real[(y[:, None] - y) % SIDE, (x[:, None] - x) % SIDE]
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(FIELDS, SIDE**2)) @ np.linalg.cholesky(covariance + 1e-9 * np.eye(SIDE**2)).T
    hole = np.zeros((SIDE, SIDE), bool)
    hole[8 : 8 + HOLE, 8 : 8 + HOLE] = True
    inside, outside = np.flatnonzero(hole), np.flatnonzero(~hole)
    weights = np.linalg.solve(
        covariance[np.ix_(outside, outside)] + 1e-9 * np.eye(len(outside)), covariance[outside][:, inside]
    )
    mean, left = fields[:, outside] @ weights, covariance[np.ix_(inside, inside)] - covariance[inside][:, outside] @ weights

    def denoise(x: np.ndarray, level: float) -> np.ndarray:
        return np.fft.ifft2(power / (power + level**2) * np.fft.fft2(x)).real

    rngs = [[generator([number, draw]) for draw in range(DRAWS)] for number in range(FIELDS)]
    given = np.where(hole, np.nan, fields.reshape(-1, SIDE, SIDE))
    drawn = np.stack([filled(denoise, one, hole, each) for one, each in zip(given, rngs, strict=True)])
    values, vectors = np.linalg.eigh(left)
    rotated = (drawn[:, :, hole] - mean[:, None]) @ vectors / np.sqrt(values)
    return rotated, drawn, fields.reshape(-1, SIDE, SIDE), hole


def test_fills_have_the_mean_and_the_variance_of_the_exact_posterior(gaussian):
    """Modes by how much of them is left open: fine ones first, those that surroundings hardly tell last."""
    rotated, *_ = gaussian
    for modes in np.array_split(rotated, 4, axis=2):
        assert modes.var(axis=1, ddof=1).mean() == pytest.approx(1, abs=0.12)
        off = np.square(modes.mean(axis=1)).mean() - modes.var(axis=1, ddof=1).mean() / DRAWS
        assert off < 0.03, "of a variance of one"


def test_fills_join_what_is_around_them(gaussian):
    _, drawn, fields, _ = gaussian
    step, true = (np.abs(one[..., 8, 8:16] - one[..., 7, 8:16]).mean() for one in (drawn, fields))
    assert step == pytest.approx(true, rel=0.1)


def test_what_is_seen_stays(gaussian):
    _, drawn, fields, hole = gaussian
    np.testing.assert_allclose(drawn[:, 0][:, ~hole], fields[:, ~hole], rtol=1e-6)


def test_it_is_told_how_long_it_takes():
    asked = []
    filled(lambda x, level: asked.append(level) or 0 * x, np.zeros(3), np.array([True, False, True]), [generator(0)])
    assert len(asked) == passes() > STEPS


# By the released model, of which a few passes are enough here


@pytest.fixture(scope="module")
def released():
    """The model, two maps of its own and their parameters."""
    model = zoo.load("diffusion-maps", verify=False)
    inputs, outputs = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec, "sample")["sample"]
    return model, outputs["overdensity"][:2], inputs["theta"][:2]


@pytest.fixture
def quick(released, monkeypatch):
    """The same, and a sampler of few levels without corrections."""
    monkeypatch.setattr("zoo.interpret.posteriors.filling._LEVELS", np.geomspace(60, 0.025, 4))
    monkeypatch.setattr("zoo.interpret.posteriors.filling._is_corrected", lambda level: False)
    return released


def test_masked_cells_and_nan_are_filled_alike_by_keras_and_onnx_runtime(quick, tmp_path):
    model, maps, theta = quick
    holes = np.zeros(maps.shape, bool)
    holes[0, 5:20, 30:], holes[1, 60:, :9] = True, True
    found = zoo.fill_maps(np.ma.array(maps, mask=holes), model, theta=theta, draws=3, seed=1)
    assert (found.maps.shape, found.maps.dtype) == ((2, 3, 64, 64), np.float32)
    np.testing.assert_array_equal(found.holes, holes)
    for draw in range(3):
        np.testing.assert_array_equal(found.maps[:, draw][~holes], maps[~holes])
    assert found.maps.min() >= -1
    assert found.maps.std(axis=1)[holes].min() > 0
    with_nan = np.where(holes, -np.float32(np.nan), maps)  # as 0 / 0 gives it
    for alone in (0, 1):
        session = Session("diffusion-maps", device="cpu")
        first = zoo.fill_maps(with_nan[alone], session, theta=theta[alone], draws=2, seed=1)
        np.testing.assert_allclose(first.maps[0], found.maps[alone, :2], rtol=1e-3, atol=1e-3)
    named = dict(zip(("sigma8", "omega_m"), theta[1, ::-1].tolist(), strict=True))
    in_units = (1024 * with_nan[1]) * units.Unit(2.0**-10)
    other = zoo.fill_maps(in_units, session, theta=named, draws=2, seed=1)
    np.testing.assert_allclose(other.maps, first.maps, rtol=1e-3, atol=1e-3)
    assert len(zoo.fill_maps(with_nan[1], session, theta=named, draws=1).plot().axes) == 3
    assert found.save(tmp_path / "filled.npz").exists()
    assert len(found.plot().axes) == 7


def test_files_are_filled_as_arrays_are(released, monkeypatch, tmp_path):
    monkeypatch.setattr("zoo.workflows.fill_maps.filled", lambda ask, log, hole, rngs: [log + rng.random() for rng in rngs])
    model, maps, theta = released
    holed = maps.copy()
    holed[:, :9, :9] = np.nan
    expected = zoo.fill_maps(holed, model, theta=theta, draws=2).maps
    np.savez(tmp_path / "maps.npz", overdensity=holed, theta=theta)
    np.savez(tmp_path / "alone.npz", overdensity=holed)
    np.save(tmp_path / "maps.npy", holed)
    fits.writeto(tmp_path / "maps.fits", holed[1])
    said = ok("fill-maps", str(tmp_path / "maps.npz"), "--out", str(tmp_path / "of-columns"), "--draws", "2")
    assert re.search(r"1 +│ 81 +│ -?\d\.\d{3} \+- \d\.\d{3}", said)
    with np.load(tmp_path / "of-columns" / "filled_maps.npz") as found:
        np.testing.assert_array_equal(found["maps"], expected)
    assert (tmp_path / "of-columns" / "filled_maps.png").stat().st_size > 1e4
    np.testing.assert_array_equal(zoo.fill_maps(tmp_path / "maps.npy", model, theta=theta, draws=2).maps, expected)
    one = zoo.fill_maps(str(tmp_path / "maps.fits"), model, theta=theta[1], draws=2)
    np.testing.assert_array_equal(one.maps, expected[1:])
    other = zoo.fill_maps(tmp_path / "maps.npz", model, theta=[0.2, 0.9], draws=1)
    np.testing.assert_array_equal(other.theta, np.float32([[0.2, 0.9]] * 2), err_msg="what is said, not what the file holds")
    for given, message in (
        (["maps.npy"], "theta: expected omega_m, sigma8 of each map, or of all, given none: give --theta NUMBER"),
        (["alone.npz"], "given none: give --theta NUMBER,NUMBER,..., or a file with columns of these names"),
        (["maps.npy", "--theta", "0.3;0.8"], "expected --theta NUMBER,NUMBER,..., given '0.3;0.8'"),
        (["maps.npy", "--theta", "0.3"], "theta.*expected"),
    ):
        said = refused("fill-maps", str(tmp_path / given[0]), *given[1:], "--out", str(tmp_path / "none"))
        assert re.search(message, said), said
    assert not (tmp_path / "none").exists()


def test_what_cannot_be_filled_is_refused(quick):
    model, maps, theta = quick
    holed = maps[0].copy()
    holed[:9, :9] = np.nan
    infinite = holed.copy()
    infinite[30, 30] = np.inf
    for given, how, message in (
        (maps[0], {}, "given none in map 0"),
        (np.full((64, 64), np.nan), {}, "nothing but a hole in map 0"),
        (1 + holed, {}, "expected overdensities.*in map 0: is it a density, counts, or scaled"),
        (holed * 0.01, {}, "expected overdensities.*varies by"),
        ([holed, holed[:70, :60]], {}, r"expected all of one size, given \(64, 60\), \(64, 64\)"),
        (holed * units.km, {}, "km"),
        (infinite, {}, "1 infinite cells"),
        (holed - 1, {}, "outside the trained range"),
        (holed[:40, :40], {}, "expected shape"),
        (holed, {"theta": [0.3, 8.0]}, "outside the trained range"),
        (holed, {"theta": [0.3]}, "theta: expected omega_m, sigma8 of each map, given 1 numbers"),
        (holed, {"theta": [[0.3, 0.8]] * 3}, "parameters of each of 1 maps, or of all, given 3 rows"),
        (holed, {"theta": 0.3}, "theta: expected omega_m, sigma8 of each map, or of all, given 0.3"),
        (holed, {"theta": [0.3, np.nan]}, "theta: expected numbers, given some that are missing"),
        (holed, {"draws": 0}, "draws: expected a whole number of at least 1, given 0"),
        (holed, {"seed": -1}, "seed: expected a whole number of at least 0, given -1"),
        (holed, {"model": "mlp-jets"}, "mlp-jets: expected a model that denoises maps, such as diffusion-maps"),
        (holed, {"model": 3}, "expected a loaded model, a session, a name or a folder, given int"),
    ):
        with pytest.raises(InputError, match=message):
            zoo.fill_maps(given, **{"model": model, "theta": theta[0], "draws": 1} | how)
    with pytest.raises(UnknownNameError, match="diffusion-maps"):
        zoo.fill_maps(holed, "diffusion-map", theta=theta[0])
