"""Posteriors: corner plots, calibration of ranks and coverage, predictive checks."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zoo.errors import InputError
from zoo.interpret.digits import to_two_digits
from zoo.interpret.plots.style import BLUE, COLORS, GRAY, MARKERS, ORANGE, ShownFigure, panels, styled
from zoo.interpret.posteriors.coverage import Coverage, PredictiveCheck, checked_ranks, rank_uniformity
from zoo.interpret.posteriors.draws import draws_of
from zoo.interpret.posteriors.parameters import ParameterSet
from zoo.quiet import quiet_arviz

RANK_BINS = 20
COLUMNS = 4
"""Most histograms in one line."""
CREDIBILITY = (0.68, 0.95)
SMOOTH = 1.4
"""Bins over which contours are smoothed; without scipy they have half as many bins and are not."""
CURVE = 30
"""Elements above which predictive data are drawn as a curve."""

Constraint = tuple[float, float, float]
"""Central value and limits of the 68% interval."""


@styled
def rank_histograms(ranks: np.ndarray, draws: int, names: Sequence[str]) -> Figure:
    """Histogram of the ranks of each parameter over its expectation, with the band that holds 95% of bins of right posteriors.

    U shape: posteriors too narrow; hump: too wide; slope: biased.

    Parameters
    ----------
    ranks : ndarray
        Ranks of shape (n, D) from `zoo.interpret.sbc_ranks`.
    draws : int
        Number of draws that they were ranked among.
    names : sequence of str
        Names of the D parameters.
    """
    from scipy.stats import binom

    ranks = checked_ranks(ranks, draws)
    _of_length(names, ranks.shape[1])
    tests = rank_uniformity(ranks, draws)
    bins = min(RANK_BINS, draws + 1)
    edges = np.round(np.linspace(0, draws + 1, bins + 1))  # bin b holds the ranks from edge b to edge b + 1, exclusive
    share = np.diff(edges) / (draws + 1)
    low, high = (binom.ppf(q, len(ranks), share) / (len(ranks) * share) for q in (0.025, 0.975))
    columns = min(COLUMNS, len(names))
    lines = -(-len(names) // columns)
    figure, axes = panels(lines, columns, (0.7 + 2.9 * columns, 0.6 + 2.5 * lines), sharey=True)
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for j, (name, ax) in enumerate(zip(names, axes.flat, strict=False)):
        count = np.histogram(ranks[:, j], edges - 0.5)[0]
        ax.stairs(high, edges / (draws + 1), baseline=low, fill=True, color="0.85", label="95% of right posteriors")
        ax.axhline(1, color=GRAY, linestyle="--", linewidth=1)
        ax.stairs(count / (len(ranks) * share), edges / (draws + 1), color=BLUE, linewidth=1.6, label="ranks")
        ax.set_title(f"{name}\nKS {tests.distance[j]:.3f}, p = {tests.p_value[j]:.2g}")
        ax.set_xlim(0, 1)
        if j >= len(names) - columns:
            ax.set_xlabel("rank / draws")
    axes[0, 0].set_ylim(bottom=0)
    for line in axes:
        line[0].set_ylabel("ranks / expected")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, [f"{label} (n = {len(ranks):,})" if label == "ranks" else label for label in labels], **BELOW)
    return figure


BELOW: dict[str, Any] = {"loc": "outside lower center", "ncols": 3}


@styled
def coverage_curve(coverage: Coverage | Mapping[str, Coverage]) -> Figure:
    """Expected coverage against credibility, and the difference of the two; one curve or several by label."""
    curves = {"coverage": coverage} if isinstance(coverage, Coverage) else coverage
    figure, axes = panels(2, 1, (5.2, 6.2), sharex=True, height_ratios=[2.4, 1])
    upper, lower = axes[:, 0]
    upper.plot([0, 1], [0, 1], color=GRAY, linestyle="--", linewidth=1, label="right posteriors")
    lower.axhline(0, color=GRAY, linestyle="--", linewidth=1)
    for (label, found), color in zip(curves.items(), cycle(COLORS), strict=False):
        label = f"{label}: n = {found.n:,}, KS {found.distance:.3f}, p = {found.p_value:.2g}"
        for ax, less in ((upper, 0.0), (lower, found.levels)):
            ax.fill_between(found.levels, found.low - less, found.high - less, color=color, alpha=0.2, linewidth=0)
            ax.plot(found.levels, found.expected - less, color=color, label=label)
    upper.set(ylabel="expected coverage", xlim=(0, 1), ylim=(0, 1))
    lower.set(xlabel="credibility", ylabel="coverage $-$\ncredibility")
    largest = max(0.05, 1.1 * max(np.abs(np.array([c.low - c.levels, c.high - c.levels])).max() for c in curves.values()))
    lower.set_ylim(-largest, largest)
    figure.legend(*upper.get_legend_handles_labels(), loc="outside lower center", title="band: 95% interval")
    return figure


@styled
def corner_plot(
    samples: Any,
    names: Sequence[str],
    units: Mapping[str, str] | None = None,
    truth: Sequence[float] | Mapping[str, float] | None = None,
    constraints: Mapping[str, Mapping[str, Constraint]] | None = None,
) -> Figure:
    """Marginals of all parameters and pairs; contours hold 68% and 95% of the samples.

    Parameters
    ----------
    samples : array_like or mapping of str to array_like
        Samples of shape (n, D), a table or columns by name of them, or several such by label to lay over one another.
    names : sequence of str
        Names of the D parameters, as they shall be drawn.
    units : mapping of str to str, optional
        Units by name; the other parameters are dimensionless.
    truth : sequence or mapping of str to float, optional
        True values, of shape (D,), or by name.
    constraints : mapping of str to mapping of str to Constraint, optional
        Published values with the limits of their 68% intervals by label and name, drawn as bands on the diagonal and as
        crosses elsewhere; parameters that they lack are left out.

    Raises
    ------
    InputError
        Samples, truth or constraints that do not fit the names, or samples that are not finite.
    """
    with quiet_arviz():  # which corner imports
        import corner

    known = ParameterSet(list(names), units or {})
    truth = None if truth is None else known.point(truth, "truth").tolist()
    sets, constraints = _checked_samples(samples, known), constraints or {}
    for label, published in constraints.items():
        if unknown := set(published) - set(names):
            raise InputError(
                f"constraints {label!r}: {sorted(unknown)} are no names of parameters; expected some of {list(names)}"
            )
    limits = _limits(list(sets.values()), names, truth, constraints)
    labels = [f"{name} [{units[name]}]" if units and units.get(name, "1") != "1" else name for name in names]
    size = 1.2 + 1.75 * len(names)
    smooth = SMOOTH if importlib.util.find_spec("scipy") else None  # corner smooths with it
    figure = ShownFigure(figsize=(size, size), dpi=100)
    handles: list[Line2D] = []
    for (label, array), color in zip(sets.items(), cycle(COLORS), strict=False):
        first = not handles and color == COLORS[0]
        corner.corner(
            array,
            fig=figure,
            bins=40 if smooth else 20,
            smooth=smooth,
            range=limits,
            labels=labels,
            levels=CREDIBILITY,
            color=color,
            plot_datapoints=False,
            plot_density=False,
            fill_contours=first,
            no_fill_contours=not first,  # its white ground would hide the first
            hist_kwargs={"density": True, "linewidth": 1.6},
            contour_kwargs={"linewidths": 1.3},
            max_n_ticks=4,
            labelpad=0.0,
        )
        handles.append(Line2D([], [], color=color, linewidth=2, label=label))
    figure.subplots_adjust(left=0.85 / size, bottom=0.85 / size, right=1 - 0.15 / size, top=1 - 0.5 / size)
    axes = np.array(figure.axes).reshape(len(names), len(names))
    for ax in axes.diagonal():  # whose height corner takes from the last of them, above which narrower ones would end
        ax.set_ylim(0, 1.1 * max(outline.get_xy()[:, 1].max() for outline in ax.patches))
    _truth(axes, truth, handles)
    for (label, published), color, marker in zip(constraints.items(), CONSTRAINED, MARKERS, strict=False):
        _published(axes, [published.get(name) for name in names], color, marker)
        handles.append(Line2D([], [], color=color, marker=marker, label=label))
    _titles(axes, next(iter(sets.values())), names, COLORS[0] if len(sets) > 1 else "black")
    for ax in axes.flat:
        ax.grid(False)
        ax.tick_params(labelsize=8)
        _offsets_into_labels(ax)
    if shown := [handle for handle in handles if handle.get_label()]:
        figure.legend(handles=shown, loc="upper right", bbox_to_anchor=(0.98, 0.97), fontsize=10)
    return figure


def _offsets_into_labels(ax: Axes) -> None:
    """Say what ticks are counted from, and in, beside the label: at the end of an axis it would lie over another panel."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.offsetText.set_visible(False)
        formatter = axis.get_major_formatter()
        formatter.set_locs([float(at) for at in axis.get_majorticklocs()])
        if axis.get_label_text() and (offset := formatter.get_offset()):
            sign = "" if offset[0] in "+-\N{MINUS SIGN}" else "$\\times$"
            axis.set_label_text(f"{axis.get_label_text()}  ({sign}{offset})")


