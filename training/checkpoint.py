"""Checkpoints from which a killed run ends in the same weights as an unbroken one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import keras
import numpy as np

from zoo.atomic import whole_file
from zoo.errors import IntegrityError
from zoo.npz import read_npz

INTERVAL = 10.0
"""Least time between two checkpoints, s; the last epoch is always written."""


class Checkpoint(keras.callbacks.Callback):
    """Every variable of model and optimiser, random state included, with the history so far.

    Parameters
    ----------
    model : built, with a built optimiser
    path : of the file, replaced whole each time
    """

    def __init__(self, model: keras.Model, path: Path) -> None:
        super().__init__()
        self.trained, self.path = model, path
        self.history: dict[str, list[float]] = {}
        self._written = time.monotonic()

    def _variables(self) -> list:
        return [*self.trained.variables, *self.trained.optimizer.variables]

    def restore(self) -> int:
        """Load the file if there is one; the number of epochs already done.

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
            self.history.setdefault(name, []).append(float(value))
        if time.monotonic() - self._written >= INTERVAL:
            self.write()

    def on_train_end(self, logs: dict | None = None) -> None:
        self.write()

    def write(self) -> None:
        """Write the file whole: a kill leaves the old one."""
        arrays = {f"{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        with whole_file(self.path) as file:
            np.savez(file, allow_pickle=False, history=json.dumps(self.history), **arrays)
        self._written = time.monotonic()
