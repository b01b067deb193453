"""One fit of boosted trees, by the fields of a recipe that a network is trained by.

``epochs`` is the most trees, ``optimizer.learning_rate`` the share of a tree that is added, ``patience`` the trees without a
lower validation loss. All training rows are fitted at once, so there is no ``batch_size``, and nothing is drawn below
200,000 rows: there, seeds give the same trees.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file
from zoo.data.dataset import Dataset, Rows
from zoo.errors import IntegrityError, ZooError
from zoo.loading import load_weights
from zoo.model.spec import WEIGHTS
from zoo.progress import track
from zoo.training.metrics import mean
from zoo.training.recipe import Optimizer, Recipe, RecipeError
from zoo.training.weights import relative_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.families.base import EndpointModel
    from zoo.families.contracts import Boosted

    History = dict[str, list[float]]
    Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]

    class BoostedModel(EndpointModel, Boosted):
        """A model of a family that a boosting fits."""


HISTORY = "history.json"
"""File that is written last: a folder that has it holds a finished run."""
STEP = 50
"""Trees between two looks at the validation loss; how many are kept does not depend on it."""


def prepare(recipe: Recipe, dataset: Dataset, seed: int) -> Callable[[Path, str], tuple[BoostedModel, History]]:
    """Everything of a fit that a wrong recipe or data can stop, and what then fits in a folder under a title.

    Raises
    ------
    RecipeError
        A setting that trees have no use for, a config that the family does not take, or data of another shape.
    """
    _refuse_unused(recipe)
    model: BoostedModel = recipe.untrained()
    training, held_out = (_arrays(model, dataset.rows(split), split) for split in ("train", "validation"))
    return partial(_fit, model, recipe, training, held_out, seed)


def _refuse_unused(recipe: Recipe) -> None:
    unused = [] if recipe.batch_size is None else [f"batch_size {recipe.batch_size}"]
    plain = Optimizer(learning_rate=recipe.optimizer.learning_rate)
    unused += [f"optimizer.{key} {value}" for key, value in recipe.optimizer if value != getattr(plain, key)]
    if unused:
        raise RecipeError(
            f"family {recipe.family} fits all rows tree by tree and has no use for {', '.join(unused)}: leave it out"
        )


def _arrays(model: BoostedModel, rows: Rows, split: str) -> Arrays:
    """Inputs (n, inputs) in float32, targets (n,) and weights (n,) of a split, None where all rows count the same."""
    width = model.config["inputs"]
    shapes = {name: np.shape(array) for name, array in rows.inputs.items()}
    if list(shapes.values()) != [(len(rows), width)] or np.shape(rows.target) != (len(rows), 1) or not len(rows):
        raise RecipeError(
            f"{split}: boosted trees need rows of one input (n, {width}) and a target (n, 1),"
            f" given {shapes} and a target {np.shape(rows.target)}"
        )
    x, y = np.asarray(next(iter(rows.inputs.values())), np.float32), np.asarray(rows.target, np.float64)[:, 0]
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise RecipeError(f"{split}: expected finite inputs and targets, given some that are NaN or infinite")
    weight = relative_weights(rows, f"{split} rows")
    if weight is not None and weight.min() < 0:
        raise RecipeError(
            f"{split}: boosted trees need event weights that are not negative, given {np.count_nonzero(weight < 0)} that are: a"
            " leaf answers with a ratio of sums of weights, which small negative sums make arbitrary. Train a network, whose"
            " loss takes them, such as of family mlp"
        )
    return x, y, weight


def _fit(
    model: BoostedModel,
    recipe: Recipe,
    training: Arrays,
    held_out: Arrays,
    seed: int,
    folder: Path,
    title: str,
) -> tuple[BoostedModel, History]:
    """Read the finished run in ``folder``, or fit and leave one there; an interrupted fit starts again."""
    if (folder / HISTORY).exists():
        return model, _read(model, folder)
    regressor, losses = _boosted(model, recipe, training, held_out, seed, title)
    kept = int(np.argmin(losses)) + 1 if recipe.patience else len(losses)
    history = {"loss": _losses(regressor, training)[: len(losses)], "val_loss": losses}
    model.take(regressor, kept, training[0].mean(axis=0, dtype=np.float64))
    model.save_weights(folder / WEIGHTS)
    with whole_file(folder / HISTORY, "w") as file:
        json.dump(history, file)
    return model, history


def _boosted(
    model: BoostedModel,
    recipe: Recipe,
    training: Arrays,
    held_out: Arrays,
    seed: int,
    title: str,
) -> tuple[Any, list[float]]:
    """A regressor of at least as many trees as there are validation losses, which end where patience did."""
    regressor = model.estimator(recipe.optimizer.learning_rate, seed)
    losses: list[float] = []
    for trees in track([*range(STEP, recipe.epochs, STEP), recipe.epochs], title):
        regressor.set_params(max_iter=trees).fit(*training[:2], sample_weight=training[2])
        losses = _losses(regressor, held_out)
        if not np.isfinite(losses).all():
            raise ZooError("val_loss is no longer finite: lower optimizer.learning_rate, and look for outliers in the data")
        end = _end(losses, recipe.patience)
        if end < len(losses):
            return regressor, losses[:end]
    return regressor, losses


def _end(losses: list[float], patience: int | None) -> int:
    """How many losses there are when patience has run out, were they looked at one by one."""
    best = 0
    for tree, loss in enumerate(losses):
        if loss < losses[best]:
            best = tree
        if patience is not None and tree - best >= patience:
            return tree + 1
    return len(losses)


def _losses(regressor: Any, rows: Arrays) -> list[float]:
    """Mean squared error after each tree."""
    x, y, weight = rows
    return [mean(np.square(answer - y), weight) for answer in regressor.staged_predict(x)]


def _read(model: BoostedModel, folder: Path) -> History:
    try:
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
        load_weights(model, folder / WEIGHTS)
        return {name: [float(value) for value in history[name]] for name in ("loss", "val_loss")}
    except (IntegrityError, OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"the run in {folder} is damaged ({error}): delete {folder / HISTORY} to start anew") from error
