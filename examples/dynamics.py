"""A double pendulum whose energy stays, and one with friction that is learned from what a camera saw of it.

    python examples/dynamics.py [folder] [--short]

A Lagrangian that the zoo learned is rolled out from one start beside the true equations of motion: the energy of its path
stays, whatever becomes of the path, which is chaotic. Then a pendulum is observed whose joints rub: noisy angles at irregular
times. Splines make states and accelerations of them, and fine-tuning adds the friction to the Lagrangian. A few minutes on one
core; ``--short`` takes fewer trajectories and epochs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo.data.mechanics.double_pendulum import DoublePendulum
from zoo.data.mechanics.trajectories import integrated, smoothed, without_turns
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.serving import Session

LAW = "lnn-double-pendulum"
TIME_STEP = 0.01
START = np.array([[2.0, 1.0, 0.0, 0.0]])
"""Angles of both rods [rad], and their rates [rad/s]."""
ONES = np.ones((1, 4))
"""Masses [kg] and lengths [m]."""
RUBBED = DoublePendulum(damping=0.3)
"""Joints that rub, with 0.3 N m s."""
NOISE = 0.001
"""Of an observed angle [rad]."""


def path_of(law: str | Path, seconds: float) -> np.ndarray:
    """States (steps, 4) after each time step from the start, by the graph in ONNX Runtime."""
    session, state, parts = Session(law), START.astype(np.float32), []
    rollout = session.spec.endpoint("rollout").outputs[0]
    while sum(map(len, parts)) * TIME_STEP < seconds:
        state = np.where([True, True, False, False], without_turns(state), state).astype(np.float32)
        step = np.full((1, 1), TIME_STEP, np.float32)
        parts.append(session.run({"state": state, "time_step": step}, "rollout")[rollout.name][0])
        state = parts[-1][-1:]
    return np.concatenate(parts)[: round(seconds / TIME_STEP)].astype(np.float64)


def energy_of(states: np.ndarray) -> np.ndarray:
    """True energy (steps,) of states (steps, 4), J."""
    return DoublePendulum().energy(states, np.repeat(ONES, len(states), axis=0))


def observed(trajectories: int, seed: int = 0) -> dict[str, np.ndarray]:
    """States, accelerations and numbers of trajectories of 3 s, as noisy angles at 300 irregular times show them."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list] = {"state": [], "acceleration": [], "trajectory": []}
    for number in range(trajectories):
        times = np.sort(rng.uniform(0, 3, 300))
        start = np.concatenate([rng.uniform(-2.5, 2.5, (1, 2)), rng.uniform(-1, 1, (1, 2))], axis=1)
        angles = integrated(RUBBED, start, ONES, times)[0, :, :2]
        state, acceleration = smoothed(times, angles + rng.normal(0, NOISE, angles.shape))
        inner = slice(15, -15)  # accelerations of a spline are least known at its ends
        state[:, :2] = without_turns(state[:, :2])
        rows["state"].append(state[inner])
        rows["acceleration"].append(acceleration[inner])
        rows["trajectory"].append(np.full(len(state[inner]), number))
    return {name: np.concatenate(arrays).astype(np.float32) for name, arrays in rows.items()}


@styled
def figure(kept: np.ndarray, true: np.ndarray, before: np.ndarray, after: np.ndarray, rubbed: np.ndarray) -> Figure:
    """Energies without friction and with it, and the angle of the outer rod with it."""
    drawn, ((energies, with_friction, angles),) = panels(1, 3, (13.0, 3.9))
    seconds = np.arange(1, len(kept) + 1) * TIME_STEP
    energies.plot(seconds, energy_of(true), color=GRAY, linewidth=5, alpha=0.5, label="true law")
    energies.plot(seconds, energy_of(kept), color=BLUE, label="learned Lagrangian")
    energies.set(xlabel="time [s]", ylabel="energy [J]", title="without friction", ylim=(-30, 30))
    seconds = np.arange(1, len(after) + 1) * TIME_STEP
    for states, color, label in ((rubbed, GRAY, "truth"), (before, RED, "as loaded"), (after, BLUE, "fine-tuned")):
        wide = {"linewidth": 5, "alpha": 0.5} if label == "truth" else {}  # which the others lie on
        with_friction.plot(seconds, energy_of(states), color=color, label=label, **wide)
        angles.plot(seconds, without_turns(states[:, 1]), color=color, label=label, **wide)
    with_friction.set(xlabel="time [s]", ylabel="energy [J]", title="joints that rub", ylim=(-30, 30))
    angles.set(xlabel="time [s]", ylabel="angle of the outer rod [rad]", title="joints that rub")
    for panel in (energies, with_friction, angles):
        panel.legend()
    return drawn


def main(folder: Path, short: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    seconds = 5.0 if short else 60.0
    kept = path_of(LAW, seconds)
    true = integrated(DoublePendulum(), START, ONES, np.arange(1, len(kept) + 1) * TIME_STEP)[0]
    most = DoublePendulum().largest_potential(ONES)[0]
    off = np.abs(energy_of(kept) - energy_of(START)[0]).max() / most
    print(f"after {seconds:g} s the energy was never off by more than {100 * off:.2f}% of the largest potential energy")

    data = observed(20 if short else 100)
    model = zoo.fine_tune(
        LAW,
        data,
        folder=folder / "my-pendulum",
        outputs=2,
        group="trajectory",
        learning_rate=1e-2,
        epochs=2 if short else 30,
        batch_size=128,
        overwrite=True,
    )
    by_velocity, drive = (np.asarray(array).round(3).tolist() for array in model.force.weights)
    print(f"force beside the Lagrangian, in its own scale: {by_velocity} times the velocities, and {drive}")
    seconds = 3.0 if short else 10.0
    before, after = path_of(LAW, seconds), path_of(folder / "my-pendulum", seconds)
    rubbed = integrated(RUBBED, START, ONES, np.arange(1, len(after) + 1) * TIME_STEP)[0]
    for name, states in (("as loaded", before), ("fine-tuned", after)):
        off = np.abs(energy_of(states) - energy_of(rubbed)).mean() / most
        print(f"with friction, {name}: mean error of the energy {100 * off:.2f}% of the largest potential energy")
    figure(kept, true, before, after, rubbed).savefig(folder / "dynamics.png", dpi=110)
    print(f"the model is in {folder / 'my-pendulum'}, the figure is {folder / 'dynamics.png'}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--short"]
    main(Path(arguments[0]) if arguments else Path("runs/dynamics"), short="--short" in sys.argv)
