"""Where served models come from: released names, model folders, and folders of many models.

Each version of each served model becomes one ``Found``, which says how to get at its files and when they changed; nothing
is loaded here. A new layout is one more function that yields these.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zoo.errors import IntegrityError
from zoo.model.integrity import checked
from zoo.model.model_json import described_in, is_model_folder, read_spec
from zoo.model.spec import SERVED_GRAPH, TEST_TENSORS, ModelSpec, onnx_file, wire_name
from zoo.model.store import ModelFolder, locate
from zoo.serving.batching import Policy
from zoo.serving.session import graph_file

CONFIG = "config.pbtxt"


@dataclass(frozen=True, eq=False)
class Found:
    """One version of one served model.

    Attributes
    ----------
    name, version : str
        The name and version under which it is served.
    spec : ModelSpec
        The model.
    endpoint : str
        The endpoint that is served.
    graph, tensors : callable
        What gives the ONNX file and the test tensors once their sha256 agreed, and IntegrityError otherwise.
    stamp : tuple
        What changes when the files do.
    policy : Policy, optional
        How its configuration batches it; None for the server's policy.
    """

    name: str
    version: str
    spec: ModelSpec
    endpoint: str
    graph: Callable[[], Path]
    tensors: Callable[[], Path]
    stamp: tuple[object, ...]
    policy: Policy | None = None


@dataclass(frozen=True)
class Broken:
    """A folder that should hold a model and does not."""

    name: str
    version: str
    reason: IntegrityError
    stamp: tuple[object, ...]


def look(source: str | Path, policy: Policy) -> Iterator[Found | Broken]:
    """The models of one source: whatever ``zoo.model.store.locate`` finds, or a folder of models.

    A folder without a model.json or a README.md is a folder of models: each of its folders in Triton's layout
    (``config.pbtxt``, and ``<version>/model.onnx``) is one served model, and each that holds a model its endpoints.

    Parameters
    ----------
    source : str or Path
        The place to look in.
    policy : Policy
        How models are batched whose configuration does not say.

    Yields
    ------
    Found or Broken
        One version of one served model.

    Raises
    ------
    UnknownNameError
        There is no such model.
    IntegrityError
        The one spec asked for cannot be read, or nothing is in the folder.
    """
    folder = _folder_of_models(source)
    if folder is None:
        yield from _endpoints(locate(source))
        return
    children = [child for child in sorted(folder.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    for child in children:
        if not child.resolve().is_relative_to(folder.resolve()):
            yield Broken(child.name, "", IntegrityError(f"{child} is a link that leaves {folder}"), ())
        elif (child / CONFIG).is_file():
            yield from _triton(child, policy)
        elif is_model_folder(child):
            try:
                yield from _endpoints(locate(child))
            except IntegrityError as error:
                yield Broken(child.name, "", error, _stamp(described_in(child)))


def _folder_of_models(source: str | Path) -> Path | None:
    text = os.fspath(source)
    if text.startswith("hf://") or not (isinstance(source, Path) or "/" in text or os.sep in text or text[:1] in (".", "~")):
        return None
    folder = Path(text).expanduser()
    return folder if folder.is_dir() and not is_model_folder(folder) else None


def _endpoints(folder: ModelFolder) -> Iterator[Found]:
    spec = folder.spec
    for endpoint in spec.endpoints:
        files = [described_in(folder.folder), *(folder.folder / name for name in (onnx_file(endpoint), TEST_TENSORS))]
        yield Found(
            wire_name(spec.name, endpoint),
            spec.revision,
            spec,
            endpoint,
            partial(graph_file, folder, endpoint),
            partial(folder.path, TEST_TENSORS),
            _stamp(*files),
        )


def _triton(folder: Path, policy: Policy) -> Iterator[Found | Broken]:
    """A model in Triton's layout; the spec and the test tensors of a version lie beside its graph."""
    config, versions = folder / CONFIG, _versions(folder)
    try:
        from google.protobuf.text_format import ParseError

        from zoo.serving.messages import read_config
    except ImportError as error:
        raise ImportError(f"{config} is read with protobuf: pip install 'physzoo[serve]'") from error
    try:
        described = read_config(config.read_text())
    except (ParseError, UnicodeDecodeError, OSError) as error:
        yield Broken(folder.name, "", IntegrityError(f"{config}: {error}"), _stamp(config))
        return
    if described.name not in ("", folder.name):
        reason = IntegrityError(f"{config} names the model {described.name!r}, its folder {folder.name!r}: make the two agree")
        yield Broken(folder.name, "", reason, _stamp(config))
        return
    policy = Policy(
        max_batch=described.max_batch_size or 1,
        max_delay=described.dynamic_batching.max_queue_delay_microseconds / 1e6,
        max_queue=policy.max_queue,
        instances=sum(group.count or 1 for group in described.instance_group) or policy.instances,
        device=_device(described),
    )
    kept = _kept(versions, described.version_policy)
    if not kept:
        reason = IntegrityError(f"{folder} holds no version: expected {folder.name}/1/{SERVED_GRAPH}")
        yield Broken(folder.name, "", reason, _stamp(config))
    for version in kept:
        yield _triton_version(folder, version, policy)


