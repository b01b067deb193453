"""Fine-tuning of every family: what is trained and what stays, what comes out, and what is refused."""

from __future__ import annotations

import json
import warnings

import keras
import numpy as np
import pytest
from quick_training import compiled, eagerly
from tiny_networks import CONFIGS, released, user_data

import zoo
from zoo.errors import ExportError, FolderError, InputError, UnknownNameError
from zoo.model.card import check_card
from zoo.model.metric_text import metric_unit
from zoo.serving import Session
from zoo.serving.verify import verify
from zoo.training.fine_tune import FineTuning, untrained

QUICK = {"epochs": 2, "batch_size": 32}
"""Two steps, which move every weight that is free."""


@pytest.fixture(autouse=True)
def _eager(request):
    """Training runs step by step, but where a test is about the graph."""
    if "graph" in request.fixturenames:
        yield
    else:
        with eagerly():
            yield


@pytest.fixture
def graph():
    """Training in a graph, as users do, yet in one that is soon made: of one step, and not compiled by XLA."""
    with compiled(jit_compile=False, steps_per_execution=1):
        yield


@pytest.fixture
def no_graphs(monkeypatch):
    """Folders without ONNX graphs, as on other backends than TensorFlow, where weights alone are looked at."""
    from zoo.model.spec import Export
    from zoo.workflows import folder as module

    def described(model, spec, folder):
        return spec.model_copy(update={"export": Export(), "files": module.describe_files(folder)})

    monkeypatch.setattr(module, "exported", described)


def weights(model, blocks=None):
    """What can be trained, by block, layer and place."""
    return {
        f"{name}/{i}/{variable.name}/{j}": keras.ops.convert_to_numpy(variable)
        for name, layers in model.blocks.items()
        for i, layer in enumerate(layers)
        for j, variable in enumerate(layer.trainable_weights)
        if blocks is None or name in blocks
    }


def changed(parent, model):
    """Blocks of which some weight differs, among those that have weights to train."""
    before, after = weights(parent), weights(model)
    return {name for name in model.blocks if any((before[path] != after[path]).any() for path in weights(model, [name]))}


FAMILIES = [
    pytest.param(name, marks=pytest.mark.slow) if name in {"maf", "nsf"} else name for name in CONFIGS if name != "ensemble"
]
"""One of the flows, and with the marker slow the others, which take as long as all the rest."""


@pytest.fixture(scope="module", params=FAMILIES)
def tuned(request, tmp_path_factory):
    """A parent of each family and what came of it with its last block free."""
    folder = tmp_path_factory.mktemp(request.param) / "mine"
    parent = released(request.param)
    with eagerly(), pytest.warns(UserWarning, match="independent test rows"):
        model = zoo.fine_tune(parent, user_data(request.param), folder=folder, **QUICK)
    return parent, model, folder


def test_only_the_head_changes(tuned):
    parent, model, _ = tuned
    assert changed(parent, model) == {list(model.blocks)[-1]}


def test_result_is_a_model_like_any_other(tuned):
    parent, model, folder = tuned
    spec = model.spec
    assert spec.name == "mine"
    assert (spec.lineage.parent, spec.lineage.revision) == (parent.spec.name, "2")
    assert len(spec.lineage.data_sha256) == 64
    assert spec.limit is None  # that of the parent is of other data
    assert verify(folder).ok
    assert (folder / "figures" / "learning_curves.png").stat().st_size > 5_000
    check_card(folder, json.loads((folder / "metrics.json").read_text()))
    assert f"made from `{parent.spec.name}@2`" in (folder / "README.md").read_text()


def test_result_serves_what_it_answers(tuned):
    _, model, folder = tuned
    endpoint = model.spec.endpoint(model.data_endpoint)
    rows = {key: array[:5] for key, array in user_data(model.spec.family).items() if key != "answer"}
    answers = Session(folder).run(rows, model.data_endpoint)
    for name, value in model.endpoint(model.data_endpoint)(**rows).items():
        np.testing.assert_allclose(answers[name], np.asarray(value), rtol=1e-3, atol=1e-3)
    assert [tensor.name for tensor in endpoint.inputs] == list(rows)


