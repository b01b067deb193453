"""How far each model is from the best that its data allow, and who says so."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import onnx
import pytest
from released_models import RELEASED
from scipy import stats

import zoo
from zoo.data.dataset import DATASETS, fields_of
from zoo.data.sbi.tasks import get_task
from zoo.data.sbi.tasks.two_moons import _explained
from zoo.errors import InputError, ZooError
from zoo.model.card import check_card
from zoo.model.limit import Limit
from zoo.model.model_json import read_spec, write_spec
from zoo.model.registry import RELEASED as FOLDER
from zoo.model.spec import CARD, METRICS, File, Metric
from zoo.training.evaluate import without_itself
from zoo.training.recipe import RECIPES, load_recipe
from zoo.workflows.recard import recard


def metric(name: str, value: float, interval: tuple[float, float], baseline: float | None = None) -> Metric:
    return Metric(
        name=name, value=value, interval=interval, n=10, baseline=baseline, baseline_name="chance" if baseline else None
    )


MEASURED = [metric("auc", 0.8, (0.7, 0.9), 0.5), metric("auc, ideal", 0.95, (0.9, 0.98))]


@pytest.mark.parametrize("name", RELEASED)
def test_every_card_has_its_limit_or_says_why_none_is_known(name):
    spec, recipe = zoo.get_spec(name), load_recipe(name)
    assert spec.limit is not None
    assert (spec.limit, spec.summary) == (recipe.limit, recipe.summary)
    line = next(line for line in (FOLDER / name / CARD).read_text().splitlines() if line.startswith("**Limit.** "))
    best = spec.limit.value(spec.metrics)
    if best is None:
        assert "known" in spec.limit.why
    else:
        value = next(found.value for found in spec.metrics if found.name == spec.limit.metric)
        assert f"`{spec.limit.metric}` is {value:.4g}" in line
        assert f"{best:.4g} is {spec.limit.what}" in line
    assert " ".join(spec.limit.why.split()) in line
    assert not re.search(r"\d\.\d", re.sub(r"arXiv:[\d.]+", "", spec.limit.why)), "no measured number is typed"


@pytest.mark.parametrize(
    ("best", "value", "apart"),
    [("auc, ideal", 0.95, "0.15"), ("baseline", 0.5, "0.3"), (1.0, 1.0, "0.2"), (500.0, 500.0, "499")],
)
def test_limit_is_a_metric_a_baseline_or_a_number(best, value, apart):
    limit = Limit(metric="auc", best=best, what="what an oracle has", why="Few rows.")
    assert limit.value(MEASURED) == value
    words = limit.words(MEASURED)
    assert words == f"`auc` is 0.8 (0.7 to 0.9), and {value:.4g} is what an oracle has: {apart} away. Few rows."


def test_limit_that_nothing_measures_is_refused():
    assert Limit(why="Nobody knows.").words(MEASURED) == "No number stands for it. Nobody knows."
    with pytest.raises(InputError, match="expected the name of a metric that was measured, given 'auc, oracle'"):
        Limit(metric="auc", best="auc, oracle", what="an oracle", why="-").value(MEASURED)
    with pytest.raises(InputError, match="expected auc, ideal to have a baseline"):
        Limit(metric="auc, ideal", best="baseline", what="an oracle", why="-").value(MEASURED)
    with pytest.raises(ValueError, match="metric, best and what, or none of them"):
        Limit(metric="auc", why="-")


def test_a_spec_whose_limit_was_not_measured_is_refused():
    spec = zoo.get_spec("nsf-two-moons")
    given = spec.model_dump() | {"limit": {"metric": "auc", "best": 1.0, "what": "an oracle", "why": "-"}}
    with pytest.raises(ValueError, match="given 'auc'"):
        type(spec).model_validate(given)


def test_a_baseline_that_is_the_model_itself_is_left_out():
    own = [metric("scatter", 0.4, (0.3, 0.5)), metric("far/scatter", 0.6, (0.5, 0.7))]
    itself = [
        metric("scatter of trees", 0.4, (0.3, 0.5)),
        metric("divergence of trees", 0.9, (0.8, 1.0)),
        metric("scatter over that of trees", 1 + 2e-8, (1 - 3e-9, 1 + 4e-8)),
    ]
    other = [
        metric("scatter of trees on shear", 0.39, (0.3, 0.5)),
        metric("scatter over that of trees on shear", 1.0, (0.99, 1.02)),
        metric("far/scatter of trees", 0.5, (0.4, 0.6)),
        metric("far/scatter over that of trees", 1.2, (1.1, 1.3)),
        metric("coverage", 1.0, (1.0, 1.0)),
    ]
    assert without_itself([*own, *itself, *other]) == [*own, *other]


def test_trees_are_not_held_against_themselves():
    names = [found.name for found in zoo.get_spec("gbt-halo-mass").metrics]
    assert not [name for name in names if name.endswith("of boosted trees on densities")]
    assert "scatter over that of random forest on densities" in names


@pytest.fixture
def folder(tmp_path):
    copy = shutil.copytree(FOLDER / "nsf-two-moons", tmp_path / "nsf-two-moons")
    return recard(load_recipe("nsf-two-moons"), copy)  # which is now called by its folder


@pytest.mark.parametrize("name", zoo.list_models())
def test_fields_are_those_of_the_data(name):
    data = zoo.get_spec(name).data
    assert data.fields == fields_of(DATASETS.get(data.source))


def test_fields_are_written_onto_a_card_that_lacks_them(tmp_path):
    copy = shutil.copytree(FOLDER / "mlp-jets", tmp_path / "mlp-jets")
    spec = read_spec(copy)
    write_spec(copy, spec.model_copy(update={"data": spec.data.model_copy(update={"fields": None})}))
    assert read_spec(recard(load_recipe("mlp-jets"), copy)).data.fields == ["particle-physics", "jets"]
    assert '"particle-physics", "jets"' in (copy / CARD).read_text().partition("\n---\n")[0]
    assert (copy / "model.json").read_bytes() == (FOLDER / "mlp-jets" / "model.json").read_bytes()


def test_words_are_written_anew_and_numbers_stay(folder):
    before, recipe = read_spec(folder), load_recipe("nsf-two-moons")
    other = recipe.model_copy(update={"summary": "Moons", "limit": recipe.limit.model_copy(update={"why": "Few points."})})
    assert recard(other, folder) == folder
    after = read_spec(folder)
    assert (after.summary, after.limit.why) == ("Moons", "Few points.")
    assert after.metrics == before.metrics
    assert after.model_dump(exclude={"summary", "limit", "files"}) == before.model_dump(exclude={"summary", "limit", "files"})
    same = [file.path for file, other in zip(before.files, after.files, strict=True) if file == other]
    assert same == [file.path for file in before.files if file.path != METRICS and not file.path.endswith(".onnx")]
    for endpoint in after.endpoints:
        ours, theirs = (onnx.load(path / f"{endpoint}.onnx") for path in (folder, FOLDER / "nsf-two-moons"))
        assert ours.doc_string == "Moons"
        assert ours.graph == theirs.graph
        assert File.of(folder / f"{endpoint}.onnx") == after.file(f"{endpoint}.onnx")
    check_card(folder, json.loads((folder / METRICS).read_text()))
    assert "Few points." in (folder / CARD).read_text()


def test_terms_are_written_onto_the_card_of_a_recipe_from_a_file(tmp_path, folder):
    """Such a recipe knows its folder, which is no other way of making a model."""
    path = tmp_path / "mine.yaml"
    recipe = (RECIPES / "nsf-two-moons.yaml").read_text()
    path.write_text(f"{recipe}license: CC0-1.0\ncitation: Doe (2026)\n")
    data = read_spec(recard(load_recipe(path), folder)).data
    assert (data.license, data.citation) == ("CC0-1.0", "Doe (2026)")
    path.write_text(recipe)
    assert read_spec(recard(load_recipe(path), folder)).data.license == "unknown"


def test_a_limit_that_the_card_lacks_is_measured(folder):
    content = json.loads((folder / METRICS).read_text())
    bound = content["metrics"].pop()
    assert bound["name"] == "log likelihood of the true density"
    spec = read_spec(folder)
    (folder / METRICS).write_text(json.dumps(content))
    files = [File.of(folder / METRICS) if file.path == METRICS else file for file in spec.files]
    write_spec(folder, spec.model_copy(update={"metrics": spec.metrics[:-1], "limit": None, "files": files}))
    recard(load_recipe("nsf-two-moons"), folder)
    assert read_spec(folder).metrics[-1].model_dump(mode="json") == bound


def test_a_recipe_of_another_model_is_refused(folder):
    with pytest.raises(ZooError, match=r"but for summary, limit, license and citation, given another epochs: release it anew"):
        recard(load_recipe("nsf-two-moons").changed({"epochs": 3}), folder)
    recipe, before = load_recipe("nsf-two-moons"), (folder / CARD).read_bytes()
    nowhere = recipe.model_copy(update={"limit": recipe.limit.model_copy(update={"best": "log likelihood of an oracle"})})
    with pytest.raises(InputError, match="given 'log likelihood of an oracle'"):
        recard(nowhere, folder)
    assert (folder / CARD).read_bytes() == before


def test_exact_posterior_of_the_two_moons_has_the_probability_of_the_data():
    """Against the mean of the likelihood over a fine grid of the prior's square: within, at an edge and in a corner."""
    task, rng = get_task("two-moons"), np.random.default_rng(3)
    side = (np.arange(1500) + 0.5) / 750 - 1
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    theta = np.array([[0.1, -0.3], [0.9, 0.95], [-0.99, 0.2]])
    x = task.simulate(theta, rng)
    probability = [np.exp(task.log_likelihood(grid, row)).mean() for row in x]
    assert probability == pytest.approx(_explained(x) / 4, rel=0.01)
    expected = task.log_likelihood(theta, x) - np.log(4) - np.log(probability)
    assert task.log_posterior(theta, x) == pytest.approx(expected, abs=0.01)


def test_exact_posterior_of_the_linear_task_is_conjugate():
    task, rng = get_task("gaussian-linear"), np.random.default_rng(0)
    theta = task.prior.sample(5, rng)
    x = task.simulate(theta, rng)
    expected = stats.norm(x / 2, np.sqrt(0.05)).logpdf(theta).sum(axis=1)
    assert task.log_posterior(theta, x) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "best"), [("nsf-sbi-two-moons", 3.821), ("nsf-sbi-gaussian-linear", 0.745), ("nsf-sbi-slcp", -1.311)]
)
def test_no_posterior_is_better_than_the_exact_one(name, best):
    values = {found.name: found.value for found in zoo.get_spec(name).metrics}
    assert values["log_prob"] < values["log_prob of the exact posterior"] == pytest.approx(best, abs=1e-3)
