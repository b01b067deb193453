"""The N-body simulator against CAMB, colossus, linear theory and analytic solutions; its files against kills and mix-ups."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time

import camb
import h5py
import joblib
import numba
import numpy as np
import pytest
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.nbody import particle_mesh, simulate
from zoo.data.nbody.checks import halofit_power, paired_fields
from zoo.data.nbody.cosmology import (
    Cosmology,
    growth,
    growth_rate,
    lagrangian_radius,
    linear_power,
    mean_matter_density,
    sigma_top_hat,
)
from zoo.data.nbody.fourier import forward
from zoo.data.nbody.initial import displacements, linear_density, philox
from zoo.data.nbody.power import field_power, particle_power
from zoo.data.nbody.simulate import NBodyConfig, load_simulation
from zoo.errors import FolderError, InputError, ZooError

PLANCK = Cosmology()
SMALL = NBodyConfig(particles=16, box=20.0, steps=5, transfer="eisenstein-hu")
WIDE = NBodyConfig(particles=64, box=1000.0, steps=10, transfer="eisenstein-hu")


@pytest.fixture(scope="module")
def universe():
    """The same cosmology in colossus."""
    cosmology = pytest.importorskip("colossus.cosmology.cosmology")
    parameters = {"flat": True, "H0": 67.27, "Om0": 0.3166, "Ob0": 0.0494, "sigma8": 0.812, "ns": 0.9649}
    return cosmology.setCosmology("planck", params={**parameters, "Tcmb0": 2.7255, "relspecies": False}, persistence="")


def test_growth_is_that_of_colossus(universe):
    a = np.array([0.1, 0.3, 0.5, 0.8, 1.0])
    np.testing.assert_allclose(growth(PLANCK, a), universe.growthFactor(1 / a - 1), rtol=1e-4)
    step = 1e-4
    slope = np.log(growth(PLANCK, a * (1 + step)) / growth(PLANCK, a * (1 - step))) / (2 * step)
    np.testing.assert_allclose(growth_rate(PLANCK, a), slope, rtol=1e-6)


def test_eisenstein_hu_is_that_of_colossus(universe):
    k = np.geomspace(1e-3, 20, 100)
    expected = universe.matterPowerSpectrum(k, model="eisenstein98")
    np.testing.assert_allclose(linear_power(PLANCK, k, transfer="eisenstein-hu"), expected, rtol=1e-3)
    expected = universe.matterPowerSpectrum(k, z=1.0, model="eisenstein98")
    np.testing.assert_allclose(linear_power(PLANCK, k, 1.0, transfer="eisenstein-hu"), expected, rtol=1e-3)


def test_masses_of_spheres_are_those_of_colossus(universe):
    peaks = pytest.importorskip("colossus.lss.peaks")
    assert mean_matter_density(PLANCK) == pytest.approx(universe.rho_m(0.0) * 1e9, rel=1e-4)
    assert lagrangian_radius(PLANCK, 1e13) == pytest.approx(peaks.lagrangianR(1e13), rel=1e-4)
    radii = np.array([1.0, 8.0, 20.0])
    expected = universe.sigma(radii, ps_args={"model": "eisenstein98"})
    np.testing.assert_allclose(sigma_top_hat(PLANCK, radii, "eisenstein-hu"), expected, rtol=2e-3)


def test_camb_power_is_camb_s_own():
    """Fluctuations in spheres of other radii by CAMB's own integral, relative to those in 8 Mpc/h; any amplitude does."""
    h2 = PLANCK.h**2
    baryons, dark = PLANCK.omega_b * h2, (PLANCK.omega_m - PLANCK.omega_b) * h2
    parameters = camb.set_params(H0=100 * PLANCK.h, ombh2=baryons, omch2=dark, mnu=0, As=2.1e-9, ns=PLANCK.n_s)
    parameters.WantCls = False
    parameters.set_matter_power(redshifts=[0.0], kmax=5.0)
    radii = np.array([2.0, 8.0, 25.0])
    expected = camb.get_results(parameters).get_sigmaR(radii, hubble_units=True, return_R_z=False)
    expected = expected.ravel() / expected.ravel()[1] * PLANCK.sigma8
    np.testing.assert_allclose(sigma_top_hat(PLANCK, radii), expected, rtol=1e-3)
    assert np.ptp(linear_power(PLANCK, [0.1]) / linear_power(PLANCK, [0.1], 1.0)) == 0


