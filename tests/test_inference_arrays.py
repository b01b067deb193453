"""Posteriors from rows of one's own, from priors that are no plain data, and runs that are refused or made anew."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from astropy import units
from astropy.table import QTable
from scipy import stats
from tiny_flows import without_xla

import zoo
from zoo.data.sbi import as_prior
from zoo.data.sbi.own_rows import read_own_rows
from zoo.data.sbi.simulating.simulations import SimulationError
from zoo.errors import FolderError, InputError, UnknownNameError
from zoo.model.card import check_card
from zoo.model.model_json import read_spec
from zoo.training.recipe import RecipeError
from zoo.workflows.npe import train_npe

TINY = {
    "config.transforms": 2,
    "config.hidden": [24],
    "epochs": 15,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}
BRIEF = {**TINY, "config.transforms": 1, "config.hidden": [8], "epochs": 1}
PRIOR = stats.multivariate_normal([1.0, -2.0], [[1.0, 0.8], [0.8, 2.0]])
NOISE = 0.5
X = np.array([1.5, -3.0])
N = 2000


def exact(x):
    """Mean and covariance of the conjugate posterior, of x = theta + noise."""
    precision = np.linalg.inv(PRIOR.cov)
    covariance = np.linalg.inv(precision + np.eye(2) / NOISE**2)
    return covariance @ (precision @ PRIOR.mean + x / NOISE**2), covariance


@pytest.fixture(scope="module")
def pairs():
    theta = PRIOR.rvs(N, random_state=0)
    return theta, theta + np.random.default_rng(1).normal(0, NOISE, theta.shape)


@pytest.fixture(scope="module")
def few_draws():
    import zoo.training.evaluations.posterior as module

    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 99)
        patch.setattr(module, "SAMPLES", 200)
        patch.setattr(module, "OBSERVATIONS", 1)
        yield


@pytest.fixture(scope="module")
def own(few_draws, pairs, tmp_path_factory):
    """Trained on tables, sorted, their columns in another order than the prior's and in another unit, some rows masked."""
    theta, x = pairs
    order = np.argsort(theta[:, 0])
    folder = tmp_path_factory.mktemp("npe") / "own"
    table = QTable({"b": theta[order, 1], "a": 100 * theta[order, 0]}, units={"a": "cm"}, names=["b", "a"])
    data = pd.DataFrame({"left": x[order, 0], "right": x[order, 1]})
    data.loc[[3, 500], "right"] = np.nan
    prior = as_prior(PRIOR, ["a", "b"], {"a": "m"})
    with pytest.warns(UserWarning, match=r"left out 2 of 2000 rows .*2 in x.*first row 3"):
        return folder, train_npe(theta=table, x=data, prior=prior, folder=folder, test=200, changes=TINY)


def expect_exact(flow):
    mean, covariance = exact(X)
    drawn = flow.draw(4000, X).astype(np.float64)
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((drawn.mean(axis=0) - mean) / spread, 0, atol=0.3)
    np.testing.assert_allclose(drawn.std(axis=0) / spread, 1, atol=0.25)


@pytest.mark.slow  # the page of simulators trains on rows of its own
def test_own_rows_give_the_exact_posterior(own):
    folder, flow = own
    expect_exact(flow)
    assert flow.spec.endpoint("log_prob").inputs[0].labels == ["a", "b"]
    assert flow.spec.endpoint("log_prob").inputs[1].labels == ["left", "right"]
    expect_exact(zoo.load(folder))
    np.testing.assert_array_equal(flow.draw(3, pd.DataFrame({"right": [X[1]], "left": [X[0]]}))[0], flow.draw(3, X))
    assert "1998 simulations" in flow.spec.data.description
    assert "2 left out" in flow.spec.data.description


@pytest.mark.slow
def test_baseline_is_that_of_the_joint_prior(own):
    folder, flow = own
    metrics = {metric.name: metric for metric in flow.spec.metrics}
    kept = np.load(folder.with_name("own.run") / "simulations.npz")
    np.testing.assert_allclose(kept["log_prior"], PRIOR.logpdf(kept["theta"]))
    assert metrics["log_prob"].baseline == pytest.approx(PRIOR.logpdf(kept["theta"][-200:]).mean())
    assert metrics["log_prob"].value > metrics["log_prob"].baseline + 1
    assert metrics["rmse b"].baseline == pytest.approx(np.sqrt(2), rel=0.1)
    assert flow.spec.notes is None


