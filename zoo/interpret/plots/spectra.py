"""Explanations over multipoles, and Planck's spectra with what drives a classifier's answer."""

from __future__ import annotations

import math
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from zoo.data.cmb.binning import CHANNELS, N_JOINT, SLICES, joint_multipoles
from zoo.errors import InputError
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.plots.style import BLUE, GREY, RED, SKY, UNITS, method_title, panels, styled

SENSITIVITIES = ("gradient", "smoothgrad")
"""Methods whose values are derivatives."""
NOT_ADDITIVE = (*SENSITIVITIES, "grad_cam")
"""Methods whose values do not add up to anything."""
WIDTH = 26
"""Width of a bar in multipoles, a little less than a bin."""
LABEL = 28
"""Characters that fit along half a figure."""


@styled
def attribution_over_multipoles(explanation: Explanation) -> Figure:
    """Attribution to each bin, one panel for each of TT, TE and EE.

    One explained spectrum is drawn as bars; several as their mean and the band that holds 68% of them.

    Raises
    ------
    InputError
        If the explanation is not one of joint spectra (n, 215).
    """
    values = _joint("explanation", explanation.values)
    ell = joint_multipoles()
    figure, axes = panels(3, 1, (8.5, 6.6), sharex=True, sharey=True)
    for channel, ax in zip(CHANNELS, axes[:, 0], strict=True):
        inside = SLICES[channel]
        _draw(ax, ell[inside], values[:, inside], WIDTH)
        total = values[:, inside].sum(axis=1)
        spread = f" $\\pm$ {total.std():.2g}" if len(values) > 1 else ""
        sum_text = "" if explanation.method in NOT_ADDITIVE else f"   sum {total.mean():+.3g}{spread}"
        ax.set_title(f"{channel}{sum_text}", loc="left")
    if len(values) > 1:
        axes[0, 0].legend(loc="upper right")
    axes[1, 0].set_ylabel(value_label(explanation))
    axes[2, 0].set_xlabel(r"multipole $\ell$")
    figure.suptitle(explanation_title(explanation), fontsize=11)
    return figure


@styled
def attribution_over_elements(explanation: Explanation) -> Figure:
    """Attribution to each element of a tensor with one axis, above it the explained input.

    Raises
    ------
    InputError
        If the tensor has more axes.
    """
    values = explanation.values
    if values.ndim != 2:
        raise InputError(f"expected a tensor of shape (n, elements) to draw a curve, given {values.shape}")
    number = np.arange(values.shape[1])
    figure, axes = panels(2, 1, (8.5, 5.2), sharex=True)
    upper, lower = axes[:, 0]
    unit = explanation.meta.get("unit") or ""
    upper.plot(number, explanation.inputs[:20].T, color=BLUE, alpha=1.0 if len(values) == 1 else 0.35)
    if explanation.baseline is not None:
        upper.plot(number, explanation.baseline[0], color=GREY, linestyle="--", label="baseline")
        upper.legend()
    label = f"{explanation.tensor} [{UNITS.get(unit, unit)}]" if unit else explanation.tensor
    upper.set_ylabel("\n".join(textwrap.wrap(label, LABEL)))
    _draw(lower, number, values, 0.8)
    if len(values) > 1:
        lower.legend(loc="upper right")
    lower.set_ylabel("\n".join(textwrap.wrap(value_label(explanation), LABEL)))
    lower.set_xlabel("element")
    figure.suptitle(explanation_title(explanation), fontsize=11)
    return figure


