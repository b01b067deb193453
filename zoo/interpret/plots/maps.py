"""Figures of maps of matter and of their power."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, GRAY, RED, SEQUENTIAL, panels, styled

FLOOR = 0.05
"""Added to densities in units of their mean before the logarithm."""
LOOK = {"simulated": GRAY, "drawn": BLUE, "lognormal": RED}
"""Colors of where maps come from."""


@styled
def maps_beside(maps: Mapping[str, np.ndarray], theta: np.ndarray, box: float, count: int) -> Figure:
    """Maps of the same parameters below each other, by where they come from.

    Parameters
    ----------
    maps : mapping of str to ndarray
        Overdensities (n, s, s) of each way.
    theta : ndarray of shape (n, 2)
        Omega_m and sigma_8 of each.
    box : float
        Side of a map, Mpc/h.
    count : int
        How many are drawn.
    """
    figure, axes = panels(len(maps), count, (2.1 * count + 0.8, 2.1 * len(maps) + 0.3))
    shown = {way: np.log10(1 + some[:count] + FLOOR) for way, some in maps.items()}
    low, high = np.quantile(np.stack(list(shown.values())), [0.005, 0.995])
    for i, ax in enumerate(axes[0]):
        ax.set_title(rf"$\Omega_m$ {theta[i, 0]:.2f}, $\sigma_8$ {theta[i, 1]:.2f}")
    for row, (way, some) in zip(axes, shown.items(), strict=True):
        for ax, one in zip(row, some, strict=True):
            image = ax.imshow(one, cmap=SEQUENTIAL, vmin=low, vmax=high, extent=(0, box, 0, box), origin="lower")
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(way)
    figure.colorbar(
        image, ax=[ax for row in axes for ax in row], label=f"log10 of density\nover its mean, + {FLOOR:g}", shrink=0.8
    )
    axes[-1][0].set_xlabel(f"{box:g} Mpc/h")
    return figure


@styled
def map_power(spectra: Mapping[str, tuple[np.ndarray, np.ndarray]], group: np.ndarray) -> Figure:
    """Power of maps over that of the simulated ones of the same parameters, geometric mean over simulations, and their scatter.

    The geometric mean, as the arithmetic one of ratios of maps of other initial fields is above one for equal powers.

    Parameters
    ----------
    spectra : mapping of str to tuple of ndarray
        Wavenumbers (bins,) in h/Mpc and powers (n, bins) by where maps come from, "simulated" among them.
    group : ndarray of shape (n,)
        The simulation of each map.
    """
    figure, ((ax,),) = panels(1, 1, (6.4, 3.8))
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)

    def means(logarithm: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(place, column) for column in logarithm.T], axis=1) / counts[:, None]

    k, power = spectra["simulated"]
    true = np.log(power)
    within = np.std(true - means(true)[place], axis=0)
    ax.fill_between(k, np.exp(-within), np.exp(within), color=GRAY, alpha=0.2, lw=0, label="scatter of one simulated map")
    ax.axhline(1, color=GRAY, lw=1)
    for way, (_, power) in spectra.items():
        if way == "simulated":
            continue
        off = means(np.log(power) - true)
        ratio, error = np.exp(off.mean(axis=0)), off.std(axis=0, ddof=1) / np.sqrt(len(off))
        ax.errorbar(k, ratio, ratio * error, fmt="o-", ms=3.5, capsize=2, color=LOOK[way], label=way)
    ax.set(xscale="log", xlabel=r"wavenumber $k$ [$h$/Mpc]", ylabel="power over simulated, geometric mean", ylim=(0.5, 1.5))
    ax.legend()
    return figure


@styled
def filled_map(draws: np.ndarray, hole: np.ndarray) -> Figure:
    """A map with its holes, three ways to fill them, and how much all ways differ.

    Parameters
    ----------
    draws : ndarray of shape (draws, y, x)
        Overdensities that agree where there is no hole.
    hole : ndarray of shape (y, x)
        The cells that were filled.
    """
    logarithm = np.log10(1 + draws + FLOOR)
    shown = {"given": np.ma.array(logarithm[0], mask=hole)} | {f"fill {i + 1}": one for i, one in enumerate(logarithm[:3])}
    several = len(draws) > 1
    figure, (axes,) = panels(1, len(shown) + several, (2.3 * (len(shown) + several) + 0.8, 2.7))
    low, high = np.quantile(logarithm, [0.005, 0.995])
    for ax, (title, one) in zip(axes, shown.items(), strict=False):
        image = ax.imshow(one, cmap=SEQUENTIAL, vmin=low, vmax=high, origin="lower")
        ax.set(title=title, xticks=[], yticks=[])
        if title != "given":
            ax.contour(hole, levels=[0.5], colors=RED, linewidths=0.8)
    figure.colorbar(image, ax=axes[len(shown) - 1], label=f"log10 of density\nover its mean, + {FLOOR:g}")
    if not several:
        return figure
    spread = axes[-1].imshow(np.ma.array(logarithm.std(axis=0), mask=~hole), cmap=SEQUENTIAL, origin="lower")
    axes[-1].set(title=f"deviation of {len(draws)} fills", xticks=[], yticks=[])
    figure.colorbar(spread, ax=axes[-1], label="deviation of log10")
    return figure
