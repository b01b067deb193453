"""A trigger's network as firmware: whether it answers the same to the last bit, and what the tools say that it takes.

    python benchmarks/firmware.py [--model mlp-jets-trigger] [--jets 25000] [--runs DIR] [--verilator]

Logits of test jets by Keras, by ONNX Runtime, by hls4ml's emulation in C++ and by da4ml's, and how many of them differ; look-up
tables, registers and latency as da4ml estimates them, which no synthesis has confirmed. --runs names the folder of the runs of
the recipe, whose variants then stand beside the model. --verilator also simulates the Verilog of a smaller network (16-8-5,
random weights). Writes benchmarks/results/firmware.json. Takes g++, HGQ2, hls4ml and da4ml
(pip install 'physzoo[cpu,export,hls,jets]'), and some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import about, write

import zoo
from zoo.export.fixed_point import Verilog, exact_to_hls, to_verilog
from zoo.serving import Session
from zoo.training.recipe import load_recipe

STAGE = 5
"""Sums between two registers."""


def resources(design: Verilog) -> dict[str, Any]:
    """What da4ml says of a design."""
    pipeline = design.model._pipe
    return {
        "luts": float(design.logic.cost),
        "dsps": 0,  # products are shifts and sums
        "flip_flops": int(pipeline.reg_bits),
        "latency_cycles": len(pipeline.solutions),
        "sums_between_registers": STAGE,
    }


def agreement(name: str, jets: int, folder: Path) -> dict[str, Any]:
    """How many logits of test jets differ from those of Keras, for each way to them."""
    model, recipe = zoo.load(name), load_recipe("mlp-jets-trigger")
    given = {key: array[:jets] for key, array in recipe.data.dataset().rows("test").inputs.items()}
    expected = np.asarray(model.endpoint("logits")(given)["logits"])
    answers = {"ONNX Runtime": Session(name).run(given, "logits")["logits"]}
    design = to_verilog(model, folder / "verilog", stage=STAGE)
    answers["da4ml"] = design.run(given)["logits"]
    with contextlib.redirect_stdout(io.StringIO()):
        project = exact_to_hls(model, folder / "hls4ml")
        project.compile()
    answers["hls4ml"] = project.run(given)["logits"]
    differ = {way: int((answer != expected).sum()) for way, answer in answers.items()}
    print(f"{name}: of {expected.size} logits differ {differ}", flush=True)
    ebops = float(model.ebops())
    return {"jets": len(expected), "logits": expected.size, "differ": differ, "ebops": ebops, **resources(design)}


def variants(runs: Path, folder: Path) -> dict[str, Any]:
    """What the variants of the recipe take, of their first seed."""
    recipe, found = load_recipe("mlp-jets-trigger"), {}
    for name, variant in recipe.variants.items():
        model = recipe.changed(variant.set).untrained()
        model.load_weights(runs / name / "seed-0" / "model.weights.h5")
        model.spec = zoo.load(recipe.name).spec
        found[name] = {"ebops": float(model.ebops()), **resources(to_verilog(model, folder / name, stage=STAGE))}
        print(name, found[name], flush=True)
    return found


def simulated(folder: Path) -> dict[str, Any]:
    """Verilator's simulation of the Verilog of a small network beside its logic, with the time that it took to build.

    Verilator 5.006 (Debian 12) neither knows the warning WIDTHTRUNC, which da4ml turns off, nor builds the libraries that
    da4ml's own ``compile`` joins, so that its steps are taken here.
    """
    from zoo.families.quantized_mlp import QuantizedMLP

    model = QuantizedMLP(inputs=16, hidden=[8], outputs=5)
    model.spec = zoo.load("mlp-jets-trigger").spec
    design = to_verilog(model, folder / "small", stage=STAGE)
    for file in (folder / "small").rglob("*.v"):
        file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if "WIDTHTRUNC" not in line))
    start, top = time.perf_counter(), f"{design.model._prj_name}_wrapper"
    run = partial(subprocess.run, cwd=folder / "small" / "sim", check=True, capture_output=True, text=True)
    described = run(["verilator", "-V"]).stdout
    (root,) = {
        Path(line.split("=")[1].strip()) for line in described.splitlines() if "VERILATOR_ROOT  " in line and "/" in line
    }
    run(
        [
            "verilator",
            "--cc",
            "--build",
            f"{top}.v",
            "--prefix",
            f"V{top}",
            "-CFLAGS",
            "-fPIC -O",
            "-I../src",
            "-I../src/static",
        ]
    )
    sources = [root / "include" / name for name in ("verilated.cpp", "verilated_threads.cpp")]
    parts = [f"{top}_binder.cc", *map(str, sources), f"obj_dir/V{top}__ALL.a"]
    flags = ["-std=c++17", "-fPIC", "-O", "-fopenmp", "-shared", "-pthread", "-Iobj_dir", "-I../src", f"-I{root}/include"]
    run(["g++", *flags, f"-I{root}/include/vltstd", "-o", f"lib{top}_here.so", *parts])
    seconds = round(time.perf_counter() - start)
    design.model._load_lib("here")
    x = design.port(np.random.default_rng(0).normal(model.standardize.mean, model.standardize.scale, (2000, 16)))
    differ = int((design.model.predict(x) != design.logic.predict(x)).sum())
    version = run(["verilator", "--version"]).stdout.strip()
    return {"version": version, "answers": 2000 * 5, "differ": differ, "seconds_to_build": seconds, **resources(design)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mlp-jets-trigger", help="name or folder")
    parser.add_argument("--jets", type=int, default=25_000)
    parser.add_argument("--runs", type=Path, help="folder of the runs of the recipe")
    parser.add_argument("--verilator", action="store_true", help="simulate a small design too")
    asked = parser.parse_args()
    found: dict[str, Any] = {"versions": about("HGQ2", "hls4ml", "da4ml", "onnxruntime", "keras")}
    with tempfile.TemporaryDirectory() as folder:
        found["mlp-jets-trigger"] = agreement(asked.model, asked.jets, Path(folder))
        if asked.runs:
            found["variants"] = variants(asked.runs, Path(folder))
        if asked.verilator:
            found["verilator"] = simulated(Path(folder))
    write("firmware.json", found)


if __name__ == "__main__":
    main()
