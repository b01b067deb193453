"""The evaluation of models of images, on a model whose latents are read off three pixels: most numbers are known."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
from keras import ops
from matplotlib.colors import rgb_to_hsv
from matplotlib.figure import Figure
from scipy.spatial.distance import cdist

from zoo.errors import InputError
from zoo.families.beta_vae import BetaVAE
from zoo.interpret.latents.factors import Grid
from zoo.interpret.plots import against_beta
from zoo.training.evaluate import Run
from zoo.training.evaluations import disentanglement, image_scores
from zoo.training.evaluations.disentanglement import _entropy, evaluate
from zoo.training.evaluations.image_scores import SCORES, nearest, scores_of
from zoo.training.recipe import RecipeError, load_recipe

ROWS, WIDTH = 600, 4
HUES = {"floor_hue": (62, 2), "wall_hue": (16, 2), "object_hue": (38, 32)}
"""Factor -> a pixel that shows it in every image."""


class Reader:
    """Latents are the hues of three pixels, and a fourth is zero; every image is decoded as gray."""

    log_likelihood, objective = BetaVAE.log_likelihood, BetaVAE.objective

    def __init__(self, variational: bool = True, offset: float = 0.0) -> None:
        self.variational, self.offset = variational, offset

    def encode(self, image):
        pixels = np.stack([np.asarray(image)[:, i, j] for i, j in HUES.values()], axis=1)
        hue = np.round(rgb_to_hsv(pixels)[..., 0], 6) % 1
        mean = np.pad(hue, ((0, 0), (0, WIDTH - len(HUES)))).astype(np.float32) + self.offset
        return mean, np.where(np.arange(WIDTH) < len(HUES), -10.0, 0.0).astype(np.float32) + np.zeros_like(mean)

    def decoded_logits(self, latent):
        return ops.zeros((len(latent), 64, 64, 3))

    def decode(self, latent):
        return ops.sigmoid(self.decoded_logits(latent))

    def answer(self, image):
        return self.decode(image)


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("bvae-shapes3d").changed({"data.parameters": {"train": 1, "validation": 300, "test": ROWS}})


@pytest.fixture(scope="module")
def judged(recipe):
    history = {"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}
    runs = {
        "": [Run(recipe, 0, Reader, history), Run(recipe, 1, partial(Reader, offset=0.1), history)],
        "beta-16": [Run(recipe.changed({"config.beta": 16.0}), 0, Reader, history)],
        "autoencoder": [Run(recipe, 0, partial(Reader, variational=False), history)],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_scores, "STEPS", (5, 5, 5, 4, 2, 7))
        patch.setattr(image_scores, "dci", partial(image_scores.dci, model="lasso"))
        patch.setattr(image_scores, "PARTS", 2)
        patch.setattr(image_scores, "TRAINED", 300)
        patch.setattr(image_scores, "SCORED", 300)
        patch.setattr(disentanglement, "measured", partial(disentanglement.measured, draws=80))
        return evaluate(runs, recipe.evaluation)


@pytest.fixture(scope="module")
def metrics(judged):
    return {metric.name: metric for metric in judged.metrics}


def test_reconstruction_of_a_gray_image(metrics, recipe):
    """Each intensity costs log 2 under even odds; nothing costs less than the entropy."""
    images = recipe.data.dataset().rows("test").target[:].astype(np.float64)
    assert metrics["nll"].value == pytest.approx(64 * 64 * 3 * np.log(2), rel=1e-5)
    assert metrics["rmse"].value == pytest.approx(np.sqrt(np.mean((images - 0.5) ** 2)), rel=1e-5)
    low, high = metrics["rmse"].interval
    assert low < metrics["rmse"].value < high
    p = np.clip(images, 1e-12, 1 - 1e-12)
    floor = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    assert metrics["nll"].baseline == pytest.approx(floor, rel=1e-4)
    assert metrics["nll"].baseline < metrics["nll"].value
    gray = np.sqrt(((images - 0.5) ** 2).mean(axis=(1, 2, 3))).min()
    assert metrics["random latents"].value == pytest.approx(gray, rel=1e-4)


def test_use_of_latents(metrics, recipe):
    truth = recipe.data.dataset().rows("test").truth
    for i, name in enumerate(HUES):
        expected = 0.5 * (np.mean(truth[name] ** 2) + np.exp(-10) + 10 - 1)
        assert metrics[f"kl latent {i}"].value == pytest.approx(expected, rel=1e-4)
        assert f"holds most of {name}" in metrics[f"kl latent {i}"].detail
    assert metrics["kl latent 3"].value == pytest.approx(0, abs=1e-6)
    assert metrics["kl"].value == pytest.approx(sum(metrics[f"kl latent {i}"].value for i in range(WIDTH)), rel=1e-6)
    assert metrics["active units"].value == len(HUES)


def test_each_factor_with_its_latent(metrics):
    """A hue's latent knows all of its entropy, a factor that no latent holds is unknown; MIG is the part that is known."""
    for i, name in enumerate(HUES):
        assert metrics[f"information {name}"].value == pytest.approx(1, abs=0.03)
        assert f"in latent {i};" in metrics[f"information {name}"].detail
    for name in ("scale", "shape", "orientation"):
        assert abs(metrics[f"information {name}"].value) < 0.1
    assert metrics["MIG"].value == pytest.approx(len(HUES) / 6, abs=0.1)
    assert metrics["validation MIG"].value == pytest.approx(len(HUES) / 6, abs=0.15)
    assert (metrics["validation MIG"].split, metrics["validation MIG"].n) == ("validation", 300)


