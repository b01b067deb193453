"""Latents that carry known quantities, by construction."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

import zoo
from zoo.data.dataset import Rows, get_dataset
from zoo.errors import InputError, UnknownNameError
from zoo.interpret import plots
from zoo.interpret.latents.information import information_profile
from zoo.interpret.latents.report import LatentReport, relate_latents, relate_posteriors
from zoo.interpret.latents.traversal import sample
from zoo.model.axes import fixed_axes
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor
from zoo.model.test_tensors import read_npz

ROWS = 1500


def truth(rows: int = ROWS) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "mass": rng.standard_normal(rows),
        "shape": rng.integers(3, size=rows),
        "members": rng.poisson(30.0, rows),
        "spin": rng.standard_normal(rows),
    }


def posterior(known: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Latent 0 carries mass, 1 is dead, 2 the class, 3 the count; with noise of variance 0.1, the means small where dead."""
    count = (known["members"] - 30.0) / np.sqrt(30.0)
    classes = np.sqrt(1.5) * (known["shape"] - 1.0)
    mean = np.sqrt(0.9) * np.column_stack([known["mass"], 1e-3 * known["mass"], classes, count])
    return mean, np.tile(np.log([0.1, 1.0, 0.001, 0.1]), (len(mean), 1))


@pytest.fixture(scope="module")
def report():
    known = truth()
    return relate_posteriors(*posterior(known), known, name="made by hand", seed=1)


def shown(report: LatentReport) -> str:
    """The table in a wide terminal."""
    console = Console(width=160, file=io.StringIO())
    console.print(report.table())
    return console.file.getvalue()


def test_information_by_the_estimator_that_suits(report):
    """1/2 log 10 for a quantity with a tenth of its variance as noise; log 3 for three classes apart; a count is no class."""
    gaussian = 0.5 * np.log(10)
    expected = {("latent 0", "mass"): gaussian, ("latent 2", "shape"): np.log(3), ("latent 3", "members"): gaussian}
    for pair, found in report.information.items():
        assert found.value == pytest.approx(expected.get(pair, 0), abs=4 * found.error + 0.03), pair
        assert (found.components == 0) == (pair[1] == "shape")


def test_what_each_latent_is(report):
    assert report.active.tolist() == [0, 2, 3]
    assert report.use.kl[1] < 1e-5
    assert [[name for name, _ in report.ranked(latent)][:1] for latent in report.names] == [
        ["mass"],
        [],
        ["shape"],
        ["members"],
    ]
    assert np.isnan(report.linear_r2[1])
    assert report.linear_r2[[0, 2, 3]] == pytest.approx(1)
    assert "latent 1" not in report.formulae
    assert report.formulae["latent 0"].text.startswith("0.949 mass")
    assert all(formula.terms == 1 for formula in report.formulae.values())
    assert report.use.total_correlation.value == pytest.approx(0, abs=0.06)


def test_table(report):
    lines = shown(report).splitlines()
    assert "latents of made by hand, 1500 rows" in lines[0]
    (dead,) = [line for line in lines if "dead" in line]
    assert "latent 1" in dead
    assert "formula" not in dead
    first, formula = [line for line in lines if "latent 0" in line]
    assert "mass" in first
    assert re.search(r"1\.1[0-9] \+- 0\.0[2-5] .* 1\.000 \+- 0\.000", first)
    assert "mean of latent 0 = 0.949 mass" in formula
    assert "(R^2 1.000 +- 0.000" in formula
    assert any("total correlation of the active units" in line for line in lines)


def test_files(report, tmp_path):
    written = json.loads(report.save(tmp_path / "new" / "report.json").read_text())
    assert [latent["active"] for latent in written["latents"]] == [True, False, True, True]
    assert written["latents"][0]["ranked"][0] == "mass"
    assert written["latents"][0]["formula"]["symbols"] == 3
    assert "formula" not in written["latents"][1]
    arrays = read_npz(report.save(tmp_path / "report.npz"))
    assert json.loads(str(arrays["about"])) == written
    assert arrays["information"].shape == arrays["information_error"].shape == (4, 4)
    assert arrays["information"][0, 0] == report.information["latent 0", "mass"].value
    assert arrays["quantities"].tolist() == ["mass", "shape", "members", "spin"]
    assert arrays["use/kl"].shape == (4,)
    with pytest.raises(InputError, match=r"ends in \.json or \.npz"):
        report.save(tmp_path / "report.txt")


