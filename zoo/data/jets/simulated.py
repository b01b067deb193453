"""Jets of ``zoo simulate jets`` as the tensors that networks take."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np

from zoo.data.jets.checked import Cloud
from zoo.data.jets.clouds import clouds
from zoo.data.jets.packed import joined
from zoo.data.jets.storage import load_jets
from zoo.errors import InputError
from zoo.paths import user_path

Paths = str | PathLike[str] | Iterable[str | PathLike[str]]


def from_simulation(paths: Paths) -> Cloud:
    """Jets of ``zoo simulate jets``, of one file after another and in the order of each.

    The class of each, its weight and its own momentum are in what `zoo.data.jets.storage.load_jets` reads of a file.

    Parameters
    ----------
    paths : path or iterable of path
        A file; a folder, of which all files of jets are read in the order of their seeds; or several of these.

    Returns
    -------
    dict of str to ndarray
        ``particles`` (n, particle, 3) float32, the transverse momentum [GeV], rapidity and azimuth [rad] of each particle, the
        hardest first; ``identity`` (n, particle) int32, their PDG codes; and ``real`` (n, particle) bool, True for particles
        and False for padding, which is 0.

    Raises
    ------
    InputError
        There is no file, one is damaged or holds no jets, or two were made with different settings.

    Examples
    --------
    >>> from_simulation("qg/jets-00000.h5")["particles"].shape  # doctest: +SKIP
    (20000, 132, 3)
    """
    files = [file for path in ([paths] if isinstance(paths, str | PathLike) else paths) for file in _files(user_path(path))]
    if not files:
        raise InputError("expected a file or folder of 'zoo simulate jets', given none")
    parts, configs, _ = zip(*map(load_jets, files), strict=True)
    for file, config in zip(files, configs, strict=True):
        if config != configs[0]:
            raise InputError(
                f"{file}: expected jets made with the settings of {files[0]}, given others: read files of each settings by"
                " themselves"
            )
    jets = joined(parts)
    return {name: np.asarray(tensor) for name, tensor in clouds(jets, np.arange(len(jets))).items()}


def _files(path: Path) -> list[Path]:
    """A file, or those of a folder."""
    if not path.is_dir():
        return [path]
    if not (found := sorted(path.glob("jets-*.h5"))):
        raise InputError(f"{path}: expected files jets-*.h5, as 'zoo simulate jets' writes them, given a folder without any")
    return found
