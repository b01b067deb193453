"""A released network goes on training on a user's data, some of its blocks or all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import keras
import numpy as np
from pydantic import Field, model_validator

from zoo.atomic import claim
from zoo.data.dataset import Dataset, Rows
from zoo.errors import InputError, UnknownNameError
from zoo.families.base import ZooModel
from zoo.families.batches import in_batches, rows_at_once
from zoo.model.axes import Strict
from zoo.model.integrity import InMemory
from zoo.model.registry import get_family
from zoo.model.spec import WEIGHTS
from zoo.training.checks import SPLITS, Checked, row_numbers
from zoo.training.fit import History, alone, model_inputs, steps_at_once, train
from zoo.training.weights import expect_trainable, measure_scalings, relative_weights

WARM_UP = 0.05
"""Share of all steps in which the learning rate rises from zero; then it falls along a cosine."""
SCALED = 2**16
"""Training rows at most on which scalings are measured anew."""
FROM_SCRATCH = 1e-3
"""Least learning rate of the network that starts from nothing: what suits a trained one is too little for it."""


class FineTuning(Strict):
    """How a model is fine-tuned; see ``zoo.fine_tune``."""

    unfreeze: Literal["head", "all"] | Annotated[int, Field(gt=0)] | list[str] = "head"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    epochs: Annotated[int, Field(gt=0)] = 100
    batch_size: Annotated[int, Field(gt=0)] = 32
    patience: Annotated[int, Field(gt=0)] = 10
    seed: Annotated[int, Field(ge=0)] = 0
    outputs: Annotated[int, Field(gt=0)] | None = None
    inputs: Annotated[int, Field(gt=0)] | None = None
    task: Literal["classification", "regression"] | None = None
    restandardize: bool = False
    lora: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _task_has_outputs(self) -> FineTuning:
        if self.task is not None and self.outputs is None:
            raise ValueError("a task goes with outputs, the number of the new head: outputs=1 for one quantity or two classes")
        return self


@dataclass(frozen=True)
class FineTuned:
    """What a fine-tuning ended in."""

    model: ZooModel
    history: History
    scratch: ZooModel
    """The same architecture from random weights, trained on the same rows with the same patience."""
    trained: list[str]
    """Paths of the weights that were trained."""


def untrained(parent: ZooModel, settings: FineTuning) -> tuple[str, ZooModel]:
    """Family and network that is to be trained, with the parent's weights wherever it has the parent's layers.

    Raises
    ------
    InputError
        If the family has no such head, or takes no other input length.
    """
    if settings.outputs is None:
        family, config = parent.spec.family, parent.spec.config
    else:
        task = settings.task or ("classification" if parent.classes else "regression")
        family, config = parent.with_head(settings.outputs, task)
    model = get_family(family)(**config)
    if settings.inputs is not None:
        config, _ = model.with_inputs(settings.inputs)
        model = get_family(family)(**config)
    _copy_weights(parent, model, _new_layers(model, settings))
    return family, model


def fine_tune(
    parent: ZooModel, model: ZooModel, dataset: Dataset, settings: FineTuning, checked: Checked, folder: Path
) -> FineTuned:
    """Train what :func:`untrained` gave, and beside it the same architecture from random weights.

    Parameters
    ----------
    dataset : Dataset
        Rows that passed the checks.
    checked : Checked
        What the checks found.
    folder : Path
        Folder of the run; a killed one goes on there.

    Raises
    ------
    InputError, UnknownNameError
        There are no such blocks, or the parent gives rows no finite loss.
    FolderError
        If the folder holds a run that would end in other weights.
    """
    rows = dataset.rows("train")
    relative_weights(rows, "training rows")  # refuses those that are none
    sample = rows.some(min(SCALED, 16 * rows_at_once(rows.inputs.values())))
    new = _new_layers(model, settings)
    if settings.restandardize or new:
        measure_scalings(model, sample)
    if not settings.restandardize:
        _copy_weights(parent, model, new)
    expect_trainable(model, rows, min(settings.batch_size, len(rows)))
    _expect_finite_loss(model, dataset)
    scratch = type(model).from_config(model.get_config())
    measure_scalings(scratch, sample)
    shares = _thaw(model, settings, new)
    _compile(model, settings, len(rows), settings.learning_rate, shares)
    _compile(scratch, settings, len(rows), max(settings.learning_rate, FROM_SCRATCH), {})
    with alone(folder):
        started = {"parent": f"{parent.spec.name}@{parent.spec.revision}", "weights": _digest(parent), "data": checked.sha256}
        claim(folder / "run.json", {**started, **settings.model_dump(mode="json")}, "a fine-tuning")
        common: dict[str, Any] = {
            "epochs": settings.epochs,
            "batch_size": min(settings.batch_size, len(rows)),
            "patience": settings.patience,
            "seed": settings.seed,
        }
        history = train(model, dataset, folder / "fine-tuned", f"fine-tuning {parent.spec.name}", **common)
        train(scratch, dataset, folder / "from-scratch", "from scratch", **common)
    return FineTuned(_merged(model), history, scratch, [variable.path for variable in model.trainable_variables])


def _digest(model: ZooModel) -> str:
    """Hash (sha256) of the weights."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(weight).tobytes() for weight in model.get_weights())).hexdigest()


def _new_layers(model: ZooModel, settings: FineTuning) -> set[str]:
    """Names of the layers that the parent has not: of a new head, and of a first layer for another input length."""
    *_, head = model.blocks.values()
    _, first = ({}, []) if settings.inputs is None else model.with_inputs(settings.inputs)
    return {*first, *(layer.name for layer in head if settings.outputs is not None)}


