"""Axes of the released models: their names are the recipes', what their elements stand for is their data sets'."""

from __future__ import annotations

import json

import numpy as np
import pytest
from released_models import RELEASED

import zoo
from zoo.data.cmb.binning import SLICES, joint_multipoles
from zoo.data.dataset import DATASETS
from zoo.model.axes import Axis, Coordinates
from zoo.model.registry import RELEASED as FOLDERS
from zoo.model.spec import SPEC, Endpoint, Tensor
from zoo.training.recipe import load_recipe
from zoo.workflows.described import with_axes


@pytest.mark.parametrize("name", RELEASED)
def test_axes_are_those_of_the_recipe_and_its_data(name):
    recipe, spec = load_recipe(name), zoo.get_spec(name)
    assert spec.data.parameters == recipe.data.parameters
    known = getattr(DATASETS.get(recipe.data.source), "axes", {})
    filled = with_axes(recipe.endpoints, known if isinstance(known, dict) else {})
    for endpoint, described in spec.endpoints.items():
        for found, expected in zip(described.tensors, filled[endpoint].tensors, strict=True):
            assert [axis.name for axis in found.axes] == [axis.name for axis in expected.axes]
            if isinstance(known, dict):
                assert found.axes == expected.axes


@pytest.mark.parametrize("name", RELEASED)
def test_a_list_of_numbers_stands_in_ranges_alone(name):
    """What has a number for each element would make model.json long, and lists of models slow."""
    text = (FOLDERS / name / SPEC).read_text()
    for endpoint in json.loads(text)["endpoints"].values():
        for tensor in (*endpoint["inputs"], *endpoint["outputs"]):
            assert not any(isinstance(tensor.get(bound), list) for bound in ("low", "high"))
    assert len(text) < 50_000


def test_a_spectrum_knows_its_multipoles_and_channels():
    (axis,) = zoo.get_spec("mlp-cmb-feature").endpoint("predict").inputs[0].axes
    np.testing.assert_array_equal(axis.coordinates.values, joint_multipoles())
    assert axis.groups == {channel: (part.start, part.stop) for channel, part in SLICES.items()}


def test_cubes_are_measured_from_their_middle():
    """A particle starts in cell 12, and a halo lies where the middle cells meet."""
    particle = zoo.get_spec("cnn3d-halo-mass").endpoint("predict").inputs[0].axes[0].coordinates
    assert (particle.values[12], particle.values[13], particle.unit) == (0.0, 0.78125, "Mpc/h")
    for name, cell, unit in (("ive-halo-profile-3", 0.25, "R200m"), ("ive-synthetic-halo", 0.2, "Mpc/h")):
        halo = zoo.get_spec(name).endpoint("encode").inputs[0].axes[0].coordinates
        assert halo.unit == unit
        np.testing.assert_allclose(halo.values[11:13], [-cell / 2, cell / 2], rtol=1e-12, atol=1e-12)


def test_parameters_have_names_and_units_and_their_noise_has_none():
    sample = zoo.get_spec("nsf-cmb-posterior").endpoint("sample")
    theta = sample.outputs[0].axes[0]
    assert theta.labels == ["H0", "ombh2", "omch2", "tau", "ns", "ln10As"]
    assert sample.outputs[0].unit_of([0]) == "km/s/Mpc"
    noise = sample.inputs[0].axes[0]
    assert (noise.name, noise.labels, noise.units) == ("noise", None, None)


def test_what_a_recipe_says_of_an_axis_stays():
    def endpoint(**said: object) -> dict[str, Endpoint]:
        tensor = Tensor(name="x", axes=[Axis(name="time", size=2, **said)], unit="1", description="x")
        return {"predict": Endpoint(description="p", inputs=[tensor], outputs=[tensor])}

    known = {"time": Axis(name="time", size=2, labels=["a", "b"], coordinates=Coordinates(values=[0, 1], unit="s"))}
    (axis,) = with_axes(endpoint(labels=["first", "last"]), known)["predict"].inputs[0].axes
    assert (axis.labels, axis.coordinates) == (["first", "last"], known["time"].coordinates)
    with pytest.raises(ValueError, match="axis time: 2 elements in the recipe, 3 elements in its data set"):
        with_axes(endpoint(), {"time": Axis(name="time", size=3)})