@styled
def planck_spectrum_plot(
    data: np.ndarray, error: np.ndarray, best_fit: np.ndarray, explanation: Explanation, probability: float
) -> Figure:
    """Measured spectra over their best fit, their residuals, and what drives the classifier's answer.

    Parameters
    ----------
    data, error, best_fit : (215,) joint TT, TE, EE bins in muK^2
    explanation : of one spectrum, (1, 215)
    probability : what the classifier says of the feature

    Raises
    ------
    InputError
        If one of them is not of 215 bins.
    """
    data, error, best_fit = (
        _joint(name, np.atleast_2d(array))[0] for name, array in (("data", data), ("error", error), ("best fit", best_fit))
    )
    values = _joint("explanation", explanation.values)
    ell = joint_multipoles()
    figure, axes = panels(3, 3, (13, 7.6), sharex="col", height_ratios=[2.2, 1.1, 1.3])
    for channel, (spectrum, residual, why) in zip(CHANNELS, axes.T, strict=True):
        inside = SLICES[channel]
        x = ell[inside]
        spectrum.plot(x, best_fit[inside], color=RED, label="best fit", zorder=3)
        spectrum.errorbar(
            x, data[inside], error[inside], fmt="o", color=BLUE, markersize=2.8, linewidth=0.9, label="data", zorder=2
        )
        spectrum.set_title(channel)
        residual.axhspan(-1, 1, color="0.93", zorder=0)
        residual.errorbar(
            x, (data[inside] - best_fit[inside]) / error[inside], 1.0, fmt="o", color=BLUE, markersize=2.5, linewidth=0.6
        )
        _draw(why, x, values[:, inside], WIDTH)
        why.set_xlabel(r"multipole $\ell$")
        why.set_title(f"sum {values[0, inside].sum():+.3g}", loc="right", fontsize=9)
    for row in axes[1:]:  # residuals and contributions are compared across channels, spectra are not
        for ax in row[1:]:
            ax.sharey(row[0])
            ax.tick_params(labelleft=False)
        row[0].autoscale(axis="y")
    axes[0, 0].set_ylabel(r"$D_\ell$ [$\mu\mathrm{K}^2$]")
    axes[0, 0].legend()
    axes[1, 0].set_ylabel(r"(data $-$ fit) / $\sigma$")
    axes[2, 0].set_ylabel(value_label(explanation))
    figure.suptitle(f"{explanation.meta.get('model', 'model')}: probability of a feature {probability:.3f}", fontsize=12)
    return figure


def _joint(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != N_JOINT:
        raise InputError(f"{name}: expected {N_JOINT} joint TT, TE, EE bins, given shape {array.shape}")
    return array


def _draw(ax: Axes, x: np.ndarray, values: np.ndarray, width: float) -> None:
    """One row as bars, blue below zero and red above; several as mean and 68% band."""
    ax.axhline(0, color=GREY, linewidth=0.8)
    if len(values) == 1:
        ax.bar(x, values[0], width=width, color=np.where(values[0] > 0, RED, BLUE))
        return
    low, high = np.percentile(values, [16, 84], axis=0)
    ax.fill_between(x, low, high, color=SKY, alpha=0.4, linewidth=0, label="68% of the rows")
    ax.plot(x, values.mean(axis=0), color=BLUE, label="mean")


def value_label(explanation: Explanation) -> str:
    """What attributions are, with their unit."""
    if explanation.method == "grad_cam":
        return f"Grad-CAM of {_output(explanation)}"
    if explanation.method not in SENSITIVITIES:
        return f"contribution to {_output(explanation)}"
    unit = explanation.meta.get("unit") or ""
    per = f" per {UNITS.get(unit, unit)}" if unit not in ("", "1") else ""
    return f"gradient of {_output(explanation)}{per}"


def _output(explanation: Explanation) -> str:
    """Name of the output, and which of its elements where there are several."""
    name = "logit" if explanation.output == "logits" else explanation.output
    shape = explanation.meta.get("output_shape") or [explanation.target + 1]
    if math.prod(shape) == 1:
        return name
    return f"{name}[{', '.join(str(index) for index in np.unravel_index(explanation.target, shape))}]"


def explanation_title(explanation: Explanation) -> str:
    """Model, method and, of a path integral, what it explains and how exactly."""
    title = f"{explanation.meta.get('model', 'model')}: {method_title(explanation.method)}"
    if len(explanation.values) > 1:
        title += f", {len(explanation.values)} rows"
    if (error := explanation.completeness_error) is not None and explanation.baseline_answer is not None:
        change = f"{explanation.baseline_answer.mean():.3g} at the baseline to {explanation.answer.mean():.3g}"
        mean = ", on average" if len(explanation.values) > 1 else ""
        title += f"\n{_output(explanation)} from {change}{mean}; completeness error {error.max():.1g}"
    return title
