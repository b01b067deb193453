"""From a simulator and a prior to a likelihood: simulate -> train -> calibrate -> export -> load."""

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
from zoo.workflows.npe import RECIPE, SIMULATIONS

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.families.flows.flow import Flow


@apart()
def train_nle(
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
    changes: dict[str, JsonValue] | None = None,
    overwrite: bool = False,
) -> Flow:
    from zoo.loading import load
    from zoo.training.nle_recipe import nle_recipe
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
    )
    check_simulations(found.theta, found.x, prior.names)
    data: dict[str, Any] = {
        "source": "simulations",
        "parameters": {"file": SIMULATIONS, "prior": prior.plain(), "test": test, "on_nonfinite": on_nonfinite},
    }
    recipe = nle_recipe(name, prior, data, found.x[:-test], seed=seed, changes=changes)
    with whole_file(run / RECIPE, "w") as file:
        yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), file, sort_keys=False)
    release(load_recipe(run / RECIPE), run, path)
    flow: Flow = load(path)
    return flow
