"""Whole numbers that a user hands in."""

from __future__ import annotations

import numpy as np
import pytest

from zoo.counts import expect_counts
from zoo.errors import InputError


@pytest.mark.parametrize("count", [0, -1, 2.0, "3", None, True, np.nan])
def test_what_is_no_count_is_told_by_its_name(count):
    with pytest.raises(InputError, match="draws: expected a whole number of at least 1, given "):
        expect_counts(other=5, draws=count)


def test_counts_pass():
    expect_counts(2, draws=2, bins=np.int64(7))
    expect_counts(0, seed=0)
