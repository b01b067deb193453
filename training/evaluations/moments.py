"""Evaluation of moment networks: how far off each quantity is, whether the deviations mean what they say, and of what else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue
from scipy.stats import norm

from zoo.data.dataset import Rows
from zoo.interpret import plots
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.distribution import LEVELS, over
from zoo.training.metrics import Units, mean, measured, rms
from zoo.training.recipe import RecipeError

PRIOR = "mean of the hypercube"
"""What knows nothing of a field."""


@register_evaluation("moments")
class MomentsSettings(EvaluationSettings):
    """Error, bias and coverage of each quantity, of rows and of the mean over the rows of a simulation, for every variant."""

    kind: Literal["moments"] = "moments"
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, with the changes of the data's parameters."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)

    def expect(self, name: str, models: Mapping[str, Any]) -> None:
        if any(model.answers_with != "gaussian" for model in models.values()):
            raise RecipeError(f"{name}: evaluation moments: expected a family that answers with Gaussians")


@dataclass(frozen=True)
class Answers:
    """What was answered to the rows of a test set.

    Attributes
    ----------
    rows : Rows
        The rows.
    location, scale : ndarray of shape (n, D)
        Mean and standard deviation of each quantity, in its units.
    """

    rows: Rows
    location: np.ndarray
    scale: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Answer minus truth, (n, D)."""
        found: np.ndarray = self.location - np.asarray(self.rows.target, np.float64)
        return found

    @property
    def probability(self) -> np.ndarray:
        """Probability of less than the truth, (n, D)."""
        found: np.ndarray = norm.cdf(self.rows.target, self.location, self.scale)
        return found

    @property
    def log_likelihood(self) -> np.ndarray:
        """Log-likelihood (n,) of the truth of all quantities, nat."""
        found: np.ndarray = norm.logpdf(self.rows.target, self.location, self.scale).sum(axis=1)
        return found

    def of_simulations(self) -> tuple[np.ndarray, np.ndarray]:
        """Error (m, D) of the mean over the rows of each simulation, and the simulations (m,)."""
        simulations, place, counts = np.unique(self.rows.group, return_inverse=True, return_counts=True)
        total = np.zeros((len(simulations), self.error.shape[1]))
        np.add.at(total, place, self.error)
        return total / counts[:, None], simulations


def evaluate(runs: Runs, settings: MomentsSettings) -> Evaluation:
    """Every variant on the test split, and the model on further test sets."""
    evaluation = Evaluation()
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    names = list(dataset.units)
    found = {variant: [answers(run) for run in members] for variant, members in runs.items()}
    others = {
        variant: members for variant, members in found.items() if runs[variant][0].recipe.family != released.recipe.family
    }
    for variant, members in found.items():
        beside = {} if variant else others
        evaluation.metrics += _metrics(f"{variant}/" if variant else "", members, names, dataset.units, beside)
    for variant, members in found.items():
        if variant:
            evaluation.metrics += list(_beside(variant, found[""], members, names))
    for label, changes in settings.also_on.items():
        elsewhere = [answers(run, changes) for run in runs[""]]
        evaluation.metrics += _metrics(f"{label}/", elsewhere, names, dataset.units)
    shown = {variant or released.recipe.name: members[0] for variant, members in found.items()}
    evaluation.figures = _figures(shown, names, dataset.units)
    evaluation.figures["learning_curves"] = plots.learning_curves(released.history)
    return evaluation


def answers(run: Run, changes: dict | None = None) -> Answers:
    """A run on its test split, the data's parameters changed for a further test set."""
    rows = run.held_out(changes)
    location, scale = np.split(run.answer(rows), 2, axis=-1)
    return Answers(rows, location, scale)


def _best(errors: Mapping[str, np.ndarray], prior: float) -> tuple[float, str]:
    """Least root mean square of the errors of other ways, and which it is; that of no knowledge where there is no other way."""
    return min([(rms(error), way) for way, error in errors.items()], default=(prior, PRIOR))


def _metrics(
    prefix: str,
    members: list[Answers],
    names: list[str],
    units: Any,
    others: Mapping[str, list[Answers]] = MappingProxyType({}),
) -> list[Metric]:
    own = Units.of(members[0].rows)
    prior = np.asarray(members[0].rows.target, np.float64).std(axis=0)
    by_simulation = [member.of_simulations() for member in members]
    of_boxes = {way: first.of_simulations()[0] for way, (first, *_) in others.items()}
    several = len(by_simulation[0][1]) < len(members[0].rows)
    found = []
    for i, name in enumerate(names):
        errors = [member.error[:, i] for member in members]
        beside, way = _best({way: first.error[:, i] for way, (first, *_) in others.items()}, float(prior[i]))
        meaning = f"of a field, {units[name]}"
        found.append(measured(f"{prefix}rmse {name}", rms, errors, own, meaning, baseline=beside, baseline_name=way))
        if several:
            means, of_each = [error[:, i] for error, _ in by_simulation], Units(by_simulation[0][1])
            meaning = f"of the mean over the fields of a box, {units[name]}"
            whole = f"{prefix}rmse {name} of a box"
            beside, way = _best({way: error[:, i] for way, error in of_boxes.items()}, float(prior[i]))
            found.append(measured(whole, rms, means, of_each, meaning, baseline=beside, baseline_name=way))
        found.append(measured(f"{prefix}bias {name}", mean, errors, own, f"mean of answer - truth, {units[name]}"))
    trials = len(by_simulation[0][1])
    for level in LEVELS:
        inside = [np.abs(2 * member.probability - 1) <= level for member in members]
        meaning = "quantities of fields whose truth lies in the central interval"
        found.append(measured(f"{prefix}coverage of {level:.0%}", mean, inside, own, meaning, trials=trials))
        for i, name in enumerate(names):
            of_one = [member[:, i] for member in inside]
            found.append(
                measured(f"{prefix}coverage of {level:.0%}, {name}", mean, of_one, own, f"the same, of {name}", trials=trials)
            )
    likelihood = [member.log_likelihood for member in members]
    found.append(measured(f"{prefix}log likelihood", mean, likelihood, own, "of all quantities, mean over fields, nat"))
    return found


def _beside(variant: str, ours: list[Answers], theirs: list[Answers], names: list[str]) -> Iterator[Metric]:
    """Errors over those of a variant, on the same rows; a variant of one run stands beside each."""
    for i, name in enumerate(names):
        own, others = ([member.error[:, i] for member in members] for members in (ours, theirs))
        yield over(f"rmse {name} over that of {variant}", own, others, Units.of(ours[0].rows))


def _figures(shown: dict[str, Answers], names: list[str], units: Any) -> dict[str, Any]:
    first = next(iter(shown.values()))
    figures = {}
    for i, name in enumerate(names):
        truth = np.asarray(first.rows.target, np.float64)[:, i]
        locations = {label: found.location[:, i] for label, found in shown.items()}
        figures[f"error_{name}"] = plots.error_against_truth(truth, locations, name, units[name], None)
    sure = {name: first.probability[:, i] for i, name in enumerate(names)}
    figures["coverage"] = plots.coverage_of_intervals(sure, None)
    return figures
