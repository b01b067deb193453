"""Evaluation of models that find physical parameters in their latents."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from keras import ops

from zoo.data.dataset import Rows
from zoo.families.batches import in_batches
from zoo.families.contracts import Latent
from zoo.interpret import plots
from zoo.interpret.latents.report import LatentReport, relate_posteriors
from zoo.interpret.latents.traversal import active_latents, kl_per_latent, linear_r2
from zoo.interpret.plots.style import with_unit
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.metrics import Units, bootstrapped, expect_equal_weights, mean, measured, metric, of_error, root_mean

INFORMATION_ROWS = 5000
"""Rows at most for a mutual information, whose cost grows with them."""
DRAWS = 100
"""Resamples of the rows for intervals."""


@register_evaluation("latents")
class Latents(EvaluationSettings):
    """Reconstruction, what each latent carries, and which physical quantities it maps to."""

    kind: Literal["latents"] = "latents"
    quantities: list[str]
    """Truths that the latents are expected to find."""

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


class Encoded(NamedTuple):
    """Posteriors of the latents of each row, (n, latents) each."""

    mean: np.ndarray
    log_variance: np.ndarray

    @property
    def kl(self) -> np.ndarray:
        """KL of each row and latent from the prior, (n, latents), nat."""
        return 0.5 * (self.mean**2 + np.exp(self.log_variance) - self.log_variance - 1)


def evaluate(runs: Runs, settings: Latents) -> Evaluation:
    """Error at the mean of the latents, KL and use of each latent, and its relation to the expected quantities."""
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    expect_equal_weights(rows, "evaluation of latents")
    evaluation, units = Evaluation(), Units.of(rows)
    judged = {variant: [_judge(run, rows) for run in members] for variant, members in runs.items()}
    for variant, members in judged.items():
        prefix = f"{variant}/" if variant else ""
        squared = [errors for errors, _ in members]
        evaluation.metrics.append(
            measured(f"{prefix}rmse", root_mean, squared, units, "m, at the mean of the latents", draws=DRAWS)
        )
        evaluation.metrics += kl_metrics(prefix, [encoded for _, encoded in members], units)
    latents = judged[""][0][1]
    kl = kl_per_latent(*latents)
    active = active_latents(kl)
    truth = {name: rows.truth[name] for name in settings.quantities}
    evaluation.metrics += _explained(latents.mean[:, active], truth)
    report = related(released.recipe.name, latents, rows, settings.quantities)
    evaluation.metrics += report_metrics(report)
    evaluation.curves = {"kl": kl.tolist()}
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "latents": plots.latents_against_parameters(
            latents.mean, {with_unit(name, dataset.units[name]): values for name, values in truth.items()}, kl
        ),
        "information": report.plot(),
    }
    return evaluation


def _judge(run: Run, rows: Rows) -> tuple[np.ndarray, Encoded]:
    """Squared error of each row (n,) at the mean of the latents, and the latents."""
    model = run.load()
    answer = ops.convert_to_numpy(model.answer(*rows.inputs.values()))
    return np.square(answer - rows.target).mean(axis=-1), encoded(model, rows)


def encoded(model: Latent, rows: Rows) -> Encoded:
    """Posteriors of the latents of each row."""
    observation = next(iter(rows.inputs.values()))
    return Encoded(*in_batches(model.encode, observation))


def kl_metrics(prefix: str, members: list[Encoded], units: Units) -> list[Metric]:
    """KL of each latent of the first of several runs."""
    metrics, means = [], [kl_per_latent(*member) for member in members]
    for latent, kl in enumerate(means[0]):
        # Latents come in another order in every run: ordered, they can be compared.
        ranked = [float(np.sort(others)[::-1][int(np.sum(means[0] > kl))]) for others in means]
        interval = bootstrapped(mean, members[0].kl[:, latent], units, DRAWS)
        metrics.append(
            metric(f"{prefix}kl latent {latent}", ranked, interval, len(units.group), "nat; latents of other seeds by rank")
        )
    return metrics


def related(name: str, latents: Encoded, rows: Rows, quantities: list[str]) -> LatentReport:
    """Latents beside quantities, on at most ``INFORMATION_ROWS`` of the rows."""
    chosen = np.random.default_rng(0).permutation(len(rows))[:INFORMATION_ROWS]
    truth = {quantity: rows.truth[quantity][chosen] for quantity in quantities}
    return relate_posteriors(latents.mean[chosen], latents.log_variance[chosen], truth, name=name, jobs=-1)


def report_metrics(report: LatentReport) -> list[Metric]:
    """Mutual information of latents with quantities, and the formula of each active latent."""
    metrics = [
        metric(
            f"mutual information {latent}, {quantity}",
            [found.value],
            of_error(found.value, found.error, "bootstrap error"),
            report.rows,
            "nat; of a sample of the latent; Gaussian mixture",
        )
        for (latent, quantity), found in report.information.items()
    ]
    for latent, formula in report.formulae.items():
        meaning = f"held out; {formula.symbols} symbols: {formula.text}"
        interval = of_error(formula.r2, formula.r2_error, "error over folds")
        metrics.append(metric(f"r2 formula of {latent}", [formula.r2], interval, report.rows, meaning))
    return metrics


def _explained(latents: np.ndarray, truth: dict[str, np.ndarray]) -> list[Metric]:
    """Linear R^2 of each quantity from the active latents."""
    metrics = []
    for name, folds in linear_r2(latents, truth).items():
        value, error = float(np.mean(folds)), float(np.std(folds, ddof=1) / np.sqrt(len(folds)))
        meaning = f"linear, from {latents.shape[1]} active latents, {len(folds)}-fold cross-validated"
        metrics.append(metric(f"r2 {name}", [value], of_error(value, error, "error over folds"), len(latents), meaning))
    return metrics
