"""Any simulator to a posterior: the Python call and the recipe, on tasks that the zoo does not ship."""

from __future__ import annotations

import copy
import shutil
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from command_line import ok, refused
from tiny_flows import without_xla

import zoo
from zoo.data.sbi import Prior
from zoo.data.sbi.simulating.simulations import SimulationError
from zoo.errors import InputError, MisspecificationWarning, UnknownNameError, ZooError
from zoo.training.evaluate import Run, evaluate
from zoo.training.npe_recipe import npe_recipe
from zoo.training.recipe import RecipeError, load_recipe
from zoo.workflows.described import terms_of
from zoo.workflows.nle import train_nle
from zoo.workflows.npe import train_npe
from zoo.workflows.posterior_report import posterior_report

EXAMPLE = Path(__file__).parents[1] / "examples" / "sbi_own_simulator.yaml"
PEOPLE = 1000
SIR = {
    "contact": {"distribution": "loguniform", "low": 0.2, "high": 1.0, "unit": "1/day"},
    "recovery": {"distribution": "loguniform", "low": 0.05, "high": 0.25, "unit": "1/day"},
}
TINY = {
    "config.transforms": 2,
    "config.hidden": [24],
    "epochs": 12,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}


def epidemic(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Infected among 200 tested people at 8 times, of an epidemic after Kermack and McKendrick; Euler steps of a day."""
    susceptible, infected, counts = PEOPLE - 10.0, 10.0, []
    for day in range(80):
        new, healed = theta[0] * susceptible * infected / PEOPLE, theta[1] * infected
        susceptible, infected = susceptible - new, infected + new - healed
        if day % 10 == 9:
            counts.append(rng.binomial(200, infected / PEOPLE))
    return np.array(counts)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    import zoo.training.evaluations.posterior as module

    folder = tmp_path_factory.mktemp("npe") / "epidemic"
    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 99)
        patch.setattr(module, "SAMPLES", 200)
        patch.setattr(module, "OBSERVATIONS", 1)
        words = {"citation": "Kermack & McKendrick (1927)"}
        return folder, train_npe(epidemic, SIR, 1500, folder=folder, test=200, jobs=1, changes=TINY, **words)


def test_whose_license_nobody_has_said_is_not_known(trained):
    """Simulations of a user's are not under the license of this package, nor is what was learned from them."""
    folder, flow = trained
    assert (flow.spec.data.license, flow.spec.data.citation) == ("unknown", "Kermack & McKendrick (1927)")
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown\n")
    assert "The license of its data, `simulations`, is not known. Who uses the model cites for its data: Kermack" in card
    recipe = load_recipe(folder.with_name("epidemic.run") / "recipe.yaml")
    assert terms_of(recipe.changed({"license": " MIT "})) == {"license": "MIT", "citation": "Kermack & McKendrick (1927)"}
    assert terms_of(load_recipe("nsf-two-moons")) == {"license": None, "citation": None}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"simulations": 0}, "simulations: expected a whole number of at least 10, given 0"),
        ({"simulations": 1e3}, r"simulations: expected a whole number of at least 10, given 1000\.0"),
        ({"test": 1}, "test: expected a whole number of at least 2, given 1"),
        ({"family": "nsff"}, "no family of flows named 'nsff'; did you mean nsf"),
        ({"changes": {"epoch": 3}}, "no recipe key named 'epoch'; did you mean epochs"),
        ({"changes": {"epochs": "three"}}, "epochs: .*valid integer"),
        ({"changes": {"config.hiden": [8]}}, r"no recipe key named 'config\.hiden'; did you mean config\.hidden"),
        ({"changes": {"config.embeding": [8]}}, r"no recipe key named 'config\.embeding'; did you mean config\.embedding"),
        ({"changes": {"config.hidden": "many"}}, "family nsf does not take this config: "),
        ({"license": " "}, "license: .*at least 1 character"),
    ],
)
@pytest.mark.parametrize("train", [train_npe, train_nle])
def test_what_no_training_can_be_made_with_is_said_before_simulating(tmp_path, train, wrong, message):
    if train is train_nle and "family" in wrong:
        pytest.skip("a likelihood is of one family")
    calls: list[object] = []
    given = {"simulations": 100, "test": 20, "jobs": 1} | wrong
    with pytest.raises(ZooError, match=message):
        train(calls.append, SIR, folder=tmp_path / "early", **given)
    assert calls == []
    assert list(tmp_path.iterdir()) == []


