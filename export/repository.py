"""A model repository in Triton's layout, which Triton, KServe and ``zoo serve`` read.

    <repository>/kserve.yaml
    <repository>/<model>/config.pbtxt, <output>_labels.txt, warmup/<input>
    <repository>/<model>/<version>/model.onnx
    <repository>/<model>/<version>/model.json, ranges.npz, test_tensors.npz

One served model for each endpoint, named as on the wire: ``ive-pendulum.encode``. The spec and the test tensors of a version,
both of this endpoint alone, lie beside its graph. Triton looks for ``model.onnx`` there and at nothing else, and a version
appears with all that belongs to it by one rename. A version that is written anew changes places with the old one; where the
system cannot do that in one step, a kill in between leaves it under a hidden name, and the next export puts it back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from zoo.atomic import folder_beside, recover, replace_folder, write_whole
from zoo.errors import ExportError, ZooError, option
from zoo.export.kserve import check_address, write_kserve
from zoo.export.model_config import WARM_UP, check_config, model_config, read_config, same_tensors, write_config
from zoo.export.rows import sizes_of
from zoo.export.subset import with_endpoints, write_test_tensors
from zoo.export.targets import OPSET, TARGETS
from zoo.export.targets import check as check_target
from zoo.model.model_json import is_model_folder, read_spec, write_spec
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.spec import SERVED_GRAPH, TEST_TENSORS, Endpoint, File, ModelSpec, onnx_file, wire_name
from zoo.model.store import ModelFolder, locate
from zoo.model.test_tensors import read_test_tensors
from zoo.paths import user_path
from zoo.space import bytes_below, is_full, no_space

InstanceKind = Callable[[Path, Endpoint, Mapping[str, np.ndarray]], str]
"""Graph, description and rows of inputs of an endpoint -> Triton's word for where its instances run."""


@dataclass(frozen=True)
class Added:
    """A version that was added: the model's name on the wire, Triton's number, and the revision of its card."""

    model: str
    version: int
    revision: str
    folder: Path


def add_to_repository(
    name: str | Path,
    repository: str | Path,
    *,
    endpoints: Sequence[str] | None = None,
    opset: int = OPSET,
    storage_uri: str | None = None,
    overwrite: bool = False,
    instance_kind: InstanceKind | None = None,
) -> list[Added]:
    """Add the endpoints of a model to a model repository, which is made where there is none.

    Other models and versions stay as they are, and so does the configuration of a model that is there already, since people
    adapt it to their machines. A version appears whole or not at all, and so does a new model. A model whose graphs have the
    opset already is copied, each file checked by its sha256; of another the graphs are made anew, which takes Keras and
    TensorFlow and compares them with the model.

    Triton counts versions in whole numbers, the highest of which is the default. A revision that is such a number and is
    free becomes this version, any other the next number.

    Parameters
    ----------
    name : str or Path
        Name or folder of the model, as ``zoo.load`` takes it.
    endpoints : sequence of str, optional
        The endpoints that are added; all by default.
    opset : int
        Opset of the graphs.
    storage_uri : str, optional
        Address in ``kserve.yaml``, see ``zoo.export.kserve.write_kserve``.
    overwrite : bool
        Whether to write an existing version and the configuration anew.
    instance_kind : callable, optional
        Gives Triton's word for where an endpoint runs, of its graph, its description and some rows of its inputs, such as
        ``zoo.serving.placement.instance_kind``, which measures; by default Triton decides.

    Raises
    ------
    UnknownNameError
        No such model or endpoint.
    FullDiskError
        There is no space for it; nothing was added then.
    ExportError
        When a version is there already, is older than the highest there, or has other tensors; when a graph does not suit
        Triton, or the address is none: nothing was added then. Or when the repository cannot be written.
    """
    if storage_uri is not None:
        check_address(storage_uri)
    repository = user_path(repository).resolve()
    spec = locate(name).spec
    chosen = list(spec.endpoints) if endpoints is None else list(dict.fromkeys(endpoints))
    spec = with_endpoints(spec, chosen)
    written = 0
    try:
        places = {endpoint: _place(repository, spec, endpoint, overwrite) for endpoint in chosen}
        repository.parent.mkdir(parents=True, exist_ok=True)
        with (
            _graphs(name, chosen, opset) as source,
            folder_beside(repository) as stage,
        ):  # in it Triton would take it for a model
            try:
                for endpoint, place in places.items():
                    _build(source, endpoint, place, stage, instance_kind)
                repository.mkdir(parents=True, exist_ok=True)
                for place in places.values():
                    _publish(place, stage)
                write_kserve(repository, storage_uri)
            except OSError:
                written = bytes_below(stage)
                raise
    except OSError as error:
        if is_full(error):
            raise no_space(repository, written, error) from error
        raise ExportError(f"{repository} was not written: {error}") from error
    return [Added(place.model.name, place.version, spec.revision, place.folder) for place in places.values()]


def needs_conversion(name: str | Path, endpoints: Sequence[str] | None = None, opset: int = OPSET) -> bool:
    """Whether adding a model takes Keras, since its folder has no graphs of this opset."""
    spec = locate(name).spec
    return spec.export.opset != opset or any(spec.file(onnx_file(e)) is None for e in endpoints or spec.endpoints)


@dataclass(frozen=True)
class _Place:
    """Where a version goes."""

    model: Path
    version: int
    overwrite: bool
    """Whether the version, and with it the model's configuration, is to be written anew."""

    @property
    def folder(self) -> Path:
        return self.model / str(self.version)


