"""Evaluation of models that find the factors of images in their latents."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from keras import ops
from matplotlib.figure import Figure
from scipy.stats import entropy

from zoo.data.dataset import Rows
from zoo.data.shapes3d.factors import FACTORS
from zoo.data.shapes3d.images import Images
from zoo.families.batches import in_batches
from zoo.families.layers import gaussian_kl
from zoo.interpret import plots
from zoo.interpret.latents.disentanglement import beta_vae_score, dci, factor_vae_score, mig, sap
from zoo.interpret.latents.factors import Grid
from zoo.interpret.latents.information import MutualInformation, mutual_information_matrix
from zoo.interpret.latents.traversal import kl_per_latent, sample
from zoo.interpret.latents.use import active_units
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs, over_seeds
from zoo.training.evaluations.latents import INFORMATION_ROWS
from zoo.training.intervals import bootstrap
from zoo.training.recipe import Disentanglement, RecipeError

STEPS = (2, 2, 2, 1, 1, 2)
"""Every so manieth value of each factor of Shapes3D makes the grid whose images are encoded for the beta-VAE and FactorVAE
scores: 32,000 images that are drawn again and again cost an eightieth of the three million that the published sizes ask for."""
TREE_ROWS = 2000
"""Test images for DCI, whose trees take twenty seconds for as many."""
DRAWN = 100
"""Latents drawn at random to see what they decode to."""
COMPARED = 1000
"""Images that are compared with the decoded ones at a time."""
TRAVERSED = np.linspace(-2.0, 2.0, 9)
"""Values of the moved latent, in standard deviations of the prior."""
SHOWN = 10
"""Images a row of the other figures."""

SCORES = ("MIG", "SAP", "DCI disentanglement", "DCI completeness", "DCI informativeness", "beta-VAE score", "FactorVAE score")


@dataclass(frozen=True, eq=False)
class Judged:
    """One run on the test split.

    Attributes
    ----------
    mean, log_variance : (n, latents)
    nll : (n,) nat an image, at the mean of the latents
    squared : (n,) squared error of an image's intensities, mean over them
    kl : (latents,) nat, None for a plain autoencoder
    scores : of ``SCORES``
    validation_mig : on the validation split
    stray : (DRAWN,) distance of images decoded from random latents to the nearest test image, rms of intensities
    """

    mean: np.ndarray
    log_variance: np.ndarray
    nll: np.ndarray
    squared: np.ndarray
    kl: np.ndarray | None
    scores: dict[str, float]
    validation_mig: float
    stray: np.ndarray


def evaluate(runs: Runs, settings: Disentanglement) -> Evaluation:
    """Reconstruction, use of the latents and the scores of every run; of the released one, which latent holds which factor."""
    released = runs[""][0]
    if not released.model.variational:
        raise RecipeError("expected a variational model, beside which a plain autoencoder may stand as a variant")
    dataset = released.recipe.data.dataset()
    rows, held = dataset.rows("test"), dataset.rows("validation")
    every = [(variant, run) for variant, members in runs.items() for run in members]
    judged: dict[str, list[Judged]] = {variant: [] for variant in runs}
    for variant, run in track(every, "disentanglement"):
        judged[variant].append(_judge(run, rows, held))
    evaluation = Evaluation()
    floor = float(np.mean(np.concatenate([_entropy(rows.target[batch]) for batch in _batches(len(rows))])))
    stray_floor = float(nearest(held.target[:DRAWN], rows.target).mean())
    for variant, members in judged.items():
        evaluation.metrics += _metrics(f"{variant}/" if variant else "", members, rows.group, floor, stray_floor)
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


def _judge(run: Run, rows: Rows, held: Rows) -> Judged:
    def measured(image: Any, target: Any) -> tuple:
        mean, log_variance = run.model.encode(image)
        logits = run.model.logits(mean)
        error = ops.mean(ops.square(ops.sigmoid(logits) - target), axis=(1, 2, 3))
        return mean, log_variance, -run.model.log_likelihood(target, logits), error

    (image,) = rows.inputs.values()
    mean, log_variance, nll, squared = in_batches(measured, image, rows.target)
    validated = in_batches(partial(_means, run.model), *held.inputs.values())
    return Judged(
        mean=mean,
        log_variance=log_variance,
        nll=nll,
        squared=squared,
        kl=kl_per_latent(mean, log_variance) if run.model.variational else None,
        scores=_scores(mean, _classes(rows), _grid(run.model), run.seed),
        validation_mig=mig(validated, _classes(held)).score,
        stray=nearest(_decoded(run, _random_latents(run, mean, DRAWN)), rows.target),
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


def _scores(mean: np.ndarray, factors: np.ndarray, grid: Grid, seed: int) -> dict[str, float]:
    found = dci(mean[:TREE_ROWS], factors[:TREE_ROWS], seed=seed)
    values = (
        mig(mean, factors).score,
        sap(mean, factors, seed=seed).score,
        found.disentanglement,
        found.completeness,
        found.informativeness,
        beta_vae_score(np.asarray, grid, seed=seed),
        factor_vae_score(np.asarray, grid, seed=seed),
    )
    return dict(zip(SCORES, values, strict=True))


def _random_latents(run: Run, mean: np.ndarray, number: int) -> np.ndarray:
    """(number, latents) from the prior; of a plain autoencoder, which has none, from a Gaussian fitted to each latent."""
    drawn = np.random.default_rng(0).standard_normal((number, mean.shape[1]))
    return drawn if run.model.variational else mean.mean(axis=0) + mean.std(axis=0) * drawn


def _decoded(run: Run, latents: np.ndarray) -> np.ndarray:
    return in_batches(run.model.decode, latents.astype(np.float32))


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


def _metrics(prefix: str, members: list[Judged], group: np.ndarray, floor: float, stray_floor: float) -> list[Metric]:
    first, n, seeds = members[0], len(group), len(members)

    def metric(name: str, values: list[float], detail: str, **more: Any) -> Metric:
        more = {"n": n, **more}
        return Metric(name=prefix + name, value=values[0], seeds=seeds, detail=f"{detail}; {over_seeds(values)}", **more)

    def resampled(values: np.ndarray) -> tuple[float, float]:
        return bootstrap(lambda i: float(values[i].mean()), group, draws=100)

    low, high = (float(np.sqrt(end)) for end in resampled(first.squared))
    error = 1.96 * first.stray.std(ddof=1) / np.sqrt(DRAWN)
    found = [
        metric("nll", [float(one.nll.mean()) for one in members], "nat an image, at the mean of latents; bootstrap interval",
               interval=resampled(first.nll), baseline=floor,
               baseline_name="entropy of the intensities, below which no model comes"),
        metric("rmse", [float(np.sqrt(one.squared.mean())) for one in members],
               "of intensities in [0, 1], at the mean of the latents; bootstrap interval", interval=(low, high)),
        metric("random latents", [float(one.stray.mean()) for one in members],
               "rms distance of what latents drawn at random decode to from the nearest test image",
               interval=(first.stray.mean() - error, first.stray.mean() + error), n=DRAWN,
               baseline=stray_floor, baseline_name="validation images in their place"),
    ]  # fmt: skip
    if all(one.kl is not None for one in members):
        each = [kl_per_image(one) for one in members]
        found.append(metric("kl", [float(kl.mean()) for kl in each], "nat, all latents; bootstrap interval",
                            interval=resampled(each[0])))  # fmt: skip
        found.append(
            metric("active units", [float(len(active_units(one.mean))) for one in members],
                   f"of {first.mean.shape[1]} latents; variance of the posterior mean above 0.01")
        )  # fmt: skip
    for name in SCORES:
        taken = {"n": min(TREE_ROWS, n)} if name.startswith("DCI") else {}
        found.append(metric(name, [one.scores[name] for one in members], HOW[name.partition(" ")[0]], **taken))
    return found


def _selecting(variant: str, members: list[Judged], n: int) -> Metric:
    """What the released beta is chosen by."""
    values = [one.validation_mig for one in members]
    return Metric(
        name=f"{variant}/validation MIG" if variant else "validation MIG",
        value=values[0],
        n=n,
        seeds=len(members),
        split="validation",
        detail=f"{HOW['MIG']}; {over_seeds(values)}",
    )


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
    return ops.convert_to_numpy(gaussian_kl(judged.mean, judged.log_variance)).sum(axis=1)


def _information(judged: Judged, rows: Rows) -> dict[tuple[str, str], MutualInformation]:
    """Of a sample of each latent and each factor."""
    drawn = sample(judged.mean, judged.log_variance)
    latents = {f"latent {i}": column for i, column in enumerate(drawn.T)}
    return mutual_information_matrix(latents, rows.truth, estimator="classes", rows=INFORMATION_ROWS)


def _maps(judged: Judged, information: dict[tuple[str, str], MutualInformation], rows: Rows) -> list[Metric]:
    """KL of each latent with its factor, and how much of each factor's entropy the best latent holds."""
    assert judged.kl is not None
    found = []
    for i, kl in enumerate(judged.kl):
        factor, held = _most({name: information[f"latent {i}", name] for name in rows.truth})
        detail = f"nat; holds most of {factor}, {held.value:.2f} nat"
        found.append(Metric(name=f"kl latent {i}", value=float(kl), n=len(rows), detail=detail))
    latents = [f"latent {i}" for i in range(len(judged.kl))]
    for name, values in rows.truth.items():
        whole = float(entropy(np.unique(values, return_counts=True)[1]))
        known = {latent: information[latent, name] for latent in latents}
        best, held = _most(known)
        second, next_held = _most({latent: one for latent, one in known.items() if latent != best})
        value, half = held.value / whole, 1.96 * held.error / whole
        found.append(
            Metric(
                name=f"information {name}",
                value=value,
                interval=(value - half, value + half),
                n=min(INFORMATION_ROWS, len(rows)),
                detail=f"of its entropy, in {best}; next is {second} with {next_held.value / whole:.2f}; of a sample of the"
                " latent; nearest neighbours, error from quarters of the rows",
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
    latents = np.tile(judged.mean[0], (len(order), len(TRAVERSED), 1))
    latents[np.arange(len(order)), :, order] = TRAVERSED
    images = _decoded(run, latents.reshape(-1, len(order)))
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
    images = [shown, *(in_batches(members[0].model.answer, shown) for members in runs.values())]
    return plots.image_grid(np.stack(images), ["input", *(_label(variant, members[0]) for variant, members in runs.items())])


def _against_beta(runs: Runs, judged: dict[str, list[Judged]], floor: float) -> Figure:
    by_beta = {
        float(members[0].recipe.config["beta"]): judged[variant]  # type: ignore[arg-type]
        for variant, members in runs.items()
        if members[0].model.variational
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
    plain = [variant for variant, members in runs.items() if not members[0].model.variational]
    for variant in ["", *plain]:
        run, mean = runs[variant][0], judged[variant][0].mean
        along = np.linspace(0, 1, SHOWN)[:, None]
        ways = {"random": _random_latents(run, mean, SHOWN), "line": (1 - along) * mean[0] + along * mean[1]}
        for way, latents in ways.items():
            images.append(_decoded(run, latents))
            labels.append(f"{_label(variant, run)}, {way}")
    return plots.image_grid(np.stack(images), labels, "decoded from random latents, and from the line between two images")
