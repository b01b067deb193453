"""Unfolding finds what is known: Gaussians, and in bins what D'Agostini's method finds, with acceptance and weights."""

from __future__ import annotations

import random

import numpy as np
import pytest
from command_line import ok, refused

import zoo
from zoo.errors import InputError, UnknownNameError
from zoo.interpret.ratios.classifiers import trees
from zoo.workflows.unfolding.closure import triangular

QUICK = trees().set_params(max_iter=15, learning_rate=0.3, max_leaf_nodes=5, min_samples_leaf=20)
"""Smaller trees than the default, for tests that look at something else than how well they learn."""


def gaussian(n: int, seed: int, mean: float = 0.0, width: float = 1.0, smear: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """A Gaussian variable at particle level and at detector level, where a Gaussian error is added."""
    rng = np.random.default_rng(seed)
    particle = rng.normal(mean, width, n)
    return particle, particle + rng.normal(0, smear, n)


def moments(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean = np.average(values, weights=weights)
    return np.array([mean, np.sqrt(np.average((values - mean) ** 2, weights=weights))])


def bayesian(response, prior, data, iterations, purity=1.0):
    """Iterative Bayesian unfolding (D'Agostini 1995) of counts in bins; the oracle.

    ``response`` (detector, particle) is the probability to be measured in a bin; its sum over the first axis, the efficiency.
    """
    found = prior.astype(float)
    for _ in range(iterations):
        ratio = data * purity / (response @ found)
        found = found * (response.T @ ratio) / response.sum(axis=0)
    return found


def binned(n: int, seed: int, law: list[float], efficiency: list[float] | None = None):
    """A variable of four values at particle level, the value that is measured, and whether it is measured."""
    rng = np.random.default_rng(seed)
    particle = rng.choice(4, n, p=law)
    move = rng.choice([-1, 0, 1], n, p=[0.2, 0.6, 0.2])
    detector = np.clip(particle + move, 0, 3)
    passes = rng.random(n) < np.array(efficiency or [1.0] * 4)[particle]
    return particle.astype(float), detector.astype(float), passes


def table_of(particle, detector, weight, passes):
    """Counts (detector, particle) of events that pass."""
    return np.histogram2d(detector[passes], particle[passes], [np.arange(5) - 0.5] * 2, weights=weight[passes])[0]


def test_a_gaussian_within_its_bootstrap_errors():
    particle, detector = gaussian(4000, 1)
    _, data = gaussian(3000, 2, 0.3, 0.9)
    found = zoo.unfold(data, detector, particle, bootstrap=4, classifier=QUICK, iterations=2)
    both = [np.array([moments(particle, one) for one in of]) for of in (found.of_data, found.of_simulated)]
    error = np.sqrt(sum(one.var(axis=0, ddof=1) for one in both))
    assert (error < 0.06).all()
    assert (np.abs(moments(particle, found.weights) - [0.3, 0.9]) < 3 * error).all()
    assert np.sum(found.weights) == pytest.approx(len(data))


@pytest.mark.slow
def test_pulls_of_many_toys_are_of_width_one():
    pulls = []
    classifier = trees().set_params(max_iter=30, learning_rate=0.3)
    for toy in range(8):
        particle, detector = gaussian(3000, 2 * toy)
        _, data = gaussian(2000, 2 * toy + 1, 0.3, 0.9)
        found = zoo.unfold(data, detector, particle, iterations=3, bootstrap=5, seed=toy, classifier=classifier)
        both = [np.array([moments(particle, one) for one in of]) for of in (found.of_data, found.of_simulated)]
        error = np.sqrt(sum(one.var(axis=0, ddof=1) for one in both))
        pulls.append((moments(particle, found.weights) - [0.3, 0.9]) / error)
    mean, width = np.mean(pulls, axis=0), np.std(pulls, axis=0, ddof=1)
    assert (np.abs(mean) < 1.0).all(), mean
    assert ((width > 0.4) & (width < 1.8)).all(), width


@pytest.mark.parametrize("acceptance", [False, True])
def test_in_bins_it_is_bayesian_unfolding(acceptance):
    """With efficiency at detector level, fakes, and weights of either sign, at the same iteration."""
    rng, enough = np.random.default_rng(5), trees().set_params(max_iter=30, learning_rate=0.3)
    efficiency = [0.5, 0.7, 0.9, 0.8] if acceptance else None
    particle, detector, passes = binned(12_000, 1, [0.4, 0.3, 0.2, 0.1], efficiency)
    _, data, measured = binned(10_000, 2, [0.2, 0.3, 0.3, 0.2], efficiency)
    data = data[measured]
    true = rng.random(len(particle)) < np.where(detector > 1, 0.8, 1.0) if acceptance else np.ones(len(particle), bool)
    weight = rng.choice([1.0, -0.3], len(particle), p=[0.8, 0.2]) if acceptance else np.ones(len(particle))
    found = zoo.unfold(
        data,
        np.where(passes, detector, np.nan),
        np.where(true, particle, np.nan),
        simulated_weights=weight,
        pass_reco=passes,
        pass_truth=true,
        iterations=3,
        classifier=enough,
    )
    both, fakes = table_of(particle, detector, weight, passes & true), table_of(particle, detector, weight, passes & ~true)
    prior = np.bincount(particle[true].astype(int), weight[true])
    purity = both.sum(axis=1) / (both + fakes).sum(axis=1)
    expected = bayesian(both / prior, prior, np.bincount(data.astype(int)), 3, purity)
    values = found.histogram("observable_1", np.arange(5) - 0.5).values
    np.testing.assert_allclose(values, expected, rtol=0.03)
    assert not (np.abs(expected / bayesian(both / prior, prior, np.bincount(data.astype(int)), 2, purity) - 1) < 0.01).all()
    assert (found.weights[~true] == 0).all()


def test_background_with_negative_weights_is_subtracted():
    """Signal with background and simulated background of weight -1 beside it unfolds as the signal alone."""
    particle, detector = gaussian(4000, 1)
    _, signal = gaussian(3000, 2, 0.3, 0.9)
    rng = np.random.default_rng(3)
    background, simulated = rng.uniform(-3, 3, 1500), rng.uniform(-3, 3, 1500)
    weight = np.repeat([1.0, -1.0], [len(signal) + 1500, 1500])
    data = np.concatenate([signal, background, simulated])
    found = zoo.unfold(data, detector, particle, data_weights=weight, iterations=2, classifier=QUICK)
    assert np.sum(found.weights) == pytest.approx(len(signal))
    assert np.abs(moments(particle, found.weights) - [0.3, 0.9]).max() < 0.12
    assert moments(particle, zoo.unfold(data, detector, particle, iterations=2, classifier=QUICK).weights)[1] > 1.15


def test_the_same_seed_gives_the_same_and_draws_nothing_of_others():
    particle, detector = gaussian(1000, 1)
    _, data = gaussian(1000, 2, 0.3, 0.9)
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    options = {"iterations": 1, "classifier": QUICK}
    one, again = (zoo.unfold(data, detector, particle, bootstrap=2, **options) for _ in range(2))
    other = zoo.unfold(data, detector, particle, seed=1, **options)
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    for name in ("weights", "of_data", "of_simulated"):
        np.testing.assert_allclose(getattr(one, name), getattr(again, name), rtol=1e-9)
    assert not np.allclose(one.weights, other.weights)
    assert not np.allclose(one.of_data[0], one.of_data[1])
    averaged = zoo.unfold(data, detector, particle, trainings=3, **options)
    assert averaged.weights.sum() == pytest.approx(len(data))


def events(n: int = 1000):
    """Tables of two observables at both levels, and data."""
    pandas = pytest.importorskip("pandas")
    mass, seen = gaussian(n, 1)
    width, seen_width = gaussian(n, 2)
    _, data = gaussian(n, 3, 0.2)
    _, data_width = gaussian(n, 4)
    simulated = pandas.DataFrame({"width": seen_width, "mass": seen, "event_weight": 2.0})
    return (
        pandas.DataFrame({"mass": data, "width": data_width}),
        simulated,
        pandas.DataFrame({"mass": mass, "width": width, "charge": 1}),
    )


def test_tables_units_and_files(tmp_path):
    """Columns go by name, units are converted, and a file is read as the table is."""
    units = pytest.importorskip("astropy.units")
    table = pytest.importorskip("astropy.table")
    data, simulated, truth = events()
    options = {
        "simulated_weights": "event_weight",
        "truth_observables": ["mass", "width"],
        "iterations": 1,
        "classifier": QUICK,
    }
    plain = zoo.unfold(data, simulated, truth, **options)
    arrays = zoo.unfold(
        data.to_numpy(), simulated[["mass", "width"]].to_numpy(), truth.to_numpy()[:, :2], simulated_weights=np.full(1000, 2.0),
        iterations=1, classifier=QUICK,
    )  # fmt: skip
    np.testing.assert_allclose(plain.weights, arrays.weights, rtol=1e-9)
    assert list(arrays.observables) == ["observable_1", "observable_2"]
    measured = table.QTable({"mass": data["mass"].to_numpy() * units.GeV, "width": data["width"].to_numpy()})
    in_mev = table.QTable({name: simulated[name].to_numpy() for name in simulated})
    in_mev["mass"] = in_mev["mass"] * 1000 * units.MeV
    simulated.assign(truth_mass=truth["mass"]).to_csv(tmp_path / "simulated.csv", index=False)
    converted = zoo.unfold(measured, in_mev, truth, **options)
    np.testing.assert_allclose(converted.weights, plain.weights, rtol=1e-6)
    in_mev["mass"] = simulated["mass"].to_numpy() * units.cm
    with pytest.raises(InputError, match="expected GeV, given cm"):
        zoo.unfold(measured, in_mev, truth, **options)
    path = tmp_path / "simulated.csv"
    found = zoo.unfold(data, path, path, **{**options, "truth_observables": ["truth_mass"]})
    assert list(found.to_pandas()) == ["truth_mass", "prior", "weights"]
    with pytest.raises(InputError, match="simulated and truth are the same table"):
        zoo.unfold(data, path, path, simulated_weights="event_weight")


def wrong(**changes):
    """Arguments that unfold takes, with some changed."""
    data, simulated, truth = events(300)
    given = {"data": data, "simulated": simulated.drop(columns="event_weight"), "truth": truth}
    for name, change in changes.items():
        given[name] = change(given[name]) if name in given else change
    return given


def with_nan(frame):
    return frame.assign(mass=frame["mass"].where(frame.index != 7))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": with_nan}, r"data: expected finite numbers, given 1 .* the first in row 7 of mass"),
        ({"simulated": with_nan}, r"row 7 of mass.*pass_reco=NAME"),
        ({"data": lambda frame: np.ma.array(frame.to_numpy(), mask=frame.to_numpy() > 2)}, r"expected finite numbers"),
        ({"data": lambda frame: frame.assign(weight=1.0)}, r"weight would be taken for an observable.*data_weights='weight'"),
        ({"data": lambda frame: frame.assign(w=1.0)}, r"w would be taken for an observable.*data_weights='w'"),
        ({"data": lambda frame: frame.assign(weight_mc=1.0)}, r"weight_mc would be taken for an observable"),
        ({"data": lambda frame: frame.assign(mass="heavy")}, r"expected numbers in column mass"),
        ({"data": lambda frame: frame.assign(jet=1.0)}, r"no column of simulated named 'jet'"),
        ({"data": lambda frame: frame[:50]}, r"expected at least 200 events of data, given 50"),
        ({"truth": lambda frame: frame[:200].reset_index(drop=True)}, r"300 in simulated and 200 in truth"),
        ({"truth": lambda frame: frame.sample(frac=1, random_state=0)}, r"are tables whose rows have different labels"),
        ({"data_weights": np.full(300, -1.0)}, r"data: expected event weights with a positive sum, given -300"),
        ({"data_weights": np.ones(30)}, r"a finite event weight for each of the 300 events, given shape \(30,\)"),
        ({"simulated_weights": "weights"}, r"no column of simulated named 'weights'"),
        ({"pass_reco": np.full(300, 0.5)}, r"pass_reco: expected true or false"),
        ({"pass_reco": np.arange(300) < 10}, r"at least 200 simulated events that pass both selections, given 10"),
        ({"observables": "mass"}, r"observables: expected a list of names"),
        ({"data": lambda frame: None}, r"data: expected what was measured"),
        ({"seed": -1}, r"seed: expected a whole number of at least 0"),
        ({"iterations": 0}, r"iterations: expected a whole number of at least 1"),
        ({"bootstrap": 1}, r"bootstrap: expected 0 or at least 2"),
        ({"classifier": QUICK.__class__}, r"interface with fit, predict_proba"),
        ({"data": lambda frame: frame.to_numpy()[:, :, None]}, r"given float64 of shape \(300, 2, 1\)"),
    ],
)  # fmt: skip
def test_refused_in_words(changes, message):
    with pytest.raises((InputError, UnknownNameError), match=message):
        zoo.unfold(**wrong(**changes))


