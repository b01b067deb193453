"""What the command line says of models at hand: a line each, a screen each, and beside each other."""

from __future__ import annotations

import io
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from command_line import ok
from released_models import RELEASED
from rich.console import Console

import zoo
from zoo.cli.catalog_tables import brief_details, comparison, listed
from zoo.cli.tables import model_details, output_table, tensor_meaning
from zoo.model.card_sections import headline
from zoo.model.metric_text import metric_unit, value_text
from zoo.model.registry import summaries
from zoo.model.spec import Metric
from zoo.model.store import locate
from zoo.serving import Session
from zoo.workflows import compare as comparing
from zoo.workflows.compare import Latency, compare, latencies


def printed(*renderables: object, width: int = 80) -> list[str]:
    """Lines on a terminal of 80 columns."""
    console = Console(width=width, record=True, file=io.StringIO(), markup=False, emoji=False, highlight=False)
    for one in renderables:
        console.print(one)
    return console.export_text().splitlines()


def test_a_model_is_listed_on_one_line_of_80_columns():
    lines = ok("list").splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.split()[0] in RELEASED] == [
        one.name for one in sorted(summaries(), key=lambda one: (one.task, one.name))
    ]
    assert len(lines) == len(RELEASED) + len({one.task for one in summaries()}) + 1
    assert lines.index("classification") < next(i for i, line in enumerate(lines) if line.startswith("logistic-cmb-lensing"))
    (line,) = (line for line in lines if line.startswith("ive-pendulum"))
    assert line.split()[1:] == ["rmse", "0.004485", "[0.004445,", "0.004524]", "m", "1.0", "MB"]


def test_part_of_a_name_is_enough():
    assert zoo.list_models("halo") == [name for name in RELEASED if "halo" in name]
    assert zoo.list_models("ive-*") == [name for name in RELEASED if name.startswith("ive-")]
    assert "cnn3d-halo-mass-spherical" in ok("list", "halo")
    assert ok("list", "halos") == "no model has such a name, task and family; zoo list shows all\n"
    assert json.loads(ok("list", "halos", "--json")) == []


def test_a_long_list_has_family_and_summary_beneath_the_whole_name():
    lines = printed(*listed(summaries(), long=True))
    assert max(map(len, lines)) <= 80
    for one in summaries():
        (place,) = (i for i, line in enumerate(lines) if line.split()[0] == one.name)
        said = " ".join(" ".join(lines[place + 1 : place + 5]).split())
        assert said.startswith(f"{one.family}: {one.summary}")
    assert "    ive: SciNet's damped pendulum" in ok("list", "--long", "pendulum")


@pytest.mark.parametrize("name", RELEASED)
def test_metrics_have_whole_names_and_values_on_80_columns(name):
    """Only a baseline that is long gives way, and the end of a name that leaves no room for its value."""
    spec = zoo.get_spec(name)
    brief, full = ("\n".join(printed(*of)) for of in (brief_details(spec, name), model_details(spec)))
    room = 80 - len("  ") - 37 - len("  baseline")  # no value is longer
    for metric in headline(spec)[:2]:
        value = value_text(metric, metric_unit(metric, spec.units))
        assert value in brief
        assert value in full
        if len(metric.name) <= room:
            assert f"\n{metric.name} " in brief
    broken = [word for metric in spec.metrics for word in metric.name.split() if len(word) <= 14 and "/" not in metric.name]
    assert [word for word in broken if word not in full] == []


def test_a_list_for_scripts_has_what_one_chooses_by(load):
    (found,) = json.loads(ok("list", "--json", "mlp-jets*", "--family", "mlp"))
    spec = zoo.get_spec("mlp-jets")
    assert found["parameters"] == load("mlp-jets").count_params()
    assert found["bytes"] == sum(file.bytes for file in spec.files)
    assert found["runtimes"] == spec.export.runtimes
    assert found["metric"] == {**spec.metrics[0].model_dump(mode="json"), "unit": ""}
    (found,) = json.loads(ok("list", "--json", "ive-pendulum"))
    assert found["metric"]["unit"] == "m"


def test_a_list_opens_no_file_that_is_not_at_hand(tmp_path, monkeypatch):
    """Weights that would have to be fetched are not counted, and one damaged file takes no list down."""
    folder = shutil.copytree(locate("logistic-cmb-running").folder, tmp_path / "mine" / "logistic-mine")
    text = (folder / "model.json").read_text().replace('"logistic-cmb-running"', '"logistic-mine"')
    (folder / "model.json").write_text(text)
    (folder / "model.weights.h5").write_bytes(b"no weights")
    monkeypatch.setenv("ZOO_PATH", str(tmp_path / "mine"))
    (found,) = json.loads(ok("list", "--json", "logistic-mine"))
    assert found["parameters"] is None


