"""Files of a user as other libraries write them: columns by name, with units and masks, extras ignored, nothing unpickled."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ok, refused
from set_models import JETS
from test_handed_in import CHECK, LABELS, ROWS, WHEN

from zoo.errors import InputError, IntegrityError, UnknownNameError, ZooError
from zoo.model.handed_in.columns import named_as_weights
from zoo.model.handed_in.files import SUFFIXES, read_columns
from zoo.model.handed_in.on_disk import OnDisk
from zoo.model.handed_in.tensors import inputs_of
from zoo.model.inputs import InputCheck

units = pytest.importorskip("astropy.units")
h5py = pytest.importorskip("h5py")
pd = pytest.importorskip("pandas")
from astropy.table import QTable, Table  # noqa: E402
from astropy.utils.masked import Masked  # noqa: E402

MINUTES = WHEN[:, 0].astype(float) / 60


def qtable(**extra) -> QTable:
    """Columns in another order and in other units."""
    theta = ROWS.T.astype(float)
    columns = {"omch2": theta[2], "time": MINUTES * units.min, "note": ["a", "b"]}
    return QTable(columns | {"H0": theta[0] * 1000 * units.m / units.s / units.Mpc, "ombh2": theta[1]} | extra)


def plain() -> dict[str, np.ndarray]:
    return {"omch2": ROWS[:, 2], "time": WHEN[:, 0], "H0": ROWS[:, 0], "ombh2": ROWS[:, 1]}


def same(path: Path) -> None:
    found = CHECK(inputs_of(read_columns(path), CHECK._endpoint))
    np.testing.assert_allclose(found["theta"], ROWS, rtol=1e-6)
    np.testing.assert_allclose(found["time"], WHEN, rtol=1e-6)


@pytest.mark.parametrize("name", ["t.fits", "t.ecsv", "t.h5", "t.parquet"])
def test_tables_of_astropy(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    keywords = {"path": "run/data", "serialize_meta": True} if name.endswith("h5") else {}
    qtable().write(tmp_path / name, **keywords)
    same(tmp_path / name)
    masked = qtable(ombh2=np.ma.array([0.02, -999.0], mask=[False, True]), time=Masked(MINUTES * units.min, mask=[True, False]))
    masked.write(tmp_path / f"masked-{name}", **keywords)
    columns = read_columns(tmp_path / f"masked-{name}")
    for column, row in (("ombh2", 1), ("time", 0)):
        with pytest.raises(InputError, match=rf"1 values of column {column} are missing, the first in row {row}"):
            columns.array([column], (), None)


def test_csv(tmp_path):
    (tmp_path / "t.csv").write_text("time [min],H0,ombh2,omch2,note\n0.5,70,0.02,0.12,a\n1.5,60,0.03,0.11,b\n")
    same(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("time,H0,ombh2,omch2\n0.5,70,,0.12\n")
    with pytest.raises(InputError, match="NaN"):
        CHECK(inputs_of(read_columns(tmp_path / "t.csv"), CHECK._endpoint))


class TestHDF5:
    def test_plain_arrays_beside_others(self, tmp_path):
        """A data set of another length, a group and a scalar are in nobody's way."""
        with h5py.File(tmp_path / "t.h5", "w") as file:
            for name, column in plain().items():
                file[f"events/{name}"] = column
            file["events/time"][...] = MINUTES
            file["events/time"].attrs["unit"] = "min"
            file["bin_edges"] = np.arange(11.0)
            file["events/scalar"] = 3.0
        same(tmp_path / "t.h5")
        assert read_columns(tmp_path / "t.h5").rows(["events/H0", "ombh2"]) == 2
        with pytest.raises(InputError, match="expected columns of the same number of rows, given H0 2, bin_edges 11"):
            read_columns(tmp_path / "t.h5").rows(["H0", "bin_edges"])
        with pytest.raises(UnknownNameError, match=r"no column of .* named 'bin_edge'; did you mean bin_edges"):
            read_columns(tmp_path / "t.h5").one("bin_edge")

    def test_what_is_missing_and_what_is_there_is_said(self, tmp_path):
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["theta"], file["bin_edges"], file["weight"] = ROWS, np.arange(11.0), np.ones(2)
        words = r"t\.h5: expected a column time for the input time \(when\), given the columns bin_edges, theta, weight"
        with pytest.raises(InputError, match=words):
            inputs_of(read_columns(tmp_path / "t.h5"), CHECK._endpoint)

    def test_a_name_in_two_groups_is_asked_for_in_full(self, tmp_path):
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["a/x"], file["b/x"] = [1.0], [2.0]
        columns = read_columns(tmp_path / "t.h5")
        with pytest.raises(InputError, match=r"given a/x, b/x: name the one that is meant in full, such as 'a/x'"):
            columns.one("x")
        assert columns.array(["b/x"], (), None) == [2.0]

    def test_compound_tables(self, tmp_path):
        columns = plain() | {"vector": ROWS}
        rows = np.zeros(2, [(name, column.dtype, column.shape[1:]) for name, column in columns.items()])
        for name, column in columns.items():
            rows[name] = column
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["table"] = rows
        same(tmp_path / "t.h5")
        found = read_columns(tmp_path / "t.h5").array(["vector"], (3,), None, on_disk=True)
        assert isinstance(found, OnDisk)
        np.testing.assert_array_equal(found[[1, 0]], ROWS[::-1])

    def test_pytables(self, tmp_path):
        tables = pytest.importorskip("tables")
        columns = plain() | {"time": MINUTES}
        with tables.open_file(tmp_path / "t.h5", "w") as file:
            table = file.create_table("/", "events", np.rec.fromarrays(list(columns.values()), names=list(columns)))
            table.attrs["FIELD_1_ATTR_UNIT"] = "min"
            file.create_vlarray("/", "objects", tables.ObjectAtom()).append({"any": "thing"})
        same(tmp_path / "t.h5")
        with pytest.raises(InputError, match="objects holds Python objects, which are never unpickled"):
            _ = read_columns(tmp_path / "t.h5").one("objects").values

    @pytest.mark.parametrize("how", [{}, {"format": "table"}, {"format": "table", "data_columns": True}], ids=str)
    def test_pandas(self, tmp_path, how):
        pytest.importorskip("tables")
        frame = pd.DataFrame(plain()).astype({"time": "int64"})
        frame.assign(note=["a", "b"], day=pd.to_datetime(["2020-01-01"] * 2)).to_hdf(tmp_path / "t.h5", key="df", **how)
        same(tmp_path / "t.h5")
        with pytest.raises(InputError, match=r"note|expected numbers"):
            read_columns(tmp_path / "t.h5").array(["note"], (), None)
        with pytest.raises(InputError, match="datetime64"):
            read_columns(tmp_path / "t.h5").array(["day"], (), None)

    def test_names_are_never_unpickled(self, tmp_path):
        """Pandas pickles the names of columns in an attribute: only a list of texts is read, by its opcodes."""

        class Bomb:
            def __reduce__(self):
                return (Path.touch, (tmp_path / "exploded",))

        for pickled in (pickle.dumps(Bomb()), b"no pickle", pickle.dumps(["x", 1])):
            with h5py.File(tmp_path / "t.h5", "w") as file:
                file["t"] = np.zeros(2, [("values_block_0", "f8", (1,))])
                file["t"].attrs["values_block_0_kind"] = np.void(pickled)
            assert not list(read_columns(tmp_path / "t.h5"))
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["t"] = np.zeros(2, [("values_block_0", "f8", (1,))])
            file["t"].attrs["values_block_0_kind"] = np.void(pickle.dumps(["x"]))
        assert list(read_columns(tmp_path / "t.h5")) == ["t/x"]
        assert not (tmp_path / "exploded").exists()

    def test_what_netcdf_says_of_its_numbers(self, tmp_path):
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file["x"], file["y"] = [1.0, -999.0], [1, 2]
            file["x"].attrs["_FillValue"] = np.array([-999.0])
            file["y"].attrs["scale_factor"] = 0.1
        columns = read_columns(tmp_path / "t.h5")
        with pytest.raises(InputError, match="1 values of column x are missing, the first in row 1"):
            columns.array(["x"], (), None)
        with pytest.raises(InputError, match="y holds packed numbers"):
            columns.array(["y"], (), None)

    def test_numbers_in_another_file_are_not_read(self, tmp_path):
        (tmp_path / "secret").write_bytes(np.ones(2).tobytes())
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file.create_dataset("x", (2,), "f8", external=[(str(tmp_path / "secret"), 0, 16)])
            file["y"] = h5py.ExternalLink("other.h5", "/y")
        columns = read_columns(tmp_path / "t.h5")
        assert list(columns) == ["x"]
        with pytest.raises(InputError, match="x lies in another file, which is not followed"):
            columns.array(["x"], (), None)


