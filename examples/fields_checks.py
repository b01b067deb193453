"""Checks of simulated fields against theory at the corners of their hypercube, in a figure.

    python examples/fields_checks.py [folder]

Writes fields.png, and prints its numbers. Simulations of the default set that the cache lacks are made: about eight minutes of
one core in all.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from PIL import Image

from zoo.data.fields.checks import binned_ratio, cost_of_the_mesh, lognormal_fractions, nearest, nonlinear_power
from zoo.data.fields.design import RANGES, FieldsConfig
from zoo.data.fields.simulate import cached_fields, load, simulate
from zoo.data.fields.summaries import one_point
from zoo.data.fields.views import slabs
from zoo.data.nbody.checks import paired_fields
from zoo.data.nbody.cosmology import Cosmology, linear_power
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.power import density_power, expected_power, particle_power
from zoo.data.nbody.simulate import NBodyConfig
from zoo.interpret.plots.style import COLORS, GRAY, MARKERS, panels, styled
from zoo.progress import track

CORNERS = [(omega_m, sigma8) for omega_m in RANGES["omega_m"] for sigma8 in RANGES["sigma8"]]
MIDDLE = tuple(float(np.mean(RANGES[name])) for name in ("omega_m", "sigma8"))
SOFTENING = 0.1
VALUES = np.linspace(-3.5, 4.5, 65)
"""Edges of the bins of log(1 + delta)."""
WIDER = 4
"""Sides of the set's box in that of a box that has longer waves."""
TICKS = [0.1, 0.2, 0.5, 1, 2]
LONG = 5
"""Bins of wavenumber whose modes are few."""
Chosen = dict[tuple[float, ...], np.ndarray]
"""Numbers of the simulations near each cosmology."""


def power_over_theory(config: FieldsConfig, numbers: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Power over linear and nonlinear theory, and the nonlinear over the linear, (simulations, bins) each."""
    found: dict[str, list[np.ndarray]] = {"linear": [], "nonlinear": [], "expected": []}
    for number in numbers:
        cosmology = config.nbody(int(number)).cosmology
        measured = density_power(load(cached_fields(config), config, int(number)), config.box, config.particles**3)
        linear, nonlinear = (
            expected_power(spectrum, config.side, config.box)
            for spectrum in (
                lambda k, c=cosmology: linear_power(c, k, transfer="eisenstein-hu"),
                lambda k, c=cosmology: nonlinear_power(c, k),
            )
        )
        found["linear"].append(binned_ratio(measured, linear, edges))
        found["nonlinear"].append(binned_ratio(measured, nonlinear, edges))
        found["expected"].append(binned_ratio((measured[0], nonlinear, measured[2]), linear, edges))
    return {name: np.array(values) for name, values in found.items()}


def power_in_a_wide_box(config: FieldsConfig, place: tuple[float, float], edges: np.ndarray) -> np.ndarray:
    """Power over the nonlinear one of a pair of fields of fixed amplitude, (bins,), with twice the particles a side."""
    cosmology = Cosmology(omega_m=place[0], sigma8=place[1])
    wide = NBodyConfig(
        cosmology=cosmology,
        particles=2 * config.particles,
        box=WIDER * config.box,
        steps=config.steps,
        transfer="eisenstein-hu",
    )
    expected = expected_power(lambda k: nonlinear_power(cosmology, k), wide.mesh, wide.box)
    measured = [
        particle_power(evolve(wide, field)[0].positions, wide.box, wide.mesh)
        for field in track(paired_fields(wide, 0), f"box of {wide.box:g}")
    ]
    found = np.mean([binned_ratio(one, expected, edges) for one in measured], axis=0)
    print(f"{place} in a box of {wide.box:g}:", found.round(3))
    found[edges[1:] > np.pi * wide.particles / wide.box] = np.nan
    return found


def modes_in_bins(config: FieldsConfig, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean wavenumber and number of modes of each bin."""
    k, _, modes = density_power(np.ones([config.side] * 3, np.float32), config.box, config.particles**3)
    count = np.histogram(k, edges, weights=modes)[0]
    return np.histogram(k, edges, weights=modes * k)[0] / count, count


@styled
def checks_figure(config: FieldsConfig, each: int, fields: int) -> Figure:
    """Power over theory, what the mesh costs, and values of cells of maps; ``each`` simulations a cosmology."""
    figure, axes = panels(2, 2, (11, 8.2))
    edges = 2 * np.pi / config.box * (np.unique(np.rint(np.geomspace(1, config.side / 2, 16))) - 0.5)  # whole bins of the power
    chosen = {place: nearest(config, *place, each) for place in (*CORNERS, MIDDLE)}
    simulate(cached_fields(config), config, np.concatenate(list(chosen.values())).tolist())
    draw_power(axes[0], config, chosen, edges)
    draw_values(axes[1, 1], config, chosen)
    draw_cost_of_the_mesh(axes[1, 0], config, {place: numbers[:fields] for place, numbers in chosen.items()}, edges)
    return figure


def draw_power(axes: np.ndarray, config: FieldsConfig, chosen: Chosen, edges: np.ndarray) -> None:
    """Power over linear theory, with the scatter of the modes, and over HMcode, with that of the mean of the simulations."""
    k, modes = modes_in_bins(config, edges)
    long, nyquist = slice(0, LONG), np.pi * config.side / config.box
    for (place, numbers), color, marker in zip(track(list(chosen.items()), "power"), COLORS, MARKERS, strict=False):
        ratios = power_over_theory(config, numbers, edges)
        style = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1, "capsize": 2}
        expected, linear = ratios["expected"].mean(axis=0)[long], ratios["linear"].mean(axis=0)[long]
        of_modes = expected / np.sqrt(len(numbers) * modes[long])
        axes[0].errorbar(k[long], linear, of_modes, linestyle="none", label=_label(place), **style)
        axes[0].plot(k[long], expected, color=color, linestyle="--", linewidth=1)
        mean, error = ratios["nonlinear"].mean(axis=0), ratios["nonlinear"].std(axis=0, ddof=1) / np.sqrt(len(numbers))
        axes[1].errorbar(k, mean, error, **style)
        print(place, "power over HMcode:", *(f"{a:.2f}: {b:.3f}+-{c:.3f}" for a, b, c in zip(k, mean, error, strict=True)))
    for place, color in zip(CORNERS[:2], COLORS, strict=False):
        axes[1].plot(k, power_in_a_wide_box(config, place, edges), ":", color=color)
    axes[0].plot([], [], "--", color=GRAY, linewidth=1, label="HMcode-2020 over linear")
    axes[1].plot([], [], ":", color=GRAY, label=f"in a box of {WIDER * config.box:g} Mpc/$h$")
    axes[1].axvspan(nyquist / 2, nyquist, color="0.92", zorder=0, label="aliases of the cells count")
    title = f"{len(numbers)} simulations near each cosmology"
    _of_wavenumber(axes[0], f"{title}: longest waves", "power over linear theory, $z$ = 0", [0.07, 0.1, 0.2, 0.3])
    _of_wavenumber(axes[1], title, "power over HMcode-2020, $z$ = 0", TICKS)
    axes[0].legend(loc="upper left")
    axes[1].legend(loc="upper right")


