"""From a simulator and a prior to a posterior: simulate -> train -> calibrate -> export -> load.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.counts import expect_counts
from zoo.data.sbi.own_rows import OwnRows, read_own_rows
from zoo.data.sbi.priors.as_prior import AnyPrior, as_prior
from zoo.data.sbi.priors.follows import OWN, warn_of_another_prior
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.data.sbi.simulating.by_name import of_rows
from zoo.data.sbi.simulating.simulations import Simulator, simulate
from zoo.data.sbi.simulating.trials import Trials, trial_bounds
from zoo.errors import InputError
from zoo.families.state import apart
from zoo.jobs import expect_jobs
from zoo.seeds import SHORT, expect_seed
from zoo.workflows.new_folder import new_folder
from zoo.workflows.npe_run import TEST, NpeRun
from zoo.workflows.observed import expect_observation
from zoo.workflows.rounds import train_in_rounds
from zoo.workflows.sequence import Rounds

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.families.flows.flow import Flow

LEAST, LEAST_TEST = 10, 2
"""Fewest simulations, of which a tenth is held out, and fewest further ones."""
OF_OBSERVATIONS = ("config.context", "config.embedding")
"""What keys of a recipe begin with that follow from the simulations."""
NEITHER = "expected a simulator with its prior, or rows of your own as theta and x, given neither"
NO_PRIOR = (
    "a simulator needs the prior that its parameters are drawn from, such as {'mean': {'distribution': 'uniform',"
    " 'low': -3, 'high': 3}}"
)


@apart()
def train_npe(
    simulator: Simulator | None = None,
    prior: Any = None,
    simulations: int = 10_000,
    *,
    theta: Any = None,
    x: Any = None,
    folder: str | Path,
    test: int | None = None,
    seed: int = 0,
    vectorized: bool = False,
    jobs: int | None = None,
    on_nonfinite: Literal["drop", "fail"] = "drop",
    timeout: float | None = None,
    free: bool = False,
    trials: int | tuple[int, int] | None = None,
    family: str = "nsf",
    embedding: str | dict[str, Any] | list[int] | None = None,
    members: int = 1,
    rounds: int = 1,
    observation: Any = None,
    changes: dict[str, JsonValue] | None = None,
    license: str | None = None,
    citation: str | None = None,
    overwrite: bool = False,
) -> Flow:
    """Neural posterior estimation: a conditional flow p(theta | x), trained on simulations of your own.

    ``folder`` becomes a model like any other, for ``zoo.load``, ``zoo export``, ``zoo serve`` and ``zoo push``. What it was
    made of lies in ``<folder>.run``: ``simulations.npz``, ``recipe.yaml`` (which ``zoo train`` takes too), metrics,
    calibration plots and TensorBoard logs. The same call goes on where it was killed. Where the posterior does not mean what it
    says, a warning names what was measured, and the card says so.

    Parameters
    ----------
    simulator : callable, optional
        Makes data of parameters, ``(D,) -> (C,)``, or takes each of several by its name, ``(rate, lifetime)``. It draws its
        noise from ``rng`` if it takes one. Units and names that its answers have stand in the spec of x.
    prior : object, optional
        The prior of the parameters, in the simulator's order: laws by name, distributions of ``scipy.stats``, or an object with
        ``sample`` and ``log_prob``, as ``zoo.data.sbi.as_prior`` takes them. With rows of your own it may be left out: the
        prior is then that of the rows, without bounds and without a baseline.
    simulations : int
        The budget of the simulator. A tenth of it is held out to stop the training.
    theta, x : array_like, optional
        Rows of your own in place of a simulator: parameters (n, D) in the prior's order, or a table with a column for each by
        its name; and data (n, C), or a table, all of whose columns are used. Rows are put into a random order that follows from
        the seed before any are held out.
    folder : str or Path
        The folder to be made. Its name is the model's.
    test : int, optional
        How many further simulations are made, or rows of your own set aside, for calibration and for the error of the posterior
        mean; by default 1,000, of your own rows at most a tenth.
    seed : int
        The seed of simulations and training.
    vectorized : bool
        Whether the simulator takes all parameters at once, as ``zoo.data.sbi.simulate`` says.
    jobs : int, optional
        How many processes simulate.
    on_nonfinite : {"drop", "fail"}
        What becomes of simulations and rows with NaN, infinity or missing values, or without an answer.
    timeout : float, optional
        Seconds that a simulation may take, as ``zoo.data.sbi.simulate`` says.
    free : bool
        Whether the simulator's answers (L, F) have any length L, such as events of a counter or a light curve with gaps.
    trials : int or tuple of int, optional
        The fewest and the most trials of a set, such as (1, 100), where an experiment is repeated at the same parameters. The
        simulator makes one trial (C,); each row of training is a set of them (k, C), k drawn evenly in its logarithm, and so is
        what the flow is asked of: ``flow.draw(1000, x)`` with x (k, C).
    family : str
        Family of the flow: "nsf", "maf", "realnvp" or "flow-matching".
    embedding : str, dict or list of int, optional
        The network that an observation passes first: its kind, "mean-pooled", "attention", "convolution-1d" or
        "convolution-2d", or settings of it, as ``zoo.families.flows.embeddings`` has them, or units of dense layers. By default
        none for rows of numbers, convolutions for sequences (L, F) of up to 16 features and for images, of a fixed size, and a
        deep set, "mean-pooled", for sets of trials and what is of free length. The order of elements is seen by convolutions
        alone: with the others, give the time or the place of an element as one of its numbers.
    members : int
        How many flows are trained, each from a seed of its own; the posterior is their mixture in equal parts.
    rounds : int
        In how many rounds the simulations are made, with ``observation``: all but the first where the posterior of the
        observation may lie (TSNPE, arXiv:2210.04815). It takes fewer simulations for that one observation, and is right for no
        other.
    observation : array_like, optional
        The observation that rounds are for, (C,), or by name; with a unit it is converted to the simulator's.
    changes : dict, optional
        Values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``.
    license : str, optional
        The license of the simulations, such as ``"CC-BY-4.0"``, or an address. It stands on the card, and is the model's on the
        Hub; without it both say that the license is not known.
    citation : str, optional
        What is to be cited for them; it stands on the card. A data set of the Hub that it has the address of,
        ``huggingface.co/datasets/owner/name``, is linked there.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced; and, where ``<folder>.run`` holds simulations or a training that
        differ from what is asked for, whether they are removed and made anew. A run that is the same goes on.

    Returns
    -------
    Flow
        A flow with ``draw(n, x)``, ``log_density(theta, x)``, and what was measured in ``spec.metrics``.

    Raises
    ------
    InputError
        There is neither a simulator nor rows, or both; nothing can be learned from the prior or the simulations; constant
        columns are named; rows lie outside the prior; or ``<folder>.run`` holds other simulations.
    ZooError
        A released model has the folder's name.
    ExportError
        The folder exists.
    SimulationError
        The simulator fails.
    RecipeError
        The settings are not valid, or there are fewer simulations than a batch.
    FolderError
        ``<folder>.run`` holds a training with other settings.
    FullDiskError
        There is no space for the simulations, as the first answers tell, or for the training.

    Warns
    -----
    UserWarning
        Parameters of your own do not follow the prior; the posterior does not mean what it says.

    Examples
    --------
    >>> prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    >>> flow = train_npe(lambda theta, rng: rng.normal(theta, 1.0), prior, folder="models/mean")  # doctest: +SKIP
    >>> flow.draw(1000, [0.4]).mean(axis=0)  # doctest: +SKIP
    """
    from zoo.loading import load

    expect_seed(seed, below=SHORT)
    expect_jobs(jobs)
    path, name = new_folder(folder, overwrite)
    with NpeRun(path, name, overwrite, embedding) as run:
        how: dict[str, Any] = {"family": family, "members": members, "seed": seed}
        how["changes"] = with_terms(changes, license, citation)
        if theta is not None or x is not None:
            if rounds != 1 or observation is not None:
                raise InputError("rounds take a simulator, given rows of your own: leave out rounds and observation")
            if free or trials is not None:
                raise InputError(
                    "free and trials are about a simulator: rows of your own of several lengths, or sets of trials, are"
                    " a list of arrays as x"
                )
            own = own_rows(simulator, prior, theta, x, on_nonfinite, seed)
            notes = [] if isinstance(own.prior, RowsPrior) else warn_of_another_prior(own.theta, own.prior, "theta", OWN)
            pairs = run.keep(own, test, on_nonfinite, notes)
        else:
            simulator, law = expect_simulator(simulator, prior)
            bounds = None if trials is None else trial_bounds(trials)
            if bounds is not None:
                simulator, vectorized, free = Trials(simulator, bounds, vectorized), False, True
            test = TEST if test is None else test
            expect_settings(name, law, simulations, test, how)
            options: dict[str, Any] = {"seed": seed, "vectorized": vectorized, "jobs": jobs, "on_nonfinite": on_nonfinite}
            simulated = partial(simulate, simulator, free=free, timeout=timeout, **options)
            if rounds != 1 or observation is not None:
                if free:
                    raise InputError("rounds take observations of a fixed shape: leave out free and trials, or rounds")
                expect_observation(observation)
                return train_in_rounds(run, law, simulated, Rounds(rounds, observation, simulations, test), how)
            pairs = run.simulate(partial(simulated, law, simulations + test), law, test, on_nonfinite, bounds)
        run.train(pairs, **how)
    flow: Flow = load(path)
    return flow


def expect_settings(name: str, prior: AnyPrior, simulations: int, test: int, how: dict[str, Any]) -> None:
    """Refuse what no training can be made with, before hours of simulations.

    Parameters
    ----------
    name : str
        Name of the model.
    prior : Prior or JointPrior
        Prior of the parameters.
    simulations, test : int
        How many simulations are asked for, and how many further ones.
    how : dict of str to object
        How the flow is trained, as ``npe_recipe`` takes it. What its config says of observations is known once there are data.

    Raises
    ------
    InputError
        There are too few simulations, or numbers of them that are none.
    RecipeError, UnknownNameError
        There is no such family or setting.
    """
    from zoo.training.npe_recipe import npe_recipe

    expect_counts(LEAST, simulations=simulations)
    expect_counts(LEAST_TEST, test=test)
    known = {key: value for key, value in how["changes"].items() if not key.startswith(OF_OBSERVATIONS)}
    recipe = partial(npe_recipe, name, prior, {"source": "simulations"}, simulations, 1, **how | {"changes": known})
    recipe()
    recipe(members=1).untrained()


def with_terms(changes: dict[str, JsonValue] | None, license: str | None, citation: str | None) -> dict[str, JsonValue]:
    """Changes of a recipe with the license and the citation of its data, where they are given."""
    terms = {"license": license, "citation": citation}
    return {name: words for name, words in terms.items() if words is not None} | (changes or {})


def own_rows(
    simulator: Simulator | None, prior: Any, theta: Any, x: Any, on_nonfinite: Literal["drop", "fail"], seed: int
) -> OwnRows:
    """Rows of a user, in the words of ``train_npe``; InputError where they come with a simulator."""
    if simulator is not None:
        raise InputError("expected a simulator, or rows of your own as theta and x, given both")
    if theta is None or x is None:
        raise InputError(f"expected theta and x together, given {'x' if theta is None else 'theta'} alone")
    return read_own_rows(theta, x, None if prior is None else as_prior(prior), on_nonfinite=on_nonfinite, seed=seed)


def expect_simulator(simulator: Simulator | None, prior: Any) -> tuple[Simulator, AnyPrior]:
    """A simulator and the prior of its parameters; InputError where one of them is missing."""
    if simulator is None or prior is None:
        raise InputError(NEITHER if simulator is None else NO_PRIOR)
    law = as_prior(prior)
    return of_rows(simulator, law.names), law