class TestROOT:
    def write(self, path: Path, rntuple: bool) -> Path:
        uproot, awkward = pytest.importorskip("uproot"), pytest.importorskip("awkward")
        lists = {name: awkward.Array([[1.0 + i, 4.0 + i], [], [7.0 + i]]) for i, name in enumerate(("px", "py", "pz"))}
        branches = lists | {"met": np.array([1.0, 2.0, 3.0]), "vector": np.arange(6.0).reshape(3, 2)}
        with uproot.recreate(path) as file:
            if rntuple:
                file.mkrntuple("events", branches)
            else:
                file.mktree("events", branches)
            file.mktree("meta", {"luminosity": np.array([5.0])})
        return path

    @pytest.mark.parametrize("rntuple", [False, True], ids=["TTree", "RNTuple"])
    def test_trees(self, tmp_path, rntuple):
        columns = read_columns(self.write(tmp_path / "t.root", rntuple))
        found = InputCheck(JETS.endpoint)(inputs_of(columns, JETS.endpoint))
        np.testing.assert_array_equal(found["mask"], [[True, True], [False, False], [True, False]])
        np.testing.assert_array_equal(found["momenta"][0], [[1, 2, 3], [4, 5, 6]])
        np.testing.assert_array_equal(found["momenta"][2], [[7, 8, 9], [0, 0, 0]])
        np.testing.assert_array_equal(columns.array(["vector"], (2,), None), np.arange(6.0).reshape(3, 2))
        with pytest.raises(InputError, match="expected rows of one length in column px"):
            columns.array(["px"], (2,), None)
        with pytest.raises(InputError, match="given events/met 3, luminosity 1"):
            columns.rows(["events/met", "luminosity"])

    def test_a_file_without_a_tree_and_one_that_is_none(self, tmp_path):
        uproot = pytest.importorskip("uproot")
        with uproot.recreate(tmp_path / "t.root") as file:
            file["histogram"] = np.histogram([1.0, 2.0])
        with pytest.raises(InputError, match="expected a tree, given histogram"):
            read_columns(tmp_path / "t.root")
        (tmp_path / "t.root").write_bytes(b"no root")
        with pytest.raises(InputError, match="is not a readable ROOT file"):
            read_columns(tmp_path / "t.root")


