"""Evaluation of models that find the factors of images in their latents."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import entropy

from zoo.data.dataset import Rows
from zoo.families.batches import in_batches
from zoo.interpret import plots
from zoo.interpret.latents.information import MutualInformation, mutual_information_matrix
from zoo.interpret.latents.traversal import sample
from zoo.interpret.latents.use import active_units
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.image_scores import (
    DRAWN,
    SCORES,
    TREE_ROWS,
    Judged,
    batches,
    decoded,
    judge,
    kl_per_image,
    nearest,
    random_latents,
)
from zoo.training.evaluations.latents import INFORMATION_ROWS
from zoo.training.metrics import (
    Units,
    bootstrapped,
    expect_equal_weights,
    mean,
    measured,
    metric,
    of_error,
    root_mean,
)
from zoo.training.recipe import RecipeError

RESAMPLES = 100
"""Resamples of the images for other intervals."""
TRAVERSED = np.linspace(-2.0, 2.0, 9)
"""Values of the moved latent, in standard deviations of the prior."""
SHOWN = 10
"""Images a row of the other figures."""


@register_evaluation("disentanglement")
class Disentanglement(EvaluationSettings):
    """Reconstruction and use of the latents, how far each stands for one factor of the data's grid, over values of beta."""

    kind: Literal["disentanglement"] = "disentanglement"

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


def evaluate(runs: Runs, settings: Disentanglement) -> Evaluation:
    """Reconstruction, use of the latents and the scores of every run; of the released one, which latent holds which factor."""
    released = runs[""][0]
    if not released.load().variational:
        raise RecipeError("expected a variational model, beside which a plain autoencoder may stand as a variant")
    dataset = released.recipe.data.dataset()
    rows, held = dataset.rows("test"), dataset.rows("validation")
    expect_equal_weights(rows, "evaluation of disentanglement")
    every = [(variant, run) for variant, members in runs.items() for run in members]
    judged: dict[str, list[Judged]] = {variant: [] for variant in runs}
    for variant, run in track(every, "disentanglement"):
        judged[variant].append(judge(run, rows, held, first=not judged[variant]))
    evaluation = Evaluation()
    floor = float(np.mean(np.concatenate([_entropy(rows.target[batch]) for batch in batches(len(rows))])))
    stray_floor = float(nearest(held.target[:DRAWN], rows.target).mean())
    for variant, members in judged.items():
        evaluation.metrics += _metrics(f"{variant}/" if variant else "", members, Units.of(rows), floor, stray_floor)
        evaluation.metrics.append(_selecting(variant, members, len(held)))
    first = judged[""][0]
    information = _information(first, rows)
    evaluation.metrics += _maps(first, information, rows)
    evaluation.curves = {
        "validation MIG": {name: [one.validation_mig for one in members] for name, members in judged.items()},
        "kl": {name: [one.kl.tolist() for one in members if one.kl is not None] for name, members in judged.items()},
    }
    evaluation.figures = {
        "learning_curves": plots.learning_curves(released.history),
        "information": plots.information_heat_map(information),
        "traversal": _traversal(released, first, information),
        "reconstructions": _reconstructions(runs, rows),
        "against_beta": _against_beta(runs, judged, floor),
        "continuity": _continuity(runs, judged, rows),
    }
    return evaluation


def _entropy(images: np.ndarray) -> np.ndarray:
    """The negative log-likelihood (n,) of each image under its own intensities, nat."""
    return entropy(np.stack([images, 1 - images]), axis=0).sum(axis=(1, 2, 3))


def _metrics(prefix: str, members: list[Judged], units: Units, floor: float, stray_floor: float) -> list[Metric]:
    first, n = members[0], len(units.group)
    stray = [float(one.stray.mean()) for one in members]
    error = float(first.stray.std(ddof=1) / np.sqrt(DRAWN))
    found = [
        measured(f"{prefix}nll", mean, [one.nll for one in members], units, "nat an image, at the mean of latents",
                 draws=RESAMPLES, baseline=floor, baseline_name="entropy of the intensities, below which no model comes"),
        measured(f"{prefix}rmse", root_mean, [one.squared for one in members], units,
                 "of intensities in [0, 1], at the mean of the latents", draws=RESAMPLES),
        metric(f"{prefix}random latents", stray, of_error(stray[0], error, "interval from their scatter"), DRAWN,
               "rms distance of what latents drawn at random decode to from the nearest test image",
               baseline=stray_floor, baseline_name="validation images in their place"),
    ]  # fmt: skip
    if all(one.variational for one in members):
        each = [kl_per_image(one) for one in members]
        found.append(measured(f"{prefix}kl", mean, each, units, "nat, all latents", draws=RESAMPLES))
        active = [_active(one.latents.mean) for one in members]
        interval = bootstrapped(_active, first.latents.mean, units, RESAMPLES)
        meaning = f"of {first.latents.mean.shape[1]} latents; variance of the posterior mean above 0.01"
        found.append(metric(f"{prefix}active units", active, interval, n, meaning))
    for name in SCORES:
        values, meaning = [one.scores[name] for one in members], HOW[name.partition(" ")[0]]
        taken = min(TREE_ROWS, n) if name.startswith("DCI") else n
        found.append(metric(prefix + name, values, first.intervals[name], taken, meaning))
    return found


def _active(center: np.ndarray, weights: np.ndarray | None = None) -> float:
    return float(len(active_units(center)))