def test_everyone_is_judged_on_the_same_rows(tuned):
    _, model, _ = tuned
    metrics = {metric.name: metric for metric in model.spec.metrics}
    for name in ("loss", "before/loss", "from scratch/loss", "loss minus that before", "loss minus that from scratch"):
        assert metrics[name].n == 12
        low, high = metrics[name].interval
        assert low <= metrics[name].value <= high or name.startswith("loss minus")
    assert metrics["loss"].baseline == metrics["before/loss"].value
    gain = metrics["loss"].value - metrics["before/loss"].value
    assert metrics["loss minus that before"].value == pytest.approx(gain, abs=1e-6)


def test_it_can_be_exported_again(tuned, tmp_path):
    from zoo.export import export

    _, model, _ = tuned
    export(model, tmp_path / "out", endpoints=[model.data_endpoint], parity_rows=20)
    assert verify(tmp_path / "out").ok


def run(parent, folder, data=None, **settings):
    with pytest.warns(UserWarning, match="independent test rows") as said:
        model = zoo.fine_tune(
            parent, user_data(parent.spec.family) if data is None else data, folder=folder, **QUICK | settings
        )
    assert {one.filename for one in said if "independent" in str(one.message)} == {__file__}  # the line of the call
    return model


@pytest.mark.parametrize(
    ("unfreeze", "expected"),
    [("all", {"hidden", "head"}), (1, {"head"}), (["hidden"], {"hidden"})],
)
def test_blocks_that_are_asked_for_are_trained(tmp_path, no_graphs, unfreeze, expected):
    parent = released("mlp")
    assert changed(parent, run(parent, tmp_path / "mine", unfreeze=unfreeze)) == expected


def test_earlier_layers_move_less_with_a_layer_decay(tmp_path, no_graphs):
    parent = released("mlp")

    def moved(model):
        return {
            path: np.abs(value - weights(parent)[path]).mean() for path, value in weights(model).items() if "kernel" in path
        }

    even = moved(run(parent, tmp_path / "even", unfreeze="all"))
    falling = moved(run(parent, tmp_path / "falling", unfreeze="all", layer_decay=0.1))
    share = [falling[path] / even[path] for path in even]
    np.testing.assert_allclose(share, [0.01, 0.1, 1.0], rtol=0.35)


@pytest.mark.parametrize("restandardize", [False, True])
def test_scaling_is_kept_or_measured_anew(tmp_path, no_graphs, restandardize):
    parent, data = released("mlp"), user_data("mlp")
    data["observed"] = data["observed"] + 1.0
    model = run(parent, tmp_path / "mine", data, restandardize=restandardize)
    mean = keras.ops.convert_to_numpy(model.standardize.mean)
    kept = np.array_equal(mean, keras.ops.convert_to_numpy(parent.standardize.mean))
    assert kept != restandardize
    if restandardize:
        np.testing.assert_allclose(mean, data["observed"].mean(axis=0), atol=1.0)


@pytest.mark.parametrize(("family", "unfreeze"), [("mlp", "all"), ("cnn3d", ["stages"]), ("ive", "all")])
def test_low_rank_adaptation_becomes_part_of_the_kernels(tmp_path, no_graphs, family, unfreeze):
    parent = released(family)
    model = run(parent, tmp_path / "mine", unfreeze=unfreeze, lora=1, learning_rate=0.01)
    assert [w.shape for w in model.weights] == [w.shape for w in parent.weights]
    kernels = {path: w for path, w in weights(model, None if unfreeze == "all" else unfreeze).items() if "kernel" in path}
    for path, kernel in kernels.items():
        change = (kernel - weights(parent)[path]).reshape(-1, kernel.shape[-1])
        singular = np.linalg.svd(change, compute_uv=False)
        assert singular[0] > 0
        assert singular[1:].max(initial=0) < 1e-3 * singular[0]


def test_flows_have_no_low_rank_adaptation(tmp_path):
    with pytest.raises(InputError, match="none of the layers of transforms"):
        run(released("realnvp"), tmp_path / "mine", lora=2)


