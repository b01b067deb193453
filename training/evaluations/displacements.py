"""Evaluation of displacements of particles: how far off they and the density that they make are, beside cheaper simulations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from pydantic import JsonValue

from zoo.data.fields.design import FieldsConfig
from zoo.data.fields.displacements import FieldDisplacements
from zoo.data.fields.simulate import beginning, density_of, displaced, displacement_of
from zoo.data.nbody.fourier import forward, mode_weights, wave_numbers
from zoo.data.nbody.particle_mesh import evolve, second_order_start
from zoo.data.nbody.simulate import NBodyConfig
from zoo.interpret import plots
from zoo.interpret.plots.displacements import beside_simulation
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, mean, measured

EDGES = np.array([0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.7, 0.85, 1.0])
"""Edges of bins of wavenumber, h/Mpc."""
JUDGED = 4
"""The bin whose numbers stand on a card: about 0.5 h/Mpc."""
LPT = "2LPT"
Moves = Callable[[NBodyConfig, np.ndarray], np.ndarray]
"""Positions (N, 3) in Mpc/h at z = 0 of particles, by how they are simulated and the linear density (n, n, n)."""


@register_evaluation("displacements")
class DisplacementsSettings(EvaluationSettings):
    """Errors of displacements, and power and correlation of the density that they make, beside cheaper simulations."""

    kind: Literal["displacements"] = "displacements"
    steps: tuple[int, ...] = (3, 5)
    """Steps of particle meshes of a cell a particle that stand beside the model."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""

    def judge(self, runs: Runs) -> Evaluation:
        evaluation = Evaluation()
        of_its_own: dict[str, dict[str, JsonValue]] = {"": {}}
        for label, changes in (of_its_own | self.also_on).items():
            _judged(evaluation, runs, self, label, changes)
        evaluation.figures["learning_curves"] = plots.learning_curves(runs[""][0].history)
        return evaluation


class Compared:
    """What densities of some displacements have of those of the simulations.

    Parameters
    ----------
    config : FieldsConfig
        The set of the simulations.
    final : ndarray of shape (boxes, n, n, n, 3)
        Displacements of the simulations, Mpc/h.
    """

    def __init__(self, config: FieldsConfig, final: np.ndarray) -> None:
        self.box, self.final = config.box, final
        n = config.particles
        k = 2 * np.pi / config.box * np.sqrt(sum(wave.astype(float) ** 2 for wave in wave_numbers(n)))
        self._bin = np.digitize(k, EDGES).ravel()  # 0 and the last are outside
        self._weight = np.broadcast_to(mode_weights(n), k.shape).ravel()
        with np.errstate(invalid="ignore"):  # small boxes have no waves in some bins
            self.k = self._binned(k.ravel()) / self._binned(np.ones(k.size))
        self._modes = [self._density(one) for one in final]
        self._power = [self._binned(np.abs(modes) ** 2) for modes in self._modes]

    def _density(self, displacement: np.ndarray) -> np.ndarray:
        n = len(displacement)
        return forward(density_of(displaced(displacement, self.box), self.box, n)).ravel()

    def _binned(self, values: np.ndarray) -> np.ndarray:
        return np.bincount(self._bin, self._weight * values, len(EDGES) + 1)[1:-1]

    def __call__(self, found: Callable[[int], np.ndarray]) -> dict[str, np.ndarray]:
        """Root mean square error (boxes,), and power over the simulations' and correlation with them in bins (boxes, bins).

        Parameters
        ----------
        found : callable
            Gives displacements of the box of a place, Mpc/h.
        """
        error, power, correlation = [], [], []
        for place, (modes, true) in enumerate(zip(self._modes, self._power, strict=True)):
            displacement = found(place)
            error.append(np.sqrt(np.mean(np.square(displacement - self.final[place], dtype=np.float64))))
            ours = self._density(displacement)
            own = self._binned(np.abs(ours) ** 2)
            with np.errstate(invalid="ignore"):
                power.append(own / true)
                correlation.append(self._binned((ours * modes.conj()).real) / np.sqrt(own * true))
        return {"error": np.array(error), "power": np.array(power), "correlation": np.array(correlation)}