def test_what_may_be_wrong_is_a_warning():
    options = {"iterations": 1, "classifier": QUICK}
    with pytest.warns(UserWarning, match=r"mass is -999 in 3 events.*pass_reco"):
        zoo.unfold(**wrong(simulated=lambda frame: frame.assign(mass=frame["mass"].where(frame.index > 2, -999.0))), **options)
    with pytest.warns(UserWarning, match=r"of the data lie where there is no simulated event"):
        zoo.unfold(**wrong(data=lambda frame: frame.assign(mass=frame["mass"] * 1000)), **options)


def test_histograms_of_any_observable():
    units = pytest.importorskip("astropy.units")
    particle, detector = gaussian(1000, 1)
    _, data = gaussian(1000, 2, 0.2)
    found = zoo.unfold(
        {"m": data}, {"m": detector}, {"m": particle * units.GeV}, iterations=1, bootstrap=3, classifier=QUICK
    )  # fmt: skip
    histogram = found.histogram("m", [-1000, 0, 1000] * units.MeV)
    np.testing.assert_allclose(histogram.edges, [-1, 0, 1])
    expected = [found.weights[(particle >= low) & (particle < low + 1)].sum() for low in (-1, 0)]
    np.testing.assert_allclose(histogram.values, expected)
    np.testing.assert_allclose(histogram.covariance_data, np.cov([
        [one[(particle >= low) & (particle < low + 1)].sum() for low in (-1, 0)] for one in found.of_data
    ], rowvar=False))  # fmt: skip
    density = found.histogram(particle**2, 5, density=True)
    assert (density.values * np.diff(density.edges)).sum() == pytest.approx(1)
    assert density.errors.shape == (5,)
    with pytest.raises(UnknownNameError, match="no observable named 'mass'"):
        found.histogram("mass")
    with pytest.raises(InputError, match="edges that increase"):
        found.histogram("m", [0, 0, 1])
    without = zoo.unfold(data, detector, particle, iterations=1, classifier=QUICK).histogram("observable_1")
    with pytest.raises(InputError, match="bootstrap=50"):
        without.errors  # noqa: B018


