"""Flows whose context is a set, a sequence or an image: the kit, what may change nothing, and exact posteriors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from zoo.data.dataset import Rows
from zoo.errors import InputError
from zoo.families.flows.embeddings import default_embedding
from zoo.families.flows.flow import Flow
from zoo.families.flows.nsf import NSF
from zoo.families.flows.realnvp import RealNVP
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint, Tensor
from zoo.testing import check_family

MOST = 9
SMALL: dict[str, dict[str, Any]] = {
    "mean-pooled": {"element_units": [6], "units": [5]},
    "attention": {"width": 8, "heads": 2, "blocks": 1, "units": [5]},
    "convolution-1d": {"filters": [6, 6], "kernel": 3, "units": [5]},
    "convolution-2d": {"filters": [4, 6], "kernel": 3, "units": [5]},
}
CASES = {
    "deep set": ([None, 3], "mean-pooled"),
    "set of numbers": ([None], "mean-pooled"),
    "set transformer": ([None, 3], "attention"),
    "sequence of free length": ([None, 2], "convolution-1d"),
    "sequence": ([7, 2], "convolution-1d"),
    "series of numbers": (8, "convolution-1d"),
    "image": ([6, 5], "convolution-2d"),
    "image of two channels": ([6, 6, 2], "convolution-2d"),
    "cube of numbers": ([2, 3, 2], None),
}
SETS = ("deep set", "set of numbers", "set transformer", "sequence of free length")


def config(case: str) -> dict[str, Any]:
    context, kind = CASES[case]
    embedding = [6] if kind is None else {"kind": kind, **SMALL[kind]}
    return {"dimensions": 2, "context": context, "transforms": 2, "hidden": [8], "activation": "tanh", "embedding": embedding}


def contexts(case: str, n: int = 24, seed: int = 0, most: int = MOST) -> dict[str, np.ndarray]:
    """Random contexts far from zero and, of free length, their mask, which leaves one element at least."""
    context, _ = CASES[case]
    rng = np.random.default_rng(seed)
    shape = [most if size is None else size for size in np.atleast_1d(np.array(context, object))]
    c = rng.normal(30.0, 5.0, (n, *shape)).astype(np.float32)
    if case not in SETS:
        return {"c": c}
    mask = np.arange(most) < rng.integers(1, most + 1, (n, 1))
    return {"c": np.where(mask.reshape(n, most, *(1,) * (c.ndim - 2)), c, 0), "mask": mask}


def rows_of(case: str, n: int = 24) -> Rows:
    x = np.random.default_rng(1).normal(1.0, 0.5, (n, 2)).astype(np.float32)
    return Rows({"x": x, **contexts(case, n)}, np.zeros((n, 1), np.float32), np.arange(n))


def endpoints(case: str) -> dict[str, Endpoint]:
    """The tensors of a flow as a recipe describes them."""
    context, _ = CASES[case]
    axes = [
        Axis(name="element", least=1, most=MOST) if size is None else Axis(name=f"axis_{place}", size=size)
        for place, size in enumerate(np.atleast_1d(np.array(context, object)))
    ]
    variables = Axis(name="variable", size=2)
    own = {"unit": "1", "description": ""}
    given = [Tensor(name="c", axes=axes, mask="mask" if case in SETS else None, **own)]
    if case in SETS:
        given.append(Tensor(name="mask", axes=axes[:1], dtype="bool", **own))
    x, z = (Tensor(name=name, axes=[variables], **own) for name in ("x", "z"))
    return {
        "log_prob": Endpoint(description="", inputs=[x, *given], outputs=[Tensor(name="log_prob", **own)]),
        "sample": Endpoint(description="", inputs=[z, *given], outputs=[x]),
    }


def random_flow(case: str) -> Flow:
    """A flow with random weights: one that starts at the identity would look at no context."""
    rng = np.random.default_rng(3)
    flow = RealNVP(**config(case))
    rows = rows_of(case)
    flow.adapt(rows.inputs, rows.target)
    for weight in flow.trainable_weights:
        weight.assign(rng.normal(0, 0.5, weight.shape))
    return flow


@pytest.mark.slow  # its graph is compared in what follows
def test_a_set_transformer_passes_the_kit():
    case = "set transformer"
    check_family(RealNVP, config(case), rows_of(case), endpoints=endpoints(case), opsets=[13])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_embedding_passes_the_kit_at_every_opset(case):
    check_family(RealNVP, config(case), rows_of(case), endpoints=endpoints(case), opsets=[11, 13, 18])


@pytest.fixture(scope="module")
def flows() -> dict[str, Flow]:
    """One flow of each embedding, without a spec."""
    return {case: random_flow(case) for case in ("deep set", "set transformer", "sequence of free length", "image")}


# -- what changes nothing, and what does ----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["deep set", "set transformer"])
def test_order_of_a_set_changes_nothing(flows, case):
    c, mask = contexts(case, 5).values()
    order = np.random.default_rng(2).permutation(MOST)
    np.testing.assert_allclose(flows[case].embedded(c[:, order], mask[:, order]), flows[case].embedded(c, mask), atol=1e-5)


def test_order_of_a_sequence_matters(flows):
    c, _ = contexts("sequence of free length", 5).values()
    found = flows["sequence of free length"].embedded(c)
    assert np.abs(flows["sequence of free length"].embedded(c[:, ::-1]) - found).max() > 1e-3


@pytest.mark.parametrize("case", SETS[:1] + SETS[2:])
def test_padding_changes_nothing_whatever_is_in_it_and_however_long_it_is(flows, case):
    """Of every length from one on: where a convolution begins may not depend on whether the length is even."""
    flow, rng = flows[case], np.random.default_rng(4)
    for length in range(1, 8):
        c = rng.normal(30, 5, (2, length, CASES[case][0][-1])).astype(np.float32)
        expected = flow.embedded(c)
        for more in (1, 2, 5):
            padded = np.concatenate([c, np.full((2, more, c.shape[2]), 1e30, np.float32)], axis=1)
            mask = np.arange(length + more) < np.full((2, 1), length)
            np.testing.assert_allclose(np.asarray(flow.condition(padded, mask)), expected, atol=2e-5)
            np.testing.assert_allclose(flow.embedded(padded, mask), expected, atol=2e-5)


@pytest.mark.parametrize("case", ["deep set", "set transformer"])
def test_how_many_elements_there_are_is_told(flows, case):
    """The mean of one trial and of ten equal ones are the same; what is known is not."""
    c = np.repeat(contexts(case, 1)["c"][:, :1], 8, axis=1)
    assert np.abs(flows[case].embedded(c[:, :1]) - flows[case].embedded(c)).max() > 1e-2


# -- what is handed in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["deep set", "sequence of free length"])
def test_one_several_ragged_and_padded_contexts(flows, case):
    import awkward

    flow = flows[case]
    c, mask = contexts(case, 4).values()
    ragged = [row[real] for row, real in zip(c, mask, strict=True)]
    expected = flow.draw(6, c, mask=mask)
    assert expected.shape == (4, 6, 2)
    for given in (ragged, awkward.Array([row.tolist() for row in ragged])):
        np.testing.assert_allclose(flow.draw(6, given), expected, atol=1e-4)
    x = expected[:, 0]
    log_prob = np.asarray(flow.log_prob(x, c, mask))
    np.testing.assert_allclose(flow.log_density(x, ragged), log_prob, atol=1e-3)
    np.testing.assert_allclose(flow.log_density(x, c, mask), log_prob, atol=1e-3)
    alone = flow.draw(6, ragged[2])  # by its number of axes
    assert alone.shape == (6, 2)
    np.testing.assert_allclose(flow.draw(6, c[2], mask=mask[2]), alone, atol=1e-4)
    np.testing.assert_allclose(flow.draw(6, [ragged[2]])[0], alone, atol=1e-4)
    np.testing.assert_allclose(flow.log_density(x, ragged[2]), flow.log_density(x, [ragged[2]] * 4), atol=1e-4)


def test_one_set_by_name(flows):
    """Its elements are the rows of a table, of columns by name, or one alone; a mask by name counts."""
    import pandas as pd

    flow = flows["deep set"]
    c, mask = contexts("deep set", 2).values()
    row = c[0][mask[0]]
    expected = flow.draw(6, row)
    names = [f"c_{k}" for k in range(3)]
    for given in (dict(zip(names, row.T, strict=True)), pd.DataFrame(row, columns=names).iloc[:, ::-1]):
        np.testing.assert_allclose(flow.draw(6, given), expected, atol=1e-4)
    np.testing.assert_allclose(flow.draw(6, {"c": c, "mask": mask})[0], expected, atol=1e-4)
    alone = dict(zip(names, row[0].tolist(), strict=True))
    np.testing.assert_allclose(flow.draw(6, alone), flow.draw(6, row[:1]), atol=1e-4)


@pytest.mark.parametrize("case", ["deep set", "sequence of free length"])
def test_sets_without_elements(flows, case):
    """Nothing seen is an observation too: it is padding alone, whose number of elements is zero."""
    flow = flows[case]
    c = contexts(case, 1)["c"]
    nothing = c[0, :0]
    expected = flow.draw(5, c[0], mask=np.zeros(c.shape[1], bool))
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(flow.draw(5, nothing), expected, atol=1e-4)
    np.testing.assert_allclose(flow.draw(5, [nothing, nothing])[0], expected, atol=1e-4)
    np.testing.assert_allclose(flow.draw(5, [nothing, c[0]])[0], expected, atol=1e-4)
    assert flow.draw(5, nothing).shape == (5, 2)


def test_contexts_of_a_fixed_shape(flows):
    c = contexts("image", 4)["c"]
    assert flows["image"].draw(3, c).shape == (4, 3, 2)
    np.testing.assert_allclose(flows["image"].draw(3, c[0].tolist()), flows["image"].draw(3, c[:1])[0], atol=1e-5)
    x = flows["image"].draw(1, c)[:, 0]
    np.testing.assert_allclose(flows["image"].log_density(x, c), np.asarray(flows["image"].log_prob(x, c)), atol=1e-3)


def test_contexts_that_are_refused(flows):
    free, image = flows["deep set"], flows["image"]
    c, mask = contexts("deep set", 4).values()
    missing = np.ma.masked_array(c[0], mask=c[0] > 30)
    for flow, given, more, said in (
        (free, None, {}, "given none"),
        (free, c[0, 0], {}, r"expected a context of shape \(element, 3\), or several with one more axis before"),
        (free, c[..., :2], {}, r"given shape \(4, 9, 2\)"),
        (free, [c[0, :2], c[1, :3, :2]], {}, "differ in the length of their first axis only"),
        (free, missing, {}, "values are missing"),
        (free, np.where(c[0] == c[0].max(), np.nan, c[0]), {}, "values are NaN or infinite"),
        (free, c, {"mask": mask[:2]}, r"mask: expected shape \(4, 9\), given \(2, 9\)"),
        (free, c, {"mask": mask.astype(float)}, "mask: expected true and false"),
        (free, [c[0, :2], c[1, :3]], {"mask": mask[:2]}, "mask: expected none beside contexts of different lengths"),
        (image, contexts("image", 2)["c"], {"mask": mask}, "expected no mask"),
        (image, np.zeros((5, 6)), {}, r"shape \(6, 5\)"),
    ):
        with pytest.raises(InputError, match=said):
            flow.draw(3, given, **more)


@pytest.mark.parametrize(
    ("context", "embedding", "said"),
    [
        ([None, 3], [], "needs an embedding"),
        ([None, 3], {"kind": "convolution-2d"}, "of fixed sizes"),
        ([4, 4, 2], {"kind": "mean-pooled"}, "expected 1 axes, or one more of features"),
        ([3, None], {"kind": "attention"}, "null for the first where it is free"),
        ([None, 3], {"kind": "attention", "width": 9, "heads": 2}, "a width that 2 heads divide"),
        ([None, 3], {"kind": "mean-poled"}, "'mean-pooled', 'attention'"),
        ([None, 3], {"kind": "mean-pooled", "filters": [3]}, "filters"),
        (0, {"kind": "mean-pooled"}, "needs a context"),
    ],
)
def test_settings_that_are_refused(context, embedding, said):
    with pytest.raises(ValueError, match=said):
        RealNVP(2, context=context, embedding=embedding)


def test_default_embeddings_keep_what_is_to_be_seen():
    assert default_embedding((5,)) is default_embedding((3, 4, 5, 6)) is None
    assert default_embedding((None, 3))["kind"] == "mean-pooled"
    for shape, kind, stages in (
        ((100, 2), "convolution-1d", 4),
        ((6, 2), "convolution-1d", 1),
        ((64, 48, 3), "convolution-2d", 3),
        ((30, 40), "convolution-2d", 3),
    ):
        found = default_embedding(shape)
        assert (found["kind"], len(found["filters"])) == (kind, stages)


def test_config_and_weights_of_rows_are_as_before():
    """A context that is a row keeps its layers under their names, which released files have."""
    flow = RealNVP(2, context=[4], transforms=1, hidden=[4], embedding=[3])
    row = RealNVP(2, context=4, transforms=1, hidden=[4], embedding=[3])
    assert (row.config["context"], row.config["embedding"]) == (4, [3])
    assert [w.path.partition("/")[2] for w in flow.weights] == [w.path.partition("/")[2] for w in row.weights]
    flow.set_weights(row.get_weights())
    c = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(flow.draw(5, c), row.draw(5, c))


# -- a folder, sessions, the server, infer --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a flow of sets, graphs and all."""
    from zoo.model.spec import Data, ModelSpec
    from zoo.workflows.folder import write_model_folder

    flow = random_flow("deep set")
    inputs = rows_of("deep set").inputs
    described = endpoints("deep set")
    labeled = described["sample"].inputs[1].axes[1].model_copy(update={"labels": ["energy", "eta", "phi"]})
    for name, endpoint in described.items():
        given = [t.model_copy(update={"axes": [t.axes[0], labeled]}) if t.name == "c" else t for t in endpoint.inputs]
        described[name] = endpoint.model_copy(update={"inputs": given})
    flow.spec = ModelSpec(
        name="tiny-events",
        family="realnvp",
        config=flow.config,
        task="test",
        summary="A flow made up for tests",
        endpoints=described,
        data=Data(source="numbers", description="random", simulator="numpy", seed=0, rows={}),
        metrics=[],
        files=[],
        tolerance={"absolute": 1e-3, "relative": 1e-3},
        physzoo_version="0.1.0",
    )
    path = tmp_path_factory.mktemp("flow") / "tiny-events"
    write_model_folder(flow, flow.spec, path, flow.example({k: v[:6] for k, v in inputs.items()}, np.random.default_rng(0)))
    return path