def test_figure(report):
    (ax, _) = report.plot().axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["latent 0", "latent 1\n(dead)", "latent 2", "latent 3"]
    assert ax.images[0].get_array().shape == (4, 4)


def test_nothing_found_is_said():
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((500, 2))
    found = relate_posteriors(mean, np.full((500, 2), -3.0), {"spin": rng.standard_normal(500)})
    text = shown(found)
    assert text.count("none of them") == 2
    assert text.count("no formula found; the best is") == 2


def test_all_dead():
    known = {"spin": np.random.default_rng(0).standard_normal(100)}
    found = relate_posteriors(np.zeros((100, 2)), np.zeros((100, 2)), known)
    assert found.active.size == 0
    assert found.formulae == {}


@pytest.mark.parametrize(
    ("mean", "quantities", "message"),
    [
        (np.zeros((49, 1)), {"m": np.arange(49.0)}, "at least 50 rows and one quantity, given 49 and 1"),
        (np.zeros((60, 1)), {}, "given 60 and 0"),
        (np.zeros((60, 1)), {"m": np.ones(60)}, "m is constant, 1 in every row: leave it out"),
        (np.zeros((60, 1)), {"m": np.append(np.arange(59.0), np.nan)}, "m: 1 values are NaN"),
        (np.zeros((60, 1)), {"m": np.arange(59.0)}, "m: expected 60 numbers"),
        (np.zeros((60, 1)), {"m": np.array(["a"] * 60)}, "m: expected numbers, given 'a'"),
        (np.full((60, 1), np.nan), {"m": np.arange(60.0)}, "mean and log-variance must be finite"),
        (np.zeros(60), {"m": np.arange(60.0)}, r"shape \(n, latents\)"),
    ],
)
def test_bad_posteriors(mean, quantities, message):
    with pytest.raises(InputError, match=message):
        relate_posteriors(mean, np.zeros_like(mean), quantities)


# Tests of models follow.


class Cut:
    """Rows that are made when they are asked for; knows the most that were asked for at once."""

    def __init__(self, rows: np.ndarray) -> None:
        self.rows, self.most = rows, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        found = self.rows[index]
        self.most = max(self.most, len(found))
        return np.broadcast_to(found[:, None], (len(found), WIDTH)).astype(np.float32)


WIDTH = 2**15


