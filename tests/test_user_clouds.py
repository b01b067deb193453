"""A user's particles of jets as rows to train on: padded or of any lengths, from arrays, tables and ROOT files."""

from __future__ import annotations

import numpy as np
import pytest
from cloud_models import clouds, released

from zoo.errors import InputError, UnknownNameError
from zoo.model.handed_in.files import read_columns
from zoo.training.checks import check
from zoo.training.user_data import UserData

JETS = clouds(60, particles=9)
QUARK = np.arange(60) % 2


def taken(data, **settings):
    model = released("pfn-id")
    return UserData(read_columns(data), model, model.spec, target="quark", **settings)


def lists(**names):
    """Columns of lists, as long as each jet has particles."""
    columns = dict(zip(("pt", "y", "phi"), np.moveaxis(JETS["particles"], -1, 0), strict=True)) | {"identity": JETS["identity"]}
    several = [[row[real].tolist() for row, real in zip(columns[name], JETS["real"], strict=True)] for name in columns]
    return {names.get(name, name): values for name, values in zip(columns, several, strict=True)}


def same(dataset):
    expected = taken({**JETS, "quark": QUARK})
    for split in ("train", "validation", "test"):
        rows, others = dataset.rows(split), expected.rows(split)
        assert list(rows.inputs) == ["particles", "identity", "real"]
        for name, array in rows.inputs.items():
            assert array.dtype == JETS[name].dtype
            np.testing.assert_array_equal(array, others.inputs[name])
        np.testing.assert_array_equal(rows.target, others.target)


def test_padded_tensors_are_cut_as_they_are():
    data = taken({**JETS, "quark": QUARK})
    chosen = data.numbers("test")
    for name, array in data.rows("test").inputs.items():
        np.testing.assert_array_equal(array, JETS[name][chosen])
    checked = check(data, released("pfn-id"), released("pfn-id").spec)
    assert checked.rows == {"train": 36, "validation": 12, "test": 12}


def test_lists_by_label_are_padded_and_tell_their_mask():
    same(taken({**lists(), "quark": QUARK}))


def test_lists_of_other_names_in_another_unit():
    columns = lists(pt="part_pt", identity="code")
    columns["part_pt"] = [[1000 * one for one in row] for row in columns["part_pt"]]
    data = taken(
        {**columns, "quark": QUARK},
        matched={"particles": ["part_pt", "y", "phi"], "identity": ["code"]},
        units={"part_pt": "MeV"},
    )
    rows = data.rows("train").inputs["particles"]
    np.testing.assert_allclose(rows, JETS["particles"][data.numbers("train")], rtol=1e-6)


def test_jagged_branches_of_a_root_file(tmp_path):
    ak, uproot = pytest.importorskip("awkward"), pytest.importorskip("uproot")
    with uproot.recreate(tmp_path / "jets.root") as file:
        file["Jets"] = {**{name: ak.Array(values) for name, values in lists().items()}, "quark": QUARK}
    found = taken(tmp_path / "jets.root")
    np.testing.assert_allclose(
        found.rows("test").inputs["particles"], JETS["particles"][found.numbers("test")].astype(np.float32), rtol=1e-6
    )
    np.testing.assert_array_equal(found.rows("test").inputs["real"], JETS["real"][found.numbers("test")])


def test_what_does_not_belong_together_is_refused():
    columns = lists()
    columns["y"] = [*columns["y"][:-1], [0.1]]
    with pytest.raises(InputError, match=r"lists of the same lengths in every column, row 59 has not"):
        taken({**columns, "quark": QUARK})
    columns = lists()
    columns["identity"] = [[one + 0.5 for one in row] for row in columns["identity"]]
    with pytest.raises(InputError, match="'identity': expected dtype int32, given float"):
        taken({**columns, "quark": QUARK})
    columns = lists()
    del columns["phi"]
    with pytest.raises(UnknownNameError, match="phi"):
        taken({**columns, "quark": QUARK})
    with pytest.raises(InputError, match=r"along the axis 'particle'"):
        taken({**JETS, "identity": JETS["identity"][:, :5], "quark": QUARK})