def test_posterior_of_an_epidemic_knows_more_than_the_prior(trained):
    _, flow = trained
    found = {metric.name: metric for metric in flow.spec.metrics}
    assert found["log_prob"].value > found["log_prob"].baseline + 1.5
    for name in SIR:
        assert found[f"rmse {name}"].value < 0.5 * found[f"rmse {name}"].baseline
        assert found[f"sbc distance {name}"].n == 200
    truth = np.array([0.5, 0.1])
    drawn = flow.draw(2000, epidemic(truth, np.random.default_rng(5)))
    assert np.all(np.abs(drawn.mean(axis=0) - truth) < 5 * drawn.std(axis=0))
    assert np.isfinite(Prior(SIR).log_density(drawn.astype(np.float64))).all()
    assert np.isfinite(flow.log_density(drawn[:10], epidemic(truth, np.random.default_rng(6)))).all()


@pytest.mark.filterwarnings("ignore::zoo.errors.MisspecificationWarning")
def test_what_simulations_are_like_is_known_once_a_model_is_loaded(trained, tmp_path):
    """Its folder may be another's by the time of the first draw, or nobody's."""
    folder, flow = trained
    moved = shutil.copytree(folder, tmp_path / "epidemic")
    loaded = zoo.load(moved)
    shutil.rmtree(moved)
    strange = np.array([38.0, 3.0] * 4)
    for model in (loaded, copy.deepcopy(loaded)):
        with pytest.warns(MisspecificationWarning, match="unlike the 1,350 simulations") as said:
            draws = model.draw(10, strange, allow_out_of_range=True)
        np.testing.assert_array_equal(draws, flow.draw(10, strange, allow_out_of_range=True))
        assert said[0].filename == __file__


