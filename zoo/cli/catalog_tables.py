"""What ``zoo list``, ``zoo show`` and ``zoo compare`` show a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.padding import Padding
from rich.text import Text

from zoo.cli.tables import VALUE, shown_unit, table_of, tensor_meaning, tensor_range, tensor_shape
from zoo.model.card_sections import headline
from zoo.model.metric_text import metric_unit, value_text
from zoo.model.spec import Metric, ModelSpec

if TYPE_CHECKING:
    from zoo.model.model_json import Summary
    from zoo.workflows.compare import Compared, Latency

WIDTH = 80
"""Columns that a line of the list takes, unless names are longer than they ever were."""
LEAST = 8
"""Letters of a cell that stay, however little room there is."""
REASONS = 3
"""Reasons for which models were not measured that a list gives."""
MORE, LINES = 6, 17
"""Metrics that a model is shown with, where they and its tensors have no more than so many lines of a screen of 24."""


def listed(found: Sequence[Summary], *, long: bool = False, times: Mapping[str, Latency] | None = None) -> list[RenderableType]:
    """A line a model, under its task: name, first metric with unit and interval, size.

    In ``long``, its family and what it does follow. With ``times``, by name, those take the room of the intervals.
    """
    if not found:
        return ["no model has such a name, task and family; zoo list shows all"]
    lines: list[RenderableType] = []
    for task in sorted({one.task for one in found}):
        lines.append(Text(task, style="bold", no_wrap=True))
        group = [one for one in found if one.task == task]
        values = {one.name: value_text(one.metric, one.unit, interval=times is None) if one.metric else "" for one in group}
        # Columns align within a task, as the longest name of one and the longest value of another do not fit on a line.
        name, value = max(map(len, values)), max(map(len, values.values()))
        rest = max(LEAST, WIDTH - name - value - len(_size(0)) - 3 - (0 if times is None else 1 + len(_time(0))))
        for one in group:
            metric = _cut(one.metric.name if one.metric else "", rest)
            line = f"{one.name:{name}} {metric:{rest}} {values[one.name]:{value}} {_size(one.bytes)}"
            if times is not None:
                line += f" {_time(times[one.name].ms)}"
            lines.append(Text(line.rstrip(), no_wrap=True, overflow="ignore"))
            if long:
                lines.append(Padding(Text(f"{one.family}: {one.summary}"), (0, 0, 0, 4)))
    if times is None:
        return [*lines, f"{_models(len(found))}; intervals hold 95%, sizes are of all files"]
    about = f"{_models(len(found))}; sizes are of all files, times of one row on one thread of this CPU"
    return [*lines, about, *_unmeasured(times)]


def _unmeasured(times: Mapping[str, Latency]) -> list[RenderableType]:
    """Why models were not measured, each reason once."""
    names: dict[str, list[str]] = {}
    for name, time in times.items():
        if time.error is not None:
            names.setdefault(time.error, []).append(name)
    said = [f"no time of {', '.join(of)}: {error}" for error, of in names.items()]
    if len(said) > REASONS:
        said[REASONS:] = [f"… and of {sum(map(len, list(names.values())[REASONS:]))} more, for reasons that --json has"]
    return [Constrain(Text(line), WIDTH) for line in said]


def _models(count: int) -> str:
    return f"{count} model{'' if count == 1 else 's'}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip(" ,") + "…"


def _size(count: int) -> str:
    """Bytes in seven letters, as disks count them."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:4.1f} {unit}".rjust(7)
    return f"{count / 1e3:.0f} kB".rjust(7)


def _time(ms: float | None) -> str:
    """Milliseconds in seven letters, with the unit that suits them; blanks for what was not measured."""
    if ms is None:
        return " " * 7
    unit, factor = next(((unit, factor) for unit, factor in (("s", 1e3), ("ms", 1.0)) if ms >= factor), ("µs", 1e-3))
    return f"{ms / factor:.{1 if ms < 10 * factor else 0}f} {unit}".rjust(7)


