"""One run of a recipe: a folder to itself, and for a network data anew each epoch, checkpoints, an exact resume."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.atomic import claim
from zoo.data.dataset import Dataset, Rows
from zoo.families.base import EndpointModel, ZooModel
from zoo.families.batches import rows_at_once
from zoo.families.contracts import Boosted
from zoo.families.ensemble import Ensemble
from zoo.families.state import apart, deterministic
from zoo.loading import load_weights
from zoo.model.registry import get_family
from zoo.model.spec import WEIGHTS
from zoo.training import boosting
from zoo.training.checkpoint import Checkpoint
from zoo.training.epoch_bar import Progress
from zoo.training.evaluate import Run
from zoo.training.recipe import Recipe, RecipeError
from zoo.training.weights import expect_trainable, relative_weights

TRAINING = {"family", "config", "data", "optimizer", "epochs", "patience", "batch_size"}
"""Parts of a recipe that decide the weights; the rest may change without a new run."""
History = dict[str, list[float]]
"""Values of each metric, one per epoch."""


class EpochData(keras.utils.PyDataset):
    """Batches of the training split; order and noise follow from (seed, epoch), so a resumed run sees the same."""

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, epoch: int) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.seed, self.epoch = dataset, batch_size, seed, epoch
        self._draw()

    def _draw(self) -> None:
        self.rows = self.dataset.rows("train", self.epoch)
        self.weight = relative_weights(self.rows, "training rows")
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.rows))

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._draw()

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __getitem__(self, index: int):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return batch(self.rows, self.weight, chosen)


class HeldOut(keras.utils.PyDataset):
    """A split in order, in batches as large as memory bears."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.rows, self.weight = rows, relative_weights(rows, "validation rows")
        self.batch_size = rows_at_once(rows.inputs.values())

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int):
        return batch(self.rows, self.weight, slice(index * self.batch_size, (index + 1) * self.batch_size))


def batch(rows: Rows, weight: np.ndarray | None, chosen: Any) -> tuple:
    """Inputs and target of the chosen rows, and their weights where rows have such, as Keras takes them."""
    given = model_inputs([array[chosen] for array in rows.inputs.values()]), rows.target[chosen]
    return given if weight is None else (*given, weight[chosen].astype(np.float32))


def model_inputs(arrays: list[np.ndarray]):
    """What ``model(...)`` takes: the array itself, or a tuple where there are several inputs."""
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def build(recipe: Recipe, dataset: Dataset) -> ZooModel:
    """The untrained model, standardized on the training rows and compiled.

    Raises
    ------
    RecipeError
        If the family does not take the recipe's config, or there is no batch size that fits the data.
    """
    if recipe.batch_size is None:
        raise RecipeError(f"family {recipe.family} is trained in batches: give the recipe a batch_size")
    model: ZooModel = recipe.untrained()
    training = dataset.rows("train")
    model.adapt(training.inputs, training.target)
    steps = len(training) // recipe.batch_size
    if steps == 0:
        raise RecipeError(f"batch_size {recipe.batch_size} is larger than the {len(training)} training rows")
    rate = recipe.optimizer.learning_rate
    if recipe.optimizer.schedule == "cosine":
        warmup = recipe.optimizer.warmup_epochs * steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=recipe.epochs * steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    optimizer = keras.optimizers.Adam(rate, weight_decay=recipe.optimizer.weight_decay or None)
    expect_trainable(model, training, recipe.batch_size)
    metrics = {"metrics" if training.weight is None else "weighted_metrics": ["accuracy"] if model.classes else []}
    model.compile(optimizer=optimizer, loss=model.objective, steps_per_execution=steps_at_once(), **metrics)
    optimizer.build(model.trainable_variables)
    return model


def steps_at_once(most: int = 16) -> int:
    """Steps in a call of TensorFlow's graph, which halve the cost of small ones; JAX would compile each, torch takes one."""
    return most if keras.backend.backend() == "tensorflow" else 1


