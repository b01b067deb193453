"""Someone else's model on your own data: the pendulum's model, fine-tuned to pendulums observed with noise.

    python examples/fine_tune.py [folder] [--short]

`ive-pendulum` learned from exact positions. Here a camera sees them with an error of 0.1 m, and 500 pendulums are all there is.
Checks the data, fine-tunes, compares with the model as it was and with training from scratch, draws that, exports, and asks the
graph without Keras. A few minutes on one core; ``--short`` takes fewer pendulums and epochs.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo.data.pendulum import DAMPING, QUERIED_UNTIL, STIFFNESS, displacement, observation_times
from zoo.interpret.plots.style import BLUE, GRAY, RED, panels, styled
from zoo.model.spec import METRICS
from zoo.serving import Session

PARENT = "ive-pendulum"
ERROR = 0.1
"""Error of an observed position, m."""
QUERIES = 10
"""Later positions that are known of each pendulum."""
WAYS = {"before": GRAY, "from scratch": RED, "fine-tuned": BLUE}


def measured(n: int, seed: int) -> dict[str, np.ndarray]:
    """Columns of n pendulums as a user would have them, called as the model calls its inputs and its output."""
    rng = np.random.default_rng(seed)
    damping, stiffness = rng.uniform(*DAMPING, (n, 1)), rng.uniform(*STIFFNESS, (n, 1))
    time = rng.uniform(0, QUERIED_UNTIL, (n, QUERIES))
    exact = displacement(observation_times(), damping, stiffness)
    return {
        "trajectory": exact + rng.normal(0, ERROR, exact.shape),
        "time": time,
        "displacement": displacement(time, damping, stiffness),
    }


def errors(model) -> dict[str, tuple[float, float, float]]:
    """Root mean square error of each on the same held-out pendulums, in m, with its 95% interval, from the card."""
    metrics = {metric.name: metric for metric in model.spec.metrics}
    found = {way: metrics["rmse" if way == "fine-tuned" else f"{way}/rmse"] for way in WAYS}
    return {way: (metric.value, *metric.interval) for way, metric in found.items()}


@styled
def figure(folder: Path, parent, model) -> Figure:
    """Learning curves, the errors, and one pendulum that neither has seen."""
    drawn, ((curves, bars, example),) = panels(1, 3, (13.0, 3.9))
    history = json.loads((folder / METRICS).read_text())["history"]
    for name, label, color, style in (("loss", "training", BLUE, "-"), ("val_loss", "validation", RED, "--")):
        curves.plot(np.arange(1, len(history[name]) + 1), history[name], style, color=color, label=label)
    curves.set(xlabel="epoch", ylabel=r"loss / m$^2$", yscale="log", title="fine-tuning")
    curves.legend()
    for place, (way, (value, low, high)) in enumerate(errors(model).items()):
        bars.bar(place, value, 0.6, yerr=[[max(0, value - low)], [max(0, high - value)]], color=WAYS[way], capsize=4)
    bars.set(ylabel="root mean square error / m", title="held-out pendulums, 95% intervals")
    bars.set_xticks(range(len(WAYS)), WAYS)
    unseen = {"damping": 0.5, "stiffness": 7.0}
    observed = displacement(observation_times(), **unseen) + np.random.default_rng(1).normal(0, ERROR, len(observation_times()))
    time = np.linspace(0, QUERIED_UNTIL, 200, dtype=np.float32)[:, None]
    rows = {"trajectory": np.tile(observed.astype(np.float32), (len(time), 1)), "time": time}
    example.plot(observation_times(), observed, ".", color="0.7", label="observed")
    example.plot(time, displacement(time, **unseen), color="black", label="true")
    for label, one, style in (("before", parent, ":"), ("fine-tuned", model, "--")):
        example.plot(
            time,
            one.endpoint("predict")(**rows, allow_out_of_range=True)["displacement"],
            style,
            color=WAYS[label],
            label=label,
        )
    example.set(xlabel="time / s", ylabel="displacement / m", title="another pendulum")
    example.legend(ncols=2)
    return drawn


def main(folder: Path, short: bool) -> None:
    mine = folder / "my-pendulum"
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", UserWarning)
        model = zoo.fine_tune(
            PARENT,
            measured(100 if short else 500, seed=1),
            folder=mine,
            unfreeze="all",
            learning_rate=3e-4,
            epochs=3 if short else 400,
            patience=40,
            overwrite=True,
        )
    for warning in found:
        print(f"warning: {warning.message}")
    print(f"\nerror on {model.spec.metrics[0].n} held-out pendulums, in m")
    for way, (value, low, high) in errors(model).items():
        print(f"  {way:14s} {value:.4f}  ({low:.4f} to {high:.4f})")

    figure(mine, zoo.load(PARENT), model).savefig(folder / "fine_tuning.png", dpi=110)

    from zoo.export import export

    export(model, folder / "onnx", overwrite=True)
    session = Session(folder / "onnx")
    pendulum = measured(1, seed=2)
    # A camera's error takes positions beyond the range of the training rows now and then.
    rows = {"trajectory": np.repeat(pendulum["trajectory"], QUERIES, axis=0), "time": pendulum["time"].T}
    answer = session.run({name: array.astype(np.float32) for name, array in rows.items()}, allow_out_of_range=True)
    difference = answer["displacement"][:, 0] - pendulum["displacement"][0]
    print(f"\n{session.spec.name} without Keras: error of {QUERIES} answers {np.sqrt(np.mean(difference**2)):.4f} m")
    print(f"the model is in {mine}, its graphs in {folder / 'onnx'}, the figure in {folder / 'fine_tuning.png'}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--short"]
    main(Path(arguments[0]) if arguments else Path("runs/my-pendulum"), short="--short" in sys.argv)
