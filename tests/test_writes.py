"""Every write of the package is whole or not at all: found by reading the code, so that a new one cannot be forgotten."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("zoo", "training", "export", "serving")

WRITES = {
    "write_text",
    "write_bytes",
    "savefig",
    "savez",
    "savez_compressed",
    "savetxt",
    "tofile",
    "to_csv",
    "to_json",
    "to_parquet",
    "copy",
    "copy2",
    "copyfile",
    "copytree",
    "move",
    "rename",
    "replace",
    "write_out",
}
"""Names of calls that write or rename a file, beside ``open`` with a mode that writes, ``np.save`` and the like."""
MODULES = {"copy": "shutil", "copy2": "shutil", "copyfile": "shutil", "copytree": "shutil", "move": "shutil"}
"""Of which module a name is meant that others have too."""
WHOLE = {"whole_file", "whole_folder", "whole_hdf5", "folder_beside", "TemporaryDirectory"}
"""In a block of one of these what is written has no name yet that anybody reads."""

ALLOWED = {
    ("zoo/atomic.py", "*"): "what the others are made of",
    ("zoo/cli/terminal.py", "fdopen"): "descriptor 2",
    ("zoo/data/jets/banners.py", "open"): "nowhere",
    ("zoo/interpret/plots/style.py", "savefig"): "into memory",
    ("zoo/workflows/run_report.py", "savefig"): "into memory",
    ("zoo/model/ranges.py", "savez_compressed"): "into memory",
    ("serving/trial.py", "savez"): "into memory",
    ("zoo/model/misspecification.py", "savez_compressed"): "into memory",
    ("zoo/data/sbi/simulating/watched.py", "write_bytes"): "eight bytes of a temporary folder, which die with the processes",
    ("zoo/data/sbi/simulating/watched.py", "open"): "the same eight bytes, mapped",
    ("zoo/testing/graph_checks.py", "savez"): "text of a program that a test runs in a temporary folder",
    ("export/repository.py", "rename"): "the renames by which a finished folder gets its name, tried with kills at each",
    ("export/repository.py", "replace"): "the same of finished files",
    ("export/saved_model.py", "write_out"): "TensorFlow writes a folder; the export has it made in a whole_folder",
}
"""File and call, and why it needs no whole-file writer of its own."""


def called(call: ast.Call) -> tuple[str, str]:
    """Name of a call, and of what it is called on."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr, ast.unparse(function.value)
    return (function.id, "") if isinstance(function, ast.Name) else ("", "")


def writes(call: ast.Call) -> str | None:
    """The name under which a call writes to a path, None where it does not."""
    name, on = called(call)
    constants = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    modes = [a.value for a in constants if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if name in ("open", "fdopen") or (name == "File" and "h5py" in on) or name == "ZipFile":
        return name if any(re.fullmatch(r"[rbt]*[wax+][wax+bt]*", mode) for mode in modes) else None
    if name == "save" and on in ("np", "onnx", "numpy"):
        return name
    if name == "dump" and on == "json":
        return name
    if name == "replace" and (len(call.args) != 1 or call.keywords):
        return None  # of text, or of fields
    return name if name in WRITES and on and on.endswith(MODULES.get(name, "")) else None


def unwhole(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of each write that is in no block of a whole-file writer."""

    def below(node: ast.AST, whole: bool) -> Iterator[tuple[int, str]]:
        if isinstance(node, ast.With):
            blocks = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
            whole = whole or any(called(block)[0] in WHOLE for block in blocks)
        if isinstance(node, ast.Call) and not whole and (name := writes(node)):
            yield node.lineno, name
        for child in ast.iter_child_nodes(node):
            yield from below(child, whole)

    yield from below(tree, False)


def test_every_write_is_whole_or_not_at_all() -> None:
    found: set[tuple[str, str]] = set()
    faults = []
    for path in (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))):
        file = str(path.relative_to(ROOT))
        for line, name in unwhole(ast.parse(path.read_text())):
            allowed = {(file, name), (file, "*")} & ALLOWED.keys()
            found |= allowed
            if not allowed:
                faults.append(f"{file}:{line}: {name}")
    assert not faults, "write through zoo.atomic:\n" + "\n".join(faults)
    assert found == ALLOWED.keys(), "no longer needed"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("open(path, 'w')", "open"),
        ("path.open('wb')", "open"),
        ("path.open(mode='a')", "open"),
        ("h5py.File(path, 'w')", "File"),
        ("np.save(path, x)", "save"),
        ("np.savez(path, x=x)", "savez"),
        ("json.dump(x, file)", "dump"),
        ("figure.savefig(path)", "savefig"),
        ("shutil.copy(a, b)", "copy"),
        ("part.replace(path)", "replace"),
        ("with whole_file(path) as file:\n    json.dump(x, file)", None),
        ("path.open()", None),
        ("text.replace('a', 'b')", None),
        ("spec.model_copy(update=x)", None),
    ],
)
def test_writes_are_told(code: str, name: str | None) -> None:
    assert [found for _, found in unwhole(ast.parse(code))] == ([] if name is None else [name])