def fit(recipe: Recipe, folder: Path, seed: int | None = None, *, title: str | None = None) -> tuple[EndpointModel, dict]:
    """Train, or go on with the run in ``folder``.

    A network's checkpoint is written after each epoch (at most every ten seconds): weights, optimizer, random state, history.
    Boosted trees are written when they are complete.

    Returns
    -------
    model : EndpointModel
        The model at its last epoch or tree; with ``patience``, at that of the lowest validation loss.
    history : dict of str to list of float
        Values of each metric, one per epoch or tree.

    Raises
    ------
    FolderError
        If the folder holds a run that would end in other weights.
    RecipeError
        If another process is training there.
    """
    seed = recipe.seeds[0] if seed is None else seed
    return _fit(recipe, recipe.data.dataset(), folder, seed, title)


def _fit(recipe: Recipe, dataset: Dataset, folder: Path, seed: int, title: str | None) -> tuple[EndpointModel, History]:
    family = get_family(recipe.family)
    prepare = _prepare_members if issubclass(family, Ensemble) else _prepare
    if issubclass(family, Boosted):
        prepare = boosting.prepare
    with apart(seed), deterministic():
        run = prepare(recipe, dataset, seed)
        with alone(folder):
            claim(folder / "run.json", {"seed": seed, **recipe.model_dump(mode="json", include=TRAINING)}, "a run")
            return run(folder, title or recipe.name)


def trained(recipe: Recipe, folder: Path, seed: int, *, title: str | None = None) -> Run:
    """Train, or go on with the run in ``folder``, and let go of the model, whose weights stay there; it raises as ``fit``."""
    model, history = fit(recipe, folder, seed, title=title)
    complete = folder / WEIGHTS
    part = folder / f"part.{WEIGHTS}"
    model.bare().save_weights(part)
    part.replace(complete)
    return Run(recipe, seed, partial(_loaded, recipe, complete), history)


def _loaded(recipe: Recipe, weights: Path) -> EndpointModel:
    model: EndpointModel = recipe.untrained()
    load_weights(model, weights)
    return model


def _prepare(recipe: Recipe, dataset: Dataset, seed: int) -> Callable[[Path, str], tuple[ZooModel, History]]:
    """A network's run, ready but for its folder and title."""
    model = build(recipe, dataset)
    assert recipe.batch_size is not None  # build saw to it
    epochs, batch_size, patience = recipe.epochs, recipe.batch_size, recipe.patience

    def run(folder: Path, title: str) -> tuple[ZooModel, History]:
        return model, train(model, dataset, folder, title, epochs=epochs, batch_size=batch_size, patience=patience, seed=seed)

    return run


def _prepare_members(recipe: Recipe, dataset: Dataset, seed: int) -> Callable[[Path, str], tuple[ZooModel, History]]:
    """The runs of an ensemble's members, ready but for their folder and title; no two ensembles share a member's seed."""
    joined: Ensemble = recipe.untrained()
    member = recipe.changed({"family": joined.config["member"], "config": joined.config["config"]})
    count = len(joined.members)

    def run(folder: Path, title: str) -> tuple[ZooModel, History]:
        histories = []
        for i, place in enumerate(joined.members):
            own = f"{title}, member {i + 1} of {count}"
            model, history = _fit(member, dataset, folder / f"member-{i}", seed * count + i, own)
            place.set_weights(model.get_weights())
            histories.append(history)
        return joined, _mean(histories)

    return run


def _mean(histories: list[History]) -> History:
    """Mean over members, for as many epochs as all were trained."""
    epochs = min(len(history["loss"]) for history in histories)
    return {name: np.mean([history[name][:epochs] for history in histories], axis=0).tolist() for name in histories[0]}


def train(
    model: ZooModel,
    dataset: Dataset,
    folder: Path,
    title: str,
    *,
    epochs: int,
    batch_size: int,
    patience: int | None,
    seed: int,
) -> History:
    """Train a compiled model with a built optimizer, or go on with its checkpoint in ``folder``; the history."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(model, folder / "checkpoint.npz", patience)
    start = checkpoint.restore()
    if start < epochs and not checkpoint.ran_out:
        callbacks = [checkpoint, Progress(title, epochs, start)]
        if keras.backend.backend() == "tensorflow":  # what writes logs for TensorBoard is TensorFlow
            callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
        model.fit(
            EpochData(dataset, batch_size, seed, start),
            validation_data=HeldOut(dataset.rows("validation")),
            epochs=epochs,
            initial_epoch=start,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        )
    checkpoint.restore_best()
    return checkpoint.history


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make the folder and hold it against a second process; the system lets go of it when this one ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecipeError(f"another process is training in {folder}: wait for it, or give another --out") from None
        yield
