"""``zoo new``: the files that a family, a data set or a model begins with, in a clone of physzoo or in one's own package."""

from __future__ import annotations

import re
from keyword import iskeyword
from pathlib import Path
from string import Template
from typing import Literal

from pydantic import TypeAdapter, ValidationError

import zoo
from zoo.atomic import write_whole
from zoo.errors import InputError, ZooError, option
from zoo.model.registry import refuse_released_name
from zoo.model.spec import Name
from zoo.paths import user_path
from zoo.workflows import templates

Kind = Literal["model", "family", "dataset"]
CLONE = Path(zoo.__file__).parents[1]
"""Where this package's clone lies, if it is run from one."""


def new(
    kind: Kind, name: str, *, package: Path | None = None, family: str | None = None, dataset: str | None = None
) -> list[Path]:
    """Write what a new family, data set or model begins with; it trains and passes its checks as it stands.

    Parameters
    ----------
    kind : {"model", "family", "dataset"}
        What is new.
    name : str
        Its name: lower case letters, digits and hyphens.
    package : Path, optional
        Folder of a package of one's own, which is made where there is none; by default the clone that this package runs from.
    family : str, optional
        Of a new model, the family that its recipe names; as it stands one that takes ``inputs`` and answers a probability.
    dataset : str, optional
        Of a new model, its data set; as it stands one with two numbers ``x`` a row and a target of 0 or 1.

    Returns
    -------
    list of Path
        What was written or changed.

    Raises
    ------
    InputError
        The name cannot be one.
    ZooError
        A file that would be written is there, or there is no clone to write to.
    """
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        raise InputError(f"expected lower case letters, digits and hyphens, such as my-{kind}, given {name!r}") from error
    stem = re.sub(r"\W", "_", name)
    if kind != "model" and (not stem.isidentifier() or iskeyword(stem) or stem == "models"):
        raise InputError(f"expected a name of which Python can make a module, such as my-{kind}, given {name!r}")
    if kind == "model" and (family is None or dataset is None):
        lacking = " and ".join(option(word, "NAME") for word in ("family", "dataset"))
        raise ZooError(f"a model is of a family and a data set: give {lacking}")
    words = {
        "name": name,
        "stem": stem,
        "cls": "".join(part.capitalize() for part in re.split(r"\W", name)),
        "family": family or "",
        "dataset": dataset or "",
    }
    if kind == "model":
        refuse_released_name(name, name)
    return _in_clone(kind, words) if package is None else _in_package(kind, words, user_path(package))


def _write(path: Path, template: str, words: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, Template(template).substitute(words))
    return path


def _expect_free(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise ZooError(f"{path} is there: choose another name, or remove it")


def _in_clone(kind: Kind, words: dict[str, str]) -> list[Path]:
    """Beside ours: the module, and the line of the table that names it."""
    if not (CLONE / "tests" / "tiny_networks.py").is_file():
        raise ZooError(f"{CLONE} is no clone of physzoo: give {option('package', 'DIR')} for a package of your own")
    stem = words["stem"]
    if kind == "model":
        recipe = CLONE / "training" / "recipes" / f"{words['name']}.yaml"
        _expect_free(recipe)
        return [_write(recipe, templates.RECIPE, {**words, "file": words["name"], "command": words["name"], "license": ""})]
    if kind == "family":
        module, table = CLONE / "zoo" / "families" / f"{stem}.py", CLONE / "tests" / "tiny_networks.py"
        _expect_free(module)
        _add_line(table, r"^CONFIGS = \{\n", f'    "{words["name"]}": {{"inputs": 7}},\n')
        return [_write(module, templates.FAMILY, words), table]
    module, table = CLONE / "zoo" / "data" / f"{stem}.py", CLONE / "zoo" / "data" / "dataset.py"
    test = CLONE / "tests" / f"test_{stem}.py"
    _expect_free(module, test)
    _add_line(table, r'^    "zoo\.datasets",\n    \{\n', f'        "{words["name"]}": "zoo.data.{stem}",\n')
    return [_write(module, templates.DATASET, words), _write(test, templates.DATASET_TEST, words), table]


def _add_line(path: Path, after: str, line: str) -> None:
    text = path.read_text(encoding="utf-8")
    if (found := re.search(after, text, re.MULTILINE)) is None:
        raise ZooError(f"{path} has no place for {line.strip()}: it is not the file of this version of physzoo")
    write_whole(path, text[: found.end()] + line + text[found.end() :])


def _in_package(kind: Kind, words: dict[str, str], root: Path) -> list[Path]:
    """In a package of one's own, whose entry points tell what it adds."""
    project = root / "pyproject.toml"
    distribution, package, made = _project(root)
    words = {**words, "distribution": distribution, "package": package}
    source, stem, name = root / package, words["stem"], words["name"]
    if kind == "model":
        recipe = source / f"{name}.yaml"
        _expect_free(recipe)
        command = f"--recipe {recipe} --folder {source / 'models' / name}"
        files = [
            _write(recipe, templates.RECIPE, {**words, "file": str(recipe), "command": command, "license": templates.LICENSE})
        ]
    else:
        module, test = source / f"{stem}.py", root / "tests" / f"test_{stem}.py"
        _expect_free(module, test)
        template, check = {
            "family": (templates.FAMILY, templates.FAMILY_TEST),
            "dataset": (templates.DATASET, templates.DATASET_TEST),
        }[kind]
        files = [_write(module, template, words), _write(test, check, words)]
    if made:
        for init in (source / "__init__.py", source / "models" / "__init__.py"):
            files.append(_write(init, '"""What $distribution adds to physzoo."""\n', words))
        _write(project, templates.PROJECT, words)
    if kind != "model":
        group = {"family": "zoo.families", "dataset": "zoo.datasets"}[kind]
        _add_entry_point(project, group, f'{name} = "{package}.{stem}:{words["cls"]}"')
    return [*files, project] if made or kind != "model" else files


def _project(root: Path) -> tuple[str, str, bool]:
    """Name of the distribution, its package, and whether both are yet to be made."""
    import tomllib

    file = root / "pyproject.toml"
    if file.is_file():
        name = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
        package = re.sub(r"\W", "_", name)
        if not (root / package).is_dir():
            raise ZooError(f"{file} is of {name}, expected a package {package} beside it: make one, or choose another folder")
        return name, package, False
    if root.exists() and any(root.iterdir()):
        raise ZooError(f"{root} holds files and no pyproject.toml: choose a new folder")
    name = root.resolve().name
    return name, re.sub(r"\W", "_", name), True


def _add_entry_point(project: Path, group: str, line: str) -> None:
    """Add a line to a group of entry points, which is begun at the end where there is none."""
    text = project.read_text(encoding="utf-8")
    header = f'[project.entry-points."{group}"]\n'
    if header not in text:
        text = f"{text.rstrip()}\n\n{header}"
    write_whole(project, text.replace(header, f"{header}{line}\n", 1))
