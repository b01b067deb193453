"""Attributions along an axis, and beside what was observed."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.elements import Positions, layout, positions
from zoo.interpret.plots.axes import TICKS, label_elements
from zoo.interpret.plots.style import BLUE, GRAY, RED, SKY, method_title, one_panel, panels, styled, titled, with_unit
from zoo.model.unit_text import unit_behind

if TYPE_CHECKING:
    from zoo.data.observation import Observation

SENSITIVITIES = ("gradient", "smoothgrad")
"""Methods whose values are derivatives."""
NOT_ADDITIVE = (*SENSITIVITIES, "grad_cam")
"""Methods whose values do not add up to anything."""
LABEL = 28
"""Characters that fit along half a figure."""


@styled
def attribution_over_axis(explanation: Explanation) -> Figure:
    """Attribution to the elements of a tensor with one axis.

    An axis with groups has a panel for each, and one with labels a panel with the values of the first row. Else the explained
    input is drawn above its attribution. One row is drawn as bars; several as their mean and the band that holds 68% of them.

    Parameters
    ----------
    explanation : Explanation
        An explanation of a tensor with one axis.

    Returns
    -------
    Figure
        The figure.

    Raises
    ------
    InputError
        The tensor has more axes.
    """
    at = _along(explanation)
    if at.ticks is not None and len(at.ticks) <= TICKS:
        return _of_labels(explanation, at)
    return _over_groups(explanation, at) if len(at.groups) > 1 else _below_input(explanation, at)


def _along(explanation: Explanation) -> Positions:
    """Where the elements of the explained tensor are drawn."""
    shape = explanation.inputs.shape[1:]
    if layout(explanation.along, shape) != "curve":
        raise InputError(f"expected a tensor of shape (n, elements) to draw a curve, given {explanation.inputs.shape}")
    if not shape:
        return Positions(np.zeros(1), explanation.tensor, {"": slice(0, 1)})
    return positions(explanation.along[0], shape[0])


def _over_groups(explanation: Explanation, at: Positions) -> Figure:
    values = explanation.values
    count = len(at.groups)
    figure, axes = panels(count, 1, (8.5, 0.9 + 1.9 * count), sharex=at.ticks is None, sharey=True)
    for (group, inside), ax in zip(at.groups.items(), axes[:, 0], strict=True):
        _draw(ax, at.values[inside], values[:, inside], at.width)
        ax.set_title(f"{group}{_sum(explanation, values[:, inside])}", loc="left")
    if len(values) > 1:
        axes[0, 0].legend(loc="upper right")
    axes[count // 2, 0].set_ylabel(value_label(explanation))
    axes[-1, 0].set_xlabel(at.label)
    titled(figure, explanation_title(explanation))
    return figure


def _of_labels(explanation: Explanation, at: Positions) -> Figure:
    """Bars over named elements, which may be of different units; of several rows the mean and the middle 68%."""
    values = explanation.values
    axis, labels = explanation.along[0], list(at.ticks or ())
    units = axis.units or [explanation.meta.get("unit") or ""] * len(labels)
    if len(values) == 1:
        labels = [f"{label}\n{value:.4g}" for label, value in zip(labels, explanation.inputs[0], strict=True)]
    told = [unit_behind(label, unit) for label, unit in zip(labels, units, strict=True)]
    figure, ax = one_panel((max(5.0, 1.6 + 1.15 * len(told)), 4.2))
    mean = values.mean(axis=0)
    low, high = np.percentile(values, [16, 84], axis=0)
    spread = None if len(values) == 1 else np.maximum(0, [mean - low, high - mean])
    ax.axhline(0, color=GRAY, linewidth=0.8)
    ax.bar(at.values, mean, at.width, yerr=spread, color=np.where(mean > 0, RED, BLUE), ecolor=GRAY)
    label_elements(ax, replace(at, ticks=told))
    ax.set_ylabel(value_label(explanation))
    titled(figure, explanation_title(explanation))
    return figure


def _sum(explanation: Explanation, values: np.ndarray) -> str:
    """The sum of some elements' contributions, mean and deviation over rows; nothing of what does not add up."""
    if explanation.method in NOT_ADDITIVE:
        return ""
    total = values.sum(axis=1)
    return f"   sum {total.mean():+.3g}" + (f" $\\pm$ {total.std():.2g}" if len(values) > 1 else "")


def _below_input(explanation: Explanation, at: Positions) -> Figure:
    values = explanation.values.reshape(len(explanation.values), -1)
    given = explanation.inputs.reshape(values.shape)
    figure, axes = panels(2, 1, (8.5, 5.2), sharex=True)
    upper, lower = axes[:, 0]
    single = "o" if values.shape[1] == 1 else None
    upper.plot(at.values, given[:20].T, color=BLUE, alpha=1.0 if len(values) == 1 else 0.35, marker=single)
    if explanation.baseline is not None:
        baseline = explanation.baseline.reshape(values.shape)[0]
        upper.plot(at.values, baseline, color=GRAY, linestyle="--", label="baseline", marker=single)
        upper.legend()
    upper.set_ylabel("\n".join(textwrap.wrap(with_unit(explanation.tensor, explanation.meta.get("unit")), LABEL)))
    _draw(lower, at.values, values, at.width)
    if len(values) > 1:
        lower.legend(loc="upper right")
    lower.set_ylabel("\n".join(textwrap.wrap(value_label(explanation), LABEL)))
    label_elements(lower, at)
    titled(figure, explanation_title(explanation))
    return figure


