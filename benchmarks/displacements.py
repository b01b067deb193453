"""How long a network takes to move the particles of a box, beside the particle mesh and second-order perturbation theory.

    python benchmarks/displacements.py

One box of 64^3 particles, on all cores, in turns: unet-displacement by Keras and by ONNX Runtime, 2LPT, and particle
meshes of a cell a particle in few steps and of two cells a particle in the 30 steps of the training's simulations, all
from the linear density; the time of the network includes that of the linear displacement. Beside each time stands the
correlation of its density with the simulation's at 0.5 h/Mpc, and its power there, of five test boxes. Writes
benchmarks/results/displacements.json.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
from interleaved import about, compare, write

import zoo
from zoo.data.dataset import get_dataset
from zoo.data.fields.simulate import beginning, displaced
from zoo.data.nbody.initial import zeldovich
from zoo.data.nbody.simulate import NBodyConfig
from zoo.serving import Session
from zoo.training.evaluations.displacements import JUDGED, Compared, Moves, ending, few_steps, second_order

NAME = "unet-displacement"
BOXES = 5


def network(answer: Callable[[np.ndarray], np.ndarray]) -> Moves:
    """Positions by a network, given what answers displacements of linear theory, of one box."""

    def moved(nbody: NBodyConfig, delta: np.ndarray) -> np.ndarray:
        linear = np.moveaxis(zeldovich(delta, nbody.box), 0, -1)
        return displaced(answer(linear[None])[0], nbody.box)

    return moved


def main() -> None:
    dataset = get_dataset("field-displacements")
    rows, config = dataset.rows("test"), dataset.config
    compared = Compared(config, np.asarray(rows.target[:BOXES]))
    session, graph = Session(NAME), tf.function(zoo.load(NAME).moved)
    ways = {
        "network, ONNX": network(lambda linear: session.run({"linear": linear}, "displace")["final"]),
        "network, Keras": network(lambda linear: graph(linear).numpy()),
        "2LPT": second_order,
        "3 steps": few_steps(3),
        "5 steps": few_steps(5),
        "10 steps": few_steps(10),
        "simulation": few_steps(config.steps, 2),
    }
    start = beginning(config, int(rows.group[0]))
    found = compare("a box of 64^3", {name: lambda way=way: way(*start) for name, way in ways.items()})
    for name, way in ways.items():
        judged = compared(ending(config, rows.group, way))
        found[name] |= {of: round(float(judged[of][:, JUDGED].mean()), 4) for of in ("correlation", "power")}
    write("displacements.json", {"about": about("keras", "tensorflow", "onnxruntime"), "ways": found})


if __name__ == "__main__":
    main()
