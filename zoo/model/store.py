"""From a name to a folder of files that are what the card says they are.

The files of a released model lie in the package; what the package lacks comes from the cache (``ZOO_CACHE``) and then
from a mirror (``ZOO_MIRROR``, laid out as ``<name>/<revision>/<file>``). Nothing is used before its sha256 agreed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import IntegrityError, UnknownNameError, ZooError
from zoo.model import registry
from zoo.model.card import read_spec
from zoo.model.spec import ModelSpec

ARTEFACTS = Path(__file__).parents[1] / "artefacts"

_verified: set[tuple[Path, int, int, str]] = set()


@dataclass(frozen=True)
class ModelFolder:
    """One revision of one model on this machine.

    Parameters
    ----------
    spec : what its card says
    card : the card itself
    folder : where its files lie; None where all come from the cache
    link_root : folder that no file of it may leave by a link; None for what was installed with physzoo
    released : whether files that ``folder`` lacks are looked for in the cache and on the mirror
    """

    spec: ModelSpec
    card: Path
    folder: Path | None
    link_root: Path | None = None
    released: bool = False

    def path(self, file_name: str) -> Path:
        """Local path of one file, of the size and sha256 that the card gives (checked once per process).

        Raises
        ------
        UnknownNameError
            The card lists no such file.
        IntegrityError
            The file is missing, cannot be fetched or is not the one described.
        """
        file = self.spec.file(file_name)
        if file is None:
            raise UnknownNameError(f"file of {self.spec.name}", file_name, [f.path for f in self.spec.files])
        local = self.folder / file_name if self.folder else None
        if self.released and (local is None or not os.path.lexists(local)):
            return _cached(self.spec.name, self.spec.revision, file_name, file.sha256)
        assert local is not None  # only a released model has no folder
        if self.link_root and not local.resolve().is_relative_to(self.link_root.resolve()):
            raise IntegrityError(f"{local} is a link that leaves the model's folder: put the file itself there")
        if fault := file_fault(local, file.sha256, file.bytes):
            raise IntegrityError(
                f"{local}: {fault}: copy the model's folder again, or release the model anew if you changed it"
            )
        return local


def locate(name_or_path: str | Path) -> ModelFolder:
    """Find a model.

    Parameters
    ----------
    name_or_path
        A folder with a README.md (a Path, or text with a path separator or a leading ``.`` or ``~``); a name, optionally
        with a revision (``"ive-pendulum@1"``); or ``"hf://owner/name@revision"`` on the Hugging Face Hub. A released name
        wins over the same name on ``ZOO_PATH``, with a warning.

    Raises
    ------
    UnknownNameError
        No such model or revision.
    IntegrityError
        The card cannot be read, or the card of an earlier revision cannot be fetched.
    """
    text = os.fspath(name_or_path)
    if text.startswith("hf://"):
        return _from_hub(text)
    if isinstance(name_or_path, Path) or text.startswith((".", "~")) or "/" in text or os.sep in text:
        folder = Path(text).expanduser()
        return ModelFolder(read_spec(folder / "README.md"), folder / "README.md", folder, link_root=folder)
    name, _, revision = text.partition("@")
    name = registry.current_name(name)
    card = registry.find_card(name)
    spec = registry.spec_of(name, card)
    released = card.parent == registry.CARDS
    if released and (shadowed := registry.on_path().get(name)):
        warnings.warn(f"{name!r} is the released model; for the one on ZOO_PATH write {str(shadowed.parent)!r}", stacklevel=2)
    if revision not in ("", spec.revision):
        if not released or revision not in spec.earlier_revisions:
            raise UnknownNameError(
                f"revision of {name}", revision, {spec.revision, *(spec.earlier_revisions if released else ())}
            )
        return _earlier(spec, revision)
    if released:
        return ModelFolder(spec, card, ARTEFACTS / name, released=True)
    return ModelFolder(spec, card, card.parent, link_root=card.parent)


def _earlier(current: ModelSpec, revision: str) -> ModelFolder:
    card = _cached(current.name, revision, "README.md", current.earlier_revisions[revision])
    spec = read_spec(card)
    if (spec.name, spec.revision) != (current.name, revision):
        raise IntegrityError(f"{card} describes {spec.name}@{spec.revision}, expected {current.name}@{revision}")
    return ModelFolder(spec, card, None, released=True)


def _from_hub(address: str) -> ModelFolder:
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", address)
    if match is None:
        raise ZooError(f"expected hf://owner/name or hf://owner/name@revision, given {address!r}")
    from huggingface_hub import snapshot_download

    try:
        snapshot = snapshot_download(
            match[1], revision=match[2], allow_patterns=["README.md", "*.h5", "*.onnx", "*.npz", "*.json"]
        )
    except (OSError, ValueError) as error:  # every network, permission and name error of the hub is one of these
        raise ZooError(f"{address} could not be fetched: {error}") from error
    folder = Path(snapshot)
    # The hub's cache links snapshots/<commit>/<file> to blobs/<hash> of the same repository.
    return ModelFolder(read_spec(folder / "README.md"), folder / "README.md", folder, link_root=folder.parents[1])


def _cached(name: str, revision: str, file_name: str, sha256: str) -> Path:
    """A file of the cache, fetched where it is missing or damaged; half a download never gets the file's name."""
    local = cache_folder() / name / revision / file_name
    fault = file_fault(local, sha256)
    if fault is None:
        return local
    mirror = os.environ.get("ZOO_MIRROR", "").rstrip("/")
    if not mirror.startswith(("http://", "https://")):
        raise IntegrityError(
            f"{file_name} of {name}@{revision} is not in the package, and {local}: {fault}. Set ZOO_MIRROR to the http(s)"
            f" address of a mirror that holds {name}/{revision}/{file_name} (now {mirror or 'not set'})"
        )
    if local.exists():
        warnings.warn(f"{local}: {fault}; downloading it again", stacklevel=3)
    import pooch

    url = f"{mirror}/{name}/{revision}/{file_name}"
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=2**16)
    try:
        pooch.retrieve(url, f"sha256:{sha256}", fname=file_name, path=local.parent, downloader=downloader)
    except (OSError, ValueError) as error:  # requests' errors are OSErrors; pooch raises ValueError for another hash
        raise IntegrityError(f"{url} could not be brought to {local}: {error}") from error
    return local


def cache_folder() -> Path:
    """``ZOO_CACHE``, or the system's place for caches."""
    if cache := os.environ.get("ZOO_CACHE"):
        return Path(cache).expanduser()
    import pooch

    return Path(pooch.os_cache("physzoo"))


def file_fault(local: Path, sha256: str, size: int | None = None) -> str | None:
    """What is wrong with a file, None where it is the one described; hashed once per process as long as it is unchanged."""
    try:
        status = local.stat()
    except OSError:
        return "missing"
    key = (local, status.st_mtime_ns, status.st_size, sha256)
    if key in _verified:
        return None
    if not stat.S_ISREG(status.st_mode):
        return "not a plain file"
    if size not in (None, status.st_size):
        return f"expected {size} bytes, found {status.st_size}"
    with local.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256:
        return f"expected sha256 {sha256[:16]}..., found {found[:16]}..."
    _verified.add(key)
    return None
