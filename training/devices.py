"""Training on several devices at once: each sees its part of every batch, and the step is that of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from zoo.errors import InputError
from zoo.training.recipe import RecipeError


@contextmanager
def across(devices: int) -> Iterator[None]:
    """Train on the first so many devices that JAX sees; 1 leaves Keras as it is.

    On TensorFlow several are refused. Keras 3 resets metrics of the first replica of a ``MirroredStrategy`` alone, and the
    validation loss, by which the best epoch is kept, has in it what the others saw before (keras-team/keras, issues 19891 and
    21054): of a small network on two replicas it was 3.7 in place of 1.9 nat.

    Parameters
    ----------
    devices : int
        How many.

    Raises
    ------
    InputError
        There are fewer devices, or Keras does not run on JAX.
    """
    if devices == 1:
        yield
        return
    backend = keras.backend.backend()
    if backend != "jax":
        raise InputError(
            f"devices: several need Keras on JAX (KERAS_BACKEND=jax, extra 'jax'), given {backend}, on which Keras' validation"
            " loss of several replicas is wrong"
        )
    found = keras.distribution.list_devices()
    if not 1 <= devices <= len(found):
        raise InputError(f"devices: expected 1 to {len(found)}, which JAX sees ({', '.join(found)}), given {devices}")
    with keras.distribution.DataParallel(devices=found[:devices], auto_shard_dataset=False).scope():
        yield


def device_count() -> int:
    """On how many devices batches are spread."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.device_mesh.devices.size)


def expect_divisible(batch: int, validation: int) -> None:
    """Refuse batches and splits of which not every device gets as many rows.

    Raises
    ------
    RecipeError
        The rows of a batch, or those of the validation split, are no multiple of the devices.
    """
    devices = device_count()
    for rows, what in ((batch, "a batch"), (validation, "the validation split")):
        if rows % devices:
            raise RecipeError(f"{rows} rows of {what} are no multiple of {devices} devices: choose another batch_size or split")
