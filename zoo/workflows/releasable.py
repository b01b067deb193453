"""What of a release can be known before it trains, for hours, is looked at first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import may_be_made
from zoo.errors import UnknownNameError, ZooError
from zoo.families.state import apart
from zoo.model.registry import RELEASED, get_family
from zoo.workflows.described import SPLITS, describe
from zoo.workflows.new_folder import expect_exportable
from zoo.workflows.release import first_card
from zoo.workflows.trained_ranges import with_answers

if TYPE_CHECKING:
    from zoo.data.dataset import Rows
    from zoo.training.recipe import Recipe

FEW = 16
"""Validation rows that the untrained model is tried on."""


@apart(0)
def expect_releasable(recipe: Recipe, folder: Path | None = None) -> None:
    """Raise what a release would raise after its last epoch: family, config, tensors, graphs, card and folder are tried.

    Parameters
    ----------
    recipe : Recipe
        What is to be released.
    folder : Path, optional
        Folder of the released model; by default among the released ones.

    Raises
    ------
    ZooError
        Naming what is lacking, and what to do.
    """
    expect_exportable()
    target = (RELEASED / recipe.name if folder is None else folder).resolve()
    _, marker = first_card(target)
    may_be_made(target, True, marker)
    for variant in reversed(["", *recipe.variants]):
        model = _built(recipe.changed(recipe.variants[variant].set) if variant else recipe)
    for name in recipe.endpoints.keys() - model.endpoints.keys():  # variants are not exported, and may answer by another name
        raise UnknownNameError(f"endpoint of the family {recipe.family}", name, model.endpoints)
    rows = recipe.data.dataset().rows("validation").some(FEW)
    model.spec = describe(recipe, recipe.data.dataset(), [], dict.fromkeys(SPLITS, rows))
    _expect_graphs(recipe, model, rows)


def _built(recipe: Recipe) -> Any:
    """The model of a recipe, which can be built again."""
    from zoo.testing.family_checks import built

    try:
        model = built(get_family(recipe.family), recipe.config)
    except AssertionError as error:
        raise ZooError(f"{recipe.name}: {error}") from error
    except (TypeError, ValueError) as error:  # of the family's constructor
        raise ZooError(f"{recipe.name}: the family {recipe.family} does not take this config: {error}") from error
    return model


def _expect_graphs(recipe: Recipe, model: Any, rows: Rows) -> None:
    """Every endpoint of the untrained model answers what the recipe says of it, in Keras and as a graph."""
    import keras

    if model.library != "keras":
        return  # trees have no graph before they are fitted
    from zoo.export import to_onnx

    model.adapt(rows.inputs, rows.target)
    with_answers(model.spec, model, {name: np.asarray(array[:2]) for name, array in rows.inputs.items()})
    examples = model.example({name: np.asarray(array[:2]) for name, array in rows.inputs.items()}, np.random.default_rng(0))
    for name, endpoint in recipe.endpoints.items():
        where = f"{recipe.name}: {name}"
        if len(examples[name]) != len(endpoint.inputs):
            raise ZooError(f"{where}: the family takes {len(examples[name])} inputs, the recipe names {len(endpoint.inputs)}")
        given = {tensor.name: array for tensor, array in zip(endpoint.inputs, examples[name], strict=True)}
        answers = model.endpoint(name)(given, allow_nonfinite=True, allow_out_of_range=True)
        for tensor in model.spec.endpoint(name).outputs:
            shape = np.shape(answers[tensor.name])[1:]
            if len(shape) != len(tensor.axes) or any(a not in (b, None) for a, b in zip(tensor.shape, shape, strict=True)):
                raise ZooError(f"{where}: {tensor.name} has the shape {shape} a row, the recipe says {tuple(tensor.shape)}")
        if keras.backend.backend() == "tensorflow":
            to_onnx(model, model.spec, name)