def test_an_observation_that_no_simulation_resembles_is_told(trained, tmp_path, capsys):
    """Infected that jump up and down are no epidemic."""
    folder, flow = trained
    usual, strange = epidemic(np.array([0.5, 0.1]), np.random.default_rng(5)), np.array([40.0, 2.0] * 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.draw(10, usual)
    told = r"x is unlike the 1,350 simulations .* \(p <= 0.0028\): x\[\d\] = "
    with pytest.raises(InputError, match=told + ".*allow_out_of_range=True takes it all the same"):
        flow.draw(10, strange)
    with pytest.warns(MisspecificationWarning, match=told) as caught:
        flow.draw(10, strange, allow_out_of_range=True)
    with pytest.raises(InputError, match="outside the trained range"):
        flow.draw(10, usual * 100)
    np.save(tmp_path / "strange.npy", strange)
    asked = ("infer", folder, "--observation", tmp_path / "strange.npy", "--out", tmp_path, "--draws", 50)
    assert "--allow-out-of-range takes it all the same" in " ".join(refused(*asked).split())
    printed = ok(*asked, "--allow-out-of-range")
    assert "the observation is unlike the simulations: p = 0.0028" in printed
    assert f"warning: {caught[0].message}" in printed + capsys.readouterr().err


def test_one_call_draws_what_a_posterior_is_judged_by(trained, tmp_path):
    folder, flow = trained
    pd = pytest.importorskip("pandas")
    truth = [0.5, 0.1]
    another = pd.DataFrame(np.random.default_rng(0).normal(truth, 0.02, (500, 2)), columns=list(SIR))
    figures = posterior_report(
        flow,
        tmp_path,
        observation=epidemic(np.array(truth), np.random.default_rng(5)),
        truth={"recovery": 0.1, "contact": 0.5},  # by name, whatever the order
        beside={"another": another.iloc[:, ::-1]},
        simulator=epidemic,
        jobs=1,
        draws=500,
        simulations=60,
    )
    assert list(figures) == ["posterior", "ranks", "coverage", "predictive"]
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in figures)
    legend = [text.get_text() for text in figures["posterior"].legends[0].get_texts()]
    assert legend == ["epidemic", "another", "truth"]
    lines = [line.get_xdata()[0] for line in figures["posterior"].axes[2].lines if len(set(line.get_xdata())) == 1]
    assert 0.5 in lines
    with pytest.raises(UnknownNameError, match=r"no parameter \(truth\) named 'contacts'; did you mean contact"):
        posterior_report(flow, tmp_path, observation=np.full(8, 20.0), truth={"recovery": 0.1, "contacts": 0.5})
    with pytest.raises(InputError, match="truth: expected that of an observation"):
        posterior_report(flow, tmp_path, truth=truth)
    assert figures["posterior"].axes[2].get_xlabel() == "contact [1/day]"
    assert [ax.get_title().splitlines()[0] for ax in figures["ranks"].axes] == ["contact", "recovery"]
    assert "ranks (n = 200)" in [text.get_text() for text in figures["ranks"].legends[0].get_texts()]
    assert "60 simulations at draws" in figures["predictive"].axes[0].get_title()
    with pytest.raises(InputError, match="outside the trained range"):
        posterior_report(flow, tmp_path, observation=np.full(8, 1e4))
    with pytest.raises(InputError, match="both theta and x, or neither"):
        posterior_report(flow, tmp_path, theta=np.zeros((3, 2)))
    alone = shutil.copytree(folder, tmp_path / "elsewhere" / "epidemic")
    with pytest.raises(InputError, match=r"its test simulations are not here .*epidemic\.run.* theta=ARRAY and x=ARRAY"):
        posterior_report(alone, tmp_path)


def test_it_is_exported_and_served_as_any_model(trained):
    from zoo.serving import Session

    folder, flow = trained
    z, x = np.zeros((3, 2), np.float32), np.tile(epidemic([0.5, 0.1], np.random.default_rng(0)), (3, 1)).astype(np.float32)
    theta = Session(folder).run({"z": z, "x": x}, "sample")["theta"]
    np.testing.assert_allclose(theta, np.asarray(flow.sample(z, x)), rtol=1e-4)
    assert {path.stem for path in (folder.with_name("epidemic.run") / "plots").glob("*.png")} >= {
        "ranks",
        "coverage",
        "posterior",
        "learning_curves",
    }


def test_recipe_that_it_leaves_is_that_of_the_run_and_may_be_moved(trained, tmp_path):
    from zoo.training.fit import fit

    folder, flow = trained
    out = folder.with_name("epidemic.run")
    moved = shutil.copytree(out, tmp_path / "moved")
    recipe = load_recipe(moved / "recipe.yaml")
    again, history = fit(recipe, moved / "model" / "seed-0")  # goes on, which for a finished run means: reads it
    assert len(history["loss"]) == recipe.epochs
    for a, b in zip(flow.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    theta = load_recipe(out / "recipe.yaml").data.dataset().rows("test").inputs["theta"]
    np.testing.assert_array_equal(recipe.data.dataset().rows("test").inputs["theta"], theta)


def test_settings_that_are_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"did you mean config\.hidden"):
        train_npe(epidemic, SIR, 60, folder=tmp_path / "a", test=20, jobs=1, changes={"config.hiden": [8]})
    with pytest.raises(InputError, match="names the model"):
        train_npe(epidemic, SIR, 60, folder=tmp_path / "Not A Name", test=20, jobs=1)
    with pytest.raises(RecipeError, match="larger than the 54 training rows"):
        train_npe(epidemic, SIR, 60, folder=tmp_path / "b", test=20, jobs=1, changes={"batch_size": 64})
    with pytest.raises(InputError, match="column 1 of x"):
        train_npe(lambda theta: [theta[0], 3.0], SIR, 60, folder=tmp_path / "c", test=20, jobs=1)
    with pytest.raises(SimulationError, match=r"\d+ of 80 simulations"), np.errstate(invalid="ignore"):
        train_npe(lambda theta: np.sqrt(theta - 0.1), SIR, 60, folder=tmp_path / "d", test=20, jobs=1, on_nonfinite="fail")
    with pytest.raises(InputError, match="seed"):
        train_npe(epidemic, SIR, 60, folder=tmp_path / "b", test=20, jobs=1, seed=1)