def measured(latency: dict[str, object], endpoint: str) -> bool:
    """Whether a time was measured and is said with what it is of; how long it is depends on the machine and is no test."""
    low, ms, high = (latency[key] for key in ("low", "ms", "high"))
    of = f"one row of {endpoint}, onnxruntime {onnxruntime.__version__}, one CPU thread"
    return 0 < low <= ms <= high and latency["of"] == of and latency["error"] is None


@pytest.fixture
def runs(monkeypatch) -> list[tuple[str, str, int]]:
    """Model, endpoint and number of rows of each call of ONNX Runtime that a command makes."""
    made = []
    run = Session.run

    def counted(session, inputs, endpoint=None, **options):
        answer = run(session, inputs, endpoint, **options)
        made.append((session.spec.name, endpoint, len(next(iter(answer.values())))))
        return answer

    monkeypatch.setattr(Session, "run", counted)
    return made


def test_a_list_measures_only_where_it_is_asked_to(runs):
    """And as a comparison does: as many calls, of one row of the endpoint that it names."""
    assert not any("latency" in one for one in json.loads(ok("list", "two-moons", "--json")))
    ok("list", "two-moons")
    assert runs == []
    found = json.loads(ok("list", "[mr]*two-moons", "--latency", "--json"))
    names = ["maf-two-moons", "realnvp-two-moons"]
    assert [one["name"] for one in found] == names
    assert all(measured(one["latency"], "log_prob") for one in found)
    calls = comparing.WARM_UP + comparing.CALLS
    assert runs == [(name, "log_prob", 1) for name in names for _ in range(calls)]
    runs.clear()
    ok("compare", "ive-pendulum", "--json")
    assert runs == [("ive-pendulum", "predict", 1)] * calls


def test_a_latency_is_the_median_of_the_calls_that_are_not_the_first(monkeypatch):
    """By a clock whose calls take 100 s each at first, and then 1, 2, ... 50 ms."""
    calls = [100.0] * comparing.WARM_UP + [1e-3 * (1 + i) for i in range(comparing.CALLS)]
    ticks = np.cumsum([moment for took in calls for moment in (1.0, took)])
    monkeypatch.setattr(comparing, "time", SimpleNamespace(perf_counter=iter(ticks).__next__))
    found = latencies(["mlp-jets"])["mlp-jets"]
    assert found.ms == pytest.approx(25.5)
    assert (found.low, found.high) == (pytest.approx(2.225), pytest.approx(48.775))


@pytest.mark.parametrize("long", [False, True])
def test_times_of_a_list_have_room_on_80_columns(long):
    """Whole values, sizes and times of any length, though no interval."""
    given = [8.7e-3, 0.281, 9.97, 1.4, 320.0, 12_300.0, None]
    times = {one.name: Latency(ms=given[i % len(given)]) for i, one in enumerate(summaries())}
    lines = printed(*listed(summaries(), long=long, times=times))
    assert max(map(len, lines)) <= 80
    of = {line.split()[0]: line for line in lines if line.split()[0] in RELEASED}
    assert sorted(of) == sorted(RELEASED)
    shown = ["8.7 µs", "281 µs", "10.0 ms", "1.4 ms", "320 ms", "12 s", "B"]
    for i, one in enumerate(summaries()):
        assert of[one.name].endswith(f" {shown[i % len(given)]}".replace(" B", "B"))
        assert value_text(one.metric, one.unit, interval=False) in of[one.name]
    assert "times of one row" in lines[-1]


def test_what_cannot_be_measured_says_why_and_the_others_are(tmp_path, monkeypatch):
    """No graph at all, a graph that is no graph, and a spec of which a list reads no more than what is valid."""
    for name in ("logistic-bare", "logistic-damaged", "logistic-odd", "logistic-whole"):
        folder = shutil.copytree(locate("logistic-cmb-running").folder, tmp_path / "mine" / name)
        spec = json.loads((folder / "model.json").read_text())
        spec["name"] = name
        if name == "logistic-bare":
            spec["files"] = [file for file in spec["files"] if not file["path"].endswith(".onnx")]
        if name == "logistic-odd":
            spec["endpoints"]["predict"]["inputs"][0]["dtype"] = "complex64"
        if name == "logistic-damaged":
            (folder / "predict.onnx").write_bytes(b"no graph")
        (folder / "model.json").write_text(json.dumps(spec))
    monkeypatch.setenv("ZOO_PATH", str(tmp_path / "mine"))
    names = ["logistic-bare", "logistic-damaged", "logistic-odd", "logistic-whole"]
    found = {one["name"]: one["latency"] for one in json.loads(ok("list", "logistic-[bdow]*", "--latency", "--json"))}
    assert list(found) == names
    assert measured(found.pop("logistic-whole"), "predict")
    assert "lists no predict.onnx: make it with zoo export" in found["logistic-bare"]["error"]
    assert "predict.onnx: expected" in found["logistic-damaged"]["error"]
    assert "is not a valid spec: endpoints.predict.inputs.0" in found["logistic-odd"]["error"]
    assert all(one["ms"] is one["low"] is one["high"] is one["of"] is None for one in found.values())
    table = ok("list", "logistic-[bdow]*", "--latency")
    assert re.search(r"logistic-whole .* (?:µs|ms)$", table, re.MULTILINE)
    assert re.search(r"logistic-bare .* kB$", table, re.MULTILINE)
    assert "no time of logistic-bare: " in table
    assert "not measured: " in ok("compare", "logistic-bare")