def test_a_new_head_tells_three_classes_apart(tmp_path, no_graphs, graph):
    data = user_data("mlp", 200)
    kind = np.digitize(data["observed"][:, 0], [0.5, 3.5])
    data |= {"kind": np.array(["dwarf", "giant", "spiral"])[kind]}
    parent = released("mlp")
    model = run(
        parent,
        tmp_path / "mine",
        data,
        target="kind",
        outputs=3,
        task="classification",
        unfreeze="all",
        epochs=30,
        learning_rate=0.05,
    )
    (answer,) = model.spec.endpoint("predict").outputs
    assert (answer.name, answer.shape, answer.labels) == ("probability", [3], ["dwarf", "giant", "spiral"])
    assert model.spec.task == "classification"
    metrics = {metric.name: metric.value for metric in model.spec.metrics}
    assert metrics["accuracy"] > 0.7
    assert not any("before" in name for name in metrics)
    probability = np.asarray(model(data["observed"]))
    np.testing.assert_allclose(probability.sum(axis=1), 1, atol=1e-5)
    assert (probability.argmax(axis=1) == kind).mean() > 0.7


def test_a_classifier_becomes_a_regressor(tmp_path, graph):
    data = user_data("logistic", 200)
    data = {"observed": data["observed"], "mass": 1e14 * (3 + data["observed"][:, :1])}
    model = run(
        released("logistic"), tmp_path / "mine", data, target="mass", outputs=1, task="regression", epochs=30, learning_rate=0.2
    )
    assert model.spec.family == "mlp"
    (answer,) = model.spec.endpoint("predict").outputs
    assert (answer.name, answer.shape, answer.low) == ("mass", [1], None)
    assert np.corrcoef(np.asarray(model(data["observed"]))[:, 0], data["mass"][:, 0])[0, 1] > 0.9
    assert verify(tmp_path / "mine").ok


def test_an_encoder_answers_with_more_numbers(tmp_path):
    data = user_data("ive")
    data["answer"] = np.concatenate([data["answer"], data["answer"][:, :1]], axis=1)
    parent = released("ive")
    model = run(parent, tmp_path / "mine", data, target="answer", outputs=3, unfreeze=2)
    assert {name: endpoint.outputs[0].shape for name, endpoint in model.spec.endpoints.items()} == {
        "predict": [3],
        "encode": [3],
        "decode": [3],
        "reconstruct": [3],
    }
    np.testing.assert_array_equal(model.mean.get_weights()[0], parent.mean.get_weights()[0])


@pytest.mark.parametrize("family", ["mlp", "ive"])
def test_rows_of_another_length_pass_a_new_first_layer(tmp_path, family):
    parent, data = released(family), user_data(family)
    data["observed"] = np.concatenate([data["observed"], 50 + data["observed"][:, :2]], axis=1)
    with pytest.raises(InputError, match=r"rows of 7 numbers, given 9: .* inputs=9"):
        zoo.fine_tune(parent, data, folder=tmp_path / "mine")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        model = zoo.fine_tune(parent, data, folder=tmp_path / "mine", inputs=9, layer_decay=0.1, **QUICK)
    assert not any("drifted" in str(one.message) or "outside" in str(one.message) for one in found)
    for name, endpoint in model.spec.endpoints.items():
        for tensor, before in zip(endpoint.inputs, parent.spec.endpoint(name).inputs, strict=True):
            if tensor.name == "observed":
                assert (tensor.shape, len(tensor.low), len(tensor.high)) == ([9], 9, 9)
                assert tensor.low[8] < data["observed"][:, 8].min()
                assert tensor.high[8] < 100
            else:
                assert tensor == before
    _, untouched = untrained(parent, FineTuning(inputs=9))
    at_first, after, of_parent = weights(untouched), weights(model), weights(parent)
    stage = {"mlp": "hidden", "ive": "encoder"}[family]
    moved = {path: np.abs(after[path] - at_first[path]).max() for path in after}
    assert moved[f"{stage}/0/kernel/0"] > 1e-3  # two steps of the whole learning rate, although it comes last in a layer decay
    assert {path for path, most in moved.items() if most} == {
        path for path in after if path.startswith((f"{stage}/0/", "head/"))
    }
    for path, before in of_parent.items():
        if not path.startswith((f"{stage}/0/", "head/")):
            np.testing.assert_array_equal(after[path], before)
    first, *others = model.blocks["stem"]
    np.testing.assert_allclose(first.get_weights()[0], data["observed"].mean(axis=0), atol=1.0)
    for layer, before in zip(others, parent.blocks["stem"][1:], strict=True):
        np.testing.assert_array_equal(layer.get_weights(), before.get_weights())
    assert not any("before" in metric.name for metric in model.spec.metrics)
    assert verify(tmp_path / "mine").ok
    rows = {name: array[:4] for name, array in data.items() if name != "answer"}
    served = Session(tmp_path / "mine").run(rows, "predict")["answer"]
    np.testing.assert_allclose(served, model.endpoint("predict")(**rows)["answer"], rtol=1e-3, atol=1e-3)