def _checked_samples(samples: Any, known: ParameterSet) -> dict[str, np.ndarray]:
    """Samples (n, D) by label, each finite and more than there are parameters."""
    width = len(known.names)
    labeled = samples if isinstance(samples, Mapping) and not set(known.names) <= set(samples) else {"": samples}
    sets = {label: draws_of(one, known, f"samples {label!r}").reshape(-1, width) for label, one in labeled.items()}
    for label, array in sets.items():
        if len(array) <= width:
            raise InputError(f"samples {label!r}: expected more than {width}, the number of parameters, given {len(array)}")
    return sets


CONSTRAINED = (ORANGE, *COLORS[2:])


def _limits(
    sets: list[np.ndarray],
    names: Sequence[str],
    truth: Sequence[float] | None,
    constraints: Mapping[str, Mapping[str, Constraint]],
) -> list[tuple[float, float]]:
    """Ranges that show 99.8% of every set, the truth and the published intervals."""
    limits = []
    for j, name in enumerate(names):
        shown = [np.quantile(array[:, j], q) for array in sets for q in (0.001, 0.999)]
        shown += [] if truth is None else [truth[j]]
        shown += [value for published in constraints.values() for value in published.get(name, ())]
        low, high = min(shown), max(shown)
        margin = 0.05 * (high - low) or 0.5
        limits.append((float(low - margin), float(high + margin)))
    return limits


