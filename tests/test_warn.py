"""Warnings name the user's line, and TensorFlow's advice to who writes functions stays with who writes them."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from zoo.data.sbi import as_prior, simulate
from zoo.data.sbi.own_rows import read_own_rows
from zoo.errors import warn
from zoo.families.state import apart, without_advice

PRIOR = as_prior({"a": {"distribution": "uniform", "low": 0, "high": 1}})


def fails_at_times(theta):
    return theta if theta[0] < 0.9 else theta * np.nan


@pytest.mark.parametrize(
    "call",
    [
        lambda path: simulate(fails_at_times, PRIOR, 50, jobs=1),
        lambda path: apart()(simulate)(fails_at_times, PRIOR, 50, jobs=1, path=path / "a.npz"),
        lambda path: read_own_rows([[0.1], [np.nan]], [1.0, 2.0], PRIOR),
        lambda path: as_prior((lambda n, rng: rng.random((n, 2)), lambda theta: 10.0 + 0 * theta[:, 0]), ["a", "b"]),
        lambda path: apart()(warn)("here"),
    ],
)
def test_the_line_is_the_users(call, tmp_path):
    with pytest.warns(UserWarning, match="left out|at its own draws|here") as caught:
        call(tmp_path)
    assert [(one.filename, one.lineno) for one in caught] == [(__file__, call.__code__.co_firstlineno)]


def test_code_of_the_library_that_nothing_of_it_called():
    with pytest.warns(UserWarning, match="deep") as caught:
        exec("warn('deep')", {"__name__": "zoo.inside", "warn": warn})
    assert caught[0].filename == __file__


def test_advice_on_retracing_is_kept_from_users():
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tensorflow")

    def traced(added: int) -> None:
        code = compile(f"lambda x: x + {added}", "functions", "eval")  # TensorFlow counts calls of one code
        for _ in range(8):
            tf.function(eval(code), autograph=False)(tf.zeros(2))  # noqa: S307

    logger.addHandler(handler)
    try:
        with apart():
            traced(1)
        with without_advice(), without_advice():
            pass
        with without_advice():
            traced(2)
            logger.warning("of something else")
        assert said == ["of something else"]
        traced(3)
        assert any("retracing" in one for one in said)  # the program's own functions are advised as before
    finally:
        logger.removeHandler(handler)
