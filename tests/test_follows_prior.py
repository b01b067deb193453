"""Whether stored parameters were drawn from the prior that is said of them, and where a prior reaches beyond them."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from scipy import stats

from zoo.data.sbi import as_prior
from zoo.data.sbi.dataset import SimulationsFile
from zoo.data.sbi.priors.follows import LEVEL, _of_draws, _of_law, departures, reaches_beyond
from zoo.data.sbi.simulating.simulations import simulate
from zoo.training.evaluations import likelihood, posterior
from zoo.training.recipe import Recipe
from zoo.workflows.nle import train_nle
from zoo.workflows.npe import train_npe
from zoo.workflows.npe_run import NpeRun
from zoo.workflows.sequence import Rounds, Sequence

LAWS = as_prior({"rate": stats.loguniform(1e-3, 1e3), "phase": stats.uniform(0, 1)})
JOINT = as_prior(stats.multivariate_normal([1.0, -2.0], [[1.0, 0.9], [0.9, 2.0]]), ["a", "b"])


def drawn(n: int, seed: int = 0, prior=LAWS) -> np.ndarray:
    return prior.sample(n, np.random.default_rng(seed))


def test_p_values_are_scipys_and_uniform():
    """Of values that come once the test is SciPy's; of resampled ones its level holds."""
    theta = drawn(700)[:, 0]
    law = stats.loguniform(1e-3, 1e3)
    assert _of_law(theta, LAWS.laws["rate"].law.cdf) == pytest.approx(stats.kstest(theta, law.cdf).pvalue)
    other = drawn(900, 1)[:, 0]
    assert _of_draws(theta, other) == pytest.approx(stats.ks_2samp(theta, other, method="asymp").pvalue)
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        wider = rng.normal(0, 2, 2000)
        weights = np.exp(-0.5 * wider**2 + 0.5 * (wider / 2) ** 2)
        again = rng.choice(wider, 2000, p=weights / weights.sum())
        p_values.append(_of_law(again, stats.norm(0, 1).cdf))
    p_values = np.array(p_values)
    assert (p_values < 0.01).sum() <= 8  # 2 are expected
    assert 0.2 < np.median(p_values) < 0.8


def test_parameters_that_follow_are_not_accused():
    accused = [bool(departures(drawn(400, seed), LAWS)) for seed in range(100)]
    assert np.mean(accused) < 5 * LEVEL
    assert not departures(drawn(400, prior=JOINT), JOINT)
    grid = stats.qmc.Sobol(2, seed=0).random(512)
    assert not departures(np.stack([LAWS.laws["rate"].law.ppf(grid[:, 0]), grid[:, 1]], axis=1), LAWS)
    nested = np.stack([np.repeat(drawn(40)[:, 0], 100), drawn(4000, 1)[:, 1]], axis=1)
    assert not departures(nested, LAWS)  # forty values of the one, each with many of the other
    assert not departures(np.repeat(drawn(40), 100, axis=0), LAWS)


def test_departures_name_parameter_and_p_value():
    theta = drawn(2000)
    linear = np.stack([np.random.default_rng(1).uniform(1e-3, 1e3, 2000), theta[:, 1]], axis=1)
    (said,) = departures(linear, LAWS)
    assert said.startswith("rate is not distributed so (p = ")
    order = np.argsort(stats.rankdata(theta[:, 0]) + np.random.default_rng(0).uniform(0, 2000, 2000))
    dependent = np.stack([theta[order, 0], np.sort(theta[:, 1])], axis=1)
    (said,) = departures(dependent, LAWS)
    assert said.startswith("rate and phase depend on each other (p = ")
    apart = np.stack([stats.norm(1, 1).rvs(2000, random_state=0), stats.norm(-2, 2**0.5).rvs(2000, random_state=1)], axis=1)
    assert departures(apart, JOINT)[0].startswith("together they are not")
    assert departures(drawn(2000, prior=JOINT) + np.array([0.5, 0]), JOINT)[0].startswith("a is not distributed so")


def test_a_prior_that_reaches_beyond():
    theta = drawn(600)
    low, high = theta.min(axis=0), theta.max(axis=0)
    assert not reaches_beyond(LAWS, low, high, 600)
    wider = as_prior({"rate": stats.loguniform(1e-3, 1e5), "phase": stats.uniform(0, 1)})
    (said,) = reaches_beyond(wider, low, high, 600)
    assert said.startswith("rate from 0.001")
    assert "of which 25" in said
    assert f"lies outside of {low[0]:.4g} to {high[0]:.4g}" in said
    assert not any(reaches_beyond(LAWS, *(op(drawn(60, seed), axis=0) for op in (np.min, np.max)), 60) for seed in range(30))