def test_baryons_are_part_of_matter():
    with pytest.raises(ValueError, match="omega_b < omega_m"):
        Cosmology(omega_m=0.04)


def test_random_words_are_the_published_ones():
    """Known answers of Philox 4x32-10 as distributed with Random123."""
    words = (np.uint64(0xFFFFFFFF),) * 6
    assert [hex(w) for w in philox(*(np.uint64(0),) * 6)] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert [hex(w) for w in philox(*words)] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]


def test_power_of_the_field_is_the_linear_one_within_cosmic_variance():
    config = NBodyConfig(particles=32, box=100.0, transfer="eisenstein-hu")
    deviations = []
    for seed in range(20):
        k, power, modes = field_power(linear_density(config, seed), config.box)
        # A bin's mean of the linear spectrum is not the spectrum at its mean k where few modes make the bin.
        deviations.append((power / linear_power(PLANCK, k, transfer="eisenstein-hu") - 1) * np.sqrt(modes))
    deviations = np.array(deviations)[:, 2:]
    assert np.abs(deviations.mean(axis=0) * np.sqrt(20)).max() < 3.5
    assert np.mean(deviations**2) == pytest.approx(1, abs=0.25)


def test_field_is_real_gaussian_and_its_own_for_each_seed():
    fields = np.stack([linear_density(SMALL, seed) for seed in (1, 1, 2, 2**40 + 1)])
    assert fields.dtype == np.float32
    np.testing.assert_array_equal(fields[0], fields[1])
    correlations = np.corrcoef(fields[1:].reshape(3, -1))[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.2
    with pytest.raises(InputError, match="2\\^64"):
        linear_density(SMALL, -1)


def test_finer_grid_keeps_the_large_modes():
    coarse, fine = (forward(linear_density(SMALL.model_copy(update={"particles": n}), 3)) / n**3 for n in (16, 32))
    low = np.r_[0:8, -7:0]
    np.testing.assert_allclose(coarse[np.ix_(low, low, np.arange(8))], fine[np.ix_(low, low, np.arange(8))], atol=1e-6)


def plane_waves(n: int, amplitudes: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phases along x and y of the longest waves in the box, and their sum as a density, (n, n, n)."""
    x, y, _ = np.meshgrid(*[2 * np.pi * np.arange(n) / n] * 3, indexing="ij")
    return x, y, (amplitudes[0] * np.cos(x) + amplitudes[1] * np.cos(y)).astype(np.float32)


def test_displacements_of_crossed_plane_waves():
    """Field delta = A cos kx + B cos ky has psi1 = -(A sin kx, B sin ky) / k, psi2 = AB (sin kx cos ky, cos kx sin ky) / 2k."""
    x, y, delta = plane_waves(16, (0.3, 0.2))
    box = 40.0
    k = 2 * np.pi / box
    psi1, psi2 = displacements(delta, box)
    np.testing.assert_allclose(psi1, np.stack([-0.3 * np.sin(x), -0.2 * np.sin(y), 0 * x]) / k, atol=1e-5)
    second = np.stack([np.sin(x) * np.cos(y), np.cos(x) * np.sin(y), 0 * x])
    np.testing.assert_allclose(psi2, 0.3 * 0.2 / (2 * k) * second, atol=1e-5)


def test_plane_wave_follows_zeldovich():
    """In one dimension the Zel'dovich approximation is exact until shells cross, which they do at amplitude 1."""
    config = NBodyConfig(particles=32, box=32.0, steps=10, transfer="eisenstein-hu")
    x, _, delta = plane_waves(32, (0.6, 0.0))
    half, final = particle_mesh.evolve(config, delta, (0.5, 1.0))
    grid = x.ravel() / (2 * np.pi) * config.box
    psi = -0.6 * np.sin(x.ravel()) * config.box / (2 * np.pi)
    for snapshot in (half, final):
        moved = (snapshot.positions[:, 0] - grid + config.box / 2) % config.box - config.box / 2
        d = growth(PLANCK, snapshot.a)
        assert np.abs(moved - d * psi).max() < 0.015 * d * np.abs(psi).max()
        a = snapshot.a
        rate = a**2 * np.sqrt(0.3166 / a**3 + 0.6834) * growth_rate(PLANCK, a) * d
        assert np.abs(snapshot.momenta[:, 0] - rate * psi).max() < 0.02 * rate * np.abs(psi).max()
        assert np.abs(snapshot.momenta[:, 1:]).max() < 1e-3 * rate * np.abs(psi).max()


def test_mass_is_assigned_cloud_in_cell():
    """Against a plain scatter, with particles at the box's edge; total mass is kept."""
    mesh = 8
    positions = np.random.default_rng(0).uniform(0, mesh, (500, 3)).astype(np.float32)
    positions[0] = np.nextafter(np.float32(mesh), np.float32(0))
    expected = np.zeros((mesh,) * 3)
    cell = np.floor(positions).astype(int)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, positions - cell, 1 - (positions - cell)), axis=1)
        np.add.at(expected, tuple(((cell + corner) % mesh).T), weight)
    counts = particle_mesh.assign_mass(positions, mesh)
    np.testing.assert_allclose(counts, expected, atol=1e-5)
    assert counts.sum() == pytest.approx(500, rel=1e-6)


