"""Evaluation of models that find the factors of images in their latents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from keras import ops
from matplotlib.figure import Figure
from scipy.stats import entropy

from zoo.data.dataset import Rows
from zoo.data.shapes3d.factors import FACTORS
from zoo.data.shapes3d.images import Images
from zoo.families.batches import in_batches
from zoo.families.contracts import Reconstructs
from zoo.interpret import plots
from zoo.interpret.latents.disentanglement import beta_vae_score, dci, factor_vae_score, mig, sap
from zoo.interpret.latents.factors import Grid
from zoo.interpret.latents.information import MutualInformation, mutual_information_matrix
from zoo.interpret.latents.traversal import sample
from zoo.interpret.latents.use import active_units
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.latents import INFORMATION_ROWS, Encoded
from zoo.training.metrics import (
    Interval,
    Units,
    bootstrapped,
    expect_equal_weights,
    mean,
    measured,
    metric,
    of_error,
    of_parts,
    of_share,
    root_mean,
)
from zoo.training.recipe import RecipeError

STEPS = (2, 2, 2, 1, 1, 2)
"""Every so manieth value of each factor of Shapes3D makes the grid whose images are encoded for the beta-VAE and FactorVAE
scores: 32,000 images that are drawn again and again cost an eightieth of the three million that the published sizes ask for."""
TRAINED, SCORED = 10_000, 5000
"""Points that the classifiers of the beta-VAE and FactorVAE scores are trained and scored on."""
TREE_ROWS = 2000
"""Test images for DCI, whose trees take twenty seconds for as many."""
PARTS = 5
"""Disjoint parts of the images, among which the scatter of a score gives its interval: a bootstrap would refit it too often."""
RESAMPLES = 100
"""Resamples of the images for other intervals."""
DRAWN = 100
"""Latents drawn at random to see what they decode to."""
COMPARED = 1000
"""Images that are compared with the decoded ones at a time."""
TRAVERSED = np.linspace(-2.0, 2.0, 9)
"""Values of the moved latent, in standard deviations of the prior."""
SHOWN = 10
"""Images a row of the other figures."""

SCORES = ("MIG", "SAP", "DCI disentanglement", "DCI completeness", "DCI informativeness", "beta-VAE score", "FactorVAE score")


@register_evaluation("disentanglement")
class Disentanglement(EvaluationSettings):
    """Reconstruction and use of the latents, how far each stands for one factor of the data's grid, over values of beta."""

    kind: Literal["disentanglement"] = "disentanglement"

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


@dataclass(frozen=True, eq=False)
class Judged:
    """One run on the test split.

    Attributes
    ----------
    latents : Encoded
        Posteriors of the latents.
    variational : bool
        Whether the latents have a prior; a plain autoencoder's have none.
    nll : numpy.ndarray
        Negative log-likelihood of each image, (n,), nat, at the mean of the latents.
    squared : numpy.ndarray
        Squared error of each image's intensities, (n,), mean over them.
    scores : dict of str to float
        Value of each of ``SCORES``.
    validation_mig : float
        MIG on the validation split.
    stray : numpy.ndarray
        Distance of images decoded from random latents to the nearest test image, (DRAWN,), rms of intensities.
    intervals : dict of str to Interval
        Interval of each score and of "validation MIG"; empty but for the first seed.
    """

    latents: Encoded
    variational: bool
    nll: np.ndarray
    squared: np.ndarray
    scores: dict[str, float]
    validation_mig: float
    stray: np.ndarray
    intervals: dict[str, Interval]

    @property
    def kl(self) -> np.ndarray | None:
        """KL of each latent, (latents,), nat; None for a plain autoencoder."""
        return self.latents.kl.mean(axis=0) if self.variational else None


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
        judged[variant].append(_judge(run, rows, held, first=not judged[variant]))
    evaluation = Evaluation()
    floor = float(np.mean(np.concatenate([_entropy(rows.target[batch]) for batch in _batches(len(rows))])))
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


def _judge(run: Run, rows: Rows, held: Rows, *, first: bool) -> Judged:
    """One run on the test split; of the first seed, intervals of its scores too."""
    model: Reconstructs = run.load()

    def measured_of(image: Any, target: Any) -> tuple:
        center, log_variance = model.encode(image)
        logits = model.decoded_logits(center)
        error = ops.mean(ops.square(ops.sigmoid(logits) - target), axis=(1, 2, 3))
        return center, log_variance, model.objective(target, logits), error

    (image,) = rows.inputs.values()
    center, log_variance, nll, squared = in_batches(measured_of, image, rows.target)
    validated, factors, held_factors = in_batches(partial(_means, model), *held.inputs.values()), _classes(rows), _classes(held)
    scores = _scores(center, factors, _grid(model), run.seed)
    validation_mig = mig(validated, held_factors).score
    intervals = _intervals(center, factors, rows.group, scores, run.seed) if first else {}
    if first:
        parts = [mig(validated[part], held_factors[part]).score for part in _parts(held.group)]
        intervals["validation MIG"] = of_parts(validation_mig, parts)
    return Judged(
        latents=Encoded(center, log_variance),
        variational=model.variational,
        nll=nll,
        squared=squared,
        scores=scores,
        validation_mig=validation_mig,
        stray=nearest(_decoded(model, _random_latents(model.variational, center, DRAWN)), rows.target),
        intervals=intervals,
    )