def test_the_command(tmp_path):
    """One file with both levels; what it writes is what Python gives, and errors name its options."""
    data, simulated, truth = events(300)
    data.drop(columns="width").to_csv(tmp_path / "data.csv", index=False)
    simulated.assign(gen_mass=truth["mass"]).to_csv(tmp_path / "simulated.csv", index=False)
    files = [tmp_path / "data.csv", tmp_path / "simulated.csv", "--out", tmp_path / "out"]
    said = ok("unfold", *files, "--truth-observables", "gen_mass", "--simulated-weights", "event_weight", "--iterations", "1")
    assert "gen_mass" in said
    assert (tmp_path / "out" / "unfolded.png").stat().st_size > 10_000
    expected = zoo.unfold(
        data[["mass"]], simulated, {"gen_mass": truth["mass"]}, simulated_weights="event_weight", iterations=1
    )  # fmt: skip
    with np.load(tmp_path / "out" / "unfolded.npz") as file:
        np.testing.assert_allclose(file["weights"], expected.weights, rtol=1e-9)
        np.testing.assert_allclose(file["observables/gen_mass"], truth["mass"])
    assert "--truth-observables NAME,NAME,..." in refused("unfold", *files)


def test_closure(tmp_path):
    particle, detector = gaussian(3000, 1)
    measured = detector < 2
    found = zoo.closure_test(
        {"seen": np.where(measured, detector, np.nan), "m": particle, "passes": measured},
        {"m": particle},
        pass_reco="passes",
        observables=["seen"],
        change=lambda event: np.exp(0.4 * event["m"]),
        bins=3,
        bootstrap=6,
        iterations=1,
        classifier=QUICK,
    )
    assert found.triangular_before["m"] > 20 > 5 > found.triangular_after["m"]
    assert found.p_value["m"] > 0.001
    np.testing.assert_allclose(found.truth["m"].sum(), found.unfolded["m"].sum(), rtol=0.05)
    assert found.table().row_count == 1
    assert found.save(tmp_path / "closure.npz").is_file()
    with pytest.raises(InputError, match="at least three more bootstraps than bins"):
        zoo.closure_test({"m": detector}, {"m": particle}, np.ones, bootstrap=5)
    with pytest.raises(InputError, match="change: expected a finite factor"):
        zoo.closure_test({"m": detector}, {"m": particle}, lambda event: -event["m"])


def test_the_triangular_discriminator_of_known_distributions():
    assert triangular(np.array([1, 3]), np.array([2, 6])) == 0
    assert triangular(np.array([1, 0]), np.array([0, 1])) == 1000
    assert triangular(np.array([1, 1]), np.array([1, 3])) == pytest.approx(500 * (0.25**2 / 0.75 + 0.25**2 / 1.25))


@pytest.mark.slow
def test_a_network_unfolds_as_trees_do():
    particle, detector = gaussian(5000, 1)
    _, data = gaussian(5000, 2, 0.3, 0.9)
    found = zoo.unfold(data, detector, particle, classifier="mlp", iterations=2)
    assert np.abs(moments(particle, found.weights) - [0.3, 0.9]).max() < 0.08
    with pytest.raises(UnknownNameError, match="no family named"):
        zoo.unfold(data, detector, particle, classifier="tree")
