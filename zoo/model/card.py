"""The card of a model for people: ``README.md`` with the front matter of the Hugging Face Hub.

The machine writes the front matter and the sections between ``<!-- physzoo:begin NAME -->`` and ``<!-- physzoo:end NAME -->``
from ``model.json``; everything else is a person's prose and is kept to the letter. No program reads a number from a card.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

from zoo.atomic import whole_file
from zoo.errors import IntegrityError
from zoo.model.card_sections import SECTIONS, front_matter
from zoo.model.integrity import read_bounded, refuse_link_out
from zoo.model.model_json import read_spec
from zoo.model.spec import CARD, Metric, ModelSpec

MAX_BYTES = 2**20
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---[ \t]*(?:\n|$)", re.DOTALL)
_SECTION = re.compile(r"<!-- physzoo:begin (\w+) -->\n(.*?)<!-- physzoo:end \1 -->", re.DOTALL)
_TITLE = re.compile(r"\s*# [^\n]*\n")

TEMPLATE = """
# {name}

<!-- physzoo:begin use -->
<!-- physzoo:end use -->

## Intended use

<!-- Which question on which data does the model answer? -->

## How well

<!-- physzoo:begin numbers -->
<!-- physzoo:end numbers -->

## Limitations

<!-- Where does it fail, and what was it never shown? -->

## Citation

<!-- Which publications does it follow? -->
"""
"""Body of a new card, from a model's ``name``."""


def write_card(folder: str | Path, spec: ModelSpec, prose: str | None = None) -> None:
    """Write the card of a model's folder, or its generated parts anew.

    Parameters
    ----------
    folder : str or Path
        The folder, which is there.
    spec : ModelSpec
        What the front matter and the generated sections are made from.
    prose : str, optional
        Body of the card. Generated sections appear where it has their markers, the others below its title. By default it is
        the body of the card that is there, or a template with headings for a person to fill in.

    Raises
    ------
    IntegrityError
        The card that is there has no front matter, or a marker in the body has lost its partner; it stays what it was.
    """
    path = Path(folder) / CARD
    content = card_text(path, spec, _address(path.parent, spec), prose)
    with whole_file(path) as stream:
        stream.write(content.encode())


def card_text(path: Path, spec: ModelSpec, address: str, prose: str | None = None) -> str:
    """What ``write_card`` writes, for a model that is called in a way of its own.

    Parameters
    ----------
    path : Path
        The card, which need not be there.
    spec : ModelSpec
        What the front matter and the generated sections are made from.
    address : str
        How the code on the card calls the model.
    prose : str, optional
        As ``write_card`` takes it.

    Returns
    -------
    str
        The card.

    Raises
    ------
    IntegrityError
        As ``write_card`` does.
    """
    if prose is None:
        prose = prose_of(path) or TEMPLATE.format(name=spec.name)
    return f"---\n{front_matter(spec)}---\n{_filled(path, prose, spec, address)}"


def prose_of(card: Path, inside: Path | None = None) -> str | None:
    """The body of a card, for that of another model.

    Parameters
    ----------
    card : Path
        The card.
    inside : Path, optional
        The folder that it may not leave by a link: what is copied may be published.

    Returns
    -------
    str or None
        The body; None where there is no such file.

    Raises
    ------
    IntegrityError
        It is a link that leaves the folder, or no card.
    """
    refuse_link_out(card, inside)
    return split(card)[1] if card.is_file() else None


def check_card(folder: str | Path, metrics: dict[str, Any]) -> None:
    """Check that no number was edited by hand, in ``model.json`` or on the card.

    Parameters
    ----------
    folder : str or Path
        The model's folder.
    metrics : dict
        Content of the model's ``metrics.json``, of the right hash; its ``"metrics"`` is a list of metrics.

    Raises
    ------
    IntegrityError
        Naming the first number that differs from what was measured, and how to write it anew.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    measured = [Metric.model_validate(metric) for metric in metrics["metrics"]]
    _agree(folder / "model.json", "metrics", _facts(spec.metrics), _facts(measured))
    card = folder / CARD
    front, body = split(card)
    _agree(card, "front matter", _lines(front), _lines(front_matter(spec)))
    sections = dict(_SECTION.findall(body))
    for name, render in SECTIONS.items():
        _agree(card, f"section {name!r}", _lines(sections.get(name, "")), _lines(render(spec, _address(folder, spec))))


def split(path: Path) -> tuple[str, str]:
    """Front matter and body of a card.

    Raises
    ------
    IntegrityError
        There is no such plain file, it is larger than 1 MiB, not in UTF-8, or has no front matter.
    """
    content = read_bounded(path, MAX_BYTES)
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: expected a model card in UTF-8: {error}") from error
    if not (match := _FRONT_MATTER.match(text)):
        raise IntegrityError(f"{path}: expected a model card that starts with front matter between lines of '---'")
    return match[1], text[match.end() :]


_Fact = tuple[str, object]


def _agree(path: Path, where: str, found: list[_Fact], expected: list[_Fact]) -> None:
    for (label, value), (wanted_label, wanted) in zip_longest(found, expected, fillvalue=("nothing", None)):
        if (label, value) != (wanted_label, wanted):
            raise IntegrityError(
                f"{path}: {where}: expected {wanted_label} {wanted!r}, found {label} {value!r}:"
                " numbers are written by `zoo release`, not by hand"
            )


def _facts(metrics: list[Metric]) -> list[_Fact]:
    return [(f"{m.name} ({m.split}) {key}", value) for m in metrics for key, value in m.model_dump().items()]


def _lines(text: str) -> list[_Fact]:
    return [(f"line {number}", line) for number, line in enumerate(text.splitlines(), start=1)]


def _filled(path: Path, body: str, spec: ModelSpec, address: str) -> str:
    if "<!-- physzoo:" in _SECTION.sub("", body):
        raise IntegrityError(f"{path}: a 'physzoo:begin' or 'physzoo:end' marker has lost its partner: restore or remove it")
    there = {match[1] for match in _SECTION.finditer(body)}
    missing = "".join(
        f"\n<!-- physzoo:begin {name} -->\n<!-- physzoo:end {name} -->\n" for name in SECTIONS if name not in there
    )
    title = match.end() if (match := _TITLE.match(body)) else 0
    body = body[:title] + missing + body[title:]
    return _SECTION.sub(lambda match: _section(match[1], spec, address) if match[1] in SECTIONS else match[0], body)


def _section(name: str, spec: ModelSpec, address: str) -> str:
    return f"<!-- physzoo:begin {name} -->\n{SECTIONS[name](spec, address)}<!-- physzoo:end {name} -->"


def _address(folder: Path, spec: ModelSpec) -> str:
    """How the model is called: a released one by its name, another by the folder that one is in."""
    from zoo.model.registry import RELEASED

    return spec.name if folder.resolve().parent == RELEASED.resolve() else "."
