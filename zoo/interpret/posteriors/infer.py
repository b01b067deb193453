"""The posterior of one observation from a conditional flow: draws, a table and a corner plot."""

from __future__ import annotations

import html
import importlib.util
import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.atomic import whole_file
from zoo.data.observation import Constraint, Observation
from zoo.errors import InputError, MisspecificationWarning, warn
from zoo.interpret.digits import to_two_digits
from zoo.interpret.elements import element_names, element_units
from zoo.interpret.inline_picture import inline_picture
from zoo.interpret.posteriors.prior_ends import at_ends
from zoo.model.fit import Emulator, Fit, best_fits, expect_predicted
from zoo.model.misspecification import Compared, Reference
from zoo.model.spec import ModelSpec, Tensor
from zoo.seeds import generator

if TYPE_CHECKING:
    from zoo.interpret.posteriors.together import Together

Sampler = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""The endpoint ``sample`` of a flow, in whatever runtime: makes its outputs of its inputs."""
NUMBERS, ELEMENT = 2**24, 32
"""Numbers of all copies of an observation that are handed in at once, and what an element of a sequence or a field counts, as
an embedding makes several numbers of each."""
MANY_NUMBERS = 100
"""Numbers of an observation from which on no two are the same by chance."""
NARROW = 4.0
"""How much narrower than expected a posterior of several observations is that is warned of."""
PREDICTED = 2000
"""Draws at most whose predictions are held against the observation."""
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


def infer(
    spec: ModelSpec,
    sample: Sampler,
    observation: Observation,
    out: Path,
    *,
    draws: int = 10_000,
    seed: int = 0,
    reference: Reference | None = None,
    emulate: Emulator | None = None,
    prior: Mapping[str, Any] | None = None,
    allow_out_of_range: bool = False,
) -> PosteriorReport:
    """Draw the posterior of an observation; samples and a corner plot go to a folder.

    Parameters
    ----------
    spec : ModelSpec
        Spec of a conditional flow, whose endpoint ``sample`` takes noise and an observation.
    sample : callable
        The endpoint ``sample``, in whatever runtime.
    observation : Observation
        What the posterior is given.
    out : Path
        The folder.
    draws : int
        How many draws from the posterior are made.
    seed : int
        Seed of the draws.
    reference : Reference, optional
        What simulated observations are like, as ``read_reference`` gives it.
    emulate : callable, optional
        Asks the model that predicts observations, where the data source names one: the best of the draws is held against the
        observation.
    prior : mapping of str to object, optional
        Laws of some parameters in place of those that the posterior was trained with, as `Prior` takes them.
    allow_out_of_range : bool
        Take an observation that no simulation resembles, or no draw predicts.

    Returns
    -------
    PosteriorReport
        Means and deviations beside what is published, and the paths of the files.

    Raises
    ------
    InputError
        The model is no conditional flow, the observation is not one of its input, farther from the simulations than all but a
        thousandth of them are or as badly fitted by the best of the draws, it has NaN or infinity in it, there are fewer draws
        than a corner plot needs, or fewer than a thousand count with another prior.

    Warns
    -----
    MisspecificationWarning
        The observation is unlike simulations.
    """
    noise, observed, parameters = conditional_flow(spec)
    given, compared = _observed(spec, observation, reference, allow_out_of_range)
    dimensions = parameters.fixed_shape[-1]
    _expect_draws(draws, dimensions)
    z = generator(seed).standard_normal((draws, noise.fixed_shape[-1]), dtype=np.float32)
    start = time.perf_counter()
    size = max(1, NUMBERS // (given[observed.name].size * (ELEMENT if given[observed.name].ndim > 2 else 1)))
    parts = []
    for first in range(0, draws, size):
        noises = z[first : first + size]
        rows = {name: np.repeat(array, len(noises), axis=0) for name, array in given.items()}
        parts.append(sample({noise.name: noises} | rows)[parameters.name])
    theta = np.concatenate(parts)
    seconds = time.perf_counter() - start
    fit = None
    if emulate is not None:
        best = theta[None, :PREDICTED]
        fits = best_fits(spec.data.source, emulate, parameters, observed, best, given[observed.name])
        if fits is not None:
            (fit,) = fits
            if not allow_out_of_range:
                expect_predicted(fits, best.shape[1])
    effective = None
    if prior:
        from zoo.interpret.posteriors.another_prior import reweighted, trained_prior

        theta, effective = reweighted(theta, trained_prior(spec), prior, seed)
    return _report(
        spec,
        observation,
        theta,
        out,
        draws=draws,
        effective=effective,
        seconds=seconds,
        fit=fit,
        **_likeness(reference, compared),
    )


def infer_together(
    flow: Any,
    observation: Observation,
    out: Path,
    *,
    draws: int = 10_000,
    seed: int = 0,
    reference: Reference | None = None,
    prior: Mapping[str, Any] | None = None,
    allow_out_of_range: bool = False,
) -> PosteriorReport:
    """Draw the posterior that independent observations of the same parameters give together, as `infer` does that of one.

    Parameters
    ----------
    flow : ZooModel
        A conditional flow, as ``zoo.load`` gives it.
    observation : Observation
        The observations, a row of each input for each.
    out : Path
        The folder of samples and corner plot, where the posterior of the first of them stands beside that of all.
    draws : int
        How many draws are made.
    seed : int
        Seed of the draws.
    reference : Reference, optional
        What simulated observations are like.
    prior : mapping of str to object, optional
        Laws of some parameters in place of those that the posterior was trained with.
    allow_out_of_range : bool
        Take observations that no simulation resembles.

    Returns
    -------
    PosteriorReport
        Means and deviations, whether the observations are like simulations and agree, and the paths of the files.

    Raises
    ------
    InputError
        As in `infer`; there is one observation; or its data have no prior of independent parameters.

    Warns
    -----
    MisspecificationWarning
        More of the observations than by chance are unlike simulations, or the posterior of all is much narrower than they can
        make it.
    """
    from zoo.interpret.posteriors.another_prior import reweighted, trained_prior
    from zoo.interpret.posteriors.together import posterior_together

    spec: ModelSpec = flow.spec
    _, observed, parameters = conditional_flow(spec)
    _expect_draws(draws, parameters.fixed_shape[-1])
    trained = trained_prior(spec)
    if observed.mask is not None:
        raise InputError(f"{spec.name}: observations of free length are not taken together: infer each of them alone")
    given, compared = _observed(spec, observation, reference, allow_out_of_range)
    rows = given[observed.name]
    start = time.perf_counter()
    with warnings.catch_warnings():
        if compared is not None:  # all of them at once, so that each alone is not told again, without its row
            warnings.simplefilter("ignore", MisspecificationWarning)
        found = posterior_together(flow, trained, rows, draws=draws, seed=seed, allow_out_of_range=allow_out_of_range)
    theta, effective = found.theta, found.effective
    _warn_of_narrowing(spec, found)
    if prior:
        theta, of_these = reweighted(theta, trained, prior, seed)
        effective *= of_these / draws  # as draws that stand several times count once
    return _report(
        spec,
        observation,
        theta,
        out,
        draws=draws,
        effective=effective,
        seconds=time.perf_counter() - start,
        observations=len(rows),
        log_ratio=found.log_ratio,
        beside={"the first alone": found.alone[0]},
        **_likeness(reference, compared),
    )


def _warn_of_narrowing(spec: ModelSpec, found: Together) -> None:
    """Say where the posterior of all is much narrower than independent observations make one of theirs."""
    parameters = conditional_flow(spec)[-1]
    names = element_names(parameters.name, parameters.axes, [parameters.fixed_shape[-1]])
    narrow = [f"{name} {times:.0f} times" for name, times in zip(names, found.narrowing, strict=True) if times > NARROW]
    if narrow:
        m = len(found.alone)
        warn(
            f"the posterior of all {m} observations is narrower than {m} like the single ones make it: {', '.join(narrow)}."
            " It may be so where single posteriors have several peaks; else what the flow is off by, at an end of the prior"
            f" above all, counts {m} times: look at both in the plot, or take fewer observations together",
            MisspecificationWarning,
        )


def _observed(
    spec: ModelSpec, observation: Observation, reference: Reference | None, allow_out_of_range: bool
) -> tuple[dict[str, np.ndarray], Compared | None]:
    """What was observed, finite, with its mask where its length is free; and how like simulations it is."""
    noise, observed, _ = conditional_flow(spec)
    endpoint = spec.endpoint("sample")
    dtypes = {tensor.name: tensor.dtype for tensor in endpoint.inputs}
    given = {name: array.astype(dtypes[name]) for name, array in observation.of(endpoint, given=[noise.name]).items()}
    _expect_finite(observed.name, given[observed.name], observation.description)
    _expect_different(observed.name, given[observed.name], observation.description)
    if reference is None:
        return given, None
    mask = given.get(observed.mask or "")
    return given, reference.expect_like(given[observed.name], mask, allow_out_of_range=allow_out_of_range)


def _likeness(reference: Reference | None, compared: Compared | None) -> dict[str, Any]:
    """What a report says of how like simulations observations are, the strangest where there are several."""
    if reference is None or compared is None:
        return {}
    return {"p_value": float(compared.p_value.min()), "unlike": reference.told(compared)}


def _report(
    spec: ModelSpec,
    observation: Observation,
    theta: np.ndarray,
    out: Path,
    beside: Mapping[str, np.ndarray] | None = None,
    **told: Any,
) -> PosteriorReport:
    """Write samples and corner plot, and say what there is to say."""
    parameters = conditional_flow(spec)[-1]
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


def _expect_draws(draws: int, parameters: int) -> None:
    """Refuse fewer draws than a corner plot of so many parameters needs."""
    if draws <= parameters:
        raise InputError(f"draws: expected more than {parameters}, the number of parameters, given {draws}")


def _expect_finite(name: str, array: np.ndarray, description: str) -> None:
    """Refuse an observation that lacks numbers, before it is held against simulations, of which NaN is beyond none."""
    if (missing := np.argwhere(~np.isfinite(array))).size:
        row, *at = missing[0].tolist()
        where = f"at {at}" if len(array) == 1 else f"in row {row} at {at}"
        raise InputError(
            f"{description}: expected a finite number for every element of {name}, given {len(missing)} that are NaN or"
            f" infinite, the first {where}: a posterior is of a whole observation"
        )


def _expect_different(name: str, array: np.ndarray, description: str) -> None:
    """Refuse the same observation twice among several, where it is of so many numbers that chance does not make two."""
    if array[0].size < MANY_NUMBERS:
        return
    seen: dict[bytes, int] = {}
    for row, one in enumerate(array):
        first = seen.setdefault(one.tobytes(), row)
        if first != row:
            raise InputError(
                f"{description}: expected independent observations, given {name} of rows {first} and {row} that are the same:"
                " leave one out, as it would count twice"
            )


def conditional_flow(spec: ModelSpec) -> tuple[Tensor, Tensor, Tensor]:
    """The tensors of a conditional flow.

    Parameters
    ----------
    spec : ModelSpec
        Spec of a model.

    Returns
    -------
    noise : Tensor
        What draws are made of.
    observed : Tensor
        What the posterior is given.
    parameters : Tensor
        The parameters that are drawn.

    Raises
    ------
    InputError
        The model is another kind.
    """
    endpoint = spec.endpoints.get("sample")
    inputs = [] if endpoint is None else endpoint.inputs
    masked = len(inputs) == 3 and inputs[1].mask == inputs[2].name
    if endpoint is None or not (len(inputs) == 2 or masked) or len(endpoint.outputs) != 1:
        raise InputError(f"{spec.name} is no conditional flow: expected an endpoint 'sample' of noise and observation")
    return inputs[0], inputs[1], endpoint.outputs[0]


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
