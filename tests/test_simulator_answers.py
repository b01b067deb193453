"""What answers of simulators say beside their numbers, units, masks and names, and how simulators take their parameters."""

from __future__ import annotations

import functools
import sys
from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table
from astropy.utils.masked import Masked

from zoo.data.sbi import Prior, simulate
from zoo.data.sbi.datum import Datum
from zoo.data.sbi.simulating.read_answer import Labels, read_answer
from zoo.data.sbi.simulating.simulations import SimulationError, read_simulations
from zoo.data.sbi.simulating.trials import Trials
from zoo.errors import FullDiskError, InputError
from zoo.model.axes import Axis
from zoo.model.handed_in.tensors import array_of
from zoo.model.spec import Tensor
from zoo.training.nle_recipe import nle_recipe
from zoo.training.npe_recipe import npe_recipe
from zoo.workflows.posterior_report import _simulated

PRIOR = Prior({name: {"distribution": "uniform", "low": 0, "high": 1} for name in ("a", "b")})
run = functools.partial(simulate, prior=PRIOR, jobs=1)
Pair = namedtuple("Pair", "m1 m2")
TABLE = QTable({"m1": [1.0, 2.0] * u.km, "m2": MaskedColumn([3.0, 4.0], mask=[False, True])})
RECORD = np.array([(1.0, 3)], dtype=[("m1", float), ("m2", int)])


@pytest.mark.parametrize(
    ("answer", "numbers", "names", "units"),
    [
        (2.5, [2.5], None, None),
        ([1, 2] * u.m, [1, 2], None, ["m", "m"]),
        (3 * u.percent, [3], None, ["%"]),
        (np.ones(2) * u.one, [1, 1], None, ["1", "1"]),
        (np.ma.array([1, -999] * u.m, mask=[False, True]), [1, np.nan], None, ["m", "m"]),
        (Masked([1, -999] * u.m, mask=[False, True]), [1, np.nan], None, ["m", "m"]),
        (np.ma.masked, [np.nan], None, None),
        ({"m1": 1 * u.km, "m2": 3.0}, [1, 3], ["m1", "m2"], ["km", "1"]),
        ({"m1": np.ones(3), "m2": np.zeros(3)}, [[1, 0]] * 3, ["m1", "m2"], None),
        (Pair(1, 3), [1, 3], ["m1", "m2"], None),
        (RECORD[0], [1, 3], ["m1", "m2"], None),
        (TABLE[0], [1, 3], ["m1", "m2"], ["km", "1"]),
        (TABLE[1], [2, np.nan], ["m1", "m2"], ["km", "1"]),
        (Table({"m1": [1.0], "m2": [3.0]}, units={"m2": "s"})[0], [1, 3], ["m1", "m2"], ["1", "s"]),
        (TABLE[:1], [[1, 3]], ["m1", "m2"], ["km", "1"]),
        (pd.Series({"m1": 1.0, "m2": None}), [1, np.nan], ["m1", "m2"], None),
        (pd.Series([1.0, 2.0]), [1, 2], None, None),
        (pd.DataFrame({"t": [1, 2], "f": [3.0, None]}), [[1, 3], [2, np.nan]], ["t", "f"], None),
    ],
)
def test_what_an_answer_says(answer, numbers, names, units):
    found = read_answer(answer)
    np.testing.assert_array_equal(found.array, numbers)
    said = Datum.of(found.array[None], labels=found.labels)
    assert (said.names, said.units) == (names, units)


def test_of_pint_unyt_and_xarray():
    pint, unyt, xarray = (pytest.importorskip(name) for name in ("pint", "unyt", "xarray"))
    registry = pint.UnitRegistry()
    for answer in (
        [1.0, 2.0] * registry.km,
        unyt.unyt_array([1.0, 2.0], "km"),
        xarray.DataArray([1.0, 2.0], attrs={"units": "km"}),
    ):
        assert read_answer(answer).labels == Labels(None, ("km",))
    with_mask = registry.Quantity(np.ma.array([1.0, 2.0], mask=[True, False]), "km")
    np.testing.assert_array_equal(read_answer(with_mask).array, [np.nan, 2])
    named = read_answer(xarray.Dataset({"flux": ((), 1.0, {"units": "Jy"}), "width": ((), 2.0, {"units": "s"})}))
    assert named.labels == Labels(("flux", "width"), ("Jy", "s"))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (3 * u.h, "without the hour.*given h"),
        ([1 * u.m, 2 * u.m], "list of Quantity.*one array"),
        ({"spectrum": np.ones(3), "flux": 1.0}, r"several shapes, spectrum \(3,\), flux \(\)"),
        ({}, "no numbers"),
        ({"x": "a"}, "<U1 to numbers"),
    ],
)
def test_what_is_refused_names_theta(answer, message):
    with pytest.raises(SimulationError, match=rf"(?s)at theta = \[.*{message}"):
        run(lambda theta: answer, n=20)


# Units and names through a run


def drop(a, b, rng):
    return {"height": (a + rng.normal(0, 0.1)) * u.m, "time": b * u.s}


def test_units_and_names_are_kept_with_the_simulations(tmp_path):
    path = tmp_path / "drops.npz"
    found = run(drop, n=40, path=path)
    assert found.labels == read_simulations(path).labels == run(drop, n=40, path=path).labels
    assert found[:3].labels == Labels(("height", "time"), ("m", "s"))
    np.testing.assert_array_equal(found.x[:, 1], found.theta[:, 1])
    with pytest.raises(InputError, match=r"answered with the names height, time and the units m, s and now with neither"):
        run(lambda a, b, rng: [value.value for value in drop(a, b, rng).values()], n=40, path=path)
    bare = run(lambda theta: theta, n=40, path=tmp_path / "bare.npz")
    assert bare.labels == Labels()
    with pytest.raises(InputError, match=r"neither names nor units and now with the unit m"):
        run(lambda theta: theta * u.m, n=40, path=tmp_path / "bare.npz")


