"""What a user hands in: masks, units and columns of whatever library are read as they were meant, or refused by name."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from set_models import JETS, MODELS

import zoo
from zoo.errors import InputError, UnknownNameError, ZooError
from zoo.model.axes import Axis
from zoo.model.handed_in.tensors import numbers_alone
from zoo.model.handed_in.units import astropy_unit, converter
from zoo.model.inputs import InputCheck
from zoo.model.spec import Endpoint, Tensor
from zoo.serving import Session

units = pytest.importorskip("astropy.units")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")
from astropy.table import MaskedColumn, QTable, Table  # noqa: E402
from astropy.time import Time  # noqa: E402
from astropy.utils.masked import Masked  # noqa: E402

LABELS = ["H0", "ombh2", "omch2"]
THETA = Tensor(
    name="theta",
    axes=[Axis(name="parameter", size=3, labels=LABELS, units=["km/s/Mpc", "1", "1"])],
    unit="H0 in km/s/Mpc, the others 1",
    description="parameters",
    low=[50.0, 0.0, 0.0],
    high=[90.0, 1.0, 1.0],
)
TIME = Tensor(name="time", axes=[Axis(name="query", size=1)], unit="s", description="when", low=0.0, high=100.0)
ENDPOINT = Endpoint(description="for the test", inputs=[THETA, TIME], outputs=[THETA])
CHECK = InputCheck(ENDPOINT)
TIMES = InputCheck(Endpoint(description="for the test", inputs=[TIME], outputs=[TIME]))
ROWS = np.array([[70.0, 0.02, 0.12], [60.0, 0.03, 0.11]], np.float32)
WHEN = np.array([[30.0], [90.0]], np.float32)


def time_of(given: object, **flags: bool) -> np.ndarray:
    return TIMES({"time": given}, **flags)["time"]


class TestMissing:
    """The number beneath a mask is never used."""

    GIVEN = {
        "numpy": lambda: np.ma.array([[1.0], [2.0]], mask=[[False], [True]]),
        "masked column": lambda: MaskedColumn([[1.0], [2.0]], mask=[[False], [True]]),
        "masked quantity": lambda: Masked([[1.0], [2.0]] * units.s, mask=[[False], [True]]),
        "pandas nullable": lambda: pd.DataFrame({"time": pd.array([1, None], dtype="Int64")}),
        "pandas float": lambda: pd.DataFrame({"time": [1.0, None]}),
        "pandas objects": lambda: pd.DataFrame({"time": pd.Series([1.0, None], dtype=object)}),
        "pandas over pyarrow": lambda: pd.DataFrame({"time": pd.array([1.0, None], dtype="double[pyarrow]")}),
        "pyarrow": lambda: pa.table({"time": pa.array([1, None])}),
        "astropy table": lambda: Table({"time": np.ma.array([1.0, -999.0], mask=[False, True])}),
        "astropy table of quantities": lambda: QTable({"time": Masked([1.0, -999.0] * units.s, mask=[False, True])}),
        "structured": lambda: np.ma.array([(1.0,), (-999.0,)], mask=[(False,), (True,)], dtype=[("time", "f8")]),
        "list": lambda: [[1.0], [None]],
    }

    @pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
    def test_missing_values_are_refused_by_row_and_let_through_as_nan(self, given):
        with pytest.raises(InputError, match=r"(1 values .*missing, the first in row 1|NaN)"):
            time_of(given())
        np.testing.assert_array_equal(time_of(given(), allow_nonfinite=True), [[1.0], [np.nan]])

    def test_the_column_is_named(self):
        theta = np.ma.array(ROWS, mask=[[0, 0, 0], [0, 0, 1]])
        with pytest.raises(InputError, match=r"input 'theta': 1 values are missing, the first in row 1, column omch2; allow_n"):
            CHECK({"theta": theta, "time": WHEN})
        frame = pd.DataFrame(ROWS, columns=LABELS).astype("Float64")
        frame.loc[0, "ombh2"] = pd.NA
        with pytest.raises(InputError, match="1 values of column ombh2 are missing, the first in row 0"):
            CHECK({"theta": frame, "time": WHEN})

    def test_nothing_missing_passes_with_a_mask(self):
        np.testing.assert_array_equal(time_of(np.ma.array(WHEN)), WHEN)
        np.testing.assert_array_equal(time_of(pd.DataFrame({"time": pd.array([30, 90], dtype="Int64")})), WHEN)

    def test_whole_numbers_and_truth_values_have_no_nan(self):
        for dtype, values in (("int64", [[1], [2]]), ("bool", [[True], [False]])):
            tensor = Tensor(name="x", axes=[Axis(name="one", size=1)], dtype=dtype, unit="1", description="x")
            check = InputCheck(Endpoint(description="", inputs=[tensor], outputs=[tensor]))
            with pytest.raises(InputError, match=r"missing, the first in row 1, element 0$"):
                check({"x": np.ma.array(values, mask=[[False], [True]])}, allow_nonfinite=True)

    def test_a_large_whole_number_is_not_rounded_on_the_way(self):
        tensor = Tensor(name="x", dtype="int64", unit="1", description="x")
        check = InputCheck(Endpoint(description="", inputs=[tensor], outputs=[tensor]))
        large = 2**53 + 1
        for given in (pd.Series([large], dtype="Int64"), pa.array([large]), np.ma.array([large])):
            assert check({"x": given})["x"][0] == large

    def test_a_list_of_what_has_masks_or_units_is_refused(self):
        for given in ([np.ma.array([1.0], mask=[True])], [1 * units.s, 2 * units.min], [[np.ma.masked]]):
            with pytest.raises(InputError, match="input 'time': expected an array, given a list of"):
                time_of(given)


class TestUnits:
    GIVEN = {
        "quantity": lambda: [[0.5], [1.5]] * units.min,
        "column": lambda: Table({"time": [0.5, 1.5] * units.min}),
        "quantities": lambda: QTable({"time": [0.5, 1.5] * units.min}),
        "one column": lambda: Table({"time": [[0.5], [1.5]] * units.min})["time"],
        "pyarrow": lambda: pa.table(
            [pa.array([0.5, 1.5])], schema=pa.schema([pa.field("time", pa.float64(), metadata={"unit": "min"})])
        ),
    }

    @pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
    def test_converted_to_the_unit_of_the_spec(self, given):
        np.testing.assert_array_equal(time_of(given()), WHEN)

    def test_of_pint(self):
        pint = pytest.importorskip("pint")
        registry = pint.UnitRegistry()
        np.testing.assert_array_equal(time_of(registry.Quantity(np.array([[0.5], [1.5]]), "minute")), WHEN)
        with pytest.raises(InputError, match="expected s, given m, between"):
            time_of(registry.Quantity(np.ones((2, 1)), "metre"))
        with pytest.raises(InputError, match="expected s, given 1, between"):
            time_of(registry.Quantity(np.ones((2, 1)), ""))
        with pytest.raises(InputError, match="missing"):
            time_of(registry.Quantity(np.ma.array([[1.0]], mask=[[True]]), "s"))

    def test_of_unyt_and_xarray(self):
        unyt, xarray = pytest.importorskip("unyt"), pytest.importorskip("xarray")
        np.testing.assert_array_equal(time_of(unyt.unyt_array([[0.5], [1.5]], "min")), WHEN)
        np.testing.assert_array_equal(time_of(xarray.DataArray([[0.5], [1.5]], attrs={"units": "min"})), WHEN)

    def test_of_hdf5(self, tmp_path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file["time"] = [[0.5], [1.5]]
            file["time"].attrs["units"] = "min"
            np.testing.assert_array_equal(time_of(file["time"]), WHEN)

    def test_another_dimension_is_refused_with_both_units(self):
        with pytest.raises(InputError, match=r"input 'time': expected s, given m, between which astropy\.units knows no way"):
            time_of([[1.0]] * units.m)
        with pytest.raises(InputError, match="the table: time: expected s, given m, between"):
            TIMES(QTable({"time": [1.0] * units.m}))
        with pytest.raises(InputError, match="given no dimension"):
            time_of([[1.0]] * units.one)

    def test_each_element_has_its_unit(self):
        table = QTable({"H0": [70.0, 60.0] * units.m / units.s / units.kpc, "ombh2": [2.0, 3.0] * units.percent})
        table["omch2"] = [0.12, 0.11]
        np.testing.assert_allclose(CHECK({"theta": table, "time": WHEN})["theta"], ROWS, rtol=1e-6)
        with pytest.raises(InputError, match=r"expected 1, given km / \(Mpc s\)"):
            CHECK({"theta": ROWS * units.km / units.s / units.Mpc, "time": WHEN})

    def test_conversion_is_in_double_precision(self):
        days = Tensor(name="t", dtype="float64", unit="s", description="t")
        check = InputCheck(Endpoint(description="", inputs=[days], outputs=[days]))
        exact = np.array([2459000.123456789])
        np.testing.assert_array_equal(check({"t": exact * units.d})["t"], (exact * units.d).to_value("s"))

    def test_the_reduced_hubble_constant_is_no_hour(self):
        from astropy.cosmology.units import littleh

        assert converter(units.kpc / littleh, ["Mpc/h"], "r")(np.array([1000.0])) == pytest.approx(1.0)
        assert converter("kpc / h", ["Mpc/h"], "r")(np.array([1000.0])) == pytest.approx(1.0)
        assert converter("kpc / littleh", ["Mpc/h"], "r")(np.array([1000.0])) == pytest.approx(1.0)
        assert converter("km / h", ["m/s"], "v")(np.array([3.6])) == pytest.approx(1.0)
        for given in (units.Mpc, units.Mpc / units.hour):
            with pytest.raises(InputError, match="expected Mpc/h, given Mpc"):
                converter(given, ["Mpc/h"], "r")

    def test_logarithms(self):
        from astropy.cosmology.units import littleh

        mass = units.Msun / littleh
        assert converter(mass, ["log10(Msun/h)"], "m")(np.array([1e14])) == pytest.approx(14.0)
        assert converter(units.dex(mass), ["log10(Msun/h)"], "m") is None
        assert converter("log10(Msun / h)", ["log10(Msun/h)"], "m") is None
        for given in (units.Msun, units.dex(units.Msun), units.one):
            with pytest.raises(InputError, match=r"expected log10\(Msun/h\), given"):
                converter(given, ["log10(Msun/h)"], "m")

    def test_every_unit_of_the_released_models_is_known_or_its_own_text(self):
        """What a spec says is itself, in astropy's words or as text, and nothing else is taken for it."""
        found: set[str] = set()
        for name in zoo.list_models():
            for endpoint in zoo.get_spec(name).endpoints.values():
                for tensor in endpoint.tensors:
                    axes = [unit for axis in tensor.axes for unit in axis.units or ()]
                    found |= {*axes, *([] if axes else [tensor.unit])}
        own = {unit for unit in found if not _known(unit)}
        assert own == {"R200m", "nat", "log10(1 + rho/mean)", "log10(rho/mean)"}
        for unit in found:
            assert converter(unit, [unit], "x") is None
            with pytest.raises(InputError, match="between which"):
                converter(units.cd, [unit], "x")
            if unit not in own:
                assert converter(astropy_unit(unit, True), [unit], "x") is None
        assert converter(units.mK**2, ["muK^2"], "x")(np.ones(1)) == pytest.approx(1e6)

    def test_without_astropy_the_same_text_will_do(self, monkeypatch):
        for name in [name for name in sys.modules if name.partition(".")[0] == "astropy"]:
            monkeypatch.setitem(sys.modules, name, None)
        assert converter("s", ["s"], "t") is None
        with pytest.raises(ZooError, match="pip install astropy"):
            converter("min", ["s"], "t")


