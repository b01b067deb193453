"""Flows: TensorFlow Probability's bijectors, automatic differentiation, quadrature and entropies as oracles."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_flows import KINDS, build

from zoo.errors import InputError
from zoo.families.flows.affine import LIMIT
from zoo.families.flows.bijector import order
from zoo.families.flows.conditioner import Conditioner
from zoo.families.flows.spline import BOUND, MIN_BIN, MIN_SLOPE, RAW_SLOPE_ONE, Spline
from zoo.model.registry import get_family

tfb = tfp.bijectors


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


EVERY_KIND = pytest.mark.parametrize(
    ("kind", "case"),
    [
        *((kind, "bounded") for kind in KINDS),
        ("maf", "plane"),
        ("nsf-coupling", "plane"),
        ("realnvp", "conditional"),
        ("nsf-autoregressive", "conditional"),
    ],
)
"""Every kind with all that a case can have, and each case without some of it with both networks and both transforms."""

built = functools.cache(build)
"""Flows and their rows for tests that leave them as they are."""


@functools.cache
def built_in_tfp(kind: str, case: str) -> tfp.distributions.Distribution:
    flow, _, c = built(kind, case)
    return in_tfp(flow, c)


def in_tfp(flow, c) -> tfp.distributions.Distribution:
    """The same density from TFP's bijectors, the flow's weights copied, in double precision."""
    features = None if c is None else np.asarray(flow.condition(c), np.float64)
    return tfp.distributions.TransformedDistribution(
        tfp.distributions.MultivariateNormalDiag(np.zeros(flow.dimensions)),
        tfb.Chain([_support(flow.support), *(_transform(t, features) for t in flow.transforms)]),
    )


def _support(support) -> tfb.Bijector:
    mean, scale = (np.asarray(w, np.float64) for w in (support.standardize.mean, support.standardize.scale))
    ends = zip(support.bounded, support.low.astype(float), support.high.astype(float), strict=True)
    each = [tfb.Sigmoid(low=low, high=high) if bounded else tfb.Identity() for bounded, low, high in ends]
    return tfb.Chain([tfb.Blockwise(each, block_sizes=[1] * len(each)), tfb.Shift(mean), tfb.Scale(scale)])


def _transform(transform, features) -> tfb.Bijector:
    variables = len(transform.order)
    masked = transform.conditioner.masks is not None
    permute = tfb.Permute(np.argsort(transform.order))  # from the base towards the variables
    if masked:
        return tfb.Chain([permute, tfb.MaskedAutoregressiveFlow(bijector_fn=lambda x: _elementwise(transform, x, features))])
    moved = tfb.RealNVP(num_masked=variables // 2, bijector_fn=lambda kept, *_, **__: _elementwise(transform, kept, features))
    return tfb.Chain([permute, moved])


def _elementwise(transform, x, features) -> tfb.Bijector:
    """The map of each variable, from the base towards the variables; the network written out anew."""
    net = transform.conditioner
    kernels = [np.asarray(w, np.float64) for w in [*net.kernels, net.head_kernel]]
    if net.masks is not None:
        kernels = [kernel * mask for kernel, mask in zip(kernels, net.masks, strict=True)]
    biases = [np.asarray(w, np.float64) for w in [*net.biases, net.head_bias]]
    h = tf.cast(x, tf.float64) @ kernels[0] + biases[0]
    if features is not None:
        h += features @ np.asarray(net.context_kernel, np.float64)
    for kernel, bias in zip(kernels[1:], biases[1:], strict=True):
        h = tf.nn.relu(h) @ kernel + bias.reshape(-1)
    raw = tf.transpose(tf.reshape(h, (-1, net.parameters, net.outputs)), (0, 2, 1))
    affine = tfb.Chain([tfb.Shift(raw[..., 0]), tfb.Scale(log_scale=LIMIT * tf.tanh(raw[..., 1] / LIMIT))])
    if net.parameters == 2:
        return affine
    return tfb.Chain([affine, tfb.Invert(_spline(raw[..., 2:], (net.parameters - 1) // 3))])


def _spline(raw, bins: int) -> tfb.Bijector:
    widths, heights = (
        2 * BOUND * (MIN_BIN + (1 - bins * MIN_BIN) * tf.nn.softmax(raw[..., i * bins : (i + 1) * bins])) for i in (0, 1)
    )
    slopes = MIN_SLOPE + tf.nn.softplus(raw[..., 2 * bins :] + RAW_SLOPE_ONE)
    return tfb.RationalQuadraticSpline(widths, heights, slopes, range_min=-BOUND)


@EVERY_KIND
def test_log_prob_is_tfps(kind, case):
    flow, x, c = built(kind, case)
    expected = built_in_tfp(kind, case).log_prob(x.astype(np.float64)).numpy()
    assert np.ptp(expected) > 1
    np.testing.assert_allclose(np.asarray(flow.log_prob(x, c)), expected, rtol=1e-4, atol=1e-3)


@EVERY_KIND
def test_sample_is_tfps(kind, case):
    flow, x, c = built(kind, case)
    z = np.random.default_rng(1).normal(size=x.shape)
    expected = built_in_tfp(kind, case).bijector.forward(z).numpy()
    np.testing.assert_allclose(np.asarray(flow.sample(z.astype(np.float32), c)), expected, rtol=1e-4, atol=1e-4)


def test_made_is_tfps_autoregressive_network():
    """TFP's own masked network, unit by unit: it orders hidden units by degree, ours cycle through the degrees."""
    import tf_keras

    variables, units, parameters = 4, 9, 2
    ours = Conditioner(variables, 0, [units, units], variables, parameters, "tanh", autoregressive=True)
    rng = np.random.default_rng(0)
    for weight in ours.weights:
        weight.assign(rng.normal(size=weight.shape))
    theirs = tfb.AutoregressiveNetwork(params=parameters, event_shape=[variables], hidden_units=[units] * 2, activation="tanh")
    theirs(tf_keras.Input((variables,)))
    by_degree = np.argsort(np.arange(units) % (variables - 1), kind="stable")
    variable_first = np.arange(parameters * variables).reshape(parameters, variables).T.reshape(-1)
    kernels = [np.asarray(k) * m for k, m in zip([*ours.kernels, ours.head_kernel], ours.masks, strict=True)]
    into = [np.arange(variables), by_degree, by_degree]
    out = [by_degree, by_degree, variable_first]
    weights = []
    for kernel, bias, rows, columns in zip(kernels, [*ours.biases, ours.head_bias], into, out, strict=True):
        weights += [kernel[rows][:, columns], np.asarray(bias).reshape(-1)[columns]]
    theirs.set_weights(weights)
    x = rng.normal(size=(7, variables)).astype(np.float32)
    found = np.asarray(ours(x)).reshape(parameters, variables, -1).transpose(2, 1, 0)
    np.testing.assert_allclose(found, theirs(x).numpy(), rtol=1e-4, atol=1e-5)


