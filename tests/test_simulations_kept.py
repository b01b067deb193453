"""The file that keeps simulations: it knows its simulator, goes on where a call ended, and loses nothing."""

from __future__ import annotations

import functools
import itertools
import random
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import zoo.data.sbi.simulating.kept as keeping
from zoo.atomic import locked
from zoo.data.sbi import Prior, simulate
from zoo.data.sbi.simulating.fingerprint import Fingerprint
from zoo.data.sbi.simulating.simulations import SimulationError, read_simulations
from zoo.data.sbi.simulating.simulator_file import SimulatorFile
from zoo.errors import InputError, IntegrityError, ZooError

PRIOR = Prior({name: {"distribution": "uniform", "low": 0, "high": 1} for name in "ab"})
run = functools.partial(simulate, prior=PRIOR, n=100, jobs=1)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "simulations.npz"


def linear(slope, offset=0.0, width=2):
    def simulator(theta, rng):
        return slope * theta[0] + offset + rng.normal(0, 0.1, width)

    return simulator


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# Another simulator


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (linear(1.0, offset=1.0), r"at theta = \[0.636.*x\[0, 1\] was .* and is now .*overwrite=True"),
        (linear(1.0, width=3), r"answered with shape \(2,\) and now with \(3,\)"),
        (linear(1.0 + 1e-3), "another simulator"),
        (lambda theta: [random.SystemRandom().random()], r"shape \(2,\) and now with \(1,\)"),
    ],
)
def test_another_simulator_is_refused_or_starts_anew(path, other, message):
    before = run(linear(1.0), path=path)
    kept = path.read_bytes()
    with pytest.raises(InputError, match=message):
        run(other, path=path)
    assert path.read_bytes() == kept
    np.testing.assert_array_equal(run(linear(1.0), path=path).x, before.x)
    anew = run(other, path=path, overwrite=True)
    np.testing.assert_array_equal(read_simulations(path).x, anew.x)


@pytest.mark.parametrize("vectorized", [False, True])
def test_the_same_simulator_is_read(path, vectorized):
    def simulator(theta, rng):
        counted.append(1)
        return theta + rng.normal(size=theta.shape)

    counted = []  # which changes what the simulator is made of
    first = run(simulator, path=path, vectorized=vectorized)
    calls = len(counted)
    again = run(simulator, path=path, vectorized=vectorized)
    assert len(counted) - calls == (1 if vectorized else 2)
    np.testing.assert_array_equal(first.x, again.x)
    with pytest.raises(InputError, match="x\\["):
        run(lambda theta, rng: theta + 0.9 * rng.normal(size=theta.shape), path=path, vectorized=vectorized)


def test_a_file_without_a_fingerprint_is_compared_by_its_rows(path):
    found = run(linear(1.0), path=path)
    arrays = dict(np.load(path))
    about = arrays["about"].item()
    assert '"simulator"' in about
    arrays["about"] = np.array(about[: about.index(', "simulator"')] + "}")  # as files were written before
    np.savez(path, **arrays)
    np.testing.assert_array_equal(run(linear(1.0), path=path).x, found.x)
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="another simulator"):
        run(linear(1.1), path=path)


def test_rounding_is_no_difference_whatever_the_offset(path):
    """A spread of a microsecond on a Julian date: what is small beside the number is large beside the spread."""
    offset = 2459000.5
    first = run(lambda theta: offset + 1e-3 * theta, path=path)
    with pytest.warns(UserWarning, match="has changed"):
        again = run(lambda theta: (offset * 3 + 3e-3 * theta) / 3, path=path)
    np.testing.assert_array_equal(first.x, again.x)
    with pytest.raises(InputError, match="another simulator"):
        run(lambda theta: offset + 1e-3 * theta + 1e-6, path=path)


def test_other_code_with_the_same_answers_is_said_once(path):
    def first(theta):
        return theta * 2

    def other(theta):
        return theta * 2 if theta[0] < 0.999 else theta * 3  # at none of the rows that are compared

    run(first, path=path)
    with pytest.warns(UserWarning, match=r"code.* has changed since .*; it answers \d+ of the 100 .*overwrite=True"):
        run(other, path=path)
    run(other, path=path)


def test_what_was_not_finite_is_compared_first_when_the_code_changes(path):
    def square_root(theta):
        return np.sqrt(theta - 0.05)

    def square_root_or_zero(theta):
        return np.sqrt(np.maximum(theta - 0.05, 0))

    with pytest.warns(UserWarning, match="left out"), np.errstate(invalid="ignore"):
        run(square_root, path=path)
    with pytest.raises(InputError, match="was nan, nan and is now 0, 0"):
        run(square_root_or_zero, path=path)


