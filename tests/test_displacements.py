"""Displacements of particles: where linear theory and simulations take them, and the network between the two."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from zoo.data.dataset import Rows, get_dataset
from zoo.data.fields.design import FieldsConfig
from zoo.data.fields.simulate import density, density_of, displaced, displacement, linear_displacement, load, simulate
from zoo.data.fields.views import Turned
from zoo.data.nbody.initial import displacements, linear_density
from zoo.errors import InputError
from zoo.families.fields.displacement_unet import DisplacementUNet
from zoo.families.fields.mesh import cloud_in_cell
from zoo.model.registry import get_family
from zoo.serving import Session
from zoo.testing import check_family
from zoo.training.evaluate import Run
from zoo.training.evaluations.displacements import Compared, ending, few_steps, second_order
from zoo.training.recipe import load_recipe

SMALL = {"simulations": 6, "particles": 16, "box": 25.0, "steps": 10}
SPLITS = {"train": 3, "validation": 1, "test": 2}
CONFIG = {"cell": 1.5625, "channels": [4, 6]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("displacements")
    simulate(path, FieldsConfig(**SMALL), range(6), 1, "displacement")
    return path


@pytest.fixture(scope="module")
def boxes(folder) -> Rows:
    return get_dataset("field-displacements", **SPLITS, design=SMALL, path=str(folder)).rows("train")


def made(seed: int = 0) -> DisplacementUNet:
    """A network whose answer is not that of linear theory."""
    keras.utils.set_random_seed(seed)
    model, rng = DisplacementUNet(**CONFIG), np.random.default_rng(seed)
    model.set_weights([0.3 * rng.standard_normal(w.shape) if not w.any() else w for w in model.get_weights()])
    return model


def test_family_keeps_its_contract():
    linear, final = np.random.default_rng(0).normal(0, 2, (2, 16, 6, 6, 6, 3)).astype(np.float32)
    keras.utils.set_random_seed(1)
    check_family(get_family("displacement-unet"), CONFIG, Rows({"linear": linear}, final, np.arange(16)), opsets=[13])


@pytest.mark.parametrize(("changes", "said"), [({"channels": []}, "channels"), ({"cell": 0.0}, "cell")])
def test_a_network_without_levels_or_cells_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        DisplacementUNet(**CONFIG | changes)


def test_particles_end_up_where_the_simulation_has_them(folder):
    config = FieldsConfig(**SMALL)
    kept = load(folder, config, 2, "displacement")
    np.testing.assert_array_equal(kept, displacement(config, 2))
    np.testing.assert_allclose(density_of(displaced(kept, 25.0), 25.0, 16), density(config, 2), atol=2e-4)
    assert np.abs(kept.mean(axis=(0, 1, 2))).max() < 1e-4  # momentum is conserved


def test_linear_theory_is_the_first_order_of_perturbation_theory():
    config = FieldsConfig(**SMALL)
    nbody = config.nbody(1)
    first, _ = displacements(linear_density(nbody, config.field_seed(1)), config.box)
    np.testing.assert_array_equal(linear_displacement(config, 1), np.moveaxis(first, 0, -1))


def test_cheaper_simulations_come_near_to_the_simulation(folder):
    """Correlations rise from linear theory to the second order to ever more steps, and steps have the least errors."""
    config = FieldsConfig(**SMALL)
    compared = Compared(config, np.stack([load(folder, config, number, "displacement") for number in range(6)]))
    moves = (second_order, few_steps(5), few_steps(10))
    ways = [lambda n: linear_displacement(config, n), *(ending(config, np.arange(6), one) for one in moves)]
    found = [compared(way) for way in ways]
    errors = [one["error"].mean() for one in found]
    correlations = [one["correlation"][:, 5].mean() for one in found]
    assert max(errors[:2]) > errors[2] > errors[3]  # where shells have crossed, the second order goes too far
    assert correlations == sorted(correlations)
    itself = compared(lambda n: displacement(config, n))
    np.testing.assert_allclose(itself["error"], 0, atol=1e-6)
    inside = np.isfinite(compared.k)
    np.testing.assert_allclose(itself["power"][:, inside], 1, rtol=1e-4)
    np.testing.assert_allclose(itself["correlation"][:, inside], 1, rtol=1e-4)


def test_splits_share_no_simulation_and_training_boxes_are_turned_with_what_becomes_of_them(folder, boxes):
    data = get_dataset("field-displacements", **SPLITS, design=SMALL, path=str(folder))
    rows = data.rows("test")
    assert rows.group.tolist() == [4, 5]
    np.testing.assert_array_equal(rows.inputs["linear"][0], linear_displacement(data.config, 4))
    assert rows.target.shape == rows.inputs["linear"].shape == (2, 16, 16, 16, 3)
    first, second = (data.rows("train", epoch).inputs["linear"][:1] for epoch in (0, 1))
    assert not np.array_equal(first, second)
    linear, final = boxes.inputs["linear"][:], boxes.target[:]
    whole = data.rows("train").target.fields
    error = np.sqrt(np.mean((final - linear) ** 2, axis=(1, 2, 3, 4)))
    straight = [np.sqrt(np.mean((one - linear_displacement(data.config, i)) ** 2)) for i, one in enumerate(whole)]
    np.testing.assert_allclose(error, straight, rtol=1e-4)


def test_a_turned_displacement_is_that_of_the_turned_density():
    config = FieldsConfig(**SMALL)
    delta = np.stack([linear_density(config.nbody(n), config.field_seed(n)) for n in range(6)])
    psi = np.stack([linear_displacement(config, n) for n in range(6)])
    scalars = Turned(delta, np.random.default_rng(4))[:]
    vectors = Turned(psi, np.random.default_rng(4), vectors=True)[:]
    for scalar, vector in zip(scalars, vectors, strict=True):
        expected, _ = displacements(scalar, config.box)
        np.testing.assert_allclose(vector, np.moveaxis(expected, 0, -1), atol=1e-4)


def test_missing_displacements_are_named_with_the_command_that_makes_them(folder, tmp_path):
    data = get_dataset("field-displacements", **SPLITS, design=SMALL, path=str(tmp_path), on_missing="fail")
    with pytest.raises(InputError, match="'zoo simulate fields --kept displacement'"):
        data.rows("test")


def test_the_density_with_gradients_is_that_of_the_simulator():
    rng = np.random.default_rng(0)
    moved = rng.normal(0, 7, (2, 8, 10, 6, 3)).astype(np.float32)
    found = keras.ops.convert_to_numpy(cloud_in_cell(moved))
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), 480, rtol=1e-4)
    cube = rng.normal(0, 7, (1, 8, 8, 8, 3)).astype(np.float32)
    for coarser in (1, 2):
        expected = density_of(displaced(cube[0], 8.0), 8.0, 8 // coarser)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(cloud_in_cell(cube, coarser))[0], expected, atol=1e-4)


def test_what_all_particles_share_and_where_the_box_is_cut_change_nothing(boxes):
    """A shift of all particles is added to the answer; boxes shifted by whole blocks are answered as before, elsewhere."""
    model, linear = made(), boxes.inputs["linear"][:1]
    answer = np.asarray(model.moved(linear))
    shift = np.array([3.0, -20.0, 0.5], np.float32)
    np.testing.assert_allclose(np.asarray(model.moved(linear + shift)), answer + shift, atol=2e-4)
    rolled = np.asarray(model.moved(np.roll(linear, (4, 8, -4), axis=(1, 2, 3))))
    np.testing.assert_allclose(rolled, np.roll(answer, (4, 8, -4), axis=(1, 2, 3)), atol=1e-4)


def test_a_box_repeated_side_by_side_is_answered_as_itself(boxes):
    model, linear = made(), boxes.inputs["linear"][:1]
    answer = np.asarray(model.moved(linear))
    twice = np.asarray(model.moved(np.concatenate([linear, linear], axis=2)))
    np.testing.assert_allclose(twice, np.concatenate([answer, answer], axis=2), atol=1e-4)


@pytest.mark.parametrize("shape", [(8, 7, 9), (15, 16, 10)])
def test_boxes_that_cannot_be_halved_are_answered(shape):
    linear = np.random.default_rng(0).normal(0, 2, (2, *shape, 3)).astype(np.float32)
    answer = np.asarray(made().moved(linear))
    assert answer.shape == linear.shape
    assert np.isfinite(answer).all()


def test_what_is_no_linear_displacement_is_told_from_one():
    config = FieldsConfig(**SMALL | {"particles": 32, "box": 50.0})
    psi = np.stack([linear_displacement(config, n) for n in range(4)])
    density = np.stack([linear_density(config.nbody(n), config.field_seed(n)) for n in range(4)])
    model = DisplacementUNet(**CONFIG)

    def told(linear) -> list[np.ndarray]:
        return [np.asarray(one) for one in model.displace(linear)[1:]]

    contrast, potential, seam = told(psi)
    ratio = contrast / density.std(axis=(1, 2, 3))
    assert ((ratio > 0.6) & (ratio < 1)).all()  # a difference of neighbors has less of short waves than a derivative
    assert (potential == np.float32(0.8)).all()
    assert (seam == 1.5).all()
    for wrong in (psi[..., [2, 0, 1]], psi[..., ::-1], psi * np.array([1, 1, -1], np.float32)):
        assert (told(wrong)[1] < 0.75).all()
    assert (told(psi[:, :20])[2] > 1.7).all()
    np.testing.assert_allclose(told(psi / 50)[0], contrast / 50, rtol=1e-4)
    assert [float(one) for one in model.displace(np.zeros((1, 8, 8, 8, 3), np.float32))[2]] == [0.0]


WRONG = {
    "kpc/h": lambda psi: psi * 1000,
    "boxes": lambda psi: psi / 50,
    "components z, y, x": lambda psi: psi[..., ::-1],
    "one component of another sign": lambda psi: psi * np.array([1, -1, 1], np.float32),
    "cut out of a larger box": lambda psi: psi[:, :33, :40, :37],
    "nothing": np.zeros_like,
    "noise": lambda psi: np.random.default_rng(0).normal(0, 3, psi.shape).astype(np.float32),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_released_network_refuses_what_is_no_linear_displacement(wrong):
    config = FieldsConfig()
    psi = linear_displacement(config, 1999)[None]
    session = Session("unet-displacement")
    assert session.run({"linear": psi}, "displace")["final"].shape == psi.shape
    with pytest.raises(InputError, match=r"linear|contrast|potential|seam"):
        session.run({"linear": np.ascontiguousarray(WRONG[wrong](psi))}, "displace")


def test_examples_are_linear_displacements_of_half_the_box():
    config = FieldsConfig(**SMALL)
    psi = np.stack([linear_displacement(config, n) for n in range(6)])
    (half,) = DisplacementUNet(**CONFIG).example({"linear": psi}, np.random.default_rng(0))["displace"]
    modes, halved = np.fft.fftn(psi[0, ..., 0]), np.fft.fftn(half[0, ..., 0])
    np.testing.assert_allclose(halved, modes[::2, ::2, ::2] / 8**0.5, atol=1e-3)


def test_a_network_is_judged_beside_cheaper_simulations(folder):
    """One that answers with linear theory has its errors; meshes of five steps are nearer than those of three."""
    data = {**SPLITS, "design": SMALL, "path": str(folder)}
    recipe = load_recipe("unet-displacement").changed({"data.parameters": data, "config": CONFIG, "evaluation.also_on": {}})
    run = Run(recipe, 0, recipe.untrained, {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]})
    evaluation = recipe.evaluation.judge({"": [run]})
    found = {metric.name: metric for metric in evaluation.metrics}
    rows = recipe.data.dataset().rows("test")
    straight = np.sqrt(np.mean((rows.target - rows.inputs["linear"]) ** 2, axis=(1, 2, 3, 4))).mean()
    assert found["displacement error"].value == pytest.approx(straight, rel=1e-4)
    assert found["displacement error"].baseline_name == "2LPT"
    errors = [found[f"{steps} steps of a mesh/displacement error"].value for steps in (3, 5)]
    assert errors[1] < errors[0] < straight
    assert len(evaluation.curves["power"]) == len(evaluation.curves["wavenumber"])
    assert set(evaluation.figures) == {"densities", "learning_curves"}


def test_training_lowers_the_error_below_that_of_linear_theory(folder, boxes):
    keras.utils.set_random_seed(0)
    model = DisplacementUNet(cell=1.5625, channels=[8, 16])
    linear, final = boxes.inputs["linear"][:], boxes.target[:]
    model.adapt({"linear": linear}, final)
    before = float(np.mean(model.objective(final, model(linear))))
    model.compile(keras.optimizers.Adam(3e-3), loss=model.objective)
    model.fit(linear, final, batch_size=1, epochs=20, verbose=0)
    after = float(np.mean(model.objective(final, model(linear))))
    assert after < before - 0.2
