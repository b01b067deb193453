"""A recipe of neural posterior estimation for any prior and simulator."""

from __future__ import annotations

import math
from typing import Any

from pydantic import JsonValue

from zoo.data.sbi.prior import Prior
from zoo.training.recipe import Recipe, RecipeError

STEPS = 12_000
"""Of the optimiser at most; the validation loss stops most runs earlier."""
FEWEST_EPOCHS, MOST_EPOCHS = 20, 150


def npe_recipe(
    name: str,
    prior: Prior,
    data: dict[str, JsonValue],
    simulations: int,
    width: int,
    *,
    seed: int = 0,
    changes: dict[str, JsonValue] | None = None,
) -> Recipe:
    """An autoregressive neural spline flow p(theta | x) inside the prior's support, with the settings of the released ones.

    Parameters
    ----------
    name : of the model, lower case with hyphens
    data : source and parameters of the data set
    simulations : the budget; it sets batch size and epochs
    width : C, numbers in one observation
    seed : of the training
    changes : values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``

    Raises
    ------
    RecipeError
        For a name, a key or a value that a recipe cannot have.
    """
    dimensions = len(prior.names)
    bounded = [bounds is not None for bounds in prior.support]
    low, high = (
        [bounds[end] for bounds in prior.support if bounds is not None] if all(bounded) else None for end in (0, 1)
    )  # without them the ranges are the training rows'
    unit = _common(list(prior.units.values()))
    theta = {"name": "theta", "shape": [dimensions], "unit": unit, "description": ", ".join(prior.names)}
    x = {"name": "x", "shape": [width], "unit": "1", "description": "an observation, as the simulator gives it"}
    batch_size = max(32, min(256, 2 ** int(math.log2(max(simulations, 2) / 20))))
    epochs = max(FEWEST_EPOCHS, min(MOST_EPOCHS, STEPS * batch_size // simulations))
    values: dict[str, Any] = {
        "name": name,
        "family": "nsf",
        "task": "posterior-estimation",
        "summary": f"Posterior of {', '.join(prior.names)} by neural posterior estimation",
        "config": {
            "dimensions": dimensions,
            "context": width,
            "transforms": 5,
            "hidden": [64, 64],
            "activation": "relu",
            "support": prior.support if any(bounded) else None,
            "embedding": [],
            "bins": 8,
            "autoregressive": True,
        },
        "data": data,
        "loss": "negative_log_prob",
        "optimizer": {"learning_rate": 1e-3, "schedule": "cosine"},
        "epochs": epochs,
        "patience": max(10, epochs // 5),
        "batch_size": batch_size,
        "seeds": [seed],
        "evaluation": {"kind": "posterior", "parameters": prior.names},
        "endpoints": {
            "log_prob": {
                "description": "logarithm of the posterior density at theta, given x",
                "inputs": [{**theta, "low": low, "high": high}, x],
                "outputs": [{"name": "log_prob", "shape": [], "unit": "1", "description": "natural logarithm of the density"}],
            },
            "sample": {
                "description": "a draw from the posterior, given x",
                "inputs": [
                    {"name": "z", "shape": [dimensions], "unit": "1", "low": -8.0, "high": 8.0,
                     "description": "standard normal numbers"},
                    x,
                ],
                "outputs": [{**theta, "low": low, "high": high}],
            },
        },
        "tolerance": {"absolute": 1e-3, "relative": 1e-3},
    }  # fmt: skip
    try:
        return Recipe.model_validate(values).changed(changes or {})
    except ValueError as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"recipe {name}: {error}") from error


def _common(units: list[str]) -> str:
    """One unit where all agree, else all of them in order."""
    return units[0] if len(set(units)) == 1 else ", ".join(units)
