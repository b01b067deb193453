"""Tiny trainings without the tracing and compiling of a graph, which take longer than their few steps do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial, partialmethod

import keras
import pytest


@contextmanager
def eagerly() -> Iterator[None]:
    """Networks are trained step by step, as a check of what is written needs no graph; intervals are of few draws."""
    from zoo.training import comparison

    with compiled(jit_compile=False, run_eagerly=True, steps_per_execution=1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "measured", partial(comparison.measured, draws=80))
        yield


@contextmanager
def compiled(**how: object) -> Iterator[None]:
    """Networks are compiled with these settings, whatever the code asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "compile", partialmethod(_compile, keras.Model.compile, how))
        yield


def _compile(model, compile, how, *arguments, **settings):
    return compile(model, *arguments, **settings | how)
