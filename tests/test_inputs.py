"""The check of inputs at sizes where it takes another way: wide and narrow, small and large."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.model.axes import Axis, fixed_axes
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, Tensor
from zoo.model.whole_numbers import rounded


def check(width: int, bounds: str) -> InputCheck:
    high = {"none": None, "one": 10.0, "each": [10.0] * width}[bounds]
    low = None if high is None else -10.0  # one beside many
    tensor = Tensor(name="x", axes=fixed_axes("x", [2, width]), unit="K", description="x", low=low, high=high)
    return InputCheck(Endpoint(description="for the test", inputs=[tensor], outputs=[tensor]))


@pytest.mark.parametrize("bounds", ["none", "one", "each"])
@pytest.mark.parametrize("width", [3, 100])
@pytest.mark.parametrize("rows", [0, 1, 400, 8000])
def test_every_element_is_looked_at(rows: int, width: int, bounds: str) -> None:
    checked = check(width, bounds)
    array = np.random.default_rng(0).uniform(-10, 10, (rows, 2, width)).astype(np.float32)
    assert checked({"x": array})["x"] is array
    for place in {0, array.size // 3, array.size - 1} if rows else ():
        for value, words in ((np.nan, "NaN"), (-np.inf, "infinite"), (10.5, "outside"), (-10.5, "outside")):
            wrong = array.copy()
            wrong.flat[place] = value
            at = ", ".join(map(str, np.unravel_index(place, array.shape)))
            if words == "outside" and bounds == "none":
                checked({"x": wrong})
                continue
            with pytest.raises(InputError, match=rf"{words}.*\({at}\)"):
                checked({"x": wrong})


def test_positions_may_count_along_an_axis_that_only_the_answer_has() -> None:
    chosen = Tensor(
        name="chosen", axes=fixed_axes("chosen", [2]), dtype="int64", unit="1", description="places", index_of="y_0"
    )
    answer = Tensor(name="y", axes=fixed_axes("y", [4]), unit="1", description="places that were chosen")
    checked = InputCheck(Endpoint(description="for the test", inputs=[chosen], outputs=[answer]))
    assert checked({"chosen": [[0, 3]]})["chosen"].dtype == np.int64
    with pytest.raises(InputError, match=r"expected positions from 0 to 3 along the axis 'y_0', given 4 at \(0, 1\)"):
        checked({"chosen": [[0, 4]]})


@pytest.mark.parametrize(
    ("dtype", "good", "bad", "words"),
    [
        ("float64", [1], [True], "expected dtype float64, given bool"),
        ("float32", [3e38], [1.0, 1e40], r"expected numbers that float32 holds, given 1e\+40 at \(1,\): check the unit"),
        ("int32", [7], [7.0], "expected dtype int32, given float64"),
        ("int32", [7], [2**40], "numbers that it cannot hold"),
        ("int64", [2**40], ["7"], "expected dtype int64, given <U1"),
        ("bool", [True], [1], "expected dtype bool, given int64"),
    ],
)
def test_numbers_of_another_kind_are_refused(dtype: str, good: list[object], bad: list[object], words: str) -> None:
    tensor = Tensor(name="x", dtype=dtype, unit="1", description="x")
    checked = InputCheck(Endpoint(description="for the test", inputs=[tensor], outputs=[tensor]))
    assert checked({"x": good})["x"].dtype == np.dtype(dtype)
    with pytest.raises(InputError, match=words):
        checked({"x": bad})


def test_a_truth_value_of_another_byte_is_refused() -> None:
    tensor = Tensor(name="x", dtype="bool", unit="1", description="x")
    checked = InputCheck(Endpoint(description="for the test", inputs=[tensor], outputs=[tensor]))
    with pytest.raises(InputError, match="bytes other than 0 and 1"):
        checked({"x": np.array([1, 2], np.uint8).view(bool)})


def test_codes_are_those_that_are_listed_wherever_they_are_real() -> None:
    axes = [Axis(name="particle", least=1, most=9)]
    real = Tensor(name="real", axes=axes, dtype="bool", unit="1", description="which are real")
    code = Tensor(name="code", axes=axes, dtype="int32", unit="1", description="codes", values=[22, -211, 211], mask="real")
    checked = InputCheck(Endpoint(description="for the test", inputs=[code, real], outputs=[code]))
    given = {"code": np.array([[211, 22, 0], [-211, 7, 2**30]], "i4"), "real": np.array([[1, 1, 0], [1, 0, 0]], bool)}
    assert checked(given)["code"] is given["code"]
    for value in (-212, 0, 23, 2**31 - 1, -(2**31)):
        given["code"][0, 1] = value
        with pytest.raises(InputError, match=rf"1 values .* first at \(0, 1\): expected one of -211, 22, 211, given {value};"):
            checked(given)
        assert checked(given, allow_out_of_range=True)["code"][0, 1] == value
    assert checked({name: array[:0] for name, array in given.items()})["code"].shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dtype": "float32"}, "int32 or int64, not float32"),
        ({"low": 0}, "values, a range or index_of, given two of them"),
        ({"index_of": "x"}, "values, a range or index_of, given two of them"),
        ({"values": []}, "at least 1 item"),
        ({"values": [2**31]}, "values that int32 holds"),
    ],
)
def test_lists_of_values_that_cannot_be_meant(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Tensor(**{"name": "x", "dtype": "int32", "unit": "1", "description": "x", "values": [1]} | changes)


def test_counts_are_whole_wherever_they_are_handed_in() -> None:
    """A rate in place of a count gets the density of the noise that counts were spread by, and no word."""
    axes = [Axis(name="datum", size=3, labels=["hits", "time", "misses"])]
    x = Tensor(name="x", axes=axes, unit="1", description="x", whole=[0, 2])
    checked = InputCheck(Endpoint(description="for the test", inputs=[x], outputs=[x]))
    given = np.array([[3, 0.5, 0], [4, 0.25, 2]], "f4")
    assert checked({"x": given})["x"] is given
    given[1, 2] = 2.5
    with pytest.raises(InputError, match=r"expected whole numbers, .* of misses, given 2.5 at \(1, 2\): .*allow_out_of_range"):
        checked({"x": given})
    assert checked({"x": given}, allow_out_of_range=True)["x"][1, 2] == 2.5
    given[1, 2] = np.nan
    assert np.isnan(checked({"x": given}, allow_nonfinite=True)["x"][1, 2])
    np.testing.assert_array_equal(rounded(x, np.array([[2.6, 0.6, -1.2]])), [[3, 0.6, -1]])


@pytest.mark.parametrize("changes", [{"dtype": "int32"}, {"whole": [2]}, {"whole": [1, 0]}, {"whole": []}, {"axes": []}])
def test_whole_numbers_that_cannot_be_meant(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="whole"):
        Tensor(**{"name": "x", "axes": fixed_axes("x", [2]), "unit": "1", "description": "x", "whole": [0, 1]} | changes)
