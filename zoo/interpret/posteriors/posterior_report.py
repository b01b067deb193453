"""What is told of a posterior: a table, samples and a corner plot."""

from __future__ import annotations

import html
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.atomic import whole_file
from zoo.data.observation import Constraint, Observation
from zoo.interpret.digits import to_two_digits
from zoo.interpret.elements import element_names, element_units
from zoo.interpret.inline_picture import inline_picture
from zoo.interpret.posteriors.prior_ends import at_ends
from zoo.model.fit import Fit
from zoo.model.spec import ModelSpec, Tensor

CORNER = "pip install 'physzoo[interpret]'"
"""What a corner plot needs."""


class ParameterEstimate(BaseModel):
    """One parameter of a posterior, and what is published of it."""

    model_config = ConfigDict(frozen=True)

    name: str
    mean: float
    std: float
    published: Constraint | None = None

    @property
    def shift(self) -> float:
        """Mean minus published value, in units of the published error on that side; NaN where nothing is published."""
        if self.published is None:
            return math.nan
        value, low, high = self.published
        return (self.mean - value) / (high - value if self.mean > value else value - low)


class PosteriorReport(BaseModel):
    """The posterior of one observation."""

    model_config = ConfigDict(frozen=True)

    model: str
    observation: str
    source: str
    """Where the published values are from."""
    draws: int
    observations: int = 1
    """How many observations were taken together, as independent ones of the same parameters."""
    log_ratio: float | None = None
    """Logarithm of how much likelier several are of the same parameters than each of its own, nat."""
    effective: float | None = None
    """Effective number of draws, where these count differently: by another prior, or of several observations."""
    seconds: float
    """How long the draws took."""
    parameters: list[ParameterEstimate]
    notes: list[str]
    """What the posterior leaves out."""
    p_value: float | None = None
    """Share of simulations that are as far from the others as the observation, or as the strangest of several; None where the
    folder says nothing of them."""
    at_ends: list[str] = []
    """Which parameters have draws that crowd at an end of the prior."""
    unlike: str | None = None
    """What is strange of the observation, where it is unlike the simulations."""
    fit: Fit | None = None
    """How well the best of the draws predicts it; None where nothing predicts an observation of the model's data source."""
    samples: Path
    figure: Path | None
    """The corner plot; None where the libraries that draw it are not installed."""

    def text(self) -> str:
        """The report as a person reads it."""
        lines = [f"{self.model} on {self.observation}: {self.draws:,} draws in {self.seconds:.2f} s"]
        lines.append(f"  {'':10s}{'posterior':>22s}" + (f"{self.source:>30s}{'difference':>14s}" if self.source else ""))
        lines += [_line(parameter) for parameter in self.parameters]
        if self.effective is not None:
            lines.append(f"  {self.effective:,.0f} of the draws count")
        lines += [f"  {one}" for one in self.at_ends]
        lines.append(f"  {self._likeness()}")
        if self.log_ratio is not None:
            lines += self._agreement()
        if self.fit is not None:
            lines.append(f"  the best of the draws predicts the observation with {self.fit}")
        lines += ["  this posterior leaves out"] * bool(self.notes) + [f"  - {note}" for note in self.notes]
        lines.append(
            f"  no corner plot: {CORNER} brings what draws it" if self.figure is None else f"  corner plot: {self.figure}"
        )
        return "\n".join([*lines, f"  samples: {self.samples}"])

    def _repr_html_(self) -> str:
        """What a notebook shows: the report and the corner plot."""
        picture = "" if self.figure is None else inline_picture("corner plot", self.figure.read_bytes())
        return f"<pre>{html.escape(self.text())}</pre>{picture}"

    def _likeness(self) -> str:
        if self.p_value is None:
            return "whether the observation is like the simulations is not known: the model's folder holds no reference"
        like = f"{'unlike' if self.unlike else 'like'} the simulations: p = {self.p_value:.2g}"
        return f"the observation is {like}" if self.observations == 1 else f"the observations are {like} of the strangest"

    def _agreement(self) -> list[str]:
        """Whether several observations are of the same parameters, and what they were taken as."""
        assert self.log_ratio is not None
        agree = "agree" if self.log_ratio > 0 else "CONTRADICT EACH OTHER"
        return [
            f"  the {self.observations} observations {agree}: ln(same parameters / each its own) = {self.log_ratio:.2g}",
            "  they were taken as independent: what they share, such as the long waves of one volume, would count twice",
        ]


def _line(parameter: ParameterEstimate) -> str:
    (mean, deviation), exponent = to_two_digits(parameter.mean, parameter.std)
    told = f"({mean} +- {deviation})e{exponent}" if exponent else f"{mean} +- {deviation}"
    line = f"  {parameter.name:10s}{told:>22s}"
    if parameter.published is None:
        return line
    value, low, high = parameter.published
    up, down = f"{high - value:.2g}", f"{value - low:.2g}"
    beside = f"{value:g} " + (f"+- {up}" if up == down else f"+{up} -{down}")
    return f"{line}{beside:>30s}{f'{parameter.shift:+.2f} sigma':>14s}"


def posterior_report(
    spec: ModelSpec,
    parameters: Tensor,
    observation: Observation,
    theta: np.ndarray,
    out: Path,
    beside: Mapping[str, np.ndarray] | None = None,
    **told: Any,
) -> PosteriorReport:
    """Write samples and corner plot, and say what there is to say.

    Parameters
    ----------
    spec : ModelSpec
        Spec of the posterior's model.
    parameters : Tensor
        What was drawn.
    observation : Observation
        What it was drawn for.
    theta : ndarray
        Draws, of shape (n, parameter).
    out : Path
        The folder of the files.
    beside : mapping of str to ndarray, optional
        Other draws by name, which the plot shows too.
    **told : object
        Further fields of the report.

    Returns
    -------
    PosteriorReport
        The report.
    """
    shape = [parameters.fixed_shape[-1]]
    names = element_names(parameters.name, parameters.axes, shape)
    units = dict(zip(names, element_units(parameters, shape), strict=True))
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{spec.name}-{observation.label}.npz"
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **dict(zip(names, theta.T, strict=True)))
    published = {name: observation.published[name] for name in names if name in observation.published}
    shown = {path.stem: theta, **(beside or {})}
    return PosteriorReport(
        model=spec.name,
        observation=observation.description,
        source=observation.source if published else "",
        parameters=[
            ParameterEstimate(
                name=parameter, mean=float(column.mean()), std=float(column.std()), published=published.get(parameter)
            )
            for parameter, column in zip(names, theta.T.astype(np.float64), strict=True)
        ],
        notes=list(observation.notes),
        at_ends=at_ends(theta, parameters, names),
        samples=path,
        figure=_corner(path.with_suffix(".png"), shown, units, {observation.source: published} if published else None),
        **told,
    )


def _corner(
    path: Path,
    samples: dict[str, np.ndarray],
    units: Mapping[str, str],
    constraints: Mapping[str, Mapping[str, Constraint]] | None,
) -> Path | None:
    """Draw the corner plot where its libraries are installed: samples and table need none of them."""
    if not all(importlib.util.find_spec(library) for library in ("matplotlib", "corner")):
        return None
    from zoo.interpret.plots.corner import corner_plot

    figure = corner_plot(samples, list(units), units, constraints=constraints)
    with whole_file(path) as file:
        figure.savefig(file, dpi=100)
    return path
