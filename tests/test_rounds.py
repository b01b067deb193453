"""Truncated rounds: posteriors that are known, what a folder keeps, and what the card says."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from tiny_flows import without_xla

import zoo
from zoo.data.sbi import Prior
from zoo.data.sbi import simulate as draw_pairs
from zoo.data.sbi.two_moons import TwoMoons
from zoo.errors import FolderError, InputError
from zoo.interpret.posteriors.c2st import c2st
from zoo.model.test_tensors import read_npz
from zoo.workflows.npe import train_npe
from zoo.workflows.npe_run import NpeRun
from zoo.workflows.sequence import Rounds, Sequence

PRIOR = {name: {"distribution": "uniform", "low": -4, "high": 4} for name in ("a", "b")}
SD = np.array([0.2, 0.5])
AT = np.array([1.5, -2.0])
TINY = {
    "config.transforms": 2,
    "config.hidden": [16],
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    import zoo.training.evaluations.posterior as module

    folder = tmp_path_factory.mktemp("rounds") / "near"
    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 99)
        patch.setattr(module.plots, "corner_plot", lambda *_, **__: module.plots.learning_curves({"loss": [1.0]}))
        return folder, posterior(folder)


def test_posterior_of_the_observation_is_the_exact_one(trained):
    _, flow = trained
    drawn = flow.draw(4000, AT)
    np.testing.assert_allclose(drawn.mean(axis=0), AT, atol=0.3 * SD.min())
    np.testing.assert_allclose(drawn.std(axis=0), SD, rtol=0.25)
    exact = norm(AT, SD).logpdf(drawn).sum(axis=1)
    assert np.median(np.abs(flow.log_density(drawn, AT) - exact)) < 0.3


def test_rounds_are_kept_and_go_where_the_posterior_is(trained):
    folder, _ = trained
    run = folder.with_name("near.run")
    sizes, spreads = [], []
    for index in (1, 2, 3):
        arrays = read_npz(run / f"round-{index}" / "drawn.npz")
        sizes.append(len(arrays["x"]))
        spreads.append(arrays["theta"].std(axis=0).max())
        assert np.abs(arrays["x"] - arrays["theta"]).max() < 6 * SD.max()
    assert sizes == [400, 400, 500]
    assert spreads[0] > 2
    assert spreads[1] < 0.5 * spreads[0]
    # What is trained on has the density of the prior inside the last region, and rows of every round that lie there.
    last = read_npz(run / "round-3" / "simulations.npz")
    area = np.exp(-last["log_prior"][0])
    assert np.ptp(last["log_prior"]) < 1e-9
    assert 500 <= len(last["theta"]) < 1300
    box = np.prod(np.ptp(last["theta"], axis=0))
    assert 0.4 * box < area < 1.1 * box


def test_card_says_what_it_is_for(trained):
    folder, flow = trained
    card = (folder / "README.md").read_text()
    assert "is for one observation, x = [1.5, -2]" in card
    assert "near one observation" in flow.spec.summary
    found = {metric.name: metric for metric in zoo.load(folder).spec.metrics}
    assert found["draws outside the region"].value < 0.02
    assert found["sbc distance a"].n == 100
    # The prior beside the posterior is the truncated one.
    assert found["log_prob"].baseline > 2 * np.log(1 / 8) + 1


def test_the_same_call_goes_on_and_another_is_refused(trained, tmp_path):
    folder, _ = trained
    run = shutil.copytree(folder.with_name("near.run"), tmp_path / "near.run")
    before = read_npz(run / "round-3" / "simulations.npz")
    for index in (2, 3):  # killed after the parameters of the second round, half of whose data are there
        (run / f"round-{index}" / "simulations.npz").unlink()
        (run / f"round-{index}" / "drawn.npz").unlink()
    options = {"seed": 0, "vectorized": True, "jobs": 1, "on_nonfinite": "drop"}
    how = {"family": "maf", "members": 1, "seed": 0, "changes": TINY}
    sequence = Sequence(
        NpeRun(tmp_path / "near", "near", False),
        Prior(PRIOR),
        partial(draw_pairs, simulate, **options),
        Rounds(3, AT, 1200, 100),
        how,
    )
    with without_xla():
        pairs = sequence.simulate()
    assert pairs.budget == len(before["theta"]) - 100
    after = read_npz(run / "round-3" / "simulations.npz")
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    with pytest.raises(FolderError, match=r"rounds made with observation.*overwrite"):
        posterior(tmp_path / "near", observation=AT + 1)
    with pytest.raises(FolderError, match="rounds made with prior"):
        train_npe(
            simulate, {name: {**law, "low": -3} for name, law in PRIOR.items()}, 1200, folder=tmp_path / "near", rounds=3,
            observation=AT, family="maf", test=100, vectorized=True, jobs=1, changes=TINY,
        )  # fmt: skip


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
def test_two_moons_in_rounds_are_nearer_to_the_reference_than_at_once(tmp_path):
    task, x = TwoMoons(), np.array([0.1, -0.2])
    exact = task.reference(x, 2000, np.random.default_rng(0))
    found = {}
    for rounds in (1, 3):
        options = {"rounds": rounds, "observation": x} if rounds > 1 else {}
        flow = train_npe(
            task.simulate, task.prior, 1500, folder=tmp_path / f"moons-{rounds}", test=200, vectorized=True, jobs=1, **options
        )
        found[rounds] = c2st(exact, flow.draw(2000, x))
    assert found[3] < found[1]
    assert found[3] < 0.65
