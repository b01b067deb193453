"""Tables that were written by hand hold the numbers of the files that commands wrote."""

from __future__ import annotations

import json
from pathlib import Path

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
