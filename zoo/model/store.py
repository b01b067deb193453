"""From a name to a folder of files that are what its spec says they are.

The files of a released model lie in its folder, or in that of its name in an installed package, as of ``physzoo-models``; what
is in neither comes from the cache (``ZOO_CACHE``) and then from a mirror (``ZOO_MIRROR``, laid out as
``<name>/<revision>/<file>``). Nothing is used before its sha256 agreed.
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.model import registry
from zoo.model.hub import one_line
from zoo.model.integrity import InMemory, checked, file_fault, read
from zoo.model.model_json import MAX_BYTES, read_spec
from zoo.model.spec import CARD, SPEC, File, ModelSpec
from zoo.paths import expect_there, user_path

_HUB_PART = r"(?!\.)(?:(?!\.\.)[\w.-])+"
"""A name in an address, of which the Hub's library makes a path: none that leads upwards or is hidden."""
HUB_NAME = f"{_HUB_PART}/{_HUB_PART}"
"""Pattern of a repository's owner and name."""


@dataclass(frozen=True)
class ModelFolder:
    """One revision of one model on this machine.

    Attributes
    ----------
    spec : ModelSpec
        What the folder says of the model.
    folder : Path
        Where its files lie; of an earlier revision its place in the cache.
    link_root : Path or None
        The folder that no file of it may leave by a link; None for what was installed with physzoo.
    released : bool
        Whether files that ``folder`` lacks are looked for in installed packages, in the cache and on the mirror.
    earlier : bool
        Whether this is an earlier revision, all of whose files come from the cache.
    hub : str or None
        The repository that it came from, ``owner/name`` on the Hugging Face Hub.
    """

    spec: ModelSpec = field(repr=False)
    folder: Path
    link_root: Path | None = None
    released: bool = False
    earlier: bool = False
    hub: str | None = None

    @property
    def card(self) -> Path:
        """Where its card for people lies, which an earlier revision lacks."""
        return self.folder / CARD

    def path(self, file_name: str) -> Path:
        """Local path of one file, of the size and sha256 that the spec gives (checked once in a process).

        Raises
        ------
        UnknownNameError
            The spec lists no such file.
        IntegrityError
            The file is missing, cannot be fetched or is not the one described.
        """
        file = self._described(file_name)
        local = self.folder / file_name
        if self._lies_elsewhere(local):
            return _elsewhere(self.spec.name, self.spec.revision, file)
        return checked(local, file, self.link_root)

    def read(self, file_name: str, *, fetch: bool = True) -> InMemory:
        """One file, whose bytes have the sha256 that the spec gives.

        It raises as ``path`` does; and where ``fetch`` is False, for a file that is not on this machine.
        """
        file, local, root = self._described(file_name), self.folder / file_name, self.link_root
        if self._lies_elsewhere(local):
            local, root = _elsewhere(self.spec.name, self.spec.revision, file, fetch), None
        return read(local, file, root)

    def _lies_elsewhere(self, local: Path) -> bool:
        return self.released and (self.earlier or not os.path.lexists(local))

    def _described(self, file_name: str) -> File:
        file = self.spec.file(file_name)
        if file is None:
            raise UnknownNameError(f"file of {self.spec.name}", file_name, [f.path for f in self.spec.files])
        return file


def locate(name_or_path: str | Path) -> ModelFolder:
    """Find a model.

    Parameters
    ----------
    name_or_path : str or Path
        A folder of a model (a Path, or text with a path separator or a leading ``.`` or ``~``); a name, optionally
        with a revision (``"ive-pendulum@1"``); or ``"hf://owner/name@revision"`` on the Hugging Face Hub. A released name
        wins over the same name on ``ZOO_PATH``, with a warning.

    Returns
    -------
    ModelFolder
        The model's spec, and where its files lie.

    Raises
    ------
    UnknownNameError
        No such model or revision.
    InputError
        There is no such folder.
    IntegrityError
        The spec cannot be read, or that of an earlier revision cannot be fetched.
    """
    text = os.fspath(name_or_path)
    if text.startswith("hf://"):
        return _from_hub(text)
    if isinstance(name_or_path, Path) or text.startswith((".", "~")) or "/" in text or os.sep in text:
        folder = user_path(text)
        expect_there(folder, "the folder of a model; a released one goes by its name alone")
        return ModelFolder(read_spec(folder), folder, link_root=folder)
    name, _, revision = text.partition("@")
    name = registry.current_name(name)
    folder = registry.find_folder(name)
    spec = registry.spec_of(name, folder)
    released = folder.parent == registry.RELEASED
    if released and (shadowed := registry.on_path().get(name)):
        warnings.warn(f"{name!r} is the released model; for the one on ZOO_PATH write {str(shadowed)!r}", stacklevel=2)
    if revision not in ("", spec.revision):
        if not released or revision not in spec.earlier_revisions:
            raise UnknownNameError(
                f"revision of {name}", revision, {spec.revision, *(spec.earlier_revisions if released else ())}
            )
        return _earlier(spec, revision)
    return ModelFolder(spec, folder, link_root=None if released else folder, released=released)


