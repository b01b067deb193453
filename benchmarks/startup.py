"""Cold starts, each a process of its own, in turn: what a shell, a script and a trigger wait for.

    python benchmarks/startup.py [--beside PYTHON]

Prints the median and the range over the repetitions and writes benchmarks/results/startup.json. Lists are timed of the released
models and of sixty, the others copies on ZOO_PATH; and with --beside of the released models of another version of physzoo, of
which the Python is given.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from interleaved import about, write

from zoo.model.registry import RELEASED
from zoo.model.spec import SPEC

REPETITIONS = 9
SIXTY = 60
SESSION = (
    "import numpy as np; from zoo.serving import Session; s = Session('mlp-cmb-feature');"
    "s.run({'spectrum': np.zeros((1, 215), 'f4')}, allow_out_of_range=True)"
)
LIST = "import zoo; zoo.list_models()"
CASES = {
    "python -c pass": ["python", "-c", "pass"],
    "import zoo": ["python", "-c", "import zoo"],
    "zoo list": ["zoo", "list"],
    "list_models()": ["python", "-c", LIST],
    "zoo show mlp-cmb-feature": ["zoo", "show", "mlp-cmb-feature"],
    "Session, first answer": ["python", "-c", SESSION],
    "zoo.load (Keras, TensorFlow)": ["python", "-c", "import zoo; zoo.load('mlp-cmb-feature')"],
}
LISTS = ("zoo list", "list_models()")
OF_SIXTY, OF_OTHER = "{}, sixty models", "{}, the other version"


def copies(place: Path) -> None:
    """As many copies of released models, each under a name of its own, as make sixty together with them."""
    released = sorted(path.parent for path in RELEASED.glob(f"*/{SPEC}"))
    for number in range(SIXTY - len(released)):
        source = released[number % len(released)]
        folder = place / f"{source.name}-{number}"
        shutil.copytree(source, folder)
        spec = json.loads((folder / SPEC).read_text())
        (folder / SPEC).write_text(json.dumps(spec | {"name": folder.name}, indent=1))


def started(python: str, command: list[str]) -> list[str]:
    """A command of CASES with the program of an environment."""
    return [str(Path(python).with_name(command[0])), *command[1:]]


def seconds(command: list[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    # From a folder without a zoo/, which ``python -c`` would take before the installed one.
    subprocess.run(
        command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=tempfile.gettempdir()
    )
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", metavar="PYTHON")
    beside = parser.parse_args().beside
    plain = {name: value for name, value in os.environ.items() if name != "ZOO_PATH"}
    with tempfile.TemporaryDirectory() as folder:
        copies(Path(folder))
        cases = {name: (started(sys.executable, command), plain) for name, command in CASES.items()}
        for name in LISTS:
            cases[OF_SIXTY.format(name)] = (started(sys.executable, CASES[name]), {**plain, "ZOO_PATH": folder})
            if beside:
                cases[OF_OTHER.format(name)] = (started(beside, CASES[name]), plain)
        for command in cases.values():  # once, to fill the disk cache
            seconds(*command)
        taken: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(REPETITIONS):
            for name, command in cases.items():
                taken[name].append(seconds(*command))
    results = {
        name: {"median_s": statistics.median(values), "min_s": min(values), "max_s": max(values)}
        for name, values in taken.items()
    }
    for name, result in results.items():
        print(f"{name:36s} {result['median_s']:.3f} s  ({result['min_s']:.3f} to {result['max_s']:.3f})")
    versions = about("onnxruntime", "tensorflow", "keras")
    write("startup.json", {"versions": versions, "repetitions": REPETITIONS, "results": results})


if __name__ == "__main__":
    main()
