"""Model card <-> spec.

A card is Markdown with the front matter of the Hugging Face Hub. The machine writes the front matter and the sections
between ``<!-- physzoo:begin NAME -->`` and ``<!-- physzoo:end NAME -->``; everything else is a person's prose and is kept
to the letter. Reading a spec needs PyYAML and pydantic alone; huggingface_hub is imported where a whole card is meant.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from zoo.errors import IntegrityError
from zoo.model.card_sections import SECTIONS
from zoo.model.format1 import to_format_2
from zoo.model.spec import Metric, ModelSpec

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCard

MAX_BYTES = 2**20
MAX_DEPTH = 32
_Fact = tuple[str, object]
_FRONT_MATTER = re.compile(r"---\n(.*?)\n---[ \t]*(?:\n|$)", re.DOTALL)
_SECTION = re.compile(r"<!-- physzoo:begin (\w+) -->\n(.*?)<!-- physzoo:end \1 -->", re.DOTALL)

_LIBRARY_TAGS = {"keras": [], "sklearn": ["sklearn", "scikit-learn"]}
"""The Hub knows Keras models by their ``library_name`` alone."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

TEMPLATE = """
# {name}

<!-- physzoo:begin overview -->
<!-- physzoo:end overview -->

## Intended use

<!-- Which question on which data does the model answer? -->

## Limitations

<!-- Where does it fail, and what was it never shown? -->
"""
"""Body of a new card, of a model's ``name``."""


def read_spec(path: str | Path) -> ModelSpec:
    """The spec in the front matter of a card.

    Raises
    ------
    IntegrityError
        Naming the card and what is wrong: no such file, larger than 1 MiB, no front matter, no ``physzoo:`` block, YAML
        that is more than plain data (tags, anchors, deep nesting), or a value that the spec does not allow.
    """
    block = _front_matter(Path(path)).get("physzoo")
    if not isinstance(block, dict):
        raise IntegrityError(f"{path}: expected a 'physzoo:' block in the front matter, found none")
    try:
        return ModelSpec.model_validate(to_format_2(block))
    except ValueError as error:
        raise IntegrityError(f"{path}: the physzoo block is not a valid spec: {reasons(error)}") from error


def load_card(path: str | Path) -> ModelCard:
    """The whole card, as huggingface_hub sees it; raises as :func:`read_spec` does."""
    read_spec(path)  # refuses what huggingface_hub would parse without a limit
    from huggingface_hub import ModelCard

    try:
        card: ModelCard = ModelCard.load(Path(path))
    except ValueError as error:  # a model-index that is none
        raise IntegrityError(f"{path}: {error}") from error
    return card


def write_card(path: str | Path, spec: ModelSpec, prose: str | None = None) -> None:
    """Write a card, or write the numbers of an existing one anew.

    Parameters
    ----------
    path : of the card
    spec : what the front matter and the generated sections are made from
    prose
        Body of the card. Generated sections appear where it has their markers, the others at its end. By default the
        body of the existing card, or a template with headings for a person to fill in.

    Raises
    ------
    IntegrityError
        The existing card has no front matter, or a marker in the body has lost its partner.
    """
    from huggingface_hub import ModelCard, ModelCardData

    path = Path(path)
    if prose is None:
        prose = _body(path) if path.exists() else TEMPLATE.format(name=spec.name)
    card = ModelCard("---\n{}\n---\n")
    card.data = ModelCardData(
        license="apache-2.0",
        library_name=spec.library,
        tags=["physics", "physzoo", "onnx", spec.family, spec.task, *_LIBRARY_TAGS[spec.library]],
        pipeline_tag=next((tag for tag in ("tabular-classification", "tabular-regression") if tag[8:] in spec.task), None),
        model_name=spec.name,
        eval_results=_eval_results(spec) or None,
        physzoo=_flow(spec.model_dump(mode="json", exclude_none=True)),
    )
    card.text = _fill(path, prose, spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".card-") as folder:
        new = Path(folder) / path.name
        card.save(new)
        if read_spec(new) != spec:
            raise IntegrityError(f"{path}: the spec does not survive writing and reading; is one of its numbers NaN?")
        os.replace(new, path)


