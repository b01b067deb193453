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

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.families.flows.flow import Flow

SIMULATIONS, RECIPE = "simulations.npz", "recipe.yaml"


def train_npe(
    simulator: Simulator,
    prior: Prior | Mapping[str, Any],
    simulations: int = 10_000,
    *,
    out: str | Path,
    test: int = 1000,
    seed: int = 0,
    vectorised: bool = False,
    jobs: int | None = None,
    on_nonfinite: Literal["drop", "fail"] = "drop",
    changes: dict[str, JsonValue] | None = None,
) -> Flow:
    """Neural posterior estimation: a conditional flow p(theta | x), trained on simulations of your own.

    The folder ``out`` gets ``simulations.npz``, ``recipe.yaml`` (which ``zoo train`` takes too), ``run/`` with metrics,
    calibration plots and TensorBoard logs, and ``model/``, which ``zoo.load``, ``zoo export`` and ``zoo serve`` take. The
    same call goes on where it was killed.

    Parameters
    ----------
    simulator : parameters to data, ``(D,) -> (C,)``; draws its noise from ``rng`` if it takes one
    prior : of the parameters, in the simulator's order
    simulations : the budget; a tenth of it is held out to stop the training
    out : folder; its name is the model's
    test : further simulations, for calibration and for the error of the posterior mean
    seed : of simulations and training
    vectorised, jobs, on_nonfinite : as ``zoo.data.sbi.simulate``
    changes : values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``

    Returns
    -------
    A flow with ``draw(n, x)``, ``log_density(theta, x)``, and what was measured in ``spec.metrics``.

    Raises
    ------
    InputError
        For a prior or simulations from which nothing can be learnt; constant columns are named.
    SimulationError
        When the simulator fails.
    RecipeError
        When the settings are not valid, there are fewer simulations than a batch, or ``out`` holds another run.

    Examples
    --------
    >>> prior = {"mean": {"distribution": "uniform", "low": -3, "high": 3}}
    >>> flow = train_npe(lambda theta, rng: rng.normal(theta, 1.0), prior, out="runs/mean")  # doctest: +SKIP
    >>> flow.draw(1000, [0.4]).mean(axis=0)  # doctest: +SKIP
    """
    from zoo.loading import load
    from zoo.training.npe_recipe import npe_recipe
    from zoo.training.recipe import load_recipe
    from zoo.workflows.release import release

    prior = prior if isinstance(prior, Prior) else Prior(prior)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    found = simulate(
        simulator,
        prior,
        simulations + test,
        seed=seed,
        vectorised=vectorised,
        jobs=jobs,
        on_nonfinite=on_nonfinite,
        path=out / SIMULATIONS,
    )
    check_simulations(found.theta, found.x, prior.names)
    data: dict[str, Any] = {
        "source": "simulations",
        "parameters": {"file": SIMULATIONS, "prior": prior.plain(), "test": test, "on_nonfinite": on_nonfinite},
    }
    name = out.resolve().name
    recipe = npe_recipe(name, prior, data, len(found) - test, found.x.shape[1], seed=seed, changes=changes)
    with whole_file(out / RECIPE, "w") as file:
        yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), file, sort_keys=False)
    release(load_recipe(out / RECIPE), out / "run", out / "model")
    return load(out / "model")
