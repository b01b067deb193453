"""How many bits an FPGA needs: hls4ml's fixed point, emulated in C++, against ONNX Runtime in float.

    python benchmarks/hls.py [--widths 6 7 8 9 10 12 14 16] [--cards]

AUC of mlp-cmb-feature on held-out skies at each width, and how close logistic-cmb-running and the decoder of ive-pendulum come
at the largest. Ranges, and with them integer bits, come from validation rows; the smallest sufficient width is the one that
validation rows choose, its AUC is that of test rows. Writes benchmarks/results/hls.json; --cards also writes the width at which
all of the AUC's interval is within the allowed change into the card.
Takes g++, hls4ml and qonnx (pip install 'physzoo[hls]'), and some minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from interleaved import about, write
from sklearn.metrics import roc_auc_score

from zoo.data.dataset import get_dataset
from zoo.export.hls import TABLE, HlsProject, to_hls
from zoo.model.model_json import write_spec
from zoo.model.registry import RELEASED, get_spec
from zoo.model.spec import FixedPoint
from zoo.serving import Session
from zoo.training.intervals import bootstrap

CLASSIFIER = "mlp-cmb-feature"
ALLOWED = 1e-3
"""Largest loss of the AUC that is allowed."""
RANGE_ROWS = 256


def project(name: str, endpoint: str, rows: dict[str, np.ndarray], width: int, folder: Path) -> HlsProject:
    """Compiled; hls4ml's own prints are left out."""
    with contextlib.redirect_stdout(io.StringIO()):
        made = to_hls(name, folder / f"{name}-{width}", rows, endpoint=endpoint, width=width)
        made.compile()
    return made


def scan(widths: list[int], folder: Path) -> dict:
    """AUC of the classifier at each width, on validation and on test rows."""
    data = get_dataset("cmb-feature")
    splits = {split: data.rows(split) for split in ("validation", "test")}
    labels = {split: rows.target[:, 0] for split, rows in splits.items()}
    session = Session(CLASSIFIER)
    exact = {split: session.run(rows.inputs)["probability"][:, 0] for split, rows in splits.items()}
    reference = {split: float(roc_auc_score(labels[split], score)) for split, score in exact.items()}
    print(f"{CLASSIFIER}: AUC in float {reference}", flush=True)
    typical = {name: array[:RANGE_ROWS] for name, array in splits["validation"].inputs.items()}
    found = []
    for width in widths:
        firmware = project(CLASSIFIER, "predict", typical, width, folder)
        entry: dict = {"width": width}
        for split, rows in splits.items():
            score, label, float_score = firmware.run(rows.inputs)["probability"][:, 0], labels[split], exact[split]

            def change(i: np.ndarray, score=score, label=label, float_score=float_score) -> float:
                return float(roc_auc_score(label[i], score[i]) / roc_auc_score(label[i], float_score[i]) - 1)

            everything = np.arange(len(label))
            entry[split] = {
                "auc": float(roc_auc_score(label, score)),
                "relative_change": change(everything),
                "interval": list(bootstrap(change, rows.group)),
                "max_absolute": float(np.abs(score - float_score).max()),
            }
        found.append(entry)
        print(f"  {width:2d} bits  " + "  ".join(f"{s} {entry[s]['relative_change']:+.2e}" for s in splits), flush=True)
    return {"float_auc": reference, "widths": found, "smallest_width": smallest(found)}


def smallest(found: list[dict]) -> dict[str, int | None]:
    """Widths from which on the AUC of validation rows falls by less than allowed: as measured, and with all of its interval."""
    chosen: dict[str, int | None] = {}
    for name, change in (
        ("measured", lambda rows: rows["relative_change"]),
        ("with 95% interval", lambda rows: rows["interval"][0]),
    ):
        chosen[name] = None
        for entry in sorted(found, key=lambda entry: -entry["width"]):
            if change(entry["validation"]) <= -ALLOWED:
                break
            chosen[name] = entry["width"]
    return chosen


def agreement(width: int, folder: Path) -> dict[str, dict]:
    """Difference of two endpoints from ONNX Runtime, on test rows that no range was taken from."""
    skies, pendulum = get_dataset("cmb-feature"), Session("ive-pendulum")
    decoded = []
    for split in ("validation", "test"):
        rows = get_dataset("pendulum").rows(split).inputs
        latent = pendulum.run({"trajectory": rows["trajectory"][:2000]}, "encode")["mean"]
        decoded.append({"latent": latent, "time": rows["time"][:2000]})
    cases = {
        ("logistic-cmb-running", "predict"): [skies.rows(split).inputs for split in ("validation", "test")],
        ("ive-pendulum", "decode"): decoded,
    }
    results = {}
    for (name, endpoint), (validation, test) in cases.items():
        typical = {key: array[:RANGE_ROWS] for key, array in validation.items()}
        firmware = project(name, endpoint, typical, width, folder)
        expected = Session(name).run(test, endpoint)
        ((output, given),) = firmware.run(test).items()
        difference = np.abs(given - expected[output])
        results[f"{name}/{endpoint}"] = {
            "width": width,
            "rows": len(given),
            "max_absolute": float(difference.max()),
            "rms": float(np.sqrt(np.mean(difference**2))),
        }
        print(f"{name}/{endpoint} at {width} bits: largest difference {difference.max():.1e}", flush=True)
    return results


def write_fixed_point(scanned: dict, tool: str) -> None:
    """The smallest width into the spec of the classifier."""
    width = scanned["smallest_width"]["with 95% interval"]
    found = next(entry["test"] for entry in scanned["widths"] if entry["width"] == width)
    fixed = FixedPoint(
        tool=tool, width=width, metric="auc", relative_change=found["relative_change"], interval=tuple(found["interval"])
    )
    spec = get_spec(CLASSIFIER)
    write_spec(RELEASED / CLASSIFIER, spec.model_copy(update={"export": spec.export.model_copy(update={"fixed_point": fixed})}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", nargs="*", type=int, default=[6, 7, 8, 9, 10, 12, 14, 16])
    parser.add_argument("--cards", action="store_true")
    asked = parser.parse_args()
    widths = asked.widths
    with tempfile.TemporaryDirectory() as folder:
        scanned = scan(widths, Path(folder))
        agreed = agreement(max(widths), Path(folder))
    write(
        "hls.json",
        {
            "versions": about("hls4ml", "qonnx", "onnxruntime"),
            "table_entries": TABLE,
            "agreement": agreed,
            CLASSIFIER: scanned,
        },
    )
    if asked.cards:
        write_fixed_point(scanned, f"hls4ml {version('hls4ml')}")


if __name__ == "__main__":
    main()
