"""Ranges measured on training rows: of real elements, for each element of a fixed last axis, never inside the rows."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from zoo.errors import ZooError
from zoo.model.axes import Axis
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, Tensor
from zoo.workflows.trained_ranges import trained_range, widened, with_ranges

PARTICLE = Axis(name="particle", least=1, most=9)
CLOUD = Endpoint(
    description="a cloud",
    inputs=[
        Tensor(name="p", axes=[PARTICLE, Axis(name="feature", size=2)], unit="GeV", description="momenta", mask="real"),
        Tensor(name="real", axes=[PARTICLE], dtype="bool", unit="1", description="which are real"),
        Tensor(name="first", axes=[], dtype="int64", unit="1", description="position", index_of="particle"),
        Tensor(name="pt", axes=[PARTICLE], unit="GeV", description="transverse momenta", mask="real"),
    ],
    outputs=[Tensor(name="y", unit="1", description="answer")],
)


def test_real_elements_give_the_range_and_masks_and_positions_have_none():
    real = np.arange(4) < np.array([[2], [4]])
    p = np.where(real[:, :, None], np.random.default_rng(0).uniform([1, -3], [5, 3], (2, 4, 2)), -999).astype(np.float32)
    rows = {"p": p, "real": real, "first": np.array([0, 3]), "pt": p[..., 0]}
    momenta, mask, first, pt = with_ranges({"predict": CLOUD}, rows)["predict"].inputs
    assert len(momenta.low) == len(momenta.high) == 2
    assert min(momenta.low) > -6
    assert mask.unbounded
    assert first.unbounded
    assert pt.low == pytest.approx(momenta.low[0])
    described = Endpoint(description="", inputs=[momenta, mask, first, pt], outputs=CLOUD.outputs)
    InputCheck(described)(rows)


@pytest.mark.parametrize(("low", "high"), [(273.149, 273.151), (2450000.0, 2450010.0), (-1e-45, 3e-45), (0.0, 1.0), (7.0, 7.0)])
def test_no_row_lies_outside_its_own_range(low, high):
    lower, upper = (bound[0] for bound in widened(np.array([low]), np.array([high])))
    assert lower <= low
    assert upper >= high
    assert upper - lower == pytest.approx(1.5 * (high - low), rel=1e-3)


def test_a_range_of_one_number_and_of_an_element():
    one = Tensor(name="x", unit="1", description="one number", dtype="float64")
    assert trained_range(one, np.array([0.0, 4.0])) == (-1.0, 5.0)
    vector = one.model_copy(update={"axes": [Axis(name="element", size=2)]})
    assert trained_range(vector, np.array([[0.0, 1.0], [4.0, 1.0]])) == ([-1.0, 1.0], [5.0, 1.0])


def test_a_recipe_of_ones_own_takes_no_released_name(tmp_path):
    pytest.importorskip("keras")
    from zoo.training.recipe import load_recipe
    from zoo.workflows.release import release

    recipe = load_recipe("nsf-two-moons").model_dump(mode="json", exclude_none=True)
    for name, folder, words in (("ive-pendulum", tmp_path / "x", "is a released model"), ("mine", None, "folder=DIR")):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**recipe, "name": name}))
        with pytest.raises(ZooError, match=words):
            release(load_recipe(tmp_path / "mine.yaml"), tmp_path / "run", folder)
