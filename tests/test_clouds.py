"""Networks on clouds of particles: the family kit, and what neither order, padding, frame nor infrared physics may change."""

from __future__ import annotations

import functools
import subprocess
import sys

import keras
import numpy as np
import pytest
from cloud_models import CONFIGS, clouds, endpoints, released, rows, seen_by
from keras import ops
from quick_training import eagerly

from zoo.export.experiments.particles import detected
from zoo.families.clouds.edge_conv import neighbors, squared_distances
from zoo.families.clouds.frame import about_axis, pair_kinematics, squared_distance
from zoo.families.clouds.identity import identities
from zoo.families.clouds.kinds import CODES, charges
from zoo.families.clouds.row_norm import RowNorm
from zoo.families.clouds.rows import AllRows, RealRows
from zoo.model.registry import get_family
from zoo.testing import check_family
from zoo.testing.family_checks import OPSETS


def logits(model, inputs):
    return ops.convert_to_numpy(model.logits(*map(ops.convert_to_tensor, inputs.values())))


@pytest.fixture(scope="module")
def models():
    return {name: released(name) for name in CONFIGS}


ONE_EACH = ("pfn-id", "particle-net", "particle-transformer")
"""One network of each family; the others are converted where there is time."""


@functools.cache
def converted(name: str, endpoint: str = "predict", opset: int = 13):
    """A network and the graph of one of its endpoints, in ONNX Runtime."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are traced from TensorFlow")
    pytest.importorskip("tf2onnx")
    from zoo.export import to_onnx
    from zoo.export.parity import onnx_function

    model = released(name)
    return model, onnx_function(to_onnx(model, model.spec, endpoint, opset).SerializeToString())


@pytest.mark.parametrize("name", ONE_EACH)
def test_family_keeps_its_contract(name):
    family, config = CONFIGS[name]
    keras.utils.set_random_seed(1)
    with eagerly():
        check_family(get_family(family), config, rows(name), endpoints=endpoints(name), opsets=[])


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_family_is_trained_as_a_graph_and_exported_at_every_opset(name):
    family, config = CONFIGS[name]
    keras.utils.set_random_seed(1)
    check_family(get_family(family), config, rows(name), endpoints=endpoints(name))


@pytest.mark.parametrize("name", ONE_EACH)
def test_graph_answers_as_the_network_at_every_size(name):
    from zoo.export import check_export

    model, run = converted(name)
    report = check_export(model, model.spec, "predict", run, seen_by(name, clouds(8, seed=8)), 30)
    assert [sizes["particle"] for sizes in report.sizes] == [1, 11, 128]


@pytest.mark.parametrize("name", ONE_EACH)
def test_graph_of_an_empty_batch_or_of_a_jet_without_particles_does_not_end_the_process(name):
    model, run = converted(name)
    inputs = seen_by(name, clouds(3, seed=9))
    assert run({key: array[:0] for key, array in inputs.items()})["probability"].shape[0] == 0
    empty = {key: np.zeros_like(array) for key, array in inputs.items()}
    np.testing.assert_allclose(
        run(empty)["probability"], np.asarray(model.endpoint("predict")(empty)["probability"]), atol=1e-6
    )
    many = seen_by(name, clouds(2, particles=400, least=400))
    expected = np.asarray(model.endpoint("predict")(many)["probability"])
    np.testing.assert_allclose(run(many)["probability"], expected, atol=1e-5)


RUN_EMPTY = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
types = {"tensor(float)": np.float32, "tensor(int32)": np.int32, "tensor(bool)": bool}
shapes = {one.name: [0, *(size if isinstance(size, int) else 7 for size in one.shape[1:])] for one in session.get_inputs()}
answers = session.run(None, {one.name: np.zeros(shapes[one.name], types[one.type]) for one in session.get_inputs()})
print([len(answer) for answer in answers])
"""


