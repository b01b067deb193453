"""What the machine writes on a model's card: front matter for the Hub, how the model is used, and its headline numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from zoo.model.license import UNKNOWN, hub_license
from zoo.model.spec import LIBRARIES, OUTSIDE, TEST_TENSORS, WEIGHTS, Metric, ModelSpec, onnx_file

OURS = "apache-2.0"
"""License of a model whose data a recipe makes, which is that of physzoo."""
HUB_DATA = r"\b(?:huggingface|hf)\.co/datasets/([\w.-]*\w/[\w.-]*\w)"
"""The address of a data set on the Hub, as a citation has it, with the identifier there."""
HEADLINES = 6
"""A card shows at most as many numbers."""

SPELLED_OUT = 2
"""Inputs that the code on a card names one by one, at most; of more, its line would be too long to read."""

_LIBRARY_TAGS = {"keras": ["keras"], "sklearn": ["sklearn", "scikit-learn"]}


def headline(spec: ModelSpec) -> list[Metric]:
    """The numbers that a card shows.

    They are the first six with an interval, measured on the model itself and its own test split: names with a slash are of
    variants and of further test sets. A model without any such number shows its first ones.
    """
    own = [metric for metric in spec.metrics if "/" not in metric.name and metric.split == "test"]
    return ([metric for metric in own if metric.interval] or own)[:HEADLINES]


def front_matter(spec: ModelSpec) -> str:
    """What the Hugging Face Hub reads of a card, as YAML whose values are JSON, which YAML takes as it is.

    The library is physzoo whatever the model is made with: of ``keras`` the Hub shows code that does not load it. It links base
    model and data sets by their identifiers there (huggingface.co/docs/hub/model-cards); a base model that is not there has the
    name by which physzoo loads it, which no owner's repository has.
    """
    pipeline = next((tag for tag in ("tabular-classification", "tabular-regression") if tag[8:] in spec.task), None)
    tags = ["physics", *(spec.data.fields or []), "physzoo", "onnx", spec.family, spec.task, *_LIBRARY_TAGS[spec.library]]
    lines = [*hub_license(spec.data.license or OURS), "library_name: physzoo"]
    lines += [f"base_model: {json.dumps(spec.lineage.hub or spec.lineage.parent)}"] if spec.lineage else []
    cited = re.findall(HUB_DATA, spec.data.citation or "")
    lines += [f"datasets: {json.dumps(list(dict.fromkeys(cited)))}"] if cited else []
    lines += [f"pipeline_tag: {pipeline}"] if pipeline else []
    lines.append(f"tags: {json.dumps(tags)}")
    if metrics := headline(spec):
        source = json.dumps(spec.data.source)
        lines += ["model-index:", f"- name: {spec.name}", "  results:", f"  - task: {{type: {spec.task}}}"]
        lines += [f"    dataset: {{name: {source}, type: {source}, split: test}}", "    metrics:"]
        lines += [
            f"    - {{type: {json.dumps(metric.name)}, value: {_number(metric.value)}, name: {json.dumps(metric.name)}}}"
            for metric in metrics
        ]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """A number as YAML 1.1 takes it for one, which asks for a point before an exponent."""
    mantissa, e, exponent = repr(value).partition("e")
    return repr(value) if not e or "." in mantissa else f"{mantissa}.0e{exponent}"


def _use(spec: ModelSpec, address: str) -> str:
    """A summary, five lines of Python and one command, as far as the files of the folder allow."""
    parts = [spec.summary]
    endpoint = spec.default_endpoint
    rows = {tensor.name: f'rows["{endpoint}/in/{tensor.name}"]' for tensor in spec.endpoints[endpoint].inputs}
    if spec.file(WEIGHTS):
        given = ", ".join(f"{name}={value}" for name, value in rows.items())
        if len(rows) > SPELLED_OUT:
            given = f'{{name: rows[f"{endpoint}/in/{{name}}"] for name in {json.dumps([*rows])}}}'
        parts.append(_python("import zoo", f'zoo.load("{address}")', f'model.endpoint("{endpoint}")({given})'))
    elif spec.file(onnx_file(endpoint)):
        given = ", ".join(f'"{name}": {value}' for name, value in rows.items())
        parts.append(
            _python("from zoo.serving import Session", f'Session("{address}")', f'model.run({{{given}}}, "{endpoint}")')
        )
    if spec.file(onnx_file(endpoint)):
        parts.append(f"```\nzoo predict {address} --endpoint {endpoint}\n```")
    return "\n\n".join([*parts, _origin(spec, address)]) + "\n"


def _python(imported: str, model: str, answer: str) -> str:
    lines = ["```python", "import numpy as np", imported, "", f"model = {model}"]
    lines += [f'rows = np.load(model.folder.path("{TEST_TENSORS}"))', f"answer = {answer}", "```"]
    return "\n".join(lines)


def _origin(spec: ModelSpec, address: str) -> str:
    said = [f"Family `{spec.family}`", f"task `{spec.task}`", f"revision {spec.revision}"]
    if spec.library != "keras":
        said.append(f"made with {LIBRARIES[spec.library]}, not a Keras model")
    if spec.lineage:
        said.append(f"made from `{spec.lineage.parent}@{spec.lineage.revision}`")
    text = f"{', '.join(said)}.\n`zoo show {address}` says what each tensor is, its unit and the range it was trained on."
    jets = dict.fromkeys(t.jet.words for endpoint in spec.endpoints.values() for t in endpoint.inputs if t.jet)
    text += "".join(f" It was trained on {words}, and refuses others." for words in jets)
    if spec.export.reduced:
        text += f" Large matrices of the graphs are in {spec.export.reduced.precision}; `model.json` says what that changes."
    return text + _terms(spec)


def _terms(spec: ModelSpec) -> str:
    """License and citation of a user's data; nothing of data that a recipe makes, whose works the prose of the card names."""
    data, said = spec.data, []
    if data.license:
        said.append(f"The license of its data, `{data.source}`, is {'not known' if data.license == UNKNOWN else data.license}.")
    if data.citation:
        said.append(f"Who uses the model cites for its data: {data.citation}")
    return f"\n\n{_line(' '.join(said))}" if said else ""