@pytest.mark.slow
def test_same_rows_through_a_simulator(own, few_draws, pairs, tmp_path):
    theta, x = pairs
    known = {row.tobytes(): data for row, data in zip(theta, x, strict=True)}
    prior = as_prior((lambda n, rng: theta[rng.permutation(N)[:n]], PRIOR.logpdf), ["a", "b"])
    flow = train_npe(
        lambda row: known[row.tobytes()], prior, N - 200, folder=tmp_path / "simulated", test=200, jobs=1, changes=TINY
    )
    expect_exact(flow)
    assert {metric.name: metric for metric in flow.spec.metrics}["log_prob"].baseline is not None
    ours = own[1].draw(4000, X)
    np.testing.assert_allclose(flow.draw(4000, X).mean(axis=0), ours.mean(axis=0), atol=0.3 * ours.std())


@pytest.mark.slow
def test_rows_without_a_prior(few_draws, pairs, tmp_path):
    theta, x = pairs
    flow = train_npe(theta=theta[:500], x=x[:500], folder=tmp_path / "rows", family="maf", changes=BRIEF)
    assert flow.spec.family == "maf"
    metrics = {metric.name: metric for metric in flow.spec.metrics}
    assert metrics["log_prob"].n == 50
    assert {metric.baseline for name, metric in metrics.items() if "distance" not in name} == {None}
    assert any("prior" in note for note in flow.spec.notes)
    card = (tmp_path / "rows" / "README.md").read_text()
    assert "the distribution of the parameters among the training rows" in card
    check_card(tmp_path / "rows", yaml.safe_load((tmp_path / "rows" / "metrics.json").read_text()))


# Rows as they were meant

LAWS = as_prior({"a": stats.norm(1, 1), "b": stats.uniform(-8, 12)}, units={"a": "m"})


