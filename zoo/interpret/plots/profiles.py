"""Profiles along a query: how far answers are off, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle

import numpy as np
from matplotlib.figure import Figure

from zoo.interpret.plots.axes import log_x
from zoo.interpret.plots.style import COLORS, one_panel, panels, styled, with_unit

SHOWN = 6
"""Profiles in one figure."""


@styled
def scatter_along_query(query: np.ndarray, curves: Mapping[str, np.ndarray], label: str, unit: str) -> Figure:
    """Root mean square error against a positive query, a curve for each answerer.

    Parameters
    ----------
    query : ndarray
        The queries, of shape (q,).
    curves : mapping of str to ndarray
        Errors by name, of shape (q,).
    label : str
        Label of the query.
    unit : str
        Unit of the error.
    """
    figure, ax = one_panel((6.0, 4.4))
    first = next(iter(curves))
    for (name, curve), color, line in zip(curves.items(), cycle(COLORS), cycle("-----::::"), strict=False):
        wide = 3.5 if name == first else 1.4  # another may lie on it
        ax.plot(query, curve, line, color=color, label=name, marker="o", markersize=3, linewidth=wide)
    log_x(ax)
    ax.set(xlabel=label, ylabel=with_unit("root mean square error", unit))
    ax.set_ylim(bottom=0)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@styled
def answered_profiles(
    query: np.ndarray, profile: np.ndarray, error: np.ndarray, scale: np.ndarray | None, label: str, answer: str
) -> Figure:
    """Some profiles from the smallest to the largest at the first query, with the answer to each and its deviation.

    Parameters
    ----------
    query : ndarray
        The queries, of shape (q,).
    profile : ndarray
        The profiles, of shape (n, q).
    error : ndarray
        Answer minus profile, of shape (n, q).
    scale : ndarray, optional
        Deviations of the answers, of shape (n, q); None where they have none.
    label, answer : str
        Labels of the query and of the profile, with units.
    """
    order = np.argsort(profile[:, 0], kind="stable")
    chosen = order[np.linspace(0.03 * len(order), 0.97 * len(order) - 1, SHOWN).round().astype(int)]
    figure, axes = panels(2, SHOWN // 2, (9.0, 5.4), sharex=True, sharey=True)
    for ax, i in zip(axes.flat, chosen, strict=True):
        found = profile[i] + error[i]
        ax.plot(query, profile[i], "o", color="black", markersize=3.5, label="profile")
        ax.plot(query, found, color=COLORS[0], label="answer")
        if scale is not None:
            ax.fill_between(query, found - scale[i], found + scale[i], color=COLORS[0], alpha=0.2, linewidth=0, label="1 sigma")
        log_x(ax)
    for ax in axes[-1]:
        ax.set_xlabel(label)
    for ax in axes[:, 0]:
        ax.set_ylabel(answer)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
