"""A user's rows: how they are read, matched, split and checked, and each wrong step on the way."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest
from tiny_networks import released, user_data

from zoo.errors import InputError, UnknownNameError, ZooError
from zoo.model.handed_in.files import read_columns
from zoo.model.handed_in.on_disk import OnDisk
from zoo.model.handed_in.units import converter
from zoo.training.checks import check
from zoo.training.user_data import UserData

ROWS = 60


def taken(data, family="logistic", **settings):
    model = released(family)
    return UserData(read_columns(data), model, model.spec, **settings)


def checked(data, family="logistic", **settings):
    model = released(family)
    return check(UserData(read_columns(data), model, model.spec, **settings), model, model.spec)


def table(**changes):
    """Columns of a CSV for the classifier: seven numbers, the class, where it comes from."""
    data = user_data("logistic", ROWS)
    columns = {f"observed_{i}": data["observed"][:, i] for i in range(7)}
    return columns | {"answer": data["answer"][:, 0].astype(int), "sky": np.arange(ROWS) // 2} | changes


def write(path, columns):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def same(dataset, other):
    for split in ("train", "validation", "test"):
        first, second = dataset.rows(split), other.rows(split)
        for name in first.inputs:
            np.testing.assert_allclose(np.asarray(first.inputs[name][:]), np.asarray(second.inputs[name][:]), rtol=1e-6)
        np.testing.assert_array_equal(first.target, second.target)


def text(path, content):
    path.write_text(content)
    return path


@pytest.fixture
def arrays():
    return taken(user_data("logistic", ROWS))


def test_csv(tmp_path, arrays):
    same(taken(write(tmp_path / "mine.csv", table())), arrays)


def test_csv_of_a_spreadsheet(tmp_path, arrays):
    """A byte order mark, spaces, units in brackets, Windows line ends, an empty line at the end."""
    path = write(tmp_path / "mine.csv", {f"{name} [m]" if "obs" in name else name: col for name, col in table().items()})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b", ") + b"\r\n")
    same(taken(path), arrays)


def test_npz(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", **user_data("logistic", ROWS))
    same(taken(tmp_path / "mine.npz"), arrays)


def test_hdf5_stays_on_disk(tmp_path, arrays):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        for name, array in user_data("logistic", ROWS).items():
            file[name] = array
    found = taken(tmp_path / "mine.h5")
    assert isinstance(found.rows("train").inputs["observed"], OnDisk)
    same(found, arrays)
    assert checked(tmp_path / "mine.h5").rows == checked(user_data("logistic", ROWS)).rows


def test_folder_of_npy_stays_on_disk(tmp_path, arrays):
    for name, array in user_data("logistic", ROWS).items():
        np.save(tmp_path / f"{name}.npy", array)
    found = taken(tmp_path)
    assert isinstance(found.rows("test").inputs["observed"], OnDisk)
    same(found, arrays)


def test_rows_on_disk_come_in_the_order_that_is_asked_for():
    source = np.arange(20.0).reshape(10, 2)
    rows = OnDisk([source], [lambda rows: 2 * rows], np.array([7, 1, 4]), (2,))
    np.testing.assert_array_equal(rows[np.array([2, 0, 0])], 2 * source[[4, 7, 7]])
    np.testing.assert_array_equal(rows[1:], 2 * source[[1, 4]])
    assert rows[:0].shape == (0, 2)


def test_parquet(tmp_path, arrays):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(table()), tmp_path / "mine.parquet")
    same(taken(tmp_path / "mine.parquet"), arrays)
    data = user_data("logistic", ROWS)
    lists = {"observed": list(data["observed"]), "answer": data["answer"][:, 0]}
    parquet.write_table(pa.table(lists), tmp_path / "lists.parquet")
    same(taken(tmp_path / "lists.parquet"), arrays)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    (tmp_path / "mine.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ZooError, match="pip install pyarrow"):
        taken(tmp_path / "mine.parquet")


def test_columns_of_other_names(arrays):
    data = {f"c{i}": column for i, column in enumerate(table().values())}
    found = taken(data, matched={"observed": [f"c{i}" for i in range(7)]}, target="c7", group="c8")
    assert len(found.rows("train")) + len(found.rows("validation")) + len(found.rows("test")) == ROWS


def test_units_are_converted(tmp_path):
    pytest.importorskip("astropy")
    centimetres = table() | {f"observed_{i}": 100 * table()[f"observed_{i}"] for i in range(7)}
    expected = taken(table())
    same(taken(centimetres, units={f"observed_{i}": "cm" for i in range(7)}), expected)
    titled = {f"{name} [cm]" if "obs" in name else name: column for name, column in centimetres.items()}
    same(taken(write(tmp_path / "mine.csv", titled)), expected)
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["observed"] = 100 * user_data("logistic", ROWS)["observed"]
        file["observed"].attrs["units"] = "cm"
        file["answer"] = user_data("logistic", ROWS)["answer"]
    same(taken(tmp_path / "mine.h5"), taken(user_data("logistic", ROWS)))


@pytest.mark.parametrize("column", ["answer", "sky", "note"])
def test_a_unit_of_what_is_no_quantity_is_refused(column):
    """Of a class, a group and a column that is not read nothing is converted."""
    with pytest.raises(InputError, match=f"expected units of columns that inputs or a quantity .* given one of {column}"):
        taken(table(note=np.zeros(ROWS)), target="answer", group="sky", units={column: "K"})


def test_units_between_which_there_is_no_way():
    pytest.importorskip("astropy")
    assert converter("mK2", ["muK^2"], "x")(np.ones(1)) == pytest.approx(1e6)
    with pytest.raises(InputError, match=r"observed_0: expected m, given s, between which astropy\.units knows no way"):
        taken(table(), units={"observed_0": "s"})
    with pytest.raises(InputError, match=r"expected m, given furlongs"):
        taken(table(), units={"observed_0": "furlongs"})


def test_units_without_astropy(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "astropy"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ZooError, match="pip install astropy"):
        taken(table(), units={"observed_0": "cm"})
    taken(table(), units={"observed_0": "m"})


def test_masked_rows_are_refused_by_column_and_row():
    """The number beneath a mask would be trained on."""
    data = user_data("logistic", ROWS)
    masked = np.ma.array(data["observed"], mask=False)
    masked.mask[7, 3], masked.data[7, 3] = True, -999.0
    with pytest.raises(InputError, match="1 values of column observed are missing, the first in row 7"):
        taken(data | {"observed": masked})
    for name in ("answer", "sky", "observed_2"):
        column = np.ma.array(table()[name], mask=np.arange(ROWS) == 5)
        with pytest.raises(InputError, match=f"1 values of column {name} are missing, the first in row 5"):
            taken(table(**{name: column}), group="sky")


def test_tables_by_name_with_their_units(arrays):
    units, tables, pd = (pytest.importorskip(name) for name in ("astropy.units", "astropy.table", "pandas"))
    columns = dict(reversed(table().items()))
    same(taken(pd.DataFrame(columns)), arrays)
    in_cm = {name: column * units.m if "obs" in name else column for name, column in columns.items()}
    quantities = tables.QTable(in_cm)
    for name in quantities.colnames:
        if "obs" in name:
            quantities[name] = quantities[name].to(units.cm)
    same(taken(quantities), arrays)
    same(taken(tables.Table(quantities)), arrays)


def test_arrays_of_another_length_are_left_alone(tmp_path, arrays):
    np.savez(tmp_path / "mine.npz", bin_edges=np.arange(11), note=np.array("mine"), **user_data("logistic", ROWS))
    same(taken(tmp_path / "mine.npz"), arrays)
    assert taken(tmp_path / "mine.npz").description.startswith(f"{ROWS} rows of ")
    with pytest.raises(InputError, match="expected columns of the same number of rows, given observed 60, bin_edges 11"):
        taken(tmp_path / "mine.npz", target="bin_edges")


def test_no_two_splits_share_a_group():
    found = taken(table(), group="sky")
    groups = [set(found.rows(split).group) for split in ("train", "validation", "test")]
    assert sum(map(len, groups)) == len(set.union(*groups)) == ROWS // 2
    assert [len(found.rows(split)) for split in ("train", "validation", "test")] == [36, 12, 12]
    named = taken(table(sky=np.array([f"sky {i // 2}" for i in range(ROWS)])), group="sky")
    assert len(named.rows("test")) == 12


def test_a_rare_class_is_in_every_split():
    label = np.zeros(200, int)
    label[:10] = 1
    columns = {f"observed_{i}": np.random.default_rng(i).normal(size=200) for i in range(7)}
    found = checked(columns | {"answer": label})
    assert {split: counts[1] for split, counts in found.classes.items()} == {"train": 6, "validation": 2, "test": 2}
    assert any("classes are unbalanced: 114, 6 training rows" in warning for warning in found.warnings)


WRONG = {
    "no such file": (lambda d: d / "mine.csv", {}, InputError, "there is no such file"),
    "another kind": (lambda d: write(d / "mine.txt", table()), {}, InputError, r"expected data as \.csv, \.npz"),
    "empty": (
        lambda d: text(d / "mine.csv", ""),
        {},
        InputError,
        "is empty: expected a line of column",
    ),
    "no rows": (lambda d: write(d / "mine.csv", {name: [] for name in table()}), {}, InputError, "expected rows, given none"),
    "no header": (
        lambda d: write(d / "mine.csv", {str(i): column for i, column in enumerate(table().values())}),
        {},
        InputError,
        "expected a first line of column names, given numbers",
    ),
    "ragged": (
        lambda d: text(d / "mine.csv", "a,b\n1,2\n3\n"),
        {},
        InputError,
        "line 3 has 1 values, expected 2",
    ),
    "twice": (
        lambda d: text(d / "mine.csv", "a,a\n1,2\n"),
        {},
        InputError,
        "two columns are named 'a'",
    ),
    "pickled": (lambda d: np.savez(d / "a.npz", x=np.array([{}])) or d / "a.npz", {}, ZooError, "not a whole .npz"),
    "wrong columns": (
        lambda d: {"flux": table()["observed_0"], "answer": table()["answer"]},
        {},
        InputError,
        r"expected a column observed or observed_0 to observed_6 .* given the columns flux, answer: rename",
    ),
    "one column missing": (
        lambda d: {name: column for name, column in table().items() if name != "observed_3"},
        {},
        UnknownNameError,
        "'observed_3'",
    ),
    "the last missing": (
        lambda d: {name: column for name, column in table().items() if name != "observed_6"},
        {},
        InputError,
        r"observed_0 to observed_5 to hold rows of shape \(7,\), given 6 columns",
    ),
    "one column too many": (lambda d: table(observed_7=np.ones(60)), {}, InputError, r"shape \(7,\), given 8 columns"),
    "classes as zeros and ones": (
        lambda d: table() | {"answer_0": np.arange(60) % 2, "answer_1": 1 - np.arange(60) % 2},
        {"target": "answer_0,answer_1"},
        InputError,
        "expected one column that says the class of each row, given answer_0 to answer_1",
    ),
    "wrong shape": (lambda d: {"observed": np.zeros((60, 9))}, {}, InputError, r"rows of shape \(7,\), given \(9,\)"),
    "no target": (
        lambda d: {name: column for name, column in table().items() if name != "answer"},
        {},
        InputError,
        "expected a target column answer .*target=NAME",
    ),
    "another target": (lambda d: table(), {"target": "anwser"}, UnknownNameError, "did you mean answer"),
    "another group": (lambda d: table(), {"group": "skys"}, UnknownNameError, "did you mean sky"),
    "strings": (
        lambda d: write(d / "a.csv", table(observed_3=["1.5"] * 7 + ["bright"] + ["2"] * 52)),
        {},
        InputError,
        "expected numbers in column observed_3, given .* in row 7 'bright'",
    ),
    "NaN": (
        lambda d: table(observed_3=np.where(np.arange(60) == 17, np.nan, 1.0)),
        {},
        InputError,
        "observed: expected finite numbers, .* row 17, element 3",
    ),
    "empty field": (
        lambda d: write(d / "a.csv", table(observed_3=["1"] * 7 + [""] + ["2"] * 52)),
        {},
        InputError,
        "missing, as in row 7, element 3",
    ),
    "single class": (
        lambda d: table(answer=np.ones(60)),
        {},
        InputError,
        "expected rows of 2 classes, given 1.0 in all 60 rows",
    ),
    "three classes": (lambda d: table(answer=np.arange(60) % 3), {}, InputError, r"given 3 \(0, 1, 2\): .*outputs=3"),
    "other classes": (lambda d: table(answer=np.arange(60) % 2 + 1), {}, InputError, "expected the numbers 0 to 1"),
    "named classes": (lambda d: table(answer=["no", "yes"] * 30), {}, InputError, "given no, yes: write them so, or"),
    "a quantity": (lambda d: table(answer=np.linspace(0, 1, 60)), {}, InputError, "task='regression'"),
    "a class missing": (
        lambda d: table(answer=np.where(np.arange(60) % 2 == 0, 1.0, np.nan)),
        {},
        InputError,
        "expected a class in every row, given none in row 1",
    ),
    "five rows": (
        lambda d: {name: column[:5] for name, column in table().items()},
        {},
        InputError,
        "at least 20 rows, .* given 5",
    ),
    "five groups": (
        lambda d: table(sky=np.arange(60) % 5),
        {"group": "sky"},
        InputError,
        "at least 20 groups of sky, .* given 5",
    ),
    "duplicates": (
        lambda d: {name: np.tile(np.asarray(column)[:30], 2) for name, column in table().items()},
        {},
        InputError,
        "rows are the same, target aside, as training rows.*group=NAME",
    ),
    "lengths": (lambda d: {"observed": np.zeros((5, 7)), "answer": np.zeros(6)}, {}, InputError, "observed 5, answer 6"),
    "a number": (lambda d: {"observed": 3.0}, {}, InputError, "observed is a single value"),
    "no data": (lambda d: 3, {}, InputError, "expected data as a path"),
    "columns of no input": (
        lambda d: table(),
        {"matched": {"x": ["answer"]}},
        InputError,
        "expected those of the inputs observed",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_wrong_step_is_met_by_what_to_do(tmp_path, case):
    make, settings, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        checked(make(tmp_path), **settings)


def test_duplicates_of_one_group_are_no_leak():
    data = {name: np.tile(np.asarray(column)[:30], 2) for name, column in table(sky=np.arange(60)).items()}
    assert checked(data | {"sky": np.tile(np.arange(30), 2)}, group="sky").rows == {"train": 36, "validation": 12, "test": 12}


def test_an_observation_in_two_splits_is_a_leak():
    """Other queries of it are no excuse."""
    data = user_data("ive", ROWS)
    data["observed"][30:] = data["observed"][:30]
    with pytest.raises(InputError, match="have the same observed as training rows"):
        checked(data, "ive")
    checked(data | {"halo": np.tile(np.arange(30), 2)}, "ive", group="halo")


def test_constant_target_teaches_nothing():
    data = user_data("mlp", ROWS)
    with pytest.raises(InputError, match="same in every training row"):
        checked(data | {"answer": np.ones_like(data["answer"])}, "mlp")


def test_target_of_a_density_is_left_out():
    data = user_data("realnvp", ROWS)
    checked(data, "realnvp")
    with pytest.raises(InputError, match="takes no target beside its inputs"):
        checked(data | {"y": np.zeros(ROWS)}, "realnvp", target="y")


def test_drift_and_range_are_warnings():
    data = user_data("logistic", ROWS)
    found = checked(data)
    assert abs(found.drift["observed"].mean) < 0.9
    assert not any("drifted" in warning or "outside" in warning for warning in found.warnings)
    far = {"observed": data["observed"] + 40, "answer": data["answer"]}
    warned = checked(far).warnings
    assert any("observed has drifted from what tiny-logistic was trained on" in warning for warning in warned)
    assert any("outside the range that tiny-logistic was trained in" in warning for warning in warned)
    assert checked(far).drift["observed"].mean == pytest.approx(40 / 3, rel=0.15)


def test_bounds_of_each_element_hold_for_every_query_of_a_row():
    model = released("ive")
    observed, asked = model.spec.endpoint("predict").inputs
    asked = asked.model_copy(update={"low": [0.0, 0.0], "high": [1.0, 0.5]})
    predict = model.spec.endpoint("predict").model_copy(update={"inputs": [observed, asked]})
    spec = model.spec.model_copy(update={"endpoints": model.spec.endpoints | {"predict": predict}})
    data = user_data("ive", ROWS)
    data["asked"] = np.random.default_rng(0).random((ROWS, 6)).astype(np.float32)
    data["answer"] = np.repeat(data["answer"], 3, axis=1)
    found = check(UserData(read_columns(data), model, spec), model, spec)
    outside = int((data["asked"].reshape(ROWS, 3, 2)[..., 1] > 0.5).any(axis=1).sum())
    assert any(f"{outside} of {ROWS} rows have asked outside" in warning for warning in found.warnings)
    assert found.extremes["asked"][1].shape == (2,)


def test_queries_of_a_row_may_be_numbered_columns():
    data = user_data("ive", ROWS)
    asked = np.random.default_rng(0).random((ROWS, 6)).astype(np.float32)
    data["answer"] = np.repeat(data["answer"], 3, axis=1)
    numbered = {name: array for name, array in data.items() if name != "asked"} | {f"asked_{i}": asked[:, i] for i in range(6)}
    same(taken(numbered, "ive"), taken(data | {"asked": asked}, "ive"))


def test_digest_follows_the_rows():
    data = user_data("logistic", ROWS)
    first = checked(data).sha256
    assert first == checked(user_data("logistic", ROWS)).sha256
    data["observed"][3, 2] += 1e-3
    assert checked(data).sha256 != first


def test_free_axes_of_a_target_are_refused():
    from zoo.model.axes import Axis
    from zoo.model.spec import Tensor
    from zoo.training.checks import expect_fixed

    particles = Tensor(name="particles", axes=[Axis(name="particle", least=1, most=9)], unit="GeV", description="of a jet")
    with pytest.raises(InputError, match=r"particles has free axes \(particle\), and columns of a target"):
        expect_fixed(particles)


def test_a_unit_that_contradicts_that_of_the_table_is_refused(tmp_path):
    u = pytest.importorskip("astropy.units")
    from astropy.table import QTable

    rows = user_data("logistic", ROWS)
    data = QTable({"observed": rows["observed"] * 100 * u.cm, "answer": rows["answer"][:, 0].astype(int)})
    same(taken(data), taken(rows))
    for said in ("cm", "centimeter"):
        same(taken(data, units={"observed": said}), taken(rows))
    with pytest.raises(
        InputError, match=r"column observed has the unit cm, and mm is said of it: leave out units=\{'observed': 'mm'\}"
    ):
        taken(data, units={"observed": "mm"})
    same(taken(rows | {"observed": rows["observed"] * 1000}, units={"observed": "mm"}), taken(rows))


def labeled():
    """A regressor whose outputs are called as its first inputs, and columns for it."""
    model = released("mlp")
    endpoint = model.spec.endpoint("predict")
    (x,), (y,) = endpoint.inputs, endpoint.outputs
    named = [
        tensor.model_copy(
            update={"axes": [tensor.axes[0].model_copy(update={"labels": list("abcdefg")[: tensor.axes[0].size]})]}
        )
        for tensor in (x, y)
    ]
    described = endpoint.model_copy(update={"inputs": named[:1], "outputs": named[1:]})
    model.spec = model.spec.model_copy(update={"endpoints": {"predict": described}})
    data = user_data("mlp", ROWS)
    return model, {name: data["observed"][:, k] for k, name in enumerate("abcdefg")}, data["answer"]


def test_columns_of_the_input_are_no_target_because_they_are_called_as_the_output():
    model, inputs, answer = labeled()
    columns = inputs | {"answer_a": answer[:, 0], "answer_b": answer[:, 1]}
    found = UserData(read_columns(columns), model, model.spec)
    assert found.target_names == ["answer_a", "answer_b"]
    np.testing.assert_allclose(found.rows("test").target, answer[found.numbers("test")], rtol=1e-6)
    with pytest.raises(InputError, match=r"expected a target column answer .* say which it is, target='?NAME"):
        UserData(read_columns(inputs), model, model.spec)
    chosen = UserData(read_columns(inputs), model, model.spec, target=["a", "b"])  # an autoencoder, say
    assert chosen.target_names == ["a", "b"]


@pytest.mark.parametrize("names", [["b", "a"], ["answer_b", "answer_a"], ["answer_1", "answer_0"]])
def test_targets_are_the_elements_that_they_are_called_as(names):
    """Two columns in the other order trained the one quantity on the other, without a word."""
    model, inputs, answer = labeled()
    first, second = sorted(names)
    columns = inputs | {first: answer[:, 0], second: answer[:, 1]}
    found = UserData(read_columns(columns), model, model.spec, target=names)
    assert found.target_names == [first, second]
    np.testing.assert_allclose(found.rows("test").target, answer[found.numbers("test")], rtol=1e-6)
    columns["other"] = answer[:, 0]
    with pytest.raises(InputError, match=rf"expected {first}, {second}, the elements of answer, .* given {second} for {first}"):
        UserData(read_columns(columns), model, model.spec, target=[second, "other"])
    swapped = UserData(read_columns(columns), model, model.spec, target=[second, "other"], outputs=2)  # other quantities
    assert swapped.target_names == [second, "other"]


def test_chosen_columns_of_an_input_are_the_elements_that_they_are_called_as():
    model, inputs, answer = labeled()
    columns = inputs | {"answer_a": answer[:, 0], "answer_b": answer[:, 1]}
    turned = UserData(read_columns(columns), model, model.spec, matched={"observed": list(inputs)[::-1]})
    plain = UserData(read_columns(columns), model, model.spec)
    np.testing.assert_array_equal(turned.rows("test").inputs["observed"], plain.rows("test").inputs["observed"])