def test_force_of_a_sheet_of_mass():
    """The wave cos kx on the mesh has laplace^-1 delta = -cos(kx) / k^2 and its gradient sin(kx) / k anywhere between cells."""
    mesh = 32
    k = 2 * np.pi / mesh
    wave = np.broadcast_to(-np.cos(k * np.arange(mesh))[:, None, None] / k**2, (mesh,) * 3).astype(np.float32)
    for axis in range(3):
        field = np.ascontiguousarray(np.moveaxis(wave, 0, axis))
        for at in (0.0, 0.5, 7.3, 15.9, 30.7, 31.9):
            found = particle_mesh.gradient(field, *np.roll(np.float32([at, 3.3, 30.6]), axis))
            expected = np.roll([np.sin(k * at) / k, 0, 0], axis)
            np.testing.assert_allclose(found, expected, atol=0.006 / k)


def test_momentum_is_conserved():
    delta = linear_density(SMALL, 5)
    (final,) = particle_mesh.evolve(SMALL, delta)
    assert np.abs(final.momenta.mean(axis=0, dtype=float)).max() < 1e-6 * final.momenta.std()
    assert final.positions.min() >= 0
    assert final.positions.max() < SMALL.box


def test_large_scales_grow_linearly():
    """Against the power of the same initial field, so that no cosmic variance is left."""
    delta = linear_density(WIDE, 1)
    early, late = particle_mesh.evolve(WIDE, delta, (0.3, 1.0))
    k, linear, _ = field_power(delta, WIDE.box)
    low = k < 0.035
    assert low.sum() == 5
    for snapshot, tolerance in ((early, 0.005), (late, 0.01)):
        _, power, _ = particle_power(snapshot.positions, WIDE.box, 128, shot_noise=False)
        grown = power[: len(k)][low] / linear[low] / growth(PLANCK, snapshot.a) ** 2
        np.testing.assert_allclose(grown, 1, atol=tolerance)