def test_reasons_are_said_once_and_only_the_first():
    (one,) = summaries("ive-pendulum")
    many = [one.model_copy(update={"name": f"n{i}"}) for i in range(7)]
    times = {each.name: Latency(error=f"reason {i // 2}") for i, each in enumerate(many)}
    *_, first, second, third, rest = printed(*listed(many, times=times))
    assert first == "no time of n0, n1: reason 0"
    assert (second, third) == ("no time of n2, n3: reason 1", "no time of n4, n5: reason 2")
    assert rest == "… and of 1 more, for reasons that --json has"


@pytest.mark.parametrize("name", RELEASED)
def test_a_model_is_shown_on_one_screen(name):
    spec = zoo.get_spec(name)
    lines = printed(*brief_details(spec, name))
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    rows = [line.split() for line in lines]
    for endpoint, described in spec.endpoints.items():
        for way, side in (("in", described.inputs), ("out", described.outputs)):
            for tensor in side:
                assert [endpoint, way, tensor.name] in [row[:3] for row in rows]
    assert f"zoo show {name} --full" in lines[-1]


def test_the_rest_is_shown_in_full():
    brief, full = ok("show", "mlp-cmb-feature"), ok("show", "mlp-cmb-feature", "--full")
    for text in ("recall at", "onnxruntime 1.15.0", "design seed 20181"):
        assert text in full
        assert text not in brief
    assert "probability of a log-oscillating feature, classes" in " ".join(full.split())


def test_models_stand_beside_each_other():
    shown = ok("compare", "cnn3d-halo-mass", "gbt-halo-mass")
    size = f"{sum(file.bytes for file in zoo.get_spec('gbt-halo-mass').files) / 1e3:.0f} kB"
    for text in ("0.364 [0.347, 0.378] dex", "0.463 [0.451, 0.475] dex", "277,702", size, "1.15.0"):
        assert text in shown
    assert len(re.findall(r"\d (?:µs|ms) \(predict\)", shown)) == 2
    first, second = json.loads(ok("compare", "cnn3d-halo-mass", "gbt-halo-mass", "--json"))
    assert measured(first["latency"], "predict")
    assert first["parameters"] == 277_702
    assert first["bytes"] == sum(file.bytes for file in zoo.get_spec("cnn3d-halo-mass").files)
    assert first["runtimes"] == zoo.get_spec("cnn3d-halo-mass").export.runtimes
    (listed_too,) = json.loads(ok("list", "gbt-halo-mass", "--json"))
    assert second["metric"] == listed_too["metric"]
    assert second["units"]["scatter"] == "dex"
    assert [metric["name"] for metric in first["metrics"] if "/" in metric["name"]] == []
    assert ok("compare", "gbt-halo-mass").startswith("1 model\n")


def test_a_comparison_says_what_does_not_compare():
    table, *notes = comparison(compare(["mlp-cmb-feature", "logistic-cmb-running"]))
    assert notes == ["their held-out rows are not the same: the metrics compare only as far as the data do"]
    assert "auc" in " ".join(printed(table, width=120))
    assert comparison(compare(["ive-pendulum", "mlp-jets"]))[1:] == ["no metric is of more than one of them"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("ive-pendulum", "m"),
        ("bvae-shapes3d", "nat"),
        ("nsf-two-moons", "nat"),
        ("nsf-cmb-posterior", "nat"),
        ("nsf-dijet-density", "nat"),
        ("nsf-halo-mass", "dex"),
        ("ive-synthetic-halo", "dex"),
        ("mlp-jets", ""),
        ("mlp-cmb-emulator", ""),  # in standard deviations of the noise
    ],
)
def test_the_unit_of_a_first_metric(name, unit):
    (found,) = (one for one in summaries(name) if one.name == name)
    assert found.unit == unit


