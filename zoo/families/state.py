"""What a process has one of: Keras' settings, random states, op determinism. Models have their own, and leave it as it was.

Keras takes seeds of new layers from Python's random numbers, and dtypes and the order of axes from settings that a program or
``keras.json`` may have changed. A model is built and trained under those that the released ones were made under.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from zoo.extras import import_keras
from zoo.quiet import without_messages
from zoo.seeds import SHORT, expect_seed

FLOATS, AXES = "float32", "channels_last"
KERAS_RANDOM = ("global_random_seed", "global_seed_generator")


@contextmanager
def released_settings() -> Iterator[None]:
    """Keras' settings as released models have them: numbers in float32 without mixed precision, channels last."""
    import_keras()
    import keras
    from keras.src.backend.common import global_state  # asked in public, an unset policy is set

    floats, axes = keras.config.floatx(), keras.config.image_data_format()
    policy = global_state.get_global_attribute("dtype_policy")
    keras.config.set_floatx(FLOATS)
    keras.config.set_image_data_format(AXES)
    keras.config.set_dtype_policy(FLOATS)
    try:
        yield
    finally:
        keras.config.set_floatx(floats)
        keras.config.set_image_data_format(axes)
        global_state.set_global_attribute("dtype_policy", policy)


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """Random numbers apart from the program's, whose states come back as they were.

    Parameters
    ----------
    seed : int, optional
        What all random numbers inside follow from, those of Python, NumPy, Keras and the backend; None to draw on.

    Raises
    ------
    InputError
        The seed is negative or too large.
    """
    expect_seed(seed, below=SHORT)
    from keras.src.backend.common import global_state

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - layers of a plugin may draw from it
    of_keras = [global_state.get_global_attribute(name) for name in KERAS_RANDOM]
    with _tensorflow(seed), _torch(seed):
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            for name, value in zip(KERAS_RANDOM, (seed, None), strict=True):
                global_state.set_global_attribute(name, value)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
            for name, value in zip(KERAS_RANDOM, of_keras, strict=True):
                global_state.set_global_attribute(name, value)


@contextmanager
def _tensorflow(seed: int | None) -> Iterator[None]:
    """The seed of TensorFlow's stateful operations, where TensorFlow is in use.

    ``tf.random.set_seed`` cannot be undone: nothing public tells the seed, and it forgets how far operations have drawn.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python.eager import context

    of_process = context.context()
    held, rng = of_process._seed, getattr(of_process, "_rng", None)  # there is none before a seed is set
    state = None if rng is None else rng.getstate()
    if seed is not None:
        of_process._seed, of_process._rng = seed, random.Random(seed)
    try:
        yield
    finally:
        of_process._seed, of_process._rng = held, rng
        if rng is not None:
            rng.setstate(state)


@contextmanager
def _torch(seed: int | None) -> Iterator[None]:
    """Torch's random states, where torch is in use."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng():
        if seed is not None:
            torch.manual_seed(seed)
        yield


@contextmanager
def deterministic() -> Iterator[None]:
    """Operations that give the same bits whenever they are repeated, which a resumed training needs; then as it was before."""
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            config.disable_op_determinism()


@contextmanager
def without_advice() -> Iterator[None]:
    """Without TensorFlow's advice on functions that are traced again and again, which is for who writes them.

    It counts calls of one code: models that are built one after another, such as members and rounds, look like one to it.
    """
    with without_messages("retracing"):
        yield


@contextmanager
def apart(seed: int | None = None) -> Iterator[None]:
    """Settings and random numbers apart from the program's, for whatever builds or trains models; a decorator too."""
    with released_settings(), own_randomness(seed), without_advice():
        yield
