"""What a search for anomalies rests on, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.style import BLUE, COLORS, GRAY, MARKERS, RED, one_panel, panels, styled, with_unit

BINS = 30
"""Bins of a distribution."""


@styled
def beside_draws(truth: np.ndarray, drawn: np.ndarray, names: Sequence[str], units: Sequence[str]) -> Figure:
    """Distributions of observables and of draws, and below them draws over observables.

    Parameters
    ----------
    truth, drawn : ndarray
        Rows, of shape (n, D) and (m, D).
    names, units : sequence of str
        Names of the observables, and their units.

    Returns
    -------
    Figure
        Two panels for each observable.
    """
    figure, axes = panels(2, len(names), (1.2 + 2.7 * len(names), 4.4), sharex="col", sharey="row", height_ratios=[2.2, 1])
    for place, (name, unit) in enumerate(zip(names, units, strict=True)):
        upper, lower = axes[:, place]
        low, high = np.quantile(truth[:, place], [0.0005, 0.9995])
        edges = np.linspace(low, high, BINS + 1)
        counts = [np.histogram(rows[:, place], edges)[0] for rows in (truth, drawn)]
        shares = [count / len(rows) for count, rows in zip(counts, (truth, drawn), strict=True)]
        upper.stairs(shares[0], edges, color="0.8", fill=True, label="background")
        upper.stairs(shares[1], edges, color=BLUE, linewidth=1.6, label="drawn")
        filled = (counts[0] > 0) & (counts[1] > 0)
        ratio = (shares[1] / np.where(filled, shares[0], 1))[filled]
        error = ratio * np.sqrt(1 / counts[0][filled] + 1 / counts[1][filled])
        lower.axhline(1, color=GRAY, linestyle="--", linewidth=1)
        lower.errorbar(((edges[1:] + edges[:-1]) / 2)[filled], ratio, error, color=BLUE, fmt="o", markersize=3)
        lower.set_xlabel(with_unit(name.replace("_", " "), unit))
        lower.set_ylim(0.4, 1.6)
    axes[0, 0].set_ylabel("share of events")
    axes[1, 0].set_ylabel("drawn over\nbackground")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def improvement_against_signal(fractions: np.ndarray, found: Mapping[str, Mapping[str, np.ndarray]]) -> Figure:
    """Significance improvement against the signal that is hidden: mean over repeats, and their range.

    Parameters
    ----------
    fractions : ndarray
        Signal per background event, of shape (k,).
    found : mapping of str to mapping
        Improvements of each method, of shape (k, repeats), by what they are and by the method.

    Returns
    -------
    Figure
        A panel for each kind of improvement.
    """
    figure, axes = panels(1, len(found), (1.0 + 3.2 * len(found), 4.2))
    for panel, (title, curves) in zip(axes[0], found.items(), strict=True):
        for (method, values), color, marker in zip(curves.items(), cycle(COLORS), cycle(MARKERS), strict=False):
            panel.fill_between(100 * fractions, values.min(axis=1), values.max(axis=1), color=color, alpha=0.15, linewidth=0)
            panel.plot(100 * fractions, values.mean(axis=1), color=color, marker=marker, markersize=4, label=method)
        panel.axhline(1, color=GRAY, linestyle="--", linewidth=1, label="no cut")
        panel.set_title(_two_lines(title))
        panel.set_xlabel("signal / background in the signal region [%]")
        panel.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("significance improvement")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _two_lines(text: str) -> str:
    """Words on two lines of about the same length."""
    words = text.split()
    return f"{' '.join(words[: (len(words) + 1) // 2])}\n{' '.join(words[(len(words) + 1) // 2 :])}"


@styled
def improvement_against_efficiency(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str, least: int = 25) -> Figure:
    """Significance improvement of each cut against the share of the background that it leaves.

    Parameters
    ----------
    curves : mapping of str to tuple of ndarray
        Shares of signal and background that pass, of shape (m,), by the method.
    title : str
        Title of the figure.
    least : int
        Background events that a cut leaves at least.

    Returns
    -------
    Figure
        One panel.
    """
    figure, panel = one_panel()
    for (method, (of_signal, of_background)), color in zip(curves.items(), cycle(COLORS), strict=False):
        kept = slice(least - 1, None)
        panel.plot(of_background[kept], (of_signal / np.sqrt(of_background))[kept], color=color, label=method)
    panel.axhline(1, color=GRAY, linestyle="--", linewidth=1, label="no cut")
    panel.set(xscale="log", xlabel="share of the background that passes", ylabel="significance improvement", title=title)
    panel.set_ylim(bottom=0)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@styled
def events_that_pass(
    mass: np.ndarray, weight: np.ndarray, share: np.ndarray, region: tuple[float, float], everything: np.ndarray, label: str
) -> Figure:
    """Events that pass a cut against their mass, beside what is expected of the background.

    Parameters
    ----------
    mass, weight : ndarray
        Mass and event weight of those that pass, of shape (m,).
    share : ndarray
        Expected share that passes, times the event weight, of each of all events, of shape (n,).
    region : tuple of float
        Ends of the signal region.
    everything : ndarray
        Mass of all events, of shape (n,).
    label : str
        The mass with its unit.

    Returns
    -------
    Figure
        One panel.
    """
    width = (region[1] - region[0]) / 4
    low = region[0] - width * np.ceil((region[0] - everything.min()) / width)
    edges = np.arange(low, everything.max() + width, width)
    middle = (edges[1:] + edges[:-1]) / 2
    counts, squares = (np.histogram(mass, edges, weights=one)[0] for one in (weight, weight**2))
    figure, panel = one_panel()
    panel.axvspan(*region, color="0.93", label="signal region")
    panel.stairs(np.histogram(everything, edges, weights=share)[0], edges, color=BLUE, label="expected from the sides")
    panel.errorbar(middle, counts, np.sqrt(squares), color=RED, fmt="o", markersize=3.5, label="events that pass")
    panel.set(xlabel=label, ylabel="events")
    panel.set_ylim(bottom=0)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