def _copy_weights(source: ZooModel, model: ZooModel, new: set[str]) -> None:
    """Copy the weights of all layers but the new ones."""
    for old, block in zip(source.blocks.values(), model.blocks.values(), strict=True):
        for a, b in zip(old, block, strict=False):  # a new head may have more layers, or fewer
            if b.name not in new:
                b.set_weights(a.get_weights())


def losses(model: ZooModel, rows: Rows) -> tuple[np.ndarray, np.ndarray | None]:
    """The objective of each row (n,), and the answers in the target's shape where the model has such."""

    def judge(*arrays: Any) -> dict[str, Any]:
        *inputs, target = arrays
        answer = model(model_inputs(inputs))
        point = answer if model.classes else model.point(answer)
        return {"loss": model.objective(target, answer)} | ({} if point is None else {"point": point})

    with model.exact():
        found = in_batches(judge, *rows.inputs.values(), rows.target)
    return found["loss"].astype(np.float64), found.get("point")


def _expect_finite_loss(model: ZooModel, dataset: Dataset) -> None:
    for split in SPLITS:
        rows = dataset.rows(split)
        finite = np.isfinite(losses(model, rows)[0])
        if not finite.all():
            number = row_numbers(dataset, split, rows)[np.flatnonzero(~finite)[0]]
            raise InputError(
                f"{np.count_nonzero(~finite)} of {len(finite)} {split} rows have no finite loss before training, such as row"
                f" {number}, counted from 0: expected rows that the model can answer; look there for values far outside the"
                " trained range, or outside the support of a density"
            )


def _thaw(model: ZooModel, settings: FineTuning, new: set[str]) -> dict[int, float]:
    """Freeze all that is not to be trained; the share of the learning rate that each other variable takes, by its id.

    New layers are trained whole whatever is to be unfrozen. BatchNormalization layers keep the parent's statistics.
    """
    blocks = {name: [layer for layer in layers if layer.trainable_weights] for name, layers in model.blocks.items()}
    trainable = [name for name, layers in blocks.items() if layers]
    chosen = _chosen(trainable, settings.unfreeze)
    for layers in model.blocks.values():
        for layer in layers:
            layer.trainable = False
    kept = []
    for layer in [layer for name in trainable for layer in blocks[name] if name in chosen or layer.name in new]:
        if isinstance(layer, keras.layers.BatchNormalization):
            continue
        if settings.lora is None or layer.name in new:
            layer.trainable = True
        elif hasattr(layer, "enable_lora"):
            layer.trainable = True
            layer.enable_lora(settings.lora)
        else:
            continue
        kept.append(layer)
    if settings.lora is not None and not any(getattr(layer, "lora_enabled", False) for layer in kept):
        raise InputError(
            f"lora {settings.lora}: none of the layers of {', '.join(chosen)} is one that Keras adapts at low rank (Dense and"
            " convolutions): leave out lora, or unfreeze other blocks"
        )
    return {
        id(variable): 1.0 if layer.name in new else settings.layer_decay**depth
        for depth, layer in enumerate(reversed(kept))
        for variable in layer.trainable_variables
    }


def _chosen(blocks: list[str], unfreeze: str | int | list[str]) -> list[str]:
    if isinstance(unfreeze, int):
        if unfreeze > len(blocks):
            raise InputError(f"unfreeze {unfreeze}: expected at most {len(blocks)}, the blocks {', '.join(blocks)}")
        return blocks[-unfreeze:]
    if unfreeze == "head":
        return blocks[-1:]
    if unfreeze == "all":
        return blocks
    for name in unfreeze:
        if name not in blocks:
            raise UnknownNameError("trainable block of the model", name, blocks)
    return list(unfreeze)


class LayerwiseAdam(keras.optimizers.Adam):
    """Adam in which each variable takes its own share of the learning rate, in the order of the trainable variables."""

    def __init__(self, learning_rate: Any, shares: tuple[float, ...]) -> None:
        super().__init__(learning_rate)
        self.shares = shares

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient, variable, learning_rate * self.shares[self._get_variable_index(variable)])


def _compile(model: ZooModel, settings: FineTuning, rows: int, rate: float, shares: dict[int, float]) -> None:
    """Compile with ``shares`` of the rate by the id of a variable; what is not in it takes the whole."""
    steps = settings.epochs * max(1, rows // min(settings.batch_size, rows))
    warm_up = min(steps - 1, round(WARM_UP * steps)) or None
    schedule = keras.optimizers.schedules.CosineDecay(
        rate if warm_up is None else 0.0,
        steps - (warm_up or 0),
        warmup_target=None if warm_up is None else rate,
        warmup_steps=warm_up,
    )
    optimizer = LayerwiseAdam(schedule, tuple(shares.get(id(variable), 1.0) for variable in model.trainable_variables))
    loss: Callable[[Any, Any], Any] = model.objective
    model.compile(optimizer=optimizer, loss=loss, steps_per_execution=steps_at_once(min(16, steps)))
    optimizer.build(model.trainable_variables)


def _merged(model: ZooModel) -> ZooModel:
    """A model of the plain family: Keras adds low-rank kernels to those they adapt when it writes a file."""
    plain = type(model).from_config(model.get_config())
    merged = InMemory(WEIGHTS)
    model.save_weights(merged)
    plain.load_weights(merged)
    return plain
