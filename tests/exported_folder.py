"""What readers in other languages get of an export, and ways to damage it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from zoo.export.cpp_files import write_cpp_files
from zoo.model.spec import TEST_TENSORS, onnx_file
from zoo.model.store import locate

Damage = Callable[[Path], None]


def exported(name: str, folder: Path) -> Path:
    """What they read of an export, made of the released graphs: exporting anew takes TensorFlow and a minute."""
    found = locate(name)
    folder.mkdir()
    for file in (TEST_TENSORS, *map(onnx_file, found.spec.endpoints)):
        shutil.copyfile(found.path(file), folder / file)
    write_cpp_files(folder, found.spec)
    return folder


def replace(file: str, old: bytes, new: bytes) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / file).read_bytes()
        assert old in content
        (folder / file).write_bytes(content.replace(old, new, 1))

    return damage


def cut(file: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / file, size)


def save(file: str, array: np.ndarray) -> Damage:
    return lambda folder: np.save(folder / file, array)
