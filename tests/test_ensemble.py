"""Deep ensembles of every kind of answer: pooled as they should be, and from folders to a served graph."""

from __future__ import annotations

import json
import re

import keras
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import log_loss, roc_auc_score
from tiny_networks import example, released

import zoo
from zoo.data.dataset import Rows
from zoo.errors import IntegrityError, ZooError
from zoo.export import export
from zoo.families.ensemble import Ensemble
from zoo.model.axes import fixed_axes
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, Metric, ModelSpec, Tensor
from zoo.serving import Session
from zoo.serving.verify import verify
from zoo.workflows.ensemble import ensemble as build_ensemble
from zoo.workflows.folder import write_model_folder

X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)
CLASSIFIER = {"inputs": 4, "hidden": [5]}
REGRESSOR = CLASSIFIER | {"outputs": 2, "output_activation": "linear"}
CUBES = np.random.default_rng(1).normal(size=(9, 4, 4, 4)).astype(np.float32)


def ensemble(member: str, config: dict, count: int = 3) -> Ensemble:
    model = Ensemble(member, config, count)
    rng = np.random.default_rng(2)
    for weight in model.weights:
        if weight.dtype == "float32" and "standardize" not in weight.path and "scale" not in weight.path:
            weight.assign(rng.normal(0, 0.5, weight.shape))
    return model


def answers(model: Ensemble, *inputs) -> list:
    method = model.members[0].endpoints[model.endpoint_of_members]
    return [getattr(member, method)(*inputs) for member in model.members]


