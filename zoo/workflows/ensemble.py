"""A deep ensemble from trainings that are there already: a model folder like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError, ZooError, option
from zoo.families.state import apart
from zoo.model.license import UNKNOWN
from zoo.model.registry import get_family
from zoo.model.spec import LIBRARIES, Metric, ModelSpec
from zoo.model.store import ModelFolder, locate
from zoo.workflows.folder import revision_of, write_model_folder
from zoo.workflows.new_folder import new_folder, opened, shipped_inputs
from zoo.workflows.rows import own_rows
from zoo.workflows.verdict import beside_members, calibrated, say

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.families.base import ZooModel
    from zoo.families.ensemble import Ensemble

SAME = (
    "members are trainings that differ in the seed alone, so that ranges and scales measured on their rows are the same: "
    "finished runs of one recipe, or for a posterior of your own simulator train_npe with members=3"
)
"""What to do about members that differ otherwise."""


@apart()
def ensemble(
    models: Sequence[str | Path | ZooModel],
    *,
    folder: str | Path,
    like: str | Path | ZooModel | None = None,
    data: Any = None,
    metrics: Sequence[Metric] = (),
    overwrite: bool = False,
) -> ZooModel:
    """Write an ensemble of models of one family, config and first endpoint.

    It is judged beside its members on test rows, where there are some that no member was trained on. What came of it is
    printed, is ``spec.verdict``, and stands on the card.

    Parameters
    ----------
    models : sequence of str, Path or ZooModel
        At least two members, as ``zoo.load`` takes or returns them; or with ``like``, finished runs of its recipe, which are
        folders ``seed-<n>`` of ``zoo train`` and ``zoo release``.
    folder : str or Path
        The folder to be made. Its name is the ensemble's; under the name of its first member it is the next revision.
    like : str, Path or ZooModel, optional
        A model whose spec describes what the runs trained.
    data : path, mapping or Dataset, optional
        Rows to judge it on that are new to all members, as ``zoo.calibrate`` takes them, of which the test split, a fifth,
        counts; by default the members' own, where all held out the same and no simulation has to be run for them.
    metrics : sequence of Metric
        What else was measured of the ensemble on held-out data. Those of a member are not the ensemble's.
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
    found, figures, verdict = _judged(joined, spec, members, data)
    described = spec.model_copy(
        update={
            "name": name,
            "revision": revision_of(name, spec),
            "family": get_family(spec.family).ensemble_family,
            "config": joined.config,
            "summary": f"{spec.summary}; {len(models)} trainings together",
            "endpoints": endpoints,
            "data": spec.data.model_copy(update=_terms(members)),
            "metrics": [*metrics, *found],
            "limit": None,
            "notes": None,
            "verdict": verdict,
            "earlier_revisions": {},
            "lineage": None,
            "physzoo_version": version("physzoo"),
        }
    )
    shipped = shipped_inputs(source)[endpoint]
    rows = dict(zip((tensor.name for tensor in spec.endpoint(endpoint).inputs), shipped, strict=True))
    inputs = joined.example(rows, np.random.default_rng(0)) | {endpoint: shipped}
    prose = _prose(name, models, prints)
    write_model_folder(joined, described, path, inputs, figures=figures, prose=prose, overwrite=overwrite)
    written: ZooModel = load(path)
    say(verdict)
    return written


def _judged(
    joined: Ensemble, spec: ModelSpec, members: Sequence[ZooModel], data: Any
) -> tuple[list[Metric], dict[str, Figure], list[str]]:
    """Metrics, figures and verdict of an ensemble beside its members; a verdict alone where there are no rows for it."""
    from zoo.training.calibration import calibration_of
    from zoo.training.comparison import beside_members as compare

    joined.spec = spec  # by which rows are read; what is written has its own
    try:
        if data is None:
            _expect_one_split(members)
        (test,) = own_rows(joined, "test", data=data, simulate=False)
    except ZooError as error:
        if data is not None:
            raise
        return [], {}, [f"Calibrated or not, better than its members or not: not told. {error}."]
    calibration, figures = calibration_of(joined, test)
    metrics = compare(joined, test) + calibration
    return metrics, figures, [*calibrated(metrics), *beside_members(metrics)]


def _expect_one_split(members: Sequence[ZooModel]) -> None:
    """Refuse members of which one may have been trained on what another held out."""
    specs = [member.spec for member in members if hasattr(member, "spec")]  # finished runs of one recipe have none
    if any(one.data != specs[0].data for one in specs):
        raise InputError(
            f"Its members were trained on other rows, or held out others: no row is known that is new to all. Give some with"
            f" {option('data', 'FILE')}"
        )


def _terms(members: Sequence[ZooModel]) -> dict[str, str]:
    """Licenses and citations of the data of all members that are a user's; no license is known where one is not."""
    data = [member.spec.data for member in members if hasattr(member, "spec")]
    licenses = dict.fromkeys(one.license for one in data if one.license)
    citations = dict.fromkeys(one.citation for one in data if one.citation)
    license = UNKNOWN if UNKNOWN in licenses else "; ".join(licenses)
    return {key: text for key, text in (("license", license), ("citation", "; ".join(citations))) if text}


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
        if (unlike := _unlike(model.spec, spec, endpoint)) is not None:
            raise ZooError(f"{member}: {unlike}; {SAME}")
    if kind != (spec.family, spec.config):
        raise ZooError(f"{member}: expected family {spec.family} with config {spec.config}, given {kind[0]} with {kind[1]}")
    return model


def _unlike(member: ModelSpec, spec: ModelSpec, name: str) -> str | None:
    """What a member's endpoint has otherwise than that of the first, or nothing."""
    if name not in member.endpoints:
        return f"expected an endpoint {name!r} as {spec.name} has, given {', '.join(member.endpoints)}"
    own, first = member.endpoint(name), spec.endpoint(name)
    if own == first:
        return None
    tensors, expected = [*own.inputs, *own.outputs], [*first.inputs, *first.outputs]
    names = [tensor.name for tensor in expected]
    if [tensor.name for tensor in tensors] != names:
        return f"expected the tensors {', '.join(names)} of {spec.name}, given {', '.join(tensor.name for tensor in tensors)}"
    for tensor, other in zip(tensors, expected, strict=True):
        if fields := [field for field in type(tensor).model_fields if getattr(tensor, field) != getattr(other, field)]:
            return f"its {tensor.name} has another {', '.join(fields)} than that of {spec.name}"
    return f"its endpoint {name!r} is described otherwise than that of {spec.name}"


def _fingerprint(model: ZooModel) -> str:
    content = hashlib.sha256()
    for weight in model.get_weights():
        content.update(weight.tobytes())
    return content.hexdigest()