def test_fits_with_several_tables(tmp_path):
    from astropy.io import fits

    hdus = [fits.PrimaryHDU(np.zeros((2, 2)))]
    hdus += [fits.BinTableHDU(table, name=name) for name, table in (("EVENTS", qtable()), ("GTI", Table({"start": [1.0]})))]
    fits.HDUList(hdus).writeto(tmp_path / "t.fits")
    same(tmp_path / "t.fits")
    assert read_columns(tmp_path / "t.fits").one("GTI/start").rows == 1
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match="expected a table, given a FITS file without one"):
        read_columns(tmp_path / "image.fits")


def test_columns_in_capitals_are_asked_about(tmp_path):
    """FITS knows no difference; a name in capitals may be another quantity all the same, so that it is not taken in silence."""
    table = qtable()
    for name in table.colnames:
        table.rename_column(name, name.upper())
    table.write(tmp_path / "t.fits")
    columns = read_columns(tmp_path / "t.fits")
    with pytest.raises(InputError, match=r"did you mean OMBH2 for ombh2, OMCH2 for omch2\?: columns are taken by their names"):
        CHECK(inputs_of(columns.without(["H0"]), CHECK._endpoint))
    with pytest.raises(UnknownNameError, match=r"no column of .* named 'ombh2'; did you mean OMBH2"):
        CHECK(inputs_of(columns, CHECK._endpoint))  # H0 is there as it is


