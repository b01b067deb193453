"""Whole simulations: initial field, particle mesh and halos of each seed, in parallel, one HDF5 file each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numba
import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from zoo.atomic import claim, whole_hdf5
from zoo.data.nbody.cosmology import Cosmology, Transfer, mean_matter_density
from zoo.data.nbody.halos import Halos, catalog, friends_of_friends
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.short_range import SMALLEST_MESH
from zoo.data.simulation_files import cached_folder, simulate_all, threads_of_each
from zoo.errors import InputError, warn
from zoo.jobs import expect_jobs
from zoo.space import expect_space

FORMAT = "physzoo nbody 1"
ARRAYS = ("linear", "positions", "momenta", "halo_of")
"""Datasets that are mapped, not read; the catalog is small."""

STORED = {field.name: f"halos/{field.name}".replace("center", "centre") for field in dataclasses.fields(Halos)}
"""The dataset of each attribute of `Halos`; its spelling is that of files that were simulated before."""

OnMissing = Literal["simulate", "fail", "skip"]


class NBodyConfig(BaseModel):
    """What defines a simulation but for its seed; a folder made with one is refused by another."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cosmology: Cosmology = Cosmology()
    particles: int = Field(default=64, ge=4, multiple_of=2)
    """Particles along a side."""
    box: float = Field(default=50.0, gt=0)
    """Side of the box in comoving Mpc/h."""
    steps: int = Field(default=30, ge=1)
    """Number of steps, equal in the scale factor, from ``start`` to 1."""
    mesh_factor: int = Field(default=2, ge=1)
    """Cells of the force mesh along a side, to each particle along it."""
    start: float = Field(default=0.1, gt=0, lt=1)
    """Scale factor of the 2LPT start."""
    transfer: Transfer = "camb"
    softening: float | None = Field(default=None, gt=0, le=1)
    """Plummer's softening of a direct short-range force, in mean separations; None leaves the mesh's force alone."""

    @model_serializer(mode="wrap")
    def _no_field_without_use(self, as_usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out ``softening`` where it is None: simulations of the mesh alone keep the folder they were made in."""
        fields = as_usual(self)
        if self.softening is None:
            fields.pop("softening", None)
        return fields

    @model_validator(mode="after")
    def _mesh_has_room_for_pairs(self) -> NBodyConfig:
        if self.softening is not None and self.mesh < SMALLEST_MESH:
            raise ValueError(f"softening: expected a mesh of at least {SMALLEST_MESH} cells a side, given {self.mesh}")
        return self

    @property
    def mesh(self) -> int:
        """Cells along a side of the mesh of forces."""
        return self.mesh_factor * self.particles

    @property
    def bytes(self) -> int:
        """Bytes of a simulation on disk, but for its few halos."""
        return 4 * (1 + 3 + 3 + 1) * self.particles**3

    @property
    def simulator(self) -> str:
        """What simulates, in the words of a card."""
        solver = "particle mesh" if self.softening is None else "P3M"
        return f"physzoo {solver}, {self.particles}^3 particles in ({self.box:g} Mpc/h)^3"

    @property
    def particle_mass(self) -> float:
        """Mass of a particle in Msun/h."""
        return mean_matter_density(self.cosmology) * (self.box / self.particles) ** 3


@dataclass(frozen=True)
class Simulation:
    """One simulation at a = 1. Particles are in the C order of the grid on which ``linear`` is given.

    Attributes
    ----------
    linear : ndarray of shape (n, n, n)
        Initial density contrast extrapolated linearly to z = 0, float32.
    positions : ndarray of shape (N, 3)
        Positions in comoving Mpc/h, in [0, box), float32.
    momenta : ndarray of shape (N, 3)
        Momenta a^2 dx/dt / H0 in Mpc/h, float32; times 100 the peculiar velocity in km/s.
    halo_of : ndarray of shape (N,)
        Number of each particle's halo in ``halos``, -1 for none, int32.
    """

    config: NBodyConfig
    seed: int
    linear: np.ndarray
    positions: np.ndarray
    momenta: np.ndarray
    halo_of: np.ndarray
    halos: Halos


def run(config: NBodyConfig, seed: int) -> Simulation:
    """Simulate one seed, on as many threads as numba is set to."""
    linear = linear_density(config, seed)
    (final,) = evolve(config, linear)
    halo_of = friends_of_friends(final.positions, config.box)
    halos = catalog(final.positions, halo_of, config.box, config.particle_mass, mean_matter_density(config.cosmology))
    return Simulation(config, seed, linear, final.positions, final.momenta, halo_of, halos)


def simulate(folder: Path, config: NBodyConfig, seeds: Sequence[int], jobs: int = -1) -> list[Path]:
    """Simulate every seed into ``folder``, one file each; a killed run goes on where it stopped.

    Parameters
    ----------
    jobs : int
        Simulations at a time, -1 for one per core; cores left over are threads of each. The backend is that of
        ``joblib.parallel_config``, so that a Dask or Ray cluster that sees the folder takes the same call.

    Raises
    ------
    FolderError
        If the folder holds simulations of another config.
    InputError
        If a file in it is damaged, or there cannot be as many jobs.
    FullDiskError
        If there is no space for all of them.
    """
    expect_jobs(jobs)
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder / "config.json", config.model_dump(mode="json"), "simulations")
    paths = {seed: _path(folder, seed) for seed in seeds}
    missing = []
    for seed, path in paths.items():
        if not path.exists():
            missing.append(seed)
        elif (found := load_simulation(path)).config != config or found.seed != seed:
            raise InputError(f"{path} holds another simulation than its name and folder say: delete it and run again")
    if not missing:
        return list(paths.values())
    expect_space(folder, len(missing) * config.bytes)
    tasks = [(paths[seed], config, seed, threads_of_each(jobs)) for seed in missing]
    simulate_all(_simulate_to, tasks, jobs, "N-body simulations", stderr=False)
    return list(paths.values())


def load_simulations(
    folder: Path, config: NBodyConfig, seeds: Sequence[int], on_missing: OnMissing = "simulate"
) -> list[Simulation]:
    """The simulations of some seeds.

    Parameters
    ----------
    on_missing : OnMissing
        "simulate" makes the files that are missing; "fail" raises, and names all that are missing or damaged; "skip" leaves
        those out, with a warning that names them.

    Raises
    ------
    InputError
        A simulation is missing or damaged where that is to fail, none is left, or the folder holds simulations of another
        config.
    """
    if on_missing == "simulate":
        return [load_simulation(path) for path in simulate(folder, config, seeds)]
    found, faults = [], []
    for seed in seeds:
        try:
            simulation = load_simulation(path := _path(folder, seed))
        except InputError as error:
            faults.append(str(error))
            continue
        if simulation.config != config:
            raise InputError(f"{path} was made with {simulation.config}, expected {config}")
        found.append(simulation)
    if faults and (on_missing == "fail" or not found):
        raise InputError(f"{len(faults)} of {len(seeds)} simulations cannot be used: {'; '.join(faults)}")
    if faults:
        warn(f"left out {len(faults)} of {len(seeds)} simulations: {'; '.join(faults)}")
    return found


def cached_simulations(config: NBodyConfig) -> Path:
    """The cache's folder for simulations of one config."""
    return cached_folder("nbody", config)


def _path(folder: Path, seed: int) -> Path:
    return folder / f"simulation-{seed:05d}.h5"


def write_simulation(path: Path, simulation: Simulation) -> None:
    """Write the file that ``load_simulation`` reads; it appears whole or not at all."""
    with whole_hdf5(path) as content:
        content.attrs["format"] = FORMAT
        content.attrs["config"] = simulation.config.model_dump_json()
        content.attrs["seed"] = np.uint64(simulation.seed)
        for name in ARRAYS:
            content.create_dataset(name, data=getattr(simulation, name))
        for name, stored in STORED.items():
            content.create_dataset(stored, data=getattr(simulation.halos, name))


def load_simulation(path: Path) -> Simulation:
    """Simulation from its file; the arrays of particles and cells are read-only memory maps.

    Raises
    ------
    InputError
        If the file is missing, truncated or no simulation of this package.
    """
    try:
        with h5py.File(path, "r") as content:
            if content.attrs.get("format") != FORMAT:
                raise InputError(f"{path}: expected a file of 'zoo simulate nbody' ({FORMAT}), found another HDF5 file")
            config = NBodyConfig.model_validate_json(content.attrs["config"])
            n = config.particles
            shapes = {"linear": (n, n, n), "positions": (n**3, 3), "momenta": (n**3, 3), "halo_of": (n**3,)}
            arrays = {name: _mapped(path, content, name, shape) for name, shape in shapes.items()}
            halos = Halos(**{name: content[stored][()] for name, stored in STORED.items()})
            return Simulation(config, int(content.attrs["seed"]), **arrays, halos=halos)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; 'zoo simulate nbody' makes it") from error
    except (OSError, KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: no whole simulation file ({error}): truncated or damaged; delete it and run 'zoo simulate nbody' again"
        ) from error


def _mapped(path: Path, content: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    dtype = np.dtype(np.int32 if name == "halo_of" else np.float32)
    dataset = content[name]
    offset = dataset.id.get_offset()  # None where the numbers are not here in one piece: chunked, external, virtual
    if not isinstance(content.get(name, getlink=True), h5py.HardLink) or offset is None:
        raise InputError(f"{path}: {name} is not stored in one piece, as 'zoo simulate nbody' writes it")
    if dataset.shape != shape or dataset.dtype != dtype:
        raise InputError(f"{path}: {name}: expected {dtype} {shape}, given {dataset.dtype} {dataset.shape}")
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def _simulate_to(path: Path, config: NBodyConfig, seed: int, threads: int) -> None:
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    write_simulation(path, run(config, seed))
