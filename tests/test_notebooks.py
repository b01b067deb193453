"""What a notebook shows of a model, an explanation, a figure and a posterior, and of progress, as IPython displays it."""

from __future__ import annotations

import io

import numpy as np
import pytest

import zoo
from zoo.interpret.plots.style import panels
from zoo.progress import console

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


def test_progress_without_ipywidgets_is_a_line(monkeypatch, capsys):
    import rich.console

    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    found = console()
    assert not found.is_jupyter
    found.file = io.StringIO()
    from rich.progress import Progress

    with Progress(console=found) as bar:
        bar.advance(bar.add_task("simulating", total=2), 2)
    assert "simulating" in found.file.getvalue()
    assert "100%" in found.file.getvalue()
