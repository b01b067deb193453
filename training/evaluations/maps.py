"""Evaluation of generators of maps: summaries beside simulated maps of the same parameters, a classifier, and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast, get_args

import numpy as np
import scipy.fft

from zoo.data.fields.dataset import Fields
from zoo.data.fields.features import POWER_BINS, Summary, features
from zoo.data.fields.lognormal import LognormalMaps
from zoo.data.fields.summaries import power_spectrum
from zoo.families.batches import in_batches
from zoo.families.fields.convolutions import FLOOR
from zoo.interpret import plots
from zoo.interpret.plots.maps import map_power, maps_beside
from zoo.model.spec import Metric
from zoo.progress import track
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.map_classifier import told_apart
from zoo.training.metrics import Units, mean, measured
from zoo.training.recipe import RecipeError

LOGNORMAL = "lognormal maps"
"""What is drawn beside: it costs nothing, and knows the power."""
NEAR, TRIED = 20, 100
"""Simulations of the training nearest to a map, among whose maps it is looked for; and maps that are looked for."""
SHOWN = 4
"""Maps of the figure."""


@register_evaluation("maps")
class MapsSettings(EvaluationSettings):
    """How far drawn maps are from simulated ones of the same parameters, beside lognormal maps."""

    kind: Literal["maps"] = "maps"

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs)

    def expect(self, name: str, models: Mapping[str, Any]) -> None:
        if any("sample" not in model.endpoints for model in models.values()):
            raise RecipeError(f"{name}: evaluation maps: expected a family with the endpoint sample")


def evaluate(runs: Runs) -> Evaluation:
    """Maps drawn for every map of the test split, one each, by every run."""
    released = runs[""][0]
    dataset = cast(Fields, released.recipe.data.dataset())
    rows, box = dataset.rows("test"), dataset.config.box
    theta, simulated = rows.inputs["theta"], rows.inputs["overdensity"]
    training = dataset.rows("train")
    seen = np.asarray(training.inputs["overdensity"][:])
    lognormal = LognormalMaps.fitted(training.inputs["theta"], seen).draw(theta)
    units = Units.of(rows)
    evaluation = Evaluation()
    drawn = {variant: [_drawn(run, theta, simulated.shape[1:]) for run in members] for variant, members in runs.items()}
    for kind in get_args(Summary):
        evaluation.metrics += list(_summary(kind, drawn, simulated, lognormal, box, units))
    floor = mean(told_apart(simulated, lognormal, rows.group)[0])
    for variant, members in drawn.items():
        prefix = f"{variant}/" if variant else ""
        right = [told_apart(simulated, one, rows.group) for one in members]
        judged = Units(right[0][1])
        evaluation.metrics.append(
            measured(
                f"{prefix}classifier accuracy",
                mean,
                [accuracy for accuracy, _ in right],
                judged,
                "of a convolutional network that tells drawn maps from simulated ones, 0.5 where it cannot",
                baseline=floor,
                baseline_name=LOGNORMAL,
            )
        )
    chosen = np.random.default_rng(0).permutation(len(theta))[:TRIED]
    held, ours = (_likest(maps[chosen], theta[chosen], seen, training.inputs["theta"]) for maps in (simulated, drawn[""][0]))
    evaluation.metrics.append(
        measured(
            "correlation with the likest training map",
            mean,
            [ours],
            Units(rows.group[chosen]),
            f"largest over turns, mirrors and shifts of the maps of the {NEAR} nearest training simulations, mean over maps",
            baseline=float(held.mean()),
            baseline_name="simulated test maps",
        )
    )
    maps = {"simulated": simulated, "drawn": drawn[""][0], "lognormal": lognormal}
    spectra = {way: power_spectrum(some, box, POWER_BINS)[:2] for way, some in maps.items()}
    views = len(theta) // len(np.unique(rows.group))
    evaluation.figures = {
        "maps": maps_beside({way: some[::views] for way, some in maps.items()}, theta[::views], box, SHOWN),
        "power": map_power(spectra, rows.group),
        "learning_curves": plots.learning_curves(released.history),
    }
    return evaluation


def _drawn(run: Run, theta: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """One map of each parameters, from the same noise for every run."""
    model = run.load()
    noise = np.random.default_rng(1).standard_normal((len(theta), *shape)).astype(np.float32)
    steps = range(0, len(theta), 64)
    parts = [in_batches(model.sample, noise[i : i + 64], theta[i : i + 64]) for i in track(list(steps), "maps drawn")]
    return np.concatenate(parts)


def _summary(
    kind: Summary,
    drawn: Mapping[str, list[np.ndarray]],
    simulated: np.ndarray,
    lognormal: np.ndarray,
    box: float,
    units: Units,
) -> Iterator[Metric]:
    """How far the mean of a summary is off, in deviations of one map from others of its simulation."""
    true = features(simulated, box, [kind]).astype(np.float64)
    deviation = _within(true, units.group)
    kept = deviation > 0
    beside = (features(lognormal, box, [kind])[:, kept] - true[:, kept]) / deviation[kept]
    for variant, members in drawn.items():
        prefix = f"{variant}/" if variant else ""
        found = [features(one, box, [kind]).astype(np.float64) for one in members]
        off = [(one[:, kept] - true[:, kept]) / deviation[kept] for one in found]
        yield measured(
            f"{prefix}{kind}",
            departure,
            off,
            units,
            "root mean square over its numbers of how far their means are from those of simulated maps, in deviations of a map",
            baseline=departure(beside),
            baseline_name=LOGNORMAL,
        )
        if kind == "power":
            yield measured(
                f"{prefix}power, largest",
                largest,
                [one - true for one in found],
                units,
                "of the shells, of the difference of the mean logarithm of the power from that of simulated maps",
                baseline=largest(features(lognormal, box, [kind]) - true),
                baseline_name=LOGNORMAL,
            )


def departure(off: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Root mean square over numbers of the mean over rows."""
    return float(np.sqrt(np.mean(np.average(off, axis=0, weights=weights) ** 2)))


