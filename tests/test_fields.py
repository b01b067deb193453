"""Fields of many cosmologies: the hypercube, the simulations against theory, files, and the maps and cubes made of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from zoo.data.dataset import get_dataset
from zoo.data.fields.design import RANGES, FieldsConfig
from zoo.data.fields.features import features
from zoo.data.fields.simulate import density, density_of, field_path, load, simulate
from zoo.data.fields.views import Turned, coarse, slabs, smoothed
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.power import field_power
from zoo.errors import FolderError, InputError

SMALL = {"simulations": 8, "particles": 16, "box": 50.0, "steps": 5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("fields")
    simulate(found, FieldsConfig(**SMALL), range(8), jobs=1)
    return found


@pytest.mark.parametrize(("varied", "names"), [("two", ["omega_m", "sigma8"]), ("five", list(RANGES))])
def test_the_design_is_a_latin_hypercube(varied, names):
    config = FieldsConfig(varied=varied, simulations=50)
    points = config.design()
    assert points.shape == (50, len(names))
    for column, name in zip(points.T, names, strict=True):
        low, high = RANGES[name]
        assert sorted(np.floor((column - low) / (high - low) * 50).astype(int)) == list(range(50))
        assert config.nbody(7).cosmology.model_dump()[name] == column[list(points.T[0]).index(points[7, 0])]
    assert not np.array_equal(points, FieldsConfig(varied=varied, simulations=50, seed=1).design())


def test_no_two_sets_share_a_field():
    seeds = [FieldsConfig(seed=seed, simulations=n).field_seed(n - 1) for seed in (1, 2) for n in (2, 100_000)]
    assert len(set(seeds)) == 4


def test_the_same_number_is_the_same_field_on_any_number_of_threads(folder):
    config = FieldsConfig(**SMALL)
    np.testing.assert_array_equal(density(config, 3), load(folder, config, 3))


def test_a_set_that_was_made_before_there_were_cells_keeps_its_folder():
    from zoo.data.fields.simulate import cached_fields

    assert cached_fields(FieldsConfig()).name == "fields-two-d9836f734e1c"
    assert cached_fields(FieldsConfig(cells=32)) != cached_fields(FieldsConfig())
    for cells in (None, 32):
        config = FieldsConfig(cells=cells)
        assert FieldsConfig.model_validate_json(config.model_dump_json()) == config


def test_more_particles_than_cells_are_the_same_field_better_resolved(tmp_path):
    """A finer grid keeps the modes that it shares: the density on the same cells is nearly the same on large scales."""
    coarser, finer = (FieldsConfig(simulations=4, particles=n, cells=16, box=50.0, steps=5) for n in (16, 24))
    simulate(tmp_path, finer, [1], jobs=1)
    fields = load(tmp_path, finer, 1), density(coarser, 1)
    assert [field.shape for field in fields] == [(16, 16, 16)] * 2
    assert fields[0].mean() == pytest.approx(1, abs=1e-5)
    smooth = [smoothed(field, 50.0, 4.0) for field in fields]
    near, all_scales = (np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in (smooth, fields))
    assert near > 0.995 > all_scales > 0.8
    with pytest.raises(ValueError, match="multiple of 2"):
        FieldsConfig(cells=15)


def test_the_mean_is_one_and_large_scales_are_those_of_the_linear_field():
    """At low sigma_8 in a wide box hardly anything has collapsed: modes are those that began, to some per cent."""
    config = FieldsConfig(simulations=4, particles=32, box=400.0, steps=10)
    number = int(config.design()[:, 1].argmin())
    found = density(config, number)
    assert found.mean() == pytest.approx(1, abs=1e-5)
    nbody = config.nbody(number)
    k, power, _ = field_power(found, config.box)
    _, linear, _ = field_power(linear_density(nbody, config.field_seed(number)), config.box)
    low = k < 0.08
    assert low.sum() > 3
    np.testing.assert_allclose(power[low] / linear[low], 1, atol=0.12)


def test_matter_is_where_the_particles_are():
    """Against numpy's histogram of a fine grid: a particle at the center of gravity of eight cells."""
    positions = np.array([[0.0, 0.0, 0.0], [1.25, 2.0, 3.75]])
    found = density_of(positions, 4.0, 4) * 2 / 64  # particles in each cell
    assert found[0, 0, 0] == 1
    expected = {(1, 2, 3): 0.75 * 0.25, (2, 2, 3): 0.25 * 0.25, (1, 2, 0): 0.75 * 0.75, (2, 2, 0): 0.25 * 0.75}
    for cell, value in expected.items():
        assert found[cell] == pytest.approx(value, abs=1e-6)
    assert found.sum() == pytest.approx(2)
    assert density_of(np.full((1, 3), np.nextafter(4.0, 0)), 4.0, 4).sum() == pytest.approx(64)


