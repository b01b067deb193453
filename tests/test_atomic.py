"""Files and folders appear whole or not at all."""

from __future__ import annotations

import pytest

from zoo.atomic import whole_file, whole_folder
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


def test_folder_that_is_not_ours_is_kept(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with (
        pytest.raises(ExportError, match="only exports are overwritten"),
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
