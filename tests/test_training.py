"""Recipes and runs: what is refused, what resumes, what repeats."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from command_line import refused
from quick_training import compiled, eagerly

from zoo.errors import FolderError, InputError, IntegrityError, UnknownNameError
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Recipe, RecipeError, load_recipe, parse_changes, recipe_names

SMALL = {
    "data.parameters": {"train": 512, "validation": 64, "test": 64},
    "config.encoder": [16],
    "config.decoder": [16],
    "batch_size": 64,
    "optimizer.warmup_epochs": 1,
    "epochs": 3,
}


@pytest.fixture
def eager():
    """Training step by step."""
    with eagerly():
        yield


@pytest.fixture(scope="module")
def small() -> Recipe:
    return load_recipe("ive-pendulum").changed(SMALL)


@pytest.fixture(scope="module")
def brief(small) -> Recipe:
    """A run that only has to be there."""
    return small.changed({"data.parameters.train": 64, "epochs": 1, "optimizer.warmup_epochs": 0})


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_valid_and_named_after_its_file(name):
    recipe = load_recipe(name)
    assert recipe.name == name
    for variant in recipe.variants.values():
        recipe.changed(variant.set)


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "0.001", "+1E-3", ".1e-2"])
def test_numbers_may_be_written_without_a_point(written):
    assert parse_changes([f"optimizer.learning_rate={written}"]) == {"optimizer.learning_rate": 0.001}


def test_words_that_look_a_little_like_numbers_stay_words():
    assert parse_changes(["data.source=1e-3a", "name=e-3"]) == {"data.source": "1e-3a", "name": "e-3"}


def test_unknown_recipe_gets_suggestions():
    with pytest.raises(UnknownNameError, match="ive-pendulum"):
        load_recipe("ive-pendulun")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("!!python/object/apply:os.system ['true']", "not plain YAML"),
        ("name: [", "not plain YAML"),
        ("name: x", "family"),
        ("name: ../escape", "name"),
        ("{loss: mse, family: mlp}", "names no loss, given loss: mse; family mlp is trained on the objective"),
        ("evaluation: {kind: latent}", "did you mean latents"),
        ("evaluation: {kind: latents, quantity: x}", "evaluation: .*quantities: Field required; quantity: Extra inputs"),
        ("evaluation: [latents]", "expected a mapping with a kind, one of anomaly, classification"),
        ("[1, 2]", "recipe"),
    ],
)
def test_malicious_or_broken_recipe_is_refused(tmp_path, content, message):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_trees_grow_on_one_device(tmp_path):
    from zoo.workflows.train import train

    with pytest.raises(InputError, match="devices: boosted trees grow on one, given 2: leave it out"):
        train(load_recipe("gbt-halo-mass"), tmp_path, devices=2)


def test_changes():
    changed = load_recipe("mlp-cmb-feature").changed(parse_changes(["epochs=3", "config.hidden=[8]", "data.parameters.seed=4"]))
    assert (changed.epochs, changed.config["hidden"], changed.data.parameters["seed"]) == (3, [8], 4)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", "did you mean epochs"),
        ("config.hiden=[3]", "did you mean config.hidden"),
        ("epochs=many", "epochs"),
        ("epochs=-1", "greater than 0"),
        ("epochs", "key=value"),
        ("loss=__import__('os').system('true')", "loss"),
        ("config=!!python/name:os.system", "plain YAML"),
        ("name.x=1", "no recipe key"),
    ],
)
def test_changes_that_are_refused(setting, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe("mlp-cmb-feature").changed(parse_changes([setting]))


def test_loss_falls_and_the_same_seed_gives_the_same_weights(small, tmp_path, eager):
    from zoo.training.fit import fit

    few = small.changed({"data.parameters.train": 256})
    first, history = fit(few, tmp_path / "a")
    again, _ = fit(few, tmp_path / "b")
    other, _ = fit(few, tmp_path / "c", seed=1)
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["val_loss"]) == few.epochs
    assert first.trainable_weights
    for a, b in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(first.get_weights(), other.get_weights(), strict=True))


RUN = """
import json, os, signal, sys
from pathlib import Path
import zoo.training.checkpoint as checkpoint
from zoo.training.fit import fit
from zoo.training.recipe import Recipe

