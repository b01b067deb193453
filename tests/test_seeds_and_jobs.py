"""A seed or a number of processes that there cannot be is refused in words, by every option and argument."""

from __future__ import annotations

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from zoo.cli import app
from zoo.data.cmb.simulate import SimulationConfig
from zoo.data.cmb.simulate import simulate as simulate_spectra
from zoo.data.fields.design import FieldsConfig
from zoo.data.fields.simulate import simulate as simulate_fields
from zoo.data.moons import TwoMoons
from zoo.data.nbody.simulate import NBodyConfig
from zoo.data.nbody.simulate import simulate as simulate_boxes
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.simulating.simulations import simulate
from zoo.data.simulation_files import simulate_all
from zoo.errors import InputError
from zoo.families.flows.maf import MAF
from zoo.families.state import own_randomness
from zoo.interpret import distill, linear_r2
from zoo.interpret.latents.use import information_between
from zoo.interpret.posteriors.c2st import c2st
from zoo.jobs import expect_jobs
from zoo.seeds import expect_seed, generator

NEGATIVE = "^seed: expected a whole number of at least 0.*, given -3$"
NO_JOBS = "^jobs: expected -1, for one process per core, or a whole number of at least 1, given {}$"
COMMANDS = typer.main.get_command(app)
ROWS = np.random.default_rng(0).normal(size=(60, 2))
PRIOR = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}


def test_a_generator_is_numpys():
    for seed in (0, 2**70, [0, 3], np.int64(5), np.array([1, 2])):
        np.testing.assert_array_equal(generator(seed).random(4), np.random.default_rng(seed).random(4))
    expect_seed(None)
    expect_seed(2**32 - 1, below=2**32)


@pytest.mark.parametrize("seed", [-3, [0, -3], np.int64(-3), np.array([4, -3]), (-3,)])
def test_a_negative_seed_is_refused(seed):
    with pytest.raises(InputError, match=NEGATIVE):
        generator(seed)


@pytest.mark.parametrize(("seed", "given"), [(0.5, "0.5"), ("1", "'1'"), ([1.0], "1.0")])
def test_a_seed_is_whole(seed, given):
    with pytest.raises(InputError, match=rf"^seed: expected a whole number of at least 0, given {given}$"):
        expect_seed(seed)


def test_the_seed_of_a_training_is_not_too_large():
    expected = "^seed: expected a whole number of at least 0 and below 4,294,967,296, given 4294967296$"
    with pytest.raises(InputError, match=expected), own_randomness(2**32):
        pass


@pytest.mark.parametrize("jobs", [None, -1, 1, 64, np.int64(2)])
def test_jobs_that_there_can_be(jobs):
    expect_jobs(jobs)


@pytest.mark.parametrize("jobs", [0, -2, 1.5, True])
def test_jobs_that_there_cannot_be(jobs):
    with pytest.raises(InputError, match=NO_JOBS.format(jobs)):
        expect_jobs(jobs)


def without_pool(_path):
    raise AssertionError("a file was made")


def simulated(**options):
    return simulate(lambda theta, rng: rng.normal(theta, 1.0), Prior(PRIOR), 4, **options)


SEEDED = {
    "simulations": lambda folder: simulated(seed=-3, jobs=1),
    "spectra": lambda folder: simulate_spectra(folder / "made", SimulationConfig(cosmologies=1, pairs=1, seed=-3)),
    "rows of a data set": lambda folder: TwoMoons(seed=-3).rows("test"),
    "chosen rows": lambda folder: TwoMoons().rows("test").some(3, seed=-3),
    "draws of a flow": lambda folder: MAF(dimensions=2, transforms=1, hidden=[4]).draw(3, seed=-3),
    "a classifier of scikit-learn": lambda folder: c2st(ROWS, ROWS, seed=-3),
    "folds": lambda folder: linear_r2(ROWS, {"x": ROWS[:, 0]}, seed=-3),
    "a formula": lambda folder: distill(ROWS[:, 0], {"x": ROWS[:, 0]}, seed=-3),
    "randomness of a training": lambda folder: own_randomness(-3).__enter__(),
}
JOBLESS = {
    "simulations": lambda folder: simulated(jobs=0),
    "spectra": lambda folder: simulate_spectra(folder / "made", SimulationConfig(cosmologies=1, pairs=1), jobs=0),
    "boxes": lambda folder: simulate_boxes(folder / "made", NBodyConfig(), [0], jobs=0),
    "fields": lambda folder: simulate_fields(folder / "made", FieldsConfig(), [0], jobs=0),
    "files": lambda folder: simulate_all(without_pool, [(folder / "made",)], 0, "files", stderr=True),
    "information": lambda folder: information_between(np.ones((9, 1)), jobs=0),
}


@pytest.mark.parametrize("case", SEEDED)
def test_functions_refuse_a_negative_seed_before_they_write(case, tmp_path):
    with pytest.raises(InputError, match=NEGATIVE):
        SEEDED[case](tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("case", JOBLESS)
def test_functions_refuse_no_jobs_before_they_write(case, tmp_path):
    with pytest.raises(InputError, match=NO_JOBS.format(0)):
        JOBLESS[case](tmp_path)
    assert not list(tmp_path.iterdir())


def options_named(name, group=COMMANDS, words=()):
    """The words of every command that has an option of this name."""
    for word, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from options_named(name, command, (*words, word))
        elif any(parameter.name == name for parameter in command.params):
            yield (*words, word)


def test_the_commands_with_seeds_and_jobs_are_found():
    assert {("infer",), ("train",), ("finetune",), ("unfold",), ("simulate", "fields")} <= set(options_named("seed"))
    assert {words[-1] for words in options_named("jobs")} == {"cmb-feature", "cmb-extensions", "nbody", "fields", "jets"}


@pytest.mark.parametrize("words", list(options_named("seed")), ids=" ".join)
def test_commands_refuse_a_negative_seed_before_all_else(words):
    with pytest.raises(InputError, match=NEGATIVE.replace("^", "^--")):
        CliRunner().invoke(app, [*words, "--seed", "-3"], catch_exceptions=False)


@pytest.mark.parametrize("words", list(options_named("jobs")), ids=" ".join)
def test_commands_refuse_no_jobs_before_all_else(words):
    with pytest.raises(InputError, match=NO_JOBS.format(0).replace("^", "^--")):
        CliRunner().invoke(app, [*words, "--jobs", "0"], catch_exceptions=False)
