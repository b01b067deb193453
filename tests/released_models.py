"""The released models, for tests that are parametrised over them."""

from __future__ import annotations

import pytest

import zoo

RELEASED = zoo.list_models()
_FIRST = {zoo.get_spec(name).family: name for name in reversed(RELEASED)}.values()
ONE_A_FAMILY = [name if name in _FIRST else pytest.param(name, marks=pytest.mark.slow) for name in RELEASED]
"""One of every family, and with the marker slow the others, which take minutes together."""
