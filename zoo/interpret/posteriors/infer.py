"""The posterior of one observation from a conditional flow: draws, a table and a corner plot."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data.observation import Observation
from zoo.errors import InputError, MisspecificationWarning, warn
from zoo.interpret.elements import element_names
from zoo.interpret.posteriors.observed import conditional_flow, observed_inputs
from zoo.interpret.posteriors.posterior_report import PosteriorReport, posterior_report
from zoo.model.fit import Emulator, best_fits, expect_predicted
from zoo.model.misspecification import Compared, Reference
from zoo.model.spec import ModelSpec
from zoo.seeds import generator

if TYPE_CHECKING:
    from zoo.interpret.posteriors.together import Together

Sampler = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""The endpoint ``sample`` of a flow, in whatever runtime: makes its outputs of its inputs."""
NUMBERS, ELEMENT = 2**24, 32
"""Numbers of all copies of an observation that are handed in at once, and what an element of a sequence or a field counts, as
an embedding makes several numbers of each."""
NARROW = 4.0
"""How much narrower than expected a posterior of several observations is that is warned of."""
PREDICTED = 2000
"""Draws at most whose predictions are held against the observation."""


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
    given, compared = observed_inputs(spec, observation, reference, allow_out_of_range)
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
    return posterior_report(
        spec,
        parameters,
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
    given, compared = observed_inputs(spec, observation, reference, allow_out_of_range)
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
    return posterior_report(
        spec,
        parameters,
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


def _expect_draws(draws: int, parameters: int) -> None:
    """Refuse fewer draws than a corner plot of so many parameters needs."""
    if draws <= parameters:
        raise InputError(f"draws: expected more than {parameters}, the number of parameters, given {draws}")


def _likeness(reference: Reference | None, compared: Compared | None) -> dict[str, Any]:
    """What a report says of how like simulations observations are, the strangest where there are several."""
    if reference is None or compared is None:
        return {}
    return {"p_value": float(compared.p_value.min()), "unlike": reference.told(compared)}