def test_simulations_that_cannot_be_reproduced_are_said_to_be(path):
    def entropy(theta):
        return theta + random.SystemRandom().random()

    def other(theta):
        return theta - random.SystemRandom().random()

    first = run(entropy, path=path)
    with pytest.warns(UserWarning, match="cannot be reproduced"):
        again = run(entropy, path=path)
    np.testing.assert_array_equal(first.x, again.x)
    with pytest.raises(InputError, match="other code, whose answers cannot be compared"):
        run(other, path=path)


# The fingerprint


SCALE = 2.0


def scaled(theta):
    return helper(theta) * SCALE


def helper(theta):
    return theta + 1


def of(text, name="simulate", **given):
    space = {"__name__": "users_own", **given}
    exec(text, space)
    return Fingerprint(space[name]).code


def test_layout_comments_and_local_names_are_no_difference():
    plain = "def simulate(theta, rng):\n    mean = theta * 2\n    return mean + rng.normal()\n"
    other = (
        'def simulate(theta, rng):\n    """What it is."""\n    # twice\n\n    middle = theta * 2\n'
        "    return (\n        middle\n        + rng.normal()\n    )\n"
    )
    assert of(plain) == of(other)
    for changed in [plain.replace("2", "2.5"), plain.replace("*", "/"), plain.replace("normal", "standard_normal")]:
        assert of(plain) != of(changed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda theta: theta, lambda theta: theta + 1),
        (linear(1.0), linear(2.0)),
        (functools.partial(linear, width=2), functools.partial(linear, width=3)),
        (np.sin, np.cos),
        (functools.lru_cache(lambda theta: 1), functools.lru_cache(lambda theta: 2)),
        (np.vectorize(lambda a: a), np.vectorize(lambda a: 2 * a)),
    ],
)
def test_what_makes_another_fingerprint(one, other):
    assert Fingerprint(one).code != Fingerprint(other).code


def test_globals_and_functions_that_are_called_count(monkeypatch):
    before = Fingerprint(scaled).code
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert Fingerprint(scaled).code != before
    monkeypatch.undo()
    assert Fingerprint(scaled).code == before
    monkeypatch.setattr(sys.modules[__name__], "helper", lambda theta: theta + 2)
    assert Fingerprint(scaled).code != before


class Model:
    table = np.arange(3.0)

    def __init__(self, noise):
        self.noise = noise

    def draw(self, theta, rng):
        return self.shape(theta) + rng.normal(0, self.noise, 3)

    def shape(self, theta):
        return theta[0] * self.table


def test_objects_count_with_their_state_and_class(monkeypatch):
    before = Fingerprint(Model(0.1).draw).code
    assert Fingerprint(Model(0.1).draw).code == before
    assert Fingerprint(Model(0.2).draw).code != before
    monkeypatch.setattr(Model, "table", np.arange(3.0) + 1)
    assert Fingerprint(Model(0.1).draw).code != before
    monkeypatch.undo()
    monkeypatch.setattr(Model, "shape", lambda self, theta: theta[1] * self.table)
    assert Fingerprint(Model(0.1).draw).code != before


def test_a_file_and_the_modules_beside_it_count(tmp_path):
    (tmp_path / "my_simulator.py").write_text("import my_helper\ndef simulate(theta):\n    return my_helper.model(theta)\n")
    codes = set()
    for factor in (2, 3, 2):
        (tmp_path / "my_helper.py").write_text(f"FACTOR = {factor}\ndef model(theta):\n    return theta * FACTOR\n")
        sys.modules.pop("my_helper", None)
        (tmp_path / "my_simulator.py").touch()
        codes.add(Fingerprint(SimulatorFile.beside(tmp_path, "my_simulator.py:simulate")).code)
    sys.modules.pop("my_helper", None)
    assert len(codes) == 2


def test_values_that_hold_themselves_and_many_values_end():
    loop: list = [1.0]
    loop.append(loop)
    assert Fingerprint(lambda theta: loop).code == Fingerprint(lambda theta: loop).code
    assert Fingerprint(functools.partial(linear, [[i] for i in range(20_000)])).code


# Going on


