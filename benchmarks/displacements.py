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
from zoo.data.fields.simulate import linear_displacement
from zoo.serving import Session
from zoo.training.evaluations.displacements import JUDGED, Compared, few_steps, second_order

NAME = "unet-displacement"
BOXES = 5


def main() -> None:
    dataset = get_dataset("field-displacements")
    rows = dataset.rows("test")
    config, numbers = dataset.config, [int(number) for number in rows.group[:BOXES]]
    compared = Compared(config, np.asarray(rows.target[:BOXES]))
    model, session = zoo.load(NAME), Session(NAME)
    graph = tf.function(model.moved)

    def by_keras(number: int) -> np.ndarray:
        return graph(linear_displacement(config, number)[None]).numpy()[0]

    def by_onnx(number: int) -> np.ndarray:
        return session.run({"linear": linear_displacement(config, number)[None]}, "displace")["final"][0]

    ways: dict[str, Callable[[int], np.ndarray]] = {
        "network, ONNX": by_onnx,
        "network, Keras": by_keras,
        "2LPT": second_order(config),
        "3 steps": few_steps(config, 3),
        "5 steps": few_steps(config, 5),
        "10 steps": few_steps(config, 10),
        "simulation": few_steps(config, config.steps, 2),
    }
    found = compare("a box of 64^3", {name: lambda way=way: way(numbers[0]) for name, way in ways.items()})
    for name, way in ways.items():
        judged = compared(lambda place, way=way: way(numbers[place]))
        found[name] |= {of: round(float(judged[of][:, JUDGED].mean()), 4) for of in ("correlation", "power")}
    write("displacements.json", {"about": about("keras", "tensorflow", "onnxruntime"), "ways": found})


if __name__ == "__main__":
    main()
