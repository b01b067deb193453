"""What the command line shows a person."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.constrain import Constrain
from rich.table import Table
from rich.text import Text

from zoo.model.metric_text import metric_unit, value_text
from zoo.model.spec import LIBRARIES, Metric, ModelSpec, Tensor

if TYPE_CHECKING:
    import numpy as np

    from zoo.export.report import ExportReport
    from zoo.serving.verify import Report


WORD = 14
"""Letters of a word that a name is not broken within."""
VALUE = "value [95% interval]"
"""Heading of a metric's value, which is never broken into lines."""
BRIEF = 24
"""Letters of the names of all elements up to which a short line has them before what a tensor is."""
WIDTH = 80
"""Letters of a line that every terminal shows."""
SHOWN_ROWS, SHOWN_NUMBERS = 20, 8
"""How many rows of an answer a table shows, and how many numbers of a row."""


def table_of(title: str, *columns: str, rows: Iterable[Iterable[str]], whole: Collection[str] = ()) -> RenderableType:
    """A table beneath its title, which may be wider than it; cells take as many lines as they need, but for whole columns.

    The first column, by which rows are told apart, keeps words of up to `WORD` letters whole.
    """
    cells = [list(row) for row in rows]
    words = [word for row in cells for word in row[0].split()]
    table = Table()
    for place, column in enumerate(columns):
        least = min(max(map(len, words), default=0), WORD) if place == 0 else None
        table.add_column(column, overflow="fold", no_wrap=column in whole, min_width=least)
    for row in cells:
        table.add_row(*row)
    return Group(Text(title, style="bold"), table)


def model_details(spec: ModelSpec) -> list[RenderableType]:
    """Endpoints, metrics and provenance; variants and further test sets are left to the card."""
    tensors = (
        (f"{name} {direction}", t.name, tensor_shape(t), shown_unit(t.unit), tensor_range(t), tensor_meaning(t))
        for name, endpoint in spec.endpoints.items()
        for direction, side in (("in", endpoint.inputs), ("out", endpoint.outputs))
        for t in side
    )
    metrics = [metric for metric in spec.metrics if "/" not in metric.name]
    export = f"opset {spec.export.opset}, tested in {', '.join(spec.export.runtimes) or 'nothing'}"
    terms = f"; license {spec.data.license}" if spec.data.license else ""
    terms += f"; cite {spec.data.citation}" if spec.data.citation else ""
    return [
        Text.assemble(
            (spec.name, "bold"), f" revision {spec.revision}, family {spec.family}, task {spec.task}\n{spec.summary}"
        ),
        table_of(
            "endpoints",
            "endpoint",
            "tensor",
            "shape",
            "unit",
            "trained range",
            "what",
            rows=tensors,
            whole=("endpoint", "tensor"),
        ),
        metric_table(metrics, spec.units) if metrics else "no metrics on its card",
        *([f"limit: {spec.limit.words(spec.metrics)}"] if spec.limit else []),
        f"data: {spec.data.description} ({spec.data.simulator}, seed {spec.data.seed}); rows {spec.data.rows}{terms}",
        f"ONNX: {export}",
    ]


def shown_unit(unit: str) -> str:
    """A unit as tables show it: nothing for a dimensionless number."""
    return "" if unit == "1" else unit


def tensor_shape(tensor: Tensor, *, short: bool = False) -> str:
    """Lengths of the axes, with the name and the bounds of one that is free; and the dtype, where it is not the usual one.

    In ``short``, those of one row.
    """
    sizes = (f"{axis.name} {axis.least} to {axis.most}" if axis.free else str(axis.size) for axis in tensor.axes)
    if short:
        return " x ".join(sizes) + ("" if tensor.dtype == "float32" else f" {tensor.dtype}")
    axes = ", ".join(["batch", *sizes])
    return f"({axes})" if tensor.dtype == "float32" else f"({axes}) {tensor.dtype}"


def tensor_meaning(tensor: Tensor, *, short: bool = False) -> str:
    """What a tensor is, of which elements and jets, which of them are real, and along which axis its whole numbers count.

    The names of its elements come last; in ``short`` first, where a line that is cut keeps them.
    """
    labels = tensor_labels(tensor)
    names = ", ".join(labels) if len(labels) > 1 else ""
    before, after = (f"{names}: ", "") if short and 0 < len(names) <= BRIEF else ("", f"; elements {names}" if names else "")
    mask = f"; real where {tensor.mask} is true" if tensor.mask else ""
    jets = f"; of {tensor.jet.words}" if tensor.jet else ""
    along = f"; positions along {tensor.index_of}" if tensor.index_of else ""
    whole = ""
    if tensor.whole:
        some = "" if len(tensor.whole) == tensor.shape[-1] else ", ".join(labels[k] if labels else str(k) for k in tensor.whole)
        whole = f"; whole numbers{some and ': '}{some}"
    return before + tensor.description + jets + mask + along + whole + after


