"""What is kept of the simulations of a set at z = 0, one HDF5 file each, whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import h5py
import numba
import numpy as np
from pydantic import ValidationError

from zoo.atomic import claim, whole_hdf5
from zoo.data.fields.design import FieldsConfig
from zoo.data.nbody.initial import linear_density, zeldovich
from zoo.data.nbody.particle_mesh import assign_mass, evolve, wrap
from zoo.data.nbody.simulate import NBodyConfig
from zoo.data.simulation_files import cached_folder, simulate_all, threads_of_each
from zoo.errors import InputError
from zoo.jobs import expect_jobs
from zoo.space import expect_space

FORMAT = "physzoo fields 1"

Kept = Literal["density", "displacement"]
"""What a file holds: the density on a mesh, or where each particle went."""


def density(config: FieldsConfig, number: int) -> np.ndarray:
    """Simulate one of a set.

    Parameters
    ----------
    config : FieldsConfig
        The set.
    number : int
        Which of its simulations.

    Returns
    -------
    ndarray
        Cloud-in-cell density of matter at z = 0 in units of the mean, (n, n, n) float32.
    """
    (final,) = evolve(*beginning(config, number))
    return density_of(final.positions, config.box, config.side)


def beginning(config: FieldsConfig, number: int) -> tuple[NBodyConfig, np.ndarray]:
    """How a simulation of the set runs, and the linear density contrast (n, n, n) that it begins with."""
    nbody = config.nbody(number)
    return nbody, linear_density(nbody, config.field_seed(number))


def linear_displacement(config: FieldsConfig, number: int) -> np.ndarray:
    """Displacement in Mpc/h of each particle in linear theory (Zel'dovich 1970), at z = 0, (n, n, n, 3) float32."""
    _, delta = beginning(config, number)
    return np.moveaxis(zeldovich(delta, config.box), 0, -1)


def displacement(config: FieldsConfig, number: int) -> np.ndarray:
    """How far each particle of a simulation of the set is from where it began, in Mpc/h at z = 0, (n, n, n, 3) float32.

    Particles that left the box through a face are followed: no displacement is wrapped.
    """
    nbody, delta = beginning(config, number)
    (final,) = evolve(nbody, delta)
    return displacement_of(delta, config.box, final.positions)


def displacement_of(delta: np.ndarray, box: float, positions: np.ndarray) -> np.ndarray:
    """Displacements (n, n, n, 3) float32 of particles at positions (N, 3) that began with a linear density (n, n, n)."""
    n, expected = len(delta), np.moveaxis(zeldovich(delta, box), 0, -1)
    beyond = positions.reshape(n, n, n, 3) - _grid(n, box) - expected  # what is not linear is less than half the box
    return (expected + beyond - box * np.rint(beyond / box)).astype(np.float32)


def displaced(displacement: np.ndarray, box: float) -> np.ndarray:
    """Positions (N, 3) in [0, box) of a grid of particles after displacements (n, n, n, 3), in the unit of ``box``."""
    positions = (_grid(len(displacement), box) + displacement).astype(np.float32).reshape(-1, 3)
    wrap(positions, box)
    return positions


def _grid(n: int, box: float) -> np.ndarray:
    """Where particles begin, (n, n, n, 3)."""
    return np.stack(np.meshgrid(*[np.arange(n) * (box / n)] * 3, indexing="ij"), axis=-1)


def density_of(positions: np.ndarray, box: float, cells: int) -> np.ndarray:
    """Cloud-in-cell density in units of the mean, (cells, cells, cells) float32.

    Parameters
    ----------
    positions : ndarray of shape (N, 3)
        Positions of equal particles in [0, box).
    box : float
        Side of the periodic box.
    cells : int
        Cells along a side.

    Raises
    ------
    InputError
        Positions of another shape, not finite, or outside the box.
    """
    given = np.asarray(positions)
    if given.ndim != 2 or given.shape[1] != 3 or not len(given):
        raise InputError(f"positions: expected (N, 3), given shape {given.shape}")
    if not (np.isfinite(given).all() and given.min() >= 0 and given.max() < box):
        raise InputError(
            f"positions: expected them in [0, {box:g}), given {given.min():g} to {given.max():g}:"
            " wrap them into the box, or look at their unit"
        )
    placed = np.minimum(given * (cells / box), np.nextafter(cells, 0)).astype(np.float32)
    placed[placed >= cells] = 0  # what single precision rounds up is at the other side
    return assign_mass(placed, cells) * np.float32(cells**3 / len(given))


def simulate(folder: Path, config: FieldsConfig, numbers: Sequence[int], jobs: int = -1, kept: Kept = "density") -> list[Path]:
    """Simulate some of a set into a folder, one file each; a killed run goes on where it stopped.

    Parameters
    ----------
    folder : Path
        Where the files lie; it is made where there is none.
    config : FieldsConfig
        The set.
    numbers : sequence of int
        Which of its simulations.
    jobs : int
        Simulations at a time, -1 for one per core; cores left over are threads of each. The backend is that of
        ``joblib.parallel_config``, so that a Dask or Ray cluster that sees the folder takes the same call.
    kept : {"density", "displacement"}
        What the files hold; both kinds may lie in one folder.

    Returns
    -------
    list of Path
        The files, in the order of the numbers.

    Raises
    ------
    FolderError
        If the folder holds fields of another set.
    InputError
        If the set has no simulation of a number.
    FullDiskError
        If there is no space for all of them.
    """
    if wrong := [number for number in numbers if not 0 <= number < config.simulations]:
        raise InputError(f"expected numbers of simulations from 0 to {config.simulations - 1}, given {wrong[0]}")
    expect_jobs(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "config.json", config.model_dump(mode="json"), "fields")
    paths = {number: field_path(folder, number, kept) for number in numbers}
    missing = [number for number, path in paths.items() if not path.exists()]
    if missing:
        expect_space(folder, len(missing) * 4 * math.prod(_shape(config, kept)))
        tasks = [(paths[number], config, number, kept, threads_of_each(jobs)) for number in missing]
        simulate_all(_simulate_to, tasks, jobs, "fields", stderr=True)
    return list(paths.values())


def _simulate_to(path: Path, config: FieldsConfig, number: int, kept: Kept, threads: int) -> None:
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    with whole_hdf5(path) as content:
        content.attrs["format"] = FORMAT
        content.attrs["config"] = config.model_dump_json()
        content.attrs["number"] = number
        content.create_dataset(kept, data=(density if kept == "density" else displacement)(config, number))


def _shape(config: FieldsConfig, kept: Kept) -> tuple[int, ...]:
    """Shape of what a file holds."""
    return (config.side,) * 3 if kept == "density" else ((config.particles,) * 3 + (3,))


def field_path(folder: Path, number: int, kept: Kept = "density") -> Path:
    """The file of a simulation in a folder of fields."""
    return folder / f"{'field' if kept == 'density' else kept}-{number:05d}.h5"


def cached_fields(config: FieldsConfig) -> Path:
    """The cache's folder for the fields of one set."""
    return cached_folder(f"fields-{config.varied}", config)


def load(folder: Path, config: FieldsConfig, number: int, kept: Kept = "density") -> np.ndarray:
    """What is kept of one simulation, float32, from its file.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    config : FieldsConfig
        The set that they are of.
    number : int
        Which of its simulations.
    kept : {"density", "displacement"}
        The density in units of the mean, (n, n, n), or the displacement of each particle in Mpc/h, (n, n, n, 3).

    Raises
    ------
    InputError
        The file is missing, damaged, or of another set or number.
    """
    path = field_path(folder, number, kept)
    try:
        with h5py.File(path, "r") as content:
            if content.attrs.get("format") != FORMAT:
                raise InputError(f"{path}: expected a file of 'zoo simulate fields' ({FORMAT}), found another HDF5 file")
            found = FieldsConfig.model_validate_json(content.attrs["config"]), int(content.attrs["number"])
            values = content[kept][()]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; 'zoo simulate fields' makes it") from error
    except (OSError, KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: no whole file of a field ({error}): truncated or damaged; delete it and run 'zoo simulate fields' again"
        ) from error
    if found != (config, number):
        raise InputError(f"{path} holds another simulation than its name and folder say: delete it and run again")
    if values.shape != (shape := _shape(config, kept)) or values.dtype != np.float32:
        raise InputError(f"{path}: expected float32 {shape}, given {values.dtype} {values.shape}: delete it")
    return values
