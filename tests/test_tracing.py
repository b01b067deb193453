"""Functions as graphs of TensorFlow, which are made in silence."""

from __future__ import annotations

import logging
from contextlib import nullcontext

import numpy as np
import tensorflow as tf

from zoo.families.tracing import traced
from zoo.quiet import quiet_autocorrelation


def test_graphs_that_are_made_again_and_again_are_no_business_of_the_user(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tensorflow"), "propagate", True)
    for make, warns in ((tf.function, True), (traced, False)):
        caplog.clear()
        double = make(lambda x: 2 * x)
        for n in range(1, 9):
            np.testing.assert_array_equal(double(tf.ones(n)), np.full(n, 2.0))
        assert ("retracing" in caplog.text) == warns


def test_an_autocorrelation_drops_its_imaginary_part_in_silence_and_all_else_is_said(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tensorflow"), "propagate", True)
    for quietly in (False, True):
        caplog.clear()
        with quiet_autocorrelation() if quietly else nullcontext():
            tf.cast(tf.constant([1 + 0j]), tf.float32)
            tf.get_logger().warning("something else")
        assert ("imaginary part" in caplog.text) == (not quietly)
        assert "something else" in caplog.text