def test_order_of_the_rows_is_not_trusted_and_follows_from_the_seed(pairs):
    theta, x = (array[np.argsort(pairs[0][:, 0])] for array in pairs)
    first, again, other = (read_own_rows(theta, x, LAWS, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)
    assert abs(np.corrcoef(first.theta[:, 0], np.arange(N))[0, 1]) < 0.1
    known = {row.tobytes(): data for row, data in zip(theta, x, strict=True)}
    np.testing.assert_array_equal(first.x, [known[row.tobytes()] for row in first.theta])


def test_tables_whose_rows_have_other_labels():
    theta = pd.DataFrame({"a": np.arange(5.0), "b": np.arange(5.0) - 4})
    x = pd.DataFrame({"c": np.arange(5.0)})
    read_own_rows(theta, x, LAWS)
    with pytest.raises(InputError, match=r"rows have different labels.*reset_index"):
        read_own_rows(theta, x.iloc[::-1], LAWS)
    found = read_own_rows(theta, x.iloc[::-1].loc[theta.index], LAWS)
    np.testing.assert_array_equal(found.theta[:, 0], found.x[:, 0])


def test_masked_rows_are_left_out_or_refused():
    theta, x = np.ma.array(np.ones((4, 2)), mask=np.zeros((4, 2), bool)), np.arange(8.0).reshape(4, 2)
    theta[2, 1] = np.ma.masked
    with pytest.warns(UserWarning, match=r"left out 1 of 4 rows .*1 in theta.*row 2"):
        found = read_own_rows(theta, x, LAWS)
    assert found.dropped == 1
    assert sorted(found.x[:, 0]) == [0, 2, 6]
    with pytest.raises(SimulationError, match="1 of 4 rows"):
        read_own_rows(theta, x, LAWS, on_nonfinite="fail")
    with pytest.raises(SimulationError, match="4 of 4 rows"):
        read_own_rows(theta, np.full((4, 1), np.nan), LAWS)


def test_columns_of_xarray_are_taken_by_name_and_in_their_units():
    xarray = pytest.importorskip("xarray")
    theta = xarray.Dataset({"b": ("row", np.arange(5.0) - 4), "a": ("row", 100 * np.arange(5.0), {"units": "cm"})})
    found = read_own_rows(theta, np.arange(5.0), LAWS)
    order = np.argsort(found.x[:, 0])
    np.testing.assert_allclose(found.theta[order], np.stack([np.arange(5.0), np.arange(5.0) - 4], axis=1))


def test_single_precision_does_not_leave_the_prior():
    theta = np.full((4, 1), 0.1, np.float32)  # rounded above 0.1
    found = read_own_rows(theta, np.arange(4.0), as_prior({"a": stats.uniform(0, 0.1)}))
    assert found.theta.max() == 0.1
    assert found.x.shape == (4, 1)
    tiny = np.array([[1e-18], [-1e-15], [1e-12]])
    with pytest.raises(InputError, match=r"1 of 3 simulations have a outside the prior's \[1e-18, 1e-08\]"):
        read_own_rows(tiny, np.arange(3.0), as_prior({"a": stats.loguniform(1e-18, 1e-8)}))


@pytest.mark.parametrize(
    ("theta", "x", "message"),
    [
        (np.ones((5, 3)), np.ones((5, 2)), r"expected 2 columns \(a, b\), given 3"),
        (np.ones((5, 2)), np.ones((4, 2)), "given 5 and 4"),
        (np.full((5, 2), 7.0), np.ones((5, 2)), "5 of 5 simulations have b outside"),
        (np.ones((5, 2)), np.array([["a"] * 2] * 5), "expected numbers"),
        (np.ones((5, 2)), [np.ones(2), np.ones(3)], "given 5 and 2"),
        ({"a": np.ones(5), "b": np.ones(5), "weight": np.ones(5)}, np.ones((5, 2)), "weights"),
        (np.ones((5, 2)), pd.DataFrame({"x": np.ones(5), "event_weights": np.ones(5)}), "weights"),
        (pd.DataFrame({"a": np.ones(5), "c": np.ones(5)}), np.ones((5, 2)), "b"),
    ],
)
def test_rows_that_are_refused(theta, x, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        read_own_rows(theta, x, LAWS)


@pytest.mark.parametrize("name", ["weight", "event_weights", "genWeight", "weight_mc", "wgt", "mcWgt"])
def test_columns_of_weights_are_refused_by_any_of_their_names(name):
    with pytest.raises(InputError, match=f"the column {name} holds weights"):
        read_own_rows(np.ones((5, 2)), pd.DataFrame({"x": np.ones(5), name: np.ones(5)}), LAWS)


def test_a_column_w_may_be_data_or_a_parameter():
    column = np.arange(5.0)
    with pytest.warns(UserWarning, match=r"x: the column w is taken as it is.*event weights") as caught:
        found = read_own_rows(np.ones((5, 2)), pd.DataFrame({"x": column, "w": column}), LAWS)
    assert caught[0].filename == __file__
    assert found.datum.names == ["x", "w"]
    with pytest.warns(UserWarning, match=r"theta: the column w is left out"):
        read_own_rows({"a": column, "b": column - 4, "w": column}, column, LAWS)
    with pytest.warns(UserWarning, match=r"theta: the column w is taken as it is"):
        read_own_rows({"a": column, "w": column}, column, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_own_rows({"a": column, "w": column - 4}, column, as_prior({"a": stats.norm(1, 1), "w": stats.norm(-1, 1)}))


def test_units_of_rows_stand_as_a_spec_writes_them():
    column = np.arange(5.0)
    assert read_own_rows(column * units.one, column * units.one, None).datum.units == ["1"]
    named = read_own_rows({"a": column * units.km / units.s}, QTable({"t": column * units.s, "n": column}), None)
    assert (named.prior.units, named.datum.units) == ({"a": "km / s"}, ["s", "1"])
    for given in ({"theta": column * units.h, "x": column}, {"theta": column, "x": QTable({"t": column * units.h})}):
        with pytest.raises(InputError, match=r"without the hour.*given h: convert it"):
            read_own_rows(**given, prior=None)
    with pytest.raises(InputError, match="expected names of one word"):
        read_own_rows({"my rate": column}, column, None)


def test_prior_that_is_zero_at_some_rows():
    prior = as_prior(
        (lambda n, rng: np.sort(rng.random((n, 2))), lambda t: np.where(t[:, 0] < t[:, 1], np.log(2.0), -np.inf)), ["a", "b"]
    )
    with pytest.raises(InputError, match=r"1 of 2 simulations lie outside the prior, the first at a = 0\.9, b = 0\.1"):
        read_own_rows([[0.1, 0.2], [0.9, 0.1]], [1.0, 2.0], prior)


def test_what_is_asked_for_together(tmp_path):
    def line(theta):
        return theta

    with pytest.raises(InputError, match="given neither"):
        train_npe(folder=tmp_path / "a")
    with pytest.raises(InputError, match="given both"):
        train_npe(line, LAWS, theta=[1.0], x=[1.0], folder=tmp_path / "a")
    with pytest.raises(InputError, match="given x alone"):
        train_npe(x=[1.0], folder=tmp_path / "a")
    with pytest.raises(InputError, match="needs the prior"):
        train_npe(line, folder=tmp_path / "a")
    rows = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(UnknownNameError, match="family of flows"):
        train_npe(theta=rows, x=rows, folder=tmp_path / "a", family="glow")
    with pytest.raises(InputError, match="expected from 2 to 99 test rows of 100 simulations, given 100"):
        train_npe(theta=rows, x=rows, folder=tmp_path / "b", test=100)


# Runs of something else


@pytest.fixture
def released(monkeypatch):
    """What stands in for a training: it claims its folder as one does, and leaves a file of its own."""
    import zoo.loading
    import zoo.workflows.release as module
    from zoo.atomic import claim

    calls = []

    def release(recipe, out, folder):
        training = out / "model" / "seed-0"
        training.mkdir(parents=True, exist_ok=True)
        claim(training / "run.json", recipe.model_dump(mode="json", include={"data", "epochs"}), "a run")
        calls.append(len(list(training.glob("checkpoint"))))
        (training / "checkpoint").touch()

    monkeypatch.setattr(module, "release", release)
    monkeypatch.setattr(zoo.loading, "load", lambda folder: folder)
    return calls


def test_other_rows_in_the_same_folder(released, pairs, tmp_path):
    theta, x = pairs
    run: Path = tmp_path / "own.run"
    arguments = {"theta": theta, "x": x, "prior": as_prior(PRIOR), "folder": tmp_path / "own"}
    train_npe(**arguments)
    (run / "notes.txt").write_text("mine")
    train_npe(**arguments)
    assert released == [0, 1]  # the second went on
    for changed in ({"x": x + 1}, {"theta": theta + 0.01}, {"seed": 1}):
        with pytest.raises(InputError, match=r"other simulations.*overwrite=True"):
            train_npe(**arguments | changed)
    train_npe(**arguments | {"x": x + 1}, overwrite=True)
    assert released == [0, 1, 0]  # anew
    assert np.load(run / "simulations.npz")["x"].mean() == pytest.approx(x.mean() + 1)
    with pytest.raises(FolderError, match=r"epochs.*overwrite=True"):
        train_npe(**arguments | {"x": x + 1}, changes={"epochs": 3})
    train_npe(**arguments | {"x": x + 1}, changes={"epochs": 3}, overwrite=True)
    assert released == [0, 1, 0, 0]
    assert (run / "notes.txt").read_text() == "mine"


def test_other_simulations_in_the_same_folder(released, tmp_path):
    def noisy(theta, rng):
        return theta + rng.normal(size=2)

    arguments = {"simulator": noisy, "prior": LAWS, "simulations": 100, "test": 20, "jobs": 1, "folder": tmp_path / "own"}
    train_npe(**arguments)
    before = np.load(tmp_path / "own.run" / "simulations.npz")["x"]
    with pytest.raises(InputError, match=r"differ in prior.*overwrite=True"):
        train_npe(**arguments | {"prior": {"a": stats.norm(5, 1), "b": stats.norm(0, 1)}})
    with pytest.raises(InputError, match=r"theta and x.*overwrite=True"):
        train_npe(theta=np.eye(40)[:, :2], x=np.eye(40)[:, :2], folder=tmp_path / "own")
    train_npe(**arguments | {"prior": {"a": stats.norm(5, 1), "b": stats.norm(0, 1)}}, overwrite=True)
    assert released == [0, 0]
    assert np.load(tmp_path / "own.run" / "simulations.npz")["x"][:, 0].mean() > before[:, 0].mean() + 3


def test_simulations_from_a_joint_prior_keep_its_density(released, tmp_path):
    from zoo.training.recipe import load_recipe

    arguments = {"prior": as_prior(PRIOR, ["a", "b"]), "simulations": 100, "test": 20, "jobs": 1, "folder": tmp_path / "own"}
    for _ in range(2):
        train_npe(lambda theta, rng: theta + rng.normal(size=2), **arguments)
    assert released == [0, 1]
    kept = np.load(tmp_path / "own.run" / "simulations.npz")
    np.testing.assert_allclose(kept["log_prior"], PRIOR.logpdf(kept["theta"]))
    data = load_recipe(tmp_path / "own.run" / "recipe.yaml").data.dataset()
    truth = np.stack(list(data.rows("test").truth.values()), axis=1)
    np.testing.assert_allclose(data.prior.log_density(truth), PRIOR.logpdf(truth))


def test_file_that_has_changed_under_its_recipe(released, pairs, tmp_path):
    from zoo.training.recipe import load_recipe

    theta, x = pairs
    train_npe(theta=theta, x=x, prior=as_prior(PRIOR), folder=tmp_path / "own")
    recipe = tmp_path / "own.run" / "recipe.yaml"
    load_recipe(recipe).data.dataset()
    np.savez(tmp_path / "own.run" / "simulations.npz", theta=theta, x=x + 1)
    with pytest.raises(InputError, match="other simulations than those that the recipe was written for"):
        load_recipe(recipe).data.dataset()


def test_number_of_test_rows_of_few(released, pairs, tmp_path):
    train_npe(theta=pairs[0][:300], x=pairs[1][:300], prior=as_prior(PRIOR), folder=tmp_path / "own")
    recipe = yaml.safe_load((tmp_path / "own.run" / "recipe.yaml").read_text())
    assert recipe["data"]["parameters"]["test"] == 30
    with pytest.raises(RecipeError, match="valid integer"):
        train_npe(theta=pairs[0], x=pairs[1], prior=as_prior(PRIOR), folder=tmp_path / "other", changes={"epochs": "many"})


@pytest.mark.slow
def test_spec_without_notes_is_written_as_before(own):
    folder, _ = own
    assert '"notes"' not in (folder / "model.json").read_text()
    assert read_spec(folder).notes is None


@pytest.mark.slow
def test_changed_simulator_gives_its_own_posterior(few_draws, tmp_path):
    """Of the same folder, prior and seed: refused, or trained anew where that is asked for, also with another width."""
    prior = {"mean": stats.norm(0, 1)}
    arguments = {"prior": prior, "simulations": 1000, "folder": tmp_path / "own", "test": 100, "jobs": 1, "changes": TINY}
    shifted = train_npe(lambda theta, rng: theta + 2 + 0.2 * rng.normal(size=1), **arguments)
    assert np.median(shifted.draw(500, [0.0])) < -1
    shutil.rmtree(tmp_path / "own")  # as if the training had been killed
    with pytest.raises(InputError, match=r"another simulator.*overwrite=True"):
        train_npe(lambda theta, rng: theta + 0.2 * rng.normal(size=1), **arguments)
    right = train_npe(lambda theta, rng: theta + 0.2 * rng.normal(size=1), **arguments, overwrite=True)
    assert np.median(right.draw(500, [0.0])) == pytest.approx(0, abs=0.15)
    wider = train_npe(lambda theta, rng: theta + 0.2 * rng.normal(size=3), **arguments, overwrite=True)
    assert np.median(wider.draw(500, [0.0, 0.0, 0.0])) == pytest.approx(0, abs=0.15)
