"""One page about a run for a browser: its verdict, numbers, figures, failures, and what it was made of.

The page holds all of itself: figures are inside it, it asks for no other file and runs no script, which its policy says to the
browser too. Whatever stands on it is a user's own as often as ours, so all of it is escaped.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.atomic import write_whole
from zoo.interpret.inline_picture import inline_picture
from zoo.model.spec import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.training.failures import Failure

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: .3rem .7rem; text-align: left; vertical-align: top; }
img { max-width: 100%; }
pre { background: #f5f5f5; padding: .7rem; overflow-x: auto; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def write_report(
    path: Path,
    title: str,
    verdict: Sequence[str],
    metrics: Sequence[Metric],
    figures: Mapping[str, Figure],
    failures: Sequence[Failure],
    provenance: Mapping[str, Any],
) -> None:
    """Write the page, whole or not at all.

    Parameters
    ----------
    path : Path
        The file.
    title : str
        What the page is about.
    verdict : sequence of str
        Sentences of ``zoo.workflows.verdict``.
    metrics : sequence of Metric
        What was measured.
    figures : mapping of str to Figure
        Figures by name.
    failures : sequence of Failure
        The test rows that the model answers worst.
    provenance : mapping of str to Any
        What the run was made of, plain data by what to call it.
    """
    parts = [
        f"<h1>{escape(title)}</h1>",
        "<h2>Verdict</h2>",
        "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in verdict) + "</ul>",
        "<h2>Held-out metrics</h2>",
        _table(("metric", "value", "95% interval", "baseline", "n", "how it was measured"), map(_measured, metrics)),
        "<h2>Figures</h2>",
        *(_figure(name, figure) for name, figure in figures.items()),
    ]
    if failures:
        cells = ((one.row, one.group, f"{one.loss:.4g}", one.target, one.answer) for one in failures)
        parts += ["<h2>Test rows of the largest loss</h2>", _table(("row, from 0", "group", "loss", "target", "answer"), cells)]
    parts.append("<h2>Provenance</h2>")
    for name, value in provenance.items():
        if value:
            parts.append(f"<h3>{escape(name)}</h3><pre>{escape(_plain(value))}</pre>")
    head = (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style>'
    )
    body = "\n".join(parts)
    write_whole(path, f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n')


def _measured(metric: Metric) -> tuple[object, ...]:
    low_high = "" if metric.interval is None else "{:.4g} to {:.4g}".format(*metric.interval)
    baseline = "" if metric.baseline is None else f"{metric.baseline:.4g} ({metric.baseline_name})"
    return metric.name, f"{metric.value:.4g}", low_high, baseline, metric.n, metric.detail


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _figure(name: str, figure: Figure) -> str:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, format="png")
    words = name.replace("_", " ")
    return f"<h3>{escape(words)}</h3>{inline_picture(words, drawn.getvalue())}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
