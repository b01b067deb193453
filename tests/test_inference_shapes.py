"""Posteriors from simulators whose answers are sets of trials, of free length, sequences or images, as one call makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tiny_flows import without_xla

from zoo.errors import InputError
from zoo.workflows.npe import train_npe

MEAN = {"mean": {"distribution": "normal", "mean": 0.0, "sd": 1.0}}
TINY: dict[str, Any] = {
    "config.transforms": 2,
    "config.hidden": [24],
    "config.bins": 5,
    "epochs": 10,
    "optimizer.learning_rate": 5e-3,
    "optimizer.weight_decay": 0.1,
    "batch_size": 64,
    "test_rows": 4,
}
SMALL_SETS = {"kind": "mean-pooled", "element_units": [16], "units": [24, 8]}


def trial(theta, rng):
    """One of many measurements with noise of 2."""
    return rng.normal(theta, 2.0)


def light_curve(theta, rng):
    """Times and fluxes of a source of a mean brightness, seen for a while."""
    times = np.sort(rng.uniform(0, 1, rng.integers(3, 12)))
    return np.stack([times, theta[0] + rng.normal(0, 1.0, len(times))], axis=1)


def picture(theta, rng):
    return theta[0] * np.eye(6) + rng.normal(0, 1, (6, 6))


def trained(simulator, folder, n: int = 1500, **more: Any):
    import zoo.training.evaluations.posterior as module

    with without_xla(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "DRAWS", 99)
        patch.setattr(module, "CALIBRATED", 60)
        patch.setattr(module, "SAMPLES", 200)
        patch.setattr(module, "OBSERVATIONS", 1)
        return train_npe(simulator, MEAN, n, folder=folder, test=60, jobs=1, changes=TINY, **more)


@pytest.mark.slow  # the page of simulators trains on curves of any length
def test_sets_of_trials_from_one_call(tmp_path):
    """The posterior of the mean of k trials is as exact and as narrow as they tell, in Keras and in ONNX Runtime."""
    from zoo.serving import Session

    flow = trained(trial, tmp_path / "mean-of-trials", trials=(1, 50), embedding=SMALL_SETS)
    x, mask = flow.spec.endpoint("log_prob").inputs[1:]
    assert [(axis.name, axis.size, axis.least, axis.most) for axis in x.axes] == [
        ("trial", None, 1, 50),
        ("datum", 1, None, None),
    ]
    assert x.mask == mask.name == "mask"
    assert mask.dtype == "bool"
    rng = np.random.default_rng(3)
    widths = []
    for count in (1, 7, 50):
        sets = [rng.normal(rng.normal(), 2.0, (count, 1)) for _ in range(20)]
        drawn = flow.draw(500, sets)[..., 0]
        deviation = (1 + count / 4) ** -0.5
        exact = np.array([one.sum() / 4 * deviation**2 for one in sets])
        assert np.sqrt(np.mean(((drawn.mean(axis=1) - exact) / deviation) ** 2)) < 0.45
        widths.append(drawn.std(axis=1).mean() / deviation)
    assert all(0.65 < width < 1.6 for width in widths), widths
    z = rng.standard_normal((2, 1), dtype=np.float32)
    ragged = [rng.normal(0, 2, (count, 1)) for count in (3, 20)]
    padded, real = np.zeros((2, 20, 1)), np.arange(20) < [[3], [20]]
    padded[0, :3], padded[1] = ragged
    found = Session(tmp_path / "mean-of-trials").run({"z": z, "x": ragged}, "sample")["theta"]
    np.testing.assert_allclose(found, np.asarray(flow.sample(z, padded, real)), atol=1e-3)
    with pytest.raises(InputError, match="trials: expected the fewest and the most"):
        trained(trial, tmp_path / "none", trials=(5, 1))


@pytest.mark.slow
def test_answers_of_free_length_from_one_call(tmp_path):
    flow = trained(
        light_curve, tmp_path / "curves", free=True, embedding={"kind": "attention", "width": 8, "heads": 2, "blocks": 1}
    )
    x = flow.spec.endpoint("log_prob").inputs[1]
    assert (x.axes[0].name, x.axes[0].least, x.axes[0].most) == ("element", 3, 11)
    rng = np.random.default_rng(0)
    sets = [light_curve(rng.normal(size=1), rng) for _ in range(20)]
    deviations = np.array([(1 + len(one)) ** -0.5 for one in sets])
    exact = np.array([one[:, 1].sum() for one in sets]) * deviations**2
    drawn = flow.draw(500, sets)[..., 0]
    assert np.sqrt(np.mean(((drawn.mean(axis=1) - exact) / deviations) ** 2)) < 0.6
    assert 0.7 < np.mean(drawn.std(axis=1) / deviations) < 1.5


@pytest.mark.slow
def test_images_from_one_call(tmp_path):
    """The exact posterior is that of the mean along the diagonal."""
    flow = trained(picture, tmp_path / "pictures", 3000, embedding="convolution-2d")
    assert (flow.config["embedding"]["filters"], flow.config["context"]) == ([16], [6, 6])
    rng = np.random.default_rng(0)
    maps = np.stack([picture(rng.normal(size=1), rng) for _ in range(20)])
    exact, deviation = np.trace(maps, axis1=1, axis2=2) / 7, 7**-0.5
    drawn = flow.draw(500, maps)[..., 0]
    assert np.sqrt(np.mean(((drawn.mean(axis=1) - exact) / deviation) ** 2)) < 0.6
    assert 0.7 < np.mean(drawn.std(axis=1) / deviation) < 1.4