def jacobians(tape, outputs, inputs) -> np.ndarray:
    """Of each row, one output after the other: ``batch_jacobian`` traces a graph, which takes most of a test."""
    rows, dimensions = outputs.shape
    ones = np.eye(dimensions, dtype=np.float32)
    found = [tape.gradient(outputs, inputs, tf.constant(np.tile(one, (rows, 1)))).numpy() for one in ones]
    return np.stack(found, axis=1).astype(np.float64)


@EVERY_KIND
def test_log_det_is_that_of_the_jacobian(kind, case):
    flow, x, c = built(kind, case)
    with tf.GradientTape(persistent=True) as tape:
        x = tf.constant(x)
        tape.watch(x)
        u, log_det = flow.to_base(x, c)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobians(tape, u, x))[1], atol=1e-4)


@pytest.mark.parametrize("case", ["plane", "conditional"])
def test_round_trip_over_six_sigma(kind, case):
    """Steeper flows lose more: the error is that of single precision times their slope, 1e5 at a spread of 0.7."""
    flow, x, c = build(kind, case, spread=0.5)
    z = np.random.default_rng(2).uniform(-6, 6, x.shape).astype(np.float32)
    assert np.abs(np.asarray(flow.to_base(flow.sample(z, c), c)[0]) - z).max() < 1e-4


def test_density_integrates_to_one(kind):
    flow, _, _ = build(kind, "plane", spread=0.4)
    axis = np.linspace(-2.5, 3.5, 301)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert np.exp(flow.log_density(grid)).sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("kind", ["maf", "nsf-coupling"])  # bounds are the same for all kinds