def largest(off: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Largest of the means over rows."""
    return float(np.abs(np.average(off, axis=0, weights=weights)).max())


def _within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Deviation (k,) of rows (n, k) from the mean of their group."""
    _, place, counts = np.unique(group, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(place, column) for column in values.T], axis=1) / counts[:, None]
    free = len(values) - len(counts)
    found: np.ndarray = np.sqrt(np.sum((values - means[place]) ** 2, axis=0) / free)
    return found


def _likest(maps: np.ndarray, theta: np.ndarray, seen: np.ndarray, of_seen: np.ndarray) -> np.ndarray:
    """Largest correlation (n,) of the logarithm of each map with any training map of a near cosmology, turned and shifted."""
    places, first = np.unique(of_seen, axis=0, return_index=True)
    per = len(seen) // len(places)
    width = places.std(axis=0)
    found = np.empty(len(maps))
    for i, one in enumerate(track(list(maps), "likest training maps")):
        near = np.argsort(np.sum(((places - theta[i]) / width) ** 2, axis=1))[:NEAR]
        others = np.concatenate([seen[first[j] : first[j] + per] for j in near])
        modes = scipy.fft.rfft2(_unit(others)).conj()
        turned = [np.rot90(side, turn) for side in (one, one.T) for turn in range(4)]
        found[i] = max(scipy.fft.irfft2(scipy.fft.rfft2(_unit(way[None])) * modes).max() for way in turned)
    return found


def _unit(maps: np.ndarray) -> np.ndarray:
    """Logarithms of densities, each map of mean 0 and length 1."""
    logarithm = np.log(1 + maps.astype(np.float64) + FLOOR)
    logarithm -= logarithm.mean(axis=(1, 2), keepdims=True)
    found: np.ndarray = logarithm / np.sqrt(np.sum(logarithm**2, axis=(1, 2), keepdims=True))
    return found