def _selecting(variant: str, members: list[Judged], n: int) -> Metric:
    """What the released beta is chosen by."""
    name = f"{variant}/validation MIG" if variant else "validation MIG"
    values = [one.validation_mig for one in members]
    return metric(name, values, members[0].intervals["validation MIG"], n, HOW["MIG"], split="validation")


_GRID = "10,000 and 5,000 points of 64 {}, drawn from a grid of every second hue and orientation"


HOW = {
    "MIG": "means of the latents, 20 bins",
    "SAP": "means of the latents, linear classifiers of one latent",
    "DCI": f"means of the latents, boosted trees on {TREE_ROWS} images, of which a third for testing",
    "beta-VAE": _GRID.format("pairs"),
    "FactorVAE": _GRID.format("images"),
}


def _information(judged: Judged, rows: Rows) -> dict[tuple[str, str], MutualInformation]:
    """Information of a sample of each latent and each factor."""
    drawn = sample(*judged.latents)
    latents = {f"latent {i}": column for i, column in enumerate(drawn.T)}
    return mutual_information_matrix(latents, rows.truth, estimator="classes", rows=INFORMATION_ROWS)


def _maps(judged: Judged, information: dict[tuple[str, str], MutualInformation], rows: Rows) -> list[Metric]:
    """KL of each latent with its factor, and how much of each factor's entropy the best latent holds."""
    found, units = [], Units.of(rows)
    latents = [f"latent {i}" for i in range(judged.latents.mean.shape[1])]
    for i, kl in enumerate(judged.latents.kl.T):
        factor, held = _most({name: information[f"latent {i}", name] for name in rows.truth})
        meaning = f"nat; holds most of {factor}, {held.value:.2f} nat"
        found.append(measured(f"kl latent {i}", mean, [kl], units, meaning, draws=RESAMPLES))
    for name, values in rows.truth.items():
        whole = float(entropy(np.unique(values, return_counts=True)[1]))
        known = {latent: information[latent, name] for latent in latents}
        best, held = _most(known)
        second, next_held = _most({latent: one for latent, one in known.items() if latent != best})
        value, error = held.value / whole, held.error / whole
        found.append(
            metric(
                f"information {name}",
                [value],
                of_error(value, error, "error from quarters of the rows"),
                min(INFORMATION_ROWS, len(rows)),
                f"of its entropy, in {best}; next is {second} with {next_held.value / whole:.2f}; of a sample of the"
                " latent; nearest neighbours",
            )
        )
    return found


def _most(known: dict[str, MutualInformation]) -> tuple[str, MutualInformation]:
    name = max(known, key=lambda name: known[name].value)
    return name, known[name]


def _traversal(run: Run, judged: Judged, information: dict[tuple[str, str], MutualInformation]) -> Figure:
    """One row a latent, by falling KL; the others stay where the first test image has them."""
    assert judged.kl is not None
    order = np.argsort(-judged.kl)
    latents = np.tile(judged.latents.mean[0], (len(order), len(TRAVERSED), 1))
    latents[np.arange(len(order)), :, order] = TRAVERSED
    images = decoded(run.load(), latents.reshape(-1, len(order)))
    labels = []
    for i in order:
        factor, held = _most({name: value for (latent, name), value in information.items() if latent == f"latent {i}"})
        labels.append(f"latent {i}, {judged.kl[i]:.2f} nat; {factor} {held.value:.2f} nat")
    title = f"each latent from {TRAVERSED[0]:g} to {TRAVERSED[-1]:g} standard deviations of the prior"
    return plots.image_grid(images.reshape(len(order), len(TRAVERSED), *images.shape[1:]), labels, title)


def _label(variant: str, run: Run) -> str:
    return variant or f"released, beta {run.recipe.config['beta']:g}"


def _reconstructions(runs: Runs, rows: Rows) -> Figure:
    (image,) = rows.inputs.values()
    shown = image[:SHOWN]
    images = [shown, *(in_batches(members[0].load().answer, shown) for members in runs.values())]
    return plots.image_grid(np.stack(images), ["input", *(_label(variant, members[0]) for variant, members in runs.items())])


def _against_beta(runs: Runs, judged: dict[str, list[Judged]], floor: float) -> Figure:
    by_beta = {
        float(members[0].recipe.config["beta"]): judged[variant]  # type: ignore[arg-type]
        for variant, members in runs.items()
        if judged[variant][0].variational
    }
    scores = {name: {beta: [one.scores[name] for one in members] for beta, members in by_beta.items()} for name in SCORES}
    cost = {
        "reconstruction above the intensities' entropy": {
            beta: [float(one.nll.mean()) - floor for one in members] for beta, members in by_beta.items()
        },
        "KL": {beta: [float(kl_per_image(one).mean()) for one in members] for beta, members in by_beta.items()},
    }
    return plots.against_beta({"score": scores, "nat an image": cost})


def _continuity(runs: Runs, judged: dict[str, list[Judged]], rows: Rows) -> Figure:
    """What lies between and beside encoded images: random latents, and the line between two images."""
    images, labels = [], []
    plain = [variant for variant, members in judged.items() if not members[0].variational]
    for variant in ["", *plain]:
        run, of_run = runs[variant][0], judged[variant][0]
        model, center = run.load(), of_run.latents.mean
        along = np.linspace(0, 1, SHOWN)[:, None]
        random = random_latents(of_run.variational, center, SHOWN)
        for way, latents in {"random": random, "line": (1 - along) * center[0] + along * center[1]}.items():
            images.append(decoded(model, latents))
            labels.append(f"{_label(variant, run)}, {way}")
    return plots.image_grid(np.stack(images), labels, "decoded from random latents, and from the line between two images")
