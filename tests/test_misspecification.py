"""Whether an observation is like the simulations: p-values on simulations of the same kind, and what is said of others."""

from __future__ import annotations

import warnings
from functools import partial

import numpy as np
import pytest
from scipy.special import kolmogorov
from scipy.stats import kstest
from tiny_flows import build

import zoo
from zoo.errors import InputError, IntegrityError, MisspecificationWarning, option
from zoo.model import reference_file
from zoo.model.axes import Axis
from zoo.model.misspecification import REFUSED
from zoo.model.reference_file import FITTED, make_reference, read_reference
from zoo.model.spec import REFERENCE, TEST_TENSORS, Data, Endpoint, File, ModelSpec, Tensor
from zoo.model.store import ModelFolder
from zoo.model.test_tensors import read_test_tensors
from zoo.serving import Session


def tensor(*sizes: int, labels=None, unit: str = "1") -> Tensor:
    axes = [Axis(name=f"axis_{k}", size=size) for k, size in enumerate(sizes)]
    if labels:
        axes[-1] = Axis(name="axis_0", size=sizes[-1], labels=labels)
    return Tensor(name="x", axes=axes, unit=unit, description="observed")


SET = Tensor(
    name="hits",
    axes=[Axis(name="hit", least=1, most=30), Axis(name="quantity", size=2, labels=["time", "charge"], units=["ns", "pC"])],
    unit="",
    description="hits of an event",
    mask="real",
)


def simulated(n: int, width: int, seed: int) -> np.ndarray:
    """Curves of a random height and slope with correlated noise, and a long tail in the first element."""
    rng = np.random.default_rng(seed)
    at = np.linspace(0, 1, width)
    noise = rng.normal(size=(n, width)).cumsum(axis=1) / np.sqrt(width)
    x = rng.normal(size=(n, 1)) + rng.uniform(-1, 1, (n, 1)) * at + noise
    x[:, 0] = rng.lognormal(1, 1.5, n)
    return x


def hits(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    real = np.arange(30) < rng.integers(1, 31, n)[:, None]
    x = np.stack([rng.exponential(5, (n, 30)), rng.lognormal(0, 1, (n, 30))], axis=-1)
    return np.where(real[..., None], x, 0.0), real


def uniformity(p_value: np.ndarray, ranked: int) -> float:
    """The p-value of a test of uniform p-values, which share the reference that ranks them."""
    effective = 1 / (1 / len(p_value) + 1 / ranked)
    return kolmogorov(np.sqrt(effective) * kstest(p_value, "uniform").statistic)


@pytest.mark.parametrize("width", [1, 3, 40, 200, 1100])
def test_p_values_of_the_same_kind_are_uniform(width):
    n = 3000 if width < 100 else 1000
    reference = make_reference(tensor(width), simulated(n, width, 0), simulated(500, width, 1))
    found = reference.compare(simulated(n, width, 2))
    assert uniformity(found.p_value, 500) > 0.01
    assert found.p_value.min() >= 1 / 501
    assert reference.told(found) is None
    reference.expect_like(simulated(n, width, 2))
    assert (found.share <= REFUSED).mean() < 0.006  # of one at a time, so few are refused
    assert len(reference.to_bytes()) < 100_000


def test_p_values_of_sets_are_uniform_and_say_what_is_strange():
    (x, real), (held, held_real), (fresh, fresh_real) = (hits(n, seed) for seed, n in enumerate((3000, 500, 2000)))
    reference = make_reference(SET, x, held, (real, held_real))
    assert uniformity(reference.compare(fresh, fresh_real).p_value, 500) > 0.01
    late = fresh[:1] * [50.0, 1.0]
    said = reference.told(reference.compare(late, fresh_real[:1]))
    assert "of time = " in said
    assert " ns, above all of theirs" in said
    padded = np.where(fresh_real[:5, :, None], fresh[:5], 1e6)  # padding counts nowhere
    np.testing.assert_array_equal(
        reference.compare(padded, fresh_real[:5]).p_value, reference.compare(fresh[:5], fresh_real[:5]).p_value
    )


def test_strange_observations_are_named():
    names = ["time", "energy", "angle"]
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 5, 10], [[1, 0.99, 0], [0.99, 1, 0], [0, 0, 4]], 5000)
    reference = make_reference(tensor(3, labels=names, unit="s"), x[:4000], x[4000:])
    shifted = reference.told(reference.compare(np.array([[0.0, 5.0, 60.0]])))
    assert shifted.startswith("x is unlike the 4,000 simulations that the posterior was learned from (p <= 0.001)")
    assert "x angle = 60 s, above all of theirs (" in shifted
    assert "x time" not in shifted
    # Within the range of each, but not together; the oracle is the density.
    apart = reference.compare(np.array([[1.5, 3.5, 10.0]]))
    assert not apart.outside.any()
    assert "x time = 1.5 s; x energy = 3.5 s" in reference.told(apart) or "x energy = 3.5 s; x time = 1.5 s" in reference.told(
        apart
    )
    assert reference.told(reference.compare(np.array([[1.5, 6.5, 10.0]]))) is None


