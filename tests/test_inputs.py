"""The check of inputs at sizes where it takes another way: wide and narrow, small and large."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.model.axes import fixed_axes
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, Tensor


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
