"""Truncated rounds: posteriors that are known, what a folder keeps, and what the card says."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable
from scipy.stats import norm
from tiny_flows import without_xla

import zoo
from zoo.data.sbi import Prior
from zoo.data.sbi import simulate as draw_pairs
from zoo.data.sbi.tasks.two_moons import TwoMoons
from zoo.errors import FolderError, InputError, ZooError
from zoo.interpret.posteriors.c2st import c2st
from zoo.model.test_tensors import read_npz
from zoo.workflows.npe import train_npe
from zoo.workflows.npe_run import NpeRun
from zoo.workflows.observed import expect_observation
from zoo.workflows.sequence import Rounds, Sequence

PRIOR = {name: {"distribution": "uniform", "low": -4, "high": 4} for name in ("a", "b")}
SD = np.array([0.2, 0.5])
AT = np.array([1.5, -2.0])
TINY = {
    "config.transforms": 2,
    "config.hidden": [16],
    "config.linear": False,
    "epochs": 40,
    "batch_size": 32,
    "optimizer.learning_rate": 2e-2,
    "optimizer.weight_decay": 0.0,
    "test_rows": 4,
}


def simulate(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(theta, SD)


def posterior(folder: Path, **changes):
    options = {"family": "maf", "rounds": 3, "observation": AT, "test": 100, "vectorized": True, "jobs": 1, "changes": TINY}
    return train_npe(simulate, PRIOR, 1200, folder=folder, **options | changes)


def rounds(folder: Path, prior: dict = PRIOR, at: np.ndarray = AT) -> Sequence:
    """Two rounds of a run, ready."""
    options = {"seed": 0, "vectorized": True, "jobs": 1, "on_nonfinite": "drop"}
    how = {"family": "maf", "members": 1, "seed": 0, "changes": TINY}
    run = NpeRun(folder, folder.name, False)
    return Sequence(run, Prior(prior), partial(draw_pairs, simulate, **options), Rounds(2, at, 800, 100), how)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    sequence = rounds(tmp_path_factory.mktemp("rounds") / "near")
    with without_xla():
        return sequence, sequence.simulate()


def test_rounds_are_kept_and_go_where_the_posterior_is(kept):
    sequence, pairs = kept
    sizes, spreads = [], []
    for index in (1, 2):
        arrays = read_npz(sequence.run.folder / f"round-{index}" / "drawn.npz")
        sizes.append(len(arrays["x"]))
        spreads.append(arrays["theta"].std(axis=0).max())
        assert np.abs(arrays["x"] - arrays["theta"]).max() < 6 * SD.max()
    assert sizes == [400, 500]
    assert spreads[0] > 2
    assert spreads[1] < 0.6 * spreads[0]
    theta = sequence.truncated.sample(200, np.random.default_rng(1))
    assert np.all(np.abs(theta.mean(axis=0) - AT) < 1)
    # What is trained on has the density of the prior inside the region, and rows of both rounds that lie there.
    last = read_npz(sequence.run.folder / "round-2" / "simulations.npz")
    area = np.exp(-last["log_prior"][0])
    assert np.ptp(last["log_prior"]) < 1e-9
    assert 500 < len(last["theta"]) < 800
    assert pairs.budget == len(last["theta"]) - 100
    assert 0.4 < area / np.prod(np.ptp(last["theta"], axis=0)) < 1.1


def test_test_rows_are_of_the_last_round_and_near_the_observation(kept):
    sequence, pairs = kept
    last = read_npz(sequence.run.folder / "round-2" / "simulations.npz")
    drawn = read_npz(sequence.run.folder / "round-2" / "drawn.npz")
    tested = last["x"][-100:]
    assert np.isin(tested[:, 0], drawn["x"][:, 0]).all()
    away = [np.linalg.norm((x - AT) / SD, axis=1) for x in (tested, drawn["x"])]
    assert np.median(away[0]) < 0.8 * np.median(away[1])
    assert len(np.unique(last["x"], axis=0)) == len(last["x"])
    rows = pairs.data["parameters"]
    assert (rows["file"], rows["test"]) == ("round-2/simulations.npz", 100)


def test_the_same_call_goes_on_and_another_is_refused(kept, tmp_path):
    sequence, pairs = kept
    run = shutil.copytree(sequence.run.folder, tmp_path / "near.run")
    before = read_npz(run / "round-2" / "simulations.npz")
    (run / "round-2" / "simulations.npz").unlink()  # killed after the parameters of the second round were drawn
    (run / "round-2" / "drawn.npz").unlink()
    assert rounds(tmp_path / "near").simulate().data == pairs.data
    for name, array in read_npz(run / "round-2" / "simulations.npz").items():
        np.testing.assert_array_equal(array, before[name])
    with pytest.raises(FolderError, match=r"rounds made with observation.*overwrite"):
        rounds(tmp_path / "near", at=AT + 1).simulate()
    with pytest.raises(FolderError, match="rounds made with prior"):
        rounds(tmp_path / "near", {name: {**law, "low": -3} for name, law in PRIOR.items()}).simulate()


def test_a_round_says_what_it_has_found(kept, tmp_path, capsys):
    sequence, _ = kept
    shutil.copytree(sequence.run.folder, tmp_path / "near.run")
    rounds(tmp_path / "near").simulate()
    title, found, fit = capsys.readouterr().out.splitlines()
    assert title == "round 1 of 2:"
    share = re.fullmatch(
        r"- 400 simulations, of all so far 398 are trained on: the observation is held possible on (\S+) of the prior, where"
        r" the next round simulates\.",
        found,
    )
    assert share, found
    inside = sequence.truncated.holds(Prior(PRIOR).sample(20_000, np.random.default_rng(9))).mean()
    assert float(share[1]) == pytest.approx(inside, rel=0.1)
    exact = -2 * np.log(1e-4) * np.pi * SD.prod() / 64  # of the ellipse that holds all but 1e-4 of the right posterior
    assert exact < inside < 4 * exact
    assert re.search(r"(Over|Under|Neither over- nor under)fitted", fit)


def test_an_observation_is_converted_to_what_the_simulator_answers(tmp_path):
    def simulate_in_meters(theta, rng):
        return {"left": rng.normal(theta[0], 0.2) * u.m, "right": rng.normal(theta[1], 0.5) * u.km}

    def observation_of(given):
        options = {"vectorized": False, "jobs": 1, "on_nonfinite": "drop"}
        how = {"family": "maf", "members": 1, "seed": 0, "changes": TINY}
        simulated = partial(draw_pairs, simulate_in_meters, **options)
        sequence = Sequence(NpeRun(tmp_path / "near", "near", False), Prior(PRIOR), simulated, Rounds(2, given, 40, 20), how)
        sequence._simulated(sequence.prior, 20, 0, sequence.run.folder / "round-1")
        return sequence.observation

    in_other_units = {"right": -2000 * u.m, "left": 150 * u.cm}
    for given in (in_other_units, QTable([in_other_units])[0], [1.5, -2.0], {"left": 1.5, "right": -2.0}):
        expect_observation(given)
        np.testing.assert_allclose(observation_of(given), AT, rtol=1e-14)
    for given, message in (
        ([150.0, -2.0] * u.s, "expected m.*, given s"),
        ({"left": 1.5, "wrong": -2.0}, "no column of input 'x' named 'right'"),
        ([1.0, -2.0], "rounds made with observation"),
    ):
        expect_observation(given)
        with pytest.raises(ZooError, match=message):
            observation_of(given)
    with pytest.raises(InputError, match="not finite or missing"):
        expect_observation(np.ma.masked_array([1.0, -999.0], mask=[False, True]))


@pytest.mark.slow
def test_posterior_of_the_observation_is_the_exact_one_and_its_card_says_so(tmp_path):
    flow = posterior(tmp_path / "near")
    drawn = flow.draw(4000, AT)
    np.testing.assert_allclose(drawn.mean(axis=0), AT, atol=0.3 * SD.min())
    np.testing.assert_allclose(drawn.std(axis=0), SD, rtol=0.25)
    exact = norm(AT, SD).logpdf(drawn).sum(axis=1)
    assert np.median(np.abs(flow.log_density(drawn, AT) - exact)) < 0.3
    assert "is for one observation, x = [1.5, -2]" in (tmp_path / "near" / "README.md").read_text()
    loaded = zoo.load(tmp_path / "near")
    assert "near one observation" in loaded.spec.summary
    found = {metric.name: metric for metric in loaded.spec.metrics}
    assert found["draws outside the region"].value < 0.02
    assert found["sbc distance a"].n == 100
    assert found["log_prob"].baseline > 2 * np.log(1 / 8) + 1  # of the truncated prior


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"observation": None}, "one observation, given none"),
        ({"observation": [1.0, np.nan]}, "finite numbers"),
        ({"rounds": 1}, "at least 2"),
        ({"rounds": 2, "observation": [1.0, 2.0, 3.0]}, r"shape \(2,\), given \(3,\)"),
    ],
)
def test_what_cannot_be_asked(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        posterior(tmp_path / "other", **changes)


@pytest.mark.slow
def test_two_moons_in_rounds_are_near_the_reference(tmp_path, monkeypatch):
    """Published of one flow for all observations, at 1,000 simulations: 0.725, of SNPE in ten rounds 0.643."""
    import zoo.training.evaluations.posterior as module

    monkeypatch.setattr(module, "DRAWS", 99)
    task, x = TwoMoons(), np.array([0.1, -0.2])
    flow = train_npe(
        task.simulate, task.prior, 1200, folder=tmp_path / "moons", test=100, vectorized=True, jobs=1, rounds=3, observation=x,
        changes={"config.hidden": [64, 64], "epochs": 50},
    )  # fmt: skip
    exact = task.reference(x, 1000, np.random.default_rng(0))
    assert c2st(exact, flow.draw(1000, x)) < 0.65