def test_a_number_that_never_strays_is_told_beside_others_that_often_do():
    """What is always within [0, 1] may not be 2, whatever the tails of the others."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(size=(6000, 1)), rng.standard_cauchy((6000, 9))], axis=1)
    reference = make_reference(tensor(10), x[:5000], x[5000:])
    order = np.argsort(reference.compare(x[5000:]).p_value)
    usual = x[5000:][order[500:501]]
    assert reference.told(reference.compare(usual)) is None
    for value in (2.0, -1.0):
        assert "x[0] = " in reference.told(reference.compare(np.where(np.arange(10) == 0, value, usual)))


def test_an_observation_without_noise_is_too_close():
    x = np.random.default_rng(0).normal(size=(3000, 30))
    reference = make_reference(tensor(30), x[:2500], x[2500:])
    assert "varies less than they do: is it without noise?" in reference.told(reference.compare(np.zeros((1, 30))))
    few = make_reference(tensor(3), x[:2500, :3], x[2500:, :3])
    assert few.told(few.compare(np.zeros((1, 3)))) is None


def test_of_many_observations_more_than_by_chance():
    x = np.random.default_rng(0).normal(size=(4000, 4))
    reference = make_reference(tensor(4), x[:2000], x[2000:3000])
    assert reference.told(reference.compare(x[3000:])) is None
    mixed = np.concatenate([x[3000:3900], x[3900:] + 6])
    assert "of 1000 observations are unlike" in reference.told(reference.compare(mixed))


def test_one_absurd_observation_among_many_is_refused_by_its_row():
    """Of twenty maps of which one was of another quantity, the others' posterior was told, and that all are alike."""
    x = np.random.default_rng(0).normal(size=(4000, 4))
    reference = make_reference(tensor(4), x[:2000], x[2000:3000])
    for n in (2, 20, 900):
        many = x[3000 : 3000 + n].copy()
        reference.expect_like(many)
        many[n // 2] += 30
        with pytest.raises(InputError, match=rf"of {n} observations .* unlike .*; the strangest is row {n // 2}, "):
            reference.expect_like(many)


def test_what_is_not_a_number_is_far_and_fewer_held_out_rows_than_twenty_tell_nothing():
    x = simulated(300, 3, 0)
    reference = make_reference(tensor(3), x[:200], x[200:])
    assert reference.compare(np.array([[np.nan, 0.0, 0.0]])).p_value[0] == pytest.approx(1 / 101)
    assert make_reference(tensor(3), x[:200], x[200:219]) is None
    with pytest.raises(InputError, match="expected observations of shape"):
        reference.compare(x[:, :2])


def test_large_offsets_and_elements_that_never_change():
    """Days since 4713 BC differ in the seventh digit; what is always the same may not become something else."""
    rng = np.random.default_rng(0)
    x = np.stack([2_459_000 + rng.uniform(0, 10, 3000), np.full(3000, 7.0)], axis=1)
    reference = make_reference(tensor(2), x[:2500], x[2500:])
    assert reference.told(reference.compare(np.array([[2_459_005.0, 7.0]]))) is None
    assert "x[0] = 2.45902e+06, above all" in reference.told(reference.compare(np.array([[2_459_020.0, 7.0]])))
    assert "x[1] = 8, above all" in reference.told(reference.compare(np.array([[2_459_005.0, 8.0]])))


def test_all_simulations_tell_the_range_and_some_the_distance(monkeypatch):
    monkeypatch.setattr(reference_file, "FITTED", 100)
    x = np.random.default_rng(0).normal(size=(2000, 2))
    reference = make_reference(tensor(2), x[:1500], x[1500:])
    np.testing.assert_array_equal(reference.low, x[:1500].min(axis=0))
    assert reference.rows.tolist() == [1500, 100]
    assert FITTED > 100


# In a folder, and at a flow


@pytest.fixture
def flow(tmp_path):
    """A flow of two variables given three numbers, as if it were released with what its simulations are like."""
    flow, variables, _ = build("nsf-autoregressive", "bounded", embedding=[], context=3, dimensions=4)
    context = np.random.default_rng(0).normal([3.0, 0.0, -2.0], [2.0, 1.0, 0.5], (3000, 3)).astype(np.float32)
    x = Tensor(
        name="x",
        axes=[Axis(name="datum", size=3)],
        unit="m",
        description="data",
        low=[-10.0, -6.0, -6.0],
        high=[16.0, 6.0, 2.0],
    )
    theta, z = (Tensor(name=name, axes=[Axis(name="parameter", size=4)], unit="1", description=name) for name in ("theta", "z"))
    density = Tensor(name="log_prob", unit="1", description="density")
    (tmp_path / REFERENCE).write_bytes(make_reference(x, context[:2000], context[2000:]).to_bytes())
    flow.spec = ModelSpec(
        name="tiny",
        family="nsf",
        config={},
        task="posterior-estimation",
        summary="tiny",
        endpoints={
            "log_prob": Endpoint(description="", inputs=[theta, x], outputs=[density]),
            "sample": Endpoint(description="", inputs=[z, x], outputs=[theta]),
        },
        data=Data(source="none", description="", simulator="", seed=0, rows={}),
        metrics=[],
        files=[File.of(tmp_path / REFERENCE)],
        physzoo_version="0.1.0",
    )
    flow.folder = ModelFolder(flow.spec, tmp_path)
    flow.reference = read_reference(flow.folder)  # as zoo.load does
    return flow, variables, context


def test_a_flow_refuses_what_a_session_does_with_the_same_flags(flow):
    flow, variables, context = flow
    for k, one in enumerate((flow.draw, lambda n, c, **flags: flow.log_density(variables[:n], c, **flags))):
        with pytest.raises(InputError, match=r"input 'x'.*1 values are NaN.*allow_nonfinite"):
            one(2, np.array([3.0, np.nan, -2.0]))
        with pytest.raises(InputError, match=r"1 values are missing"):
            one(2, np.ma.masked_array([3.0, 0.0, -2.0], [False, True, False]))
        with pytest.raises(InputError, match=r"expected -6 to 2 m, given 200.*allow_out_of_range"):
            one(2, np.array([3.0, 0.0, 200.0]))
        with pytest.raises(InputError, match="width 3"):
            one(2, np.zeros(4))
        with pytest.warns(MisspecificationWarning):
            assert len(one(2, np.array([3.0, 0.0, 2.5 + k]), allow_out_of_range=True)) == 2
        masked = np.ma.masked_array([3.0 + k, 0.0, -2.0], [False, True, False])
        with pytest.warns(MisspecificationWarning):
            one(2, masked, allow_nonfinite=True, allow_out_of_range=True)
        with pytest.raises(InputError, match=r"unlike the .*allow_out_of_range=True takes it"):
            one(2, masked, allow_nonfinite=True)
    with pytest.raises(InputError, match="NaN"):
        flow.log_density(np.full((1, 4), np.nan), context[0])


def test_a_flow_warns_once_of_each_observation(flow):
    flow, variables, context = flow
    strange = np.array([3.0, 5.5, -2.0])
    with pytest.raises(InputError, match=r"x\[1\] = 5.5 m, above all of theirs.*allow_out_of_range=True takes it"):
        flow.draw(5, strange)
    with pytest.warns(MisspecificationWarning, match=r"x\[1\] = 5.5 m, above all of theirs") as caught:
        flow.draw(5, strange, allow_out_of_range=True)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flow.draw(5, strange, seed=1, allow_out_of_range=True)
        flow.log_density(variables, strange, allow_out_of_range=True)
        flow.draw(2, context[:200])
    with pytest.warns(MisspecificationWarning):
        flow.draw(5, strange + 0.1, allow_out_of_range=True)


def test_a_flow_without_reference_draws_as_before(flow, tmp_path):
    flow, _, _ = flow
    spec = flow.spec.model_copy(update={"files": []})
    assert read_reference(ModelFolder(spec, tmp_path)) is None


def test_a_reference_that_is_damaged_is_refused(flow, tmp_path):
    flow, _, _ = flow
    folder = tmp_path / "damaged"
    folder.mkdir()
    with np.load(flow.folder.folder / REFERENCE) as file:
        arrays = dict(file)
    for name, wrong in (("inverse", np.eye(4)), ("scores", np.array([np.nan])), ("mean", np.zeros(3, np.float32))):
        np.savez(folder / REFERENCE, **arrays | {name: wrong})
        spec = flow.spec.model_copy(update={"files": [File.of(folder / REFERENCE)]})
        with pytest.raises(IntegrityError, match=name):
            read_reference(ModelFolder(spec, folder))


# At the endpoints of a released posterior, by Keras and by ONNX Runtime


@pytest.fixture(scope="module", params=["nsf-cmb-posterior", "maf-field-posterior"])
def released(request):
    """Endpoints by name, of a model and of a session, and test rows of each."""
    model, session = zoo.load(request.param), Session(request.param, device="cpu")
    rows = {name: inputs for name, (inputs, _) in read_test_tensors(model.folder.path(TEST_TENSORS), model.spec).items()}
    ways = {"model": lambda name: model.endpoint(name), "session": lambda name: partial(session.run, endpoint=name)}
    return model.reference.tensor.name, ways, rows


def absurd(x: np.ndarray) -> np.ndarray:
    """An observation within all ranges that no simulation resembles: its elements are in turn the largest and smallest of x."""
    return np.where(np.arange(x.shape[-1]) % 2 == 0, x.min(axis=0), x.max(axis=0))


@pytest.mark.parametrize("name", ["sample", "log_prob"])
@pytest.mark.parametrize("way", ["model", "session"])
def test_endpoints_hold_observations_against_the_simulations(released, way, name):
    """They answered for what ``draw`` and ``infer`` refuse."""
    observed, ways, rows = released
    ask, given = ways[way](name), rows[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", MisspecificationWarning)
        ask(given)
        strange = given | {observed: given[observed].copy()}
        strange[observed][5:] = absurd(given[observed])  # as of eleven draws for the last observation
        with pytest.raises(InputError, match=f"of 6 observations .* unlike .* row 5, .*{option('allow_out_of_range')}"):
            ask(strange, allow_nonfinite=True)
        ask(strange, allow_out_of_range=True)
        one = {key: array[:1] for key, array in given.items()}
        assert {len(answer) for answer in ask(one).values()} == {1}
        with pytest.raises(InputError, match=f"{observed} is unlike"):
            ask({key: array[5:6] for key, array in strange.items()})


def test_nor_is_the_answer_to_a_strange_observation_explained():
    model = zoo.load("nsf-cmb-posterior", verify=False)
    inputs, _ = read_test_tensors(model.folder.path(TEST_TENSORS), model.spec, "log_prob")["log_prob"]
    given = {name: array[:2] for name, array in inputs.items()}
    strange = given | {"spectrum": absurd(inputs["spectrum"])[None].repeat(2, axis=0)}
    how = {"endpoint": "log_prob", "wrt": "spectrum", "method": "gradient"}
    with pytest.raises(InputError, match="spectrum is unlike"):
        zoo.explain(model, strange, **how)
    zoo.explain(model, strange, **how, allow_out_of_range=True)
    zoo.explain(model, given, **how)