def _place(repository: Path, spec: ModelSpec, endpoint: str, overwrite: bool) -> _Place:
    model = repository / wire_name(spec.name, endpoint)
    if not model.exists():
        return _Place(model, int(spec.revision) if _is_version(spec.revision) else 1, overwrite=False)
    recover(model)
    taken = {int(path.name): path for path in model.iterdir() if path.is_dir() and _is_version(path.name)}
    revisions: dict[int, str] = {}
    for number, path in taken.items():
        if is_model_folder(path):
            found = read_spec(path)
            if (found.name, list(found.endpoints)) != (spec.name, [endpoint]):
                raise ExportError(f"{path} holds {found.name}, {', '.join(found.endpoints)}: expected {spec.name}, {endpoint}")
            revisions[number] = found.revision
    if not revisions:
        raise ExportError(f"{model} holds no version with a spec: it is no model of ours, and is left alone")
    version = next((number for number, revision in revisions.items() if revision == spec.revision), None)
    if version is not None and not overwrite:
        raise ExportError(
            f"{model / str(version)} is {spec.name}@{spec.revision} already: write it anew with {option('overwrite')},"
            " or release a new revision"
        )
    if version is None:
        plain = int(spec.revision) if _is_version(spec.revision) else None
        version = plain if plain is not None and plain not in taken else max(taken) + 1
        for number, revision in revisions.items():
            if (number < version) != (_order(revision) < _order(spec.revision)):
                raise ExportError(
                    f"{model}: revision {spec.revision} would be version {version} beside revision {revision} as version"
                    f" {number}: Triton takes the highest number for the newest, so add revisions in their order"
                )
    config = model_config(spec.name, endpoint, spec.endpoints[endpoint])
    if not same_tensors(read_config(model), config) and taken.keys() != {version}:
        others = ", ".join(str(number) for number in sorted(taken.keys() - {version}))
        raise ExportError(
            f"{model}: {spec.name}@{spec.revision} has other tensors than its configuration, which version {others} needs:"
            " remove these versions, or use another repository"
        )
    return _Place(model, version, overwrite)


def _is_version(text: str) -> bool:
    """Whether Triton takes a folder of this name for a version: names that begin with 0 are ignored."""
    return text.isascii() and text.isdecimal() and not text.startswith("0")


def _order(revision: str) -> list[int]:
    return [int(part) for part in revision.split(".")]


@contextmanager
def _graphs(name: str | Path, endpoints: list[str], opset: int) -> Iterator[ModelFolder]:
    """The model's own folder where it has the graphs, else a fresh export."""
    if not needs_conversion(name, endpoints, opset):
        yield locate(name)
        return
    from zoo.export import export
    from zoo.loading import load

    with tempfile.TemporaryDirectory() as temporary:
        new = Path(temporary) / "export"
        export(load(name), new, opset=opset, endpoints=endpoints)
        yield locate(new)


def _build(source: ModelFolder, endpoint: str, place: _Place, stage: Path, instance_kind: InstanceKind | None) -> None:
    """All of a model's folder with this one version, in the staging folder."""
    spec = with_endpoints(source.spec, [endpoint])
    model = stage / place.model.name
    version = model / str(place.version)
    version.mkdir(parents=True)
    graph = OnnxBytes(source.folder / onnx_file(endpoint), source.read(onnx_file(endpoint)).getvalue())
    write_whole(version / SERVED_GRAPH, graph.content)
    write_test_tensors(source.read(TEST_TENSORS), version / TEST_TENSORS, spec)
    files = [File.of(version / name) for name in (SERVED_GRAPH, TEST_TENSORS)]
    if files[0].sha256 != getattr(source.spec.file(onnx_file(endpoint)), "sha256", None):
        raise ZooError(f"{version / SERVED_GRAPH} is not a whole copy: is the disk full?")
    write_spec(version, spec.model_copy(update={"files": files}))
    rows, _ = read_test_tensors(version / TEST_TENSORS, spec)[endpoint]
    described = spec.endpoints[endpoint]
    kind = "KIND_AUTO" if instance_kind is None else instance_kind(version / SERVED_GRAPH, described, rows)
    config = model_config(spec.name, endpoint, described, sizes_of(described, rows), kind)
    write_config(config, described, rows, model)
    check_config(model, version / SERVED_GRAPH)
    check_target(
        onnx.load(version / SERVED_GRAPH, load_external_data=False), TARGETS["triton"], f"{spec.name}, endpoint {endpoint!r}"
    )


def _publish(place: _Place, stage: Path) -> None:
    new = stage / place.model.name
    if not place.model.exists():
        new.rename(place.model)
        return
    version = new / place.folder.name
    if not place.folder.exists():
        version.rename(place.folder)
    elif place.overwrite:
        replace_folder(version, place.folder)
        version.rename(stage / f"{place.model.name}.old")  # away from the new files, which are the configuration's
    else:
        raise ExportError(f"{place.folder} has appeared meanwhile")
    if place.overwrite:
        _configure(place.model, new)


def _configure(model: Path, new: Path) -> None:
    """Bring what a configuration names before the configuration itself."""
    (model / WARM_UP).mkdir(exist_ok=True)
    loose = [path for path in new.rglob("*") if path.is_file()]
    for path in sorted(loose, key=lambda path: path.suffix == ".pbtxt"):
        path.replace(model / path.relative_to(new))
