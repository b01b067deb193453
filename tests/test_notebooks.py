"""What a notebook shows of a model, an explanation, a figure and a posterior, and of progress, as IPython displays it."""

from __future__ import annotations

import re

import numpy as np
import pytest

import zoo
from zoo.interpret.plots.style import Figures, panels
from zoo.progress import console
from zoo.serving import Session
from zoo.serving.verify import verify

formatters = pytest.importorskip("IPython.core.formatters")


def shown(thing) -> dict:
    data, _ = formatters.DisplayFormatter().format(thing)
    return data


def test_a_spec_is_its_card():
    spec = zoo.get_spec("ive-pendulum")
    text = shown(spec)["text/markdown"]
    assert text.startswith("### ive-pendulum\n")
    assert spec.summary in text
    assert "| Held-out metric |" in text


def test_pictures_appear_without_a_magic():
    figure, axes = panels(1, 1, (2, 2))
    axes[0, 0].plot(np.arange(3))
    assert shown(figure)["image/png"].startswith(b"\x89PNG")


def test_a_model_and_an_explanation():
    model = zoo.load("logistic-cmb-running")
    assert shown(model)["text/markdown"] == shown(model.spec)["text/markdown"]
    with np.load(model.folder.path("test_tensors.npz")) as rows:
        explanation = zoo.explain(model, rows["predict/in/spectrum"][:1], method="gradient")
    assert shown(explanation)["image/png"].startswith(b"\x89PNG")


def test_figures_by_name_are_shown_one_below_the_other():
    drawn = Figures({"a<b": panels(1, 1, (2, 2))[0], "ranks": panels(1, 1, (2, 2))[0]})
    assert re.findall(r'<img alt="(.*?)" src="data:image/png;base64,iVBOR', shown(drawn)["text/html"]) == ["a&lt;b", "ranks"]


def test_a_metric_a_session_and_reports():
    session = Session("mlp-jets")
    metric = next(metric for metric in session.spec.metrics if metric.name == "auc")
    said = "**auc** 0.8990 [0.8971, 0.9008], beside 0.8983 (boosted trees), n = 50,000."
    assert shown(metric)["text/markdown"].startswith(said)
    assert shown(session)["text/markdown"].startswith("### mlp-jets\n")
    assert "| predict | probability | cpu | 16 |" in shown(verify(session))["text/markdown"]


class Handle:
    """What IPython gives for an output that may be shown anew."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        self.lines.append(data["text/plain"])


def test_progress_without_ipywidgets_is_one_output(monkeypatch, capsys):
    """A notebook keeps whatever is written: moves of the cursor were a line each time, a thousand in a training."""
    import rich.console
    from rich.progress import Progress

    lines: list[str] = []

    def display(data, *, raw, display_id):
        assert (raw, display_id, lines) == (True, True, [])  # once
        lines.append(data["text/plain"])
        return Handle(lines)

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("IPython.display.display", display)
    with Progress(console=console()) as bar:
        task = bar.add_task("simulating [m]", total=2)
        bar.advance(task, 2)
    assert "100%" in lines[-1]
    assert all(line.startswith("simulating") and line.isprintable() for line in lines)
    assert capsys.readouterr() == ("", "")


def test_an_editor_completes_a_loaded_model():
    jedi = pytest.importorskip("jedi")
    program = "import zoo\nmodel = zoo.load('ive-pendulum')\nmodel."
    names = {found.name for found in jedi.Script(program).complete(3, 6)}
    assert {"endpoint", "endpoints", "spec", "folder", "config"} <= names
