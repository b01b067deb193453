"""Which process computes with models: TensorFlow, JAX and OpenMP run threads, which a fork lacks and waits for."""

from __future__ import annotations

import os

from zoo.errors import ZooError

_computing: int | None = None


def expect_own_process() -> None:
    """Remember the process that builds the first model, and refuse to compute in a fork of it.

    Raises
    ------
    ZooError
        Saying how to start processes instead.
    """
    global _computing
    if _computing is None:
        _computing = os.getpid()
    elif _computing != os.getpid() and not _forks():
        raise ZooError(
            "this process was forked from one in which models had been built, whose threads a fork does not have: it would wait"
            " for them forever. Start processes with multiprocessing.get_context('spawn') or joblib, to which models can be"
            " handed, or fork before the first model is built"
        )


def _forks() -> bool:
    """Whether Keras' backend computes in a fork too."""
    import keras

    return keras.backend.backend() == "torch"