@pytest.mark.slow
def test_small_scales_agree_with_halofit():
    """5% up to k = 1 h/Mpc; then the mesh, of 0.5 Mpc/h, takes power away, about 10% at k = 2.

    Four boxes of Gaussian fields would scatter by 5%.
    """
    config = NBodyConfig(particles=128, box=128.0)
    ratios, edges = [], np.geomspace(0.25, 2, 7)
    for delta in itertools.chain(*(paired_fields(config, seed) for seed in (0, 1))):
        (final,) = particle_mesh.evolve(config, delta)
        k, power, weights = particle_power(final.positions, config.box, 256)
        bins = [(k >= low) & (k < high) for low, high in itertools.pairwise(edges)]
        ratios.append([np.average((power / halofit_power(PLANCK, k))[of], weights=weights[of]) for of in bins])
    ratio = np.mean(ratios, axis=0)
    print("P / P_halofit between k =", edges.round(2), ":", ratio.round(3))
    assert np.all(np.abs(ratio - 1) < [0.05, 0.05, 0.05, 0.07, 0.09, 0.13])


def test_power_of_random_particles_is_shot_noise():
    positions = np.random.default_rng(1).uniform(0, 100, (20_000, 3)).astype(np.float32)
    shot = 100**3 / 20_000
    _, raw, modes = particle_power(positions, 100.0, 64, shot_noise=False)
    _, clean, _ = particle_power(positions, 100.0, 64)
    low = slice(0, 16)
    assert np.abs((raw[low] / shot - 1) * np.sqrt(modes[low])).max() < 4.5
    assert np.abs(clean / shot * np.sqrt(modes)).max() < 6  # aliased shot noise is off up to the Nyquist frequency


def test_same_seed_same_simulation():
    """Bit for bit, and on any number of threads."""
    first, again = (simulate.run(SMALL, 7) for _ in range(2))
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        alone = simulate.run(SMALL, 7)
    finally:
        numba.set_num_threads(threads)
    for name in simulate.ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(alone, name))
    assert not np.array_equal(first.positions, simulate.run(SMALL, 8).positions)