def test_killed_simulations_go_on(path, monkeypatch):
    """The second call gets what was done from the file, and ends as an unbroken one."""
    calls = itertools.count(1)
    done = []

    def simulator(theta, rng):
        if next(calls) == 60:
            raise KeyboardInterrupt
        done.append(1)
        return theta + rng.normal(size=2)

    with pytest.raises(KeyboardInterrupt):
        run(simulator, path=path)
    with pytest.raises(InputError, match="59 of 100 simulations"):
        read_simulations(path)
    resumed = run(simulator, path=path)
    assert len(done) == 100 + 2
    np.testing.assert_array_equal(resumed.x, run(simulator).x)
    np.testing.assert_array_equal(read_simulations(path).theta, resumed.theta)
    with pytest.raises(InputError, match=r"differ in seed.*overwrite=True"):
        run(simulator, seed=1, path=path)


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_done_before_an_exception_is_kept_for_the_call_after_the_repair(path, jobs):
    def broken(theta):
        return theta / (theta[0] < 0.9 or [][0])

    def repaired(theta):
        return theta / (1 if theta[0] < 0.9 else 2)

    with pytest.raises(SimulationError, match=r"at theta = \[0\.9.*IndexError"):
        run(broken, path=path, jobs=jobs)
    done = int(np.load(path)["x"].shape[0])
    assert done > 10
    with pytest.warns(UserWarning, match="has changed"):
        found = run(repaired, path=path)
    np.testing.assert_array_equal(found.x, run(repaired).x)


def test_rows_that_are_not_done_are_gaps_and_filled(path):
    whole = run(linear(1.0), path=path)
    arrays = dict(np.load(path))
    arrays["state"] = np.ones(90, np.uint8)
    arrays["state"][[3, 50]] = 0
    arrays["x"] = arrays["x"][:90]
    arrays["x"][[3, 50]] = np.nan
    arrays["theta"] = arrays["theta"][:90]
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="88 of 100"):
        read_simulations(path)
    np.testing.assert_array_equal(run(linear(1.0), path=path).x, whole.x)
    assert "state" not in np.load(path)


def test_dropped_rows_stay_in_the_file(path):
    with pytest.warns(UserWarning, match="left out"):
        found = run(lambda theta: theta * (np.nan if theta[0] > 0.9 else 1), path=path)
    assert len(np.load(path)["x"]) == 100
    with pytest.warns(UserWarning, match=f"left out {found.dropped} of 100"):
        assert read_simulations(path).dropped == found.dropped


# The file itself


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 100])
def test_a_damaged_file_is_named_and_may_be_replaced(path, damage):
    whole = run(linear(1.0), path=path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IntegrityError, match=r"simulations.npz.*damaged.*delete this one.*overwrite=True"):
        run(linear(1.0), path=path)
    np.testing.assert_array_equal(run(linear(1.0), path=path, overwrite=True).x, whole.x)


def test_a_file_of_the_users_own_is_not_replaced(path):
    np.savez(path, theta=np.zeros((5, 2)), x=np.zeros((5, 2)))
    with pytest.raises(InputError, match="not written by simulate"):
        run(linear(1.0), path=path)


def test_two_calls_at_once_do_not_write_one_file(path):
    with locked(path.with_name(".simulations.npz.lock")) as held:
        assert held
        with pytest.raises(ZooError, match="another process simulates into"):
            run(linear(1.0), path=path)
    whole = run(linear(1.0), path=path)
    with locked(path.with_name(".simulations.npz.lock")):  # what is done may be read meanwhile
        np.testing.assert_array_equal(run(linear(1.0), path=path).x, whole.x)


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    with pytest.raises(SimulationError):
        run(lambda theta: theta if theta[0] < 0.9 else None, path=path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"), pytest.warns(UserWarning, match="has changed"):
        run(lambda theta: theta, path=path)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {path.name, f".{path.name}.lock"}


def test_large_simulations_are_written_seldom(path, monkeypatch):
    """The work between two writes is at least twenty times as long as a write, so that writing never costs more than 5%."""
    clock = itertools.count(0, 50.0)
    writes = []
    monkeypatch.setattr(keeping.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(keeping.Kept, "save", lambda self, path: writes.append(1))
    kept = keeping.Kept.new(np.zeros((5, 2)), {}, free=False)
    writer = keeping.Writer(kept, path)
    for _ in range(25):
        writer.now_and_then()
    assert len(writes) == 2


def test_a_path_may_be_written_as_text(tmp_path):
    run(linear(1.0), path=str(tmp_path / "a.npz"))
    assert Path(tmp_path / "a.npz").exists()
