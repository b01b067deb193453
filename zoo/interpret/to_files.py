"""Explanations as files: arrays for scripts, a figure for people."""

from __future__ import annotations

from pathlib import Path

from zoo.data.cmb.planck import read_planck
from zoo.errors import InputError
from zoo.families.base import ZooModel
from zoo.interpret.attribution import explain
from zoo.interpret.latents import traverse
from zoo.reading import read_inputs, write_outputs

TRAVERSAL = "traversal"


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
    out.mkdir(parents=True, exist_ok=True)
    stem = out / f"{model.spec.name}-{method.replace('_', '-')}"
    arrays, picture = stem.with_suffix(".npz"), stem.with_suffix(".png")
    if method == TRAVERSAL:
        traversal = traverse(model)
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