def test_a_new_first_layer_and_a_new_head(tmp_path):
    data = user_data("mlp")
    data = {"observed": data["observed"][:, :5], "kind": (data["observed"][:, 0] > 2).astype(int)}
    model = run(
        released("mlp"), tmp_path / "mine", data, target="kind", outputs=1, task="classification", inputs=5, unfreeze=["hidden"]
    )
    assert model.spec.endpoint("predict").inputs[0].shape == [5]
    assert model.spec.endpoint("predict").outputs[0].name == "probability"


@pytest.mark.parametrize("family", ["logistic", "cnn3d", "beta-vae", "realnvp", "maf"])
def test_families_of_one_input_length_say_so(tmp_path, family):
    with pytest.raises(InputError, match="takes no other input length: leave out inputs and give rows like"):
        zoo.fine_tune(released(family), user_data(family), folder=tmp_path / "mine", inputs=9)


def test_members_of_an_ensemble_are_fine_tuned_one_by_one(tmp_path):
    with pytest.raises(InputError, match=r"tiny-ensemble: .* fine-tune each and join them with zoo ensemble"):
        zoo.fine_tune(released("ensemble"), {}, folder=tmp_path / "mine")


def test_families_without_another_head_say_so(tmp_path):
    with pytest.raises(InputError, match="CNN3D has no head for classification with 2 outputs"):
        zoo.fine_tune(released("cnn3d"), user_data("cnn3d"), folder=tmp_path / "mine", outputs=2, task="classification")


@pytest.mark.parametrize("units", [["Msun", "Mpc"], None])
def test_quantities_have_errors_of_their_own(tmp_path, no_graphs, units):
    """Two numbers of an answer in different units have no error together."""
    parent = released("mlp")
    (output,) = parent.spec.endpoint("predict").outputs
    axis = output.axes[0].model_copy(update={"labels": ["mass", "radius"], "units": units})
    labeled = output.model_copy(update={"axes": [axis]})
    endpoint = parent.spec.endpoint("predict").model_copy(update={"outputs": [labeled]})
    parent.spec = parent.spec.model_copy(update={"endpoints": {"predict": endpoint}})
    data = user_data("mlp")
    model = run(parent, tmp_path / "mine", data)
    found = {metric.name: metric for metric in model.spec.metrics}
    assert ("rmse" in found) == (units is None)
    for name, unit in zip(("mass", "radius"), units or ["m", "m"], strict=True):
        metric = found[f"rmse {name}"]
        assert metric_unit(metric, model.spec.units) == unit
        assert metric.baseline == found[f"before/rmse {name}"].value
        assert f"rmse {name} minus that from scratch" in found
    if units is None:
        both = [found[f"rmse {name}"].value for name in ("mass", "radius")]
        assert found["rmse"].value == pytest.approx(np.sqrt(np.mean(np.square(both))), rel=1e-6)


def test_a_data_set_brings_its_own_splits(tmp_path, no_graphs):
    from zoo.data.pendulum import Pendulum

    data = Pendulum(train=64, validation=64, test=200, seed=5)
    model = zoo.fine_tune("ive-pendulum", data, folder=tmp_path / "mine", unfreeze="all", epochs=1, learning_rate=1e-5)
    assert model.spec.data.rows == {"train": 64, "validation": 64, "test": 200}
    assert model.spec.lineage.parent == "ive-pendulum"
    metrics = {metric.name: metric.value for metric in model.spec.metrics}
    assert metrics["before/rmse"] < 0.01 < metrics["from scratch/rmse"]
    units = {metric_unit(metric, model.spec.units) for metric in model.spec.metrics if "rmse" in metric.name}
    assert units == {"m"}  # of positions, also of a difference
    with pytest.raises(InputError, match="target, group: expected with columns only"):
        zoo.fine_tune("ive-pendulum", data, folder=tmp_path / "other", target="x", group="y")


