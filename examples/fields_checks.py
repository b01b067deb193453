"""Checks of simulated fields against theory at the corners of their hypercube, in a figure.

    python examples/fields_checks.py [folder]

Writes fields.png, and prints its numbers. Simulations of the default set that the cache lacks are made: about five minutes of
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
from zoo.data.fields.simulate import cached_fields, load_density, simulate
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
LONG = 5
"""Bins of wavenumber whose modes are few."""


def power_over_theory(config: FieldsConfig, numbers: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Power over linear and nonlinear theory, and the nonlinear over the linear, (simulations, bins) each."""
    found: dict[str, list[np.ndarray]] = {"linear": [], "nonlinear": [], "expected": []}
    for number in numbers:
        cosmology = config.nbody(int(number)).cosmology
        measured = density_power(load_density(cached_fields(config), config, int(number)), config.box, config.particles**3)
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
    first, nyquist = 2 * np.pi / config.box, np.pi * config.side / config.box
    edges = first * (np.unique(np.rint(np.geomspace(1, config.side / 2, 16))) - 0.5)  # whole bins of ``density_power``
    k, modes = modes_in_bins(config, edges)
    places = [*CORNERS, MIDDLE]
    chosen = [nearest(config, *place, each) for place in places]
    simulate(cached_fields(config), config, np.concatenate(chosen).tolist())
    for place, numbers, color, marker in zip(places, track(chosen, "power"), COLORS, MARKERS, strict=False):
        label = _label(place)
        ratios = power_over_theory(config, numbers, edges)
        style = {"color": color, "marker": marker, "markersize": 4.5, "linewidth": 1, "capsize": 2}
        of_modes = ratios["expected"].mean(axis=0)[:LONG] / np.sqrt(each * modes[:LONG])
        axes[0, 0].errorbar(k[:LONG], ratios["linear"].mean(axis=0)[:LONG], of_modes, linestyle="none", label=label, **style)
        axes[0, 0].plot(k[:LONG], ratios["expected"].mean(axis=0)[:LONG], color=color, linestyle="--", linewidth=1)
        mean, error = ratios["nonlinear"].mean(axis=0), ratios["nonlinear"].std(axis=0, ddof=1) / np.sqrt(each)
        axes[0, 1].errorbar(k, mean, error, **style)
        print(place, "power over HMcode:", *(f"{a:.2f}: {b:.3f}+-{c:.3f}" for a, b, c in zip(k, mean, error, strict=True)))

        maps = np.concatenate([slabs(load_density(cached_fields(config), config, int(i)), 4) for i in numbers])
        values = one_point(maps, VALUES, offset=0.01).mean(axis=0) / np.diff(VALUES)
        middle, variance = (VALUES[1:] + VALUES[:-1]) / 2, float(np.var(maps.astype(float)))
        axes[1, 1].plot(middle, values, color=color, label=f"{label}: variance {variance:.2f}")
        axes[1, 1].plot(middle, lognormal_fractions(variance, VALUES) / np.diff(VALUES), "--", color=color, linewidth=1)
        skewness = float(np.mean((maps - maps.mean()) ** 3) / variance**2)
        print(place, f"maps: variance {variance:.3f}, S3 {skewness:.2f}, lognormal's {3 + variance:.2f}")

    for place, color in zip(CORNERS[:2], COLORS, strict=False):
        axes[0, 1].plot(k, power_in_a_wide_box(config, place, edges), ":", color=color)
    axes[0, 1].plot([], [], ":", color=GRAY, label=f"in a box of {WIDER * config.box:g} Mpc/$h$")
    for place, numbers, color, marker in zip(places, track(chosen, "forces"), COLORS, MARKERS, strict=False):
        found = np.array([cost_of_the_mesh(config, SOFTENING, int(number), edges) for number in numbers[:fields]])
        label = _label(place)
        axes[1, 0].plot(k, found.mean(axis=0), color=color, marker=marker, markersize=4.5, linewidth=1, label=label)
        print(place, "mesh over direct forces:", *(f"{a:.2f}: {b:.3f}" for a, b in zip(k, found.mean(axis=0), strict=True)))

    title = f"{each} simulations near each cosmology"
    _of_wavenumber(axes[0, 0], f"{title}: longest waves", "power over linear theory, $z$ = 0", [0.07, 0.1, 0.2, 0.3])
    axes[0, 0].plot([], [], "--", color=GRAY, linewidth=1, label="HMcode-2020 over linear")
    axes[0, 1].axvspan(nyquist / 2, nyquist, color="0.92", zorder=0, label="aliases of the cells count")
    axes[0, 1].legend(loc="upper right")
    _of_wavenumber(axes[0, 1], title, "power over HMcode-2020, $z$ = 0", [0.1, 0.2, 0.5, 1, 2])
    _of_wavenumber(
        axes[1, 0],
        f"Cost of the mesh, {fields} field{'s' * (fields > 1)} each",
        "power, mesh over direct forces",
        [0.1, 0.2, 0.5, 1, 2],
    )
    axes[1, 1].set(
        yscale="log",
        ylim=(1e-4, 3),
        xlabel=r"$\ln(1 + \delta + 0.01)$",
        ylabel="density of cells",
        title=f"Maps of slabs of {config.box / 4:g} Mpc/$h$, and lognormals",
    )
    axes[1, 1].plot([], [], "--", color=GRAY, linewidth=1, label="lognormal of that variance")
    axes[0, 0].legend(loc="upper left")
    axes[1, 0].legend(loc="lower left")
    axes[1, 1].legend(loc="lower center", fontsize=8)
    return figure


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
