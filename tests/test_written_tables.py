"""Tables that were written by hand hold the numbers of the files that commands wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "model_cards"


def rows(page: Path, first: str) -> dict[str, list[str]]:
    """Cells of each row of the table whose head begins with a word, by the first of them."""
    lines = page.read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first}"))
    table = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return {head: cells for head, *cells in table}


def metrics(name: str) -> dict[str, dict]:
    """What was measured of a model, by the names of the metrics."""
    return {metric["name"]: metric for metric in json.loads((CARDS / name / "metrics.json").read_text())["metrics"]}


def interval(metric: dict, digits: int) -> str:
    low, high = metric["interval"]
    return f"{low:.{digits}f} to {high:.{digits}f}"


@pytest.mark.parametrize(
    ("row", "variant"),
    [("3e-6, `mlp-jets-trigger`", ""), ("1e-6", "beta-1e-6"), ("1e-5", "beta-1e-5"), ("3e-5", "beta-3e-5")],
)
def test_firmware(row, variant):
    measured, firmware = metrics("mlp-jets-trigger"), json.loads((ROOT / "benchmarks/results/firmware.json").read_text())
    design = firmware["variants"][variant] if variant else firmware["mlp-jets-trigger"]
    area = measured[f"{variant}/auc" if variant else "auc"]
    ebops, auc, between, luts, flip_flops, cycles = rows(ROOT / "docs" / "trigger.md", "`beta`")[row]
    assert float(ebops.replace(",", "")) == design["ebops"] == measured[f"{variant}/ebops" if variant else "ebops"]["value"]
    assert (auc, between) == (f"{area['value']:.4f}", interval(area, 4))
    assert abs(float(luts.replace(",", "")) - design["luts"]) <= 0.5
    assert (float(flip_flops.replace(",", "")), float(cycles)) == (design["flip_flops"], design["latency_cycles"])


def test_no_logit_differs():
    found = json.loads((ROOT / "benchmarks/results/firmware.json").read_text())["mlp-jets-trigger"]
    assert (found["logits"], found["differ"]) == (125_000, {"ONNX Runtime": 0, "da4ml": 0, "hls4ml": 0})


def test_twin_in_float():
    area = metrics("mlp-jets")["auc"]
    _, auc, between, *_ = rows(ROOT / "docs" / "trigger.md", "`beta`")["`mlp-jets`, float"]
    assert (auc, between) == (f"{area['value']:.4f}", interval(area, 4))


@pytest.mark.parametrize("fraction", ["0.0%", "0.5%", "1.0%", "2.0%", "4.0%"])
def test_search(fraction):
    measured = metrics("nsf-dijet-density")
    names = (
        "improvement at 1%",
        "improvement at 0.1%",
        "max significance improvement",
        "idealized/max significance improvement",
        "excess",
    )
    percent, permille, most, idealized, excess = (measured[f"{name}, {fraction} signal"] for name in names)
    assert rows(CARDS / "nsf-dijet-density" / "README.md", "S/B")[fraction] == [
        f"{excess['baseline']:.2f}",
        f"{percent['value']:.1f}",
        f"{permille['value']:.1f}",
        f"{most['value']:.1f} ({interval(most, 1)})",
        f"{idealized['value']:.1f}",
        f"{excess['value']:.1f}",
    ]


@pytest.mark.slow
def test_why_the_trigger_takes_a_fifth_of_w_and_z_for_quarks():
    pytest.importorskip("fastjet")
    import onnxruntime

    from zoo.data.jets.clouds import clouds
    from zoo.data.jets.features import trigger_features
    from zoo.data.jets.sample import load_sample

    jets, config = load_sample("multi")
    chosen = np.flatnonzero(np.isin(jets.label, [config.classes.index(name) for name in "WZ"]))
    cloud = {name: tensor[:] for name, tensor in clouds(jets, chosen).items()}
    features = trigger_features(cloud["particles"], cloud["real"], cloud["identity"], radius=config.radius)
    folder = CARDS / "mlp-jets-trigger"
    graph = onnxruntime.InferenceSession(folder / "predict.onnx", providers=["CPUExecutionProvider"])
    (answers,) = graph.run(None, {"features": np.stack(list(features.values()), axis=1).astype(np.float32)})
    quark, lost = answers.argmax(axis=1) == config.classes.index("quark"), features["mass_mmdt"] < 50
    assert np.mean(quark) == pytest.approx(0.2, abs=0.01)
    ungroomed = np.mean(jets.momentum[chosen, 3] < 60)
    found = re.search(r"of the (\d+)\sW and Z .* ships, (\d+)% have.* but (\d+)% an .* (\d+)% are\staken .* others (\d+)%",
                      (folder / "README.md").read_text(), re.DOTALL)  # fmt: skip
    shares = [np.mean(lost), ungroomed, np.mean(quark[lost]), np.mean(quark[~lost])]
    assert [int(number) for number in found.groups()] == [len(chosen), *(round(100 * share) for share in shares)]


def test_settings_of_posteriors():
    found = json.loads((ROOT / "benchmarks/results/posterior_settings.json").read_text())["results"]
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    of_few = {task.split(",")[0]: ways for task, ways in found.items() if task.endswith(", 1000")}
    assert len(of_few) == 7
    for task in ("gaussian-linear", "gaussian-linear-uniform", "gaussian-mixture", "slcp"):
        ours, before = (of_few[task][way]["mean"] for way in ("as they are", "neither"))
        assert ours > before
        assert f"{task} {ours:.2f} and {before:.2f} nat" in page
    losses = [ways["neither"]["mean"] - ways["as they are"]["mean"] for ways in of_few.values()]
    assert f"on no task lower by more than {max(0.0, *losses):.2f}" in page


def test_distances_are_below_the_published_ones():
    results = json.loads((ROOT / "benchmarks/results/c2st.json").read_text())["results"]
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    below = {key: cell["published"]["NPE"] - cell["mean"] for key, cell in results["npe"].items()}
    below |= {f"{key}, recipe": cell["published"]["NPE"] - cell["mean"] for key, cell in results["recipe"].items()}
    assert [key for key, value in below.items() if value < 0] == ["two-moons, 10000"]
    above = results["npe"]["two-moons, 10000"]
    assert f"two-moons after 10,000 ({above['mean']:.3f}, published {above['published']['NPE']})" in page
    few = {key.split(",")[0]: value for key, value in below.items() if key.endswith(", 1000")}
    assert len(few) == 5
    assert f"by {few['two-moons']:.3f} (two-moons) to {few['gaussian-linear']:.2f} (gaussian-linear)" in page
    assert (min(few, key=few.__getitem__), max(few, key=few.__getitem__)) == ("two-moons", "gaussian-linear")
