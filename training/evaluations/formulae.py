"""Evaluation of networks that write formulae: how many formulae that are known they find, and how many fit unseen points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zoo.data.dataset import Rows
from zoo.data.formulae.canonical import identity
from zoo.data.formulae.laws import LAWS, Law
from zoo.errors import InputError
from zoo.families.expression import CONSTANT, VARIABLES, Expression, Skeleton
from zoo.interpret import plots
from zoo.interpret.formulae.constants import fitted_constants
from zoo.interpret.formulae.search import FormulaSearch
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, mean, measured

SAME = 1e-6
"""Root mean square difference, in deviations of the values, of formulae that are the same."""
GOOD = 0.999
"""R^2 from which a formula fits."""
DEGREES = range(1, 7)
"""Degrees of polynomials, of which cross-validation chooses."""
FOLDS = 5
POLYNOMIAL = "polynomial of the degree that cross-validation chooses"


@register_evaluation("formulae")
class FormulaeFound(EvaluationSettings):
    """Share of known formulae that are found, and of those that fit unseen points without noise, at several levels of noise."""

    kind: Literal["formulae"] = "formulae"
    points: Annotated[int, Field(ge=20)] = 200
    """Points that are given of each formula, and as many unseen ones."""
    noise: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=1)] = [0.0, 0.01, 0.1]
    """Deviations of the noise of the values, in deviations of the values; variants are judged at the first of them."""
    beams: Annotated[int, Field(ge=1)] = 32
    """Skeletons that a search follows."""
    made: Annotated[int, Field(ge=0)] = 100
    """Formulae of the test split, made at random as those of the training were, that are searched for too."""

    def judge(self, runs: Runs) -> Evaluation:
        evaluation = Evaluation()
        polynomials = {(case.label, case.level): case.by_polynomials() for case in self.cases(self.noise)}
        for variant, members in runs.items():
            found = [self._of_a_run(run, self.noise[:1] if variant else self.noise) for run in members]
            before = f"{variant}/" if variant else ""
            for label, level in found[0]:
                one = [run[label, level] for run in found]
                plain = polynomials.get((label, level))
                evaluation.metrics += _metrics(before, label, level, one, None if variant else plain)
            if not variant:
                evaluation.curves["found"] = {
                    f"{label}{_at(level)}": list(result.texts) for (label, level), result in found[0].items() if label in LAWS
                }
        evaluation.metrics += [_token_accuracy(f"{v}/" if v else "", members) for v, members in runs.items()]
        evaluation.figures["learning_curves"] = plots.learning_curves(runs[""][0].history)
        return evaluation

    def cases(self, levels: Sequence[float]) -> list[Case]:
        """Formulae of each set at each of some levels of noise, with their points."""
        return [
            Case(label, level, [_points(law, number, level, self.points) for number, law in enumerate(laws)])
            for label, laws in LAWS.items()
            for level in levels
        ]

    def _of_a_run(self, run: Run, levels: Sequence[float]) -> dict[tuple[str, float], Result]:
        search = FormulaSearch(run.load(), beams=self.beams, endpoints=run.recipe.endpoints)
        cases = self.cases(levels)
        if self.made:
            cases.append(Case(MADE, 0.0, _made_points(run.held_out(), self.made)))
        return {(case.label, case.level): case.by_search(search) for case in cases}


MADE = "formulae made at random"
NOTHING = Expression((CONSTANT,), np.zeros(1))
"""What stands where no formula was found."""


@dataclass(frozen=True)
class Points:
    """Points of one formula.

    Attributes
    ----------
    truth : Expression
        The formula; of one whose constants nobody knows, with ones.
    x, y : ndarray
        Points (n, variables) and values (n,) that are given, with noise.
    unseen_x, unseen_y : ndarray
        Other points, without noise.
    beyond_x, beyond_y : ndarray, optional
        Points above the ranges of the others, without noise.
    """

    truth: Expression
    x: np.ndarray
    y: np.ndarray
    unseen_x: np.ndarray
    unseen_y: np.ndarray
    beyond_x: np.ndarray | None = None
    beyond_y: np.ndarray | None = None


@dataclass
class Result:
    """What was found of each of some formulae: whether it is the formula, R^2 at unseen points and beyond, and a text."""

    recovered: list[bool] = field(default_factory=list)
    r2: list[float] = field(default_factory=list)
    beyond: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def add(self, one: Points, answer: Callable[[np.ndarray], np.ndarray], recovered: bool, text: str = "") -> None:
        """What was found of one more formula, as a function of points."""
        self.recovered.append(recovered)
        self.r2.append(r2(answer(one.unseen_x), one.unseen_y))
        if one.beyond_x is not None and one.beyond_y is not None:
            self.beyond.append(r2(answer(one.beyond_x), one.beyond_y))
        self.texts.append(text)


@dataclass(frozen=True)
class Case:
    """Formulae of a set, with their points at a level of noise."""

    label: str
    level: float
    formulae: list[Points]

    def by_search(self, search: FormulaSearch) -> Result:
        """What the network's search finds, the first formula of each."""
        result = Result()
        for one in self.formulae:
            found = search(one.x, one.y)
            expression = found[0].expression if found else NOTHING
            result.add(one, expression, is_same(expression, one), str(expression))
        return result

    def by_polynomials(self) -> Result:
        """What a polynomial makes of it, which is the formula where it is everywhere equal to it."""
        result = Result()
        for one in self.formulae:
            fitted = _polynomial(one.x, one.y)
            result.add(one, fitted.predict, difference(fitted.predict(one.unseen_x), one.unseen_y) < SAME)
        return result