def test_wrong_requests_of_the_evolution():
    with pytest.raises(InputError, match=r"expected shape \(16, 16, 16\)"):
        particle_mesh.evolve(SMALL, np.zeros((8, 8, 8), np.float32))
    with pytest.raises(InputError, match=r"\[0.1, 1\], given \[2.0\]"):
        particle_mesh.evolve(SMALL, np.zeros((16, 16, 16), np.float32), (2.0,))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four simulated seeds."""
    path = tmp_path_factory.mktemp("nbody") / "set"
    simulate.simulate(path, SMALL, range(4), jobs=1)
    return path


def test_file_holds_the_simulation(folder):
    found, expected = load_simulation(folder / "simulation-00002.h5"), simulate.run(SMALL, 2)
    assert (found.config, found.seed) == (SMALL, 2)
    for name in simulate.ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert isinstance(getattr(found, name), np.memmap)
    np.testing.assert_array_equal(found.halos.mass, expected.halos.mass)
    assert found.halos.mass[0] == pytest.approx(np.count_nonzero(found.halo_of == 0) * SMALL.particle_mass)


def test_killed_run_goes_on(folder, tmp_path):
    config = [str(word) for name in ("particles", "box", "steps") for word in (f"--{name}", getattr(SMALL, name))]
    # It is the default transfer function: the command line has no other.
    command = [sys.executable, "-m", "zoo", "simulate", "nbody", "--seeds", "0:2000", "--out", str(tmp_path), *config]
    process = subprocess.Popen([*command, "--jobs", "1"], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        waited = time.monotonic() + 120
        while len(list(tmp_path.glob("simulation-*.h5"))) < 2 and time.monotonic() < waited and process.poll() is None:
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    whole = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.glob("simulation-*.h5"))}
    assert 2 <= len(whole) < 2000
    paths = simulate.simulate(tmp_path, SMALL.model_copy(update={"transfer": "camb"}), range(len(whole) + 2), jobs=1)
    assert [path for path in paths if path in whole] == list(whole)
    assert all(path.stat().st_mtime_ns == written for path, written in whole.items())
    for path in paths:
        load_simulation(path)


def test_folder_of_another_config_is_refused(folder):
    with pytest.raises(FolderError, match="give another folder"):
        simulate.simulate(folder, SMALL.model_copy(update={"box": 21.0}), range(1))


def test_damaged_files_are_named(folder, tmp_path):
    config, whole = folder / "config.json", (folder / "simulation-00000.h5").read_bytes()
    (tmp_path / "config.json").write_text(config.read_text())
    damaged = tmp_path / "simulation-00000.h5"
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"simulation-00000\.h5.*truncated"):
        load_simulation(damaged)
    with pytest.raises(InputError, match=r"simulation-00000\.h5.*delete it"):
        simulate.simulate(tmp_path, SMALL, range(1))
    damaged.write_bytes(b"no HDF5")
    with pytest.raises(InputError, match=r"simulation-00000\.h5"):
        load_simulation(damaged)
    with pytest.raises(InputError, match=r"missing\.h5: no such file"):
        load_simulation(tmp_path / "missing.h5")
    with h5py.File(damaged, "w") as foreign:
        foreign["x"] = 1
    with pytest.raises(InputError, match="another HDF5 file"):
        load_simulation(damaged)
    damaged.write_bytes((folder / "simulation-00001.h5").read_bytes())
    with pytest.raises(InputError, match="another simulation than its name"):
        simulate.simulate(tmp_path, SMALL, range(1))


def test_arrays_elsewhere_are_refused(folder, tmp_path):
    """A file can point HDF5 at other files; a simulation holds its numbers."""
    path = tmp_path / "linked.h5"
    path.write_bytes((folder / "simulation-00000.h5").read_bytes())
    with h5py.File(path, "r+") as content:
        del content["positions"]
        content["positions"] = h5py.ExternalLink(str(folder / "simulation-00001.h5"), "positions")
    with pytest.raises(InputError, match="positions is not stored in one piece"):
        load_simulation(path)


@pytest.mark.slow
def test_dask_cluster_takes_the_same_call(folder, tmp_path):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster), joblib.parallel_config(backend="dask"):
        paths = simulate.simulate(tmp_path, SMALL, range(4))
    for path in paths:
        found, expected = load_simulation(path), load_simulation(folder / path.name)
        np.testing.assert_array_equal(found.positions, expected.positions)


def test_command_line(tmp_path):
    arguments = ["--seeds", "3:5", "--particles", 16, "--box", 20, "--steps", 3, "--sigma8", 0.9, "--omega-m", 0.25]
    words = ["simulate", "nbody", "--out", tmp_path, "--jobs", 1, *arguments]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    assert "2 simulations" in result.output
    found = load_simulation(tmp_path / "simulation-00004.h5").config
    assert found == NBodyConfig(particles=16, box=20, steps=3, cosmology=Cosmology(sigma8=0.9, omega_m=0.25))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "7"], "0:200"),
        (["--seeds", "4:3"], "FIRST < END"),
        (["--seeds", "0:1", "--particles", "33"], "particles: expected a multiple of 2, given 33"),
        (["--seeds", "0:1", "--omega-m", "0.01"], "expected omega_b < omega_m"),
    ],
)
def test_wrong_words_on_the_command_line(arguments, message, tmp_path):
    result = CliRunner().invoke(app, ["simulate", "nbody", "--out", str(tmp_path), *arguments])
    assert isinstance(result.exception, ZooError)
    assert message in str(result.exception)


def test_command_line_has_the_config_s_defaults(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(simulate, "simulate", lambda folder, config, seeds, jobs: asked.append((config, seeds)) or [])
    result = CliRunner().invoke(app, ["simulate", "nbody", "--out", str(tmp_path), "--seeds", "0:3"])
    assert result.exit_code == 0, result.output
    assert asked == [(NBodyConfig(), range(3))]