def test_session_and_server_take_sets_of_any_size(folder):
    from live_server import running
    from tritonclient.http import InferenceServerClient, InferInput

    import zoo
    from zoo.serving import Session
    from zoo.serving.server import Server

    flow, session = zoo.load(folder), Session(folder)
    c, mask = contexts("deep set", 5, seed=8).values()
    ragged = [row[real] for row, real in zip(c, mask, strict=True)]
    z = np.random.default_rng(0).standard_normal((5, 2), dtype=np.float32)
    expected = np.asarray(flow.sample(z, c, mask))
    for given in ({"z": z, "c": ragged}, {"z": z, "c": c, "mask": mask}):
        np.testing.assert_allclose(session.run(given, "sample")["x"], expected, atol=1e-4)
    np.testing.assert_allclose(session.run({"z": z[:1], "c": [ragged[0]]}, "sample")["x"], expected[:1], atol=1e-4)
    with running(Server([folder])) as address, InferenceServerClient(address) as client:
        for rows in (slice(0, 5), slice(2, 3)):
            sent = []
            for name, array, dtype in (("z", z[rows], "FP32"), ("c", c[rows], "FP32"), ("mask", mask[rows], "BOOL")):
                sent.append(InferInput(name, list(array.shape), dtype))
                sent[-1].set_data_from_numpy(np.ascontiguousarray(array))
            found = client.infer("tiny-events.sample", sent).as_numpy("x")
            np.testing.assert_allclose(found, expected[rows], atol=1e-4)


