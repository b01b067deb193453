"""Formulae: evaluation and parsing against SymPy, one way of writing them, what is left out of training, and the search."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from quick_training import eagerly

from zoo.data.dataset import get_dataset
from zoo.data.formulae.canonical import Degenerate, identity, renamed, simplified
from zoo.data.formulae.dataset import judged_identities
from zoo.data.formulae.generator import drawn_skeleton
from zoo.data.formulae.laws import FORMS, LAWS
from zoo.errors import InputError
from zoo.families.expression import CONSTANT, TOKENS, Expression, is_whole, values, values_and_slopes
from zoo.families.symbolic_transformer import SymbolicTransformer
from zoo.interpret.formulae import search
from zoo.interpret.formulae.constants import fitted_constants
from zoo.interpret.formulae.search import FormulaSearch, checked_points, find_formulae
from zoo.model.axes import Axis
from zoo.model.spec import Endpoint, Tensor
from zoo.testing import check_dataset, check_family
from zoo.training.evaluations.formulae import Case, FormulaeFound, Points, _metrics, is_same
from zoo.training.recipe import load_recipe

SMALL = {"expressions": 1000, "train": 64, "validation": 16, "test": 16, "points": 24, "longest": 16}
TINY = {"coordinates": 5, "tokens": 17, "width": 8, "heads": 2, "memory": 3, "encoder_blocks": 1, "decoder_blocks": 1}
WAVES = {TOKENS.index("sin"), TOKENS.index("cos")}
ALL_LAWS = [law for laws in LAWS.values() for law in laws]


@pytest.fixture(scope="module")
def dataset():
    return get_dataset("formulae", **SMALL)


def skeletons(n, seed=0, longest=24):
    rng = np.random.default_rng(seed)
    found = (drawn_skeleton(rng, longest) for _ in range(100 * n))
    return [next(skeleton for skeleton in found if skeleton) for _ in range(n)]


@pytest.mark.parametrize("law", ALL_LAWS, ids=lambda law: law.name)
def test_laws_are_what_their_text_says(law):
    sympy = pytest.importorskip("sympy")
    symbols = sympy.symbols("x1:5")
    true = sympy.lambdify(symbols, sympy.sympify(law.text), "numpy")
    x, y = law.points(50, np.random.default_rng(0))
    assert np.isfinite(y).all()
    np.testing.assert_allclose(y, true(*x.T, *[0.0] * (4 - x.shape[1])), rtol=1e-12)
    again = Expression.parsed(str(law.expression))
    np.testing.assert_allclose(again(x), y, rtol=2e-3, atol=5e-3)


def test_a_formula_is_written_as_it_is_read():
    for skeleton in skeletons(200):
        constants = np.round(np.random.default_rng(1).uniform(0.5, 3, skeleton.count(CONSTANT)), 2)
        expression = Expression(skeleton, constants)
        x = np.random.default_rng(2).uniform(0.5, 1.5, (20, 4))
        np.testing.assert_allclose(Expression.parsed(str(expression))(x), expression(x), rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x1 + -2*x2", "x1 - 2*x2"),
        ("x1 - (-2)", "x1 + 2"),
        ("-2*x1 + x2", "-2*x1 + x2"),
        ("exp(-0.5*x1)*(x2 - 3)", "exp(-0.5*x1)*(x2 - 3)"),
        ("(-2)**2 + x1", "(-2)**2 + x1"),
        ("x1*(-2)", "x1*(-2)"),
        ("x1 - (-2*x2 + 3)", "x1 - (-2*x2 + 3)"),
    ],
)
def test_negative_numbers_are_written_as_people_do(text, written):
    found = Expression.parsed(text)
    assert str(found) == written
    x = np.random.default_rng(0).uniform(0.5, 1.5, (5, 2))
    np.testing.assert_allclose(Expression.parsed(written)(x), found(x), rtol=1e-12)


@pytest.mark.parametrize(
    ("tokens", "whole"), [((6, 1, 5), True), ((1,), True), ((), False), ((6, 1), False), ((1, 2, 6), False)]
)
def test_a_formula_is_whole_in_prefix_order(tokens, whole):
    assert is_whole(tokens) == whole
    if not whole:
        with pytest.raises(InputError, match="expected a whole formula in prefix order"):
            Expression(tokens, np.zeros(0))


@pytest.mark.parametrize("text", ["x5", "abs(x1)", "x1 <", "__import__('os')", "x1.real", "True", "exp(x1, x2)"])
def test_texts_that_are_no_formula(text):
    with pytest.raises(InputError, match="expected"):
        Expression.parsed(text)


def test_slopes_are_those_of_finite_differences():
    for skeleton in skeletons(100, seed=3):
        constants = np.random.default_rng(1).uniform(0.5, 1.5, skeleton.count(CONSTANT))
        x = np.random.default_rng(2).uniform(0.5, 1.5, (10, 4))
        value, slope = values_and_slopes(skeleton, x, constants)
        np.testing.assert_array_equal(value, values(skeleton, x, constants))
        for i in range(len(constants)):
            step = 1e-6 * np.eye(len(constants))[i]
            difference = (values(skeleton, x, constants + step) - values(skeleton, x, constants - step)) / 2e-6
            good = np.isfinite(difference) & (np.abs(difference) < 1e3)
            np.testing.assert_allclose(slope[i][good], difference[good], rtol=1e-4, atol=1e-4)


def test_what_is_simplified_is_the_same_formula():
    """With some constants, which are fitted: the way of writing that is left is no less general."""
    rng = np.random.default_rng(0)
    tried = 0
    for raw in skeletons(60, seed=5, longest=12):
        assert simplified(raw) == raw
        for skeleton in ((6, *raw, 8, CONSTANT, *raw), (8, *raw, *raw), (9, 1, 8, CONSTANT, *raw)):
            x = rng.uniform(0.3, 2.0, (40, 4))
            y = values(skeleton, x, rng.uniform(0.5, 2.0, skeleton.count(CONSTANT)))
            if not WAVES & set(raw) and np.isfinite(y).all() and 1e-2 < y.std() < 3:  # no wave or pole, which fits miss
                tried += 1
                assert fitted_constants(simplified(skeleton), x, y, starts=60)[1] < 1e-3, skeleton
    assert tried > 60


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x1*(x2 + 3)", "x1*x2 + 5*x1"),
        ("1/(1/x1 + 1/x2)", "x1*x2/(x1 + x2)"),
        ("(x1 + 1)**2", "x1**2 + 2*x1 + 1"),
        ("exp(x1 + x2)", "exp(x1)*exp(x2)"),
        ("sqrt(x1/x2)", "sqrt(x1)/sqrt(x2)"),
        ("log(x1*x2)", "log(x1) + log(x2)"),
        ("cos(x1 + 1)", "sin(x1 + 2)"),
        ("1/exp(x1**2)", "exp(-x1**2)"),
        ("x1*(x1*(x1 + 1) + 1)", "x1**3 + x1**2 + x1"),
        ("x1/sqrt(1 - x2**2/x3**2)", "x1*x3/sqrt(x3**2 - x2**2)"),
        ("exp(x2*log(x1))", "x1**x2"),
        ("x1 - (x2 - x3)", "x3 - x2 + x1"),
        ("7*x1 + 2", "x1"),
    ],
)
def test_forms_of_one_formula_have_one_identity(one, other):
    assert identity(Expression.parsed(one).tokens) == identity(Expression.parsed(other).tokens)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x1*x2", "x1/x2"), ("sin(x1)", "cos(x1)"), ("x1 + x2", "x1*x2"), ("log(x1)", "log(x1 + 1)"), ("exp(x1)", "exp(x1**2)"),
     ("x1", "x2"), ("sqrt(x1)", "x1"), ("x1**3 + x1", "x1**3 + x1**2")],
)  # fmt: skip
def test_other_formulae_have_other_identities(one, other):
    assert identity(Expression.parsed(one).tokens) != identity(Expression.parsed(other).tokens)


def test_terms_that_cancel_are_no_formula():
    with pytest.raises(Degenerate):
        simplified(Expression.parsed("x1 - x1").tokens)


@pytest.mark.parametrize("name", FORMS)
def test_other_forms_of_a_law_are_the_law(name):
    law = next(law for law in ALL_LAWS if law.name == name)
    x, y = law.points(50, np.random.default_rng(0))
    for text in FORMS[name]:
        form = Expression.parsed(text)(x)
        assert abs(np.corrcoef(form, y)[0, 1]) == pytest.approx(1, abs=1e-9)


def test_forms_of_a_law_are_left_out_of_training():
    """Factors moved across sums, fractions and roots by SymPy, which leaves the value as it is."""
    sympy = pytest.importorskip("sympy")
    known = judged_identities()
    for law in ALL_LAWS:
        for form in (sympy.expand, sympy.factor, sympy.together, sympy.simplify):
            changed = str(form(sympy.sympify(law.text.replace("pi", "3.5"))))
            try:
                tokens = Expression.parsed(changed).tokens
            except InputError:
                continue
            for other in renamed(tokens):
                assert identity(other) in known, (law.name, changed)


def test_rows_are_what_their_tokens_say(dataset):
    check_dataset(dataset, again=lambda: get_dataset("formulae", **SMALL))
    first, second = dataset.rows("train"), dataset.rows("train", 1)
    assert not np.array_equal(first.inputs["points"], second.inputs["points"])
    known = judged_identities()
    for row in range(len(first)):
        skeleton = tuple(int(token) for token in first.target[row] if token)
        assert is_whole(skeleton)
        assert identity(skeleton) not in known
        tokens = first.inputs["tokens"][row]
        assert tokens[0] == 0
        np.testing.assert_array_equal(tokens[1 : len(skeleton)], skeleton[:-1])
        assert first.inputs["known"][row].sum() == len(skeleton)
        points = first.inputs["points"][row][first.inputs["real"][row]].astype(float)
        if CONSTANT not in skeleton and first.truth["noise"][row] == 0:
            np.testing.assert_allclose(values(skeleton, points[:, :4]), points[:, 4], rtol=1e-3, atol=1e-3)


def test_no_form_of_a_formula_is_in_two_splits(dataset):
    of_split = {
        split: {identity(other) for _, skeleton in made for other in renamed(skeleton)}
        for split, made in dataset.skeletons.items()
    }
    assert not of_split["train"] & of_split["test"]
    assert not of_split["train"] & of_split["validation"]


def point_axes(size=None):
    point, length = Axis(name="point", least=1, most=24), Axis(name="length", least=1, most=16)
    token, memory = Axis(name="token", size=17), [Axis(name="slot", size=3), Axis(name="feature", size=8)]
    one = {"unit": "1", "description": "made up"}
    points = Tensor(name="points", axes=[point, Axis(name="coordinate", size=5)], mask="real", **one)
    real = Tensor(name="real", axes=[point], dtype="bool", **one)
    tokens = Tensor(name="tokens", axes=[length], dtype="int32", values=list(range(17)), mask="known", **one)
    known = Tensor(name="known", axes=[length], dtype="bool", **one)
    kept = Tensor(name="memory", axes=memory, **one)
    each = Tensor(name="logits", axes=[length, token], mask="known", **one)
    return {
        "predict": Endpoint(description="p", inputs=[points, real, tokens, known], outputs=[each]),
        "encode": Endpoint(description="e", inputs=[points, real], outputs=[kept]),
        "next_token": Endpoint(
            description="n", inputs=[kept, tokens, known], outputs=[Tensor(name="logits", axes=[token], **one)]
        ),
    }


@pytest.mark.parametrize("opsets", [(13,), pytest.param((11, 13, 18), marks=pytest.mark.slow)])
def test_family_keeps_its_contract(dataset, opsets):
    with eagerly():
        check_family(SymbolicTransformer, TINY, dataset.rows("train"), endpoints=point_axes(), opsets=opsets)


def test_family_learns_and_sees_no_token_before_its_turn(dataset):
    keras.utils.set_random_seed(0)
    model, rows = SymbolicTransformer(**TINY), dataset.rows("train")
    model.compile(keras.optimizers.Adam(1e-2), loss=model.objective, jit_compile=False)
    history = model.fit(tuple(rows.inputs.values()), rows.target, epochs=15, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < 0.8 * history[0]
    points, real, tokens, known = (array[:4] for array in rows.inputs.values())
    changed = tokens.copy()
    changed[:, 3:] = 1
    before, after = (np.asarray(model.following(points, real, each, known)) for each in (tokens, changed))
    np.testing.assert_allclose(before[:, :3], after[:, :3], atol=1e-5)
    assert np.abs(before[:, 3:] - after[:, 3:]).max() > 1e-3
    memory = model.encode(points, real)
    for length in (1, 3):
        so_far = np.broadcast_to(np.arange(tokens.shape[1]) < length, tokens.shape)
        found = np.asarray(model.next_token(memory, tokens, so_far))
        np.testing.assert_allclose(found, before[:, length - 1], atol=1e-5)
    order = np.random.default_rng(0).permutation(points.shape[1])
    shuffled = model.following(points[:, order], real[:, order], tokens, known)
    np.testing.assert_allclose(np.asarray(shuffled), before, atol=1e-4)


@pytest.mark.parametrize("bad", [{"heads": 3}, {"width": 0}, {"width": 9, "heads": 3}, {"memory": 0}])
def test_configs_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        SymbolicTransformer(**TINY | bad)


class Knows:
    """A session that writes what it is told, and nothing else as probable."""

    def __init__(self, *texts):
        self.spec = type("Spec", (), {"endpoints": point_axes()})
        self.skeletons = [Expression.parsed(text).tokens for text in texts]

    def run(self, inputs, endpoint, allow_out_of_range):
        if endpoint == "encode":
            return {"memory": np.zeros((1, 3, 8), np.float32)}
        logits = np.full((len(inputs["tokens"]), len(TOKENS)), -20.0, np.float32)
        for row, (tokens, known) in enumerate(zip(inputs["tokens"], inputs["known"], strict=True)):
            so_far = tuple(tokens[1 : known.sum()])
            for place, skeleton in enumerate(self.skeletons):
                if skeleton[: len(so_far)] == so_far and len(skeleton) > len(so_far):
                    logits[row, skeleton[len(so_far)]] = -place
        return {"logits": logits}


def points_of(text, n=60, variables=2, seed=0, low=1.0, high=3.0):
    x = np.random.default_rng(seed).uniform(low, high, (n, variables))
    return x, Expression.parsed(text)(x)


def test_a_search_finds_constants_and_the_simplest_formula():
    x, y = points_of("3*exp(-0.5*x1)*x2 + 1")
    model = Knows("x1 + x2", "2*exp(2*x1)*x2 + 2*x1 + 2", "2*exp(2*x1)*x2 + 2")
    found = find_formulae(model, x, y, beams=4)
    assert found[0].r2 > 1 - 1e-9
    assert sorted(np.round(found[0].constants, 4)) == [-0.5, 1.0, 3.0]
    assert any(each.complexity > found[0].complexity for each in found)
    np.testing.assert_allclose(found[0].predict(x), y, rtol=1e-5)
    assert "R^2 1.0" in str(found[0])


def test_a_search_is_not_fooled_by_noise():
    x, y = points_of("2*x1*x2", n=200)
    noisy = y + 0.1 * y.std() * np.random.default_rng(1).normal(size=len(y))
    found = FormulaSearch(Knows("2*x1*x2 + 2*sin(2*x1) + 2*x2**2", "2*x1*x2"), beams=4)(x, noisy)
    assert str(found[0].expression).count("x") == 2
    assert found[0].r2 == pytest.approx(0.99, abs=0.01)


@pytest.mark.parametrize(("size", "unit"), [(1e-6, 1.0), (1.0, 1e8), (1e5, 1e-12)])
def test_magnitudes_are_held(size, unit):
    x, y = points_of("x1*x2 + x1")
    found = find_formulae(Knows("2*x1*x2 + 2*x1"), x * size, y * unit, beams=2)
    np.testing.assert_allclose(found[0].predict(x * size), y * unit, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x[:5], y[:5]), "at least 10 different points"),
        (lambda x, y: (np.repeat(x[:4], 10, axis=0), np.repeat(y[:4], 10)), "given 4 among 40"),
        (lambda x, y: (np.column_stack([x, x, x]), y), "expected 1 to 4 variables, given 6"),
        (lambda x, y: (np.column_stack([x, np.ones(len(x))]), y), "x3 constant"),
        (lambda x, y: (x, np.ones(len(x))), "y: expected values that differ"),
        (lambda x, y: (np.where(x > 2.9, np.nan, x), y), "x: expected finite numbers"),
        (lambda x, y: (x, np.where(y > 8, np.inf, y)), "y: expected finite numbers"),
        (lambda x, y: (x, y[:-1]), "expected points x"),
    ],
)
def test_bad_points_are_named(change, said):
    x, y = points_of("x1*x2")
    with pytest.raises(InputError, match=said):
        checked_points(*change(x, y))


def test_points_that_stand_there_twice_are_taken_once():
    x, y = points_of("x1*x2")
    with pytest.warns(UserWarning, match="stand there twice"):
        once, _ = checked_points(np.concatenate([x, x[:7]]), np.concatenate([y, y[:7]]))
    np.testing.assert_array_equal(once, x)


def test_a_model_that_writes_no_formulae_is_refused():
    with pytest.raises(InputError, match="endpoints encode and next_token"):
        find_formulae(object(), *points_of("x1"))


def test_a_search_of_a_network_is_one_of_its_graph(dataset):
    """Random weights write something, and every skeleton is whole and short enough."""
    keras.utils.set_random_seed(3)
    found = FormulaSearch(SymbolicTransformer(**TINY), beams=5, endpoints=point_axes())
    x, y = points_of("x1*x2", n=30)
    points = np.zeros((20, 5), np.float32)
    points[:, :2], points[:, 4] = x[:20], y[:20]
    written = found.writer.written(points, 2, 5)
    assert len(written) == len(set(written)) == 5
    for skeleton in written:
        assert is_whole(skeleton)
        assert len(skeleton) <= 16
        assert not {3, 4} & set(skeleton)
    for each in found(x, y):
        assert np.isfinite(each.predict(x)).all()


def test_points_beyond_are_above_the_ranges():
    for law in ALL_LAWS:
        x, y = law.points(50, np.random.default_rng(0), beyond=True)
        assert np.isfinite(y).all()
        assert (x >= np.array(law.ranges)[:, 1]).all()


def test_polynomials_are_judged_as_formulae_are():
    """A polynomial is found exactly by polynomials, a root neither there nor beyond the points, and a search may find both."""
    settings = FormulaeFound(noise=[0.0], points=100)
    nguyen = settings.cases([0.0])[0]
    plain = Case("Nguyen", 0.0, [nguyen.formulae[0], nguyen.formulae[7]]).by_polynomials()
    assert plain.recovered == [True, False]
    assert plain.beyond[0] > 0.999 > plain.beyond[1]
    found = Case("Nguyen", 0.0, nguyen.formulae[:1]).by_search(FormulaSearch(Knows("x1**3 + x1**2 + x1"), beams=2))
    assert found.recovered == [True]
    metrics = _metrics("", "Nguyen", 0.0, [plain], plain)
    assert [metric.name for metric in metrics] == [
        "Nguyen, recovered",
        "Nguyen, R2 above 0.999",
        "Nguyen, R2 above 0.999 beyond",
    ]
    assert metrics[0].value == metrics[0].baseline == 0.5


def test_recovery_is_up_to_constants_and_no_more():
    x, y = points_of("x1**2 + 3*x2")
    one = Points(Expression.parsed("x1**2 + 3*x2"), x, y, x, y)
    assert is_same(Expression.parsed("x1*x1 + 3*x2"), one)
    assert is_same(Expression.parsed("1.1*x1**2 + 2.8*x2"), one)
    assert not is_same(Expression.parsed("1.1*x1**2 + 2.8*x2 + 0.1*x1"), one)
    assert not is_same(Expression.parsed("x1*x2"), one)


def test_the_recipe_names_the_tokens_that_there_are():
    recipe = load_recipe("transformer-formulae")
    assert recipe.endpoints["next_token"].outputs[0].labels == list(TOKENS)
    assert recipe.config["tokens"] == len(TOKENS)
    points, length = (recipe.endpoints["predict"].free[name].most for name in ("point", "length"))
    assert (points, length) == (recipe.data.parameters["points"], recipe.data.parameters["longest"])
    assert points >= search.FEWEST
