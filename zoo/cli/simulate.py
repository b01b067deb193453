"""The commands that simulate what models are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
import typer.core

from zoo.cli.options import JobsOption, right_folder, right_seed
from zoo.cli.terminal import name_options
from zoo.errors import ZooError, fault

if TYPE_CHECKING:
    from pydantic import ValidationError


class SimulationGroup(typer.core.TyperGroup):
    """Commands that say which simulations there are when they are asked for another."""

    def get_command(self, ctx, cmd_name):
        """Find a simulation; UnknownNameError with the nearest names for another."""
        from zoo.errors import UnknownNameError

        if cmd_name not in self.commands:
            raise UnknownNameError("simulation", cmd_name, self.commands)
        return super().get_command(ctx, cmd_name)


app = typer.Typer(cls=SimulationGroup, no_args_is_help=True)


@app.callback()
def _simulate(context: typer.Context) -> None:
    """Simulate the data that models are trained on."""
    name_options(context)


SimulationsOption = Annotated[Path, typer.Option("--out", help="folder; a killed run goes on there", callback=right_folder)]
CachedOption = Annotated[
    Path | None,
    typer.Option("--out", help="folder; default: where recipes look; a killed run goes on", callback=right_folder),
]


@app.command("cmb-feature")
def simulate_cmb_feature(
    out: SimulationsOption,
    cosmologies: Annotated[int, typer.Option(help="points of the Latin hypercube")] = 1600,
    pairs: Annotated[int, typer.Option(help="primordial spectra on each, with and without the feature")] = 4,
    seed: Annotated[int, typer.Option(help="of the design", callback=right_seed)] = 20181,
    feature: Annotated[Literal["logarithmic", "linear"], typer.Option(help="in what it oscillates: ln k or k")] = "logarithmic",
    jobs: JobsOption = -1,
) -> None:
    """Simulate the spectra that the CMB classifiers train on (the shipped set: the defaults, about an hour on 2 cores)."""
    from zoo.data.cmb.simulate import SimulationConfig
    from zoo.data.cmb.simulate import simulate as run

    config = SimulationConfig(cosmologies=cosmologies, pairs=pairs, seed=seed, feature=feature)
    print(f"wrote {run(out, config, jobs)}")


@app.command("cmb-extensions")
def simulate_cmb_extensions(
    out: SimulationsOption,
    cosmologies: Annotated[int, typer.Option(help="points of the Latin hypercube")] = 128,
    pairs: Annotated[int, typer.Option(help="primordial spectra on each, in every universe")] = 4,
    seed: Annotated[int, typer.Option(help="of the design", callback=right_seed)] = 20185,
    background: Annotated[
        Literal["late", "early"] | None,
        typer.Option(help="universes that expand otherwise: by evolving dark energy, late; by neutrinos or dark energy, early"),
    ] = None,
    jobs: JobsOption = -1,
) -> None:
    """Simulate spectra of universes beside LambdaCDM: running, an oscillation, lensing and a step (shipped: the defaults).

    The shipped sets of other backgrounds: --background late --cosmologies 24 --pairs 2 --seed 20187, and --background early.
    """
    from zoo.data.cmb.extensions import BACKGROUNDS, UNIVERSES, ExtensionConfig
    from zoo.data.cmb.simulate import simulate as run

    universes = UNIVERSES if background is None else BACKGROUNDS[background]
    config = ExtensionConfig(cosmologies=cosmologies, pairs=pairs, seed=seed, universes=universes)
    print(f"wrote {run(out, config, jobs)}")


@app.command("nbody")
def simulate_nbody(
    out: SimulationsOption,
    seeds: Annotated[str, typer.Option(help="first and one past the last, e.g. 0:200")],
    particles: Annotated[int, typer.Option(help="a side of the cube")] = 64,
    box: Annotated[float, typer.Option(help="side in comoving Mpc/h")] = 50.0,
    steps: Annotated[int, typer.Option(help="from scale factor 0.1 to 1")] = 30,
    softening: Annotated[
        float | None,
        typer.Option(help="of direct forces between near particles, in their mean separation; default: the mesh's alone"),
    ] = None,
    sigma8: Annotated[float, typer.Option(help="of the linear field at z = 0")] = 0.812,
    omega_m: Annotated[float, typer.Option(help="matter density, of a flat universe")] = 0.3166,
    jobs: JobsOption = -1,
) -> None:
    """Simulate matter in periodic boxes and find its halos; one HDF5 file a seed."""
    from pydantic import ValidationError

    from zoo.data.nbody.simulate import NBodyConfig
    from zoo.data.nbody.simulate import simulate as run

    chosen = _seeds(seeds)
    cosmology = {"sigma8": sigma8, "omega_m": omega_m}
    try:
        config = NBodyConfig.model_validate(
            {"cosmology": cosmology, "particles": particles, "box": box, "steps": steps, "softening": softening}
        )
    except ValidationError as error:
        raise _named(error) from error
    paths = run(out, config, chosen, jobs)
    print(f"{len(paths)} simulations in {out}")


@app.command("fields")
def simulate_fields(
    numbers: Annotated[str | None, typer.Option(help="which of the set, first and one past the last; default: all")] = None,
    varied: Annotated[Literal["two", "five"], typer.Option(help="Omega_m and sigma_8 vary, or h, n_s and Omega_b too")] = "two",
    simulations: Annotated[int, typer.Option(min=2, help="points of the Latin hypercube")] = 2000,
    seed: Annotated[int, typer.Option(help="of the hypercube and of the fields", callback=right_seed)] = 20211,
    particles: Annotated[int, typer.Option(help="a side of the cube")] = 64,
    cells: Annotated[int | None, typer.Option(help="of the density along a side; default: as many as particles")] = None,
    box: Annotated[float, typer.Option(help="side in comoving Mpc/h")] = 100.0,
    softening: Annotated[
        float | None,
        typer.Option(help="of direct forces between near particles, in their mean separation; default: the mesh's alone"),
    ] = None,
    steps: Annotated[int, typer.Option(help="in time; direct forces take 90")] = 30,
    kept: Annotated[
        Literal["density", "displacement"], typer.Option(help="what files hold: densities, or how far each particle went")
    ] = "density",
    out: CachedOption = None,
    jobs: JobsOption = -1,
) -> None:
    """Simulate matter over a hypercube of cosmologies; one HDF5 file of its density or displacements at z = 0 each."""
    from pydantic import ValidationError

    from zoo.data.fields.design import FieldsConfig
    from zoo.data.fields.simulate import cached_fields
    from zoo.data.fields.simulate import simulate as run

    given: dict[str, object] = {"varied": varied, "simulations": simulations, "seed": seed}
    given |= {"particles": particles, "cells": cells, "box": box, "softening": softening, "steps": steps}
    try:
        config = FieldsConfig.model_validate(given)
    except ValidationError as error:
        raise _named(error) from error
    chosen = range(simulations) if numbers is None else _seeds(numbers, "numbers")
    paths = run(cached_fields(config) if out is None else out, config, chosen, jobs, kept)
    print(f"{len(paths)} fields in {paths[0].parent}")


@app.command("jets")
def simulate_jets(
    seeds: Annotated[str, typer.Option(help="first and one past the last, e.g. 0:64; a file each")],
    sample: Annotated[
        Literal["quark-gluon", "top", "multi", "resonance"],
        typer.Option(help="quark and gluon jets of 500 GeV, tops beside QCD, five classes at 1 TeV, or W' -> X Y beside QCD"),
    ] = "quark-gluon",
    shower: Annotated[
        Literal["default", "alphaS-up", "alphaS-down", "color-reconnection"], typer.Option(help="shower and hadronization")
    ] = "default",
    jets: Annotated[int | None, typer.Option(min=1, help="jets of each class in a file; default: the sample's")] = None,
    bias: Annotated[
        float, typer.Option(min=0, help="power of pT by which events are drawn more often, with weights that make up for it")
    ] = 0.0,
    mass: Annotated[
        float | None, typer.Option(help="mass of W' in GeV, 1000 to 4000, with jets from 300 GeV on; default: 3500, from 1200")
    ] = None,
    out: CachedOption = None,
    jobs: JobsOption = -1,
) -> None:
    """Simulate proton collisions with Pythia and find their jets; one HDF5 file a seed."""
    from zoo.data.jets.samples import jet_config
    from zoo.data.jets.storage import cached_jets
    from zoo.data.jets.storage import simulate as run

    chosen = _seeds(seeds)
    config = jet_config(sample, shower, mass=mass, bias=bias, **({} if jets is None else {"jets": jets}))
    paths = run(cached_jets(config) if out is None else out, config, chosen, jobs)
    print(f"{len(paths)} files of jets in {paths[0].parent}")


def _named(error: ValidationError) -> ZooError:
    """The first fault of settings, which may be of one in another's."""
    wrong = error.errors()[0]
    return ZooError(f"{fault(wrong, within=len(wrong['loc']) - 1)}, given {wrong['input']}")


def _seeds(text: str, what: str = "seeds") -> range:
    """The seeds FIRST:END; ZooError for what is no such range."""
    first, colon, end = text.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise ZooError(f"--{what}: expected FIRST:END with FIRST < END, e.g. 0:200, given {text!r}")
    return range(int(first), int(end))