def test_infer_takes_an_event_whose_particles_are_rows_of_a_table(folder, tmp_path):
    """Columns go by their names, and the mask is that of an observation all of which is real."""
    from zoo.data.observation import read_observation
    from zoo.interpret.posteriors.infer import infer
    from zoo.serving import Session

    session = Session(folder)
    event = contexts("deep set", 1, seed=9)["c"][0, :4]
    order = [2, 0, 1]
    table = "\n".join(",".join(map(repr, map(float, row))) for row in event[:, order])
    (tmp_path / "event.csv").write_text(f"phi,energy,eta\n{table}\n")
    np.save(tmp_path / "event.npy", event)
    z = np.random.default_rng(0).standard_normal((50, 2), dtype=np.float32)
    given = {"z": z, "c": np.repeat(event[None], 50, axis=0), "mask": np.ones((50, 4), bool)}
    expected = session.run(given, "sample")["x"]
    for path in (tmp_path / "event.csv", tmp_path / "event.npy"):
        found = read_observation(session.spec, path)
        report = infer(session.spec, lambda inputs: session.run(inputs, "sample"), found, tmp_path / "out", draws=50)
        with np.load(report.samples) as samples:
            np.testing.assert_allclose(np.stack([samples[name] for name in samples], axis=1), expected, atol=1e-4)
    import pandas as pd

    import zoo

    flow, frame = zoo.load(folder), pd.read_csv(tmp_path / "event.csv")
    np.testing.assert_allclose(flow.draw(50, frame), expected, atol=1e-4)