def _known(unit: str) -> bool:
    try:
        astropy_unit(unit, True)
    except ValueError:
        return False
    return True


class TestTables:
    SHUFFLED = ["omch2", "time", "H0", "note", "ombh2"]

    @staticmethod
    def columns() -> dict[str, np.ndarray]:
        return {**dict(zip(LABELS, ROWS.T, strict=True)), "time": WHEN[:, 0], "note": np.array(["a", "b"])}

    KINDS = {
        "pandas": pd.DataFrame,
        "astropy": Table,
        "quantities": QTable,
        "pyarrow": pa.table,
        "polars": lambda columns: pytest.importorskip("polars").DataFrame(columns),
        "awkward": lambda columns: pytest.importorskip("awkward").Array({k: v for k, v in columns.items() if k != "note"}),
        "structured": lambda columns: np.rec.fromarrays(list(columns.values()), names=list(columns)),
        "plain structured": lambda columns: np.array(
            np.rec.fromarrays(list(columns.values()), names=list(columns)).tolist(),
            [(name, column.dtype) for name, column in columns.items()],
        ),
    }

    @pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
    def test_columns_are_taken_by_name(self, make):
        columns = self.columns()
        table = make({name: columns[name] for name in self.SHUFFLED})
        for given in (table, columns, {"theta": table, "time": WHEN}, {"theta": ROWS, "time": table}):
            found = CHECK(given)
            np.testing.assert_array_equal(found["theta"], ROWS)
            np.testing.assert_array_equal(found["time"], WHEN)

    def test_numbered_columns_and_those_with_the_name_of_the_tensor(self):
        frame = pd.DataFrame({"theta_2": ROWS[:, 2], "theta_0": ROWS[:, 0], "time": WHEN[:, 0], "theta_1": ROWS[:, 1]})
        np.testing.assert_array_equal(CHECK(frame)["theta"], ROWS)
        named = frame.rename(columns={f"theta_{i}": f"theta_{label}" for i, label in enumerate(LABELS)})
        np.testing.assert_array_equal(CHECK(named)["theta"], ROWS)
        np.testing.assert_array_equal(CHECK(Table({"time": WHEN, "theta": ROWS}))["theta"], ROWS)

    def test_columns_that_name_nothing_are_refused(self):
        with pytest.raises(
            InputError, match=r"expected a column theta or theta_0 to theta_2 or H0, ombh2, omch2 .*columns 0, 1, 2"
        ):
            CHECK({"theta": pd.DataFrame(ROWS), "time": WHEN})
        with pytest.raises(UnknownNameError, match="no column of input 'theta' named 'ombh2'"):
            CHECK({"theta": pd.DataFrame(ROWS, columns=["H0", "obh2", "omch2"]), "time": WHEN})
        with pytest.raises(InputError, match="two columns are named 'H0'"):
            CHECK({"theta": pd.DataFrame(ROWS, columns=["H0", "H0", "omch2"]), "time": WHEN})
        with pytest.raises(InputError, match=r"expected numbers in column ombh2, given .*, in row 0 'a'"):
            CHECK({"theta": pd.DataFrame({"H0": [70.0], "ombh2": ["a"], "omch2": [0.1]}), "time": WHEN})
        with pytest.raises(InputError, match="expected the inputs theta, time by name, or a table with columns, given ndarray"):
            CHECK(ROWS)

    def test_what_cannot_be_read_is_said(self):
        frame = pd.DataFrame({"time": pd.Series([pd.NA], dtype=object)})
        with pytest.raises(InputError, match="1 values of column time are missing, the first in row 0"):
            TIMES(frame)
        with pytest.raises(InputError, match="the table: column time: expected numbers, given Time"):
            TIMES(Table({"time": Time([2459000.5], format="jd")}))
        with pytest.raises(InputError, match="given a LazyFrame: collect it first"):
            TIMES(pytest.importorskip("polars").DataFrame({"time": [1.0]}).lazy())
        with pytest.raises(InputError, match="1 values are missing"):
            time_of(np.ma.masked)
        with pytest.raises(InputError, match=r"expected the inputs \['time'\], given \['tme'\]"):
            TIMES({"tme": WHEN})

    def test_a_range_is_checked_all_the_same(self):
        with pytest.raises(InputError, match=r"expected 50 to 90 km/s/Mpc, given 0\.7"):
            CHECK({"theta": pd.DataFrame(ROWS * [0.01, 1, 1], columns=LABELS), "time": WHEN})

    def test_flows(self, load):
        flow = load("nsf-cmb-posterior")
        with np.load(flow.folder.path("test_tensors.npz")) as rows:
            spectrum, theta = rows["log_prob/in/spectrum"], rows["log_prob/in/theta"]
        expected = flow.draw(5, spectrum[0])
        kelvin = (spectrum[0].astype(float) * units.uK**2).to(units.K**2)
        np.testing.assert_allclose(flow.draw(5, kelvin), expected, rtol=1e-4)
        frame = pd.DataFrame(spectrum[:1], columns=[f"spectrum_{i}" for i in range(215)]).iloc[:, ::-1]
        np.testing.assert_array_equal(flow.draw(5, frame)[0], expected)
        np.testing.assert_array_equal(flow.draw(5, frame.iloc[0]), expected)  # a row that still has its names
        for wrong in (0, -1, 2.5, True):
            with pytest.raises(InputError, match="n: expected a whole number of samples"):
                flow.draw(wrong, spectrum[0])
        with pytest.raises(InputError, match="1 values are missing"):
            flow.draw(5, np.ma.array(spectrum[0], mask=np.arange(215) == 7))
        labels = flow.spec.endpoint("log_prob").inputs[0].labels
        shuffled = pd.DataFrame(theta, columns=labels).iloc[:, ::-1]
        np.testing.assert_array_equal(flow.log_density(shuffled, spectrum), flow.log_density(theta, spectrum))


