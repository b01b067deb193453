"""How laws of motion are judged, on laws that are known."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.training.evaluate import Run
from zoo.training.recipe import Recipe

SMALL = {"train": 4, "validation": 2, "test": 6, "samples": 5, "duration": 1.0}
SETTINGS = {"kind": "motion", "duration": 2.0, "time_step": 0.02, "compared": 1.0, "apart": 0.2, "plain": "plain"}


def recipe(**parameters) -> Recipe:
    state = {"name": "state", "axes": [{"name": "coordinate", "size": 4}], "unit": "1", "description": "a state"}
    answer = {"name": "acceleration", "axes": [{"name": "angle", "size": 2}], "unit": "1", "description": "an acceleration"}
    return Recipe(
        name="tiny",
        family="lagrangian",
        task="dynamics",
        summary="tiny",
        config={"coordinates": 2, "hidden": [4]},
        data={"source": "double-pendulum", "parameters": SMALL | parameters},
        epochs=1,
        evaluation=SETTINGS,
        endpoints={"acceleration": {"description": "accelerations", "inputs": [state], "outputs": [answer]}},
    )


class Known:
    """A law of motion as a network answers it: the true one, but for a factor of its accelerations."""

    angles = (0, 1)
    steps = 7

    def __init__(self, dataset, factor=1.0):
        self.dataset, self.system, self.factor = dataset, dataset.system, factor
        self.given = None if dataset.spread is None else "parameters"

    def __call__(self, given):
        given = given if isinstance(given, tuple) else (given,)
        state, parameters = self._plain(*given)
        if self.dataset.canonical:
            known = self.system.from_momenta(state, parameters)
            return np.concatenate([known[:, 2:], self.system.force(known, parameters) * self.factor], axis=1)
        return self.system.acceleration(state, parameters) * self.factor

    def _plain(self, state, parameters=None):
        state = np.asarray(state, np.float64)
        return state, np.ones((len(state), 4)) if parameters is None else np.asarray(parameters, np.float64)

    def rollout(self, state, time_step, parameters=None):
        state, parameters = self._plain(state, parameters)
        path = []
        for _ in range(self.steps):
            slopes, at = [], state
            for share in (0.5, 0.5, 1.0, 0.0):
                found = self((at, parameters))
                rate = found if self.dataset.canonical else np.concatenate([at[:, 2:], found], axis=1)
                slopes.append(rate)
                at = state + share * np.asarray(time_step) * rate
            state = state + np.asarray(time_step) / 6 * (slopes[0] + 2 * (slopes[1] + slopes[2]) + slopes[3])
            path.append(state)
        return np.stack(path, axis=1)


class OfAnotherGauge(Known):
    """It has a Lagrangian too: three times the true one, less seven, and the total derivative of the angles' product."""

    def lagrangian(self, state, parameters=None):
        state, parameters = self._plain(state, parameters)
        added = 5 * (state[:, 0] * state[:, 3] + state[:, 1] * state[:, 2])
        return (3 * self.system.lagrangian(state, parameters) - 7 + added)[:, None]


def judged(monkeypatch, makes=Known, changes=None, **parameters):
    monkeypatch.setattr("zoo.training.evaluations.motion.as_graph", lambda model, method, signature: method)
    made = recipe(**parameters)
    made = made.changed({"evaluation": SETTINGS | (changes or {})})
    history = {"loss": [1.0, 0.5], "val_loss": [1.0, 0.6]}

    def run(factor, makes=Known):
        return Run(made, 0, lambda: makes(made.data.dataset(), factor), history)

    runs = {"": [run(1.0, makes), run(1.0, makes)], "plain": [run(0.9)]}
    evaluation = made.evaluation.judge(runs)
    return {metric.name: metric for metric in [*evaluation.metrics, *made.evaluation.without_training(made.data)]}, evaluation


@pytest.mark.parametrize("parameters", [{}, {"canonical": True}, {"spread": [0.5, 2.0]}])
def test_the_true_law_is_as_good_as_can_be_and_another_is_not(monkeypatch, parameters):
    metrics, evaluation = judged(monkeypatch, **parameters)
    assert metrics["energy error"].value == pytest.approx(metrics["energy error, true law"].value, rel=0.05, abs=1e-6)
    assert metrics["energy error"].value < 2e-3
    assert metrics["plain/energy error"].value > 0.01
    assert metrics["energy error"].baseline == pytest.approx(metrics["plain/energy error"].value)
    assert metrics["energy error"].baseline_name == "plain"
    assert metrics["divergence time, true law"].value == pytest.approx(1.0)
    assert metrics["divergence time"].value > metrics["plain/divergence time"].value
    assert metrics["rate error"].value < 1e-3 < metrics["plain/rate error"].value
    low, high = metrics["plain/energy error"].interval
    assert low < metrics["plain/energy error"].value < high
    assert evaluation.figures.keys() == {"energy_error", "learning_curves"}
    assert "lagrangian misfit" not in metrics


def test_a_lagrangian_is_held_against_the_true_one_whatever_its_gauge(monkeypatch):
    metrics, _ = judged(monkeypatch, OfAnotherGauge, spread=[0.5, 2.0], samples=20)
    assert abs(metrics["lagrangian misfit"].value) < 1e-6


def test_further_test_sets_have_metrics_of_their_own(monkeypatch):
    metrics, _ = judged(monkeypatch, changes={"also_on": {"heavy": {"spread": [2.0, 2.5]}}}, spread=[0.5, 2.0])
    assert metrics["heavy/energy error"].value != metrics["energy error"].value
    assert metrics["heavy/plain/energy error"].value > metrics["heavy/energy error"].value


class Lost(Known):
    """A law whose trajectories leave for infinity."""

    def rollout(self, state, time_step, parameters=None):
        return np.full((len(state), self.steps, 4), np.nan)


def test_trajectories_that_are_lost_count(monkeypatch):
    metrics, _ = judged(monkeypatch, Lost)
    assert metrics["energy error"].value == 10
    assert metrics["divergence time"].value == pytest.approx(0.1)