def draw_cost_of_the_mesh(ax: Axes, config: FieldsConfig, chosen: Chosen, edges: np.ndarray) -> None:
    """Power of the mesh's forces over that of direct ones."""
    k, _ = modes_in_bins(config, edges)
    for (place, numbers), color, marker in zip(track(list(chosen.items()), "forces"), COLORS, MARKERS, strict=False):
        found = np.mean([cost_of_the_mesh(config, SOFTENING, int(number), edges) for number in numbers], axis=0)
        ax.plot(k, found, color=color, marker=marker, markersize=4.5, linewidth=1, label=_label(place))
        print(place, "mesh over direct forces:", *(f"{a:.2f}: {b:.3f}" for a, b in zip(k, found, strict=True)))
    title = f"Cost of the mesh, {len(numbers)} field{'s' * (len(numbers) > 1)} each"
    _of_wavenumber(ax, title, "power, mesh over direct forces", TICKS)
    ax.legend(loc="lower left")


def draw_values(ax: Axes, config: FieldsConfig, chosen: Chosen) -> None:
    """Values of cells of maps beside lognormals of the same variance."""
    middle, width = (VALUES[1:] + VALUES[:-1]) / 2, np.diff(VALUES)
    for (place, numbers), color in zip(chosen.items(), COLORS, strict=False):
        maps = np.concatenate([slabs(load(cached_fields(config), config, int(i)), 4) for i in numbers])
        variance = float(np.var(maps.astype(float)))
        label = f"{_label(place)}: variance {variance:.2f}"
        ax.plot(middle, one_point(maps, VALUES, offset=0.01).mean(axis=0) / width, color=color, label=label)
        ax.plot(middle, lognormal_fractions(variance, VALUES) / width, "--", color=color, linewidth=1)
        emptiest = float((maps < -0.8).mean()), float(lognormal_fractions(variance, np.log([1e-9, 0.2]), offset=0.0)[0])
        print(place, f"cells below a fifth of the mean: {emptiest[0]:.2%}, of a lognormal {emptiest[1]:.2%}")
    ax.plot([], [], "--", color=GRAY, linewidth=1, label="lognormal of that variance")
    title = f"Maps of slabs of {config.box / 4:g} Mpc/$h$, and lognormals"
    ax.set(yscale="log", ylim=(1e-5, 3), xlabel=r"$\ln(1 + \delta + 0.01)$", ylabel="density of cells", title=title)
    ax.legend(loc="lower center", fontsize=8)


def _label(place: tuple[float, ...]) -> str:
    return rf"$\Omega_m$ = {place[0]:g}, $\sigma_8$ = {place[1]:g}"


def _of_wavenumber(ax: Axes, title: str, label: str, ticks: list[float]) -> None:
    ax.axhline(1, color=GRAY, linewidth=1, zorder=1)
    ax.set(xscale="log", title=title, xlabel="$k$ [$h$/Mpc]", ylabel=label)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.set_minor_formatter(NullFormatter())


def main(folder: Path, config: FieldsConfig | None = None, each: int = 8, fields: int = 1) -> None:
    """Write the figure."""
    figure = checks_figure(FieldsConfig() if config is None else config, each, fields)
    folder.mkdir(parents=True, exist_ok=True)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(128).save(folder / "fields.png", optimize=True)
    print("fields.png is in", folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/fields_checks"))