def test_bounded_density_integrates_to_one_and_is_zero_outside(kind):
    flow, _, _ = build(kind, "plane", spread=0.4, support=[[-1.0, 2.0], [0.0, 5.0]])
    x, y = np.linspace(-1, 2, 301)[:-1] + 1.5 / 300, np.linspace(0, 5, 301)[:-1] + 2.5 / 300
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    assert np.exp(flow.log_density(grid)).sum() * 3 / 300 * 5 / 300 == pytest.approx(1, abs=0.01)
    assert np.all(np.isneginf(flow.log_density(np.array([[-1.01, 1.0], [2.01, 1.0], [0.0, -0.01], [0.0, 5.01]]))))


def test_no_sample_leaves_the_support(kind):
    flow, x, c = build(kind, "bounded", spread=2.0)
    z = np.random.default_rng(0).uniform(-12, 12, x.shape).astype(np.float32)
    sample = np.asarray(flow.sample(z, c))
    assert np.isfinite(sample).all()
    assert np.all((sample[:, 0] >= -1) & (sample[:, 0] <= 2) & (sample[:, 2] >= 0) & (sample[:, 2] <= 5))
    assert np.isfinite(np.asarray(flow.log_prob(sample, c))).all()


@settings(max_examples=8, deadline=None)
@given(kind=st.sampled_from(sorted(KINDS)), dimensions=st.integers(2, 13), context=st.integers(0, 3), seed=st.integers(0, 99))
def test_inverse_and_batch_for_any_width(kind, dimensions, context, seed):
    """Also past the width at which the autoregressive inverse becomes a loop."""
    flow, x, c = build(kind, "plane", dimensions=dimensions, context=context, hidden=[16, 16], transforms=2, seed=seed)
    shuffled = np.random.default_rng(seed).permutation(len(x))[:9]
    log_prob = np.asarray(flow.log_prob(x, c))
    part = np.asarray(flow.log_prob(x[shuffled], None if c is None else c[shuffled]))
    np.testing.assert_allclose(part, log_prob[shuffled], rtol=1e-4, atol=1e-4)
    u, _ = flow.to_base(x, c)
    np.testing.assert_allclose(np.asarray(flow.sample(u, c)), x, atol=2e-3)


@given(variables=st.integers(1, 9), units=st.integers(9, 20), context=st.booleans())
@settings(max_examples=10, deadline=None)
def test_made_sees_only_what_comes_before(variables, units, context):
    net = Conditioner(variables, 2 * context, [units, units], variables, 1, "tanh", autoregressive=True)
    for weight in net.weights:
        weight.assign(np.random.default_rng(0).normal(0, 0.3, weight.shape))  # wider, tanh' would round to zero
    with tf.GradientTape(persistent=True) as tape:
        x, c = tf.ones((1, variables)), tf.ones((1, 2))
        tape.watch([x, c])
        out = tf.reshape(net(x, c if context else None), (1, variables))
    jacobian = jacobians(tape, out, x)[0]
    assert np.all(np.triu(jacobian) == 0)
    assert np.all(jacobian[np.tril_indices(variables, -1)] != 0)
    if context:
        assert np.all(jacobians(tape, out, c) != 0)  # the first variable too


def test_made_of_too_few_units_is_refused():
    """A degree that no unit has would cut a variable from another without a word."""
    with pytest.raises(ValueError, match="at least 9 units"):
        Conditioner(9, 2, [16, 8], 9, 1, "tanh", autoregressive=True)


def test_order_is_a_permutation_that_changes():
    orders = [order(5, index) for index in range(4)]
    assert all(sorted(o) == list(range(5)) for o in orders)
    assert len({tuple(o) for o in orders}) == 3


