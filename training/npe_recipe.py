"""A recipe of neural posterior estimation for any prior and simulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from zoo.data.sbi.datum import Datum
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.errors import UnknownNameError
from zoo.families.flows.scales import Maps
from zoo.training.members import in_members
from zoo.training.observations import context_config, observed_tensors, parameters_tensor
from zoo.training.recipe import Recipe, RecipeError

SETTINGS = [
    (3000, {"batch_size": 32, "epochs": 60, "weight_decay": 1.0, "patience": 25}),
    (30_000, {"batch_size": 128, "epochs": 40, "weight_decay": 1.0}),
    (None, {"batch_size": 512, "epochs": 40, "weight_decay": 0.1}),
]
"""Settings by the largest number of simulations, chosen by held-out loss on the benchmark's tasks."""
WARM_UP = 6
"""One in so many epochs is of a learning rate that still rises, so that what few simulations say beyond the linear part is
learned before the weights of the best epoch are passed by."""
MATCHING = [
    (3000, {"batch_size": 32, "epochs": 200, "weight_decay": 0.0, "patience": 50}),
    (30_000, {"batch_size": 128, "epochs": 160, "weight_decay": 0.0, "patience": 40}),
    (None, {"batch_size": 512, "epochs": 120, "weight_decay": 0.0, "patience": 30}),
]
"""Those of flow matching, whose loss is noisy and falls for longer, each step costing less."""
CHAIN: dict[str, Any] = {"transforms": 4, "hidden": [128, 128], "activation": "relu"}
FAMILIES: dict[str, dict[str, Any]] = {
    "nsf": CHAIN | {"bins": 8, "autoregressive": True},
    "maf": CHAIN,
    "realnvp": CHAIN,
    "flow-matching": {"hidden": [128, 128, 128], "steps": 24},
}
"""What the config of each family has beside variables, context and support."""

TOLERANCE = 1e-3
"""Difference that is accepted between runtimes: of a log density, and of parameters on their scales."""


def npe_recipe(
    name: str,
    prior: AnyPrior | RowsPrior,
    data: dict[str, Any],
    simulations: int,
    datum: int | Datum,
    *,
    family: str = "nsf",
    members: int = 1,
    context_scales: list[dict[str, JsonValue]] | None = None,
    embedding: str | dict[str, Any] | list[int] | None = None,
    seed: int = 0,
    changes: dict[str, JsonValue] | None = None,
) -> Recipe:
    """A flow p(theta | x) on the prior's scales, with the settings of the released ones.

    Parameters
    ----------
    name : str
        Name of the model, lower case with hyphens.
    data : dict of str to object
        Source and parameters of the data set.
    simulations : int
        Number of simulations; it sets batch size, epochs and weight decay.
    datum : int or Datum
        What one observation is, or the number of its numbers.
    family : str
        Family of the flow: "nsf" for autoregressive neural splines, "maf", "realnvp" or "flow-matching".
    members : int
        How many such flows are trained, each from a seed of its own, and make one mixture in equal parts.
    context_scales : list of dict, optional
        Scale of each number of an observation, or of an element, as ``zoo.data.sbi.x_scales.chosen_scales`` gives it. Without,
        x is in single precision and standardized as it is.
    embedding : str, dict or list of int, optional
        The network that an observation passes first, as ``zoo.training.observations.context_config`` takes it.
    seed : int
        Seed of the training.
    changes : dict of str to JsonValue, optional
        Values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``.

    Raises
    ------
    RecipeError
        A name, a key or a value is none that a recipe can have.
    UnknownNameError
        No flow of that family.
    """
    if family not in FAMILIES:
        raise UnknownNameError("family of flows", family, FAMILIES)
    datum = Datum((datum,)) if isinstance(datum, int) else datum
    settings = settings_for(simulations, family)
    values: dict[str, Any] = {
        "name": name,
        "family": family,
        "task": "posterior-estimation",
        "summary": f"Posterior of {', '.join(prior.names)} by neural posterior estimation",
        "config": _config(family, prior, context_config(datum, embedding), context_scales),
        "data": {**data, "parameters": {**data.get("parameters", {}), "dtype": "float64"}},
        "optimizer": {
            "learning_rate": 3e-3,
            "schedule": "cosine",
            "warmup_epochs": 0 if family == "flow-matching" else warm_up(settings["epochs"], changes),
            "weight_decay": settings["weight_decay"],
        },
        "epochs": settings["epochs"],
        "patience": settings.get("patience", 15),
        "batch_size": settings["batch_size"],
        "seeds": [seed],
        "evaluation": {"kind": "posterior", "parameters": prior.names},
        "endpoints": _endpoints(prior, observed_tensors(datum, context_scales)),
        "tolerance": {"absolute": TOLERANCE, "relative": TOLERANCE},
    }
    return in_members(validated(name, values, changes), members)


def settings_for(simulations: int, family: str = "nsf") -> dict[str, Any]:
    """Batch size, epochs and weight decay for so many simulations."""
    by_size = MATCHING if family == "flow-matching" else SETTINGS
    return next(found for most, found in by_size if most is None or simulations <= most)


def warm_up(epochs: int, changes: Mapping[str, JsonValue] | None) -> int:
    """Epochs of a rising learning rate, of as many as are set or changed to."""
    changed = (changes or {}).get("epochs", epochs)
    return max(0, changed if isinstance(changed, int) else epochs) // WARM_UP


def validated(name: str, values: dict[str, Any], changes: dict[str, JsonValue] | None) -> Recipe:
    """The recipe of plain values, some of them changed; RecipeError where they are none."""
    try:
        return Recipe.model_validate(values).changed(changes or {})
    except ValueError as error:
        if isinstance(error, RecipeError):
            raise
        raise RecipeError(f"recipe {name}: {error}") from error


def _config(
    family: str, prior: AnyPrior | RowsPrior, context: dict[str, Any], context_scales: list[dict[str, JsonValue]] | None
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "dimensions": len(prior.names),
        "support": None,
        "scales": prior.scales,
        **context,
        **({} if context_scales is None else {"context_scales": context_scales}),
        **FAMILIES[family],
    }
    if family != "flow-matching" and not context["embedding"]:
        config["linear"] = True
    return config


def ends(prior: AnyPrior | RowsPrior) -> dict[str, list[float]]:
    """``low`` and ``high`` of parameters that all have bounds; without, their ranges are measured on the training rows."""
    bounds = [bound for bound in prior.support if bound is not None]
    if len(bounds) < len(prior.names):
        return {}
    return {"low": [low for low, _ in bounds], "high": [high for _, high in bounds]}


def _endpoints(prior: AnyPrior | RowsPrior, observed: list[dict[str, Any]]) -> dict[str, Any]:
    """Log density and samples of theta, given x, as a recipe describes them."""
    dimensions = len(prior.names)
    theta = {**parameters_tensor(prior), **ends(prior)}
    return {
        "log_prob": {
            "description": "logarithm of the posterior density at theta, given x",
            "inputs": [theta, *observed],
            "outputs": [{"name": "log_prob", "axes": [], "unit": "1", "description": "natural logarithm of the density"}],
        },
        "sample": {
            "description": "a draw from the posterior, given x",
            "inputs": [
                {"name": "z", "axes": [{"name": "noise", "size": dimensions}], "unit": "1", "low": -8.0, "high": 8.0,
                 "description": "standard normal numbers"},
                *observed,
            ],
            "outputs": [{**theta, "tolerance": Maps(prior.scales).tolerance(TOLERANCE)}],
        },
    }  # fmt: skip