def test_a_file_of_simulations_that_something_else_has_written(tmp_path):
    theta = drawn(500)
    data = {"prior": LAWS.plain(), "file": "a.npz", "folder": tmp_path, "test": 50}
    np.savez(tmp_path / "a.npz", theta=theta, x=theta + 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SimulationsFile(**data)
    np.savez(tmp_path / "a.npz", theta=np.column_stack([theta[:, 0], theta[:, 1] ** 2]), x=theta)
    with pytest.warns(UserWarning, match=r"theta of a\.npz does not follow the prior: phase is not") as caught:
        assert SimulationsFile(**data).notes == [str(caught[0].message)]


def test_simulations_that_are_left_where_others_have_no_answer(untrained, tmp_path):
    def simulator(theta, rng):
        return theta if theta[1] < 0.8 else np.full(2, np.nan)

    with pytest.warns(
        UserWarning, match=r"left out|simulations that are left does not follow the prior: phase is not"
    ) as caught:
        train_npe(simulator, LAWS, 500, folder=tmp_path / "left", test=50, jobs=1)
    assert len(caught) == 2
    assert {one.filename for one in caught} == {__file__}
    assert notes_of(untrained[-1]) == [str(caught[1].message)]
    with pytest.warns(UserWarning, match=r"left out|the prior reaches beyond what was simulated: phase from") as caught:
        train_nle(simulator, LAWS, 500, folder=tmp_path / "likelihood", test=50, jobs=1)
    assert notes_of(untrained[-1]) == [str(caught[1].message)]


def test_rounds_where_a_simulator_has_no_answer(tmp_path):
    run = NpeRun(tmp_path / "near", "near", False)
    simulated = partial(
        simulate, lambda theta: np.where(theta[1:] < 0.8, theta, np.nan), vectorized=False, jobs=1, on_nonfinite="drop"
    )
    how = {"family": "maf", "members": 1, "seed": 0, "changes": {}}
    sequence = Sequence(run, LAWS, simulated, Rounds(2, [1.0, 0.5], 800, 50), how)
    with pytest.warns(UserWarning, match=r"left out|does not follow the prior: phase is not"):
        sequence._simulated(LAWS, 500, 0, run.folder / "round-1")
    (said,) = sequence.notes
    assert said.startswith("theta of the simulations that are left does not follow the prior: ")
    assert "phase is not distributed so" in said


@pytest.fixture
def untrained(monkeypatch):
    """Neither trained nor loaded: recipes that would have been."""
    import zoo.loading
    import zoo.workflows.release as module

    recipes: list[Recipe] = []
    monkeypatch.setattr(module, "release", lambda recipe, out, folder: recipes.append(recipe))
    monkeypatch.setattr(zoo.loading, "load", lambda folder: folder)
    return recipes


def notes_of(recipe: Recipe) -> list[str]:
    """What the card of a model that was trained so says beside the numbers."""
    module = likelihood if recipe.evaluation.kind == "likelihood" else posterior
    return module.notes_of([], recipe.data.dataset())


@pytest.mark.parametrize("train", [train_npe, train_nle])
def test_rows_of_ones_own(train, untrained, tmp_path):
    theta = np.stack([np.random.default_rng(1).uniform(1, 1e3, 800), np.random.default_rng(2).random(800)], axis=1)
    x = theta + np.random.default_rng(3).normal(size=theta.shape)
    words = {
        train_npe: r"theta does not follow the prior: rate is not distributed so \(p = .*posterior will be that of the density",
        train_nle: r"the prior reaches beyond what was simulated: rate from 0\.001.* outside of .* extrapolated",
    }
    with pytest.warns(UserWarning, match=words[train]) as caught:
        train(theta=theta, x=x, prior=LAWS, folder=tmp_path / "rows")
    assert [one.filename for one in caught] == [__file__]
    assert notes_of(untrained[-1]) == [str(caught[0].message)]
    train(theta=theta, x=x, folder=tmp_path / "own-prior")
    train(theta=drawn(800), x=x, prior=LAWS, folder=tmp_path / "right")
    assert notes_of(untrained[-1]) == []
    nothing = notes_of(untrained[-2])
    assert nothing == [] if train is train_nle else "No prior was given" in nothing[0]


@pytest.mark.slow
def test_card_says_what_prior_its_rows_follow(tmp_path):
    theta = np.stack([np.random.default_rng(1).uniform(1, 1e3, 800), np.random.default_rng(2).random(800)], axis=1)
    x = theta + np.random.default_rng(3).normal(size=theta.shape)
    with pytest.warns(UserWarning, match="theta does not follow the prior: rate"):
        flow = train_npe(
            theta=theta, x=x, prior=LAWS, folder=tmp_path / "rows", family="maf",
            changes={"epochs": 1, "config.transforms": 1, "config.hidden": [8], "test_rows": 4},
        )  # fmt: skip
    assert flow.spec.notes[0].startswith("theta does not follow the prior: rate is not distributed so")
    assert "theta does not follow the prior: rate is not distributed so" in (tmp_path / "rows" / "README.md").read_text()
