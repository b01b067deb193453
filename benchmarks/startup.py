"""Cold starts, each a process of its own, in turn: what a shell, a script and a trigger wait for.

    python benchmarks/startup.py

Prints the median and the range over the repetitions and writes benchmarks/results/startup.json.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from interleaved import about, write

REPETITIONS = 9
ZOO = str(Path(sys.executable).with_name("zoo"))
SESSION = (
    "import numpy as np; from zoo.serving import Session; s = Session('mlp-cmb-feature');"
    "s.run({'spectrum': np.zeros((1, 215), 'f4')}, allow_out_of_range=True)"
)
CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import zoo": [sys.executable, "-c", "import zoo"],
    "zoo list": [ZOO, "list"],
    "zoo show mlp-cmb-feature": [ZOO, "show", "mlp-cmb-feature"],
    "Session, first answer": [sys.executable, "-c", SESSION],
    "zoo.load (Keras, TensorFlow)": [sys.executable, "-c", "import zoo; zoo.load('mlp-cmb-feature')"],
}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    for command in CASES.values():  # once, to fill the disk cache
        seconds(command)
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(REPETITIONS):
        for name, command in CASES.items():
            taken[name].append(seconds(command))
    results = {
        name: {"median_s": statistics.median(values), "min_s": min(values), "max_s": max(values)}
        for name, values in taken.items()
    }
    for name, result in results.items():
        print(f"{name:32s} {result['median_s']:.3f} s  ({result['min_s']:.3f} to {result['max_s']:.3f})")
    versions = about("onnxruntime", "tensorflow", "keras")
    write("startup.json", {"versions": versions, "repetitions": REPETITIONS, "results": results})


if __name__ == "__main__":
    main()