class TestRowsOfDifferentLengths:
    MOMENTA = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [], [[7.0, 8.0, 9.0]]]
    PADDED = np.array([[[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [0, 0, 0]], [[7, 8, 9], [0, 0, 0]]], np.float32)
    MASK = np.array([[True, True], [False, False], [True, False]])

    def columns(self, scale: float = 1.0) -> dict[str, list[list[float]]]:
        names = ("px", "py", "pz")
        return {name: [[scale * one[i] for one in row] for row in self.MOMENTA] for i, name in enumerate(names)}

    def test_are_padded_with_their_mask(self):
        awkward = pytest.importorskip("awkward")
        check = InputCheck(JETS.endpoint)
        rows = [np.array(row).reshape(-1, 3) for row in self.MOMENTA]
        table = pa.table(self.columns())
        for given in (table, table.to_pandas(), awkward.Array(self.columns()), {"momenta": rows}):
            found = check(given)
            np.testing.assert_array_equal(found["momenta"], self.PADDED)
            np.testing.assert_array_equal(found["mask"], self.MASK)
        fields = [pa.field(name, pa.list_(pa.float64()), metadata={"unit": "MeV"}) for name in self.columns()]
        in_mev = pa.table(list(self.columns(1000.0).values()), schema=pa.schema(fields))
        np.testing.assert_allclose(check(in_mev)["momenta"], self.PADDED, rtol=1e-6)

    def test_answer_as_padded_arrays_do(self, tmp_path):
        session = Session(MODELS["jet-mean"].write(tmp_path / "jets"))
        found = session.run(pa.table(self.columns()))
        assert found["count"].tolist() == [2, 0, 1]
        np.testing.assert_allclose(found["mean"], [[2.5, 3.5, 4.5], [0, 0, 0], [7, 8, 9]])

    def test_wrong_lengths_are_refused(self):
        check = InputCheck(JETS.endpoint)
        columns = self.columns()
        columns["py"][2] = [8.0, 9.0]
        with pytest.raises(InputError, match="lists of the same lengths in every column, row 2 has not"):
            check(pa.table(columns))
        with pytest.raises(InputError, match="given lists of several lengths"):
            time_of([[1.0], [1.0, 2.0]])


class TestEndpoints:
    """An endpoint of a loaded model refuses what a session refuses."""

    def test_the_same_checks_and_the_same_flags(self, load):
        predict = load("ive-pendulum").endpoint("predict")
        with np.load(load("ive-pendulum").folder.path("test_tensors.npz")) as rows:
            trajectory, time = rows["predict/in/trajectory"], rows["predict/in/time"]
        expected = np.asarray(predict(trajectory=trajectory, time=time)["displacement"])
        for given in ({"trajectory": trajectory * 100, "time": time}, {"trajectory": trajectory * np.nan, "time": time}):
            with pytest.raises(InputError) as refused:
                Session("ive-pendulum").run(given)
            with pytest.raises(InputError) as by_endpoint:
                predict(given)
            assert str(by_endpoint.value) == str(refused.value)
        assert np.isnan(predict(trajectory=trajectory * np.nan, time=time, allow_nonfinite=True)["displacement"]).all()
        assert np.abs(predict(trajectory=trajectory * 100, time=time, allow_out_of_range=True)["displacement"]).max() > 1
        minutes = (time.astype(float) * units.s).to(units.min)
        found = predict(trajectory=(trajectory * units.m).to(units.cm), time=minutes)["displacement"]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        session = Session("ive-pendulum").run({"trajectory": trajectory, "time": minutes})["displacement"]
        np.testing.assert_allclose(session, expected, atol=1e-5)
        with pytest.raises(InputError, match="given both"):
            predict({"trajectory": trajectory}, time=time)

    def test_gradients_pass(self, load):
        tf = pytest.importorskip("tensorflow")
        model = load("mlp-cmb-emulator")
        with np.load(model.folder.path("test_tensors.npz")) as rows:
            theta = tf.constant(rows["predict/in/theta"])
        with tf.GradientTape() as tape:
            tape.watch(theta)
            spectrum = model.endpoint("predict")(theta=theta)["spectrum"]
        assert np.abs(tape.gradient(spectrum, theta)).max() > 0
        with pytest.raises(InputError, match="inside a traced function, call the model's own method"):
            tf.function(lambda theta: model.endpoint("predict")(theta=theta), autograph=False)(theta)

    def test_explanations_take_tables_by_name(self, load):
        model = load("mlp-cmb-emulator")
        with np.load(model.folder.path("test_tensors.npz")) as rows:
            theta = rows["predict/in/theta"]
        frame = pd.DataFrame(theta, columns=model.spec.endpoint("predict").inputs[0].labels).iloc[:, ::-1]
        expected = zoo.explain(model, theta, method="gradient").values
        np.testing.assert_array_equal(zoo.explain(model, frame, method="gradient").values, expected)
        with pytest.raises(InputError, match="missing, the first in row 0, column ombh2"):
            zoo.explain(model, np.ma.array(theta, mask=np.arange(6) == 1 + 0 * theta), method="gradient")


def test_what_no_spec_describes_has_no_mask_and_no_unit():
    plain = np.array([1.0, 2.0])
    assert numbers_alone(np.ma.array(plain), "truth") is not None
    for given, words in (
        (np.ma.array(plain, mask=[False, True]), r"truth: 1 values are missing, the first at \(1\)"),
        (plain * units.m, "truth: expected numbers without a unit, given m"),
        (pd.DataFrame({"a": plain}), "truth: expected an array, given DataFrame"),
    ):
        with pytest.raises(InputError, match=words):
            numbers_alone(given, "truth")


def test_nothing_is_imported_for_plain_arrays(tmp_path):
    folder = MODELS["jet-mean"].write(tmp_path / "jets")
    program = f"""
import sys, numpy as np
from zoo.serving import Session
Session({str(folder)!r}).run({{"momenta": np.ones((1, 2, 3), np.float32), "mask": np.ones((1, 2), bool)}})
Session({str(folder)!r}).run({{"momenta": [[[1.0, 2.0, 3.0]]], "mask": [[True]]}})
print([name for name in ("astropy", "pandas", "pyarrow", "h5py", "awkward", "uproot") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