def test_several_queries_a_row(tmp_path, no_graphs):
    data = user_data("ive")
    data["asked"] = np.random.default_rng(0).random((60, 6))
    data["answer"] = np.repeat(data["answer"], 3, axis=1)
    run(released("ive"), tmp_path / "mine", data)


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path, monkeypatch, no_graphs, graph):
    """Broken off between two checkpoints, the same call gives bit for bit the weights of an unbroken run.

    What kill -9 leaves of a training, of which this is one, is in the tests of training.
    """
    from zoo.training import checkpoint

    longer = {"unfreeze": "all", "epochs": 5, "patience": 5, "batch_size": 8}
    parent = released("mlp")
    unbroken = run(parent, tmp_path / "unbroken", **longer)
    write = checkpoint.Checkpoint.write

    def write_or_break_off(self):
        if len(self.history["loss"]) == 4:
            raise InterruptedError
        write(self)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "INTERVAL", 0.0)
        patch.setattr(checkpoint.Checkpoint, "write", write_or_break_off)
        with pytest.raises(InterruptedError):
            run(parent, tmp_path / "broken", **longer)
    with np.load(tmp_path / "broken.run" / "fine-tuned" / "checkpoint.npz", allow_pickle=False) as file:
        assert len(json.loads(str(file["history"]))["loss"]) == 3
    assert not (tmp_path / "broken").exists()
    written = []
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "INTERVAL", 0.0)
        patch.setattr(checkpoint.Checkpoint, "write", lambda self: (written.append(len(self.history["loss"])), write(self)))
        resumed = run(parent, tmp_path / "broken", **longer)
    assert written[:2] == [4, 5]  # and not the first three epochs anew
    for a, b in zip(resumed.get_weights(), unbroken.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_other_settings_need_another_folder(tmp_path, no_graphs):
    parent = released("logistic")
    run(parent, tmp_path / "mine")
    with pytest.raises(ExportError, match="mine exists"):
        zoo.fine_tune(parent, user_data("logistic"), folder=tmp_path / "mine")
    with pytest.raises(FolderError, match="holds a fine-tuning made with learning_rate"):
        run(parent, tmp_path / "mine", learning_rate=0.5, overwrite=True)
    run(parent, tmp_path / "mine", overwrite=True)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"unfreeze": "haed"}, InputError, "expected head, all, a number of blocks or names"),
        ({"unfreeze": 0}, InputError, "unfreeze: expected head, all"),
        ({"unfreeze": 5}, InputError, "expected at most 2, the blocks hidden, head"),
        ({"unfreeze": ["hiden"]}, UnknownNameError, "did you mean hidden"),
        ({"learning_rate": -1.0}, InputError, "learning_rate: expected a number greater than 0"),
        ({"task": "regression"}, InputError, "a task goes with outputs"),
        ({"inputs": 0}, InputError, "inputs: expected a number greater than 0"),
        ({"learning_rates": 1e-3}, UnknownNameError, "did you mean learning_rate"),
        ({"lr": 1e-3}, UnknownNameError, "did you mean learning_rate,"),
        ({"weight": "w"}, UnknownNameError, "did you mean weights"),
        (
            {"changes": {"epochs": 2, "seed": 1}},
            InputError,
            r"each setting by its own name, fine_tune\(..., epochs=2, seed=1\)",
        ),
    ],
)
def test_settings_that_do_not_fit(tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        zoo.fine_tune(released("mlp"), user_data("mlp"), folder=tmp_path / "mine", **settings)
    assert not (tmp_path / "mine").exists()


def test_folder_that_is_no_name(tmp_path):
    with pytest.raises(InputError, match="names the model"):
        zoo.fine_tune(released("mlp"), user_data("mlp"), folder=tmp_path / "My Model")


def test_boosted_trees_are_fitted_anew(tmp_path):
    with pytest.raises(InputError, match=r"gbt-halo-mass: trees .* fit new ones with zoo train"):
        zoo.fine_tune("gbt-halo-mass", {}, folder=tmp_path / "mine")


def test_rows_outside_a_density_are_named(tmp_path):
    parent = released("realnvp", support=[[-40.0, 40.0]] * 7)
    data = user_data("realnvp")
    data["observed"][17, 3] = 50.0
    with pytest.raises(InputError, match=r"no finite loss before training, such as row 17"):
        zoo.fine_tune(parent, data, folder=tmp_path / "mine")
