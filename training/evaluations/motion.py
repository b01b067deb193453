"""Evaluation of laws of motion: what becomes of the energy along trajectories, and when these leave the true ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, cast

import numpy as np
from keras import ops
from pydantic import Field, JsonValue

from zoo.data.dataset import Moves, Rows
from zoo.data.mechanics.trajectories import integrated, without_turns
from zoo.families.batches import in_batches
from zoo.families.compiled import as_graph
from zoo.interpret import plots
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, mean, measured
from zoo.training.recipe import Source

BETWEEN = 0.1
"""Time between the states that are looked at, in the unit of time."""
MOST = 10.0
"""Largest error of an energy that counts, as trajectories of a bad law may leave for infinity."""
TRUE = "the true law, by the same steps"


@register_evaluation("motion")
class Motion(EvaluationSettings):
    """Error of the energy along trajectories from unseen starts, time to leave the true ones, and error of what was learned."""

    kind: Literal["motion"] = "motion"
    duration: Annotated[float, Field(gt=0)] = 100.0
    """Length of the trajectories, in the unit of time."""
    time_step: Annotated[float, Field(gt=0)] = 0.01
    """Time step of Runge and Kutta's rule."""
    compared: Annotated[float, Field(gt=0)] = 20.0
    """Time up to which trajectories are compared with true ones, which for chaotic systems no integrator knows much longer."""
    apart: Annotated[float, Field(gt=0)] = 0.5
    """Distance of positions at which trajectories have left each other, in their unit."""
    plain: str | None = None
    """Variant that stands beside the model as a baseline."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""

    def judge(self, runs: Runs) -> Evaluation:
        evaluation = Evaluation()
        of_its_own: dict[str, dict[str, JsonValue]] = {"": {}}
        for label, changes in (of_its_own | self.also_on).items():
            _judged(evaluation, runs, self, label, changes)
        evaluation.figures["learning_curves"] = plots.learning_curves(runs[""][0].history)
        return evaluation

    def without_training(self, data: Source) -> list[Metric]:
        start = _Trajectories(cast(Moves, data.dataset()), self)
        followed = start.by_true_law()
        units = Units(np.arange(len(followed.error)))
        return [
            measured("energy error, true law", mean, [followed.error.mean(axis=1)], units, f"{_energy_error(self)}; {TRUE}"),
            measured("divergence time, true law", mean, [followed.left], units, f"{_time(self)}; {TRUE}"),
        ]


@dataclass(frozen=True)
class Followed:
    """Trajectories of a law.

    Attributes
    ----------
    error : ndarray
        Error of the energy at each time, in units of the largest potential energy, (n, times).
    left : ndarray
        Time at which each left the true one, (n,).
    """

    error: np.ndarray
    left: np.ndarray


class _Trajectories:
    """Unseen starts of a data set, and what is true of the motion from there."""

    def __init__(self, dataset: Moves, settings: Motion) -> None:
        self.dataset, self.system, self.settings = dataset, dataset.system, settings
        self.start, self.parameters = dataset.starts("test")
        self.every = max(1, round(BETWEEN / settings.time_step))
        self.count = max(1, round(settings.duration / settings.time_step) // self.every)
        self.times = np.arange(1, self.count + 1) * self.every * settings.time_step

    @cached_property
    def truth(self) -> np.ndarray:
        """Positions (n, compared times, coordinates) as they are."""
        times = self.times[self.times <= self.settings.compared + 1e-9]
        return integrated(self.system, self.start, self.parameters, times)[..., : self.system.coordinates]

    def followed(self, states: np.ndarray) -> Followed:
        """What became of states (n, times, 2 coordinates), positions and velocities."""
        n, times, width = states.shape
        with np.errstate(all="ignore"):
            each = np.repeat(self.parameters, times, axis=0)
            energy = self.system.energy(states.reshape(-1, width), each).reshape(n, times)
            error = np.abs(energy - self.system.energy(self.start, self.parameters)[:, None])
            error = np.nan_to_num(error / self.system.largest_potential(self.parameters)[:, None], nan=MOST, posinf=MOST)
            away = states[:, : self.truth.shape[1], : self.system.coordinates] - self.truth
            angles = np.array([unit == "rad" for unit in self.system.coordinate_units])
            away = np.where(angles, without_turns(away), away)
            gone = ~(np.sqrt(np.square(away).sum(axis=2)) < self.settings.apart)
        first = np.where(gone.any(axis=1), gone.argmax(axis=1), gone.shape[1] - 1)
        return Followed(np.minimum(error, MOST), self.times[first])

    def by_true_law(self) -> Followed:
        """The true law of motion by Runge and Kutta's rule, in float64."""
        n, size = self.system.coordinates, self.settings.time_step

        def rate(state: np.ndarray) -> np.ndarray:
            return np.concatenate([state[:, n:], self.system.acceleration(state, self.parameters)], axis=1)

        state, states = self.start, []
        for step in range(self.count * self.every):
            first = rate(state)
            second = rate(state + size / 2 * first)
            third = rate(state + size / 2 * second)
            fourth = rate(state + size * third)
            state = state + size / 6 * (first + 2 * (second + third) + fourth)
            if (step + 1) % self.every == 0:
                states.append(state)
        return self.followed(np.stack(states, axis=1))

    def by(self, model: Any) -> Followed:
        """The law that a model learned, by its own rollouts."""
        return self.followed(self._rolled_out(model))

    def _rolled_out(self, model: Any) -> np.ndarray:
        """States (n, times, 2 coordinates); angles lose turns between rollouts, which float32 has no digits for."""
        n, state = self.system.coordinates, self.start
        if self.dataset.canonical:
            state = np.concatenate([state[:, :n], self.system.momenta(state, self.parameters)], axis=1)
        given = [self.parameters.astype(np.float32)] if model.given is not None else []
        step = np.full((len(state), 1), self.settings.time_step, np.float32)
        widths = [2 * n, 1, *(array.shape[1] for array in given)]
        rollout = as_graph(model, model.rollout, [((width,), "float32") for width in widths])
        angles = np.isin(np.arange(2 * n), list(model.angles))
        parts: list[np.ndarray] = []
        while len(parts) * model.steps < self.count * self.every:
            state = np.where(angles, without_turns(state), state).astype(np.float32)
            parts.append(np.asarray(ops.convert_to_numpy(rollout(state, step, *given)), np.float64))
            state = parts[-1][:, -1]
        states = np.concatenate(parts, axis=1)[:, self.every - 1 : self.count * self.every : self.every]
        if not self.dataset.canonical:
            return states
        flat, each = states.reshape(-1, 2 * n), np.repeat(self.parameters, states.shape[1], axis=0)
        finite = np.isfinite(flat).all(axis=1)
        flat[finite] = self.system.from_momenta(flat[finite], each[finite])
        return flat.reshape(states.shape)


