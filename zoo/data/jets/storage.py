"""Files of jets: one a seed, whole or not at all, with the settings that made them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from pydantic import ValidationError

from zoo.atomic import claim, whole_hdf5
from zoo.data.jets.identities import CODES
from zoo.data.jets.packed import ARRAYS, MOST_EVENTS, Jets
from zoo.data.jets.samples import MOST_SEED, JetConfig
from zoo.data.simulation_files import cached_folder, simulate_all
from zoo.errors import InputError
from zoo.space import expect_space

FORMAT = "physzoo jets 1"
BYTES = 500
"""Bytes of a jet on disk, about; as many as of 60 particles."""
OnMissing = Literal["simulate", "fail"]


def simulate(folder: Path, config: JetConfig, seeds: Sequence[int], jobs: int = -1) -> list[Path]:
    """Simulate every seed into ``folder``, one file each; a killed run goes on where it stopped.

    Parameters
    ----------
    folder : Path
        Where the files lie; it is made where there is none.
    config : JetConfig
        The sample.
    seeds : sequence of int
        Numbers of the files.
    jobs : int
        Processes, -1 for one per core. The backend is that of ``joblib.parallel_config``, so that a cluster that sees the
        folder takes the same call.

    Returns
    -------
    list of Path
        The files, in the order of the seeds.

    Raises
    ------
    FolderError
        If the folder holds jets of another config.
    InputError
        If a file in it is damaged, or a seed is none.
    FullDiskError
        If there is no space for all of them.
    ZooError
        Pythia is not installed.
    """
    if wrong := [seed for seed in seeds if not 0 <= seed < MOST_SEED]:
        raise InputError(f"seeds: expected 0 to {MOST_SEED - 1}, given {wrong[0]}")
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "config.json", config.model_dump(mode="json"), "jets")
    paths = {seed: jets_path(folder, seed) for seed in seeds}
    missing = [seed for seed, path in paths.items() if not path.exists()]
    if not missing:
        return list(paths.values())
    from zoo.data.jets import generate  # noqa: F401  says what is missing before processes begin

    jets = config.jets * len(config.processes) * (config.leading if config.whole_events else 1)
    expect_space(folder, len(missing) * jets * BYTES)
    tasks = [(paths[seed], config, seed) for seed in missing]
    simulate_all(_simulate_to, tasks, jobs, f"jets: {config.sample}", stderr=True)
    return list(paths.values())


def _simulate_to(path: Path, config: JetConfig, seed: int) -> None:
    from zoo.data.jets.generate import generate

    write_jets(path, generate(config, seed), config, seed)


def jets_path(folder: Path, seed: int) -> Path:
    """The file of a seed in a folder of jets."""
    return folder / f"jets-{seed:05d}.h5"


def cached_jets(config: JetConfig) -> Path:
    """The cache's folder for the jets of one config."""
    return cached_folder(f"jets-{config.sample}-{config.shower}", config)


def load_folder(folder: Path, config: JetConfig, seeds: Sequence[int], on_missing: OnMissing = "simulate") -> list[Jets]:
    """The jets of some seeds, a set each.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    config : JetConfig
        What they were made with.
    seeds : sequence of int
        Numbers of the files.
    on_missing : {"simulate", "fail"}
        Whether files that are missing are made, or an error names all of them.

    Returns
    -------
    list of Jets
        The jets of each seed.

    Raises
    ------
    InputError
        A file is missing where that is to fail, is damaged, or was made with another config.
    """
    if on_missing == "simulate":
        simulate(folder, config, seeds)
    elif missing := [seed for seed in seeds if not jets_path(folder, seed).exists()]:
        raise InputError(
            f"{folder}: {len(missing)} of {len(seeds)} files of jets are missing, of seeds {', '.join(map(str, missing[:10]))}"
            f"{', ...' if len(missing) > 10 else ''}: 'zoo simulate jets --sample {config.sample}' makes them"
        )
    return [_of(folder, config, seed) for seed in seeds]


def event_numbers(parts: Sequence[Jets], seeds: Sequence[int]) -> np.ndarray:
    """Number (n,) of the event of each jet of files one after another, which events of other seeds do not have."""
    return np.concatenate([part.event + seed * MOST_EVENTS for part, seed in zip(parts, seeds, strict=True)])


def _of(folder: Path, config: JetConfig, seed: int) -> Jets:
    path = jets_path(folder, seed)
    jets, found, number = load_jets(path)
    if found != config or number != seed:
        raise InputError(f"{path} holds other jets than its name and folder say: delete it and run 'zoo simulate jets' again")
    return jets


def write_jets(path: Path, jets: Jets, config: JetConfig, seed: int) -> None:
    """Write the file that ``load_jets`` reads; it appears whole or not at all, and has the same bytes for the same jets."""
    with whole_hdf5(path) as content:
        content.attrs["format"] = FORMAT
        content.attrs["config"] = config.model_dump_json()
        content.attrs["seed"] = np.int64(seed)
        content.attrs["simulator"] = simulator()
        content["codes"] = CODES
        for name, dtype in ARRAYS.items():
            content.create_dataset(name, data=getattr(jets, name).astype(dtype), compression="gzip", shuffle=True)


def simulator() -> str:
    """What makes jets, with its version."""
    try:
        return f"Pythia {version('pythia8mc')}"
    except PackageNotFoundError:
        return "Pythia"


def load_jets(path: Path) -> tuple[Jets, JetConfig, int]:
    """Jets from their file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    jets : Jets
        The jets, in memory.
    config : JetConfig
        What they were made with.
    seed : int
        Number of the file.

    Raises
    ------
    InputError
        If the file is missing, truncated or holds no jets of this package.
    """
    try:
        with h5py.File(path, "r") as content:
            if content.attrs.get("format") != FORMAT:
                raise InputError(f"{path}: expected a file of 'zoo simulate jets' ({FORMAT}), found another HDF5 file")
            config = JetConfig.model_validate_json(content.attrs["config"])
            arrays = {name: content[name][()] for name in ARRAYS}
            codes, seed = content["codes"][()], int(content.attrs["seed"])
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; 'zoo simulate jets' makes it") from error
    except (OSError, KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: no whole file of jets ({error}): truncated or damaged, or of another kind; where 'zoo simulate jets'"
            " made it, delete it and run that again"
        ) from error
    fault = _fault(arrays, codes, len(config.processes))
    if fault:
        raise InputError(f"{path}: {fault}: damaged; delete it and run 'zoo simulate jets' again")
    return Jets(classes=tuple(config.classes), **arrays), config, seed


def _fault(arrays: dict[str, np.ndarray], codes: np.ndarray, classes: int) -> str | None:
    """What is wrong with the arrays of a file, None where nothing is."""
    n, particles = len(arrays["label"]), len(arrays["identity"])
    shapes = dict.fromkeys(ARRAYS, (n,)) | {"momentum": (n, 4), "offsets": (n + 1,), "particles": (particles, 3)}
    shapes["identity"] = (particles,)
    for name, dtype in ARRAYS.items():
        if arrays[name].shape != shapes[name] or arrays[name].dtype != dtype:
            return f"{name}: expected {np.dtype(dtype)} {shapes[name]}, given {arrays[name].dtype} {arrays[name].shape}"
    offsets = arrays["offsets"]
    if offsets[0] != 0 or offsets[-1] != particles or (np.diff(offsets) < 0).any():
        return "offsets do not divide the particles"
    if not np.array_equal(codes, CODES) or (arrays["identity"] >= len(CODES)).any():
        return "identities of another table"
    return "labels of no class" if (arrays["label"] >= classes).any() else None
