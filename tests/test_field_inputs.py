"""What is handed to the released networks of fields in place of an overdensity is refused, and says why."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zoo.errors import InputError
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
