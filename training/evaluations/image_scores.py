"""Scores of one model of images: how far each latent stands for one factor, with intervals, and what its latents decode to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from zoo.data.dataset import Rows
from zoo.data.shapes3d.factors import FACTORS
from zoo.data.shapes3d.images import Images
from zoo.families.batches import in_batches
from zoo.families.contracts import Reconstructs
from zoo.interpret.latents.disentanglement import beta_vae_score, dci, factor_vae_score, mig, sap
from zoo.interpret.latents.factors import Grid
from zoo.training.evaluate import Run
from zoo.training.evaluations.latents import Encoded
from zoo.training.metrics import Interval, of_parts, of_share

STEPS = (2, 2, 2, 1, 1, 2)
"""Every so manieth value of each factor of Shapes3D makes the grid whose images are encoded for the beta-VAE and FactorVAE
scores: 32,000 images that are drawn again and again cost an eightieth of the three million that the published sizes ask for."""
TRAINED, SCORED = 10_000, 5000
"""Points that the classifiers of the beta-VAE and FactorVAE scores are trained and scored on."""
TREE_ROWS = 2000
"""Test images for DCI, whose trees take twenty seconds for as many."""
PARTS = 5
"""Disjoint parts of the images, among which the scatter of a score gives its interval: a bootstrap would refit it too often."""
DRAWN = 100
"""Latents drawn at random to see what they decode to."""
COMPARED = 1000
"""Images that are compared with the decoded ones at a time."""
SCORES = ("MIG", "SAP", "DCI disentanglement", "DCI completeness", "DCI informativeness", "beta-VAE score", "FactorVAE score")


@dataclass(frozen=True, eq=False)
class Judged:
    """One run on the test split.

    Attributes
    ----------
    latents : Encoded
        Posteriors of the latents.
    variational : bool
        Whether the latents have a prior; a plain autoencoder's have none.
    nll : ndarray
        Negative log-likelihood of each image, (n,), nat, at the mean of the latents.
    squared : ndarray
        Squared error of each image's intensities, (n,), mean over them.
    scores : dict of str to float
        Value of each of ``SCORES``.
    validation_mig : float
        MIG on the validation split.
    stray : ndarray
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


def judge(run: Run, rows: Rows, held: Rows, *, first: bool) -> Judged:
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
    scores = scores_of(center, factors, _grid(model), run.seed)
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
        stray=nearest(decoded(model, random_latents(model.variational, center, DRAWN)), rows.target),
        intervals=intervals,
    )


def _means(model: Any, image: Any) -> Any:
    return model.encode(image)[0]


def _classes(rows: Rows) -> np.ndarray:
    """Number (n, factors) of each factor's value among those that it takes."""
    return np.stack([np.unique(values, return_inverse=True)[1] for values in rows.truth.values()], axis=1)


def _grid(model: Any) -> Grid:
    """A part of the grid of Shapes3D, of whose images the latents are kept."""
    values = [factor.values[::step] for factor, step in zip(FACTORS, STEPS, strict=True)]
    sizes = tuple(map(len, values))
    factors = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, len(FACTORS))
    latents = in_batches(partial(_means, model), Images(factors))
    return Grid(sizes, lambda index: latents[np.ravel_multi_index(tuple(index.T), sizes)])


def scores_of(center: np.ndarray, factors: np.ndarray, grid: Grid, seed: int) -> dict[str, float]:
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
    """Intervals of scores of arrays by disjoint parts of the rows, of others as shares of points that are told right."""
    some = TREE_ROWS // PARTS
    parts = np.array([_of_arrays(center[part], factors[part], some, seed) for part in _parts(group)])
    of_arrays = {name: of_parts(scores[name], column.tolist()) for name, column in zip(SCORES, parts.T, strict=False)}
    return of_arrays | {name: of_share(scores[name], SCORED) for name in SCORES[-2:]}


def random_latents(variational: bool, center: np.ndarray, number: int) -> np.ndarray:
    """Latents (number, latents) of the prior; of an autoencoder, which has none, of Gaussians fitted to each latent."""
    drawn = np.random.default_rng(0).standard_normal((number, center.shape[1]))
    return drawn if variational else center.mean(axis=0) + center.std(axis=0) * drawn


def decoded(model: Reconstructs, latents: np.ndarray) -> np.ndarray:
    """Images that latents (n, latents) decode to."""
    return in_batches(model.decode, latents.astype(np.float32))


def nearest(images: np.ndarray, among: Any) -> np.ndarray:
    """Distance of each image to the nearest of the others, (n,): root of the mean squared difference of their intensities."""
    flat = images.reshape(len(images), -1)
    squared = np.full(len(flat), np.inf)
    for batch in batches(len(among)):
        others = among[batch].reshape(-1, flat.shape[1])
        apart = (flat**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * flat @ others.T
        squared = np.minimum(squared, apart.min(axis=1))
    return np.sqrt(np.maximum(squared, 0) / flat.shape[1])


def batches(number: int) -> list[slice]:
    """Parts of so many images that are compared at a time."""
    return [slice(start, start + COMPARED) for start in range(0, number, COMPARED)]


def kl_per_image(judged: Judged) -> np.ndarray:
    """KL of all latents together, (n,), nat."""
    return judged.latents.kl.sum(axis=1)
