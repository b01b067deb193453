"""From a simulator and a prior to a likelihood: simulate -> train -> calibrate -> export -> load.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.data.sbi.priors.follows import warn_of_a_narrow_reach
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.data.sbi.simulating.simulations import Simulator, simulate
from zoo.errors import InputError
from zoo.families.state import apart
from zoo.jobs import expect_jobs
from zoo.seeds import SHORT, expect_seed
from zoo.workflows.new_folder import new_folder
from zoo.workflows.npe import expect_settings, expect_simulator, own_rows, with_terms
from zoo.workflows.npe_run import TEST, NpeRun

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.families.flows.flow import Flow


@apart()
def train_nle(
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
    changes: dict[str, JsonValue] | None = None,
    license: str | None = None,
    citation: str | None = None,
    overwrite: bool = False,
) -> Flow:
    """Neural likelihood estimation: a conditional flow p(x | theta), trained on simulations of your own.

    The flow is an emulator of the simulator, noise included, and a likelihood. ``zoo.interpret.sample_posterior`` draws from
    the posterior with it, by Markov chains: slower than a flow of ``train_npe``, but of any prior, and of any number of
    independent trials at one theta, without training anew. ``folder`` and ``<folder>.run`` are as ``train_npe`` leaves them;
    ``theta`` and ``x`` in ``simulations.npz`` of either serve the other.

    Parameters
    ----------
    simulator : callable, optional
        Makes data of parameters, ``(D,) -> (C,)``. It draws its noise from ``rng`` if it takes one. Data must have a density or
        be counts, whole numbers.
    prior : object, optional
        The distribution of the parameters in simulations, in the simulator's order, as ``train_npe`` takes it.
    simulations, theta, x, folder, test, seed, vectorized, jobs, on_nonfinite, timeout, changes : object
        As ``train_npe`` takes them. Test rows compare the model's data with the simulator's; parameters of rows of your own may
        have another density than the prior, but are to reach as far.
    license, citation, overwrite : object
        As ``train_npe`` takes them.

    Returns
    -------
    Flow
        A flow with ``log_density(x, theta)``, ``draw(n, theta)``, and what was measured in ``spec.metrics``.

    Raises
    ------
    InputError
        There is neither a simulator nor rows, or both; nothing can be learned from the simulations; data have no density, as
        values repeat that are no whole numbers; or ``<folder>.run`` holds other simulations.
    ZooError
        Any other that ``train_npe`` raises.

    Warns
    -----
    UserWarning
        The prior reaches beyond the parameters that were simulated; the likelihood is not that of the simulator.

    Examples
    --------
    >>> prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    >>> flow = train_nle(lambda theta, rng: rng.normal(theta, 1.0), prior, folder="models/mean")  # doctest: +SKIP
    >>> sample_posterior(flow, as_prior(prior), [[0.4], [0.9]]).flat.mean(axis=0)  # doctest: +SKIP
    """
    from zoo.loading import load
    from zoo.training.nle_recipe import nle_recipe

    expect_seed(seed, below=SHORT)
    expect_jobs(jobs)
    path, name = new_folder(folder, overwrite)
    with NpeRun(path, name, overwrite) as run:
        changed = with_terms(changes, license, citation)
        if theta is not None or x is not None:
            own = own_rows(simulator, prior, theta, x, on_nonfinite, seed)
            notes = [] if isinstance(own.prior, RowsPrior) else warn_of_a_narrow_reach(own.theta, own.prior)
            pairs = run.keep(own, test, on_nonfinite, notes)
        else:
            simulator, law = expect_simulator(simulator, prior)
            test = TEST if test is None else test
            expect_settings(name, law, simulations, test, {"seed": seed, "changes": changed})
            options: dict[str, Any] = {"seed": seed, "vectorized": vectorized, "jobs": jobs, "on_nonfinite": on_nonfinite}
            simulated = partial(simulate, simulator, law, simulations + test, timeout=timeout, **options)
            pairs = run.simulate(simulated, law, test, on_nonfinite, of_the_rest=warn_of_a_narrow_reach)
        if len(pairs.datum.shape) != 1:
            raise InputError(
                f"expected observations that are rows of numbers (C,), given shape {pairs.datum.shape}: train_npe takes any"
                " shape"
            )
        run.release(nle_recipe(name, pairs.prior, pairs.data, pairs.x, pairs.datum, seed=seed, changes=changed))
    flow: Flow = load(path)
    return flow
