"""What is known of a model before it is trained: the spec that a recipe and its data set make."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from zoo.data.dataset import KnowsAxes, Split, fields_of
from zoo.model.axes import Axis
from zoo.model.license import UNKNOWN
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, Metric, ModelSpec, Tensor
from zoo.workflows.trained_ranges import with_ranges

if TYPE_CHECKING:
    from zoo.data.dataset import Dataset, Rows
    from zoo.training.recipe import Recipe

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def describe(recipe: Recipe, dataset: Dataset, metrics: list[Metric], splits: Mapping[Split, Rows] | None = None) -> ModelSpec:
    """The spec of what a recipe trains, files and exports left out.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    dataset : Dataset
        Its data set.
    metrics : list of Metric
        What was measured.
    splits : mapping, optional
        The rows of each split, where they are not to be all.

    Returns
    -------
    ModelSpec
        The spec, with the ranges of the training rows.
    """
    splits = splits or {split: dataset.rows(split) for split in SPLITS}
    endpoints = with_axes(recipe.endpoints, dataset.axes if isinstance(dataset, KnowsAxes) else {})
    return ModelSpec(
        name=recipe.name,
        revision=recipe.revision,
        family=recipe.family,
        library=get_family(recipe.family).library,
        config=recipe.config,
        task=recipe.task,
        summary=recipe.summary,
        endpoints=with_ranges(endpoints, splits["train"].inputs),
        data=Data(
            source=recipe.data.source,
            description=dataset.description,
            simulator=dataset.simulator,
            seed=dataset.seed,
            parameters=recipe.data.parameters,
            rows={split: len(rows) for split, rows in splits.items()},
            groups={split: len(np.unique(rows.group)) for split, rows in splits.items()},
            fields=fields_of(dataset),
            **terms_of(recipe),
        ),
        metrics=metrics,
        files=[],
        tolerance=recipe.tolerance,
        physzoo_version=version("physzoo"),
    )


def terms_of(recipe: Recipe) -> dict[str, str | None]:
    """License and citation of a recipe's data, as a spec has them.

    Parameters
    ----------
    recipe : Recipe
        The recipe.

    Returns
    -------
    dict
        ``license`` and ``citation``. Nothing is known of the license of data that are not this package's own, unless the recipe
        says it.
    """
    return {
        "license": recipe.license or (None if is_of_the_package(recipe) else UNKNOWN),
        "citation": recipe.citation,
    }


def is_of_the_package(recipe: Recipe) -> bool:
    """Whether a recipe is the package's own of that name, with perhaps other settings."""
    from zoo.training.recipe import load_recipe, recipe_names

    if recipe.data._folder is not None or recipe.name not in recipe_names():
        return False
    own = load_recipe(recipe.name)
    return (own.family, own.data.source) == (recipe.family, recipe.data.source)


def with_axes(endpoints: dict[str, Endpoint], known: Mapping[str, Axis]) -> dict[str, Endpoint]:
    """Fill in what a data set knows of the axes that a recipe names: labels, units, coordinates and groups.

    Parameters
    ----------
    endpoints : dict
        The endpoints of a recipe.
    known : mapping
        Name of an axis -> what the data set says of it.

    Returns
    -------
    dict
        The endpoints with every axis of a known name filled in; what the recipe says of an axis itself stays.

    Raises
    ------
    ValueError
        An axis has another size in the data set than in the recipe.
    """

    def filled(axis: Axis) -> Axis:
        if axis.name not in known:
            return axis
        if known[axis.name].size != axis.size:
            raise ValueError(f"axis {axis.name}: {axis.length} in the recipe, {known[axis.name].length} in its data set")
        return known[axis.name].model_copy(update=dict(axis.model_dump(exclude_none=True)))

    def of(tensors: list[Tensor]) -> list[Tensor]:
        return [tensor.model_copy(update={"axes": [filled(axis) for axis in tensor.axes]}) for tensor in tensors]

    return {
        name: endpoint.model_copy(update={"inputs": of(endpoint.inputs), "outputs": of(endpoint.outputs)})
        for name, endpoint in endpoints.items()
    }
