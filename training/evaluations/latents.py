"""Evaluation of models that find physical parameters in their latents."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.data.dataset import Rows
from zoo.families.batches import in_batches
from zoo.interpret import plots
from zoo.interpret.latents.report import LatentReport, relate_posteriors
from zoo.interpret.latents.traversal import active_latents, kl_per_latent, linear_r2
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Latents

INFORMATION_ROWS = 5000
"""Rows at most for a mutual information, whose cost grows with them."""


def evaluate(runs: Runs, settings: Latents) -> Evaluation:
    """Error at the mean of the latents, KL and use of each latent, and its relation to the expected quantities."""
    released = runs[""][0]
    dataset = released.recipe.data.dataset()
    rows = dataset.rows("test")
    evaluation = Evaluation()
    for variant, members in runs.items():
        prefix = f"{variant}/" if variant else ""
        evaluation.metrics += _reconstruction(prefix, members, rows)
    mean, log_variance = encoded(released, rows)
    kl = kl_per_latent(mean, log_variance)
    active = active_latents(kl)
    truth = {name: rows.truth[name] for name in settings.quantities}
    for name, (value, interval) in _explained(mean[:, active], truth).items():
        detail = f"linear, from {len(active)} active latents, 5-fold cross-validated; interval over folds"
        evaluation.metrics.append(Metric(name=f"r2 {name}", value=value, interval=interval, n=len(rows), detail=detail))
    report = related(released, rows, settings.quantities)
    evaluation.metrics += report_metrics(report)
    evaluation.curves = {"kl": kl.tolist()}
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "latents": plots.latents_against_parameters(
            mean, {f"{name} [{dataset.units[name]}]": values for name, values in truth.items()}, kl
        ),
        "information": report.plot(),
    }
    return evaluation


def encoded(run: Run, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of the latents of each row, (n, latents) each."""
    observation = next(iter(rows.inputs.values()))
    return in_batches(run.model.encode, observation)


def _reconstruction(prefix: str, members: list[Run], rows: Rows) -> list[Metric]:
    squared = [_squared_error(run, rows) for run in members]
    values = [float(np.sqrt(errors.mean())) for errors in squared]
    interval = bootstrap(lambda i: float(np.sqrt(squared[0][i].mean())), rows.group, draws=100)
    metrics = [Metric(name=f"{prefix}rmse", value=values[0], interval=interval, n=len(rows), seeds=len(members),
                      detail=f"m, at the mean of the latents; {over_seeds(values)}; bootstrap interval")]  # fmt: skip
    return metrics + kl_metrics(prefix, [kl_per_latent(*encoded(run, rows)) for run in members], len(rows))


def kl_metrics(prefix: str, kls: list[np.ndarray], n: int) -> list[Metric]:
    """Of the latents of the first of several runs; ``kls`` has those of each, of n rows."""
    metrics = []
    for latent, kl in enumerate(kls[0]):
        # Latents come in another order in every run: ordered, they can be compared.
        ranked = [float(np.sort(others)[::-1][int(np.sum(kls[0] > kl))]) for others in kls]
        detail = f"nat; {over_seeds(ranked)} by rank"
        metrics.append(Metric(name=f"{prefix}kl latent {latent}", value=float(kl), n=n, seeds=len(kls), detail=detail))
    return metrics


def related(run: Run, rows: Rows, quantities: list[str]) -> LatentReport:
    """The latents of a run beside quantities, on at most ``INFORMATION_ROWS`` of the rows."""
    chosen = np.random.default_rng(0).permutation(len(rows))[:INFORMATION_ROWS]
    mean, log_variance = encoded(run, rows)
    truth = {name: rows.truth[name][chosen] for name in quantities}
    return relate_posteriors(mean[chosen], log_variance[chosen], truth, name=run.recipe.name, jobs=-1)


def report_metrics(report: LatentReport) -> list[Metric]:
    """Mutual information of latents with quantities, and the formula of each active latent."""

    def metric(name: str, value: float, error: float, detail: str) -> Metric:
        interval = (value - 1.96 * error, value + 1.96 * error)
        return Metric(name=name, value=value, interval=interval, n=report.rows, detail=detail)

    how = "nat; of a sample of the latent; Gaussian mixture, bootstrap error"
    metrics = [
        metric(f"mutual information {latent}, {quantity}", found.value, found.error, how)
        for (latent, quantity), found in report.information.items()
    ]
    for latent, formula in report.formulae.items():
        terms = f"{formula.terms} term{'' if formula.terms == 1 else 's'}"
        detail = f"held out, error over folds; {terms}, {formula.symbols} symbols: {formula.text}"
        metrics.append(metric(f"r2 formula of {latent}", formula.r2, formula.r2_error, detail))
    return metrics


def _squared_error(run: Run, rows: Rows) -> np.ndarray:
    answer = ops.convert_to_numpy(run.model.answer(*rows.inputs.values()))
    return np.square(answer - rows.target).mean(axis=-1)


def _explained(latents: np.ndarray, truth: dict[str, np.ndarray]) -> dict[str, tuple[float, tuple[float, float]]]:
    """Linear R^2 of each quantity from the latents."""
    found = {}
    for name, folds in linear_r2(latents, truth).items():
        half = 1.96 * np.std(folds, ddof=1) / np.sqrt(len(folds))
        found[name] = (float(np.mean(folds)), (float(np.mean(folds) - half), float(np.mean(folds) + half)))
    return found
