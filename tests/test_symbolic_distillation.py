"""Formulae of any shape of what a network computes: found, written, and deployed as a model."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from test_formulae import Knows

import zoo
from zoo.data.dataset import Rows
from zoo.errors import ExportError, InputError, MissingExtraError
from zoo.families.formula import FormulaModel
from zoo.interpret import distill, distill_latents
from zoo.serving import Session
from zoo.testing import check_family

sympy = pytest.importorskip("sympy")
DECAY, SPEED = "2.5*exp(-0.7*x1) + 0.3", "sqrt(x1)/x2"


def known(rows: int = 1200, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "damping": rng.uniform(0.5, 3, rows),
        "stiffness": rng.uniform(1, 9, rows),
        "mass": rng.uniform(1, 2, rows),
        "color": rng.normal(0, 1, rows),
        "taste": rng.normal(0, 1, rows),
    }


def found(texts=(DECAY, "x1/x2"), noise=0.05, seed=0, **changes):
    quantities = known() | changes
    true = 2.5 * np.exp(-0.7 * quantities["damping"]) + 0.3
    observed = true + noise * np.random.default_rng(1).normal(size=len(true))
    return distill(observed, quantities, search="symbolic", writer=Knows(*texts), seed=seed), observed


def test_a_law_among_five_quantities_with_its_constants():
    """Beyond four quantities the one that matters is chosen, and the errors of constants are those of a least-squares fit."""
    formula, observed = found()
    assert formula.names == ("damping",)
    assert formula.found
    noise = 0.05**2 / observed.var()
    assert formula.r2 == pytest.approx(1 - noise, abs=4 * formula.r2_error)
    np.testing.assert_allclose(formula.predict(known(seed=5)), 2.5 * np.exp(-0.7 * known(seed=5)["damping"]) + 0.3, atol=0.02)
    pulls = (np.sort(formula.constants) - [-0.7, 0.3, 2.5]) / formula.errors[np.argsort(formula.constants)]
    assert np.abs(pulls).max() < 4
    x = known()["damping"]
    slopes = np.column_stack([np.exp(-0.7 * x), -2.5 * x * np.exp(-0.7 * x), np.ones_like(x)])[: round(0.75 * len(x))]
    expected = 0.05 * np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes)))
    np.testing.assert_allclose(np.sort(formula.errors), np.sort(expected), rtol=0.35)


def test_what_is_written_is_the_formula():
    formula, _ = found()
    x = known(20, seed=3)["damping"]
    law = sympy.lambdify(sympy.Symbol("damping", real=True), formula.sympy(), "numpy")
    np.testing.assert_allclose(law(x), formula.predict({"damping": x}), atol=0.01)
    text = eval(formula.text, {"__builtins__": {}}, {"exp": np.exp, "damping": x})  # noqa: S307 - a formula made here
    np.testing.assert_allclose(text, law(x), rtol=1e-9)
    assert r"\mathrm{damping}" in formula.latex()
    assert "e^{" in formula.latex()
    assert "R^2 0.9" in str(formula)


def test_a_line_is_found_though_the_network_does_not_write_it():
    quantities = known()
    answer = 0.44 * quantities["stiffness"] - 0.2 * quantities["mass"] + 1
    formula = distill(answer, quantities, search="symbolic", writer=Knows("sin(x1)"), gain=0)
    assert formula.text == "0.44*stiffness - 0.2*mass + 1"
    assert formula.r2 == pytest.approx(1)
    assert formula.constants == pytest.approx([0.44, -0.2, 1.0])


def test_what_gains_less_than_is_asked_for_is_left_out():
    quantities = known()
    answer = 0.44 * quantities["stiffness"] - 0.2 * quantities["mass"] + 1
    formula = distill(answer, quantities, search="symbolic", writer=Knows("sin(x1)"))
    assert formula.names == ("stiffness",)
    assert 0.99 < formula.r2 < 1


def test_constants_that_go_together_are_written_in_as_many_digits_as_the_values_need():
    """Of a x / b nobody knows a and b, and the text is the formula all the same."""
    quantities = {"mass": known()["mass"]}
    answer = np.exp(quantities["mass"]) + 0.01 * np.random.default_rng(3).normal(size=1200)
    formula = distill(answer, quantities, search="symbolic", writer=Knows("exp(2*x1 + 3)/(x1*4 + 5)"), gain=0)
    text = eval(formula.text, {"__builtins__": {}}, {"exp": np.exp, "mass": quantities["mass"]})  # noqa: S307 - made here
    left = np.sqrt(np.mean(np.square(formula.predict(quantities) - answer)))
    assert np.sqrt(np.mean(np.square(text - formula.predict(quantities)))) < 0.11 * left


@pytest.mark.parametrize("gain", [-0.1, 1.0])
def test_a_gain_that_means_nothing_is_refused(gain):
    with pytest.raises(InputError, match="gain: expected a part of the variance"):
        distill(known()["mass"] ** 2, known(), gain=gain)


def test_nothing_is_found_in_noise():
    answer = np.random.default_rng(7).normal(size=1200)
    formula = distill(answer, known(), search="symbolic", writer=Knows(DECAY, SPEED))
    assert not formula.found
    assert abs(formula.r2) < 0.05
    assert str(formula).startswith("no formula found")


def test_a_regressor_of_scikit_learn_fits_its_constants_to_other_rows():
    sklearn = pytest.importorskip("sklearn.base")
    pandas = pytest.importorskip("pandas")
    formula, _ = found()
    estimator = formula.estimator()
    table = pandas.DataFrame(known(300, seed=9))
    np.testing.assert_allclose(estimator.predict(table), formula.predict(table), rtol=1e-12)
    other = 1.5 * np.exp(-1.2 * table["damping"].to_numpy()) - 1
    again = sklearn.clone(estimator).fit(table[["damping"]].to_numpy(), other)
    assert again.score(table, other) == pytest.approx(1)
    assert estimator.score(table, other) < 0.9, "the fit of a copy changes the copy alone"
    with pytest.raises(InputError, match="expected columns damping, given shape"):
        estimator.predict(np.ones((3, 2)))


def test_family_keeps_its_contract():
    config = {"inputs": 4, "formulae": ["+ * C x1 C", "exp * C - x2 x3", "/ sin * C x4 + C pow2 x1", "C", "log sqrt pow3 x2"]}
    x = np.random.default_rng(0).uniform(0.5, 2, (40, 4)).astype(np.float32)
    check_family(FormulaModel, config, Rows({"quantities": x}, np.zeros((40, 5), np.float32), np.arange(40)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    quantities = known()
    latents = np.column_stack(
        [2.5 * np.exp(-0.7 * quantities["damping"]) + 0.3, np.sqrt(quantities["stiffness"]) / quantities["mass"]]
    )
    first, second = distill_latents(latents, quantities, search="symbolic", writer=Knows(DECAY, SPEED))
    folder = tmp_path_factory.mktemp("laws") / "two-laws"
    units = {"damping": "1/s", "stiffness": "N/m", "mass": "kg"}
    model = zoo.save_formulae({"decay": first, "speed": second}, quantities, folder=folder, units=units)
    return model, folder, (first, second)


def test_formulae_are_a_model_that_is_served(saved):
    model, folder, formulae = saved
    assert isinstance(model, FormulaModel)
    (tensor,) = model.spec.endpoint("predict").inputs
    assert dict(zip(tensor.labels, tensor.axes[0].units, strict=True)) == {"damping": "1/s", "stiffness": "N/m", "mass": "kg"}
    rows = {name: np.clip(known(50, seed=4)[name], *np.percentile(known()[name], [1, 99])) for name in tensor.labels}
    expected = np.column_stack([formula.predict(rows) for formula in formulae])
    np.testing.assert_allclose(Session(folder).run(rows)["values"], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.asarray(model.endpoint("predict")(rows)["values"]), expected, rtol=1e-4, atol=1e-4)
    card = (folder / "README.md").read_text()
    assert formulae[0].latex() in card
    assert "R2 of decay" in card


def test_ranges_are_those_of_the_rows(saved):
    _, folder, _ = saved
    with pytest.raises(InputError, match=r"expected 0\.5\d* to 2\.9\d* 1/s, given 9"):
        Session(folder).run({"damping": [9.0], "stiffness": [4.0], "mass": [1.5]})


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ([], {}, "expected 1 to 4 quantities in all of them, given none"),
        (["decay"], {"units": {"color": "nm"}}, "expected units of damping, given one of color"),
        (["decay"], {"folder": "Two Laws"}, "names the model"),
    ],
)
def test_what_cannot_be_saved_is_named(saved, tmp_path, names, options, said):
    _, _, (decay, _) = saved
    folder = tmp_path / options.pop("folder", "laws")
    with pytest.raises(InputError, match=said):
        zoo.save_formulae(dict.fromkeys(names, decay), known(), folder=folder, **options)
    assert not folder.exists()


def test_without_sympy_its_extra_is_named_and_the_card_has_the_text(saved, tmp_path, monkeypatch):
    _, _, (decay, _) = saved
    monkeypatch.setitem(sys.modules, "sympy", None)
    with pytest.raises(MissingExtraError, match=r"physzoo\[interpret\]"):
        decay.latex()
    zoo.save_formulae({"decay": decay}, known(), folder=tmp_path / "decay")
    assert f"decay:\n\n`{decay.text}`" in (tmp_path / "decay" / "README.md").read_text()


def test_a_folder_is_not_overwritten_unasked(saved):
    _, folder, (decay, _) = saved
    with pytest.raises(ExportError, match="exists"):
        zoo.save_formulae({"decay": decay}, known(), folder=folder)


def test_terms_that_cancel_beyond_float32_are_refused(tmp_path):
    quantities = known() | {"time": 1e6 + known()["damping"]}
    answer = np.exp(-(quantities["time"] - 1e6))
    formula = distill(answer, {"time": quantities["time"]}, search="symbolic", writer=Knows("exp(-x1 + 1000000)"))
    assert formula.r2 > 0.9
    with pytest.raises(InputError, match="origin near their mean"):
        zoo.save_formulae({"decay": formula}, quantities, folder=tmp_path / "decay")


@pytest.mark.parametrize(
    ("formulae", "said"),
    [
        ([], "at least one formula"),
        (["+ x1"], "one whole formula in prefix order"),
        (["x1 x2"], "one whole formula"),
        (["+ x1 x3"], "given x3"),
        (["exec x1"], "given exec"),
        ([""], "one whole formula"),
    ],
)
def test_a_config_is_read_as_a_formula_or_refused(formulae, said):
    with pytest.raises(ValueError, match=said):
        FormulaModel(inputs=2, formulae=formulae)


def test_another_search_is_named():
    with pytest.raises(InputError, match="expected polynomial or symbolic, given 'genetic'"):
        distill(known()["mass"] ** 2, known(), search="genetic")
    with pytest.raises(InputError, match="at least 50 rows, given 30"):
        distill(known(30)["mass"] ** 2, known(30), search="symbolic", writer=Knows(SPEED))
