"""What is handed to the released networks of fields in place of an overdensity is refused, and says why."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from command_line import ok, refused

from zoo.errors import InputError
from zoo.model.array_files import read_inputs
from zoo.model.reference_file import read_reference
from zoo.model.spec import TEST_TENSORS
from zoo.model.store import locate
from zoo.model.summaries import SUMMARIES
from zoo.model.test_tensors import read_npz
from zoo.serving import Session

RNG = np.random.default_rng(0)


def with_hole(fields: np.ndarray, value: float) -> np.ndarray:
    """Fields whose first tenth, or so, of each side holds one value."""
    found = fields.copy()
    found[(slice(None), *[slice(0, fields.shape[1] // 3)] * (fields.ndim - 1))] = value
    return found


WRONG = {
    "the density": lambda x: 1 + x,
    "counts": lambda x: RNG.poisson(4 * (1 + x)).astype(np.float32),
    "the logarithm": lambda x: np.log10(1 + x + 1e-3),
    "noise": lambda x: np.maximum(x + 0.3 * RNG.standard_normal(x.shape), -1),
    "cells half as wide": lambda x: np.repeat(np.repeat(x, 2, axis=1), 2, axis=2)[:, :64, :64],
    "shuffled cells": lambda x: RNG.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape),
    "nothing": np.zeros_like,
    "a hole of nothing": lambda x: with_hole(x, -1.0),
    "a hole of the mean": lambda x: with_hole(x, 0.0),
}


@pytest.mark.parametrize("name", ["cnn2d-cosmology", "cnn3d-cosmology"])
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_overdensity_of_matter_is_refused(name, wrong):
    fields = read_npz(locate(name).path(TEST_TENSORS))["predict/in/overdensity"]
    with pytest.raises(InputError, match="outside the trained range"):
        Session(name).run({"overdensity": WRONG[wrong](fields).astype(np.float32)})


@pytest.mark.parametrize("name", ["cnn2d-cosmology", "cnn3d-cosmology"])
def test_masked_and_missing_cells_are_refused(name):
    fields = read_npz(locate(name).path(TEST_TENSORS))["predict/in/overdensity"][:2]
    holes = fields.copy()
    holes[0, 3] = np.nan
    for given in (holes, np.ma.masked_invalid(holes)):
        with pytest.raises(InputError, match="overdensity"):
            Session(name).run({"overdensity": given})


@pytest.fixture(scope="module")
def posterior():
    """What a posterior knows of the maps that it was trained on, and some of them."""
    folder = locate("maf-field-posterior")
    return read_reference(folder), read_npz(folder.path(TEST_TENSORS))["sample/in/overdensity"]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_posterior_is_of_no_other_maps(posterior, wrong):
    reference, maps = posterior
    with pytest.raises(InputError, match="16 of 16 observations are unlike the 19,200 simulations"):
        reference.expect_like(WRONG[wrong](maps).astype(np.float32))
    one = WRONG[wrong](maps[:1]).astype(np.float32)
    with pytest.raises(InputError, match="overdensity is unlike"):
        reference.expect_like(one)


def test_maps_of_matter_are_like_those_of_the_training(posterior):
    reference, maps = posterior
    assert reference.told(reference.expect_like(maps)) is None


def test_an_older_reference_of_fields_compares_what_it_knows(posterior):
    reference, maps = posterior
    number = len(SUMMARIES)
    parts = {name: getattr(reference, name) for name in ("low", "high", "center", "scale", "mean")}
    older = replace(
        reference,
        **{name: value[:number] for name, value in parts.items()},
        inverse=reference.inverse[:number, :number],
        ends=reference.ends[:, :number],
    )
    with pytest.raises(InputError, match="overdensity is unlike"):
        older.expect_like(1 + maps[:1])
    assert older.compare(maps).values.shape == (16, number)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    maps = read_npz(locate("cnn2d-cosmology").path(TEST_TENSORS))["predict/in/overdensity"][:3]
    np.save(folder / "maps.npy", maps)
    np.save(folder / "one.npy", maps[0])
    np.savez(folder / "one.npz", overdensity=maps[0])
    return folder


class TestOneMapAndSeveral:
    """One map is an observation and several are rows: whoever takes the one option for the other is told of it."""

    @pytest.mark.parametrize(("command", "name"), [("predict", "one.npy"), ("predict", "one.npz"), ("explain", "one.npy")])
    def test_one_map_as_rows(self, folder, command, name):
        said = refused(command, "cnn2d-cosmology", "--input", folder / name)
        assert (
            "expected rows of overdensity, of shape (batch, y 64-512, x 64-512), given shape (64, 64): give one row alone as"
            f" --observation {folder / name}, or with a first axis of length 1"
        ) in " ".join(said.split())

    @pytest.mark.parametrize("command", ["predict", "explain"])
    def test_several_maps_as_an_observation(self, folder, command):
        said = refused(command, "cnn2d-cosmology", "--observation", folder / "maps.npy")
        assert (
            "expected one overdensity of shape (y 64-512, x 64-512), given float32 of shape (3, 64, 64); several rows are given"
            f" as --input {folder / 'maps.npy'}"
        ) in " ".join(said.split())

    def test_in_python(self, folder):
        with pytest.raises(InputError, match=r"as observation=read_observation\(spec, '.*one\.npy'\), or with a first axis"):
            read_inputs(locate("cnn2d-cosmology"), "predict", folder / "one.npy")

    def test_what_is_told_is_answered(self, folder):
        observed = json.loads(ok("predict", "cnn2d-cosmology", "--observation", folder / "one.npy", "--json"))
        rows = json.loads(ok("predict", "cnn2d-cosmology", "--input", folder / "maps.npy", "--json"))
        np.testing.assert_allclose(observed["answers"]["mean"][0], rows["mean"][0], rtol=1e-5)
