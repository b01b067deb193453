"""Simulators that hang, crash and are interrupted, in real processes."""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import joblib
import numpy as np
import pytest

from zoo.data.sbi import Prior, simulate
from zoo.data.sbi.simulating.answers import Calls
from zoo.data.sbi.simulating.simulations import SimulationError, read_simulations
from zoo.data.sbi.simulating.watched import Watched
from zoo.errors import InputError

PRIOR = Prior({name: {"distribution": "uniform", "low": 0, "high": 1} for name in "ab"})
run = functools.partial(simulate, prior=PRIOR, n=40, jobs=2)
WORST, LIMIT = 13, 0.99
"""The row at which the simulators below fail, the only one with a first parameter above the limit."""


def with_noise():
    """A simulator that is handed on by value: no process needs to import this module."""

    def noisy(theta, rng):
        return theta + rng.normal(size=2)

    return noisy


noisy = with_noise()


def failing(fail, *given):
    def simulator(theta, rng):
        if theta[0] > limit:
            fail(*given)
        return theta + rng.normal(size=2)

    limit = LIMIT
    return simulator


def named(whole):
    return rf"theta = \[{float(whole.theta[WORST, 0])!r}"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "simulations.npz"


@pytest.fixture(scope="module")
def whole():
    found = run(noisy, jobs=1)
    assert np.flatnonzero(found.theta[:, 0] > LIMIT).tolist() == [WORST]
    return found


def expect_all_but_the_worst(found, whole):
    rest = np.arange(40) != WORST
    np.testing.assert_array_equal(found.theta, whole.theta[rest])
    np.testing.assert_array_equal(found.x, whole.x[rest])
    assert found.dropped == 1


def test_a_segmentation_fault_is_named_and_gone_past(path, whole):
    crashes = failing(ctypes.string_at, 0)
    with pytest.warns(UserWarning, match=rf"left out 1 of 40.*ended their process, first at {named(whole)}"):
        expect_all_but_the_worst(run(crashes, path=path), whole)
    with pytest.warns(UserWarning, match="ended their process"):  # the file knows it
        expect_all_but_the_worst(run(crashes, path=path), whole)
    with pytest.warns(UserWarning, match="ended their process"):
        read_simulations(path)
    # Other code has another try at it.
    with pytest.warns(UserWarning, match="code.* has changed"):
        repaired = run(noisy, path=path, jobs=1)
    np.testing.assert_array_equal(repaired.x, whole.x)


def test_a_segmentation_fault_is_an_error_where_rows_may_not_be_missing(path, whole):
    with pytest.raises(SimulationError, match=rf"{named(whole)}.*ended its process, SIGSEGV"):
        run(failing(ctypes.string_at, 0), path=path, on_nonfinite="fail")
    assert len(np.load(path)["x"]) > 1


def test_a_process_that_the_system_kills_is_not_the_rows_fault(tmp_path, whole):
    marker = tmp_path / "killed"

    def killed_once():
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    np.testing.assert_array_equal(run(failing(killed_once)).x, whole.x)
    assert marker.exists()


def test_a_process_that_is_killed_while_it_has_nothing_to_do_is_replaced(tmp_path):
    watched = Watched(Calls.of(lambda theta: theta * os.getpid(), [0], vectorized=False), 1, None, tmp_path)
    theta = np.ones((3, 1))
    try:
        first = next(part for part in watched.run(theta, np.arange(1)) if part is not None)
        os.kill(int(first.answers[0, 0]), signal.SIGKILL)
        parts = [part for part in watched.run(theta, np.arange(3)) if part is not None]
    finally:
        watched.end()
    assert sorted(int(row) for part in parts for row in part.rows) == [0, 1, 2]
    assert first.answers[0, 0] not in [answer[0] for part in parts for answer in part.answers]


def test_a_simulator_that_always_crashes_ends_soon(monkeypatch):
    monkeypatch.setattr("zoo.data.sbi.simulating.simulations.HOPELESS", 0)
    with pytest.raises(SimulationError, match="as 1 simulations did, while 0 have answered"):
        run(lambda theta: os._exit(3), jobs=1, timeout=60)


