"""Evaluation of profiles, on synthetic halos and an answerer whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.data.dataset import Rows
from zoo.interpret.latents.report import relate_posteriors
from zoo.training.evaluations import profiles
from zoo.training.evaluations.profiles import Profiles
from zoo.training.recipe import Source

QUERIES = np.geomspace(0.3, 3.0, 5)
SETTINGS = Profiles(
    kind="profiles", query="radius", query_label="r", answer_label="log rho", quantities=["height"], boundary=1.0,
    inside="within", outside="beyond",
)  # fmt: skip


def rows(n: int = 40) -> Rows:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(n, 1)) + np.zeros(5)
    return Rows(
        inputs={"density": np.zeros((n, 2)), "radius": np.tile(QUERIES, (n, 1))}, target=target, group=np.arange(n) // 4,
        truth={"height": target[:, 0]},
    )  # fmt: skip


def test_errors_are_told_apart_by_the_boundary():
    error = np.zeros((40, 5))
    error[:, QUERIES <= 1], error[:, QUERIES > 1] = 0.1, -0.3
    metrics = {m.name: m for m in profiles._errors("", [profiles.Answers(error)], rows(), SETTINGS, QUERIES)}
    assert metrics["scatter within"].value == pytest.approx(0.1)
    assert metrics["scatter beyond"].value == pytest.approx(0.3)
    assert metrics["median error beyond"].value == pytest.approx(0.3)
    share = np.mean(QUERIES > 1)
    assert metrics["scatter"].value == pytest.approx(np.sqrt(0.01 * (1 - share) + 0.09 * share))
    assert metrics["scatter"].n == 40
    assert "over 10 independent groups" in metrics["scatter"].detail


def test_ratios_are_of_the_same_rows():
    ours, theirs = profiles.Answers(np.full((40, 5), 0.1)), profiles.Answers(np.full((40, 5), 0.2))
    found = profiles._ratios("wide", [ours, ours], [theirs, theirs], rows(), SETTINGS, QUERIES)
    assert [m.name for m in found] == [
        "scatter over that of wide", "scatter within over that of wide", "scatter beyond over that of wide",
    ]  # fmt: skip
    assert all(m.value == pytest.approx(0.5) and m.interval == pytest.approx((0.5, 0.5)) and m.seeds == 2 for m in found)


def test_likelihood_and_coverage_of_a_calibrated_answer():
    rng, many = np.random.default_rng(1), rows(4000)
    scale = rng.uniform(0.1, 0.5, (4000, 5))
    members = [profiles.Answers(scale * rng.standard_normal((4000, 5)), scale)]
    metrics = {m.name: m.value for m in profiles._statistics("", members, many, SETTINGS, QUERIES)}
    assert metrics["coverage of 68%"] == pytest.approx(0.68, abs=0.01)
    assert metrics["log likelihood"] == pytest.approx(-np.log(scale).mean() - 0.5 - 0.5 * np.log(2 * np.pi), abs=0.02)


def test_separation_is_the_least_own_information_over_the_most_of_others():
    rng = np.random.default_rng(0)
    mass, shape = rng.normal(size=(2, 1000))
    tight, loose, none = np.full(1000, -6.0), np.full(1000, -1.0), np.zeros(1000)
    mean = np.stack([0.9 * shape + 0.2 * mass, mass, np.zeros(1000)], axis=1)
    reports = [
        relate_posteriors(mean, np.stack([noise, tight, none], axis=1), {"mass": mass, "shape": shape})
        for noise in (tight, loose)
    ]
    found = profiles._separation(reports)
    assert found.seeds == 2
    assert "shape by latent 0, mass by latent 1" in found.detail
    matrix = reports[0].information
    expected = min(matrix["latent 1", "mass"].value, matrix["latent 0", "shape"].value) / matrix["latent 0", "mass"].value
    assert found.value == pytest.approx(expected)
    assert found.value > 5
    assert "Student's t over the 2 trainings" in found.detail  # which scatter by more than the information is uncertain by
    assert found.interval[0] < found.value / 2
    assert "of one training" in profiles._separation(reports[:1]).detail


def test_what_describes_profiles_without_training_stands_beside_the_model():
    """The mean profile and the fitted formula, on every test set; what the noise-free crops say is exact to rounding."""
    sizes = {"train": 1, "validation": 20, "test": 8}
    settings = SETTINGS.model_copy(update={"boundary": None, "also_on": {"clean": {"noise": False}}})
    found = {one.name: one.value for one in settings.without_training(Source(source="synthetic-halo", parameters=sizes))}
    what = ("the mean profile", "the formula fitted to each halo")
    assert list(found) == [f"{label}scatter of {one}" for label in ("", "clean/") for one in what]
    assert found["clean/scatter of the formula fitted to each halo"] < 1e-3
    assert found["scatter of the formula fitted to each halo"] < 0.02 < 0.1 < found["scatter of the mean profile"]
