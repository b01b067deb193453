"""Explanations as files: arrays for scripts, a figure for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo.data.cmb.planck import read_planck
from zoo.data.dataset import Rows
from zoo.errors import ExplanationError, InputError
from zoo.families.base import ZooModel
from zoo.interpret.attribution.activation_maximization import maximise_activation
from zoo.interpret.attribution.activations import embed, feature_maps
from zoo.interpret.attribution.dependence import partial_dependence
from zoo.interpret.attribution.explain import WITHOUT_GRADIENTS, explain
from zoo.interpret.attribution.grad_cam import convolution
from zoo.interpret.attribution.importance import impurity_importance, permutation_importance
from zoo.interpret.latents.report import ROWS, LatentReport, relate_latents
from zoo.interpret.latents.traversal import sample, traverse
from zoo.interpret.methods import ATTRIBUTION, OPTIONS, WITHOUT_ROWS, given_options
from zoo.interpret.trust.deletion import deletion_insertion
from zoo.interpret.trust.randomization import randomisation_check
from zoo.interpret.trust.rank_agreement import agreement, stability
from zoo.loading import read_test_tensors
from zoo.model.array_files import read_inputs
from zoo.model.spec import TEST_TENSORS, ModelSpec
from zoo.model.test_tensors import read_npz

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DRAWN = 64
"""Samples of the posterior of each test row."""
TRAVERSAL, LATENTS = "traversal", "latents"


def explain_to_files(
    model: Any,
    out: Path,
    *,
    file: Path | None = None,
    planck: Path | None = None,
    method: str | None = None,
    data: Callable[[], Rows] | None = None,
    **options: Any,
) -> list[Path]:
    """Explain a loaded model on a file, on Planck's spectra, on its shipped test rows or on rows of a data set.

    Parameters
    ----------
    method : one of `zoo.interpret.methods`, latents apart; by default a traversal where the model has latents to decode, else
        integrated gradients
    data : makes rows with truth, for the methods that ask many rows of a data set
    options : of the method, as ``OPTIONS`` of `zoo.interpret.methods` says; None is as good as none

    Returns
    -------
    Paths of the ``.npz`` and the ``.png``.

    Raises
    ------
    UnknownNameError, InputError, ExplanationError
        No such method; what it needs and the model, the rows or the options do not have.
    """
    if method is None:
        method = TRAVERSAL if "decode" in model.endpoints else "integrated_gradients"
    given = given_options(method, options)
    if method in WITHOUT_ROWS and (file is not None or planck is not None):
        rows = "input" if planck is None else "planck"
        raise InputError(f"--method {method} asks the model alone: leave out --{rows}, or choose a --method that takes rows")
    if method in OPTIONS["rows"]:
        if data is None:
            raise InputError(f"--method {method} needs rows of a data set, and none are given")
        result = _global(model, method, data, given)
    elif method == "impurity_importance":
        result = impurity_importance(model)
    elif method == "activation_maximisation":
        result = maximise_activation(model, **given)
    elif method == TRAVERSAL:
        result = traverse(model, drawn=_drawn(model))
    else:
        endpoint = given.get("endpoint", model.spec.default_endpoint)
        result = _local(model, method, _inputs(model, endpoint, file, planck), given)
    arrays, picture = _paths(model, out, method)
    result.save(arrays)
    result.plot().savefig(picture, dpi=120)
    return [arrays, picture]


class _Saved(Protocol):
    def save(self, path: Path) -> Path: ...

    def plot(self) -> Figure: ...


def _inputs(model: Any, endpoint: str, file: Path | None, planck: Path | None) -> dict[str, np.ndarray]:
    if planck is not None and file is not None:
        raise InputError("give --planck or --input, not both")
    if planck is not None:
        return {"spectrum": read_planck(planck).d_ell[None]}
    if model.folder is None:
        raise InputError("the model was not loaded by zoo.load, so that it has no test rows: give a file")
    return read_inputs(model.folder, endpoint, file)


def _local(model: Any, method: str, inputs: dict[str, np.ndarray], options: dict[str, Any]) -> _Saved:
    """What is made of given rows."""
    of = options.pop("of", "integrated_gradients" if getattr(model, "no_gradient", None) is None else "occlusion")
    match method:
        case "feature_maps":
            return feature_maps(model, inputs, **options)
        case "randomisation":
            return randomisation_check(model, inputs, method=of, **options)
        case "stability":
            return stability(model, inputs, method=of, **options)
        case "deletion_insertion":
            return deletion_insertion(model, explain(model, inputs, method=of, **options))
        case "agreement":
            return agreement([explain(model, inputs, method=one, **options) for one in _possible(model)])
        case _:
            return explain(model, inputs, method=method, **options)


def _possible(model: Any) -> list[str]:
    """Attribution methods that the model allows."""
    found = [method for method in ATTRIBUTION if method in WITHOUT_GRADIENTS or not getattr(model, "no_gradient", None)]
    try:
        convolution(model)
    except ExplanationError:
        found = [method for method in found if method != "grad_cam"]
    return found


def _global(model: Any, method: str, make: Callable[[], Rows], options: dict[str, Any]) -> _Saved:
    """What is made of many rows."""
    endpoint = options.get("endpoint", model.spec.default_endpoint)
    model.spec.endpoint(endpoint)  # an unknown name is said before rows are made
    if method == "permutation_importance" and model.answers_with == "log density":
        raise ExplanationError(
            f"permutation_importance compares answers with the truth, and {model.spec.name} answers with a log density:"
            " partial_dependence and occlusion need no truth"
        )
    data = make()
    tensors = model.example(data.inputs, np.random.default_rng(0))[endpoint]
    names = [tensor.name for tensor in model.spec.endpoint(endpoint).inputs]
    inputs = dict(zip(names, map(np.asarray, tensors), strict=True))
    match method:
        case "permutation_importance":
            if data.target is next(iter(data.inputs.values())):
                raise InputError("--method permutation_importance needs what the model should answer: an array named target")
            truth, target = np.asarray(data.target).reshape(len(data), -1), options.get("target", 0)
            if not 0 <= target < truth.shape[1]:
                raise InputError(f"target: expected 0 to {truth.shape[1] - 1}, given {target}")
            return permutation_importance(model, inputs, truth[:, target], allow_out_of_range=True, **options)
        case "partial_dependence":
            return partial_dependence(model, inputs, allow_out_of_range=True, **options)
        case _:
            return embed(model, inputs, method=method, truth=data.truth, allow_out_of_range=True, **options)


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


def rows_from_file(spec: ModelSpec, file: Path, endpoint: str = "encode") -> Rows:
    """A ``.npz`` of a user's own: inputs of an endpoint under their names; ``target``, what it should answer; every other array
    (n,) is a quantity.
    """
    arrays = read_npz(file)
    names = [tensor.name for tensor in spec.endpoint(endpoint).inputs]
    if missing := [name for name in names if name not in arrays]:
        raise InputError(f"{file}: expected the arrays {', '.join(names)}, given none named {', '.join(missing)}")
    inputs = {name: arrays.pop(name) for name in names}
    first = next(iter(inputs.values()))
    return Rows(inputs=inputs, target=arrays.pop("target", first), group=np.arange(len(first)), truth=arrays)


def _paths(model: ZooModel, out: Path, method: str) -> tuple[Path, Path]:
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{model.spec.name}-{method.replace('_', '-')}"
    return out / f"{stem}.npz", out / f"{stem}.png"
