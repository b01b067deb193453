"""zoo.find_anomalies on a bump in a spectrum whose background is known: what it finds, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from command_line import ok, refused
from sklearn.base import clone
from test_anomalies import QUICK, REGION, events

import zoo
from zoo.errors import InputError, UnknownNameError
from zoo.model.axes import Axis
from zoo.model.registry import get_family
from zoo.model.spec import Data, Endpoint, ModelSpec, Tensor

pd = pytest.importorskip("pandas")
N = 8000


def frame(fraction: float, seed: int, n: int = N) -> pd.DataFrame:
    """Events whose observable does not depend on the mass, which the flow below describes exactly."""
    data = events(n, fraction, seed)
    shape = np.where(data.signal, data.x[:, 0], data.x[:, 0] - 0.3 * (data.mass - 3.5))
    return pd.DataFrame({"mass": data.mass, "shape": shape}).assign(signal=data.signal)


@pytest.fixture(scope="module")
def gaussian():
    """The Gaussian of the background: a flow all of whose weights are zero is the one of its rows."""
    flow = get_family("maf")(dimensions=1, context=1, transforms=1, hidden=[2])
    rows = frame(0.0, 99, 20_000)
    flow.adapt({"shape": rows[["shape"]].to_numpy(np.float32), "mass": rows[["mass"]].to_numpy(np.float32)}, None)
    for weight in flow.trainable_weights:
        weight.assign(np.zeros(weight.shape))
    shape = Tensor(name="shape", axes=[Axis(name="shape", size=1, labels=["shape"])], unit="1", description="an observable")
    axes = [Axis(name="mass", size=1, labels=["mass"])]
    mass = Tensor(name="mass", axes=axes, unit="TeV", description="its mass", low=2.5, high=5.0)
    z = Tensor(name="z", axes=[Axis(name="noise", size=1)], unit="1", description="noise")
    log_prob = Tensor(name="log_prob", unit="nat", description="log density")
    flow.spec = ModelSpec(
        name="toy",
        family="maf",
        config=flow.config,
        task="anomaly-detection",
        summary="A toy.",
        endpoints={
            "log_prob": Endpoint(description="density", inputs=[shape, mass], outputs=[log_prob]),
            "sample": Endpoint(description="draw", inputs=[z, mass], outputs=[shape]),
        },
        data=Data(source="toy", description="toy", simulator="numpy", seed=0, rows={"train": 1}),
        metrics=[],
        files=[],
        physzoo_version="0",
    )
    return flow


def test_a_hidden_bump_is_found(gaussian, tmp_path):
    data = frame(0.08, 5)
    found = zoo.find_anomalies(data, gaussian, REGION, classifier=QUICK, trainings=1)
    inside = data["mass"].between(*REGION).to_numpy()
    assert np.array_equal(found.in_region, inside)
    background, signal = (found.score[inside & (data["signal"] == kind).to_numpy()] for kind in (False, True))
    assert np.median(signal) > 1.5 * np.median(background)
    assert np.median(background) < 1.05
    counted = found.excess(0.1)
    alone = zoo.find_anomalies(data[~data["signal"]], gaussian, REGION, classifier=QUICK, trainings=1).excess(0.1)
    assert counted.significance > 4
    assert abs(alone.significance) < 3, "no signal, no excess"
    passes = found.passes(0.1)
    assert (found.background_score > found.score[~passes].max()).mean() == pytest.approx(0.1, abs=0.01)
    assert counted.observed == np.count_nonzero(passes & inside)
    with np.load(found.save(tmp_path / "found.npz")) as kept:
        np.testing.assert_array_equal(kept["score"], found.score)
    assert len(found.plot(0.1).axes) == 1
    assert found.table().row_count >= 2


def test_weights_units_and_order_are_as_they_were_meant(gaussian, tmp_path):
    data = frame(0.05, 6)
    options = {"classifier": QUICK, "trainings": 1}
    once = zoo.find_anomalies(data, gaussian, REGION, **options)
    astropy = pytest.importorskip("astropy.table")
    table = astropy.Table({"shape": data["shape"].to_numpy(), "mass": 1000 * data["mass"].to_numpy()}, units={"mass": "GeV"})
    in_gev = zoo.find_anomalies(table, gaussian, REGION, **options)
    np.testing.assert_allclose(in_gev.mass, once.mass, rtol=1e-6)
    assert np.corrcoef(in_gev.score, once.score)[0, 1] > 0.99
    data[["shape", "mass"]].to_csv(tmp_path / "events.csv", index=False)
    from_file = zoo.find_anomalies(tmp_path / "events.csv", gaussian, REGION, **options)
    np.testing.assert_allclose(from_file.score, once.score, rtol=1e-3)
    # Events of no weight are scored and count for nothing; twice the weight of all changes no score.
    kept = np.arange(len(data)) % 10 > 0
    with pytest.warns(UserWarning, match="column weight is left out"):
        unweighted = zoo.find_anomalies(data.assign(weight=2.0 * kept), gaussian, REGION, **options)
    np.testing.assert_array_equal(unweighted.score, once.score)
    weighted = zoo.find_anomalies(data.assign(w=2.0 * kept), gaussian, REGION, weights="w", **options)
    passes = weighted.passes(0.1)
    assert weighted.excess(0.1).observed == 2 * np.count_nonzero(passes & kept & weighted.in_region)
    assert np.isfinite(weighted.score).all()


def test_what_is_wrong_is_refused(gaussian):
    data = frame(0.0, 7, 3000)
    heavy, nan = data.assign(mass=1000 * data["mass"]), data.assign(shape=data["shape"].where(data.index > 3))
    for given, region, options, said in (
        (heavy, (3300, 3700), {}, "mass"),
        (nan, REGION, {}, "missing|NaN"),
        (data.drop(columns="shape"), REGION, {}, "column shape"),
        (data, (3.7, 3.3), {}, "ends of the signal region"),
        (data, (3300, 3700), {}, "at least 200 events in the signal region 3300 to 3700, given 0 of 3000, whose mass is 2.6"),
        (data, REGION, {"weights": np.full(len(data), -1.0)}, "none below 0"),
        (data, REGION, {"weights": np.ones(3)}, "for each of the 3000 events"),
        (data, REGION, {"trainings": 0}, "trainings"),
        (data, REGION, {"classifier": "tree"}, "tree"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=said):
            zoo.find_anomalies(given, gaussian, region, **options)
    with pytest.raises(InputError, match="expected a density given one number"):
        zoo.find_anomalies(data, "nsf-cmb-posterior", REGION)
    with pytest.raises(InputError, match="model of a density"):
        zoo.find_anomalies(data, "mlp-cmb-feature", REGION)
    found = zoo.find_anomalies(data, gaussian, REGION, classifier=QUICK, trainings=1)
    for share in (0, 1.0, 1e-9, True):
        with pytest.raises(InputError, match="expected a share"):
            found.passes(share)


def test_the_command(gaussian, tmp_path, monkeypatch):
    """What it writes is what Python gives of the same file, and what Python refuses is refused."""
    path, out = tmp_path / "events.csv", tmp_path / "search"
    frame(0.08, 5).drop(columns="signal").assign(w=2.0).to_csv(path, index=False)
    monkeypatch.setattr("zoo.loading.load", lambda name: gaussian)
    monkeypatch.setattr("zoo.interpret.ratios.classifiers.trees", lambda: clone(QUICK))
    options = ["--weights", "w", "--trainings", "1", "--out", out]
    said = ok("find-anomalies", path, "background", "--region", *REGION, *options)
    assert "events of mass 3.3 to 3.7 TeV" in said
    expected = zoo.find_anomalies(path, gaussian, REGION, weights="w", trainings=1)
    with np.load(out / "anomalies.npz") as kept:
        np.testing.assert_array_equal(kept["score"], expected.score)
        np.testing.assert_array_equal(kept["weights"], np.full(len(expected.score), 2.0))
    assert (out / "anomalies.png").stat().st_size > 5_000
    for region, more, message in (
        ((3300, 3700), [], "at least 200 events in the signal region 3300 to 3700"),
        (REGION, ["--classifier", "tree"], "no family named 'tree'"),
    ):
        assert message in refused("find-anomalies", path, "background", "--region", *region, *options, *more)
