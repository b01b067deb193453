"""The file of simulations that a training reads: theta, x, and the prior's density where it is not plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zoo.atomic import whole_file
from zoo.data.sbi.priors.joint_prior import JointPrior
from zoo.data.sbi.priors.prior import Prior
from zoo.model.test_tensors import read_npz

CONTENT = ("theta", "x", "x_mask", "state", "log_prior")


def sha256_of(arrays: Mapping[str, np.ndarray]) -> str:
    """The sha256 of the simulations in a file, whatever wrote them.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Arrays of the file by name.

    Returns
    -------
    str
        The hash of what they hold, as float64, with their shapes.
    """
    found = hashlib.sha256()
    for name in CONTENT:
        if name in arrays:
            values = np.ascontiguousarray(arrays[name], dtype="<f8")
            found.update(f"{name}{values.shape}".encode())
            found.update(values.tobytes())
    return found.hexdigest()


def write_rows(path: Path, arrays: Mapping[str, np.ndarray], dropped: int) -> None:
    """Write rows of a user as a file of simulations.

    Parameters
    ----------
    path : Path
        The file, a ``.npz``.
    arrays : mapping of str to ndarray
        Parameters theta (n, D), data x (n, ...), log_prior (n,) of a prior that is not plain data, and x_mask (n, length)
        where lengths differ.
    dropped : int
        Number of the user's rows that were left out.
    """
    about = {"n": len(arrays["theta"]), "source": "own arrays", "dropped": dropped}
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **arrays, about=json.dumps(about))


def with_density(path: Path, prior: Prior | JointPrior) -> str:
    """Add the density of a prior that is not plain data to a file of simulations that has none yet.

    Parameters
    ----------
    path : Path
        The file, a ``.npz`` that ``simulate`` has finished.
    prior : Prior or JointPrior
        The prior that its parameters were drawn from.

    Returns
    -------
    str
        The sha256 of its content.
    """
    arrays = read_npz(path)
    if isinstance(prior, JointPrior) and "log_prior" not in arrays:
        arrays["log_prior"] = prior.log_density(arrays["theta"])
        with whole_file(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    return sha256_of(arrays)