def _device(described: object) -> str | None:
    """Where the instance groups of a configuration put a model; None where they leave it to the server."""
    kinds = {group.Kind.Name(group.kind): list(group.gpus) for group in described.instance_group}  # type: ignore[attr-defined]
    if set(kinds) == {"KIND_CPU"}:
        return "cpu"
    if set(kinds) == {"KIND_GPU"}:
        gpus = kinds["KIND_GPU"]
        return f"cuda:{gpus[0]}" if len(gpus) == 1 else "cuda"
    return None


def _triton_version(folder: Path, version: str, policy: Policy) -> Found | Broken:
    place = folder / version
    described, tensors, graph = described_in(place), place / TEST_TENSORS, place / SERVED_GRAPH
    stamp = _stamp(graph, described, tensors, folder / CONFIG)
    try:
        spec = read_spec(place)
        names = {wire_name(spec.name, endpoint): endpoint for endpoint in spec.endpoints}
        if folder.name not in names:
            raise IntegrityError(f"{described} describes {', '.join(names)}; expected the model of its folder, {folder.name}")
    except IntegrityError as error:
        return Broken(folder.name, version, error, stamp)
    endpoint = names[folder.name]

    def found(local: Path) -> Path:
        file = spec.file(local.name)
        if file is None:
            raise IntegrityError(f"{described} lists no {local.name}: export the model again")
        return checked(local, file, folder)

    return Found(
        folder.name,
        version,
        spec,
        endpoint,
        partial(found, graph),
        partial(found, tensors),
        stamp,
        policy,
    )


def _versions(folder: Path) -> list[str]:
    """Names of its version folders, as Triton takes them: whole numbers without a leading zero."""
    return sorted((c.name for c in folder.iterdir() if re.fullmatch(r"[1-9][0-9]{0,17}", c.name) and c.is_dir()), key=int)


def _kept(versions: Sequence[str], policy: object) -> Sequence[str]:
    """The versions that Triton's version policy serves; by default the latest one."""
    kind = policy.WhichOneof("policy_choice")  # type: ignore[attr-defined]
    if kind == "all":
        return versions
    if kind == "specific":
        wanted = set(policy.specific.versions)  # type: ignore[attr-defined]
        return [version for version in versions if int(version) in wanted]
    return versions[-(policy.latest.num_versions or 1) :]  # type: ignore[attr-defined]


def _stamp(*files: Path) -> tuple[object, ...]:
    found: list[object] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append((str(file), None))
        else:
            found.append((str(file), status.st_mtime_ns, status.st_size, status.st_ino, stat.S_IFMT(status.st_mode)))
    return tuple(found)