def _truth(axes: np.ndarray, truth: Sequence[float] | None, handles: list[Line2D]) -> None:
    if truth is None:
        return
    style: dict[str, Any] = {"color": "black", "linewidth": 1.0, "linestyle": "--"}
    for i, j in np.argwhere(np.tril(np.ones(axes.shape))).tolist():
        axes[i, j].axvline(truth[j], **style)
        if i != j:
            axes[i, j].axhline(truth[i], **style)
    handles.append(Line2D([], [], **style, label="truth"))


def _published(axes: np.ndarray, published: Sequence[Constraint | None], color: str, marker: str) -> None:
    """Bands on the diagonal, crosses below it: what their correlations are is not told."""
    for j, across in enumerate(published):
        if across is None:
            continue
        value, low, high = across
        axes[j, j].axvspan(low, high, color=color, alpha=0.3, linewidth=0)
        axes[j, j].axvline(value, color=color, linewidth=1.4)
        for i in range(j + 1, len(published)):
            if (up := published[i]) is not None:
                axes[i, j].errorbar(
                    value,
                    up[0],
                    xerr=[[value - low], [high - value]],
                    yerr=[[up[0] - up[1]], [up[2] - up[0]]],
                    fmt=marker,
                    markersize=4,
                    color=color,
                    linewidth=1.6,
                    zorder=10,
                )


def _titles(axes: np.ndarray, samples: np.ndarray, names: Sequence[str], color: str) -> None:
    """Median and 68% interval over each marginal, to two digits of the smaller error."""
    for j, name in enumerate(names):
        low, middle, high = np.quantile(samples[:, j], [0.16, 0.5, 0.84])
        (value, up, down), exponent = to_two_digits(middle, high - middle, middle - low)
        text = f"{value}^{{+{up}}}_{{-{down}}}"
        text = f"({text})\\times 10^{{{exponent}}}" if exponent else text
        axes[j, j].set_title(f"{name}\n${text}$", fontsize=9.5, color=color)


@styled
def predictive_plot(
    check: PredictiveCheck, abscissa: np.ndarray | None = None, xlabel: str = "element of the data", ylabel: str = "value"
) -> Figure:
    """An observation over the data that its posterior predicts, and their difference in predicted standard deviations.

    Parameters
    ----------
    check : PredictiveCheck
        The result of `zoo.interpret.posterior_predictive`.
    abscissa : ndarray, optional
        Where the elements are drawn; by default their index; of shape (C,).
    xlabel, ylabel : str
        Labels of the axes with units.
    """
    at = np.arange(len(check.observed)) if abscissa is None else np.asarray(abscissa)
    _of_length(at, len(check.observed), "abscissa: expected as many elements as the observation")
    figure, axes = panels(2, 1, (7.0, 5.4), sharex=True, height_ratios=[2.2, 1])
    upper, lower = axes[:, 0]
    center, scale = check.replicated.mean(axis=0), check.replicated.std(axis=0)
    quantiles = np.quantile(check.replicated, [0.025, 0.16, 0.5, 0.84, 0.975], axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    curve = len(at) > CURVE
    for ax, values in ((upper, quantiles), (lower, (quantiles - center) / scale)):
        ax.use_sticky_edges = False
        for low, high, alpha, label in ((0, 4, 0.22, "95% of predictions"), (1, 3, 0.45, "68% of predictions")):
            if curve:
                ax.fill_between(at, values[low], values[high], color=BLUE, alpha=alpha, linewidth=0, label=label)
            else:
                ax.bar(at, values[high] - values[low], 0.6, values[low], color=BLUE, alpha=alpha, linewidth=0, label=label)
    style: dict[str, Any] = {"color": "black", "linestyle": "none", "marker": "o", "markersize": 2.5 if curve else 5}
    upper.plot(at, check.observed, **style, label="observed")
    lower.plot(at, (check.observed - center) / scale, **style)
    if not curve:
        lower.set_xticks(at)
    upper.set_ylabel(ylabel)
    lower.set(xlabel=xlabel, ylabel="(observed $-$ mean)\n/ predicted $\\sigma$")
    upper.set_title(
        f"{len(check.replicated):,} simulations at draws from the posterior: p = {check.discrepancy_p_value:.2g} for all\n"
        f"elements together; least of a single one of {len(at)}: {check.p_value.min():.2g}"
    )
    figure.legend(*upper.get_legend_handles_labels(), **BELOW)
    return figure


def _of_length(given: Sequence | np.ndarray, expected: int, what: str = "names: expected one for each parameter") -> None:
    if len(given) != expected:
        raise InputError(f"{what}, {expected}; given {len(given)}")