def test_every_variant_has_every_score_with_its_spread(metrics, judged):
    for prefix in ("", "beta-16/", "autoencoder/"):
        for name in SCORES:
            assert 0 <= metrics[prefix + name].value <= 1
    assert "over 2 seeds" in metrics["MIG"].detail
    assert metrics["MIG"].seeds == 2
    assert metrics["DCI disentanglement"].n == ROWS
    # A plain autoencoder has no prior to measure against.
    assert "autoencoder/kl" not in metrics
    assert {len(values) for values in judged.curves["validation MIG"].values()} == {1, 2}
    json.dumps(judged.curves, allow_nan=False)


def test_figures(judged):
    assert set(judged.figures) == {
        "learning_curves", "information", "traversal", "reconstructions", "against_beta", "continuity",
    }  # fmt: skip
    assert all(isinstance(figure, Figure) for figure in judged.figures.values())
    labels = [text.get_text() for text in judged.figures["continuity"].axes[0].get_yticklabels()]
    assert labels == ["released, beta 1, random", "released, beta 1, line", "autoencoder, random", "autoencoder, line"]
    assert [tick.get_text() for tick in judged.figures["against_beta"].axes[0].get_xticklabels()] == ["1", "16"]


def test_scores_of_perfect_and_of_dead_latents(monkeypatch):
    monkeypatch.setattr(image_scores, "TREE_ROWS", 120)
    sizes = (5, 4, 3)
    factors = np.random.default_rng(0).integers(sizes, size=(300, 3))
    perfect = scores_of(factors / 1.0, factors, Grid(sizes, lambda index: index), seed=0)
    for name in set(SCORES) - {"SAP"}:
        assert perfect[name] > 0.98, name
    noise = np.random.default_rng(1)
    dead = scores_of(noise.normal(size=(300, 3)), factors, Grid(sizes, lambda index: noise.normal(size=index.shape)), seed=0)
    for name in SCORES:
        assert dead[name] < 0.55, name


def test_a_plain_autoencoder_cannot_be_the_released_model(recipe):
    with pytest.raises(RecipeError, match="expected a variational model"):
        evaluate({"": [Run(recipe, 0, partial(Reader, variational=False), {})]}, recipe.evaluation)


def test_nearest_image_is_scipys(monkeypatch):
    monkeypatch.setattr(image_scores, "COMPARED", 7)
    rng = np.random.default_rng(0)
    images, others = rng.random((5, 4, 4, 3)), rng.random((20, 4, 4, 3))
    expected = cdist(images.reshape(5, -1), others.reshape(20, -1)).min(axis=1) / np.sqrt(48)
    np.testing.assert_allclose(nearest(images, others), expected, rtol=1e-10)
    np.testing.assert_allclose(nearest(others[:3], others), 0, atol=1e-7)


def test_entropy_of_intensities():
    black, gray = np.zeros((1, 2, 2, 1)), np.full((1, 2, 2, 1), 0.5)
    np.testing.assert_allclose(_entropy(np.concatenate([black, gray])), [0, 4 * np.log(2)])


@pytest.mark.parametrize("shown", [{}, {"y": {"a": {1.0: []}}}, {"y": {"a": {1.0: [np.nan]}}}])
def test_figure_against_beta_refuses_what_it_cannot_draw(shown):
    with pytest.raises(InputError, match="expected"):
        against_beta(shown)