def _numbers(spec: ModelSpec, address: str) -> str:
    """The headline numbers, after what one must know beside them."""
    notes = "".join(f"**Note.** {_line(note)}\n\n" for note in spec.notes or [])
    if not spec.metrics:
        return f"{notes}Nothing was measured.\n"
    rows = (
        (
            metric.name,
            f"{metric.value:.4g}",
            f"{metric.interval[0]:.4g} to {metric.interval[1]:.4g}" if metric.interval else "",
            f"{metric.baseline:.4g} ({metric.baseline_name})" if metric.baseline is not None else "",
            metric.n,
        )
        for metric in headline(spec)
    )
    table = _table(("Held-out metric", "Value", "95% interval", "Baseline", "n"), rows)
    table += _outside(spec)
    others = len(spec.metrics) - len(headline(spec))
    table += f"\n`metrics.json` holds these and {others} more, and how each was measured.\n" if others else ""
    if spec.verdict:
        table += "\n**Verdict.**\n\n" + "".join(f"- {_line(sentence)}\n" for sentence in spec.verdict)
    return notes + table + (f"\n**Limit.** {_line(spec.limit.words(spec.metrics))}\n" if spec.limit else "")


def _outside(spec: ModelSpec) -> str:
    """What a classifier says of rows that are of none of its classes; nothing where it was not asked."""
    asked = [metric for metric in spec.metrics if metric.name.startswith(OUTSIDE)]
    names = [metric.name.removeprefix(OUTSIDE).rpartition("/") for metric in asked]
    rows = (
        (
            label,
            name,
            f"{metric.value:.3g}",
            f"{metric.interval[0]:.3g} to {metric.interval[1]:.3g}" if metric.interval else "",
            metric.n,
        )
        for metric, (label, _, name) in zip(asked, names, strict=True)
    )
    said = "\nWhat it says of rows outside its classes, beside those of class 0:\n\n"
    return said + _table(("Outside the classes", "Metric", "Value", "95% interval", "n"), rows) if asked else ""


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    header = tuple(header)
    lines = (header, ("---",) * len(header), *rows)
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(value: object) -> str:
    return _line(str(value)).replace("|", r"\|")


def _line(text: str) -> str:
    return " ".join(text.split())


SECTIONS: dict[str, Callable[[ModelSpec, str], str]] = {"use": _use, "numbers": _numbers}
"""What makes the content of each section by name, from a spec and how the model is called."""
