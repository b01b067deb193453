"""Where served models come from: released names, model folders, and folders of many models.

Each version of each served model becomes one ``Found``, which says how to get at its files and when they changed; nothing
is loaded here. A new layout is one more function that yields these.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, ZooError
from zoo.model import registry
from zoo.model.integrity import InMemory, read, read_bounded
from zoo.model.model_json import MAX_BYTES, described_in, read_spec
from zoo.model.onnx_bytes import OnnxBytes
from zoo.model.spec import CARD, SERVED_GRAPH, SPEC, TEST_TENSORS, File, ModelSpec, onnx_file, wire_name
from zoo.model.store import ModelFolder, locate
from zoo.paths import user_path
from zoo.serving.batching import Policy
from zoo.serving.session import graph_of

CONFIG = "config.pbtxt"
_CONFIG_BYTES = 2**20
UNREADABLE = (ZooError, OSError, ValueError, RuntimeError)
"""What reading a folder may raise: Python 3.11 raises RuntimeError for links in a circle."""


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
    folder : Path
        The folder of this version.
    graph, tensors : callable
        What gives the ONNX graph and the file of test tensors that their sha256 say, and IntegrityError otherwise.
    stamp : tuple
        What changes when the files do.
    policy : Policy, optional
        How its configuration batches it; None for the server's policy.
    named : bool
        Whether it was asked for itself, rather than found in a folder of models.
    released : bool
        Whether the hashes of its files came with physzoo, rather than with the files.
    """

    name: str
    version: str
    spec: ModelSpec
    endpoint: str
    folder: Path
    graph: Callable[[], OnnxBytes]
    tensors: Callable[[], InMemory]
    stamp: tuple[object, ...]
    policy: Policy | None = None
    named: bool = False
    released: bool = False


@dataclass(frozen=True)
class Broken:
    """What should hold a model, or many, and does not."""

    name: str
    version: str
    reason: ZooError
    stamp: tuple[object, ...]
    folder: Path


def look(source: str | Path, policy: Policy) -> Iterator[Found | Broken]:
    """The models of one source: whatever ``zoo.model.store.locate`` finds, or a folder of models.

    A folder that is no model itself is a folder of models: each of its folders in Triton's layout (``config.pbtxt``, and
    ``<version>/model.onnx``) is one served model, and each that holds a model its endpoints. What lies there and cannot be read
    is ``Broken`` and keeps nothing else from being found.

    Parameters
    ----------
    source : str or Path
        The place to look in. A name that no model has may be that of a folder here.
    policy : Policy
        How models are batched whose configuration does not say.

    Yields
    ------
    Found or Broken
        One version of one served model.

    Raises
    ------
    UnknownNameError
        There is no such model and no such folder.
    IntegrityError
        The one spec asked for cannot be read.
    OSError
        The folder of models cannot be read.

    Warns
    -----
    UserWarning
        The name is that of a model and of a folder; the model is served.
    """
    place = _place(source)
    if isinstance(place, str) or _holds_model(place) or not place.is_dir():
        yield from _endpoints(locate(place), named=True)
        return
    if (place / CONFIG).is_file():
        yield from _triton(place.absolute(), policy)
        return
    for child in sorted(place.iterdir()):
        if child.name.startswith("."):
            continue
        try:
            yield from list(_child(child, place, policy))
        except UNREADABLE as error:
            yield _broken(child.name, "", child, error, child / CONFIG)


def _place(source: str | Path) -> str | Path:
    """The name or address of a model as it is, else the path."""
    text = os.fspath(source)
    if text.startswith("hf://"):
        return text
    if isinstance(source, Path) or "/" in text or os.sep in text or text[:1] in (".", "~"):
        return user_path(text)
    if not os.path.isdir(text):
        return text
    try:
        registry.find_folder(registry.current_name(text))
    except ZooError:
        return Path(text)
    warnings.warn(
        f"{text!r} is a model that zoo list shows; to serve the folder of that name write {'./' + text!r}", stacklevel=2
    )
    return text


def _holds_model(folder: Path) -> bool:
    """Whether a folder holds a model; a README.md that is no card of format 1 may lie anywhere."""
    if (folder / SPEC).is_file():
        return True
    card = folder / CARD
    return card.is_file() and re.search(rb"^physzoo:", read_bounded(card, MAX_BYTES), re.MULTILINE) is not None


def _child(child: Path, root: Path, policy: Policy) -> Iterator[Found | Broken]:
    """What one entry of a folder of models holds; errors of the file system pass through."""
    if not stat.S_ISDIR(child.stat().st_mode):
        return
    if not child.resolve().is_relative_to(root.resolve()):
        raise IntegrityError(f"{child} is a link that leaves {root}")
    entries = os.listdir(child)
    if CONFIG in entries:
        yield from _triton(child, policy)
    elif _holds_model(child):
        yield from _endpoints(locate(child))


