"""The generated part of a model card's body: each section of a spec as Markdown, each ending in a line break."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zoo.model.spec import LIBRARIES, Bound, ModelSpec


def _overview(spec: ModelSpec) -> str:
    rows = [("Task", spec.task), ("Family", spec.family), ("Revision", spec.revision), ("physzoo", spec.physzoo_version)]
    if spec.library != "keras":
        rows.append(("Library", f"{LIBRARIES[spec.library]}: not a Keras model"))
    if spec.lineage:
        rows.append(("Fine-tuned from", f"{spec.lineage.parent}@{spec.lineage.revision}"))
        rows.append(("On data of sha256", spec.lineage.data_sha256 or "not recorded"))
    return f"{spec.summary}\n\n{_table(('', ''), rows)}"


def _metrics(spec: ModelSpec) -> str:
    header = ("Metric", "Value", "95% interval", "Baseline", "n", "Seeds", "Split", "How")
    return _table(
        header,
        (
            (
                metric.name,
                f"{metric.value:.4g}",
                f"{metric.interval[0]:.4g} to {metric.interval[1]:.4g}" if metric.interval else "",
                f"{metric.baseline:.4g} {metric.baseline_name or ''}" if metric.baseline is not None else "",
                metric.n,
                metric.seeds,
                metric.split,
                metric.detail,
            )
            for metric in spec.metrics
        ),
    )


def _endpoints(spec: ModelSpec) -> str:
    header = ("", "Tensor", "Shape", "Unit", "Trained range", "Meaning")
    tables = []
    for name, endpoint in spec.endpoints.items():
        rows = (
            (role, tensor.name, _shape(tensor.shape), tensor.unit, _range(tensor.low, tensor.high), tensor.description)
            for role, tensors in (("in", endpoint.inputs), ("out", endpoint.outputs))
            for tensor in tensors
        )
        tables.append(f"**{name}**: {endpoint.description}\n\n{_table(header, rows)}")
    return "\n".join(tables)


def _shape(shape: list[int | None]) -> str:
    return "(" + ", ".join(["batch", *map(str, shape)]) + ")"


def _range(low: Bound, high: Bound) -> str:
    if low is None and high is None:
        return ""
    lowest, highest = (min(low) if isinstance(low, list) else low), (max(high) if isinstance(high, list) else high)
    text = f"{'-inf' if lowest is None else f'{lowest:.4g}'} to {'inf' if highest is None else f'{highest:.4g}'}"
    return f"{text}, each element has its own" if isinstance(low, list) or isinstance(high, list) else text


def _data(spec: ModelSpec) -> str:
    data = spec.data
    origin = (("Source", data.source), ("Content", data.description), ("Simulator", data.simulator), ("Seed", data.seed))
    splits = ((split, rows, data.groups.get(split, "")) for split, rows in data.rows.items())
    return f"{_table(('', ''), origin)}\n{_table(('Split', 'Rows', 'Independent simulations'), splits)}"


def _exports(spec: ModelSpec) -> str:
    export, tolerance = spec.export, spec.tolerance
    rows = [
        ("ONNX opset", export.opset),
        ("ONNX IR version", export.ir_version),
        ("Run in", ", ".join(export.runtimes)),
        ("Accepted difference", f"{tolerance.absolute:g} + {tolerance.relative:g} of the value"),
        *(
            (f"Accepted difference, {name} {tensor.name}", f"{own.absolute:g} + {own.relative:g} of the value")
            for name, endpoint in spec.endpoints.items()
            for tensor in endpoint.outputs
            if (own := tensor.tolerance) is not None
        ),
        *(
            (f"Largest difference from {LIBRARIES[spec.library]}, {name}", f"{value:.2g}")
            for name, value in export.parity.items()
        ),
    ]
    if fixed := export.fixed_point:
        low, high = fixed.interval
        change = f"{fixed.metric} changes by {fixed.relative_change:.2g} of itself ({low:.2g} to {high:.2g})"
        rows.append((f"Fixed point, {fixed.tool}", f"{fixed.width} bits: {change}"))
    if reduced := export.reduced:
        rows.append(("Precision", f"large matrices in {reduced.precision}, inputs and outputs in float32"))
        if reduced.calibration:
            rows.append(("Ranges of activations from", reduced.calibration))
        rows += [
            (
                f"Difference from float32, {endpoint}, {output}",
                f"largest {d.largest:.2g}, median {d.median:.2g} ({reduced.rows} rows)",
            )
            for endpoint, outputs in reduced.differences.items()
            for output, d in outputs.items()
        ]
    return _table(("", ""), rows)


def _files(spec: ModelSpec) -> str:
    return _table(("File", "Bytes", "sha256"), ((file.path, file.bytes, file.sha256) for file in spec.files))


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    header = tuple(header)
    lines = (header, ("---",) * len(header), *rows)
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", r"\|")


SECTIONS: dict[str, tuple[str, Callable[[ModelSpec], str]]] = {
    "overview": ("Overview", _overview),
    "metrics": ("Metrics", _metrics),
    "endpoints": ("Endpoints", _endpoints),
    "data": ("Training data", _data),
    "exports": ("Exports", _exports),
    "files": ("Files", _files),
}
"""Section name -> heading and content."""