def test_answers_in_several_units_are_refused():
    def simulator(theta):
        return theta * u.m if theta[0] < 0.9 else 100 * theta * u.cm

    with pytest.raises(SimulationError, match=r"at theta = \[0\.9.* cm.* m.*expected the same"):
        run(simulator, n=60)
    assert run(lambda theta: theta * u.m, n=1500, vectorized=True).labels == Labels(None, ("m",))
    with pytest.raises(SimulationError, match=r"the unit cm .* the unit m"):
        run(lambda theta: theta * (u.m if len(theta) == 1000 else u.cm), n=1500, vectorized=True)


def test_names_come_from_other_processes_and_are_the_same_in_all():
    def simulator(a, b):
        return {"a": a, "b": b} if a < 0.9 else {"b": b, "a": a}

    with pytest.raises(SimulationError, match=r"the names [ab], [ab].* the names [ab], [ab].*: expected the same"):
        run(simulator, n=60, jobs=2)
    assert run(lambda b, a: {"a": a, "b": b}, n=40, jobs=2).labels == Labels(("a", "b"))


def test_trials_have_the_unit_of_each():
    answer = Trials(lambda theta, rng: rng.normal(theta[0], 1, 2) * u.mK, (2, 4))(np.ones(2), rng=np.random.default_rng(0))
    assert (answer.array.shape[1], answer.labels) == (2, Labels(None, ("mK",)))
    units = iter([u.m, u.cm] * 4)
    with pytest.raises(ValueError, match="trials of one kind"):
        Trials(lambda theta, rng: theta * next(units), 4)(np.ones(2), rng=np.random.default_rng(0))


def test_the_spec_of_a_posterior_says_unit_and_names():
    """So that an observation in another unit is converted, and one in none of them refused."""
    found = run(drop, n=40)
    data = {"source": "simulations", "parameters": {}}
    datum = Datum.of(found.x, labels=found.labels)
    for recipe in (npe_recipe("drops", PRIOR, data, 40, datum), nle_recipe("drops", PRIOR, data, found.x, datum)):
        x = next(tensor for tensor in recipe.endpoints["log_prob"].inputs if tensor.name == "x")
        assert (x.labels, x.axes[0].units, x.unit) == (["height", "time"], ["m", "s"], "m, s")
    seen = array_of(QTable({"time": [2.0] * u.min, "height": [250.0] * u.cm}), x)
    np.testing.assert_allclose(seen, [[2.5, 120]])
    with pytest.raises(InputError, match="expected m, given s"):
        array_of(QTable({"time": [2.0] * u.s, "height": [2.0] * u.s}), x)


def test_predictions_are_in_the_unit_of_the_observation():
    axis = Axis(name="datum", size=2, labels=["height", "time"], units=["m", "s"])
    observed = Tensor(name="x", axes=[axis], unit="m, s", description="")
    theta = PRIOR.sample(5, np.random.default_rng(0)).astype(np.float32)
    found = _simulated(drop, False, 1, 0, ["a", "b"], observed, theta)
    np.testing.assert_allclose(found[:, 1], theta[:, 1])
    with pytest.raises(InputError, match="answers with the unit cm, and x is in m, s"):
        _simulated(lambda a, b: np.array([a, b]) * u.cm, False, 1, 0, ["a", "b"], observed, theta)


# How it takes its parameters


@pytest.mark.parametrize(
    "simulator",
    [
        lambda a, b, rng: a - b + rng.normal(),
        lambda b, a, rng: a - b + rng.normal(),
        lambda b, a=0.0, *, rng: a - b + rng.normal(),
        lambda rng, a, b, scale=1: a - b + scale * rng.normal(),
        functools.partial(lambda scale, a, b, rng: a - b + scale * rng.normal(), 1),
    ],
)
def test_parameters_by_name(simulator):
    expected = run(lambda theta, rng: theta[0] - theta[1] + rng.normal(), n=30)
    np.testing.assert_array_equal(run(simulator, n=30).x, expected.x)


def test_many_rows_of_parameters_by_name():
    found = run(lambda a, b: np.stack([a, a - b], axis=1), n=30, vectorized=True)
    np.testing.assert_array_equal(found.x[:, 1], found.theta[:, 0] - found.theta[:, 1])


@pytest.mark.parametrize(
    "simulator", [lambda mean, sigma: mean, lambda theta, grid, rng: theta, lambda a, c, rng: a, lambda theta, *, grid: theta]
)
def test_arguments_that_are_no_parameters_are_said_before_anything_runs(simulator):
    with pytest.raises(InputError, match=r"takes \(\w+, \w+\): expected \(theta\), .*\(a, b\), each by its name"):
        run(simulator, n=30)


# Space for what it answers


def test_space_is_asked_for_after_the_first_answers(tmp_path, monkeypatch):
    calls = []

    def simulator(theta):
        calls.append(1)
        return np.zeros(1000)

    monkeypatch.setattr(sys.modules["shutil"], "disk_usage", lambda path: SimpleNamespace(free=10_000_000))
    with pytest.raises(FullDiskError, match="16,032,000 bytes are needed and 10,000,000 are free"):
        run(simulator, n=1000, path=tmp_path / "large.npz")
    assert len(calls) < 20
    with pytest.raises(SimulationError, match="no finite"):
        run(lambda theta: np.full(1000, np.nan), n=500, path=tmp_path / "small.npz")  # for which there is space
