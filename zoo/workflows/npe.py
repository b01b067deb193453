"""From a simulator and a prior to a posterior: simulate -> train -> calibrate -> export -> load.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from zoo.atomic import whole_file
from zoo.data.sbi.prior import Prior
from zoo.data.sbi.simulations import Simulator, check_simulations, simulate
from zoo.families.state import apart
from zoo.workflows.new_folder import new_folder

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.families.flows.flow import Flow

SIMULATIONS, RECIPE = "simulations.npz", "recipe.yaml"


@apart()
def train_npe(
    simulator: Simulator,
    prior: Prior | Mapping[str, Any],
    simulations: int = 10_000,
    *,
    folder: str | Path,
    test: int = 1000,
    seed: int = 0,
    vectorized: bool = False,
    jobs: int | None = None,
    on_nonfinite: Literal["drop", "fail"] = "drop",
    timeout: float | None = None,
    changes: dict[str, JsonValue] | None = None,
    overwrite: bool = False,
) -> Flow:
    """Neural posterior estimation: a conditional flow p(theta | x), trained on simulations of your own.

    ``folder`` becomes a model like any other, for ``zoo.load``, ``zoo export``, ``zoo serve`` and ``zoo push``. What it was
    made of lies in ``<folder>.run``: ``simulations.npz``, ``recipe.yaml`` (which ``zoo train`` takes too), metrics,
    calibration plots and TensorBoard logs. The same call goes on where it was killed.

    Parameters
    ----------
    simulator : callable
        Makes data of parameters, ``(D,) -> (C,)``. It draws its noise from ``rng`` if it takes one.
    prior : Prior or mapping
        The prior of the parameters, in the simulator's order.
    simulations : int
        The budget. A tenth of it is held out to stop the training.
    folder : str or Path
        The folder to be made. Its name is the model's.
    test : int
        How many further simulations are made, for calibration and for the error of the posterior mean.
    seed : int
        The seed of simulations and training.
    vectorized : bool
        Whether the simulator takes all parameters at once, as ``zoo.data.sbi.simulate`` says.
    jobs : int, optional
        How many processes simulate.
    on_nonfinite : {"drop", "fail"}
        What becomes of simulations with NaN or infinity, or without an answer.
    timeout : float, optional
        Seconds that a simulation may take, as ``zoo.data.sbi.simulate`` says.
    changes : dict, optional
        Values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``.
    overwrite : bool
        Whether an earlier model in ``folder`` is replaced, and simulations of another simulator.

    Returns
    -------
    Flow
        A flow with ``draw(n, x)``, ``log_density(theta, x)``, and what was measured in ``spec.metrics``.

    Raises
    ------
    InputError
        Nothing can be learned from the prior or the simulations; constant columns are named.
    ZooError
        A released model has the folder's name.
    ExportError
        The folder exists.
    SimulationError
        The simulator fails.
    RecipeError
        The settings are not valid, there are fewer simulations than a batch, or ``<folder>.run`` holds another run.

    Examples
    --------
    >>> prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    >>> flow = train_npe(lambda theta, rng: rng.normal(theta, 1.0), prior, folder="models/mean")  # doctest: +SKIP
    >>> flow.draw(1000, [0.4]).mean(axis=0)  # doctest: +SKIP
    """
    from zoo.loading import load
    from zoo.training.npe_recipe import npe_recipe
    from zoo.training.recipe import load_recipe
    from zoo.workflows.release import release

    path, name = new_folder(folder, overwrite)
    prior = prior if isinstance(prior, Prior) else Prior(prior)
    run = path.with_name(f"{path.name}.run")
    run.mkdir(parents=True, exist_ok=True)
    found = simulate(
        simulator,
        prior,
        simulations + test,
        seed=seed,
        vectorized=vectorized,
        jobs=jobs,
        on_nonfinite=on_nonfinite,
        path=run / SIMULATIONS,
        timeout=timeout,
        overwrite=overwrite,
    )
    check_simulations(found.theta, found.x, prior.names)
    data: dict[str, Any] = {
        "source": "simulations",
        "parameters": {"file": SIMULATIONS, "prior": prior.plain(), "test": test, "on_nonfinite": on_nonfinite},
    }
    recipe = npe_recipe(name, prior, data, len(found) - test, found.x.shape[1], seed=seed, changes=changes)
    with whole_file(run / RECIPE, "w") as file:
        yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), file, sort_keys=False)
    release(load_recipe(run / RECIPE), run, path)
    flow: Flow = load(path)
    return flow
