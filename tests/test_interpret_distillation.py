"""Formulae of which the truth is known."""

from __future__ import annotations

import re

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.interpret.formulae.distillation import distill, distill_latents


def halos(rows: int = 2000, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "log_mass": rng.normal(13.0, 0.5, rows),
        "log_c": rng.normal(0.8, 0.1, rows),
        "environment": rng.normal(0, 1, rows),
        "spin": rng.uniform(0, 1, rows),
    }


def evaluated(text: str, quantities: dict[str, np.ndarray]) -> np.ndarray:
    """The formula as a reader works it out."""
    code = re.sub(r"(?<=[\w)]) (?=[A-Za-z(])", " * ", text.replace("^", "**"))
    return eval(code, {"__builtins__": {}}, quantities)  # noqa: S307 - a formula that was made here


@pytest.mark.parametrize("degree", [2, 3])
def test_recovers_a_known_formula_from_noisy_rows(degree):
    known = halos()
    signal = 2.3 * (known["log_mass"] - 13.2) - 50 * (known["log_c"] - 0.8) ** 2
    noise = 0.3 * np.random.default_rng(1).standard_normal(2000)
    found = distill(signal + noise, known, degree=degree)
    assert found.terms == 2
    assert found.found
    assert re.fullmatch(r"2\.[23]\d? log_mass - (4|5)[\d.]+ \(log_c - 0\.[78]\d*\)\^2 - (29|30|31)[.\d]*", found.text), (
        found.text
    )
    assert found.symbols == 7  # three numbers, two names, a center, an exponent
    truth = 1 - 0.09 / (signal + noise).var()
    assert found.r2 == pytest.approx(truth, abs=3 * found.r2_error)
    fresh = halos(500, seed=5)
    expected = 2.3 * (fresh["log_mass"] - 13.2) - 50 * (fresh["log_c"] - 0.8) ** 2
    np.testing.assert_allclose(found.predict(fresh), expected, atol=0.12)
    np.testing.assert_allclose(evaluated(found.text, fresh), found.predict(fresh), atol=0.03 * expected.std())


def test_a_product():
    known = halos()
    found = distill(known["environment"] * (known["spin"] - 0.5) + 0.05 * np.random.default_rng(1).standard_normal(2000), known)
    assert found.terms == 1
    assert found.powers.tolist() == [[0, 0, 1, 1]]
    assert found.coefficients == pytest.approx([1.0], abs=0.02)
    assert "1 environment (spin - 0.5)" in found.text


def test_an_exact_line_in_large_units():
    mass = 10 ** np.random.default_rng(0).uniform(12, 14, 400)
    found = distill(3e-14 * mass - 1, {"mass": mass})
    assert found.text == "3e-14 mass - 1"
    assert (found.terms, found.symbols) == (1, 3)
    assert found.r2 == pytest.approx(1)
    np.testing.assert_allclose(found.predict({"mass": mass}), 3e-14 * mass - 1, atol=1e-9)


def test_nothing_from_noise():
    """No terms in thirty tries with forty-four candidates each, but for one at most that held-out rows deny."""
    tries = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        known = {name: rng.standard_normal(500) for name in "abcdefgh"}
        tries.append(distill(rng.standard_normal(500), known))
    assert sum(found.terms > 0 for found in tries) <= 1
    assert not any(found.found for found in tries)
    scores = [found.r2 for found in tries]
    assert max(scores) < 0.05
    assert np.mean(scores) < 0
    found = next(found for found in tries if not found.terms)
    np.testing.assert_array_equal(found.predict(known), found.intercept)
    assert str(found).startswith("no formula found")


def test_little_is_reported_but_not_found():
    known = halos()
    found = distill(known["environment"] + 2 * np.random.default_rng(1).standard_normal(2000), known)
    assert found.terms == 1
    assert found.r2 == pytest.approx(0.2, abs=0.06)
    assert not found.found
    assert "environment" in str(found)


def test_more_terms_only_where_they_explain_more():
    known = halos()
    latent = known["environment"] + 0.02 * known["spin"]  # 0.003% of the variance
    assert distill(latent, known).powers.tolist() == [[0, 0, 1, 0]]
    many = sum((i + 1.0) * (column - column.mean()) / column.std() for i, column in enumerate(known.values()))
    assert distill(many, known).terms == 4
    assert distill(many, known, most_terms=2).terms == 2


def test_quantities_that_say_the_same():
    """Once is enough, and neither a copy nor a sum of two adds a term."""
    known = halos()
    known |= {"log_radius": known["log_mass"] / 3, "both": known["log_c"] + known["environment"]}
    latent = 2 * known["log_mass"] + 0.3 * np.random.default_rng(1).standard_normal(2000)
    found = distill(latent, known, degree=3)
    assert found.terms == 1
    assert found.powers[0].sum() == 1
    assert found.r2 == pytest.approx(1 - 0.09 / 1.09, abs=0.02)


def test_r2_is_held_out():
    """What fits itself perfectly says nothing of other rows."""
    rng = np.random.default_rng(0)
    known = {f"q{i}": rng.standard_normal(60) for i in range(30)}
    assert distill(rng.standard_normal(60), known).r2 < 0.1


def test_every_latent():
    known = halos()
    mean = np.column_stack([known["environment"], known["spin"], np.random.default_rng(9).standard_normal(2000)])
    found = distill_latents(mean, known)
    assert [formula.terms for formula in found] == [1, 1, 0]
    assert found[0].text == "1 environment"


GOOD = np.random.default_rng(0).standard_normal(60)


@pytest.mark.parametrize(
    ("latent", "quantities", "options", "message"),
    [
        (GOOD, {}, {}, "expected at least one, given none"),
        (GOOD, {"m": np.ones(60)}, {}, "m are constant: leave them out"),
        (np.ones(60), {"m": GOOD}, {}, "answer: expected 60 finite values that are not all equal"),
        (np.where(GOOD > 1, np.nan, GOOD), {"m": GOOD}, {}, "answer: expected 60 finite"),
        (GOOD, {"m": np.where(GOOD > 1, np.inf, GOOD)}, {}, "m: expected finite numbers"),
        (GOOD, {"m": GOOD, "c": GOOD[:50]}, {}, r"c: expected finite numbers of shape \(n,\), the same for all"),
        (GOOD[:50], {"m": GOOD}, {}, "answer: expected 60"),
        (GOOD[:49], {"m": GOOD[:49]}, {}, "at least 50 rows for 5 folds, given 49"),
        (GOOD, {"m": GOOD}, {"degree": 4}, "degree 1, 2 or 3"),
        (GOOD, {"m": GOOD}, {"most_terms": 0}, "at least one term"),
    ],
)
def test_bad_input(latent, quantities, options, message):
    with pytest.raises(InputError, match=message):
        distill(latent, quantities, **options)


def test_bad_predictions_and_tables():
    found = distill(GOOD, {"m": GOOD})
    with pytest.raises(InputError, match="expected m"):
        found.predict({"c": GOOD})
    with pytest.raises(InputError, match=r"\(n, latents\)"):
        distill_latents(GOOD, {"m": GOOD})