def test_numbers_have_mean_and_deviation():
    model = ensemble("mlp", REGRESSOR)
    given = np.stack([np.asarray(one) for one in answers(model, X)])
    mean, deviation = model.answer(X)
    np.testing.assert_allclose(mean, given.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation, given.std(axis=0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(model(X), mean)


def test_probabilities_have_their_mean_and_its_logit():
    model = ensemble("mlp", CLASSIFIER)
    p = np.stack([np.asarray(one, np.float64) for one in answers(model, X)]).mean(axis=0)
    np.testing.assert_allclose(model.answer(X), p, rtol=1e-5)
    np.testing.assert_allclose(model.logits(X), np.log(p / (1 - p)), atol=1e-5)
    for member in model.members:
        member.head.bias.assign([200.0])  # where the probability is one in single precision
    assert 190 < float(model.logits(X)[0, 0]) < 210
    with pytest.raises(TypeError, match="where its members answer with the sigmoid"):
        ensemble("mlp", REGRESSOR).logits(X)


def test_gaussians_become_the_moments_of_their_mixture():
    model = ensemble("cnn3d", {"size": 4, "channels": [2], "hidden": [3]})
    locations, scales = (np.stack([np.asarray(one[i], np.float64) for one in answers(model, CUBES)]) for i in (0, 1))
    draws = np.random.default_rng(3).normal(locations, scales, (100_000, 3, 9)).reshape(-1, 9)
    mean, deviation = model.answer(CUBES)
    np.testing.assert_allclose(mean, draws.mean(axis=0), atol=0.02 * draws.std())
    np.testing.assert_allclose(deviation, draws.std(axis=0), rtol=0.02)
    np.testing.assert_allclose(model(CUBES), np.stack([mean, deviation], axis=-1), rtol=1e-5)


def test_log_densities_become_that_of_the_mixture_which_has_an_outside():
    model = ensemble("maf", {"dimensions": 2, "transforms": 1, "hidden": [6], "support": [[0.0, 1.0], None]})
    x = np.float32([[0.2, 0.1], [0.9, -2.0], [1.5, 0.0]])
    given = np.stack([np.asarray(one, np.float64) for one in answers(model, x)])
    found = np.asarray(model.answer(x))
    np.testing.assert_allclose(found[:2], logsumexp(given[:, :2], axis=0) - np.log(3), rtol=1e-5)
    assert found[2] == -np.inf
    assert list(model.endpoints) == ["log_prob"]


@pytest.mark.parametrize(
    ("member", "config", "count", "message"),
    [
        ("mlp", CLASSIFIER, 1, "at least two"),
        ("cnn3d", {"size": 4, "channels": [2], "hidden": [], "likelihood": "cauchy"}, 2, "answers with"),
    ],
)
def test_what_cannot_be_an_ensemble(member, config, count, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(member, config, count)


def tensor(name: str, *shape: int, unit: str = "1") -> Tensor:
    return Tensor(name=name, axes=fixed_axes(name, list(shape)), unit=unit, description=name)


def member_folder(path, family: str, config: dict, seed: int, outputs: list[Tensor], **changes):
    keras.utils.set_random_seed(seed)
    model = get_family(family)(**config)
    endpoint = Endpoint(description="the answer", inputs=[tensor("x", 4)], outputs=outputs)
    spec = ModelSpec(
        name="tiny",
        family=family,
        config=config,
        task="test",
        summary="Tiny",
        endpoints={"predict": endpoint},
        data=Data(source="none", description="none", simulator="none", seed=0, rows={"train": 1}),
        metrics=[Metric(name="error", value=0.5, n=3, detail="of a member")],
        files=[],
        physzoo_version="0.1.0",
        **changes,
    )
    write_model_folder(model, spec, path, {"predict": (X,)}, prose="# Tiny\n")
    return path


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    return [member_folder(folder / f"m{seed}", "mlp", REGRESSOR, seed, [tensor("speed", 2, unit="m/s")]) for seed in range(3)]


def test_ensemble_of_folders_is_a_folder_like_any_other(members, tmp_path):
    found = build_ensemble(members, folder=tmp_path / "all")
    assert verify(tmp_path / "all").ok
    model = zoo.load(tmp_path / "all")
    assert (found.spec.family, found.spec.config["count"], found.spec.metrics) == ("ensemble", 3, [])
    outputs = {t.name: t.unit for t in found.spec.endpoint("predict").outputs}
    assert outputs == {"speed": "m/s", "speed_deviation": "m/s"}
    given = np.stack([np.asarray(zoo.load(member)(X)) for member in members])
    served = Session(tmp_path / "all").run({"x": X})
    np.testing.assert_allclose(served["speed"], given.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(served["speed_deviation"], given.std(axis=0, ddof=1), atol=1e-5)
    export(model, tmp_path / "exported", explain=True, parity_rows=50)
    assert verify(tmp_path / "exported").ok
    assert all(str(member) in (tmp_path / "all" / "README.md").read_text() for member in members)
    with pytest.raises(IntegrityError, match="graphs and no weights"):
        zoo.load(tmp_path / "exported")


class Held:
    """Test rows."""

    def __init__(self, inputs, target) -> None:
        self.test = Rows(inputs, np.asarray(target, np.float32), np.arange(len(target)))

    def rows(self, split: str, epoch: int = 0) -> Rows:
        return self.test


def said(sentence: str, pattern: str) -> list[float]:
    found = re.fullmatch(pattern, sentence)
    assert found, sentence
    return [float(number) for number in found.groups()]


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    """Folders of classifiers whose logits are far apart."""
    folders = []
    for seed in range(3):
        folder = member_folder(
            tmp_path_factory.mktemp("classifiers") / f"c{seed}", "mlp", CLASSIFIER, seed, [tensor("probability", 1)]
        )
        model = zoo.load(folder)
        model.set_weights([3 * weight for weight in model.get_weights()])
        write_model_folder(model, model.spec, folder, {"predict": (X,)}, prose="# Tiny\n", overwrite=True)
        folders.append(folder)
    return folders


def test_it_is_judged_beside_its_members(classifiers, tmp_path, capsys):
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (3000, 4)).astype(np.float32)
    each = np.stack([np.asarray(zoo.load(folder)(x), np.float64)[:, 0] for folder in classifiers])
    p = each.mean(axis=0)
    label = rng.uniform(size=len(p)) < p
    found = build_ensemble(classifiers, folder=tmp_path / "all", data=Held({"x": x}, label[:, None]))
    calibrated, mean, best = found.spec.verdict
    assert calibrated.startswith("Calibrated, as far as 3000 rows tell: ")
    number = r"by (\S+) \((\S+) to (\S+)\)\."
    of_members = [roc_auc_score(label, one) for one in each]
    value, low, high = said(mean, f"Better than the mean of its members: `auc` is higher {number}")
    assert value == pytest.approx(roc_auc_score(label, p) - np.mean(of_members), rel=0.01)
    assert low < value < high
    lowest = np.argmin([log_loss(label, one) for one in each])
    value, low, high = said(best, f"Better than the best of its members: `auc` is higher {number}")
    assert value == pytest.approx(roc_auc_score(label, p) - of_members[lowest], rel=0.01)
    assert low < value < high
    metrics = {metric.name: metric for metric in found.spec.metrics}
    assert metrics["auc"].baseline == pytest.approx(np.mean(of_members))
    assert metrics["loss"].value == pytest.approx(log_loss(label, p), rel=1e-3)
    assert f"the lowest loss of 3 has number {lowest}" in metrics["loss minus that of the best member"].detail
    card, printed = (tmp_path / "all" / "README.md").read_text(), capsys.readouterr().out
    for sentence in found.spec.verdict:
        assert f"- {sentence}\n" in card
        assert f"- {sentence}\n" in printed


def test_one_that_is_no_better_than_its_best_member_says_so(classifiers, tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, (3000, 4)).astype(np.float32)
    p = np.asarray(zoo.load(classifiers[1])(x), np.float64)
    found = build_ensemble(classifiers, folder=tmp_path / "all", data=Held({"x": x}, rng.uniform(size=p.shape) < p))
    assert found.spec.verdict[-1].startswith("Worse than the best of its members: `auc` is lower by ")
    assert "else keep that one" in found.spec.verdict[-1]


@pytest.mark.parametrize(
    ("noise", "begins"), [(1.0, "Calibrated: `coverage of 68%` is "), (2.0, "Not calibrated (too sure): ")]
)
def test_intervals_of_gaussians_are_held_against_the_truth(tmp_path, noise, begins):
    config = {"size": 4, "channels": [2], "hidden": [3]}
    cubes = np.random.default_rng(6).normal(size=(3000, 4, 4, 4)).astype(np.float32)
    outputs = [tensor("mass"), tensor("scale")]
    folders = []
    for seed in range(2):
        model = get_family("cnn3d")(**config)
        model.adapt({"cube": cubes[:50]}, np.float32([[0.0], [1.0 + seed]]))
        spec = zoo.get_spec("cnn3d-halo-mass").model_copy(
            update={
                "config": config, "name": "tiny", "metrics": [], "limit": None, "files": [], "verdict": None,
                "endpoints": {"predict": Endpoint(description="m", inputs=[tensor("cube", 4, 4, 4)], outputs=outputs)},
            }
        )  # fmt: skip
        write_model_folder(model, spec, tmp_path / f"m{seed}", {"predict": (cubes[:4],)}, prose="# Tiny\n")
        folders.append(tmp_path / f"m{seed}")
    joined = Ensemble("cnn3d", config, 2)
    for place, folder in zip(joined.members, folders, strict=True):
        place.set_weights(zoo.load(folder).get_weights())
    location, scale = (np.asarray(one) for one in joined.answer(cubes))
    truth = (location + noise * scale * np.random.default_rng(7).normal(size=location.shape)).reshape(-1, 1)
    found = build_ensemble(folders, folder=tmp_path / "all", data=Held({"cube": cubes}, truth))
    assert found.spec.verdict[0].startswith(begins)
    metrics = {metric.name: metric.value for metric in found.spec.metrics}
    expected = [2 * norm.cdf(norm.ppf((1 + level) / 2) / noise) - 1 for level in (0.68, 0.95)]
    assert [metrics["coverage of 68%"], metrics["coverage of 95%"]] == pytest.approx(expected, abs=0.03)


def test_without_rows_it_says_why_nothing_is_told(members, tmp_path):
    found = build_ensemble(members, folder=tmp_path / "all")
    (sentence,) = found.spec.verdict
    assert sentence.startswith("Calibrated or not, better than its members or not: not told. tiny: its own rows cannot be made")
    assert sentence.endswith("Give rows with data=FILE.")


def test_rows_that_a_member_may_have_seen_do_not_judge(classifiers, tmp_path):
    """Members that were fine-tuned on one file with another seed each held out other rows of it."""
    folders = []
    for seed, folder in enumerate(classifiers[:2]):
        model = zoo.load(folder)
        parameters = {"sha256": "0" * 64, "file": "mine.csv", "seed": seed}
        spec = model.spec.model_copy(update={"data": model.spec.data.model_copy(update={"parameters": parameters})})
        write_model_folder(model, spec, tmp_path / f"s{seed}", {"predict": (X,)}, prose="# Tiny\n")
        folders.append(tmp_path / f"s{seed}")
    (sentence,) = build_ensemble(folders, folder=tmp_path / "all").spec.verdict
    assert "no row is known that is new to all. Give some with data=FILE." in sentence


@pytest.mark.parametrize(
    ("licenses", "expected"), [(["MIT", "CC0-1.0"], "MIT; CC0-1.0"), (["MIT", "unknown"], "unknown"), ([None, "MIT"], "MIT")]
)
def test_the_data_of_all_members_have_their_say(classifiers, tmp_path, licenses, expected):
    folders = []
    for place, (folder, license) in enumerate(zip(classifiers, licenses, strict=False)):
        model = zoo.load(folder)
        data = model.spec.data.model_copy(update={"license": license, "citation": license and f"Doe {place}"})
        write_model_folder(
            model, model.spec.model_copy(update={"data": data}), tmp_path / f"l{place}", {"predict": (X,)}, prose="# Tiny\n"
        )
        folders.append(tmp_path / f"l{place}")
    data = build_ensemble(folders, folder=tmp_path / "all").spec.data
    assert data.license == expected
    assert data.citation == "; ".join(f"Doe {place}" for place, license in enumerate(licenses) if license)


def test_ensemble_under_its_members_name_is_the_next_revision(members, tmp_path):
    assert build_ensemble(members, folder=tmp_path / "tiny").spec.revision == "2"


@pytest.mark.parametrize("family", ["mlp", "ive", pytest.param("maf", marks=pytest.mark.slow)])
def test_ensemble_of_each_kind_of_answer_is_explained_where_it_is_served(family, tmp_path):
    model = released(family)
    endpoint = model.data_endpoint  # the only one that an ensemble takes of its members
    spec = model.spec.model_copy(update={"endpoints": {endpoint: model.spec.endpoint(endpoint)}})
    inputs = {endpoint: tuple(example(family).values())}
    for name in ("one", "other"):
        write_model_folder(model, spec, tmp_path / name, inputs, prose=f"# {name}")
        model.set_weights([weight if weight.ndim < 2 else 0.97 * weight for weight in model.get_weights()])
    build_ensemble([tmp_path / "one", tmp_path / "other"], folder=tmp_path / "all")
    export(zoo.load(tmp_path / "all"), tmp_path / "exported", explain=True, parity_rows=100)  # against GradientTape
    assert verify(tmp_path / "exported").ok
    assert list(Session(tmp_path / "exported").endpoints) == [endpoint, "explain"]


def test_ensemble_of_finished_runs_takes_the_best_epoch(members, tmp_path):
    models = [zoo.load(member) for member in members[:2]]
    for seed, model in enumerate(models):
        run = tmp_path / f"seed-{seed}"
        run.mkdir()
        settings = {"seed": seed, "family": "mlp", "config": REGRESSOR, "epochs": 2, "patience": 5}
        (run / "run.json").write_text(json.dumps(settings))
        best = {f"best_{i}": np.asarray(variable) for i, variable in enumerate(model.variables)}
        last = {f"{i}": np.asarray(variable) + 1 for i, variable in enumerate(model.variables)}
        history = json.dumps({"loss": [2.0, 1.0], "val_loss": [1.0, 2.0]})
        np.savez(run / "checkpoint.npz", history=history, **best, **last)
    runs = [tmp_path / "seed-0", tmp_path / "seed-1"]
    build_ensemble(runs, folder=tmp_path / "all", like=members[0])
    given = np.stack([np.asarray(model(X)) for model in models])
    np.testing.assert_allclose(zoo.load(tmp_path / "all")(X), given.mean(axis=0), atol=1e-6)
    (runs[0] / "run.json").write_text(json.dumps(settings | {"epochs": 3}))
    with pytest.raises(ZooError, match="2 of 3 epochs"):
        build_ensemble(runs, folder=tmp_path / "other", like=members[0])
    (runs[0] / "run.json").unlink()
    with pytest.raises(IntegrityError, match=r"run\.json"):
        build_ensemble(runs, folder=tmp_path / "other", like=members[0])


def test_ensemble_of_what_does_not_go_together_is_refused(members, tmp_path):
    other = member_folder(tmp_path / "other", "mlp", REGRESSOR | {"hidden": [6]}, 7, [tensor("speed", 2, unit="m/s")])
    unit = member_folder(tmp_path / "unit", "mlp", REGRESSOR, 8, [tensor("speed", 2, unit="km/s")])
    for chosen, message in (
        (members[:1], "at least two"),
        ([members[0], members[0]], r"members \[0, 1\] have the same weights"),
        ([members[0], other], "expected family mlp with config"),
        ([members[0], unit], "its speed has another unit than that of tiny; members are trainings that differ in the seed"),
        (["gbt-halo-mass", "gbt-halo-mass"], "expected a Keras model, given BoostedTrees of scikit-learn"),
    ):
        with pytest.raises(ZooError, match=message):
            build_ensemble(chosen, folder=tmp_path / "all")
    assert not (tmp_path / "all").exists()