def _earlier(current: ModelSpec, revision: str) -> ModelFolder:
    name = current.name
    sha256 = current.earlier_revisions[revision]
    described = _cached(name, revision, SPEC, sha256)

    def find(file: File) -> InMemory:
        return read(_cached(name, revision, file.path, file.sha256, file.bytes), file, None)

    spec = read_spec(described.parent, find, sha256)
    if (spec.name, spec.revision) != (name, revision):
        raise IntegrityError(f"{described} describes {spec.name}@{spec.revision}, expected {name}@{revision}")
    return ModelFolder(spec, described.parent, released=True, earlier=True)


def _from_hub(address: str) -> ModelFolder:
    match = re.fullmatch(rf"hf://({HUB_NAME})(?:@({_HUB_PART}(?:/{_HUB_PART})*))?", address)
    if match is None:
        raise ZooError(f"expected hf://owner/name or hf://owner/name@revision, given {address!r}")
    from huggingface_hub import snapshot_download

    with one_line(f"{address} could not be fetched"):
        snapshot = snapshot_download(
            match[1], revision=match[2], allow_patterns=["README.md", "*.h5", "*.onnx", "*.npz", "*.json"]
        )
    folder = Path(snapshot)
    root = folder.parents[1]  # the hub's cache links snapshots/<commit>/<file> to blobs/<hash> of the same repository
    spec = read_spec(folder, lambda file: read(folder / file.path, file, root))
    return ModelFolder(spec, folder, link_root=root, hub=match[1])


def _elsewhere(name: str, revision: str, file: File, fetch: bool = True) -> Path:
    """A file of a released model that its folder lacks."""
    for _, package in registry.packages():
        local = package / name / file.path
        if local.is_file():
            fault = file_fault(local, file.sha256, file.bytes)
            if fault is None:
                return local
            warnings.warn(f"{local}: {fault}; it is of another version, and looked for elsewhere", stacklevel=3)
    return _cached(name, revision, file.path, file.sha256, file.bytes, fetch)


def _cached(name: str, revision: str, file_name: str, sha256: str, size: int | None = None, fetch: bool = True) -> Path:
    """A file of the cache, fetched where it is missing or damaged; half a download never gets the file's name."""
    local = cache_folder() / name / revision / file_name
    fault = file_fault(local, sha256)
    if fault is None:
        return local
    mirror = os.environ.get("ZOO_MIRROR", "").rstrip("/") if fetch else ""
    if not mirror.startswith(("http://", "https://")):
        raise IntegrityError(
            f"{file_name} of {name}@{revision} is not on this machine ({local}: {fault}): pip install 'physzoo[models]', or set"
            f" ZOO_MIRROR to the address of an http(s) mirror that holds {name}/{revision}/{file_name}"
            f" (now {mirror or 'not set'})"
        )
    if local.exists():
        warnings.warn(f"{local}: {fault}; downloading it again", stacklevel=3)
    from zoo.model.download import download

    url = f"{mirror}/{name}/{revision}/{file_name}"
    try:
        download(url, local, sha256, MAX_BYTES if size is None else size, exactly=size is not None)
    except OSError as error:  # requests' errors are OSErrors
        raise IntegrityError(f"{url} could not be brought to {local}: {error}") from error
    return local


def cache_folder() -> Path:
    """The folder ``ZOO_CACHE``, or the system's place for caches."""
    if cache := os.environ.get("ZOO_CACHE"):
        return user_path(cache)
    import pooch

    return Path(pooch.os_cache("physzoo"))
