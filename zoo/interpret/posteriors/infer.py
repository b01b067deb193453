"""The posterior of one observation from a conditional flow: draws, a table and a corner plot."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.atomic import whole_file
from zoo.errors import InputError
from zoo.interpret.observation import Constraint, Observation

Sampler = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(n, D) standard normal numbers and (n, C) observations -> (n, D) parameters: the endpoint ``sample`` of a flow."""


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
    """Of what is published."""
    draws: int
    seconds: float
    """That the draws took."""
    parameters: list[ParameterEstimate]
    notes: list[str]
    """What the posterior leaves out."""
    samples: Path
    figure: Path

    def text(self) -> str:
        """The report as a person reads it."""
        lines = [f"{self.model} on {self.observation}: {self.draws:,} draws in {self.seconds:.2f} s"]
        lines.append(f"  {'':10s}{'posterior':>22s}" + (f"{self.source:>30s}{'difference':>14s}" if self.source else ""))
        lines += [_line(parameter) for parameter in self.parameters]
        lines += ["  this posterior leaves out"] * bool(self.notes) + [f"  - {note}" for note in self.notes]
        return "\n".join([*lines, f"  corner plot: {self.figure}", f"  samples: {self.samples}"])


def _line(parameter: ParameterEstimate) -> str:
    digits = max(0, 1 - math.floor(math.log10(parameter.std))) if parameter.std > 0 else 6
    line = f"  {parameter.name:10s}{f'{parameter.mean:.{digits}f} +- {parameter.std:.{digits}f}':>22s}"
    if parameter.published is None:
        return line
    value, low, high = parameter.published
    up, down = f"{high - value:.2g}", f"{value - low:.2g}"
    beside = f"{value:g} " + (f"+- {up}" if up == down else f"+{up} -{down}")
    return f"{line}{beside:>30s}{f'{parameter.shift:+.2f} sigma':>14s}"


def infer(
    name: str, sample: Sampler, observation: Observation, out: Path, *, draws: int = 10_000, seed: int = 0
) -> PosteriorReport:
    """Draw the posterior of an observation; samples and a corner plot go to ``out``.

    Parameters
    ----------
    name : of the flow
    sample : its endpoint of that name, in whatever runtime
    observation : what it is asked of
    out : folder
    draws : from the posterior
    seed : of the draws

    Raises
    ------
    InputError
        For fewer draws than a corner plot needs.
    """
    from zoo.interpret.plots.corner import corner_plot

    names = list(observation.names)
    if draws <= len(names):
        raise InputError(f"draws: expected more than {len(names)}, the number of parameters, given {draws}")
    z = np.random.default_rng(seed).standard_normal((draws, len(names)), dtype=np.float32)
    start = time.perf_counter()
    theta = sample(z, np.tile(observation.data.astype(np.float32), (draws, 1)))
    seconds = time.perf_counter() - start
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{observation.label}.npz"
    with whole_file(path) as file:
        np.savez(file, allow_pickle=False, **dict(zip(names, theta.T, strict=True)))
    published = {observation.source: observation.published} if observation.published else None
    figure = corner_plot({name: theta}, names, observation.units, constraints=published)
    figure.savefig(path.with_suffix(".png"), dpi=100)
    return PosteriorReport(
        model=name,
        observation=observation.description,
        source=observation.source,
        draws=draws,
        seconds=seconds,
        parameters=[
            ParameterEstimate(
                name=parameter,
                mean=float(column.mean()),
                std=float(column.std()),
                published=observation.published.get(parameter),
            )
            for parameter, column in zip(names, theta.T.astype(np.float64), strict=True)
        ],
        notes=list(observation.notes),
        samples=path,
        figure=path.with_suffix(".png"),
    )
