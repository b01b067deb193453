"""Names by decorator, by table and by entry point."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from zoo import registration
from zoo.data.dataset import DATASETS, register_dataset
from zoo.errors import UnknownNameError
from zoo.registration import Register
from zoo.training.evaluations import EVALUATIONS


class First:
    """Stands for what is registered."""


class Second:
    """Another of the kind."""


@pytest.fixture
def names() -> Register:
    return Register("shape", "zoo.shapes", {"square": "zoo.shapes.square"})


def test_a_decorated_class_is_known_by_its_name(names):
    assert names.register("disc")(First) is First
    assert names.get("disc") is First
    assert names.names() == ["disc", "square"]
    names.register("disc")(First)  # a notebook runs a definition again
    with pytest.raises(UnknownNameError, match="no shape named 'disk'; did you mean disc"):
        names.get("disk")


def test_of_many_names_a_message_lists_some():
    """A table may have thousands of columns."""
    said = str(UnknownNameError("column", "zzz", [f"spectrum_{i}" for i in range(1000)]))
    assert said.endswith(" and 960 more")
    assert said.count("spectrum_") == 40
    assert str(UnknownNameError("column", "zzz", ["a", "b"])).endswith("known: a, b")


def test_a_name_has_one_meaning(names):
    names.register("disc")(First)
    with pytest.raises(ValueError, match=r"two shapes are named 'disc': .*First and .*Second"):
        names.register("disc")(Second)
    with pytest.raises(ValueError, match=r"two shapes are named 'square': zoo\.shapes\.square and .*First"):
        names.register("square")(First)


def test_an_entry_point_is_imported_when_its_name_is_asked_for(names, monkeypatch):
    asked = []

    def load():
        asked.append("ring")
        return names.register("ring")(Second)

    def broken():
        raise ImportError("no such module")

    points = (
        SimpleNamespace(name="ring", value="package:Ring", load=load),
        SimpleNamespace(name="cube", value="package:Cube", load=broken),
    )
    monkeypatch.setattr(registration, "entry_points", lambda group: points if group == "zoo.shapes" else ())
    assert names.names() == ["cube", "ring", "square"]
    assert not asked
    assert names.get("ring") is Second
    with pytest.warns(UserWarning, match=r"entry point cube = package:Cube cannot be loaded"), pytest.raises(UnknownNameError):
        names.get("cube")


@pytest.mark.parametrize("register", [DATASETS, EVALUATIONS])
def test_every_name_of_ours_has_its_class(register):
    for name in register.names():
        assert register.get(name).__module__.startswith("zoo.") or name.startswith(("tiny", "toy"))


def test_a_released_name_is_not_for_others():
    with pytest.raises(ValueError, match=r"two data sets are named 'pendulum': zoo\.data\.pendulum and"):
        register_dataset("pendulum")(First)
