"""One row whose numbers have names is taken by them, whatever it is a row of; never by place."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest
from tiny_flows import build

from zoo.errors import InputError, UnknownNameError
from zoo.model.axes import Axis
from zoo.model.handed_in.tables import is_row
from zoo.model.handed_in.tensors import array_of, rows_of
from zoo.model.inputs import InputCheck
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

pd = pytest.importorskip("pandas")
xarray = pytest.importorskip("xarray")
units = pytest.importorskip("astropy.units")
from astropy.table import QTable, Table  # noqa: E402

AXIS = Axis(name="datum", size=2, labels=["d", "period"], units=["1", "s"])
X = Tensor(name="x", axes=[AXIS], unit="d in 1, period in s", description="data", low=[-100.0, -100.0], high=[100.0, 2000.0])
EXPECTED = [[0.3, 90.0]]
ARRAY = np.array([(9.0, 7.0, 8.0), (90.0, 0.3, 2.0)], [("period", "f8"), ("d", "f8"), ("other", "f8")])
TABLE = {"period": [9.0, 90.0], "other": [8.0, 2.0], "d": [7.0, 0.3]}
IN_MINUTES = Table(TABLE)
IN_MINUTES["period"] = [0.15, 1.5] * units.min


def awkward_record():
    return pytest.importorskip("awkward").Array([{"period": 90.0, "d": 0.3}])[0]


def pyarrow_row():
    return pytest.importorskip("pyarrow").table(TABLE).to_pylist()[1]


ROWS = {
    "dict": lambda: {"period": 90.0, "d": 0.3},
    "dict beside what is no number": lambda: {"star": "HD 1", "period": 90, "d": np.float32(0.3), "edges": np.arange(4)},
    "dict of quantities": lambda: {"period": 1.5 * units.min, "d": 30 * units.percent},
    "series": lambda: pd.DataFrame(TABLE).iloc[1],
    "series of objects": lambda: pd.DataFrame(TABLE).assign(star="HD 1").iloc[1],
    "named tuple": lambda: next(pd.DataFrame(TABLE).iloc[1:].itertuples()),
    "structured": lambda: ARRAY[1],
    "structured without an axis": lambda: np.array(ARRAY[1]),
    "record": lambda: ARRAY.view(np.recarray)[1],
    "masked structured": lambda: np.ma.array(ARRAY)[1],
    "astropy, units of the table": lambda: IN_MINUTES[1],
    "astropy, quantities": lambda: QTable(IN_MINUTES)[1],
    "xarray": lambda: xarray.Dataset({name: ("star", column) for name, column in TABLE.items()}).isel(star=1),
    "awkward": awkward_record,
    "pyarrow": pyarrow_row,
}
"""One row of ``TABLE``, its columns in another order than the tensor's."""


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_by_name_and_in_the_unit_of_the_spec(row):
    given = row()
    assert is_row(given)
    array, several = rows_of(given, X)
    np.testing.assert_allclose(array, EXPECTED, rtol=1e-6)
    assert not several
    check = InputCheck(Endpoint(description="", inputs=[X], outputs=[X]))
    np.testing.assert_allclose(check(given)["x"], EXPECTED, rtol=1e-6)  # as a batch of one
    np.testing.assert_allclose(check({"x": given})["x"], EXPECTED, rtol=1e-6)


def test_of_xarray_its_unit_counts():
    values = {"d": xarray.DataArray(0.3), "period": xarray.DataArray(1.5, attrs={"units": "min"})}
    np.testing.assert_allclose(rows_of(xarray.Dataset(values), X)[0], EXPECTED)


def test_of_xarray_labels_along_an_axis_are_names():
    labels = {"datum": ["period", "d"], "star": [5, 6]}
    stars = xarray.DataArray([[9.0, 7.0], [90.0, 0.3]], coords=labels, dims=("star", "datum"))
    array, several = rows_of(stars, X)
    np.testing.assert_array_equal(array, [[7.0, 9.0], [0.3, 90.0]])
    assert several
    array, several = rows_of(stars.sel(star=6), X)
    np.testing.assert_array_equal(array, EXPECTED)
    assert not several
    bare = X.model_copy(update={"axes": [Axis(name="datum", size=2)], "low": None, "high": None})
    np.testing.assert_array_equal(rows_of(stars, bare)[0], stars.values)  # of which no names are known


def test_several_rows_are_not_one():
    for given in (TABLE, pd.DataFrame(TABLE), ARRAY, Table(TABLE), {"x": [[7.0, 9.0], [0.3, 90.0]]}):
        array, several = rows_of(given, X)
        np.testing.assert_array_equal(array, [[7.0, 9.0], [0.3, 90.0]])
        assert several
    for given in (EXPECTED[0], {"x": EXPECTED[0]}, {"x": EXPECTED[0], "star": 7}):
        array, several = rows_of(given, X)
        np.testing.assert_array_equal(array, EXPECTED)
        assert not several


