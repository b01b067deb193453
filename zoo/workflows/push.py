"""To the Hugging Face Hub, from where ``zoo.load("hf://owner/name@revision")`` takes a model by the same files."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.errors import IntegrityError, ZooError
from zoo.model.card import card_text
from zoo.model.hub import one_line
from zoo.model.integrity import refuse_link_out
from zoo.model.spec import CARD, FIGURES, SPEC
from zoo.model.store import HUB_NAME, locate


def push(folder: str | Path, address: str, *, private: bool = False) -> str:
    """Upload a model's folder: its card, whose code loads the model from there, the files that it describes, and its figures.

    Who may write there is settled by ``hf auth login`` or HF_TOKEN.

    Parameters
    ----------
    folder : str or Path
        The folder of one model, as ``zoo.fine_tune`` and ``zoo release --folder`` write it.
    address : str
        Address of the repository, ``hf://owner/name``, which is made where there is none.
    private : bool
        Whether only its owner sees a new repository.

    Returns
    -------
    str
        The address ``hf://owner/name@commit``, which stays what was uploaded now.

    Raises
    ------
    IntegrityError
        A file is not the one that the spec describes, or card or a figure is a pipe or a link out of the folder; nothing is
        uploaded then.
    ZooError
        The address is of another kind, or the Hub refuses.
    """
    match = re.fullmatch(f"hf://({HUB_NAME})", address)
    if match is None:
        raise ZooError(f"expected hf://owner/name, given {address!r}")
    found = locate(Path(folder))
    for file in found.spec.files:
        found.path(file.path)
    figures = sorted(found.folder.glob(f"{FIGURES}/*.png"))
    for path in (found.folder / SPEC, found.folder / CARD, *figures):
        refuse_link_out(path, found.folder)
        if path.exists() and not path.is_file():
            raise IntegrityError(f"{path}: expected a plain file")
    from huggingface_hub import CommitOperationAdd, HfApi

    files = [found.folder / SPEC, *figures, *(found.folder / file.path for file in found.spec.files)]
    contents = {path.relative_to(found.folder).as_posix(): path for path in files}
    card = card_text(found.card, found.spec, address).encode()
    api = HfApi()
    with one_line(f"{address} could not be written"):
        api.create_repo(match[1], private=private, exist_ok=True)
        commit = api.create_commit(
            repo_id=match[1],
            operations=[
                CommitOperationAdd(CARD, card),
                *(CommitOperationAdd(name, str(path)) for name, path in contents.items()),
            ],
            commit_message=f"{found.spec.name}@{found.spec.revision}",
        )
    return f"{address}@{commit.oid}"