def _endpoints(folder: ModelFolder, *, named: bool = False) -> Iterator[Found]:
    spec = folder.spec
    for endpoint in spec.endpoints:
        files = [described_in(folder.folder), *(folder.folder / name for name in (onnx_file(endpoint), TEST_TENSORS))]
        yield Found(
            wire_name(spec.name, endpoint),
            spec.revision,
            spec,
            endpoint,
            folder.folder,
            partial(graph_of, folder, endpoint),
            partial(folder.read, TEST_TENSORS),
            _stamp(*files),
            named=named,
            released=folder.released,
        )


def _triton(folder: Path, policy: Policy) -> Iterator[Found | Broken]:
    """A model in Triton's layout; the spec and the test tensors of a version lie beside its graph."""
    config, versions = folder / CONFIG, _versions(folder)
    described = _described(config)
    if described.name not in ("", folder.name):
        raise IntegrityError(f"{config} names the model {described.name!r}, its folder {folder.name!r}: make the two agree")
    if not versions:
        raise IntegrityError(f"{folder} holds no version: expected {folder.name}/1/{SERVED_GRAPH}")
    policy = Policy(
        max_batch=described.max_batch_size or 1,
        max_rows=described.max_batch_size or None,
        max_delay=described.dynamic_batching.max_queue_delay_microseconds / 1e6,
        max_queue=policy.max_queue,
        instances=sum(group.count or 1 for group in described.instance_group) or policy.instances,
        device=_device(described),
    )
    for version in _kept(versions, described.version_policy):
        try:
            if version not in versions:
                there = ", ".join(versions)
                raise IntegrityError(f"{config}: its version_policy names version {version}, {folder} holds {there}")
            yield _triton_version(folder, version, policy)
        except UNREADABLE as error:
            place = folder / version
            yield _broken(folder.name, version, place, error, config, *(place / name for name in (SERVED_GRAPH, TEST_TENSORS)))


def _described(config: Path) -> Any:
    """Triton's message in a config.pbtxt; IntegrityError where it is none."""
    try:
        from google.protobuf.text_format import ParseError

        from zoo.serving.messages import read_config
    except ImportError as error:
        raise IntegrityError(f"{config} is read with protobuf: pip install 'physzoo[serve]'") from error
    try:
        described = read_config(read_bounded(config, _CONFIG_BYTES).decode())
    except (ParseError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{config}: {error}") from error
    if described.max_batch_size < 0 or any(group.count < 0 for group in described.instance_group):
        raise IntegrityError(f"{config}: expected a max_batch_size and counts of instances that are not negative")
    return described


def _device(described: Any) -> str | None:
    """Where the instance groups of a configuration put a model; None where they leave it to the server."""
    kinds = {group.Kind.Name(group.kind): list(group.gpus) for group in described.instance_group}
    if set(kinds) == {"KIND_CPU"}:
        return "cpu"
    if set(kinds) == {"KIND_GPU"}:
        gpus = kinds["KIND_GPU"]
        return f"cuda:{gpus[0]}" if len(gpus) == 1 else "cuda"
    return None


def _triton_version(folder: Path, version: str, policy: Policy) -> Found:
    place = folder / version
    described, tensors, graph = described_in(place), place / TEST_TENSORS, place / SERVED_GRAPH
    spec = read_spec(place)
    names = {wire_name(spec.name, endpoint): endpoint for endpoint in spec.endpoints}
    if folder.name not in names:
        raise IntegrityError(f"{described} describes {', '.join(names)}; expected the model of its folder, {folder.name}")

    def file(local: Path) -> File:
        listed = spec.file(local.name)
        if listed is None:
            raise IntegrityError(f"{described} lists no {local.name}: export the model again")
        return listed

    return Found(
        folder.name,
        version,
        spec,
        names[folder.name],
        place,
        lambda: OnnxBytes(graph, read(graph, file(graph), folder).getvalue()),
        lambda: read(tensors, file(tensors), folder),
        _stamp(graph, described, tensors, folder / CONFIG),
        policy,
    )


def _versions(folder: Path) -> list[str]:
    """Names of its version folders, as Triton takes them: whole numbers without a leading zero."""
    return sorted((c.name for c in folder.iterdir() if re.fullmatch(r"[1-9][0-9]{0,17}", c.name) and c.is_dir()), key=int)


def _kept(versions: Sequence[str], policy: Any) -> Sequence[str]:
    """The versions that Triton's version policy serves, there or not; by default the latest one."""
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return versions
    if kind == "specific":
        return [str(version) for version in sorted(set(policy.specific.versions))]
    return versions[-(policy.latest.num_versions or 1) :]


def _broken(name: str, version: str, folder: Path, error: Exception, *files: Path) -> Broken:
    reason = error if isinstance(error, ZooError) else IntegrityError(f"{folder} cannot be read: {error}")
    name = os.fsencode(name).decode(errors="replace")  # the file system's bytes need not be text
    return Broken(name, version, reason, _stamp(folder, folder / SPEC, folder / CARD, *files), folder)


def is_gone(folder: Path) -> bool:
    """Whether a folder was taken away, rather than cannot be read."""
    try:
        os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


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