def test_weights_in_two_trees(tmp_path):
    uproot = pytest.importorskip("uproot")
    with uproot.recreate(tmp_path / "t.root") as file:
        for tree, weight in (("events", [1.0, 2.0]), ("truth", [3.0, 4.0])):
            file[tree] = {"pt": np.ones(2), "w": np.array(weight)}
    columns = read_columns(tmp_path / "t.root")
    with pytest.raises(InputError, match="expected one column w, given events/w, truth/w: name the one that is meant in full"):
        columns.weights("w")
    np.testing.assert_array_equal(columns.weights("truth/w"), [3.0, 4.0])


def test_fits_whole_numbers_that_are_null(tmp_path):
    from astropy.io import fits

    fits.BinTableHDU.from_columns([fits.Column("n", "J", null=-999, array=[1, -999])]).writeto(tmp_path / "t.fits")
    with pytest.raises(InputError, match="1 values of column n are missing, the first in row 1"):
        read_columns(tmp_path / "t.fits").array(["n"], (), None)


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "h5", "root", "parquet", "npz", "csv"])
def test_damaged_files(tmp_path, suffix):
    if suffix in ("root", "parquet"):
        pytest.importorskip({"root": "uproot", "parquet": "pyarrow"}[suffix])
    path = tmp_path / f"t.{suffix}"
    path.write_bytes(b"\x80\x04 no file of that kind\n")
    with pytest.raises((InputError, IntegrityError), match=r"is not a (readable|whole|CSV)"):
        read_columns(path)


@pytest.mark.parametrize(("suffix", "library"), [("fits", "astropy"), ("ecsv", "astropy"), ("root", "uproot"), ("h5", "h5py")])
def test_a_library_that_is_not_installed(tmp_path, monkeypatch, suffix, library):
    (tmp_path / f"t.{suffix}").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ZooError, match=f"pip install {library}"):
        read_columns(tmp_path / f"t.{suffix}")


def test_the_message_names_every_kind():
    with pytest.raises(InputError, match="expected data as") as refused:
        read_columns("t.xyz")
    assert SUFFIXES in str(refused.value)


class TestCommands:
    """A CSV, a FITS table and a data set with extras at predict, explain and infer."""

    def test_predict_and_explain(self, tmp_path):
        labels = [*LABELS, "tau", "ns", "ln10As"]
        rows = np.array([[67.0, 0.0223, 0.12, 0.05, 0.965, 3.04], [68.0, 0.0224, 0.119, 0.06, 0.966, 3.05]])
        np.savez(tmp_path / "t.npz", theta=rows, extra=np.arange(11))
        expected = ok("predict", "mlp-cmb-emulator", "--input", tmp_path / "t.npz", "--json")
        frame = pd.DataFrame(rows, columns=labels).iloc[:, ::-1]
        frame.to_csv(tmp_path / "t.csv", index=False)
        table = QTable.from_pandas(frame)
        table["H0"] = rows[:, 0] * 1000 * units.m / units.s / units.Mpc
        table.write(tmp_path / "t.fits")
        for name in ("t.csv", "t.fits"):
            assert ok("predict", "mlp-cmb-emulator", "--input", tmp_path / name, "--json") == expected
        ok("explain", "mlp-cmb-emulator", "--method", "gradient", "--input", tmp_path / "t.csv", "--out", tmp_path)
        with np.load(tmp_path / "mlp-cmb-emulator-gradient.npz") as explained:
            np.testing.assert_allclose(explained["inputs"], rows, rtol=1e-6)
        (tmp_path / "t.csv").write_text("H0,ombh2,omch2\n67,0.0223,0.12\n")
        said = refused("predict", "mlp-cmb-emulator", "--input", tmp_path / "t.csv")
        assert "no column of" in said
        assert "named 'tau'" in said


def test_columns_that_are_called_as_weights():
    named = ["w", "WGT", "weight", "event_weights", "events/w", "Weight"]
    others = ["w0", "width", "weighted_mean", "raw", "truth/w/x"]
    assert [name for name in [*named, *others] if named_as_weights(name)] == named
    columns = read_columns({"x": np.ones(2), "w": np.ones(2)})
    with pytest.warns(UserWarning, match="the column w is left out and every row counts the same") as said:
        columns.warn_of_weights({"x"})
    assert said[0].filename == __file__