class Judged(NamedTuple):
    """What was found of one run.

    Attributes
    ----------
    followed : Followed
        Its trajectories.
    rate : ndarray
        Mean error of each test row in what is learned, in units of the deviation of that, (rows,).
    misfit : ndarray, optional
        What its Lagrangian leaves of the true one along each trajectory, (n,); None where it has none.
    """

    followed: Followed
    rate: np.ndarray
    misfit: np.ndarray | None


def _judged(evaluation: Evaluation, runs: Runs, settings: Motion, label: str, changes: dict[str, JsonValue]) -> None:
    """Metrics of every run on one test set; of the model's own, curves and figures too."""
    before = f"{label}/" if label else ""
    shared: dict[tuple[bool, bool], tuple[_Trajectories, Rows]] = {}

    def judge(run: Run) -> Judged:
        dataset = cast(Moves, run.recipe.data.dataset(**changes))
        kind = dataset.canonical, dataset.velocities_as_momenta
        if kind not in shared:
            shared[kind] = _Trajectories(dataset, settings), dataset.rows("test")
        return _of_a_run(run, *shared[kind])

    found = {variant: [judge(run) for run in members] for variant, members in runs.items()}
    trajectories, rows = next(iter(shared.values()))
    of_starts, of_rows = Units(np.arange(len(trajectories.start))), Units.of(rows)
    plain = found[settings.plain][0] if settings.plain in found else None
    for variant, judged in found.items():
        prefix = before + (f"{variant}/" if variant else "")
        for name, (values, meaning) in _measures(settings).items():
            units = of_rows if name == "rate error" else of_starts
            baseline = None if plain is None or variant else mean(values(plain))
            each = [values(one) for one in judged]
            evaluation.metrics.append(
                measured(f"{prefix}{name}", mean, each, units, meaning, baseline=baseline, baseline_name=settings.plain)
            )
        if gauges := [one.misfit for one in judged if one.misfit is not None]:
            evaluation.metrics.append(measured(f"{prefix}lagrangian misfit", mean, gauges, of_starts, GAUGE))
    if not label:
        curves = {variant or runs[""][0].recipe.name: judged[0].followed.error for variant, judged in found.items()}
        evaluation.curves["energy_error"] = {name: error.mean(axis=0).tolist() for name, error in curves.items()}
        evaluation.figures["energy_error"] = plots.energy_errors(trajectories.times, curves)