# -- exact posteriors -----------------------------------------------------------------------------------------------------


def learned(
    inputs: dict[str, np.ndarray], embedding: dict[str, Any], epochs: int, decay: float | None = None, **more: Any
) -> Flow:
    """A small flow of one parameter, trained on pairs with a tenth of them held out."""
    import keras

    from zoo.families.state import apart

    n, shape = len(inputs["theta"]), list(inputs["x"].shape[1:])
    context = [None, *shape[1:]] if "mask" in inputs else shape
    with apart(0):
        flow = NSF(1, context=context, embedding=embedding, transforms=2, hidden=[24], bins=5, autoregressive=True, **more)
        flow.adapt(inputs, None)
        rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * int(0.9 * n) // 64)
        optimizer = keras.optimizers.Adam(rate, weight_decay=decay)
        flow.compile(optimizer, loss=flow.objective, jit_compile=False, steps_per_execution=8)
        best = keras.callbacks.EarlyStopping(patience=epochs, restore_best_weights=True)
        target = np.zeros((n, 1), np.float32)
        flow.fit(
            tuple(inputs.values()),
            target,
            64,
            epochs,
            verbose=0,
            validation_split=0.1,
            callbacks=[best],
            validation_batch_size=256,
        )
    return flow


def beside_exact(flow: Flow, observed: list[np.ndarray], exact: list[tuple[float, float]]) -> tuple[float, float]:
    """Root mean square of how far means are off, in exact deviations; and the mean ratio of deviations."""
    drawn = flow.draw(1000, observed).astype(np.float64)[..., 0]
    mean, deviation = np.transpose(exact)
    off = (drawn.mean(axis=1) - mean) / deviation
    return float(np.sqrt(np.mean(off**2))), float(np.mean(drawn.std(axis=1) / deviation))


