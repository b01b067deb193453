"""A deep ensemble from trainings that are there already: a model folder like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import ZooError
from zoo.families.state import apart
from zoo.model.registry import get_family
from zoo.model.spec import LIBRARIES, Metric, ModelSpec
from zoo.model.store import ModelFolder, locate
from zoo.workflows.folder import revision_of, write_model_folder
from zoo.workflows.new_folder import new_folder, opened, shipped_inputs

if TYPE_CHECKING:
    from zoo.families.base import ZooModel
    from zoo.families.ensemble import Ensemble


@apart()
def ensemble(
    models: Sequence[str | Path | ZooModel],
    *,
    folder: str | Path,
    like: str | Path | ZooModel | None = None,
    metrics: Sequence[Metric] = (),
    overwrite: bool = False,
) -> ZooModel:
    """Write an ensemble of models of one family, config and first endpoint.

    Parameters
    ----------
    models : sequence of str, Path or ZooModel
        At least two members, as ``zoo.load`` takes or returns them; or with ``like``, finished runs of its recipe, which are
        folders ``seed-<n>`` of ``zoo train`` and ``zoo release``.
    folder : str or Path
        The folder to be made. Its name is the ensemble's; under the name of its first member it is the next revision.
    like : str, Path or ZooModel, optional
        A model whose spec describes what the runs trained.
    metrics : sequence of Metric
        What was measured of the ensemble on held-out data. There is none by default: those of a member are not the ensemble's.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced.

    Returns
    -------
    ZooModel
        The ensemble, as ``zoo.load(folder)`` gives it.

    Raises
    ------
    ZooError
        There are fewer than two members, the same twice, they are not of one kind, or of one that is not averaged; or a
        released model has the folder's name.
    ExportError, ParityError
        The folder exists, or the ensemble cannot be exported.

    Examples
    --------
    >>> together = ensemble(["first", "second", "third"], folder="my-ensemble")  # doctest: +SKIP
    """
    from zoo.loading import load

    path, name = new_folder(folder, overwrite)
    if len(models) < 2:
        raise ZooError(f"an ensemble takes at least two members, given {len(models)}")
    source = _folder(models[0] if like is None else like)
    spec, endpoint = source.spec, next(iter(source.spec.endpoints))
    members = [_member(model, spec, endpoint, run=like is not None) for model in models]
    prints = [_fingerprint(member) for member in members]
    if len(set(prints)) < len(prints):
        raise ZooError(f"members {[i for i, one in enumerate(prints) if prints.count(one) > 1]} have the same weights")
    joined = _joined(spec, members)
    endpoints = {one: joined.described(one, spec.endpoint(one)) for one in joined.endpoints if one in spec.endpoints}
    described = spec.model_copy(
        update={
            "name": name,
            "revision": revision_of(name, spec),
            "family": get_family(spec.family).ensemble_family,
            "config": joined.config,
            "summary": f"{spec.summary}; {len(models)} trainings together",
            "endpoints": endpoints,
            "metrics": list(metrics),
            "limit": None,
            "notes": None,
            "verdict": None,
            "earlier_revisions": {},
            "lineage": None,
            "physzoo_version": version("physzoo"),
        }
    )
    shipped = shipped_inputs(source)[endpoint]
    rows = dict(zip((tensor.name for tensor in spec.endpoint(endpoint).inputs), shipped, strict=True))
    inputs = joined.example(rows, np.random.default_rng(0)) | {endpoint: shipped}
    write_model_folder(joined, described, path, inputs, prose=_prose(name, models, prints), overwrite=overwrite)
    written: ZooModel = load(path)
    return written


def _folder(model: Any) -> ModelFolder:
    """The folder of a member by name, or of one that is loaded."""
    return locate(model) if isinstance(model, str | Path) else opened(model)[1]


def _joined(spec: ModelSpec, members: Sequence[ZooModel]) -> Ensemble:
    """One model that holds all members; ZooError for a kind that is not averaged."""
    try:
        family = get_family(get_family(spec.family).ensemble_family)
        joined: Any = family(member=spec.family, config=spec.config, count=len(members))
    except ValueError as error:
        raise ZooError(f"{spec.name}: {error}") from error
    for place, member in zip(joined.members, members, strict=True):
        place.set_weights(member.get_weights())
    return joined


def _prose(name: str, models: Sequence[Any], prints: Sequence[str]) -> str:
    called = [str(model) if isinstance(model, str | Path) else model.spec.name for model in models]
    table = "".join(f"| `{model}` | {one} |\n" for model, one in zip(called, prints, strict=True))
    return f"# {name}\n\n## Members\n\n| Member | sha256 of its weights |\n| --- | --- |\n{table}"


def _member(member: Any, spec: ModelSpec, endpoint: str, *, run: bool) -> ZooModel:
    """A member's network, of the family and config of the spec; ZooError for another."""
    if run:
        from zoo.training.checkpoint import trained_model

        model, settings = trained_model(Path(member))
        kind = settings["family"], settings["config"]
    else:
        model, _ = opened(member)
        if model.library != "keras":
            raise ZooError(
                f"{member}: expected a Keras model, given {type(model).__name__} of {LIBRARIES[model.library]}:"
                " train more trees in one model instead (zoo train)"
            )
        kind = model.spec.family, model.spec.config
        if model.spec.endpoints.get(endpoint) != spec.endpoint(endpoint):
            raise ZooError(f"{member}: its endpoint {endpoint!r} has other tensors than that of {spec.name}")
    if kind != (spec.family, spec.config):
        raise ZooError(f"{member}: expected family {spec.family} with config {spec.config}, given {kind[0]} with {kind[1]}")
    return model


def _fingerprint(model: ZooModel) -> str:
    content = hashlib.sha256()
    for weight in model.get_weights():
        content.update(weight.tobytes())
    return content.hexdigest()