def _judged(
    evaluation: Evaluation, runs: Runs, settings: DisplacementsSettings, label: str, changes: dict[str, JsonValue]
) -> None:
    """Every way of moving particles on one test set."""
    released = runs[""][0]
    dataset = cast(FieldDisplacements, released.recipe.data.dataset(**changes))
    rows = dataset.rows("test")
    compared = Compared(dataset.config, np.asarray(rows.target))
    linear = rows.inputs["linear"]
    found: dict[str, list[dict[str, np.ndarray]]] = {}
    for variant, members in runs.items() if not label else [("", runs[""])]:
        found[variant] = []
        for run in members:
            model = run.load()
            asked = track(range(len(linear)), f"{label or 'test'}: boxes moved")
            moved = [np.asarray(model.moved(linear[place][None]))[0] for place in asked]
            found[variant].append(compared(moved.__getitem__))
    beside: dict[str, Moves] = {LPT: second_order}
    beside |= {f"{steps} steps of a mesh": few_steps(steps) for steps in settings.steps}
    cheaper = {
        name: compared(ending(dataset.config, rows.group, moves))
        for name, moves in track(list(beside.items()), f"{label or 'test'}: cheaper simulations")
    }
    units, at = Units.of(rows), f"{compared.k[JUDGED]:.2f} h/Mpc"
    judged = [*found.items(), *((name, [one]) for name, one in cheaper.items() if name != LPT)]
    for variant, measures in judged:
        prefix = "".join(f"{part}/" for part in (label, variant) if part)
        for quantity, values, meaning in (
            (
                "displacement error",
                lambda one: one["error"],
                "root mean square over the particles of a box, Mpc/h, mean over boxes",
            ),
            (
                f"correlation at {at}",
                lambda one: one["correlation"][:, JUDGED],
                "of densities with the simulation's, mean over boxes",
            ),
            (f"power at {at}", lambda one: one["power"][:, JUDGED], "of the density over the simulation's, mean over boxes"),
        ):
            evaluation.metrics.append(
                measured(
                    f"{prefix}{quantity}",
                    mean,
                    [values(one) for one in measures],
                    units,
                    meaning,
                    baseline=mean(values(cheaper[LPT])),
                    baseline_name=LPT,
                )
            )
    if not label:
        ways = {released.recipe.name: found[""][0], **cheaper}
        evaluation.figures["densities"] = beside_simulation(compared.k, ways)
        evaluation.curves = {
            "wavenumber": [round(float(k), 3) for k in compared.k],
            **{of: [round(float(one), 4) for one in found[""][0][of].mean(axis=0)] for of in ("power", "correlation")},
        }


def ending(config: FieldsConfig, numbers: np.ndarray, moves: Moves) -> Callable[[int], np.ndarray]:
    """What gives the displacements (n, n, n, 3) in Mpc/h of the simulation at each place of some numbers, moved otherwise."""

    def displacements(place: int) -> np.ndarray:
        nbody, delta = beginning(config, int(numbers[place]))
        return displacement_of(delta, config.box, moves(nbody, delta))

    return displacements


def second_order(nbody: NBodyConfig, delta: np.ndarray) -> np.ndarray:
    """Positions by second-order Lagrangian perturbation theory."""
    return second_order_start(delta, nbody.box, nbody.cosmology, 1.0)[0]


def few_steps(steps: int, mesh_factor: int = 1) -> Moves:
    """A particle mesh of few steps, which keep large scales (Feng et al. 2016), the cheapest with a cell a particle."""

    def moved(nbody: NBodyConfig, delta: np.ndarray) -> np.ndarray:
        return evolve(nbody.model_copy(update={"steps": steps, "mesh_factor": mesh_factor}), delta)[0].positions

    return moved