@pytest.mark.parametrize("wrong", [[[-0.1, 0, 0]], [[4.0, 0, 0]], [[np.nan, 0, 0]], [[1.0, 2.0]], np.empty((0, 3))])
def test_particles_outside_their_box_are_refused(wrong):
    with pytest.raises(InputError, match="positions: expected"):
        density_of(np.array(wrong), 4.0, 4)


def test_files_are_of_their_set_and_damaged_ones_are_named(folder, tmp_path):
    config = FieldsConfig(**SMALL)
    with pytest.raises(FolderError):
        simulate(folder, FieldsConfig(**SMALL, seed=3), [0], jobs=1)
    with pytest.raises(InputError, match="from 0 to 7, given 8"):
        simulate(folder, config, [8])
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path, config, 0)
    path = field_path(tmp_path, 0)
    path.write_bytes(field_path(folder, 0).read_bytes()[:-500])
    with pytest.raises(InputError, match="truncated or damaged"):
        load(tmp_path, config, 0)
    path.write_bytes(field_path(folder, 1).read_bytes())
    with pytest.raises(InputError, match="another simulation"):
        load(tmp_path, config, 0)


def test_maps_are_means_over_slabs_seen_along_each_axis(folder):
    found = load(folder, FieldsConfig(**SMALL), 0)
    maps = slabs(found, 4)
    assert maps.shape == (12, 16, 16)
    np.testing.assert_allclose(maps[1], found[4:8].mean(axis=0) - 1, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps[4 + 2], found[:, 8:12].mean(axis=1) - 1, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(maps[8 + 3], found[:, :, 12:].mean(axis=2) - 1, rtol=1e-4, atol=1e-6)
    for axis in range(3):
        assert maps[4 * axis : 4 * axis + 4].mean() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(coarse(found, 8)[1, 2, 3], found[2:4, 4:6, 6:8].mean() - 1, rtol=1e-4)
    for wrong in (lambda: slabs(found, 5), lambda: coarse(found, 5)):
        with pytest.raises(InputError, match="divide"):
            wrong()


def test_smoothing_takes_of_a_wave_what_theory_says():
    wave = 2 * np.pi * np.array([1, 2, 0]) / 50.0
    phase = np.einsum("i,ijkl->jkl", wave, np.indices([16] * 3) * 50.0 / 16)
    found = smoothed(1 + 0.1 * np.cos(phase).astype(np.float32), 50.0, 4.0)
    expected = 1 + 0.1 * np.exp(-0.5 * (wave @ wave) * 4.0**2) * np.cos(phase)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert smoothed(found, 50.0, 0.0) is found


@pytest.mark.parametrize("dimensions", [2, 3])
def test_turned_fields_have_the_same_values_and_the_same_power(dimensions):
    rng = np.random.default_rng(0)
    fields = rng.normal(size=(40, *[6] * dimensions)).astype(np.float32)
    turned = Turned(fields, np.random.default_rng(1))
    found = turned[np.arange(40)]
    np.testing.assert_array_equal(np.sort(found.reshape(40, -1)), np.sort(fields.reshape(40, -1)))
    axes = tuple(range(1, dimensions + 1))
    power = [np.sort(np.abs(np.fft.fftn(one, axes=axes)).reshape(40, -1)) for one in (found, fields)]
    np.testing.assert_allclose(*power, rtol=1e-3, atol=1e-4)
    assert not np.array_equal(found, fields)
    np.testing.assert_array_equal(turned[5:9], found[5:9])
    again = Turned(fields, np.random.default_rng(1))[np.arange(40)]
    np.testing.assert_array_equal(again, found)


@pytest.mark.parametrize(
    ("source", "shape", "each"), [("field-maps", (16, 16), 12), ("field-cubes", (8, 8, 8), 1)], ids=["maps", "cubes"]
)
def test_rows_are_split_by_simulation(folder, source, shape, each):
    own = {"slabs": 4} if source == "field-maps" else {"cells": 8}
    data = get_dataset(source, train=4, validation=2, test=2, design=SMALL, path=str(folder), on_missing="fail", **own)
    rows = {split: data.rows(split) for split in ("train", "validation", "test")}
    assert [len(one) for one in rows.values()] == [4 * each, 2 * each, 2 * each]
    groups = [set(one.group) for one in rows.values()]
    assert groups == [{0, 1, 2, 3}, {4, 5}, {6, 7}]
    design = FieldsConfig(**SMALL).design()
    for one in rows.values():
        assert one.inputs["overdensity"][:2].shape == (2, *shape)
        np.testing.assert_allclose(one.target, design[one.group], rtol=1e-6)
        np.testing.assert_allclose(one.truth["sigma8"], design[one.group, 1], rtol=1e-6)
    first, second = (data.rows("train", epoch).inputs["overdensity"][:] for epoch in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(data.rows("train", 0).inputs["overdensity"][:], first)
    np.testing.assert_array_equal(data.rows("test", 1).inputs["overdensity"], rows["test"].inputs["overdensity"])


def test_pairs_are_what_a_flow_takes(folder):
    data = get_dataset("field-maps", train=4, validation=2, test=2, design=SMALL, path=str(folder), pairs=True)
    rows = data.rows("test")
    assert list(rows.inputs) == ["theta", "overdensity"]
    assert rows.target.shape == (24, 1)
    assert data.prior.names == ["omega_m", "sigma8"]
    ranked = stats.uniform(0.1, 0.4).cdf(rows.inputs["theta"][:, 0])
    assert ((ranked > 0) & (ranked < 1)).all()


def test_missing_simulations_and_too_many_are_refused(folder):
    with pytest.raises(InputError, match="at most 8 simulations"):
        get_dataset("field-maps", train=7, validation=1, test=1, design=SMALL)
    (folder / "more").mkdir()
    data = get_dataset("field-maps", train=4, validation=2, test=2, design=SMALL, path=str(folder / "more"), on_missing="fail")
    with pytest.raises(InputError, match=r"2 of 2 simulations are missing, the first is number 6: 'zoo simulate fields'"):
        data.rows("test")


def test_the_command_makes_what_recipes_look_for(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from zoo.cli import app
    from zoo.data.fields.simulate import cached_fields

    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    given = ["simulate", "fields", "--simulations", "4", "--particles", "8", "--box", "25", "--jobs", "1"]
    result = CliRunner().invoke(app, [*given, "--numbers", "1:3"])
    assert result.exit_code == 0, result.output
    config = FieldsConfig(simulations=4, particles=8, box=25.0)
    assert f"2 fields in {cached_fields(config)}" in result.output.replace("\n", "")
    assert load(cached_fields(config), config, 2).shape == (8, 8, 8)
    result = CliRunner().invoke(app, [*given, "--numbers", "0:1", "--cells", "10", "--steps", "3"])
    assert result.exit_code == 0, result.output
    config = FieldsConfig(simulations=4, particles=8, cells=10, box=25.0, steps=3)
    assert load(cached_fields(config), config, 0).shape == (10, 10, 10)
    for wrong in (["--numbers", "3:5"], ["--numbers", "2"], ["--particles", "9"], ["--cells", "9"]):
        refused = CliRunner().invoke(app, [*given, *wrong])
        assert refused.exit_code != 0


def test_summaries_take_the_place_of_fields_and_no_turn_changes_them(folder):
    rng = np.random.default_rng(0)
    fields = np.exp(rng.normal(size=(3, 64, 64))).astype(np.float32) - 1
    every = ["power", "bispectrum", "one-point", "peaks"]
    found = features(fields, 100.0, every)
    assert found.shape == (3, 60)
    assert found.dtype == np.float32
    np.testing.assert_allclose(features(Turned(fields, rng)[:], 100.0, every), found, rtol=1e-3, atol=1e-3)
    data = get_dataset("field-maps", train=4, validation=2, test=2, design=SMALL, path=str(folder), summary=["one-point"])
    maps = get_dataset("field-maps", train=4, validation=2, test=2, design=SMALL, path=str(folder)).rows("test")
    rows = data.rows("test")
    np.testing.assert_array_equal(rows.inputs["summary"], features(maps.inputs["overdensity"], 50.0, ["one-point"]))
    np.testing.assert_array_equal(rows.target, maps.target)
    for wrong in ([], ["powr"]):
        with pytest.raises(InputError, match="summary: expected some of power, bispectrum, one-point, peaks"):
            features(fields, 100.0, wrong)


def test_what_another_process_made_meanwhile_is_not_made_again(tmp_path, monkeypatch):
    made, elsewhere = [], field_path(tmp_path, 1)

    def slow(config, number):
        made.append(number)
        elsewhere.write_bytes(b"by another process")
        return np.ones((16, 16, 16), np.float32)

    monkeypatch.setattr("zoo.data.fields.simulate.density", slow)
    simulate(tmp_path, FieldsConfig(**SMALL), [0, 1], jobs=1)
    assert made == [0]
    assert elsewhere.read_bytes() == b"by another process"