def test_spline_is_the_identity_at_the_start_and_outside():
    spline = Spline(6)
    x = np.linspace(-9, 9, 181, dtype=np.float32)[None]
    y, log_slope = spline.to_base(x, np.zeros((spline.parameters, x.shape[1]), np.float32))
    np.testing.assert_allclose(y, x, atol=1e-5)
    np.testing.assert_allclose(log_slope, 0, atol=1e-5)
    raw = np.random.default_rng(0).normal(0, 3, (spline.parameters, 1)).astype(np.float32) * np.ones_like(x)
    y, log_slope = (np.asarray(values) for values in spline.to_base(x, raw))
    outside = np.abs(x) >= BOUND
    np.testing.assert_allclose(y[outside], x[outside], atol=1e-4)
    np.testing.assert_allclose(log_slope[outside], 0, atol=1e-2)
    assert np.all(np.diff(y[0]) > 0)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_extreme_spline_parameters_stay_finite(scale):
    spline = Spline(8)
    rng = np.random.default_rng(0)
    raw = (scale * rng.normal(size=(spline.parameters, 500))).astype(np.float32)
    x = rng.uniform(-5, 5, (1, 500)).astype(np.float32)
    y, log_slope = spline.to_base(x, raw)
    assert np.isfinite(np.asarray(y)).all()
    assert np.isfinite(np.asarray(log_slope)).all()
    assert np.isfinite(np.asarray(spline.from_base(x, raw))).all()


def test_untrained_flow_is_the_standardized_normal(kind):
    family, own = KINDS[kind]
    rows = np.random.default_rng(0).normal([1.0, -4.0], [2.0, 0.5], (500, 2))
    flow = get_family(family)(dimensions=2, transforms=2, hidden=[8], **own)
    flow.adapt({"x": rows}, None)
    normal = tfp.distributions.MultivariateNormalDiag(rows.mean(axis=0), rows.std(axis=0))
    np.testing.assert_allclose(flow.log_density(rows), normal.log_prob(rows), atol=1e-4)


