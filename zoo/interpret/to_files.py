"""Explanations as files: arrays for scripts, a figure for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zoo.data.cmb.planck import read_planck
from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.interpret.attribution import explain
from zoo.interpret.latent_report import ROWS, LatentReport, relate_latents
from zoo.interpret.latents import sample, traverse
from zoo.loading import read_test_tensors
from zoo.npz import read_npz
from zoo.reading import read_inputs, write_outputs
from zoo.spec import TEST_TENSORS, ModelSpec

DRAWN = 64
"""Samples of the posterior of each test row."""
TRAVERSAL, LATENTS = "traversal", "latents"


def explain_to_files(
    model: ZooModel,
    out: Path,
    *,
    file: Path | None = None,
    planck: Path | None = None,
    method: str | None = None,
    target: int = 0,
) -> list[Path]:
    """Explain a loaded model on a file, on Planck's spectra or on its shipped test rows.

    Parameters
    ----------
    method : an attribution method, or "traversal"; by default a traversal where the model has latents to decode, else
        integrated gradients

    Returns
    -------
    Paths of the ``.npz`` and the ``.png``.
    """
    from zoo.interpret import plots

    if method is None:
        method = TRAVERSAL if "decode" in model.endpoints else "integrated_gradients"
    arrays, picture = _paths(model, out, method)
    if method == TRAVERSAL:
        traversal = traverse(model, drawn=_drawn(model))
        write_outputs(arrays, traversal.arrays())
        plots.latent_traversal(traversal).savefig(picture, dpi=120)
        return [arrays, picture]
    if planck is not None and file is not None:
        raise InputError("give --planck or --input, not both")
    if planck is not None:
        inputs = {"spectrum": read_planck(planck).d_ell[None]}
    elif model.folder is not None:
        inputs = read_inputs(model.folder, model.spec.default_endpoint, file)
    else:
        raise InputError("the model was not loaded by zoo.load, so that it has no test rows: give a file")
    explanation = explain(model, inputs, method=method, target=target)
    explanation.save(arrays)
    explanation.plot().savefig(picture, dpi=120)
    return [arrays, picture]


def _drawn(model: ZooModel) -> np.ndarray | None:
    """Samples of the latents of the test rows that came with the model, None for one without."""
    if model.folder is None or "encode" not in model.spec.endpoints:
        return None
    _, outputs = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec)["encode"]
    if not {"mean", "log_variance"} <= outputs.keys():
        return None
    mean, log_variance = (np.repeat(outputs[name], DRAWN, axis=0) for name in ("mean", "log_variance"))
    return sample(mean, log_variance)


def latents_to_files(
    model: ZooModel, data: Rows, out: Path, *, quantities: Sequence[str] | None = None, rows: int = ROWS
) -> tuple[LatentReport, list[Path]]:
    """Relate the latents of a model to the truth of a data set, as `zoo.interpret.relate_latents` does.

    Returns
    -------
    The report, and the paths of the ``.json``, the ``.npz`` and the ``.png``.
    """
    report = relate_latents(model, data, quantities=quantities, rows=rows)
    arrays, picture = _paths(model, out, LATENTS)
    saved = [report.save(arrays.with_name(f"{arrays.stem}.json")), report.save(arrays)]
    report.plot().savefig(picture, dpi=120)
    return report, [*saved, picture]


def rows_from_file(spec: ModelSpec, file: Path) -> Rows:
    """A ``.npz`` of a user's own: inputs of ``encode`` under their names; every other array (n,) is a quantity."""
    arrays = read_npz(file)
    names = [tensor.name for tensor in spec.endpoint("encode").inputs]
    inputs = {name: arrays.pop(name) for name in names if name in arrays}
    first = next(iter(inputs.values()), np.empty(0))
    return Rows(inputs=inputs, target=first, group=np.arange(len(first)), truth=arrays)


def _paths(model: ZooModel, out: Path, method: str) -> tuple[Path, Path]:
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{model.spec.name}-{method.replace('_', '-')}"
    return out / f"{stem}.npz", out / f"{stem}.png"
