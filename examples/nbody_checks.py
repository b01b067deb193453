"""Checks of the N-body simulator against theory, a figure each.

    python examples/nbody_checks.py [folder]

Writes power.png, growth.png, momentum.png and mass_function.png, and prints the numbers of the last. Simulations of Gaussian
fields are kept in the cache. About five minutes of one core, and three when called again. The fitted mass functions
are those of colossus (`pip install colossus`); without it they are left out.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image

from zoo.data.nbody.checks import (
    HALO_SIZES,
    expected_halos,
    growth_of_modes,
    halofit_power,
    in_colossus,
    momentum_by_step,
    paired_fields,
)
from zoo.data.nbody.cosmology import growth, linear_power
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.power import expected_power, field_power, particle_power
from zoo.data.nbody.simulate import NBodyConfig, Simulation, cached_simulations, load_simulation, simulate
from zoo.interpret.plots.style import BLUE, GRAY, GREEN, ORANGE, RED, panels, styled
from zoo.progress import track

FIRST_SEED = 2000
LINEAR, LOW = 0.035, 0.15
"""Largest wavenumber, h/Mpc, whose modes count as linear, and of the first panel of power.png."""
NAMES = {"angulo12": "Angulo+12", "watson13": "Watson+13", "tinker08": "Tinker+08"}


@styled
def power_figure(config: NBodyConfig, wide: NBodyConfig, simulations: list[Simulation]) -> Figure:
    """Power at z = 0 over the linear one in a wide box, and over HALOFIT in the boxes of ``simulations``."""
    figure, axes = panels(1, 2, (10, 4.2))
    ax = axes[0, 0]
    linear = expected_power(lambda k: linear_power(wide.cosmology, k, transfer=wide.transfer), wide.particles, wide.box)
    over_linear, over_own = [], []
    for seed in track(range(len(simulations)), "power at low k"):
        field = linear_density(wide, seed)
        k, start, _ = field_power(field, wide.box)
        (final,) = evolve(wide, field)
        power = particle_power(final.positions, wide.box, wide.mesh)[1][: len(k)]
        over_linear.append(power / linear)
        over_own.append(power / start)
    low = k < LOW
    _band(ax, k[low], np.array(over_linear)[:, low], BLUE, "linear theory")
    _band(ax, k[low], np.array(over_own)[:, low], RED, "linear power of the same field")
    at = np.geomspace(k[0], LOW, 50)
    ratio = halofit_power(wide.cosmology, at) / linear_power(wide.cosmology, at, transfer=wide.transfer)
    ax.plot(at, ratio, color=GRAY, linestyle="--", label="HALOFIT over linear theory")
    title = f"{wide.particles}$^3$ particles in {wide.box:g} Mpc/$h$: simulated power over"
    ax.set(xscale="log", ylim=(0.7, 1.3), title=title, xlabel="$k$ [$h$/Mpc]", ylabel="ratio of powers, $z$ = 0")
    ax.set_xticks([0.02, 0.05, 0.1], ["0.02", "0.05", "0.1"])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(loc="upper right")

    ax = axes[0, 1]
    edges = np.geomspace(2 * np.pi / config.box * 1.5, np.pi * config.particles / config.box, 15)
    at = np.sqrt(edges[1:] * edges[:-1])
    gaussian = [_binned_over_halofit(simulation.positions, config, edges) for simulation in simulations]
    fields = [field for seed in range(max(1, len(simulations) // 2)) for field in paired_fields(config, seed)]
    paired = [
        _binned_over_halofit(evolve(config, field)[0].positions, config, edges) for field in track(fields, "power at high k")
    ]
    ax.axhspan(0.95, 1.05, color="0.9", zorder=0, label="5%")
    _band(ax, at, np.array(gaussian), BLUE, f"{len(gaussian)} Gaussian fields")
    pairs = np.array(paired).reshape(-1, 2, len(at)).mean(axis=1)
    _band(ax, at, pairs, RED, f"{len(pairs)} pairs of fixed amplitude")
    ratio = linear_power(config.cosmology, at, transfer=config.transfer) / halofit_power(config.cosmology, at)
    ax.plot(at[ratio > 0.5], ratio[ratio > 0.5], ":", color=GRAY, label="linear theory")
    title = f"{config.particles}$^3$ particles in {config.box:g} Mpc/$h$: power over HALOFIT"
    ax.set(xscale="log", ylim=(0.2, 1.3), xlim=(edges[0], edges[-1]), title=title, xlabel="$k$ [$h$/Mpc]")
    ax.legend(loc="lower right")
    return figure


def _binned_over_halofit(positions: np.ndarray, config: NBodyConfig, edges: np.ndarray) -> np.ndarray:
    """Ratio of powers, (bins,); NaN in a bin without modes."""
    k, power, modes = particle_power(positions, config.box, config.mesh)
    ratio, found = power / halofit_power(config.cosmology, k), np.full(len(edges) - 1, np.nan)
    for i, (low, high) in enumerate(pairwise(edges)):
        inside = (k >= low) & (k < high)
        if inside.any():
            found[i] = np.average(ratio[inside], weights=modes[inside])
    return found


def _band(ax: Axes, x: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    """Mean over rows, and their standard deviation as a band."""
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    ax.fill_between(x, mean - deviation, mean + deviation, color=color, alpha=0.25, linewidth=0)
    ax.plot(x, mean, color=color, label=label)


@styled
def growth_figure(wide: NBodyConfig, seeds: int) -> Figure:
    """Growth of the modes of at most ``LINEAR`` h/Mpc beside linear theory."""
    a = np.linspace(0.2, 1, 9)
    largest = max(LINEAR, 3 * np.pi / wide.box)
    found = np.array([growth_of_modes(wide, seed, a, largest) for seed in track(range(seeds), "growth")])
    figure, axes = panels(2, 1, (5.6, 5.4), sharex=True, height_ratios=[3, 2])
    upper, lower = axes[:, 0]
    fine = np.linspace(wide.start, 1, 100)
    upper.plot(fine, growth(wide.cosmology, fine), color=GRAY, label="linear theory, $D(a)$")
    upper.plot(a, found.mean(axis=0), "o", color=BLUE, label=f"modes of $k$ < {largest:.3g} $h$/Mpc, {seeds} fields")
    lower.axhspan(-1, 1, color="0.9", zorder=0)
    expected = growth(wide.cosmology, a)
    percent = 100 * (found / expected - 1)
    lower.errorbar(a, percent.mean(axis=0), percent.std(axis=0), fmt="o", color=BLUE, capsize=2)
    if (theirs := _colossus_growth(wide, fine)) is None:
        upper.plot([], [], " ", label="colossus is not installed: its curve is left out")
    else:
        upper.plot(fine, theirs, ":", color=RED, linewidth=2.5, label="colossus")
        lower.plot(fine, 100 * (theirs / growth(wide.cosmology, fine) - 1), ":", color=RED, linewidth=2.5)
    upper.set(
        ylabel="growth since early times,\n1 today in linear theory",
        title=f"{wide.particles}$^3$ particles in {wide.box:g} Mpc/$h$",
    )
    lower.set(xlabel="scale factor $a$", ylabel="off linear theory [%]", ylim=(-2, 2))
    upper.legend(loc="upper left")
    return figure


def _colossus_growth(config: NBodyConfig, a: np.ndarray) -> np.ndarray | None:
    if find_spec("colossus") is None:
        return None
    return in_colossus(config.cosmology).growthFactor(1 / a - 1)


@styled
def momentum_figure(config: NBodyConfig, seed: int) -> Figure:
    """Mean momentum of the particles at each step."""
    a, mean = momentum_by_step(config, seed)
    figure, axes = panels(1, 1, (5.6, 3.8))
    ax = axes[0, 0]
    for axis, (name, color, marker) in enumerate(zip("xyz", (BLUE, RED, GREEN), "os^", strict=True)):
        ax.plot(a, np.abs(mean[:, axis]), color=color, marker=marker, markersize=3.5, linewidth=1, label=f"along ${name}$")
    ax.axhline(1e-6, color=GRAY, linestyle="--", label="bound of the test")
    title = f"{config.particles}$^3$ particles in {config.box:g} Mpc/$h$, {config.steps} steps"
    ax.set(yscale="log", ylim=(1e-11, 1e-5), xlabel="scale factor $a$", ylabel="|mean momentum| / rms", title=title)
    ax.legend(loc="lower center", ncols=4, columnspacing=1.0, handletextpad=0.4)
    return figure


@styled
def mass_function_figure(simulations: list[Simulation]) -> Figure:
    """Halos per logarithm of mass, and over fits; errors are those of Poisson's law."""
    config, number = simulations[0].config, len(simulations)
    fitted = find_spec("colossus") is not None
    figure, axes = panels(2, 1, (6.4, 6.8), sharex=True, height_ratios=[3, 2.4])
    upper, lower = axes[:, 0]
    found = np.concatenate([simulation.halos.size for simulation in simulations])
    around = np.concatenate([simulation.halos.m200m for simulation in simulations]) / config.particle_mass
    edges = HALO_SIZES
    series = [
        ("friends of friends", found, "angulo12", "fof", BLUE, "o"),
        ("friends of friends", found, "watson13", "fof", RED, "s"),
        ("within $R_{200m}$", around[around > 0], "tinker08", "200m", GREEN, "^"),
    ]
    volume, middle, width = number * config.box**3, np.sqrt(edges[1:] * edges[:-1]), np.log(edges[1:] / edges[:-1])
    fine = np.geomspace(edges[0], edges[-1], 60)
    lower.axhspan(0.95, 1.05, color="0.9", zorder=0, label="5%")
    for label, sizes, fit, definition, color, marker in series:
        counts = np.histogram(sizes, edges)[0]
        filled = counts > 0
        counts, mass = counts[filled], middle[filled] * config.particle_mass
        style = {"fmt": marker, "color": color, "markersize": 4.5, "capsize": 2, "linewidth": 1}
        if fit != "watson13":  # the same halos again
            density = counts / volume / width[filled]
            upper.errorbar(mass, density, density / np.sqrt(counts), label=label, **style)
        if not fitted:
            continue
        curve = expected_halos(config, fine, fit, definition) / config.box**3 / np.diff(np.log(fine))
        upper.plot(np.sqrt(fine[1:] * fine[:-1]) * config.particle_mass, curve, color=color, linewidth=1.2, label=NAMES[fit])
        ratio = counts / number / expected_halos(config, edges, fit, definition)[filled]
        lower.errorbar(mass, ratio, ratio / np.sqrt(counts), label=f"{label} over {NAMES[fit]}", **style)
        print(f"{label} over {NAMES[fit]}:", *(f"{r:.3f}+-{r / n**0.5:.3f}" for r, n in zip(ratio, counts, strict=True)))
    counts = np.histogram(found, edges)[0] / number
    few = np.append(edges[:-1][counts <= 100], edges[-1])[0]
    for ax in (upper, lower):
        for limit in (edges[0], few):
            ax.axvline(limit * config.particle_mass, color=ORANGE, linestyle="--", linewidth=1.2)
    place = {"transform": upper.get_xaxis_transform(), "fontsize": 9}
    upper.text(few * config.particle_mass, 0.9, "more than 100 halos \na simulation ", ha="right", **place)
    upper.text(edges[0] * config.particle_mass, 0.5, f" smallest halos,\n {edges[0] + 0.5:.0f} particles", **place)
    title = f"{number} simulations of {config.particles}$^3$ particles in {config.box:g} Mpc/$h$"
    upper.set(xscale="log", yscale="log", title=title, ylabel=r"$\mathrm{d}n/\mathrm{d}\ln M$ [($h$/Mpc)$^3$]")
    lower.set(xlabel=r"$M$ [$M_\odot/h$]", ylabel="halos over the fit", ylim=(0.05, 1.3))
    top = upper.secondary_xaxis("top", functions=(lambda m: m / config.particle_mass, lambda n: n * config.particle_mass))
    top.set_xlabel("particles a halo")
    upper.legend(loc=(0.05, 0.02))
    if fitted:
        lower.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="none")
    else:
        lower.text(0.5, 0.5, "colossus is not installed: fits are left out", transform=lower.transAxes, ha="center")
    return figure


def _save(figure: Figure, path: Path) -> None:
    """PNG of 128 colors, which takes a third of the space."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128).save(path, optimize=True)


def main(folder: Path, particles: int = 128, seeds: int = 4) -> None:
    """Write the four figures; boxes shrink with ``particles`` a side, so that halos are as well resolved."""
    config = NBodyConfig(particles=particles, box=100.0 * particles / 128)
    wide = NBodyConfig(particles=particles, box=5 * config.box, steps=10)
    folder.mkdir(parents=True, exist_ok=True)
    made = simulate(cached_simulations(config), config, range(FIRST_SEED, FIRST_SEED + seeds))
    simulations = [load_simulation(path) for path in made]
    _save(mass_function_figure(simulations), folder / "mass_function.png")
    small = NBodyConfig(particles=particles // 2, box=config.box / 2)
    _save(momentum_figure(small, FIRST_SEED), folder / "momentum.png")
    widest = NBodyConfig(particles=particles // 2, box=10 * config.box, steps=10)
    _save(growth_figure(widest, seeds), folder / "growth.png")
    _save(power_figure(config, wide, simulations), folder / "power.png")
    print("power.png, growth.png, momentum.png and mass_function.png are in", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/nbody_checks"))