write = checkpoint.Checkpoint.write

def write_or_be_killed(self):
    if len(self.history["loss"]) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    write(self)

checkpoint.INTERVAL, checkpoint.Checkpoint.write = 0.0, write_or_be_killed
fit(Recipe.model_validate(json.loads(sys.argv[1])), Path(sys.argv[2]))
"""


def test_killed_run_resumes_to_the_same_weights(small, tmp_path):
    """After kill -9 between two checkpoints, the same call gives bit for bit the weights of an unbroken run."""
    from zoo.training.fit import fit

    longer = small.changed({"epochs": 5})
    broken = tmp_path / "broken"
    ran = subprocess.run([sys.executable, "-c", RUN, longer.model_dump_json(), str(broken)], capture_output=True, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    with np.load(broken / "checkpoint.npz", allow_pickle=False) as file:
        assert len(json.loads(str(file["history"]))["loss"]) == 3
    resumed, history = fit(longer, broken)
    unbroken, expected = fit(longer, tmp_path / "unbroken")
    assert history == expected
    for a, b in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_folder_of_another_run_is_refused(brief, tmp_path, eager):
    from zoo.training.fit import fit

    fit(brief, tmp_path)
    with pytest.raises(FolderError, match="holds a run made with optimizer"):
        fit(brief.changed({"optimizer.learning_rate": 0.5}), tmp_path)


def test_second_process_in_a_folder_is_refused(brief, tmp_path, eager):
    import fcntl

    from zoo.training.fit import fit

    with (tmp_path / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RecipeError, match="another process"):
            fit(brief, tmp_path)
    fit(brief, tmp_path)


def test_damaged_checkpoint_is_named(brief, tmp_path, eager):
    from zoo.training.fit import fit

    fit(brief, tmp_path)
    checkpoint = tmp_path / "checkpoint.npz"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(IntegrityError, match=r"checkpoint\.npz is damaged"):
        fit(brief, tmp_path)


def test_config_that_the_family_does_not_take_is_an_error(small, tmp_path):
    from zoo.training.fit import fit

    values = small.model_dump(mode="json")
    values["config"]["depth"] = 3
    with pytest.raises(RecipeError, match="depth"):
        fit(Recipe.model_validate(values), tmp_path)


def test_parameter_that_the_data_do_not_take_is_an_error(small, tmp_path):
    from zoo.training.fit import fit

    with pytest.raises(RecipeError, match="friction"):
        fit(small.changed({"data.parameters": {"friction": 1}}), tmp_path)


def test_batch_larger_than_the_data_is_an_error(small, tmp_path):
    from zoo.training.fit import fit

    with pytest.raises(RecipeError, match="larger than the 512 training rows"):
        fit(small.changed({"batch_size": 1000}), tmp_path)


def test_bootstrap_resamples_simulations_together():
    """100 groups of 50 equal rows carry the information of 100 numbers, not of 5,000."""
    values = np.repeat(np.random.default_rng(0).standard_normal(100), 50)
    group = np.repeat(np.arange(100), 50)
    low, high = bootstrap(lambda i: float(values[i].mean()), group, draws=1000)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(100), rel=0.15)


def test_metrics_of_a_classifier_are_those_of_scikit_learn(tmp_path):
    """One epoch, then AUC and accuracy recomputed from the weights that the run left."""
    from sklearn.metrics import accuracy_score, roc_auc_score

    from zoo.data.cmb.extension_data import CMBExtension
    from zoo.loading import load_weights
    from zoo.model.registry import get_family
    from zoo.workflows.train import train

    recipe = load_recipe("logistic-cmb-running").changed({"epochs": 1, "batch_size": 2048, "evaluation.baseline": None})
    train(recipe, tmp_path)
    measured = json.loads((tmp_path / "metrics.json").read_text())
    found = {metric["name"]: metric for metric in measured["metrics"]}
    model = get_family("logistic")(**recipe.config)
    load_weights(model, tmp_path / "model.weights.h5")
    rows = CMBExtension("running").rows("test")
    score, label = np.asarray(model(rows.inputs["spectrum"]))[:, 0], rows.target[:, 0]
    assert found["auc"]["value"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
    assert found["accuracy"]["value"] == pytest.approx(accuracy_score(label, score > 0.5), abs=1e-6)
    low, high = found["auc"]["interval"]
    assert low < found["auc"]["value"] < high
    assert found["auc"]["n"] == len(rows)
    assert np.sum(measured["curves"]["confusion"]) == len(rows)
    assert {path.stem for path in (tmp_path / "plots").glob("*.png")} >= {"roc", "reliability", "confusion"}
    assert list((tmp_path / "model" / "seed-0" / "tensorboard").rglob("events.out.tfevents.*"))


NOISY = SMALL | {
    "data.parameters": {"train": 128, "validation": 64, "test": 64},
    "epochs": 30,
    "patience": 2,
    "optimizer": {"learning_rate": 0.05},
}


def test_patience_stops_early_and_keeps_the_best_weights(small, tmp_path):
    from zoo.training.fit import fit

    recipe = small.changed(NOISY)
    model, history = fit(recipe, tmp_path)
    losses = history["val_loss"]
    assert len(losses) < recipe.epochs
    assert len(losses) - 1 - int(np.argmin(losses)) == recipe.patience
    rows = recipe.data.dataset().rows("validation")
    model.compile(loss="mean_squared_error", jit_compile=False)
    assert model.evaluate(tuple(rows.inputs.values()), rows.target, verbose=0) == pytest.approx(min(losses), rel=1e-3)
    again, same = fit(recipe, tmp_path)  # nothing left to train
    assert same == history
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_run_interrupted_at_every_epoch_ends_the_same(small, tmp_path, monkeypatch, eager):
    import zoo.training.checkpoint as checkpoint
    from zoo.training.fit import fit

    recipe = small.changed(NOISY | {"patience": 1})
    whole, history = fit(recipe, tmp_path / "whole")
    end = checkpoint.Checkpoint.on_epoch_end

    def stop(self, epoch, logs=None):
        end(self, epoch, logs)
        self.trained.stop_training = True

    monkeypatch.setattr(checkpoint.Checkpoint, "on_epoch_end", stop)
    for _ in range(len(history["loss"]) + 1):
        parts, pieces = fit(recipe, tmp_path / "parts")
    assert pieces == history
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_diverged_run_is_an_error_that_keeps_the_run(tmp_path):
    from zoo.errors import ZooError
    from zoo.training.fit import fit

    with pytest.raises(ZooError, match=r"became (nan|inf|-inf) in epoch \d+: lower optimizer.learning_rate"):
        fit(load_recipe("ive-pendulum").changed(SMALL | {"optimizer.learning_rate": 1e18}), tmp_path)


@pytest.mark.slow
def test_runs_of_a_release_keep_no_model(tmp_path, monkeypatch):
    """A model, its variant and their evaluation: never is more than one model alive when another is built."""
    import gc
    import weakref

    from zoo.families.ive import IVE
    from zoo.workflows.train import train

    recipe = load_recipe("ive-pendulum").changed(SMALL | {"epochs": 1, "optimizer.warmup_epochs": 0, "seeds": [0]})
    assert recipe.variants
    living: weakref.WeakSet[IVE] = weakref.WeakSet()
    counts = []
    build = IVE.__init__

    def counted(self, *args, **kwargs):
        gc.collect()
        counts.append(len(living))
        build(self, *args, **kwargs)
        living.add(self)

    monkeypatch.setattr(IVE, "__init__", counted)
    with compiled(jit_compile=False, steps_per_execution=1):  # in a graph, which could hold a model, but in a small one
        runs, _ = train(recipe, tmp_path, seeds=recipe.seeds, variants=True)
    trained = sum(map(len, runs.values()))
    assert trained == 1 + len(recipe.variants)
    assert len(counts) > 2 * trained
    assert max(counts) == 1


def test_several_devices_need_jax(tmp_path):
    said = refused("train", "ive-pendulum", "--devices", "2", "--out", tmp_path)
    assert "KERAS_BACKEND=jax" in said
    assert "validation loss of several replicas is wrong" in said
