"""Networks on clouds are trained, judged, exported, served and fine-tuned, with jets of different lengths."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from cloud_models import CONFIGS, clouds, endpoints, released, seen_by

import zoo
from zoo.data.dataset import Rows, groups, register_dataset
from zoo.errors import InputError
from zoo.families.state import apart
from zoo.model.registry import get_family
from zoo.training.fit import EpochData, build, fit, parts_of_a_batch
from zoo.training.recipe import Optimizer, Recipe

SIZES = {"train": 256, "validation": 80, "test": 80}


@register_dataset("tiny-clouds")
class MadeUpClouds:
    """Jets of two kinds, or of five of which the last three are as the first; some of no particle."""

    description, simulator, seed = "clouds made up for tests", "numpy", 0
    units: dict[str, str] = {}

    def __init__(self, network: str = "pfn-id", classes: int = 2, particles: int = 40) -> None:
        self.network, self.classes, self.particles = network, classes, particles

    def rows(self, split, epoch=0):
        n, seed = SIZES[split], list(SIZES).index(split)
        inputs = seen_by(self.network, clouds(n, self.particles, seed=seed, least=0))
        kind = np.arange(n) % 2 + 2 * (np.arange(n) % 4 > 1) * (self.classes > 2)
        return Rows(inputs, kind[:, None].astype(np.float32), groups(SIZES, split))


def recipe(network: str, **changes) -> Recipe:
    family, config = CONFIGS[network]
    return Recipe(
        name=f"{network}-made-up",
        family=family,
        task="classification",
        summary="made up",
        config=config,
        data={"source": "tiny-clouds", "parameters": {"network": network}},
        optimizer={"learning_rate": 0.01},
        epochs=3,
        batch_size=32,
        evaluation={"kind": "classification", "classes": ["narrow", "wide"]},
        endpoints=endpoints(network),
        **changes,
    )


def test_a_batch_is_as_long_as_its_largest_set_and_keras_learns_that_lengths_differ():
    data = MadeUpClouds()
    real = data.rows("train").inputs["real"]
    batches = EpochData(data, 32, 0, 0, "real")
    lengths = []
    for index in range(len(batches)):
        (particles, identity, here), target = batches[index]
        chosen = batches.order[32 * index : 32 * (index + 1)]
        assert particles.shape[:2] == identity.shape == here.shape == (32, particles.shape[1])
        assert here.sum() == real[chosen].sum()
        np.testing.assert_array_equal(target, data.rows("train").target[chosen])
        lengths.append(here.shape[1])
    longest = [real[batches.order[32 * i : 32 * (i + 1)]].any(axis=0).sum() for i in range(len(batches))]
    assert all(length >= one for length, one in zip(lengths, longest, strict=True))
    assert lengths[0] != lengths[1]
    assert {length % 16 for length in lengths} == {0}
    whole = EpochData(data, 256, 0, 0, "real")  # of a single batch Keras would take the length for the only one
    assert whole[0][0][0].shape[1] == 40


@pytest.mark.parametrize("network", ["efn", "pfn-id"])
def test_a_batch_in_parts_by_size_makes_the_same_step(network):
    data, known = MadeUpClouds(network), recipe(network, patience=None)
    stepped = []
    for parts in (1, 4):
        with apart(0):
            model = build(known, data)
            batches = EpochData(data, 32, 0, 0, "real", parts)
            order = np.sort(batches.order.reshape(-1, 32), axis=1)
            optimizer = keras.optimizers.SGD(0.01, gradient_accumulation_steps=parts if parts > 1 else None)
            model.compile(optimizer, loss=model.objective)
            model.fit(batches, epochs=1, shuffle=False, verbose=0)
        stepped.append((order, int(optimizer.iterations), model.get_weights(), batches))
    (order, steps, weights, _), (again, same, others, batches) = stepped
    np.testing.assert_array_equal(order, again)
    assert steps == same == 8
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    longest = [batches[index][0][0].shape[1] for index in range(len(batches))]
    assert sum(longest[::4]) < sum(longest[3::4])


@pytest.mark.parametrize("network", ["efn", "particle-net"])
def test_the_learning_rate_falls_over_all_epochs_however_a_step_is_made(network):
    data = MadeUpClouds(network)
    cosine = recipe(network).model_copy(
        update={"optimizer": Optimizer(learning_rate=0.01, schedule="cosine", warmup_epochs=1), "epochs": 5}
    )
    model = build(cosine, data)
    batches = EpochData(data, 32, 0, 0, "real", model.optimizer.gradient_accumulation_steps or 1)
    rates = []
    for epoch in range(5):
        model.fit(batches, epochs=epoch + 1, initial_epoch=epoch, shuffle=False, verbose=0)
        rates.append(float(model.optimizer.learning_rate))
    np.testing.assert_allclose(rates, 0.01 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2, atol=1e-7)


def test_networks_that_normalize_by_the_batch_see_it_whole():
    assert parts_of_a_batch(build(recipe("pfn-id"), MadeUpClouds()), 32) == 4
    assert parts_of_a_batch(build(recipe("pfn-id"), MadeUpClouds()), 33) is None
    assert parts_of_a_batch(build(recipe("particle-net"), MadeUpClouds("particle-net")), 32) is None


def test_a_step_of_particle_net_knows_nothing_of_padding():
    inputs = list(clouds(16, 20, least=0).values())
    longer = [np.pad(one, [(0, 0), (0, 9), *[(0, 0)] * (one.ndim - 2)]) for one in inputs]
    target = (np.arange(16) % 2)[:, None].astype(np.float32)
    with apart(0):
        _, config = CONFIGS["particle-net"]
        model = get_family("particle-net")(**config)
    start, ends = model.get_weights(), []
    for seen, xla in ((inputs, False), (longer, False), (longer, True)):  # XLA sees padding, and gives it no weight
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1), loss=model.objective, jit_compile=xla)
        model.train_on_batch(tuple(seen), target)
        ends.append(model.get_weights())
    assert max(np.abs(one - other).max() for one, other in zip(start, ends[0], strict=True)) > 0.01
    for end in ends[1:]:
        for one, other in zip(ends[0], end, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    nothing = [one[:2] for one in inputs[:-1]], np.zeros((2, 20), bool)
    assert np.isfinite(model.train_on_batch((*nothing[0], nothing[1]), target[:2]))


def test_clouds_are_learned(tmp_path):
    _, history = fit(recipe("pfn-id"), tmp_path / "run")
    assert history["val_accuracy"][-1] > 0.7


@pytest.mark.slow
def test_a_killed_training_of_clouds_ends_in_the_same_weights(tmp_path, monkeypatch):
    from zoo.training.checkpoint import Checkpoint

    model, _ = fit(recipe("particle-net"), tmp_path / "whole")
    ended = Checkpoint.on_epoch_end

    def killed(self, epoch, logs=None):
        ended(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "on_epoch_end", killed)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe("particle-net"), tmp_path / "parts")
    again, history = fit(recipe("particle-net"), tmp_path / "parts")
    assert len(history["loss"]) == 3
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), again.get_weights(), strict=True))


def test_checks_before_fine_tuning_look_at_real_particles():
    from zoo.training.checks import check

    parent, data = released("pfn-id"), MadeUpClouds(particles=12)
    found = check(data, parent, parent.spec)  # jets without particles are the same in all splits
    low, high = found.extremes["particles"]
    inputs = data.rows("train").inputs
    np.testing.assert_array_equal(high, inputs["particles"][inputs["real"]].max(axis=0))
    np.testing.assert_array_equal(low, inputs["particles"][inputs["real"]].min(axis=0))
    assert set(found.extremes) == {"particles"}
    assert np.isfinite([found.drift["particles"].mean, found.drift["particles"].deviation]).all()
    rows_of = data.rows

    def changed(split, epoch=0):
        given = rows_of(split)
        if split == "train":
            first = np.flatnonzero(given.inputs["real"][:, 0])[0]
            given.inputs["identity"][first, 0] = 7
        return given

    data.rows = changed  # type: ignore[method-assign]
    assert any("1 of 416 rows have identity outside" in one for one in check(data, parent, parent.spec).warnings)
    data.rows = lambda split, epoch=0: rows_of("train")  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"validation rows .*as training rows"):
        check(data, parent, parent.spec)


def of_jets(jet, **changes):
    """A parent that was trained on such jets; changes are those of its input of particles."""
    parent = released("pfn-id")
    predict = parent.spec.endpoints["predict"]
    particles = predict.inputs[0].model_copy(update={"jet": jet, **changes})
    predict = predict.model_copy(update={"inputs": [particles, *predict.inputs[1:]]})
    parent.spec = parent.spec.model_copy(update={"endpoints": {"predict": predict}})
    return parent


def test_a_row_that_is_outside_in_two_ways_counts_once():
    from zoo.model.jet import Jet
    from zoo.training.checks import check

    data = MadeUpClouds(particles=12)
    there = sum(int(data.rows(split).inputs["real"].any(axis=1).sum()) for split in SIZES)
    parent = of_jets(Jet(radius=0.1, pt=(600, 700)), high=[1e-3, 6.0, 4.0])
    (said,) = [one for one in check(data, parent, parent.spec).warnings if "particles outside" in one]
    assert said.startswith(f"{there} of 416 rows have particles outside the range")


@pytest.mark.parametrize(("factor", "words"), [(1000, "beyond any jet of the LHC"), (1 / 500, "below any jet, or relative")])
def test_fine_tuning_refuses_momenta_that_no_jet_has(factor, words):
    from zoo.model.jet import Jet
    from zoo.training.checks import check

    parent, data = of_jets(Jet(radius=0.4, pt=(400, 600))), MadeUpClouds(particles=12)
    check(data, parent, parent.spec)
    rows_of = data.rows
    real = rows_of("train").inputs["real"].any(axis=1)

    def scaled(split, epoch=0):
        given = rows_of(split)
        given.inputs["particles"][..., 0] *= factor
        return given

    data.rows = scaled  # type: ignore[method-assign]
    first = int(real.argmax())
    match = rf"particles, row {first}: .* in GeV, given a sum of {500 * factor:g}\S*, {words}.* in MeV divided by 1000"
    with pytest.raises(InputError, match=match):
        check(data, parent, parent.spec)
    parent = of_jets(Jet(radius=0.4, pt=(0, 600 * factor)))  # what the parent was trained on is right
    check(data, parent, parent.spec)


def test_fine_tuning_refuses_jets_that_are_wider_than_any():
    """As they are where rapidity and azimuth have changed places, before anything is trained."""
    from zoo.model.jet import Jet
    from zoo.training.checks import check

    parent, data = of_jets(Jet(radius=0.4, pt=(400, 600))), MadeUpClouds(particles=12)
    rows_of = data.rows

    def wide(split, epoch=0):
        given = rows_of(split)
        given.inputs["particles"][..., 1] = np.where(np.arange(12) % 2, 4.0, -4.0)
        return given

    data.rows = wide  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"particles: expected particles within 3 of the axis .*: are rapidity and azimuth in"):
        check(data, parent, parent.spec)


def test_fine_tuning_refuses_identities_without_their_sign():
    from zoo.training.checks import check

    parent, data = released("pfn-id"), MadeUpClouds(particles=12)
    rows_of = data.rows

    def unsigned(split, epoch=0):
        given = rows_of(split)
        identity, real = given.inputs["identity"], given.inputs["real"]
        given.inputs["identity"] = np.where(real, np.abs(identity), -211)  # what padding holds is not looked at
        return given

    data.rows = unsigned  # type: ignore[method-assign]
    codes = [np.abs(rows.inputs["identity"]) for rows in map(rows_of, SIZES)]
    charged = sum(int(np.isin(found, [211, 321, 2212, 2112]).sum()) for found in codes)
    with pytest.raises(InputError, match=rf"identity: expected signed PDG codes, .*given {charged} .*: give each its sign$"):
        check(data, parent, parent.spec)


def test_a_fine_tuned_model_takes_the_jets_that_it_was_tuned_on():
    from zoo.model.inputs import InputCheck
    from zoo.model.jet import Jet
    from zoo.training.checks import check
    from zoo.workflows.fine_tuned_spec import with_extremes

    parent, data = of_jets(Jet(radius=0.1, pt=(600, 700))), MadeUpClouds(particles=12)
    predict = parent.spec.endpoints["predict"]
    found = check(data, parent, parent.spec)
    assert any("reach as far as those of radius" in one for one in found.warnings)
    inputs = data.rows("train").inputs
    pt, _, phi = np.moveaxis(inputs["particles"].astype(float), -1, 0)
    summed = np.abs(np.sum(pt * np.exp(1j * phi) * inputs["real"], axis=1))[inputs["real"].any(axis=1)]
    assert found.jets["particles"].pt == pytest.approx((summed.min(), summed.max()))
    with pytest.raises(InputError, match="jets lie outside the trained range"):
        InputCheck(predict)(inputs)
    tuned = with_extremes(parent.spec.endpoints, found.extremes, found.jets)["predict"]
    InputCheck(tuned)(inputs)
    assert tuned.inputs[0].jet.pt[1] == 700
    rows_of = data.rows

    def padded(split, epoch=0):
        given = rows_of(split)
        given.inputs["particles"][5, 0, 0], given.inputs["real"][5, 0] = 0, True
        return given

    data.rows = padded  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"row 5, element 0 of particles: .* padding is not real"):
        check(data, parent, parent.spec)


def test_a_new_head_leaves_free_axes_free():
    from zoo.workflows.fine_tuned_spec import with_head

    parent = released("particle-transformer")
    family, config = parent.with_head(1, "classification")
    model = type(parent)(**config)
    assert (family, model.classes) == ("particle-transformer", 2)
    spec = with_head(parent.spec, model, MadeUpClouds(particles=12))
    assert spec.endpoints["attention"] == parent.spec.endpoints["attention"]
    assert spec.endpoints["predict"].outputs[0].shape == [1]
    with pytest.raises(InputError, match="no head for regression"):
        parent.with_head(1, "regression")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:only .* independent test rows")
@pytest.mark.parametrize("network", ["pfn-id", "particle-net"])
def test_from_recipe_to_server_and_to_a_fine_tuned_model(network, tmp_path):
    from zoo.workflows.release import release

    folder = release(recipe(network), tmp_path / "runs", tmp_path / f"{network}-made-up")
    expect_served_and_fine_tuned(network, folder, tmp_path)


def expect_served_and_fine_tuned(network, folder, tmp_path):
    from live_server import running

    from zoo.serving import Session
    from zoo.serving.server import Server

    model, session = zoo.load(folder), Session(folder)
    jets = [seen_by(network, clouds(1 + i % 3, particles=1 + i, seed=i)) for i in range(24)]
    expected = [np.asarray(model.endpoint("predict")(jet)["probability"]) for jet in jets]
    for jet, answer in zip(jets, expected, strict=True):
        np.testing.assert_allclose(session.run(jet)["probability"], answer, atol=1e-5)
    with running(Server([folder])) as address:
        for found, answer in zip(_asked(address, folder.name, jets), expected, strict=True):
            np.testing.assert_allclose(found, answer, atol=1e-5)
        wrong = {key: array.copy() for key, array in jets[9].items()}
        wrong["identity"][0, 0] = 7
        with pytest.raises(Exception, match="none of those that are known"):
            _asked(address, folder.name, [wrong])
    data = MadeUpClouds(network, particles=12)
    mine = zoo.fine_tune(model, data, folder=tmp_path / "mine", epochs=2, outputs=1, batch_size=32)
    assert mine.spec.endpoints["predict"].inputs[0].free
    again = Session(tmp_path / "mine").run(jets[11])["probability"]
    answer = mine.endpoint("predict")(jets[11])["probability"]
    np.testing.assert_allclose(np.asarray(answer), again, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:only .* independent test rows")
def test_a_network_of_three_classes_becomes_one_of_two(tmp_path):
    parent, data = released("particle-transformer"), MadeUpClouds("particle-transformer", particles=12)
    mine = zoo.fine_tune(parent, data, folder=tmp_path / "mine", epochs=2, outputs=1, batch_size=32)
    (probability,) = mine.endpoint("predict")(data.rows("test").inputs).values()
    assert (mine.classes, probability.shape) == (2, (80, 1))
    assert mine.spec.endpoints["attention"] == parent.spec.endpoints["attention"]
    kept = zip(parent.blocks.values(), mine.blocks.values(), strict=True)
    same = [all(np.array_equal(a, b) for a, b in zip(p[0].get_weights(), m[0].get_weights(), strict=True)) for p, m in kept]
    assert same == [True] * (len(same) - 1) + [False]


def _asked(address, name, jets):
    """What a server answers to requests that arrive together."""
    from concurrent.futures import ThreadPoolExecutor

    import tritonclient.http

    from zoo.model.dtypes import NAMES

    client = tritonclient.http.InferenceServerClient(address.removeprefix("http://"), concurrency=8)

    def ask(jet):
        inputs = []
        for key, array in jet.items():
            inputs.append(tritonclient.http.InferInput(key, list(array.shape), NAMES[array.dtype.name].datatype))
            inputs[-1].set_data_from_numpy(array)
        return client.infer(name, inputs)

    with ThreadPoolExecutor(8) as pool:
        return [found.as_numpy("probability") for found in pool.map(ask, jets)]