def tensor_range(tensor: Tensor) -> str:
    """The trained range of a tensor, in words where it is not one range for all elements."""
    if tensor.values is not None:
        return f"one of {len(tensor.values)}"
    if tensor.unbounded:
        return "any"
    low, high = (end[0] if isinstance(end, list) and len(end) == 1 else end for end in (tensor.low, tensor.high))
    if isinstance(low, list) or isinstance(high, list):
        return "per element"
    if low is None:
        return f"to {high:g}"
    return f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def metric_table(metrics: list[Metric], units: Collection[str] = ()) -> RenderableType:
    """Metrics with intervals, units and baselines, in 80 columns; with their seeds where there are several.

    Units are those of the details of a metric that are among the units of the model's tensors.
    """
    several = any(metric.seeds > 1 for metric in metrics)
    rows = (
        (
            metric.name,
            value_text(metric, metric_unit(metric, units)),
            str(metric.n),
            *((str(metric.seeds),) if several else ()),
            "" if metric.baseline is None else f"{metric.baseline:.4g} ({metric.baseline_name})",
        )
        for metric in metrics
    )
    columns = ("metric", VALUE, "n", *(("seeds",) if several else ()), "baseline")
    return Constrain(table_of("metrics on held-out data", *columns, rows=rows, whole=(VALUE, "n", "seeds")), WIDTH)


def parity_table(report: ExportReport) -> RenderableType:
    """How far each exported endpoint is from the model in its own library."""
    if report.reduced is not None:
        differences = (
            (endpoint, name, str(report.reduced.rows), f"{difference.largest:.2e}", f"{difference.median:.2e}")
            for endpoint, outputs in report.reduced.differences.items()
            for name, difference in outputs.items()
        )
        title = f"{report.reduced.precision} against float32"
        return table_of(title, "endpoint", "output", "rows", "largest |difference|", "median", rows=differences)
    rows = (
        (parity.endpoint, name, str(output.rows), f"{output.max_absolute:.2e}", f"{output.max_relative:.2e}")
        for parity in report.endpoints
        for name, output in parity.outputs.items()
    )
    return table_of(
        f"parity with {LIBRARIES[report.library]}", "endpoint", "output", "rows", "largest |difference|", "relative", rows=rows
    )


def verify_table(report: Report) -> RenderableType:
    """What ``zoo verify`` found."""
    several = len(report.devices) > 1
    rows = (
        (
            *((row.device,) if several else ()),
            row.endpoint,
            row.output,
            str(row.rows),
            f"{row.max_abs_diff:.2e}",
            "yes" if row.ok else "NO",
        )
        for row in report.rows
    )
    title = f"{report.name}@{report.revision}: {report.files} files as the card describes them; on {', '.join(report.devices)}"
    columns = ("endpoint", "output", "rows", "largest |difference|", "within tolerance")
    return table_of(title, *(("device",) if several else ()), *columns, rows=rows)


def output_table(spec: ModelSpec, endpoint: str, outputs: dict[str, np.ndarray], source: str) -> RenderableType:
    """The first rows of an endpoint's answer; elements that have names have them, or their column where that is too wide."""
    described = spec.endpoint(endpoint).outputs
    columns = [f"{tensor.name} [{tensor.unit}]" if shown_unit(tensor.unit) else tensor.name for tensor in described]
    n = len(next(iter(outputs.values())))
    first = {tensor.name: outputs[tensor.name][:SHOWN_ROWS] for tensor in described}
    cells = [[str(i) for i in range(min(n, SHOWN_ROWS))], *([_numbers(row.ravel()) for row in rows] for rows in first.values())]
    for place, tensor in enumerate(described, start=1):
        if not (labels := tensor_labels(tensor)):
            continue
        named = [_numbers(row.ravel(), labels) for row in first[tensor.name]]
        tried = [*cells[:place], named, *cells[place + 1 :]]
        if _width(["row", *columns], tried) <= WIDTH:
            cells = tried
        else:
            columns[place - 1] += f"\n{_listed(labels)}"
    rows = [list(row) for row in zip(*cells, strict=True)]
    if n > SHOWN_ROWS:
        rows.append(["…"] * (1 + len(described)))
    return table_of(f"{spec.name} {endpoint} on {source}: {n} rows", "row", *columns, rows=rows)


def tensor_labels(tensor: Tensor) -> list[str]:
    """The names of the elements of a tensor with one axis; none where they have no names."""
    return list(tensor.axes[0].labels or []) if len(tensor.axes) == 1 else []


def _width(columns: list[str], cells: list[list[str]]) -> int:
    """Letters of a line of a table with these columns, borders included."""
    widest = (max(map(len, [column, *cell])) for column, cell in zip(columns, cells, strict=True))
    return sum(width + 3 for width in widest) + 1


def _numbers(values: np.ndarray, labels: list[str] | None = None) -> str:
    """The first numbers of a row, behind their names where these are given, and dots where there are more."""
    shown = [f"{value:.5g}" for value in values]
    return _listed(shown if labels is None else [f"{label} {value}" for label, value in zip(labels, shown, strict=True)])


def _listed(words: list[str]) -> str:
    """The first of some words with commas, and dots where there are more."""
    return ", ".join(words if len(words) <= SHOWN_NUMBERS else [*words[:SHOWN_NUMBERS], "…"])
