"""A deep ensemble from trainings that are there already: a model folder like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import ZooError
from zoo.model.registry import get_family
from zoo.model.spec import LIBRARIES, TEST_TENSORS, Endpoint, Metric, ModelSpec
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.workflows.folder import revision_of, write_model_folder

if TYPE_CHECKING:
    from zoo.families.base import ZooModel


def build_ensemble(
    members: Sequence[str | Path],
    folder: str | Path,
    *,
    name: str | None = None,
    like: str | Path | None = None,
    metrics: Sequence[Metric] = (),
    overwrite: bool = False,
) -> ModelFolder:
    """Write an ensemble of models of one family, config and first endpoint.

    Parameters
    ----------
    members : at least two, as ``zoo.load`` takes them; or with ``like``, finished runs of its recipe (folders ``seed-<n>`` of
        ``zoo train`` and ``zoo release``)
    folder : to be made
    name : of the ensemble; by default that of the first member, or of ``like``, with ``-ensemble``. Under their own name it is
        the next revision
    like : a model whose card describes what the runs trained
    metrics : of the ensemble, measured on held-out data. By default none: those of a member are not the ensemble's

    Raises
    ------
    ZooError
        When there are fewer than two members, the same twice, they are not of one kind, or of one that is not averaged.
    ExportError, ParityError
        When the ensemble cannot be exported.
    """
    if len(members) < 2:
        raise ZooError(f"an ensemble takes at least two members, given {len(members)}")
    source = locate(members[0] if like is None else like)
    spec, endpoint = source.spec, next(iter(source.spec.endpoints))
    loaded = [_member(member, spec, endpoint, run=like is not None) for member in members]
    prints = [_fingerprint(model) for model in loaded]
    if len(set(prints)) < len(prints):
        raise ZooError(f"members {[i for i, one in enumerate(prints) if prints.count(one) > 1]} have the same weights")
    config = {"member": spec.family, "config": spec.config, "count": len(members)}
    try:
        ensemble = get_family("ensemble")(**config)
    except ValueError as error:
        raise ZooError(f"{spec.name}: {error}") from error
    for place, model in zip(ensemble.members, loaded, strict=True):
        place.set_weights(model.get_weights())
    called = name or f"{spec.name}-ensemble"
    described = spec.model_copy(
        update={
            "name": called,
            "revision": revision_of(called, spec),
            "family": "ensemble",
            "config": config,
            "summary": f"{spec.summary}; {len(members)} trainings together",
            "endpoints": {endpoint: _described(spec.endpoint(endpoint), ensemble)},
            "metrics": list(metrics),
            "earlier_revisions": {},
            "lineage": None,
            "physzoo_version": version("physzoo"),
        }
    )
    inputs, _ = read_test_tensors(source.path(TEST_TENSORS), spec)[endpoint]
    rows = {endpoint: tuple(inputs[tensor.name] for tensor in spec.endpoint(endpoint).inputs)}
    table = "".join(f"| `{member}` | {one} |\n" for member, one in zip(members, prints, strict=True))
    prose = f"# {described.name}\n\n## Members\n\n| Member | sha256 of its weights |\n| --- | --- |\n{table}"
    write_model_folder(ensemble, described, Path(folder), rows, prose=prose, overwrite=overwrite)
    return locate(Path(folder))


def _member(member: str | Path, spec: ModelSpec, endpoint: str, *, run: bool) -> ZooModel:
    if run:
        from zoo.training.checkpoint import trained_model

        model, settings = trained_model(Path(member))
        kind = settings["family"], settings["config"]
    else:
        from zoo.loading import load

        model = load(member)
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


def _described(endpoint: Endpoint, ensemble: ZooModel) -> Endpoint:
    """The member's endpoint, with the deviation of answers that were numbers."""
    outputs = endpoint.outputs
    if ensemble.kind == "number":  # type: ignore[attr-defined]
        (answer,) = outputs
        deviation = answer.model_copy(
            update={
                "name": f"{answer.name}_deviation",
                "description": f"standard deviation of {answer.name} among members",
                "low": None,
                "high": None,
            }
        )
        outputs = [answer, deviation]
    return endpoint.model_copy(update={"outputs": outputs, "description": f"{endpoint.description}; mean of the members"})