def test_another_simulator_does_not_get_the_posterior_of_the_first(tmp_path):
    """Refused, or simulated anew; the training is refused after that for its batches alone."""
    ask = partial(train_npe, prior=SIR, simulations=60, folder=tmp_path / "a", test=20, jobs=1, changes={"batch_size": 64})
    for simulator, overwrite, kind, message in [
        (lambda theta, rng: theta + rng.normal(size=2), False, RecipeError, "larger than the 54 training rows"),
        (lambda theta, rng: theta - rng.normal(size=2), False, InputError, "another simulator: at theta.*overwrite=True"),
        (lambda theta, rng: np.append(theta, rng.normal()), False, InputError, r"shape \(2,\) and now with \(3,\)"),
        (lambda theta, rng: np.append(theta, rng.normal()), True, RecipeError, "larger than the 54 training rows"),
    ]:
        with pytest.raises(kind, match=message):
            ask(simulator, overwrite=overwrite)
    assert np.load(tmp_path / "a.run" / "simulations.npz")["x"].shape == (80, 3)


# The recipe


@pytest.fixture
def recipe(tmp_path):
    for path in (EXAMPLE, EXAMPLE.with_suffix(".py")):
        shutil.copy(path, tmp_path)
    return load_recipe(tmp_path / EXAMPLE.name).changed({"data.parameters.simulations": 100, "data.parameters.test": 20})


def test_recipe_by_path_runs_the_simulator_beside_it(recipe):
    rows = recipe.data.dataset().rows("train")
    assert rows.inputs["x"].shape == (90, 20)
    assert rows.inputs["theta"][:, 0].min() >= 20


def test_recipe_may_not_name_its_folder_nor_leave_it(recipe):
    with pytest.raises(InputError, match="leaves the folder"):
        recipe.changed({"data.parameters.simulator": "../sbi_own_simulator.py:simulate"}).data.dataset()
    with pytest.raises(RecipeError, match="folder"):
        recipe.changed({"data.parameters.folder": "/", "data.parameters.simulator": "/etc/a.py:b"}).data.dataset()


def test_recipe_by_name_may_not_run_code(recipe, tmp_path, monkeypatch):
    import zoo.training.recipe as module

    monkeypatch.setattr(module, "RECIPES", tmp_path)
    named = load_recipe(EXAMPLE.stem)
    with pytest.raises(InputError, match="only a recipe given as a file"):
        named.data.dataset()
    with pytest.raises(RecipeError, match="folder"):
        named.changed({"data.parameters.folder": str(tmp_path)}).data.dataset()


def test_prior_of_the_example_recipe_is_that_of_its_file():
    values = yaml.safe_load(EXAMPLE.read_text())
    namespace: dict = {"__name__": "example"}
    exec(compile(EXAMPLE.with_suffix(".py").read_text(), "example", "exec"), namespace)
    assert values["data"]["parameters"]["prior"] == namespace["PRIOR"]
    assert values["config"]["support"] == Prior(namespace["PRIOR"]).support


# Evaluation


