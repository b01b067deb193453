"""Is the training step fed? Time of a step of the halo-mass network against the time to cut and turn its batch of cubes.

    python benchmarks/input_pipeline.py

Simulates what is missing of the recipe's simulations in the cache (ten minutes). Prints microseconds of a batch and the ratio
to the step with its spread over rounds, what drawing the particles of an epoch takes, and how many bytes of memory a tenth and
all of the simulations need, in a process each. Writes benchmarks/results/input_pipeline.json.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from interleaved import about, compare, write

RECIPE = "cnn3d-halo-mass"


def memory(simulations: int) -> None:
    """Print the bytes that cutting an epoch's cubes adds to a process, mapped files left out."""
    from zoo.training.recipe import load_recipe

    def resident() -> int:
        with open("/proc/self/status") as file:
            return 1024 * int(next(line.split()[1] for line in file if line.startswith("RssAnon")))

    recipe = load_recipe(RECIPE)
    dataset = recipe.data.dataset(train=simulations)
    cubes = dataset.rows("train").inputs["density"]
    cubes[: recipe.batch_size]
    before = resident()
    for start in range(0, len(cubes), recipe.batch_size):
        cubes[start : start + recipe.batch_size]
    print(
        json.dumps(
            {
                "rows": len(cubes),
                "added_bytes": resident() - before,
                "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            }
        )
    )


def measured_apart(simulations: int) -> dict[str, int]:
    output = subprocess.run([sys.executable, __file__, str(simulations)], check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main() -> None:
    import tensorflow as tf

    from zoo.training.fit import build
    from zoo.training.recipe import load_recipe

    recipe = load_recipe(RECIPE)
    dataset, spherical = (recipe.data.dataset(spherical=flag) for flag in (False, True))
    model = build(recipe, dataset, 0)
    start = time.perf_counter()
    rows = dataset.rows("train", 1)
    drawing = time.perf_counter() - start
    batch = slice(0, recipe.batch_size)
    averaged = spherical.rows("train", 1)
    x, y = tf.constant(rows.inputs["density"][batch]), tf.constant(rows.target[batch])
    step = tf.function(lambda: model.train_step((x, y)))
    results = compare(
        f"a batch of {recipe.batch_size} cubes of {recipe.config['size']}^3",
        {
            "training step": lambda: {name: value.numpy() for name, value in step().items()},
            "cubes": lambda: rows.inputs["density"][batch],
            "spherical cubes": lambda: averaged.inputs["density"][batch],
        },
    )
    print(f"drawing the {len(rows)} particles of an epoch: {drawing:.2f} s")
    sizes = {f"{n} simulations": measured_apart(n) for n in (16, 160)}
    print(sizes)
    write(
        "input_pipeline.json",
        {"versions": about("tensorflow", "keras", "numba"), "batch": results, "drawing_s": drawing, "memory": sizes},
    )


if __name__ == "__main__":
    memory(int(sys.argv[1])) if len(sys.argv) > 1 else main()
