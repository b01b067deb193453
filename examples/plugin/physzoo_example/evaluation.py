"""An evaluation: how far answers are from positive quantities, as a ratio."""

from __future__ import annotations

from typing import Literal

import numpy as np
from keras import ops

from zoo.interpret import plots
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, mean, measured, rms


@register_evaluation("relative-error")
class RelativeError(EvaluationSettings):
    """Scatter and bias of the natural logarithm of answer over truth, beside one answer for all."""

    kind: Literal["relative-error"] = "relative-error"

    def judge(self, runs: Runs) -> Evaluation:
        released = runs[""][0]
        dataset = released.recipe.data.dataset()
        rows, units = dataset.rows("test"), Units.of(dataset.rows("test"))
        constant = np.log(dataset.rows("train").target).mean() - np.log(rows.target[:, 0])
        evaluation = Evaluation(figures={"learning_curves": plots.learning_curves(released.history)})
        for variant, members in runs.items():
            prefix = f"{variant}/" if variant else ""
            errors = [_error(run) for run in members]
            scatter = measured(
                f"{prefix}scatter",
                rms,
                errors,
                units,
                "root mean square of ln(answer / truth)",
                baseline=rms(constant, units.weight),
                baseline_name="geometric mean of the training targets",
            )
            evaluation.metrics += [scatter, measured(f"{prefix}bias", mean, errors, units, "mean of ln(answer / truth)")]
        return evaluation


def _error(run: Run) -> np.ndarray:
    """Error ln(answer / truth) of each test row, (n,)."""
    rows = run.recipe.data.dataset().rows("test")
    (inputs,) = rows.inputs.values()
    answer = ops.convert_to_numpy(run.load()(inputs)).astype(np.float64)
    return np.log(answer[:, 0]) - np.log(rows.target[:, 0])