def difference(answer: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square difference in deviations of the truth; infinity where an answer is no number."""
    with np.errstate(all="ignore"):
        found = float(np.sqrt(np.mean(np.square(answer - truth)) / truth.var()))
    return found if np.isfinite(found) else np.inf


def r2(answer: np.ndarray, truth: np.ndarray) -> float:
    """Share of the variance that is explained; minus infinity where an answer is no number."""
    return 1 - difference(answer, truth) ** 2


def is_same(expression: Expression, one: Points) -> bool:
    """Whether a formula is the true one up to its constants.

    It is equal to it at unseen points as it is, or has the same terms, and is equal once its constants are fitted to the truth.
    """
    if difference(expression(one.unseen_x), one.unseen_y) < SAME:
        return True
    if identity(expression.tokens) != identity(one.truth.tokens):
        return False
    first = expression.constants
    return fitted_constants(expression.tokens, one.unseen_x, one.unseen_y, first=first)[1] < SAME


def _points(law: Law, number: int, level: float, n: int) -> Points:
    rng = np.random.default_rng([number, n])
    (x, y), (unseen_x, unseen_y) = law.points(n, rng), law.points(n, rng)
    noise = rng.normal(size=n)  # the same at all levels
    return Points(law.expression, x, y + level * y.std() * noise, unseen_x, unseen_y, *law.points(n, rng, beyond=True))


def _made_points(rows: Rows, count: int) -> list[Points]:
    """Rows of a test split without noise and of enough points, a third of which are unseen."""
    real = np.asarray(rows.inputs["real"])
    good = np.flatnonzero((rows.truth["noise"] == 0) & (real.sum(axis=1) >= 30))
    if not len(good):
        raise InputError("expected test rows of at least 30 points and without noise: make the test split larger")
    found = []
    for row in good[:count]:
        points = np.asarray(rows.inputs["points"][row], np.float64)[real[row]]
        skeleton: Skeleton = tuple(int(token) for token in rows.target[row] if token)
        used = max(token for token in skeleton if token < CONSTANT)
        x, y, third = points[:, :used], points[:, VARIABLES], len(points) // 3
        truth = Expression(skeleton, np.ones(skeleton.count(CONSTANT)))
        found.append(Points(truth, x[third:], y[third:], x[:third], y[:third]))
    return found


def _polynomial(x: np.ndarray, y: np.ndarray):
    """The polynomial of the degree that has the smallest error in a cross-validation."""
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    models = [make_pipeline(StandardScaler(), PolynomialFeatures(degree), LinearRegression()) for degree in DEGREES]
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    scores = [cross_val_score(model, x, y, cv=folds, scoring="neg_mean_squared_error").mean() for model in models]
    return models[int(np.argmax(scores))].fit(x, y)


def _at(level: float) -> str:
    return f", noise {level:.0%}" if level else ""


def _metrics(before: str, label: str, level: float, results: list[Result], plain: Result | None) -> list[Metric]:
    """Share of formulae that are found, and of those that fit."""
    units = Units(np.arange(len(results[0].r2)))
    values = {
        "recovered": ([np.array(result.recovered, float) for result in results], "share that is the formula up to constants"),
        f"R2 above {GOOD}": (
            [np.array(result.r2) > GOOD for result in results],
            f"share whose R^2 is above {GOOD} at unseen points without noise",
        ),
    }
    if results[0].beyond:
        values[f"R2 above {GOOD} beyond"] = (
            [np.array(result.beyond) > GOOD for result in results],
            f"share whose R^2 is above {GOOD} at points above the given ranges, by up to half of their length",
        )
    beside = None
    if plain is not None:
        beside = [
            float(np.mean(plain.recovered)),
            *(float(np.mean(np.array(each) > GOOD)) for each in (plain.r2, plain.beyond)),
        ]
    return [
        measured(
            f"{before}{label}, {name}{_at(level)}",
            mean,
            [np.asarray(one, float) for one in each],
            units,
            f"{meaning}; {len(units.group)} formulae",
            trials=len(units.group),
            baseline=None if beside is None else beside[place],
            baseline_name=POLYNOMIAL,
        )
        for place, (name, (each, meaning)) in enumerate(values.items())
    ]


def _token_accuracy(before: str, members: list[Run]) -> Metric:
    """Share of the tokens of test formulae that are the most probable one, given those before."""
    rows = members[0].held_out().some(512)
    there = rows.target > 0
    right = []
    for run in members:
        answered = run.answer(rows).argmax(axis=-1)
        right.append((there & (answered == rows.target)).sum(axis=1) / there.sum(axis=1))
    return measured(
        f"{before}token accuracy",
        mean,
        right,
        Units.of(rows),
        "share of the tokens of a formula made at random that are the most probable, given those before; mean over formulae",
    )
