"""What is in a file of weights, once it is known to hold nothing but plain numbers."""

from __future__ import annotations

from typing import Any

from zoo.errors import IntegrityError, ZooError
from zoo.model.integrity import InMemory
from zoo.model.spec import WEIGHTS
from zoo.model.store import ModelFolder


def parameters(folder: ModelFolder) -> int | None:
    """How many numbers the weights of a model have, scalings and nodes of trees included.

    Parameters
    ----------
    folder : ModelFolder
        The model's folder.

    Returns
    -------
    int or None
        None where they cannot be counted: the folder has no weights, they are not on this machine, or h5py is not installed.
    """
    try:
        import h5py  # noqa: F401

        return plain_arrays(folder.read(WEIGHTS, fetch=False))[1]
    except (ImportError, ZooError):
        return None


def plain_arrays(file: InMemory) -> tuple[int, int]:
    """Count the arrays of a file of weights, once there is nothing else in it.

    HDF5 can point to other files, to itself and to code-bearing types; weights have no use for any of them.

    Parameters
    ----------
    file : InMemory
        The ``.weights.h5`` file.

    Returns
    -------
    tuple of int
        How many arrays there are, and how many numbers in all of them.

    Raises
    ------
    IntegrityError
        It is no HDF5 file, or holds something else.
    """
    import h5py

    try:
        with h5py.File(file, "r") as content:
            return _counted(file, content)
    except IntegrityError:
        raise
    except Exception as error:  # h5py has a dozen kinds of errors for what is damaged
        raise IntegrityError(f"{file} is not a readable HDF5 file: {error}") from error


def _counted(file: InMemory, content: Any) -> tuple[int, int]:
    import h5py

    most = 64 * len(file.getbuffer()) + 2**20
    arrays = numbers = claimed = 0
    seen = {h5py.h5o.get_info(content.id).addr}
    waiting = [content]
    while waiting:
        group = waiting.pop()
        for key in group:
            where = f"{file}: {group.name}/{key}"
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise IntegrityError(f"{where} is a link, expected plain arrays: refused")
            item = group[key]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                raise IntegrityError(f"{where} is in the file under another name too: refused")
            seen.add(place)
            if isinstance(item, h5py.Group):
                waiting.append(item)
                continue
            plain = isinstance(item, h5py.Dataset) and item.shape is not None and not (item.external or item.is_virtual)
            if not plain or item.dtype.kind not in "fiu":
                raise IntegrityError(f"{where} is not a plain array of numbers: refused")
            arrays, numbers, claimed = arrays + 1, numbers + item.size, claimed + item.nbytes
            if claimed > most:
                raise IntegrityError(f"{where} claims {item.nbytes} bytes in a smaller file: refused")
    return arrays, numbers
