"""What an export did, for people and for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from zoo.atomic import write_whole
from zoo.export.parity import ParityReport
from zoo.model.axes import Strict
from zoo.model.spec import LIBRARIES, Library, Reduced

REPORT = "report.json"
SUMMARY = "report.md"

_USE = {
    "onnx": 'from zoo.serving import Session\n\nSession("path/to/this/folder").run(tensors, "{endpoint}")',
    "savedmodel": 'import tensorflow as tf\n\nmodel = tf.saved_model.load("path/to/this/folder")\n'
    'model.signatures["{endpoint}"](**tensors)',
}


class ExportReport(Strict):
    """One export: which model, in which form, how close to the model in its own library."""

    name: str
    revision: str
    library: Library = "keras"
    format: Literal["onnx", "savedmodel"]
    opset: int | None
    ir_version: int | None
    """Version of the file format; None for a SavedModel, as the opset."""
    target: str | None = None
    """Where the graphs are to run, which they were checked for."""
    note: str | None = None
    """What the target has beside graphs, and why this export has none of it."""
    reduced: Reduced | None = None
    """What lower precision cost; None in float32."""
    endpoints: list[ParityReport]
    versions: dict[str, str]
    """Versions of the packages that made the export and ran it."""

    def summary(self) -> str:
        """The report in Markdown."""
        form = f"ONNX (opset {self.opset}, IR version {self.ir_version})" if self.format == "onnx" else "TensorFlow SavedModel"
        form += f", checked for {self.target}" if self.target else ""
        form += f", large matrices in {self.reduced.precision}" if self.reduced else ""
        sizes = "".join(
            f"\n{parity.endpoint} was compared with {', '.join(map(_sizes, parity.sizes))} too."
            for parity in self.endpoints
            if parity.sizes
        )
        rows = "\n".join(
            f"| {parity.endpoint} | {name} | {out.rows} | {out.max_absolute:.2g} | {out.max_relative:.2g} | {out.worst} |"
            for parity in self.endpoints
            for name, out in parity.outputs.items()
        )
        first, reduced = self.endpoints[0], ""
        if self.reduced:
            lines = "\n".join(
                f"| {endpoint} | {name} | {difference.largest:.2g} | {difference.median:.2g} |"
                for endpoint, outputs in self.reduced.differences.items()
                for name, difference in outputs.items()
            )
            reduced = f"""
Differences from the same graphs in float32 on {self.reduced.rows} rows, where {self.reduced.precision} is computed as such:

| Endpoint | Output | Largest | Median |
| --- | --- | --- | --- |
{lines}
"""
        note = f"{self.note[0].upper()}{self.note[1:]}.\n\n" if self.note else ""
        return f"""# {self.name}@{self.revision} as {form}

{note}Differences from {LIBRARIES[self.library]}, on the test tensors and convex mixtures of pairs of them; accepted are
{first.tolerance.absolute:g} + {first.tolerance.relative:g} of the value, where the card names no other for an output.{sizes}

| Endpoint | Output | Rows | Largest absolute | Largest relative | Worst [row, element] |
| --- | --- | --- | --- | --- | --- |
{rows}
{reduced}
Made with {", ".join(f"{package} {number}" for package, number in self.versions.items())}.

```python
{_USE[self.format].format(endpoint=first.endpoint)}
```
"""

    def _repr_markdown_(self) -> str:
        return self.summary()

    def write(self, folder: Path) -> None:
        """Write ``report.json`` and ``report.md``."""
        write_whole(folder / REPORT, self.model_dump_json(indent=2) + "\n")
        write_whole(folder / SUMMARY, self.summary())


def _sizes(sizes: dict[str, int]) -> str:
    return " and ".join(f"{axis} {size}" for axis, size in sizes.items())
