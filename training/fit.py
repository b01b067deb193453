"""One run of a recipe: a folder to itself, and for a network data anew each epoch, checkpoints, an exact resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from zoo.atomic import claim, locked
from zoo.data.dataset import Dataset, Rows
from zoo.families.base import EndpointModel, ZooModel
from zoo.families.batches import rows_at_once
from zoo.families.contracts import Boosted, OfSets
from zoo.families.ensemble import Ensemble
from zoo.families.state import apart, deterministic
from zoo.loading import load_weights
from zoo.model.registry import get_family
from zoo.model.spec import WEIGHTS
from zoo.space import expect_space
from zoo.training import boosting
from zoo.training.checkpoint import Checkpoint
from zoo.training.devices import device_count, expect_divisible
from zoo.training.epoch_bar import Progress
from zoo.training.evaluate import Run
from zoo.training.recipe import Recipe, RecipeError
from zoo.training.weights import expect_trainable, measure_scalings, relative_weights

TRAINING = {"family", "config", "data", "optimizer", "epochs", "patience", "batch_size"}
"""Parts of a recipe that decide the weights; the rest may change without a new run."""
STEP = 16
"""Elements by which sets of one batch are longer than those of another, as JAX compiles each length anew."""
PARTS = 4
"""Parts in which a batch of sets is seen, from the smallest to the largest."""
History = dict[str, list[float]]
"""Values of each metric, one per epoch."""


class EpochData(keras.utils.PyDataset):
    """Batches of the training split; order and noise follow from (seed, epoch), so a resumed run sees the same.

    With several ``parts``, the rows of each batch of sets are given one part after another by the size of the sets.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, seed: int, epoch: int, mask: str | None = None, parts: int = 1
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.seed, self.epoch, self.mask = dataset, batch_size // parts, seed, epoch, mask
        self.parts = parts
        self._draw()

    def _draw(self) -> None:
        self.rows = self.dataset.rows("train", self.epoch)
        self.weight = relative_weights(self.rows, "training rows")
        self.order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.rows))
        self.sizes = set_sizes(self.rows, self.mask)
        if self.parts > 1 and self.sizes is not None:
            whole = self.order[: len(self) * self.batch_size].reshape(-1, self.parts * self.batch_size)
            by_size = np.argsort(self.sizes[whole], axis=1, kind="stable")
            self.order = np.take_along_axis(whole, by_size, axis=1).ravel()

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self._draw()

    def __len__(self) -> int:
        return len(self.rows) // (self.parts * self.batch_size) * self.parts

    def __getitem__(self, index: int):
        return batch(self.rows, self.weight, self._chosen(index), batch_size_of_sets(self, self.sizes, index))

    def _chosen(self, index: int) -> np.ndarray:
        return self.order[index * self.batch_size : (index + 1) * self.batch_size]


class HeldOut(keras.utils.PyDataset):
    """A split in order, in batches as large as memory bears."""

    def __init__(self, rows: Rows, mask: str | None = None) -> None:
        super().__init__()
        self.rows, self.weight = rows, relative_weights(rows, "validation rows")
        self.sizes = set_sizes(rows, mask)
        devices = device_count()
        self.batch_size = max(1, rows_at_once(rows.inputs.values()) // devices) * devices

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int):
        return batch(self.rows, self.weight, self._chosen(index), batch_size_of_sets(self, self.sizes, index))

    def _chosen(self, index: int) -> slice:
        return slice(index * self.batch_size, (index + 1) * self.batch_size)


def set_sizes(rows: Rows, mask: str | None) -> np.ndarray | None:
    """Elements (n,) of each row up to its last real one, for a network of sets, by the name of its mask."""
    if mask is None:
        return None
    real = np.asarray(rows.inputs[mask][:])
    return np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 0)