@pytest.mark.slow
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("endpoint", ["predict", "attention"])
def test_a_transformer_at_any_opset_answers_an_empty_batch(tmp_path, endpoint, opset):
    """In a process of its own, which ONNX Runtime ends where a graph of attention is not made for it."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("graphs are traced from TensorFlow")
    pytest.importorskip("tf2onnx")
    from zoo.export import to_onnx

    model = released("particle-transformer")
    (tmp_path / "graph.onnx").write_bytes(to_onnx(model, model.spec, endpoint, opset).SerializeToString())
    command = [sys.executable, "-c", RUN_EMPTY, str(tmp_path / "graph.onnx")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "[0]\n"), ran.stderr


# -- what changes nothing -----------------------------------------------------------------------------------------------


def expect_same(model, inputs, changed, tolerance=1e-4):
    np.testing.assert_allclose(logits(model, changed), logits(model, inputs), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CONFIGS)
def test_order_and_padding_change_nothing(models, name):
    inputs = clouds(20, seed=3)
    order = np.random.default_rng(0).permuted(np.tile(np.arange(17), (20, 1)), axis=1)
    padded = {key: np.pad(array, [(0, 0), (0, 5), *[(0, 0)] * (array.ndim - 2)]) for key, array in inputs.items()}
    padded["particles"][~padded["real"]] = [3.0, -1.0, 2.0]
    padded["identity"][~padded["real"]] = 211
    shuffled = {
        key: np.take_along_axis(array, order if array.ndim == 2 else order[..., None], axis=1) for key, array in padded.items()
    }
    for changed in (padded, shuffled):
        expect_same(models[name], seen_by(name, inputs), seen_by(name, changed), 3e-6)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("component", "by"), [(1, 1.3), (1, -2.0), (2, 2.5), (2, 2 * np.pi), (2, -np.pi)])
def test_a_boost_along_the_beam_and_a_rotation_about_it_change_nothing(models, name, component, by):
    inputs = clouds(20, seed=4)
    moved = inputs["particles"].copy()
    moved[..., component] = np.where(inputs["real"], moved[..., component] + by, 0)
    expect_same(models[name], seen_by(name, inputs), seen_by(name, inputs | {"particles": moved}))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_mirror_changes_something(models, name):
    """So that what is said to change nothing does not because nothing does."""
    inputs = clouds(20, seed=4)
    mirrored = inputs["particles"] * np.float32([1, -1, 1])
    found = logits(models[name], seen_by(name, inputs | {"particles": mirrored}))
    assert np.abs(found - logits(models[name], seen_by(name, inputs))).max() > 1e-3


def split(inputs, share):
    """Each jet with its hardest particle as two in the same direction."""
    particles = np.pad(inputs["particles"], [(0, 0), (0, 1), (0, 0)])
    real = np.pad(inputs["real"], [(0, 0), (1, 0)], constant_values=True)
    particles = np.roll(particles, 1, axis=1)
    particles[:, 0] = particles[:, 1]
    particles[:, 0, 0] *= share
    particles[:, 1, 0] *= 1 - share
    return {"particles": particles, "real": real}


def with_soft(inputs, pt, n=30):
    """Each jet with soft particles at wide angles."""
    rng = np.random.default_rng(1)
    axis = inputs["particles"][:, :1, 1:]
    direction = axis + rng.uniform(-1, 1, (len(axis), n, 2))
    soft = np.concatenate([np.full((len(axis), n, 1), pt), direction], axis=-1)
    return {
        "particles": np.concatenate([inputs["particles"], soft.astype(np.float32)], axis=1),
        "real": np.pad(inputs["real"], [(0, 0), (0, n)], constant_values=True),
    }


@pytest.mark.parametrize("share", [0.5, 0.1, 1e-4])
def test_an_energy_flow_network_is_collinear_safe(models, share):
    inputs = seen_by("efn", clouds(30, seed=5))
    expect_same(models["efn"], inputs, split(inputs, share), 3e-6)


def test_an_energy_flow_network_is_infrared_safe(models):
    """What soft particles change falls with their momentum, and those without any change nothing."""
    inputs = seen_by("efn", clouds(30, seed=5))
    before = logits(models["efn"], inputs)
    change = [np.abs(logits(models["efn"], with_soft(inputs, pt)) - before).max() for pt in (1.0, 0.1, 0.01, 0.0)]
    assert change[0] > 1e-3
    assert change[1] < 0.5 * change[0]
    assert change[2] < 0.05 * change[0]
    assert change[3] < 3e-6


def test_other_networks_are_not_safe(models):
    """Of these the same property does not hold, so that the tests above can fail."""
    inputs = seen_by("pfn", clouds(30, seed=5))
    before = logits(models["pfn"], inputs)
    for changed in (split(inputs, 0.5), with_soft(inputs, 1e-3)):
        assert np.abs(logits(models["pfn"], changed) - before).max() > 1e-2


# -- jets of any size ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONFIGS)
def test_no_jets_and_jets_without_particles_of_one_and_of_400(models, name):
    empty = {key: np.zeros_like(array) for key, array in clouds(3).items()}
    single = clouds(3, particles=1)
    for inputs in (empty, single, clouds(2, particles=400, least=400)):
        found = models[name].endpoint("predict")(seen_by(name, inputs))["probability"]
        assert np.isfinite(np.asarray(found)).all()
    one = {key: np.pad(array, [(0, 0), (0, 9), *[(0, 0)] * (array.ndim - 2)]) for key, array in single.items()}
    expect_same(models[name], seen_by(name, single), seen_by(name, one), 3e-6)
    nothing = models[name].endpoint("predict")(seen_by(name, {key: array[:0] for key, array in single.items()}))["probability"]
    assert np.shape(nothing) == (0, CONFIGS[name][1].get("outputs", 1))


# -- coordinates --------------------------------------------------------------------------------------------------------


def test_coordinates_are_those_of_float64():
    inputs = clouds(50, seed=6)
    pt, y, phi = np.moveaxis(inputs["particles"].astype(np.float64), -1, 0)
    frame = about_axis(inputs["particles"], inputs["real"])
    real = inputs["real"]
    axis = np.angle(np.sum(pt * np.exp(1j * phi), axis=1))[:, None]
    dphi = (phi - axis + np.pi) % (2 * np.pi) - np.pi
    dy = y - (np.sum(pt * y, axis=1) / pt.sum(axis=1))[:, None]
    np.testing.assert_allclose(np.asarray(frame.dphi)[real], dphi[real], atol=5e-7)
    np.testing.assert_allclose(np.asarray(frame.dy)[real], dy[real], atol=5e-7)
    px, py, pz, e = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(y), pt * np.cosh(y)
    both = [one[:, :, None] + one[:, None] for one in (e, px, py, pz)]
    mass = both[0] ** 2 - both[1] ** 2 - both[2] ** 2 - both[3] ** 2
    away = (y[:, :, None] - y[:, None]) ** 2 + ((phi[:, :, None] - phi[:, None] + np.pi) % (2 * np.pi) - np.pi) ** 2
    pairs = real[:, :, None] & real[:, None] & (away > 1e-3) & (pt[:, :, None] > 0.1) & (pt[:, None] > 0.1)
    assert pairs.sum() > 500
    softer, total = np.minimum(pt[:, :, None], pt[:, None]), pt[:, :, None] + pt[:, None]
    away, softer, total = np.sqrt(away[pairs]), softer[pairs], total[pairs]
    expected = np.log([away, softer * away, softer / total, mass[pairs]])
    np.testing.assert_allclose(np.asarray(pair_kinematics(frame))[pairs].T, expected, atol=2e-3)
    np.testing.assert_allclose(np.asarray(squared_distance(frame))[pairs], away**2, rtol=1e-4)


def test_charges_and_kinds_are_those_of_pythia_and_what_is_unknown_is_nothing():
    codes = np.int32([22, 11, -11, 211, -211, 130, 2212, -2112, -3112, 7, 0])
    told = np.asarray(identities(codes[None]))[0]
    assert told[:, 0].tolist() == charges(codes).tolist() == [0, -1, 1, 1, -1, 0, 1, 0, 1, 0, 0]
    assert detected(codes).tolist() == [22, 11, -11, 211, -211, 130, 211, 130, 211, 0, 0]
    assert told[:, 1:].sum(axis=1).tolist() == [1] * 9 + [0] * 2
    assert sorted(set(np.abs(CODES))) == [
        11,
        13,
        22,
        130,
        211,
        310,
        311,
        321,
        2112,
        2212,
        3112,
        3122,
        3212,
        3222,
        3312,
        3322,
        3334,
    ]


def test_directions_are_scaled_by_the_flow_of_energy():
    inputs = seen_by("efn", clouds(200, seed=3))
    model = get_family("deep-sets")(**CONFIGS["efn"][1])
    model.adapt(inputs, np.zeros((200, 1)), np.linspace(0.5, 1.5, 200))
    pt, y, _ = np.moveaxis(inputs["particles"].astype(np.float64), -1, 0)
    share = pt / pt.sum(axis=1, keepdims=True)
    dy = y - (share * y).sum(axis=1, keepdims=True)
    weight = share * np.linspace(0.5, 1.5, 200)[:, None] * inputs["real"]
    mean = (weight * dy).sum() / weight.sum()
    spread = np.sqrt((weight * (dy - mean) ** 2).sum() / weight.sum())
    np.testing.assert_allclose(np.asarray(model.standardize.scale)[0], spread, rtol=1e-4)


def test_charges_are_those_of_the_particle_data_group():
    particle = pytest.importorskip("particle")
    told = np.asarray(identities(np.int32([CODES])))[0]
    assert told[:, 0].tolist() == [particle.Particle.from_pdgid(code).charge for code in CODES]


@pytest.mark.parametrize("kind", [AllRows, RealRows])
@pytest.mark.parametrize("particles", [1, 3, 8, 40])
def test_neighbors_are_those_of_a_tree(particles, kind):
    from scipy.spatial import cKDTree

    k = 5
    rng = np.random.default_rng(0)
    x, count = rng.normal(0, 1, (4, particles, 3)).astype(np.float32), rng.integers(1, particles + 1, 4)
    real = np.arange(particles) < count[:, None]
    given = ops.convert_to_tensor(real)
    rows = kind(given)
    index, near = (np.asarray(one) for one in neighbors(squared_distances(ops.convert_to_tensor(x)), given, k, rows))
    row = np.asarray(rows.renumber(ops.arange(4 * particles))).reshape(4, particles)
    for jet in range(4):
        tree = cKDTree(x[jet][real[jet]])
        for place in range(count[jet]):
            _, expected = tree.query(x[jet, place], min(k + 1, count[jet]))
            here = row[jet, place]
            assert set(index[here][near[here]]) == set(row[jet, np.atleast_1d(expected)]) - {here}
        if kind is AllRows:
            assert not near[row[jet, count[jet] :]].any()
    assert len(index) == (4 * particles if kind is AllRows else count.sum())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")
def test_a_norm_by_the_fused_kernel_is_that_of_keras():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (500, 4, 6)).astype(np.float32)
    few = rng.random((500, 4)) < 0.7
    ours, theirs = RowNorm(), keras.layers.BatchNormalization()
    for mask in (np.ones((500, 4), bool), few):
        answers = []
        for norm, how in ((ours, {"fused": True}), (theirs, {})):
            given = ops.convert_to_tensor(x)
            answers.append(ops.convert_to_numpy(norm(given, training=True, mask=ops.convert_to_tensor(mask), **how)))
        np.testing.assert_allclose(*answers, atol=1e-5)
        for one, other in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=1e-5, atol=1e-7)
    moved = np.asarray(ours.moving_mean)
    ours.trainable = False
    ours(x, training=True, mask=ops.convert_to_tensor(few), fused=True)
    np.testing.assert_array_equal(moved, np.asarray(ours.moving_mean))