def _means(model: Any, image: Any) -> Any:
    return model.encode(image)[0]


def _classes(rows: Rows) -> np.ndarray:
    """(n, factors) number of each factor's value among those that it takes."""
    return np.stack([np.unique(values, return_inverse=True)[1] for values in rows.truth.values()], axis=1)


def _grid(model: Any) -> Grid:
    """A part of the grid of Shapes3D, of whose images the latents are kept."""
    values = [factor.values[::step] for factor, step in zip(FACTORS, STEPS, strict=True)]
    sizes = tuple(map(len, values))
    factors = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(FACTORS))
    latents = in_batches(partial(_means, model), Images(factors))
    return Grid(sizes, lambda index: latents[np.ravel_multi_index(tuple(index.T), sizes)])


def _scores(center: np.ndarray, factors: np.ndarray, grid: Grid, seed: int) -> dict[str, float]:
    """Each of ``SCORES`` of the latents' means (n, latents)."""
    points = {"train": TRAINED, "test": SCORED, "seed": seed}
    found = (beta_vae_score(np.asarray, grid, **points), factor_vae_score(np.asarray, grid, **points))
    return dict(zip(SCORES, (*_of_arrays(center, factors, TREE_ROWS, seed), *found), strict=True))


def _of_arrays(center: np.ndarray, factors: np.ndarray, trees: int, seed: int) -> tuple[float, float, float, float, float]:
    """The first five of ``SCORES``, DCI on the first rows alone."""
    found = dci(center[:trees], factors[:trees], seed=seed)
    scores = mig(center, factors).score, sap(center, factors, seed=seed).score
    return *scores, found.disentanglement, found.completeness, found.informativeness


def _parts(group: np.ndarray) -> list[np.ndarray]:
    """Rows of disjoint parts of the groups."""
    number = np.unique(group, return_inverse=True)[1]
    return [np.flatnonzero(number % PARTS == part) for part in range(PARTS)]


def _intervals(
    center: np.ndarray, factors: np.ndarray, group: np.ndarray, scores: dict[str, float], seed: int
) -> dict[str, Interval]:
    """Of the scores of arrays by disjoint parts of the rows, of the others as shares of points that are told right."""
    some = TREE_ROWS // PARTS
    parts = np.array([_of_arrays(center[part], factors[part], some, seed) for part in _parts(group)])
    of_arrays = {name: of_parts(scores[name], column.tolist()) for name, column in zip(SCORES, parts.T, strict=False)}
    return of_arrays | {name: of_share(scores[name], SCORED) for name in SCORES[-2:]}


def _random_latents(variational: bool, center: np.ndarray, number: int) -> np.ndarray:
    """(number, latents) from the prior; of a plain autoencoder, which has none, from a Gaussian fitted to each latent."""
    drawn = np.random.default_rng(0).standard_normal((number, center.shape[1]))
    return drawn if variational else center.mean(axis=0) + center.std(axis=0) * drawn


def _decoded(model: Reconstructs, latents: np.ndarray) -> np.ndarray:
    return in_batches(model.decode, latents.astype(np.float32))


def nearest(images: np.ndarray, among: Any) -> np.ndarray:
    """Distance of each image to the nearest of the others, (n,): root of the mean squared difference of their intensities."""
    flat = images.reshape(len(images), -1)
    squared = np.full(len(flat), np.inf)
    for batch in _batches(len(among)):
        others = among[batch].reshape(-1, flat.shape[1])
        apart = (flat**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * flat @ others.T
        squared = np.minimum(squared, apart.min(axis=1))
    return np.sqrt(np.maximum(squared, 0) / flat.shape[1])


def _batches(number: int) -> list[slice]:
    return [slice(start, start + COMPARED) for start in range(0, number, COMPARED)]


def _entropy(images: np.ndarray) -> np.ndarray:
    """(n,) nat: the negative log-likelihood of each image under its own intensities."""
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


def kl_per_image(judged: Judged) -> np.ndarray:
    """(n,) KL of all latents together, nat."""
    return judged.latents.kl.sum(axis=1)


def _information(judged: Judged, rows: Rows) -> dict[tuple[str, str], MutualInformation]:
    """Of a sample of each latent and each factor."""
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
    images = _decoded(run.load(), latents.reshape(-1, len(order)))
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
        random = _random_latents(of_run.variational, center, SHOWN)
        for way, latents in {"random": random, "line": (1 - along) * center[0] + along * center[1]}.items():
            images.append(_decoded(model, latents))
            labels.append(f"{_label(variant, run)}, {way}")
    return plots.image_grid(np.stack(images), labels, "decoded from random latents, and from the line between two images")