@styled
def attribution_over_observation(explanation: Explanation, observation: Observation) -> Figure:
    """An observation over its reference, their difference in standard deviations, and what drives the answer.

    Parameters
    ----------
    explanation : Explanation
        An explanation of the observation, of a tensor with one axis.
    observation : Observation
        The observation, with the errors of that tensor and a reference.

    Returns
    -------
    Figure
        A column for each group of elements.

    Raises
    ------
    InputError
        The tensor has more axes, or errors or reference have another length.
    """
    at = _along(explanation)
    data = explanation.inputs[0]
    error, reference = (
        _row(name, of, explanation) for name, of in (("error", observation.error), ("reference", observation.reference))
    )
    columns = len(at.groups)
    figure, axes = panels(3, columns, (2.5 + 3.5 * columns, 7.6), sharex="col", height_ratios=[2.2, 1.1, 1.3])
    style = {"fmt": "o", "color": BLUE}
    for (group, inside), (upper, residual, why) in zip(at.groups.items(), axes.T, strict=True):
        x = at.values[inside]
        upper.plot(x, reference[inside], color=RED, label=observation.reference_name, zorder=3)
        upper.errorbar(x, data[inside], error[inside], markersize=2.8, linewidth=0.9, label="data", zorder=2, **style)
        upper.set_title(group)
        residual.axhspan(-1, 1, color="0.93", zorder=0)
        pulls = (data[inside] - reference[inside]) / error[inside]
        residual.errorbar(x, pulls, 1.0, markersize=2.5, linewidth=0.6, **style)
        _draw(why, x, explanation.values[:1, inside], at.width)
        why.set_xlabel(at.label)
        why.set_title(_sum(explanation, explanation.values[:1, inside]).strip(), loc="right", fontsize=9)
    for row in axes[1:]:  # residuals and contributions are compared across groups, data are not
        for ax in row[1:]:
            ax.sharey(row[0])
            ax.tick_params(labelleft=False)
        row[0].autoscale(axis="y")
    axes[0, 0].set_ylabel(with_unit(explanation.tensor, explanation.meta.get("unit")))
    axes[0, 0].legend()
    axes[1, 0].set_ylabel("(data $-$ reference) / $\\sigma$")
    axes[2, 0].set_ylabel("\n".join(textwrap.wrap(value_label(explanation), LABEL)))
    titled(figure, f"{observation.description}; {explanation_title(explanation)}")
    return figure


def _row(what: str, known: Mapping[str, np.ndarray], explanation: Explanation) -> np.ndarray:
    array = np.asarray(known.get(explanation.tensor, ()))
    if array.size != explanation.inputs[0].size:
        raise InputError(
            f"{what} of {explanation.tensor}: expected {explanation.inputs[0].size} numbers, given shape {array.shape}"
        )
    return array.reshape(explanation.inputs.shape[1:])


def _draw(ax: Axes, x: np.ndarray, values: np.ndarray, width: float) -> None:
    """One row as bars, blue below zero and red above; several as mean and 68% band."""
    ax.axhline(0, color=GRAY, linewidth=0.8)
    if len(values) == 1:
        ax.bar(x, values[0], width=width, color=np.where(values[0] > 0, RED, BLUE))
        return
    low, high = np.percentile(values, [16, 84], axis=0)
    ax.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="68% of the rows")
    ax.plot(x, values.mean(axis=0), color=BLUE, label="mean")


def value_label(explanation: Explanation) -> str:
    """What attributions are, with their unit.

    Parameters
    ----------
    explanation : Explanation
        The explanation.

    Returns
    -------
    str
        A label of an axis.
    """
    if explanation.method == "grad_cam":
        return f"Grad-CAM of {explanation.answered}"
    if explanation.method not in SENSITIVITIES:
        return f"contribution to {explanation.answered}"
    unit = explanation.meta.get("unit") or ""
    per = with_unit("", unit).strip(" []")
    return f"gradient of {explanation.answered}" + (f" per {per}" if per else "")


def explanation_title(explanation: Explanation) -> str:
    """Model, method and, of a path integral, what it explains and how exactly.

    Parameters
    ----------
    explanation : Explanation
        The explanation.

    Returns
    -------
    str
        One line or two.
    """
    title = f"{explanation.meta.get('model', 'model')}: {method_title(explanation.method)}"
    if len(explanation.values) > 1:
        title += f", {len(explanation.values)} rows"
    if (error := explanation.completeness_error) is not None and explanation.baseline_answer is not None:
        at = "at the baseline" if explanation.baseline is not None else "without elements"
        change = f"{explanation.baseline_answer.mean():.3g} {at} to {explanation.answer.mean():.3g}"
        mean = ", on average" if len(explanation.values) > 1 else ""
        title += f"\n{explanation.answered} from {change}{mean}; completeness error {error.max():.1g}"
    return title