def batch_size_of_sets(batches: EpochData | HeldOut, sizes: np.ndarray | None, index: int) -> int | None:
    """How many elements the sets of a batch are given: as many as its largest has; None where they stay as they are.

    Rows are sorted by size within a step alone, as batches of one size may well be batches of one class. Keras learns from the
    first two batches which axes are free, so that these differ; where there is but one, it stays as it is.
    """
    if sizes is None or len(batches) < 2:
        return None

    def longest(number: int) -> int:
        return STEP * max(1, -(-int(sizes[batches._chosen(number)].max()) // STEP))

    return longest(index) + STEP * (index == 1 and longest(0) == longest(1))


def _resized(array: np.ndarray, size: int) -> np.ndarray:
    """Rows of sets with so many elements: without the last, or with padding."""
    array = array[:, :size]
    return np.pad(array, [(0, 0), (0, size - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])


def batch(rows: Rows, weight: np.ndarray | None, chosen: Any, size: int | None = None) -> tuple:
    """Inputs and target of the chosen rows, sets of a size, and their weights where rows have such, as Keras takes them."""
    arrays = [array[chosen] for array in rows.inputs.values()]
    arrays = arrays if size is None else [_resized(array, size) for array in arrays]
    given = model_inputs(arrays), rows.target[chosen]
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
    relative_weights(training, "training rows")  # refuses those that are none
    measure_scalings(model, training)
    steps = len(training) // recipe.batch_size
    if steps == 0:
        raise RecipeError(f"batch_size {recipe.batch_size} is larger than the {len(training)} training rows")
    parts = parts_of_a_batch(model, recipe.batch_size)
    rate = recipe.optimizer.learning_rate
    if recipe.optimizer.schedule == "cosine":
        steps *= parts or 1  # Keras' schedules count the parts of which a step is made
        warmup = recipe.optimizer.warmup_epochs * steps
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate,
            decay_steps=recipe.epochs * steps - warmup,
            warmup_target=rate if warmup else None,
            warmup_steps=warmup,
        )
    optimizer = keras.optimizers.Adam(
        rate,
        weight_decay=recipe.optimizer.weight_decay or None,
        gradient_accumulation_steps=parts,
    )
    expect_trainable(model, training, recipe.batch_size)
    metrics = {"metrics" if training.weight is None else "weighted_metrics": ["accuracy"] if model.classes else []}
    model.compile(optimizer=optimizer, loss=model.objective, steps_per_execution=steps_at_once(), **metrics)
    optimizer.build(model.trainable_variables)
    return model


def parts_of_a_batch(model: ZooModel, batch_size: int) -> int | None:
    """In how many parts, whose gradients are added, a batch of sets is seen; None for whole.

    Padding to the largest of 256 jets is most of the work, and less in parts of sets of like sizes; the step is the same up to
    rounding. It would be another where layers normalize by what they see at once.
    """
    if not isinstance(model, OfSets) or batch_size % PARTS:
        return None
    return None if any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()) else PARTS


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
    prepare: Callable[..., Callable[[Path, str], tuple[Any, History]]] = _prepare
    if issubclass(family, Boosted):
        prepare = boosting.prepare
    elif issubclass(family, Ensemble):
        prepare = _prepare_members
    with apart(seed), deterministic():
        run = prepare(recipe, dataset, seed)
        with alone(folder):
            claim(folder / "run.json", {"seed": seed, **recipe.model_dump(mode="json", include=TRAINING)}, "a run")
            return run(folder, title or recipe.name)


def trained(recipe: Recipe, folder: Path, seed: int, *, title: str | None = None) -> Run:
    """Train, or go on with the run in ``folder``, and let go of the model, whose weights stay there; it raises as ``fit``."""
    model, history = fit(recipe, folder, seed, title=title)
    complete = folder / WEIGHTS
    model.bare().save_weights(complete)
    (folder / f"part.{WEIGHTS}").unlink(missing_ok=True)  # of a kill under an earlier physzoo
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
        histories: list[History] = []
        model: Any
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
    """Train a compiled model with a built optimizer, or go on with its checkpoint in ``folder``; the history.

    Raises
    ------
    FullDiskError
        There is no space for a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mask = model.padding_mask if isinstance(model, OfSets) else None
    checkpoint = Checkpoint(model, folder / "checkpoint.npz", patience)
    start = checkpoint.restore()
    if start < epochs and not checkpoint.ran_out:
        expect_space(checkpoint.path, 2 * checkpoint.bytes)  # the last one stays until the next is whole
        parts = model.optimizer.gradient_accumulation_steps or 1
        held_out = HeldOut(dataset.rows("validation"), mask)
        expect_divisible(batch_size // parts, len(held_out.rows))
        callbacks = [checkpoint, Progress(title, epochs, start)]
        if keras.backend.backend() == "tensorflow":  # what writes logs for TensorBoard is TensorFlow
            callbacks.append(keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False))
        model.fit(
            EpochData(dataset, batch_size, seed, start, mask, parts),
            validation_data=held_out,
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
    """Make the folder and hold it against a second process."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock") as held:
        if not held:
            raise RecipeError(f"another process is training in {folder}: wait for it, or give another --out")
        yield
