"""Features of whole files of jets, computed once and kept in the cache: those of a training set take many minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import joblib
import numpy as np

from zoo.atomic import whole_file
from zoo.data.jets.clouds import clouds
from zoo.data.jets.features import FEATURES
from zoo.data.jets.packed import Jets
from zoo.errors import ZooError
from zoo.model.store import cache_folder
from zoo.progress import bar

AT_ONCE = 500
"""Jets of which the particles are in memory together."""
MAKERS = ("features", "correlations", "substructure", "observables", "identities", "clouds", "packed")
"""Modules that the features of some jets depend on."""


def features_of(parts: Sequence[Jets], name: str, radius: float, identity: bool) -> list[np.ndarray]:
    """The features of sets of jets, read from the cache where it has them.

    What is kept is found again by the bytes of the jets and of the code that made it, so neither is ever answered for another.

    Parameters
    ----------
    parts : sequence of Jets
        The sets, such as those of a file each.
    name : str
        Which features, a key of ``FEATURES``.
    radius : float
        Radius of the jets.
    identity : bool
        Whether particles have the masses of what they are, or none.

    Returns
    -------
    list of ndarray
        The features (n, feature) of each set, float32.
    """
    paths = [cache_folder() / "features" / f"jets-{name}-{_key(jets, name, radius, identity)}.npy" for jets in parts]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        parallel = joblib.Parallel(n_jobs=-1 if len(missing) > 1 else 1, return_as="generator_unordered")
        done = parallel(joblib.delayed(_keep)(paths[number], parts[number], name, radius, identity) for number in missing)
        with bar(len(missing), f"{name} features of jets") as advance:
            for _ in done:
                advance(1)
    return [np.load(path, allow_pickle=False) for path in paths]


def _key(jets: Jets, name: str, radius: float, identity: bool) -> str:
    """A name for the features of some jets, of which none shares it."""
    found = hashlib.sha256(f"{name} {radius} {identity} {_code()}".encode())
    for array in (jets.momentum, jets.offsets, jets.particles, jets.identity):
        found.update(array.tobytes())
    return found.hexdigest()[:24]


@cache
def _code() -> str:
    """What computes features, with the version of what grooms jets."""
    try:
        grooming = version("fastjet")
    except PackageNotFoundError as error:
        raise ZooError("features of jets need FastJet, which is not installed: pip install 'physzoo[jets]'") from error
    texts = [(Path(__file__).parent / f"{module}.py").read_bytes() for module in MAKERS]
    return f"{hashlib.sha256(b''.join(texts)).hexdigest()} {grooming}"


def _keep(path: Path, jets: Jets, name: str, radius: float, identity: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.save(file, computed(jets, name, radius, identity))


def computed(jets: Jets, name: str, radius: float, identity: bool) -> np.ndarray:
    """The features (n, feature) of jets in float32, as `features_of` says."""
    parts = []
    for start in range(0, len(jets), AT_ONCE):
        inputs = clouds(jets, np.arange(start, min(start + AT_ONCE, len(jets))))
        known = inputs["identity"][:] if identity else None
        found = FEATURES[name](inputs["particles"][:], inputs["real"][:], known, radius)
        parts.append(np.stack(list(found.values()), axis=1).astype(np.float32))
    return np.concatenate(parts)
