"""Find a model, see what it takes and is worth, load it, ask it, and see what it says to wrong input.

    python examples/load.py FOLDER [--short]        with PLANCK=DIR in the environment for Planck's real spectra

FOLDER receives load.png. The short form loads one model only; it is what the tests run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo.data.cmb.binning import CHANNELS, SLICES, joint_multipoles
from zoo.data.cmb.planck import read_planck
from zoo.errors import ZooError
from zoo.model.model_json import write_spec
from zoo.model.spec import TEST_TENSORS, WEIGHTS, Metric, ModelSpec
from zoo.model.store import locate
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import Session

CLASSIFIER = "mlp-cmb-feature"
BESIDE = {"likelihood ratio": "#000000", "chi-squared of LambdaCDM": "#D55E00"}
"""What stands beside the model's metrics, with its color: the limit that the data allow, and a fit that knows no features."""


def list_and_read_cards() -> ModelSpec:
    """Nothing is loaded for this: a card is a text file, and the spec is what a machine reads of it."""
    print("all models:", ", ".join(zoo.list_models()))
    print("classifiers:", ", ".join(zoo.list_models(task="classification")), "\n")
    spec = zoo.get_spec(CLASSIFIER)
    print(f"{spec.name}, revision {spec.revision}: {spec.summary}")
    print(f"trained on {spec.data.description}, {spec.data.rows['train']} spectra of {spec.data.simulator}")
    for tensor in (*spec.endpoint("predict").inputs, *spec.endpoint("predict").outputs):
        low, high = np.min(tensor.low), np.max(tensor.high)
        print(f"  {tensor.name} {tensor.shape} in {tensor.unit}, trained from {low:.4g} to {high:.4g}: {tensor.description}")
    for metric in held_out(spec):
        baseline = "" if metric.baseline is None else f"; {metric.baseline_name}: {metric.baseline:.3g}"
        print(f"  {metric.name}: {metric.value:.3g}, 95% from {metric.interval[0]:.3g} to {metric.interval[1]:.3g}{baseline}")
    return spec


def held_out(spec: ModelSpec) -> list[Metric]:
    """Metrics of the released model itself: the card has those of its variants too, as ``variant/metric``."""
    return [metric for metric in spec.metrics if "/" not in metric.name and metric.interval is not None]


def skies(spec: ModelSpec) -> tuple[np.ndarray, str]:
    """Spectra (n, 215) in muK^2, and what they are."""
    if planck := os.environ.get("PLANCK"):
        return read_planck(planck).d_ell[None].astype(np.float32), "Planck 2018"
    inputs, _ = read_test_tensors(locate(CLASSIFIER).path(TEST_TENSORS), spec)["predict"]
    print("no folder of Planck's spectra given (PLANCK=DIR): simulated skies that ship with the model")
    return inputs["spectrum"], "a simulated sky"


def predict(spectra: np.ndarray) -> np.ndarray:
    """The same endpoint twice: in Keras, to look inside and train, and in ONNX Runtime, which needs no TensorFlow."""
    model = zoo.load(CLASSIFIER)  # a keras.Model that has reproduced its test tensors
    in_keras = np.asarray(model.endpoint("predict")(spectrum=spectra)["probability"])
    session = Session(CLASSIFIER)
    served = session.run({"spectrum": spectra})["probability"]
    print(f"{type(model).__name__} of {model.count_params()} weights in blocks {', '.join(model.blocks)}")
    print(f"probability of a feature in the first sky: Keras {in_keras[0, 0]:.6f}, ONNX Runtime {served[0, 0]:.6f}")
    return in_keras[:, 0]


def other_models() -> None:
    """What else ``zoo.load`` gives: endpoints differ, the call does not."""
    for name in ("ive-pendulum", "gbt-halo-mass"):
        model = zoo.load(name)
        tensors = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)
        for endpoint, (inputs, _) in tensors.items():
            shapes = {key: np.shape(value) for key, value in model.endpoint(endpoint)(**inputs).items()}
            print(f"{name}.{endpoint}({', '.join(inputs)}) -> {shapes}")