class Lines:
    """A table of one line a row; where there is no room, the ends of cells are cut, of one column after the other.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    rows : sequence of sequence of str
        Cells of each row.
    yielding : sequence of int
        The columns that are cut, the first at first.
    """

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[str]], yielding: Sequence[int]) -> None:
        self.columns, self.rows, self.yielding = columns, rows, yielding

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines, as wide as there is room."""
        table = [self.columns, *self.rows]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        for column in self.yielding:
            beyond = sum(widths) + 2 * (len(widths) - 1) - options.max_width
            widths[column] -= max(0, min(beyond, widths[column] - LEAST))
        for i, row in enumerate(table):
            cells = (f"{_cut(cell, width):{width}}" for cell, width in zip(row, widths, strict=True))
            yield Text("  ".join(cells).rstrip(), style="" if i else "bold", no_wrap=True, overflow="ellipsis")


def brief_details(spec: ModelSpec, name: str) -> list[RenderableType]:
    """A model on one screen: each tensor on a line, and as many of its first metrics as have room."""
    tensors = [
        (
            f"{endpoint} {way}",
            t.name,
            tensor_shape(t, short=True),
            shown_unit(t.unit),
            tensor_range(t),
            tensor_meaning(t, short=True),
        )
        for endpoint, described in spec.endpoints.items()
        for way, side in (("in", described.inputs), ("out", described.outputs))
        for t in side
    ]
    first = headline(spec)[: max(2, min(MORE, LINES - len(tensors)))]
    metrics = [(metric.name, value_text(metric, metric_unit(metric, spec.units)), _baseline(metric)) for metric in first]
    more = len(spec.metrics) - len(first)
    size = _size(sum(file.bytes for file in spec.files)).strip()
    return [
        Text.assemble((spec.name, "bold"), f" revision {spec.revision}, {spec.family}, {spec.task}, {size}"),
        spec.summary,
        Lines(("endpoint", "tensor", "row", "unit", "trained range", "what"), tensors, yielding=(5, 3, 2, 1)),
        Lines(("held-out metric", VALUE, "baseline"), metrics, yielding=(2, 0)) if first else "no metrics",
        f"… {f'{more} more metrics, ' if more > 0 else ''}data: zoo show {name} --full",
    ]


def _baseline(metric: Metric) -> str:
    return "" if metric.baseline is None else f"{metric.baseline:.4g} ({metric.baseline_name})"


def comparison(found: Sequence[Compared]) -> list[RenderableType]:
    """A column a model; metrics that only one of them has are left to its own page."""
    names = [one.name for one in found]
    rows = [
        ("task", *(one.task for one in found)),
        ("family", *(one.family for one in found)),
        ("parameters", *("" if one.parameters is None else f"{one.parameters:,}" for one in found)),
        ("size", *(_size(one.bytes).strip() for one in found)),
        ("one row here", *(_time_here(one) for one in found)),
        ("ONNX opset", *(str(one.opset) for one in found)),
        ("runtimes", *(_versions(one.runtimes) for one in found)),
        ("data", *(f"{one.data.description}; {one.data.rows.get('test', 0)} test rows" for one in found)),
    ]
    counted = dict.fromkeys(chain.from_iterable(([m.name for m in one.metrics]) for one in found))
    by_name = [{metric.name: metric for metric in one.metrics} for one in found]
    shared = [name for name in counted if sum(name in metrics for metrics in by_name) > 1 or len(found) == 1]
    for name in shared:
        said = (
            value_text(metrics[name], one.units.get(name, "")) if name in metrics else ""
            for metrics, one in zip(by_name, found, strict=True)
        )
        rows.append((name, *said))
    notes = []
    if len({(one.data.source, one.data.seed, str(one.data.parameters)) for one in found}) > 1 and shared:
        notes.append("their held-out rows are not the same: the metrics compare only as far as the data do")
    if not shared:
        notes.append("no metric is of more than one of them")
    return [table_of(_models(len(found)), "", *names, rows=rows), *notes]


def _time_here(one: Compared) -> str:
    if one.latency.error is not None:
        return f"not measured: {one.latency.error}"
    return f"{_time(one.latency.ms).strip()} ({one.endpoint})"


def _versions(runtimes: Sequence[str]) -> str:
    """The versions of each runtime behind its name, said once."""
    grouped: dict[str, list[str]] = {}
    for runtime in runtimes:
        name, _, version = runtime.rpartition(" ")
        grouped.setdefault(name, []).append(version)
    return "; ".join(f"{name} {', '.join(versions)}" for name, versions in grouped.items())