def test_a_unit_is_never_guessed():
    assert metric_unit(Metric(name="rmse", value=1, n=1, detail="root mean square, GeV; bootstrap"), {"GeV", "1"}) == "GeV"
    assert metric_unit(Metric(name="rmse", value=1, n=1, detail="of the mass in GeV"), {"GeV"}) == ""
    assert metric_unit(Metric(name="auc", value=1, n=1, detail="1, area"), {"1", "log10(Msun)"}) == ""


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.69310, (0.6758, 0.7119), "0.693 [0.676, 0.712]"),
        (0.0044854, (0.0044449, 0.0045245), "0.004485 [0.004445, 0.004524]"),
        (4024.97, (4015.54, 4034.03), "4025.0 [4015.5, 4034.0]"),
        (41230.0, (40000.0, 42500.0), "41230 [40000, 42500]"),
        (1.0, (1.0, 1.0), "1 [1, 1]"),
        (3e-9, (2e-9, 4e-9), "3e-09 [2e-09, 4e-09]"),
        (5.4321e8, (5.1e8, 5.7e8), "5.432e+08 [5.1e+08, 5.7e+08]"),
        (0.123456, None, "0.1235"),
        (0.5, (0.0, 1.0), "0.50 [0.00, 1.00]"),
    ],
)
def test_a_value_has_the_digits_of_its_interval(value, interval, text):
    assert value_text(Metric(name="x", value=value, interval=interval, n=1)) == text


def test_what_is_cut_ends_in_dots_and_dimensionless_numbers_have_no_unit():
    spec = zoo.get_spec("mlp-jets")
    table = output_table(spec, "predict", {"probability": np.zeros((25, 5))}, "x[/a].npy")
    lines = printed(table)
    assert "x[/a].npy: 25 rows" in " ".join(map(str.strip, lines[:2]))
    assert lines[-2].split()[1::2] == ["…", "…"]
    assert not any("[1]" in line for line in lines)
    whole = printed(output_table(spec, "predict", {"probability": np.zeros((20, 5))}, "rows"))
    assert not any("…" in line for line in whole)


def test_an_answer_names_its_elements_within_80_columns():
    spec = zoo.get_spec("cnn2d-cosmology")
    answer = {"mean": np.array([[0.35077, 0.78616]]), "deviation": np.array([[0.075023, 0.055093]])}
    answer |= {"unlikeness": np.array([8.7109]), "filled": np.zeros(1)}
    lines = [line.replace("┃", "│").split("│") for line in printed(output_table(spec, "predict", answer, "rows"), width=80)]
    cells = [[cell.strip() for cell in line[1:-1]] for line in lines if len(line) > 2]
    assert cells == [
        ["", "mean", "deviation", "", ""],
        ["row", "omega_m, sigma8", "omega_m, sigma8", "unlikeness", "filled"],
        ["0", "0.35077, 0.78616", "0.075023, 0.055093", "8.7109", "0"],
    ]


@pytest.mark.parametrize(
    ("name", "endpoint", "told"),
    [
        ("mlp-jets", "predict", "quark 0.351, gluon 0.351, W 0.351, Z 0.351, top 0.351"),
        ("pfn-quark-gluon", "predict", "quark 0.351"),
        ("maf-field-posterior", "sample", "omega_m 0.351, sigma8 0.351"),
        ("transformer-formulae", "next_token", "begin, x1, x2, x3, x4, C, +, -, …"),
        ("mlp-cmb-emulator", "predict", "0.351, 0.351, 0.351, 0.351, 0.351, 0.351, 0.351, 0.351, …"),
    ],
)
def test_names_stand_before_numbers_where_there_is_room(name, endpoint, told):
    spec = zoo.get_spec(name)
    outputs = {tensor.name: np.full((2, *tensor.fixed_shape), 0.351) for tensor in spec.endpoint(endpoint).outputs}
    lines = printed(output_table(spec, endpoint, outputs, "rows"), width=80)
    assert any(told in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_model_is_shown_with_the_names_of_its_elements():
    spec = zoo.get_spec("cnn2d-cosmology")
    assert any("omega_m, sigma8: means of the p…" in line for line in printed(*brief_details(spec, spec.name), width=120))
    whole = (
        "omega_m, sigma8: means of the posteriors of Omega_m and sigma_8, uniform priors from 0.1 to 0.5 and from 0.6 to 1.0"
    )
    assert any(line.endswith(whole) for line in printed(*brief_details(spec, spec.name), width=240))
    written = zoo.get_spec("transformer-formulae")
    assert tensor_meaning(written.endpoint("next_token").outputs[0]).endswith(
        "; elements begin, x1, x2, x3, x4, C, +, -, *, /, pow2, pow3, sqrt, exp, log, sin, cos"
    )


def test_brackets_in_a_name_are_text():
    (one,) = summaries("ive-pendulum")
    odd = one.model_copy(update={"task": "[/m]", "metric": one.metric.model_copy(update={"name": "x [m]"})})
    lines = printed(*listed([odd]))
    assert lines[0] == "[/m]"
    assert "x [m]" in lines[1]