def test_a_list_of_rows_is_taken_by_name():
    frame = pd.DataFrame(TABLE)
    for given in (frame.to_dict("records"), list(frame.itertuples()), list(ARRAY), [row for _, row in frame.iterrows()]):
        array, several = rows_of(given, X)
        np.testing.assert_array_equal(array, [[7.0, 9.0], [0.3, 90.0]])
        assert several
    with pytest.raises(UnknownNameError, match=r"no column of input 'x', row 1 named 'd'"):
        rows_of([{"d": 0.3, "period": 90.0}, {"period": 91.0}], X)
    with pytest.raises(InputError, match=r"row 1: expected numbers by name, as the rows before, given list"):
        rows_of([{"d": 0.3, "period": 90.0}, [0.3, 91.0]], X)


def test_a_tree_of_root_is_a_table(tmp_path):
    uproot = pytest.importorskip("uproot")
    with uproot.recreate(tmp_path / "t.root") as file:
        file["stars"] = {name: np.array(column) for name, column in TABLE.items()}
    with uproot.open(tmp_path / "t.root") as file:
        np.testing.assert_array_equal(rows_of(file["stars"], X)[0], [[7.0, 9.0], [0.3, 90.0]])


def test_other_names_are_refused_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no column of input 'x' named 'period'; did you mean Periode"):
        rows_of({"d": 0.3, "Periode": 90.0}, X)
    for given in ({"D": 0.3, "PERIOD": 90.0}, pd.Series({"D": 0.3, "PERIOD": 90.0})):
        with pytest.raises(InputError, match=r"given the columns D, PERIOD; did you mean D for d, PERIOD for period\?"):
            rows_of(given, X)
    with pytest.raises(InputError, match="given shapes"):
        rows_of({"d": 0.3, "period": [90.0, 91.0]}, X)
    with pytest.raises(InputError, match="two columns are named 'd'"):
        rows_of(pd.Series([1.0, 2.0, 3.0], index=["d", "period", "d"]), X)
    with pytest.raises(InputError, match="expected s, given m, between"):
        rows_of({"d": 0.3, "period": 1 * units.m}, X)


def test_what_is_missing_in_a_row_is_refused():
    for given in ({"d": None, "period": 90.0}, pd.Series({"d": pd.NA, "period": 90.0}), {"d": np.ma.masked, "period": 90.0}):
        with pytest.raises(InputError, match="1 values of column d are missing, the first in row 0"):
            rows_of(given, X)
        np.testing.assert_array_equal(rows_of(given, X, allow_missing=True)[0], [[np.nan, 90.0]])
    hidden = np.ma.array(ARRAY, mask=[(False, False, False), (False, True, False)])[1]
    with pytest.raises(InputError, match="1 values of column d are missing"):
        rows_of(hidden, X)


def test_a_labeled_series_is_a_column_where_a_tensor_holds_single_numbers():
    time = Tensor(name="time", unit="s", description="when")
    series = pd.Series({"a": 1.0, "b": 2.0})
    np.testing.assert_array_equal(array_of(series, time), [1.0, 2.0])


Pair = namedtuple("Pair", "period d")


@pytest.fixture
def flow():
    flow, _, _ = build("maf", "conditional", dimensions=2, transforms=1)
    axis = Axis(name="parameter", size=2, labels=["a", "b"])
    theta, z = (Tensor(name=name, axes=[axis], unit="1", description="") for name in ("theta", "z"))
    density = Tensor(name="log_prob", unit="1", description="")
    flow.spec = ModelSpec(
        name="tiny",
        family="maf",
        config={},
        task="posterior-estimation",
        summary="",
        endpoints={
            "log_prob": Endpoint(description="", inputs=[theta, X], outputs=[density]),
            "sample": Endpoint(description="", inputs=[z, X], outputs=[theta]),
        },
        data=Data(source="none", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0.1.0",
    )
    return flow


def test_a_flow_is_given_one_observation_by_name(flow):
    drawn = flow.draw(5, [0.3, 90.0])
    for given in ({"period": 90.0, "d": 0.3}, Pair(d=0.3, period=90.0), ARRAY[1], IN_MINUTES[1], {"x": [0.3, 90.0]}):
        found = flow.draw(5, given)
        assert found.shape == (5, 2)
        np.testing.assert_allclose(found, drawn, rtol=1e-5)
    assert flow.draw(5, TABLE).shape == (2, 5, 2)
    density = flow.log_density([[0.1, 0.2]], [0.3, 90.0])
    np.testing.assert_allclose(flow.log_density({"b": 0.2, "a": 0.1}, {"period": 90.0, "d": 0.3}), density, rtol=1e-5)
    with pytest.raises(InputError, match="one context for all 3 rows, or one for each, given 2"):
        flow.log_density(np.zeros((3, 2)), TABLE)