@pytest.mark.slow
def test_a_vectorized_simulator_that_crashes_names_its_rows():
    with pytest.raises(SimulationError, match=r"rows 0 to 39, theta = .*vectorized=False finds"):
        run(lambda theta: os._exit(3), vectorized=True)


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_simulation_that_hangs_is_named_and_gone_past(path, whole, jobs):
    hangs = failing(time.sleep, 600)
    with pytest.warns(UserWarning, match=rf"left out 1 of 40.*took too long, first at {named(whole)}"):
        expect_all_but_the_worst(run(hangs, path=path, jobs=jobs, timeout=0.3), whole)
    with pytest.warns(UserWarning, match="took too long"):  # without another try, which would hang
        expect_all_but_the_worst(run(hangs, path=path, jobs=1), whole)
    assert np.load(path)["state"][WORST] == 2


def test_more_time_is_another_try(path, whole):
    slow = failing(time.sleep, 0.5)
    with pytest.raises(SimulationError, match=rf"{named(whole)}.*: it did not answer within 0.2 s"):
        run(slow, path=path, timeout=0.2, on_nonfinite="fail")
    with pytest.warns(UserWarning, match="took too long"):
        run(slow, path=path, timeout=0.2)
    np.testing.assert_array_equal(run(slow, path=path, timeout=30).x, whole.x)


def test_a_timeout_needs_a_process_to_end():
    with joblib.parallel_config(backend="threading", n_jobs=2), pytest.raises(InputError, match="ThreadingBackend"):
        run(noisy, jobs=None, timeout=1.0)
    for wrong in (0, -1.0, float("inf")):
        with pytest.raises(InputError, match="positive number of seconds"):
            run(noisy, timeout=wrong)


class NotToBeCopied:
    def __reduce__(self):
        raise TypeError("not to be copied")

    def __call__(self, theta, rng):
        return noisy(theta, rng)


def test_a_simulator_that_cannot_be_handed_on(whole):
    with pytest.raises(InputError, match="handed to other processes: TypeError: not to be copied; jobs=1"):
        run(NotToBeCopied())
    np.testing.assert_array_equal(run(NotToBeCopied(), jobs=1).x, whole.x)


def test_an_exception_that_cannot_be_sent_is_told():
    class Awkward(Exception):
        def __init__(self, code, reason):
            super().__init__(f"{reason} ({code})")

    def fails(theta):
        raise Awkward(7, "no convergence")

    with pytest.raises(SimulationError, match=r"at theta = \[.*Awkward: no convergence \(7\)") as caught:
        run(fails)
    assert "in fails" in str(caught.value.__cause__)


INTERRUPTED = """
import sys, time
from pathlib import Path
import numpy as np
from zoo.data.sbi import simulate

class Flat:
    def sample(self, n, rng):
        return rng.random((n, 2))

    def plain(self):
        return {}

def slow(theta, rng):
    time.sleep(0.02)
    (Path(sys.argv[1]).parent / "row").touch()
    return theta + rng.normal(size=2)

try:
    simulate(slow, Flat(), 2000, jobs=int(sys.argv[2]), path=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted", len(np.load(sys.argv[1])["x"]))
"""


@pytest.mark.slow  # its twin without a terminal is test_killed_simulations_go_on
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_writes_what_is_done_and_ends_the_processes(path, jobs):
    """As a terminal does it: the signal goes to all processes of the group."""
    script = path.with_name("script.py")
    script.write_text(textwrap.dedent(INTERRUPTED))
    command = [sys.executable, str(script), str(path), str(jobs)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=path.parent
    )
    try:
        while not path.with_name("row").exists():
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert out.startswith("interrupted "), (process.returncode, err)
    assert not err.strip()
    done = int(out.split()[1])
    assert 0 < done < 2000
    theta = np.random.default_rng([0]).random((2000, 2))
    kept = np.load(path)
    row = int(np.flatnonzero(kept["state"] == 1)[-1]) if "state" in kept else done - 1
    np.testing.assert_array_equal(kept["x"][row], noisy(theta[row], np.random.default_rng([0, row, 1])))
    assert any(gone(process.pid) for _ in range(100))


def gone(group):
    """Whether no process of a group is left, after a moment for those that were ended."""
    time.sleep(0.05)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def simulate_in_a_daemon(sender):
    sender.send(run(noisy).x)


@pytest.mark.slow
def test_simulations_within_a_process_that_may_have_none(whole):
    """A pool's worker is a daemon, which may not start processes: joblib says one job, and there it runs."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=simulate_in_a_daemon, args=(sender,), daemon=True)
    process.start()
    assert receiver.poll(60)
    np.testing.assert_array_equal(receiver.recv(), whole.x)
    process.join()


def test_threads_of_joblib_simulate_too(whole):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        np.testing.assert_array_equal(run(noisy, jobs=None).x, whole.x)