def check_card(path: str | Path, metrics: Mapping[str, Any]) -> None:
    """Check that no number of a card was edited by hand.

    Parameters
    ----------
    path : of the card
    metrics : content of the model's verified ``metrics.json``; its ``"metrics"`` is a list of metrics

    Raises
    ------
    IntegrityError
        Naming the first number of the physzoo block, the model-index or a generated section that differs from what was
        measured, and how to write it anew.
    """
    spec = read_spec(path)
    measured = [Metric.model_validate(metric) for metric in metrics["metrics"]]
    results = load_card(path).data.get("eval_results", [])
    sections = dict(_SECTION.findall(_body(Path(path))))
    _agree(path, "physzoo block", _metric_facts(spec.metrics), _metric_facts(measured))
    _agree(path, "model-index", _result_facts(results), _result_facts(_eval_results(spec)))
    for name, (_, render) in SECTIONS.items():
        _agree(path, f"section {name!r}", _lines(sections.get(name, "")), _lines(render(spec)))


def _agree(path: str | Path, where: str, found: list[_Fact], expected: list[_Fact]) -> None:
    for (label, value), (wanted_label, wanted) in zip_longest(found, expected, fillvalue=("nothing", None)):
        if (label, value) != (wanted_label, wanted):
            raise IntegrityError(
                f"{path}: {where}: expected {wanted_label} {wanted!r}, found {label} {value!r}:"
                " numbers are written by `zoo release`, not by hand"
            )


def _metric_facts(metrics: Iterable[Metric]) -> list[_Fact]:
    facts = [(f"{m.name} ({m.split}) {key}", value) for m in metrics for key, value in m.model_dump().items()]
    return sorted(facts, key=itemgetter(0))


def _result_facts(results: Iterable[EvalResult]) -> list[_Fact]:
    # huggingface_hub regroups results by split, hence the sorting.
    return sorted(((f"{r.metric_name} ({r.dataset_split})", r.metric_value) for r in results), key=itemgetter(0))


def _lines(text: str) -> list[_Fact]:
    return [(f"line {number}", line) for number, line in enumerate(text.splitlines(), start=1)]


def _front_matter(path: Path) -> dict[str, Any]:
    text = _split(path)[0]
    try:
        _refuse_unplain(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - the C build of the safe loader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or number that only looks like one
        raise IntegrityError(f"{path}: the front matter is not plain YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise IntegrityError(f"{path}: expected a mapping as front matter, found {type(content).__name__}")
    return content


def _body(path: Path) -> str:
    return _split(path)[1]


def _split(path: Path) -> tuple[str, str]:
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise IntegrityError(f"{path}: expected a model card, which cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise IntegrityError(f"{path}: expected a model card of at most {MAX_BYTES} bytes, this file is larger")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: expected a model card in UTF-8: {error}") from error
    if not (match := _FRONT_MATTER.match(text)):
        raise IntegrityError(f"{path}: expected a model card that starts with front matter between lines of '---'")
    return match[1], text[match.end() :]


def _refuse_unplain(text: str) -> None:
    """Anchors can expand a few lines without bound and deep nesting overflows libyaml's stack; its parse events do neither."""
    event: Any
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise yaml.YAMLError(f"tags, anchors and aliases are not accepted, line {event.start_mark.line + 2}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep, line {event.start_mark.line + 2}")


def reasons(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    reasons = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False, include_input=False)]
    return "; ".join(reasons[:5]) + (f"; and {len(reasons) - 5} more" if len(reasons) > 5 else "")


def _eval_results(spec: ModelSpec) -> list[EvalResult]:
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=spec.task,
            dataset_type=spec.data.source,
            dataset_name=spec.data.source,
            dataset_split=metric.split,
            metric_type=metric.name,
            metric_name=metric.name,
            metric_value=metric.value,
        )
        for metric in spec.metrics
    ]


class _FlowList(list[Any]):
    """Written on wrapped lines; the 215 bounds of a spectrum would else take 215 lines."""


yaml.add_representer(_FlowList, lambda dumper, numbers: dumper.represent_sequence("tag:yaml.org,2002:seq", numbers, True))


def _flow(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _flow(item) for key, item in value.items()}
    if isinstance(value, list):
        return _FlowList(value) if all(isinstance(item, int | float) for item in value) else [_flow(item) for item in value]
    return value


def _fill(path: Path, body: str, spec: ModelSpec) -> str:
    if "<!-- physzoo:" in _SECTION.sub("", body):
        raise IntegrityError(f"{path}: a 'physzoo:begin' or 'physzoo:end' marker has lost its partner: restore or remove it")
    there = {match[1] for match in _SECTION.finditer(body)}
    missing = [f"\n## {title}\n\n{_section(name, spec)}\n" for name, (title, _) in SECTIONS.items() if name not in there]
    return _SECTION.sub(lambda match: _section(match[1], spec) if match[1] in SECTIONS else match[0], body) + "".join(missing)


def _section(name: str, spec: ModelSpec) -> str:
    return f"<!-- physzoo:begin {name} -->\n{SECTIONS[name][1](spec)}<!-- physzoo:end {name} -->"