class Encoder:
    """Mean: the first two cells of an image; the interface of a loaded model."""

    spec = ModelSpec(
        name="tiny",
        family="ive",
        config={},
        task="regression",
        summary="",
        endpoints={
            "encode": Endpoint(
                description="",
                inputs=[Tensor(name="cells", axes=fixed_axes("cells", [WIDTH]), unit="1", description="", low=-6.0, high=6.0)],
                outputs=[
                    Tensor(name=name, axes=fixed_axes(name, [2]), unit="1", description="") for name in ("mean", "log_variance")
                ],
            )
        },
        data=Data(source="", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )

    def endpoint(self, name):
        return lambda cells, **_: {"mean": cells[:, :2] * [1, 0], "log_variance": np.log([0.1, 1.0]) + 0 * cells[:, :2]}


def cells(rows: int = 300, **changes) -> Rows:
    values = np.random.default_rng(0).standard_normal(rows)
    given = {"inputs": {"cells": Cut(values)}, "target": values, "group": np.arange(rows), "truth": {"value": values}}
    return Rows(**given | changes)


def test_rows_are_cut_in_batches_and_paired_with_their_truth():
    data = cells()
    found = relate_latents(Encoder(), data, rows=200, search="polynomial")
    assert found.rows == 200
    assert data.inputs["cells"].most == 64
    assert found.active.tolist() == [0]
    assert found.formulae["latent 0"].r2 == pytest.approx(1)  # one shifted row would show
    assert relate_latents(Encoder(), data, rows=200, search="polynomial").information == found.information


def test_chosen_quantities():
    values = np.random.default_rng(0).standard_normal(300)
    data = cells(truth={"value": values, "unknown": np.full(300, np.nan)})
    assert relate_latents(Encoder(), data, quantities=["value"], search="polynomial").quantities == ("value",)
    with pytest.raises(UnknownNameError, match="no quantity named 'valu'; did you mean value"):
        relate_latents(Encoder(), data, quantities=["valu"])
    with pytest.raises(InputError, match="unknown: 300 values are NaN"):
        relate_latents(Encoder(), data)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (cells(inputs={"image": np.zeros((300, 2))}), {}, "encode of tiny takes cells, given image"),
        (cells(truth={"value": np.zeros(200)}), {}, "the same number of each"),
        (cells(truth={}), {}, "one quantity, given 300 and 0"),
        (cells(), {"rows": 0}, "at least one row"),
        (cells(inputs={"cells": np.zeros((300, 8))}), {}, r"expected shape \(batch, 32768\), given \(300, 8\)"),
        (cells(inputs={"cells": np.full((300, WIDTH), 7, np.float16)}), {}, "expected -6 to 6, given 7"),
    ],
)
def test_bad_data(data, options, message):
    with pytest.raises(InputError, match=message):
        relate_latents(Encoder(), data, **options)


def test_models_that_do_not_fit():
    model = Encoder()
    model.spec = model.spec.model_copy(update={"endpoints": {"predict": model.spec.endpoints["encode"]}})
    with pytest.raises(UnknownNameError, match="encode"):
        relate_latents(model, cells())
    bare = model.spec.endpoints["predict"].model_copy(update={"outputs": model.spec.endpoints["predict"].outputs[:1]})
    model.spec = model.spec.model_copy(update={"endpoints": {"encode": bare}})
    with pytest.raises(InputError, match="mean and log_variance"):
        relate_latents(model, cells())


def test_the_pendulums_latents_are_damping_and_stiffness():
    """SciNet's result: one latent each, the third is dead."""
    dataset = get_dataset("pendulum", test=2000)
    found = relate_latents(zoo.load("ive-pendulum"), dataset.rows("test"))
    best = {latent: found.ranked(latent)[0][0] for latent in found.formulae}
    assert sorted(best.values()) == ["damping", "stiffness"]
    for latent, quantity in best.items():
        others = [found.information[pair].value for pair in found.information if (pair[0] == latent) != (pair[1] == quantity)]
        assert found.information[latent, quantity].value > 5 * max(others)
        assert found.formulae[latent].found
        assert found.formulae[latent].r2 > 0.97
        assert quantity in found.formulae[latent].text


def test_the_figure_of_the_paper():
    """A latent that sets the inner radii and one that sets the outer, as `information_profile` gives them."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((300, 2))
    drawn = sample(mean, np.full((300, 2), -4.0))
    share, radius = np.linspace(0.9, 0, 4), np.geomspace(0.2, 3, 4)
    profile = mean[:, :1] * share + mean[:, 1:] * share[::-1] + 0.3 * rng.standard_normal((300, 4))
    values, errors = information_profile({"inner": drawn[:, 0], "outer": drawn[:, 1]}, profile)
    figure = plots.information_along_query(radius, values, errors, "r / R200m", 1.0, ["inner", "outer"])
    (ax,) = figure.axes
    assert ax.get_xscale() == "log"
    inner, outer, boundary = ax.lines
    np.testing.assert_array_equal(inner.get_ydata(), values[0])
    assert inner.get_ydata()[0] > 5 * abs(outer.get_ydata()[0])
    assert list(boundary.get_xdata()) == [1, 1]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx((values + errors)[0].max())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["inner", "outer"]
