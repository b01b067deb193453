"""A recipe of neural likelihood estimation for any prior and simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import JsonValue

from zoo.data.sbi.dataset import training_rows
from zoo.data.sbi.datum import Datum
from zoo.data.sbi.likelihood_rows import counts_of, spread
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.data.sbi.x_scales import chosen_scales
from zoo.families.flows.scales import Maps
from zoo.training.npe_recipe import TOLERANCE, ends, settings_for, validated
from zoo.training.observations import observed_tensors, parameters_tensor
from zoo.training.recipe import Recipe


def nle_recipe(
    name: str,
    prior: AnyPrior | RowsPrior,
    data: dict[str, Any],
    x: np.ndarray,
    datum: Datum,
    *,
    seed: int = 0,
    changes: dict[str, JsonValue] | None = None,
) -> Recipe:
    """An autoregressive neural spline flow p(x | theta), with the settings of posteriors.

    Parameters
    ----------
    name : str
        Name of the model, lower case with hyphens.
    prior : Prior
        Prior of the parameters.
    data : dict of str to object
        Source and parameters of the data set of theta and x.
    x : ndarray
        Data of the simulations that the model is fitted with, (n, C), which choose scales; their number sets batch size,
        epochs and weight decay.
    datum : Datum
        What one row of x is.
    seed : int
        Seed of the training.
    changes : dict of str to JsonValue, optional
        Values of the recipe to set, ``{"config.hidden": [128, 128], "epochs": 300}``.

    Raises
    ------
    InputError
        Data have no density: values repeat that are no counts.
    RecipeError
        A name, a key or a value is none that a recipe can have.
    """
    counts = counts_of(x)
    scales = chosen_scales(spread(x[: training_rows(len(x))], counts, np.random.default_rng(seed)))
    settings = settings_for(len(x))
    pairs = {**data, "parameters": {**data["parameters"], "dtype": "float64"}}
    values: dict[str, Any] = {
        "name": name,
        "family": "nsf",
        "task": "likelihood-estimation",
        "summary": f"Likelihood of data given {', '.join(prior.names)} by neural likelihood estimation",
        "config": {
            "dimensions": x.shape[1],
            "context": len(prior.names),
            "transforms": 4,
            "hidden": [128, 128],
            "activation": "relu",
            "scales": scales,
            "context_scales": prior.scales,
            "bins": 8,
            "autoregressive": True,
        },
        "data": {"source": "likelihood", "parameters": {"pairs": pairs, "counts": counts}},
        "optimizer": {"learning_rate": 3e-3, "schedule": "cosine", "weight_decay": settings["weight_decay"]},
        "epochs": settings["epochs"],
        "patience": 15,
        "batch_size": settings["batch_size"],
        "seeds": [seed],
        "evaluation": {"kind": "likelihood"},
        "endpoints": _endpoints(prior, datum, scales, counts),
        "tolerance": {"absolute": TOLERANCE, "relative": TOLERANCE},
    }
    return validated(name, values, changes)


def _endpoints(prior: AnyPrior | RowsPrior, datum: Datum, scales: list[dict[str, Any]], counts: list[int]) -> dict[str, Any]:
    """Log density and samples of x, given theta, as a recipe describes them."""
    theta, (x,) = {**parameters_tensor(prior), **ends(prior)}, observed_tensors(datum, scales)
    names = ", ".join(str(k if datum.names is None else datum.names[k]) for k in counts)
    spread_out = f"; counts {names} are spread over an interval of 1 around each: round them" if counts else ""
    return {
        "log_prob": {
            "description": "logarithm of the likelihood of theta, the density of x",
            "inputs": [{**x, **({"whole": counts} if counts else {})}, theta],
            "outputs": [{"name": "log_prob", "axes": [], "unit": "1", "description": "natural logarithm of the density"}],
        },
        "sample": {
            "description": "data as simulated at theta",
            "inputs": [
                {"name": "z", "axes": [{"name": "noise", "size": datum.shape[0]}], "unit": "1", "low": -8.0, "high": 8.0,
                 "description": "standard normal numbers"},
                theta,
            ],
            "outputs": [{**x, "description": f"simulated data{spread_out}", "tolerance": Maps(scales).tolerance(TOLERANCE)}],
        },
    }  # fmt: skip