NOISE = 2.0
"""Deviation of a trial from the mean that is asked for, whose prior is a standard normal."""


def sets_of_trials(n: int, most: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    theta = rng.normal(0, 1, (n, 1)).astype(np.float32)
    mask = np.arange(most) < np.floor(np.exp(rng.uniform(0, np.log(most + 1), (n, 1))))
    x = np.where(mask, rng.normal(theta, NOISE, (n, most)), 0)[..., None]
    return {"theta": theta, "x": x.astype(np.float32), "mask": mask}


def conjugate(trials: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the mean of a Gaussian, given trials (k, 1)."""
    precision = 1 + len(trials) / NOISE**2
    return trials.sum() / NOISE**2 / precision, precision**-0.5


def expect_conjugate(flow: Flow, off: float, ratio: float) -> None:
    rng = np.random.default_rng(5)
    for count in (1, 10, 100):
        sets = [rng.normal(rng.normal(), NOISE, (count, 1)) for _ in range(30)]
        found = beside_exact(flow, sets, [conjugate(trials) for trials in sets])
        assert found[0] < off, (count, found)
        assert 1 / ratio < found[1] < ratio, (count, found)


SMALL_SETS = {"kind": "mean-pooled", "element_units": [16], "units": [24, 8]}


@pytest.mark.slow  # a shorter one is that of test_inference_shapes.py
def test_posterior_of_a_mean_narrows_with_the_trials():
    """One flow for 1, 10 and 100 trials: exact deviations are 0.89, 0.53 and 0.20."""
    expect_conjugate(learned(sets_of_trials(6000, 100, 0), SMALL_SETS, 12), off=0.3, ratio=1.3)


@pytest.mark.slow
def test_posterior_of_a_mean_by_attention():
    attention = {"kind": "attention", "width": 16, "heads": 2, "blocks": 1, "units": [24, 8]}
    expect_conjugate(learned(sets_of_trials(6000, 100, 0), attention, 12), off=0.35, ratio=1.35)


LENGTH = 40


def autoregressive(theta: np.ndarray, seed: int) -> np.ndarray:
    """Stationary series x_t = theta x_(t-1) + noise, (n, LENGTH, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (len(theta), LENGTH))
    x[:, 0] /= np.sqrt(1 - theta[:, 0] ** 2)
    for t in range(1, LENGTH):
        x[:, t] += theta[:, 0] * x[:, t - 1]
    return x[..., None].astype(np.float32)


def on_a_grid(x: np.ndarray) -> tuple[float, float]:
    """Mean and deviation of the coefficient of a series, flat from -0.9 to 0.9 beforehand."""
    grid, x = np.linspace(-0.9, 0.9, 2001), x[:, 0].astype(np.float64)
    log = -0.5 * np.square(x[1:, None] - grid * x[:-1, None]).sum(axis=0)
    log += 0.5 * np.log(1 - grid**2) - 0.5 * x[0] ** 2 * (1 - grid**2)
    weight = np.exp(log - log.max())
    mean = np.average(grid, weights=weight)
    return float(mean), float(np.sqrt(np.average((grid - mean) ** 2, weights=weight)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fixed", "free"])
def test_posterior_of_the_memory_of_a_series(kind):
    """Of free length, half of each series at random is cut off, and the exact posterior is that of what is left."""
    rng = np.random.default_rng(1)
    theta = rng.uniform(-0.9, 0.9, (8000, 1)).astype(np.float32)
    inputs = {"theta": theta, "x": autoregressive(theta, 2)}
    if kind == "free":
        mask = np.arange(LENGTH) < rng.integers(LENGTH // 2, LENGTH + 1, (len(theta), 1))
        inputs |= {"x": np.where(mask[..., None], inputs["x"], 0), "mask": mask}
    convolution = {"kind": "convolution-1d", "filters": [16, 16], "kernel": 5, "units": [24, 8]}
    flow = learned(inputs, convolution, 12, decay=0.3, support=[[-0.9, 0.9]])
    observed = list(autoregressive(rng.uniform(-0.8, 0.8, (40, 1)), 3))
    if kind == "free":
        observed = [row[: LENGTH // 2 + i % 21] for i, row in enumerate(observed)]
    off, ratio = beside_exact(flow, observed, [on_a_grid(row) for row in observed])
    assert off < 0.45
    assert 0.85 < ratio < 1.3


SIDE = 8
PATTERN = np.exp(-np.add.outer((np.arange(SIDE) - 2.0) ** 2, (np.arange(SIDE) - 5.0) ** 2) / 6)


@pytest.mark.slow
def test_amplitude_of_a_pattern_in_white_noise():
    """The exact posterior is that of a matched filter, which has to know where the pattern lies."""
    rng = np.random.default_rng(4)
    theta = rng.normal(0, 1, (6000, 1)).astype(np.float32)
    maps = (theta[:, :, None] * PATTERN + rng.normal(0, 1, (len(theta), SIDE, SIDE))).astype(np.float32)
    convolution = {"kind": "convolution-2d", "filters": [8, 16], "kernel": 3, "units": [24, 8]}
    flow = learned({"theta": theta, "x": maps}, convolution, 12, decay=0.3)
    observed = list((rng.normal(0, 1, (40, 1, 1)) * PATTERN + rng.normal(0, 1, (40, SIDE, SIDE))).astype(np.float32))
    precision = 1 + np.square(PATTERN).sum()
    off, ratio = beside_exact(flow, observed, [((one * PATTERN).sum() / precision, precision**-0.5) for one in observed])
    assert off < 0.4
    assert 0.85 < ratio < 1.2