# These two have both transforms and both networks; the other kinds combine them otherwise.
@pytest.mark.parametrize(
    "kind", ["maf", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("realnvp", "nsf-coupling", "nsf-autoregressive"))]
)
def test_training_finds_a_correlated_conditional_normal(kind):
    """Given c, x is normal with mean and covariance known: the loss falls to its entropy."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    root = np.array([[1.0, 0.0], [1.8, 0.4]])
    c = rng.normal(size=(8192, 1)).astype(np.float32)
    x = (np.concatenate([2 * c, -c], axis=1) + rng.normal(size=(8192, 2)) @ root.T).astype(np.float32)
    family, own = KINDS[kind]
    flow = get_family(family)(dimensions=2, context=1, transforms=2, hidden=[16], **own)
    flow.adapt({"x": x, "c": c}, None)
    assert len(flow.trainable_weights) > 0
    # XLA takes longer to compile a step than these steps take.
    flow.compile(optimizer=keras.optimizers.Adam(5e-3), loss=lambda _, log_prob: -log_prob, jit_compile=False)
    losses = flow.fit((x, c), np.zeros((len(x), 1)), batch_size=256, epochs=6, verbose=0).history["loss"]
    entropy = 1 + np.log(2 * np.pi) + np.log(np.linalg.det(root))
    assert losses[-1] < losses[0] - 0.1
    assert -flow.log_density(x, c).mean() == pytest.approx(entropy, abs=0.05)
    drawn = flow.draw(20_000, np.array([1.5]), seed=1)
    np.testing.assert_allclose(drawn.mean(axis=0), [3.0, -1.5], atol=0.25)
    np.testing.assert_allclose(np.cov(drawn.T), root @ root.T, atol=0.5)


def test_draw_is_shaped_and_seeded():
    flow, _, c = build("maf", "conditional")
    assert flow.draw(5, c[0]).shape == (5, 3)
    assert flow.draw(5, c[:4]).shape == (4, 5, 3)
    np.testing.assert_allclose(flow.draw(5, c[:4], seed=2)[0], flow.draw(5, c[0], seed=2), rtol=1e-5, atol=1e-6)
    assert not np.allclose(flow.draw(5, c[0]), flow.draw(5, c[0], seed=1))
    alone, _, _ = build("maf", "plane")
    assert alone.draw(10_000).shape == (10_000, 2)
    assert alone.log_density(np.zeros((10_000, 2))).shape == (10_000,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda flow: flow.draw(3), "width 2, given None"),
        (lambda flow: flow.draw(3, np.zeros(5)), r"width 2, given \(5,\)"),
        (lambda flow: flow.log_density(np.zeros((3, 2)), np.zeros(2)), r"3 variables, given shape \(3, 2\)"),
        (lambda flow: build("maf", "plane")[0].draw(3, np.zeros(2)), "no context"),
    ],
)
def test_wrong_calls_say_what_was_expected(call, message):
    with pytest.raises(InputError, match=message):
        call(build("maf", "conditional")[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"support": [[0, 1]]}, "support of 2 variables, given 1"),
        ({"support": [[1, 0], None]}, "low < high"),
        ({"support": [[0, float("inf")], None]}, "low < high"),
        ({"embedding": [4]}, "needs a context"),
        ({"hidden": []}, "hidden layers"),
        ({"transforms": 0}, "transforms"),
    ],
)
def test_wrong_configs_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        get_family("nsf")(**{"dimensions": 2} | config)


def test_a_coupling_of_one_variable_is_refused():
    with pytest.raises(ValueError, match="autoregressive"):
        get_family("realnvp")(dimensions=1, context=1)
    assert get_family("maf")(dimensions=1, context=1).draw(3, np.zeros(1)).shape == (3, 1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.0], [1.5, 1.0]], r"variable 0 must be within \[0, 1\]: 1 of 2 training rows are not, row 1 holds 1.5"),
        ([[0.5, np.nan], [0.6, 1.0]], "variable 1 must be finite"),
        ([[0.5, 2.0], [0.6, 2.0]], "variable 1 is 2 in every training row"),
        ([[0.5], [0.6]], "2 variables"),
    ],
)
def test_training_rows_that_no_density_fits_are_refused(rows, message):
    flow = get_family("nsf")(dimensions=2, support=[[0, 1], None])
    with pytest.raises(InputError, match=message):
        flow.adapt({"theta": np.array(rows)}, None)


@pytest.mark.parametrize(("name", "options"), [("maf", {}), ("nsf", {"autoregressive": True})])
def test_probability_of_less_is_the_integral_of_the_density(name, options):
    flow = get_family(name)(dimensions=1, context=2, transforms=2, hidden=[8], support=[[0.0, 2.0]], **options)
    rng = np.random.default_rng(0)
    flow.set_weights([w + 0.3 * rng.standard_normal(w.shape) if w.ndim == 2 else w for w in flow.get_weights()])
    c, x = rng.standard_normal((4, 2)).astype(np.float32), np.float32([[0.1], [0.7], [1.2], [1.9]])
    median, log_density, probability = flow.predictive({"x": x, "c": c}, x)
    np.testing.assert_allclose(log_density, flow.log_density(x, c), rtol=1e-6)
    grid = np.linspace(1e-5, 2 - 1e-5, 20001)
    for i in range(4):
        density = np.exp(flow.log_density(grid[:, None], c[i]).astype(float))
        below = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2 * np.diff(grid))])
        assert np.interp(x[i, 0], grid, below) == pytest.approx(probability[i], abs=2e-3)
        assert np.interp(median[i], grid, below) == pytest.approx(0.5, abs=2e-3)


def test_predictive_is_of_one_variable():
    flow = get_family("maf")(dimensions=2, transforms=1, hidden=[8])
    with pytest.raises(InputError, match="one variable, this one has 2"):
        flow.predictive({"x": np.zeros((1, 2))}, np.zeros((1, 2)))


def test_a_step_is_compiled_by_xla_unless_one_says_no():
    """Deterministic operations, under which Keras turns XLA off by itself, leave it on; what one asks for is kept."""
    flow = get_family("realnvp")(dimensions=2, transforms=1, hidden=[4])
    assert not flow.jit_compile
    for asked, kept in (({}, True), ({"jit_compile": False}, False), ({"jit_compile": True}, True)):
        flow.compile("adam", loss=flow.objective, **asked)
        assert flow.jit_compile is kept
    flow.compile("adam", loss=flow.objective, run_eagerly=True)
    assert not flow.jit_compile
    of_maps = get_family("realnvp")(
        dimensions=2, transforms=1, hidden=[4], context=[8, 8], embedding={"kind": "field", "channels": [2], "units": [2]}
    )
    of_maps.compile("adam", loss=of_maps.objective)
    assert not of_maps.jit_compile
    flow.compile("adam", loss=flow.objective)
    losses = flow.fit(np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32), batch_size=2, epochs=3, verbose=0).history[
        "loss"
    ]
    assert losses[-1] < losses[0]
