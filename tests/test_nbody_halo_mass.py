"""The halo-mass data: cubes about particles, their orientations, the flat sample of masses, splits."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from zoo.data.dataset import get_dataset
from zoo.data.nbody.cosmology import growth, lagrangian_radius
from zoo.data.nbody.cubes import Cubes
from zoo.data.nbody.features import FEATURE_MASSES, halo_mass_inputs
from zoo.data.nbody.halo_mass import LOG_MASS, drawn_particles
from zoo.errors import InputError, UnknownNameError

SMALL = {"particles": 32, "box": 25.0, "steps": 6, "transfer": "eisenstein-hu"}
SETTINGS = {"train": 3, "validation": 1, "test": 1, "particles": 100, "size": 8, "nbody": SMALL}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return get_dataset("halo-mass", **SETTINGS, path=str(tmp_path_factory.mktemp("nbody")))


def test_rows_are_cubes_of_the_initial_field_and_masses_of_final_halos(dataset):
    rows = dataset.rows("test")
    (simulation,) = dataset.simulations("test")
    number, particle = drawn_particles([simulation], 100, np.random.default_rng([0, 2, 0]))
    cells = np.stack(np.unravel_index(particle, [32] * 3), axis=1)
    initial = simulation.linear[tuple(cells.T)] * growth(dataset.config.cosmology, 0.01)
    np.testing.assert_allclose(rows.inputs["density"][:][:, 4, 4, 4], initial, rtol=1e-5)
    mass = simulation.halos.mass[simulation.halo_of[particle]]
    np.testing.assert_allclose(rows.target[:, 0], np.log10(mass), rtol=1e-6)
    assert (number == 0).all()


def test_features_are_densities_around_the_particle(dataset):
    rows = dataset.rows("test")
    densities, with_shear = (dataset.features(rows, names) for names in dataset.feature_sets)
    assert with_shear.shape == (len(rows), 3 * densities.shape[1])
    np.testing.assert_array_equal(with_shear[:, : densities.shape[1]], densities)
    cubes = rows.inputs["density"][:]
    distance = 25 / 32 * np.sqrt(np.sum((np.indices([8, 8, 8]) - 4) ** 2, axis=0))
    radii = lagrangian_radius(dataset.config.cosmology, 10**FEATURE_MASSES)
    scale = np.searchsorted(radii, 2.5)
    sphere = cubes[:, distance <= radii[scale]].mean(axis=1)
    assert np.corrcoef(densities[:, scale], sphere)[0, 1] > 0.98
    assert np.mean(np.abs(densities[:, scale] - sphere)) < 0.15 * sphere.std()
    assert np.all(np.diff(densities.std(axis=0)) < 0)


@pytest.mark.slow
def test_every_mass_is_as_likely(dataset):
    rows = dataset.rows("train")
    counts = np.histogram(rows.truth["log_mass"], LOG_MASS)[0]
    assert len(rows) == 300
    assert np.ptp(counts[counts > 0]) <= 1
    assert (counts > 0).sum() > 8


def test_no_two_splits_share_a_simulation_and_only_training_changes(dataset):
    groups = [set(dataset.rows(split).group) for split in ("train", "validation", "test")]
    assert groups == [{0, 1, 2}, {3}, {4}]
    for split in ("train", "test"):
        first, second = (dataset.rows(split, epoch) for epoch in (0, 1))
        assert np.array_equal(first.inputs["density"][:], second.inputs["density"][:]) == (split == "test")


def test_fields_are_mapped_not_read(dataset):
    assert all(isinstance(values, np.memmap) for values in dataset.rows("train").inputs["density"].fields)


def test_another_simulation_needs_another_folder(dataset):
    other = get_dataset("halo-mass", train=1, validation=1, test=1, nbody=SMALL | {"steps": 7}, path=str(dataset.folder))
    with pytest.raises(ValueError, match="give another folder"):
        other.rows("train")
    with pytest.raises(ValidationError, match="boxsize"):
        get_dataset("halo-mass", nbody={"boxsize": 50})


def test_missing_and_damaged_simulations_are_named_and_fail_or_are_left_out(dataset, tmp_path):
    dataset.rows("train"), dataset.rows("test")
    shutil.copytree(dataset.folder, tmp_path / "nbody")
    damaged = tmp_path / "nbody" / "simulation-00001.h5"
    damaged.write_bytes(damaged.read_bytes()[:1000])

    def rows(split: str, on_missing: str):
        sizes = {"train": 3, "validation": 1, "test": 2}
        found = get_dataset("halo-mass", **sizes, nbody=SMALL, path=str(tmp_path / "nbody"), on_missing=on_missing, size=8)
        return found.rows(split)

    with pytest.raises(InputError, match=r"1 of 3 simulations cannot be used: .*simulation-00001.h5.*truncated"):
        rows("train", "fail")
    with pytest.warns(UserWarning, match=r"left out 1 of 3 simulations: .*simulation-00001.h5"):
        assert set(rows("train", "skip").group) == {0, 2}
    with pytest.warns(UserWarning, match=r"simulation-00005.h5: no such file"):
        assert set(rows("test", "skip").group) == {4}
    assert not (tmp_path / "nbody" / "simulation-00005.h5").exists()
    with pytest.raises(InputError, match=r"simulation-00001.h5.*delete it"):
        rows("train", "simulate")
    with pytest.raises(InputError, match="expected simulate, fail, skip, given drop"):
        rows("train", "drop")


def test_rows_of_features(dataset):
    options = {"train": 3, "validation": 1, "test": 1, "particles": 100, "nbody": SMALL, "path": str(dataset.folder)}
    of_features = get_dataset("halo-mass-features", **options)
    cubes, rows = dataset.rows("test"), of_features.rows("test")
    np.testing.assert_array_equal(rows.target, cubes.target)
    np.testing.assert_array_equal(rows.inputs["densities"], dataset.features(cubes, "densities"))
    np.testing.assert_array_equal(of_features.rows("train", 7).target, dataset.rows("train").target)
    pairs = get_dataset("halo-mass-features", **options, features="densities and shear", pairs=True).rows("validation")
    assert {name: array.shape for name, array in pairs.inputs.items()} == {"log_mass": (100, 1), "densities": (100, 75)}
    with pytest.raises(UnknownNameError, match="did you mean densities"):
        get_dataset("halo-mass-features", features="density")


def test_inputs_from_a_field_of_ones_own_are_those_of_the_pipeline(dataset):
    """Bit by bit where the field is at z = 99 already; the pipeline scales what it has measured at z = 0."""
    rows, config = dataset.rows("test"), dataset.config
    cubes = rows.inputs["density"]
    field, cells = (np.asarray(cubes.fields[0]) * np.float32(cubes.scale)), cubes.center[cubes.field == 0][:20]
    found = halo_mass_inputs(field, config.box, cells, config.cosmology)
    still = Cubes([field], 1.0, np.zeros(20, int), cells, np.zeros(20, int), 24)
    own = replace(rows, inputs={"density": still}, target=rows.target[:20])
    np.testing.assert_array_equal(found["density"], still[:])
    still.spherical = True
    np.testing.assert_array_equal(found["spherical density"], still[:])
    for names in dataset.feature_sets:
        np.testing.assert_array_equal(found[names], dataset.features(own, names))
        np.testing.assert_allclose(found[names], dataset.features(rows, names)[cubes.field == 0][:20], atol=1e-6)
    assert set(found) == {"density", "spherical density", *dataset.feature_sets}


def test_a_field_at_another_time_is_refused(dataset):
    field = np.asarray(dataset.simulations("test")[0].linear)
    with pytest.raises(InputError, match="at z = 99"):
        halo_mass_inputs(field, dataset.config.box, np.zeros((1, 3), int))


def test_surroundings_are_the_features_on_given_scales_of_held_out_rows(dataset):
    """Those of the data set's own features, whose scales these are among."""
    told = get_dataset("halo-mass", **SETTINGS, path=str(dataset.folder), surroundings=[13.0, 14.0])
    rows = told.rows("test")
    scales = [int(np.argmin(np.abs(FEATURE_MASSES - scale))) for scale in (13.0, 14.0)]
    features = dataset.features(dataset.rows("test"), "densities and shear").reshape(len(rows), 3, -1)
    names = list(rows.truth)
    assert names[:3] == ["log_mass", "density at 13", "density at 14"]
    assert list(told.units) == names
    assert len(names) == 7
    for kind, name in enumerate(("density", "ellipticity", "prolateness")):
        for place, scale in zip(scales, (13, 14), strict=True):
            np.testing.assert_allclose(rows.truth[f"{name} at {scale}"], features[:, kind, place], rtol=1e-5, atol=1e-9)
    assert list(told.rows("train").truth) == ["log_mass"]
    assert list(dataset.rows("test").truth) == ["log_mass"]