def wrong_input(spectra: np.ndarray) -> None:
    """Every one of these is an error that says what was expected, what was given and what to do."""
    session = Session(CLASSIFIER)
    holed = spectra[:1].copy()
    holed[0, 3] = np.nan
    refused("in K^2 instead of muK^2", lambda: session.run({"spectrum": spectra * 1e-12}))
    refused("NaN", lambda: session.run({"spectrum": holed}))
    refused("TT alone", lambda: session.run({"spectrum": spectra[:, SLICES["TT"]]}))
    refused("another name", lambda: session.run({"spectra": spectra}))
    refused("a name that is nearly right", lambda: zoo.load("mlp-cmb-featur"))
    with tempfile.TemporaryDirectory() as folder:
        copy_with_wrong_bit(Path(folder))
        refused("one bit of the weights is wrong", lambda: zoo.load(Path(folder)))


def copy_with_wrong_bit(folder: Path) -> None:
    released = locate(CLASSIFIER)
    write_spec(folder, released.spec)
    for file in released.spec.files:
        shutil.copyfile(released.path(file.path), folder / file.path)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / WEIGHTS).write_bytes(content)


def refused(what: str, call: Callable[[], object]) -> None:
    """Show the error that a call is met with."""
    try:
        call()
    except ZooError as error:
        print(f"{what}: {type(error).__name__}: {error}")
    else:
        raise SystemExit(f"{what}: expected an error, got an answer")


def draw(spec: ModelSpec, sky: np.ndarray, label: str, probability: float) -> Figure:
    """Above, the sky in the range of the training spectra; below, held-out metrics beside their limit and an untrained fit."""
    (tensor,) = spec.endpoint("predict").inputs
    ell, low, high = joint_multipoles(), np.asarray(tensor.low), np.asarray(tensor.high)
    figure = Figure(figsize=(10, 7), dpi=100, layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(2, 3))
    above.suptitle(f"{spec.name} on {label}: probability of a feature {probability:.2f}", fontsize=11)
    for channel, ax in zip(CHANNELS, above.subplots(1, 3), strict=True):
        inside = SLICES[channel]
        ax.fill_between(ell[inside], low[inside], high[inside], color="0.85", label="trained range")
        ax.plot(ell[inside], sky[inside], ".-", color="#0072B2", markersize=4, linewidth=0.8, label=label)
        ax.set_title(channel)
        ax.set_xlabel(r"multipole $\ell$")
    above.axes[0].set_ylabel(r"$D_\ell$ ($\mu\mathrm{K}^2$)")
    above.axes[0].legend(frameon=False, fontsize=8)
    found = {metric.name: metric for metric in held_out(spec)}
    asked = [name for name in found if all(f"{name}, {other}" in found for other in BESIDE)]
    ax = below.subplots()
    rows = np.arange(len(asked))[::-1]
    for offset, (other, color) in zip((0.1, 0.0, -0.1), {"": "#0072B2", **BESIDE}.items(), strict=True):
        metrics = [found[f"{name}, {other}" if other else name] for name in asked]
        for row, metric in zip(rows, metrics, strict=True):
            ax.plot(metric.interval, [row + offset] * 2, color=color, linewidth=2)
        ax.plot(
            [metric.value for metric in metrics], rows + offset, "o", color=color, label=f"{other or spec.name}, 95% interval"
        )
    ax.set_yticks(rows, [f"{name} (n = {found[name].n})" for name in asked], fontsize=8)
    ax.set_xlabel("value on held-out simulations")
    ax.set_xlim(0, 1)
    ax.grid(axis="x", color="0.9")
    ax.legend(frameon=False, fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("load"), help="for the figure")
    parser.add_argument("--short", action="store_true", help="load one model only")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)

    print("-- what there is, and what it is worth")
    spec = list_and_read_cards()
    print("\n-- load and ask")
    spectra, label = skies(spec)
    probability = predict(spectra)
    if not given.short:
        other_models()
    print("\n-- what wrong input is met with")
    wrong_input(spectra)
    draw(spec, spectra[0], label, probability[0]).savefig(given.folder / "load.png")
    print(f"\nwrote {given.folder / 'load.png'}")


if __name__ == "__main__":
    main()