RATE = "mean |error| of what is learned, over rows and outputs, in units of the deviation of each in the test rows"
GAUGE = (
    "share of a trajectory's variance of the true Lagrangian that the learned one's even part in the velocities leaves, up to a"
    " factor and a constant: mean over trajectories"
)


def _measures(settings: Motion) -> dict[str, tuple[Callable[[Judged], np.ndarray], str]]:
    """Numbers of each metric, and what it means."""
    return {
        "energy error": (lambda one: one.followed.error.mean(axis=1), _energy_error(settings)),
        "energy error at the end": (lambda one: one.followed.error[:, -1], f"after {settings.duration:g} s"),
        "divergence time": (lambda one: one.followed.left, _time(settings)),
        "rate error": (lambda one: one.rate, RATE),
    }


def _energy_error(settings: Motion) -> str:
    return (
        f"mean |error| of the energy over {settings.duration:g} s, in units of the largest potential energy; steps of"
        f" {settings.time_step:g} s"
    )


def _time(settings: Motion) -> str:
    return f"time in s until positions are {settings.apart:g} off those of the true trajectory, at most {settings.compared:g}"


def _of_a_run(run: Run, trajectories: _Trajectories, rows: Rows) -> Judged:
    """Trajectories of a run, mean error of each test row, and the misfit of its Lagrangian where it has one."""
    model = run.load()
    error = np.abs(run.answer(rows) - rows.target) / rows.target.std(axis=0)
    misfit = _misfit(model, trajectories, rows) if hasattr(model, "lagrangian") else None
    return Judged(trajectories.by(model), error.mean(axis=1), misfit)


def _misfit(model: Any, trajectories: _Trajectories, rows: Rows) -> np.ndarray:
    """Share (n,) of the variance of the true Lagrangian along each trajectory that the learned one leaves.

    A total derivative by time is odd in the velocities where it is of a function of positions, which is all the freedom that is
    left but for a factor and a constant. Both may depend on the parameters, of which a trajectory has its own.
    """
    n, system = trajectories.system.coordinates, trajectories.system
    state, *given = (np.asarray(array) for array in rows.inputs.values())
    mirrored = state * np.where(np.arange(2 * n) < n, 1, -1).astype(np.float32)
    learned = sum(in_batches(model.lagrangian, each, *given)[:, 0].astype(np.float64) for each in (state, mirrored)) / 2
    parameters = np.stack([rows.truth[name] for name in system.names], axis=1)
    true = system.lagrangian(state.astype(np.float64), parameters)
    shares = []
    for group in np.unique(rows.group):
        own = rows.group == group
        shares.append(1 - np.corrcoef(true[own], learned[own])[0, 1] ** 2)
    return np.array(shares)
