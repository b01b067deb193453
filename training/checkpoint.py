"""Checkpoints from which a killed run ends in the same weights as an unbroken one."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import keras
import numpy as np

from zoo.atomic import whole_file
from zoo.errors import IntegrityError, ZooError
from zoo.families.base import ZooModel
from zoo.model.registry import get_family
from zoo.model.test_tensors import read_npz

INTERVAL = 10.0
"""Least time between two checkpoints, s; the last epoch is always written."""


def trained_model(folder: Path) -> tuple[ZooModel, dict]:
    """The model of a finished run of ``zoo.training.fit``, without its data; and what the run was, as ``run.json`` has it.

    Raises
    ------
    IntegrityError
        If the folder holds no run, or its files are damaged.
    ZooError
        If the run is not finished.
    """
    try:
        run = json.loads((folder / "run.json").read_text())
        model = get_family(run["family"])(**run["config"])
        arrays = read_npz(folder / "checkpoint.npz")
        history = json.loads(str(arrays["history"]))
        kept = "best_" if "best_0" in arrays else ""
        values = [arrays[f"{kept}{i}"] for i in range(len(model.variables))]
        loss = history["val_loss"]
        best = int(np.argmin(loss))
        done = len(loss) >= run["epochs"] or (run["patience"] is not None and len(loss) - 1 - best >= run["patience"])
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder}: expected run.json and checkpoint.npz of a training: {error}") from error
    if not done:
        raise ZooError(f"{folder}: trained for {len(loss)} of {run['epochs']} epochs: run zoo train again to finish it")
    return model, run


class Checkpoint(keras.callbacks.Callback):
    """Every variable of model and optimizer, random state included, with the history so far.

    Parameters
    ----------
    model : keras.Model
        A built model with a built optimizer.
    path : Path
        Path of the file, which is replaced whole each time.
    patience : int, optional
        Number of epochs without a lower validation loss after which training stops; the weights of the lowest are kept too.
    """

    def __init__(self, model: keras.Model, path: Path, patience: int | None = None) -> None:
        super().__init__()
        self.trained, self.path, self.patience = model, path, patience
        self.history: dict[str, list[float]] = {}
        self._best: list[np.ndarray] = []
        self._written = time.monotonic()

    @property
    def ran_out(self) -> bool:
        """Whether the validation loss has not fallen for ``patience`` epochs."""
        if self.patience is None or not self.history:
            return False
        return len(self.history["val_loss"]) - 1 - int(np.argmin(self.history["val_loss"])) >= self.patience

    def _variables(self) -> list:
        return [*self.trained.variables, *self.trained.optimizer.variables]

    @property
    def bytes(self) -> int:
        """Bytes of the file, as large as it is going to be."""
        kept = [] if self.patience is None else self.trained.variables
        return sum(
            math.prod(v.shape) * np.dtype(keras.backend.standardize_dtype(v.dtype)).itemsize
            for v in [*self._variables(), *kept]
        )

    def restore(self) -> int:
        """Load the file if there is one, and tell the number of epochs already done.

        Raises
        ------
        IntegrityError
            If the file is damaged or belongs to another model.
        """
        if not self.path.exists():
            return 0
        try:
            arrays = read_npz(self.path)
            history = json.loads(str(arrays.pop("history")))
            self._best = [arrays.pop(f"best_{i}") for i in range(sum(name.startswith("best_") for name in arrays))]
            values = [arrays[f"{i}"] for i in range(len(arrays))]
        except (IntegrityError, ValueError, KeyError) as error:
            raise IntegrityError(f"checkpoint {self.path} is damaged ({error}): delete it to start anew") from error
        variables = self._variables()
        if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
            raise IntegrityError(f"checkpoint {self.path} belongs to another model: delete it to start anew")
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history = history
        return len(history["loss"])

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        for name, value in (logs or {}).items():
            if not np.isfinite(value):
                raise ZooError(
                    f"{name} became {value} in epoch {epoch + 1}: lower optimizer.learning_rate, and look for outliers in the"
                    f" data; {self.path} holds the run so far"
                )
            self.history.setdefault(name, []).append(float(value))
        if self.patience is not None and np.argmin(self.history["val_loss"]) == epoch:
            self._best = [keras.ops.convert_to_numpy(variable) for variable in self.trained.variables]
        if self.ran_out:
            self.trained.stop_training = True
        if time.monotonic() - self._written >= INTERVAL:
            self.write()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.write()

    def restore_best(self) -> None:
        """Give the model the weights of the lowest validation loss, if they were kept."""
        for variable, value in zip(self.trained.variables, self._best, strict=False):
            variable.assign(value)

    def write(self) -> None:
        """Write the file whole: a kill leaves the old one."""
        arrays = {f"{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        arrays |= {f"best_{i}": value for i, value in enumerate(self._best)}
        with whole_file(self.path) as file:
            np.savez(file, allow_pickle=False, history=json.dumps(self.history), **arrays)
        self._written = time.monotonic()