class Conjugate:
    """The posterior N(x / 2, 0.05) of the Gaussian task, its scale wrong by a factor."""

    def __init__(self, factor: float) -> None:
        self.scale = factor * np.sqrt(0.05)

    def draw(self, n: int, c: np.ndarray, seed: int = 0) -> np.ndarray:
        shape = (*np.shape(c)[:-1], n, 10)
        return (np.expand_dims(c, -2) / 2 + self.scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)

    def log_density(self, x: np.ndarray, c: np.ndarray) -> np.ndarray:
        residual = (x - c / 2) / self.scale
        return np.sum(-0.5 * residual**2 - np.log(self.scale * np.sqrt(2 * np.pi)), axis=1)


@pytest.fixture(scope="module")
def evaluated():
    import zoo.training.evaluations.posterior as module

    recipe = load_recipe("nsf-sbi-gaussian-linear").changed({"data.parameters.simulations": 100, "data.parameters.test": 1000})
    history = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "OBSERVATIONS", 2)
        patch.setattr(module, "SAMPLES", 120)
        patch.setattr(module.plots, "corner_plot", lambda *_, **__: None)  # a hundred panels
        patch.setattr(module, "DRAWS", 99)
        found = {}
        for factor in (1.0, 0.6):
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", UserWarning)
                found[factor] = evaluate({"": [Run(recipe, 0, partial(Conjugate, factor), history)]})
            found[factor].said = [str(one.message) for one in said if "does not mean what it says" in str(one.message)]
    return found


@pytest.fixture(scope="module")
def measured(evaluated):
    return {factor: {metric.name: metric for metric in evaluation.metrics} for factor, evaluation in evaluated.items()}


def test_exact_posterior_passes(evaluated, measured):
    assert evaluated[1.0].said == []
    assert evaluated[1.0].notes == []
    exact = measured[1.0]
    entropy = 5 * np.log(2 * np.pi * np.e * 0.05)
    assert exact["log_prob"].value == pytest.approx(-entropy, abs=0.15)
    assert exact["log_prob of the exact posterior"].value == pytest.approx(exact["log_prob"].value, abs=1e-4)
    assert measured[0.6]["log_prob"].value < measured[0.6]["log_prob of the exact posterior"].value
    assert exact["log_prob"].baseline == pytest.approx(-5 * np.log(2 * np.pi * np.e * 0.1), abs=0.15)
    assert exact["rmse theta_1"].value == pytest.approx(np.sqrt(0.05), rel=0.1)
    assert exact["rmse theta_1"].baseline == pytest.approx(np.sqrt(0.1))
    assert np.mean([exact[f"sbc distance theta_{i}"].value for i in range(1, 11)]) < exact["sbc distance theta_1"].baseline
    assert exact["coverage distance, predicted references"].value < 1.4 * exact["sbc distance theta_1"].baseline
    assert exact["c2st"].value < 0.62


def test_overconfident_posterior_is_flagged(evaluated, measured):
    (said,) = evaluated[0.6].said
    assert evaluated[0.6].notes == [said]
    narrow = measured[0.6]
    for name in [*(f"sbc distance theta_{i}" for i in range(1, 11)), "coverage distance, predicted references"]:
        assert f"{name} is {narrow[name].value:.2g}, of exact posteriors 95% stay below 0.043" in said
    assert said.count("the posterior is too narrow") == 10
    assert narrow["log_prob"].value < measured[1.0]["log_prob"].value - 1
    for name in ["sbc distance theta_1", "coverage distance, predicted references"]:
        assert narrow[name].value > 2 * narrow[name].baseline
    assert narrow["c2st"].value > 0.7


def test_npe_recipe_follows_the_budget():
    prior = Prior(SIR)
    small, large = (npe_recipe("a", prior, {"source": "simulations"}, n, 3) for n in (1000, 100_000))
    assert small.batch_size < large.batch_size
    assert small.epochs > large.epochs
    assert small.config["scales"] == prior.scales
