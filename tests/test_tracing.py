"""Functions as graphs of TensorFlow, which are made in silence."""

from __future__ import annotations

import logging

import numpy as np
import tensorflow as tf

from zoo.families.tracing import traced


def test_graphs_that_are_made_again_and_again_are_no_business_of_the_user(caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("tensorflow"), "propagate", True)
    for make, warns in ((tf.function, True), (traced, False)):
        caplog.clear()
        double = make(lambda x: 2 * x)
        for n in range(1, 9):
            np.testing.assert_array_equal(double(tf.ones(n)), np.full(n, 2.0))
        assert ("retracing" in caplog.text) == warns
