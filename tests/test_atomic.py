"""Files and folders appear whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from zoo import atomic
from zoo.atomic import exchange, whole_file, whole_folder
from zoo.errors import ExportError, IntegrityError
from zoo.model.test_tensors import read_npz


def test_failed_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fill_the_disk() -> None:
        with whole_file(path, "w") as file:
            file.write("half of the n")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with whole_file(path, "w") as file:
        file.write("new")
    assert path.read_text() == "new"


def test_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "report.json").write_text("old")

    def fail_midway() -> None:
        with whole_folder(target, overwrite=True, marker="report.json") as new:
            (new / "report.json").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_midway()
    assert (target / "report.json").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_files_of_a_folder_that_is_being_made_do_not_wait_for_it(tmp_path):
    """The lock of a folder that is being made is for those who look for remains, not for those who write in it."""
    with whole_folder(tmp_path / "model", overwrite=False, marker="report.json") as new:
        with whole_file(new / "report.json", "w") as file:
            file.write("whole")
        (new / "clients").mkdir()
        with whole_file(new / "clients" / "model.json", "w") as file:
            file.write("whole")
    assert (tmp_path / "model" / "report.json").read_text() == "whole"
    assert (tmp_path / "model" / "clients" / "model.json").read_text() == "whole"


def test_folder_that_is_not_ours_is_kept(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with (
        pytest.raises(ExportError, match="something else has made it"),
        whole_folder(tmp_path / "thesis", overwrite=True, marker="report.json"),
    ):
        pass
    assert (tmp_path / "thesis" / "chapter1.tex").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x93NUMPY\x01\x00 not an npz", b"text"])
def test_damaged_npz_is_named(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"x\.npz"):
        read_npz(path)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from zoo import atomic

root, what, exchanges = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "exchange"
if not exchanges:
    atomic.exchange = lambda one, other: False
STEPS = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "open"}


def make(content):
    if what == "file":
        with atomic.whole_file(root / "model", "w") as file:
            file.write(content)
            file.flush()
            file.write(content)
    else:
        with atomic.whole_folder(root / "model", overwrite=True, marker="a.txt") as new:
            (new / "a.txt").write_text(content)
            (new / "b.txt").write_text(content)


def die_before(step):
    steps = iter(range(step))

    def hook(event, arguments):
        if event in STEPS and str(root) in str(arguments) and next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def names():
    return sorted(path.name for path in root.iterdir())


def content():
    there = root / "model"
    return {there.read_text()} if what == "file" else {path.read_text() for path in there.iterdir()}


twice = 2 if what == "file" else 1
for step in range(100):
    make("old")
    assert (names(), content()) == (["model"], {"old" * twice}), (step, names())
    child = os.fork()
    if not child:
        die_before(step)
        make("new")
        os._exit(0)
    killed = os.waitpid(child, 0)[1] != 0
    if exchanges or what == "file":  # there is something whole at every moment
        assert content() in ({"old" * twice}, {"new" * twice}), (step, names())
    try:
        with atomic.whole_folder(root / "model", overwrite=True, marker="a.txt"):
            raise KeyboardInterrupt  # the next start, which comes to nothing
    except KeyboardInterrupt:
        assert content() in ({"old"}, {"new"}), (step, names())
        assert names() == ["model"], (step, names())
    except atomic.ExportError:
        assert what == "file"
    if not killed:
        break
print(step)
"""


@pytest.mark.skipif(not hasattr(atomic.fcntl, "flock"), reason="this system has no locks")
@pytest.mark.parametrize(
    ("what", "how", "steps"), [("file", "exchange", 2), ("folder", "exchange", 6), ("folder", "renames", 8)]
)
def test_a_process_killed_at_each_step(tmp_path: Path, what: str, how: str, steps: int) -> None:
    """Killed before every step on the file system: what is there is whole, and the next run leaves nothing lying about."""
    program = subprocess.run([sys.executable, "-c", KILLED, tmp_path, what, how], capture_output=True, text=True, check=False)
    assert program.returncode == 0, program.stderr
    assert int(program.stdout) >= steps


def test_two_places_change_in_one_step(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    if not exchange(one, other):
        pytest.skip("this file system exchanges nothing")
    assert ((one / "name").read_text(), (other / "name").read_text()) == ("other", "one")
    with pytest.raises(OSError, match="No such file"):
        exchange(one, tmp_path / "nowhere")


def test_what_another_process_is_making_is_no_remains(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "model", overwrite=True, marker="a.txt") as first:
        with whole_folder(tmp_path / "model", overwrite=True, marker="a.txt") as second:
            (second / "a.txt").write_text("second")
        (first / "a.txt").write_text("first")
    assert (tmp_path / "model" / "a.txt").read_text() == "first"
    with whole_file(tmp_path / "x", "w") as first, whole_file(tmp_path / "x", "w") as second:
        first.write("first")
        second.write("second")
    assert (tmp_path / "x").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "x"]


def test_many_writers_of_one_file(tmp_path: Path) -> None:
    def write(number: int) -> None:
        with whole_file(tmp_path / "x", "w") as file:
            file.write(str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(100)))
    assert len(set((tmp_path / "x").read_text()[::3])) <= 2
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "model"

    def make() -> None:
        with whole_folder(target, overwrite=False, marker="a.txt"):
            target.mkdir()
            (target / "mine").write_text("mine")

    with pytest.raises(ExportError, match="has appeared meanwhile"):
        make()
    assert (target / "mine").read_text() == "mine"
    with pytest.raises(ExportError, match=r"exists: choose a new folder, or replace it with overwrite=True"):
        make()


@pytest.mark.timeout(60)
def test_another_process_writes_in_a_folder_that_is_being_made(tmp_path: Path) -> None:
    """As workers do for the process that makes the folder: the lock is only for those who look for remains."""
    program = (
        "import sys, pathlib, zoo.atomic\nwith zoo.atomic.whole_file(pathlib.Path(sys.argv[1]), 'w') as file: file.write('b')"
    )
    with whole_folder(tmp_path / "out", overwrite=False, marker="a.txt") as new:
        subprocess.run([sys.executable, "-c", program, new / "a.txt"], check=True)
    assert (tmp_path / "out" / "a.txt").read_text() == "b"


def test_a_whole_file_is_read_again_where_another_thread_was_in_the_parser(tmp_path, monkeypatch):
    """CPython 3.11 counts the depth of its parser for all threads together, and NumPy reads headers by it."""
    path, arrays, header = (
        tmp_path / "arrays.npz",
        {"x": np.arange(3.0), "y": np.ones((2, 2))},
        np.lib.format.read_array_header_1_0,
    )
    np.savez(path, **arrays)
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) in (1, 2, 4):
            raise SystemError("AST constructor recursion depth mismatch (before=102, after=37)")
        return header(*args, **kwargs)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", interrupted)
    found = read_npz(path)
    assert len(calls) >= 5
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
