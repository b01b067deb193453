"""What a training has come to, in sentences: each with its number, its limit and what to try next.

Decisions are made by intervals, never by values alone: what an interval of 95% does not tell apart is said to be untold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.errors import option
from zoo.model.spec import PUBLISHED, Metric

PAGE = "docs/calibration.md"
"""The page that says how calibration plots are read, and what to do."""
WINDOW = 5
"""Fewest epochs over which a loss is said to rise or to fall."""
TAIL = 0.2
"""Share of all epochs, the last, over which losses that still fall are looked for."""
MATTERS = 0.02
"""Share of what the validation loss has fallen in all, below which a change of it is not worth a word."""
HIGHER = ("auc", "accuracy", "log_prob", "log likelihood", "found at", "recall", "rejection", "specificity", "rows within")
"""What the names of metrics begin with that are better where they are higher."""
LOWER = ("rmse", "loss", "log loss", "ece", "error", "scatter", "energy error")
"""What the names of metrics begin with that are better where they are lower."""
LARGER = "Try more rows or simulations, or a larger network."
"""What to try where a model is not better than a baseline."""
ORDER = ("auc", "accuracy", "rmse", "loss", "log loss")
"""Which statistic a comparison of models is said of, the first that there is."""
COOLER = "`zoo calibrate`"
"""What to try where a temperature is off."""


def fitted(history: Mapping[str, Sequence[float]], kept_best: bool, held_back: bool = False) -> list[str]:
    """Say whether a training went on too long or not long enough.

    Losses rise or fall where the interval of the slope of a straight line through them lies on one side of zero, and the line
    changes by more than 2% of what the validation loss has fallen in all.

    Parameters
    ----------
    history : mapping of str to sequence of float
        ``loss`` and ``val_loss`` of each epoch.
    kept_best : bool
        Whether the weights of the lowest validation loss were kept; else they are those of the last epoch.
    held_back : bool
        Whether some blocks were frozen, and the same network is better from scratch: losses alone do not tell that.

    Returns
    -------
    list of str
        One sentence and what to do; nothing where there is no loss of both splits.
    """
    if not history.get("loss") or not history.get("val_loss"):
        return []
    loss, held_out = np.asarray(history["loss"], float), np.asarray(history["val_loss"], float)
    epochs, best = len(held_out), int(np.nanargmin(held_out)) + 1 if np.isfinite(held_out).any() else 0
    if epochs < WINDOW + 1 or not np.isfinite([*loss, *held_out]).all():
        return [f"Over- or underfitted: not told, from {epochs} epochs with finite losses {WINDOW + 1} at least are asked."]
    scale = MATTERS * max(held_out[0] - held_out.min(), np.ptp(held_out) * MATTERS)
    after, learned = (_change(losses[best:], scale) for losses in (held_out, loss))
    if after is not None and learned is not None and after[0] > 0 and learned[1] < 0:
        kept = (
            f"the weights of epoch {best} are kept"
            if kept_best
            else "the weights of the last epoch are kept: give the recipe a patience"
        )
        return [
            f"Overfitted after epoch {best} of {epochs}: since then the validation loss rose by {_between(after)} an epoch"
            f" while the training loss fell by {_between((-learned[1], -learned[0]))}; {kept}. Try more rows or simulations,"
            " a smaller network, or fewer blocks to train."
        ]
    tail = max(WINDOW, round(TAIL * epochs))
    still, learns = (_change(losses[-tail:], scale) for losses in (held_out, loss))
    if still is not None and learns is not None and still[1] < 0 and learns[1] < 0:
        return [
            f"Underfitted: both losses still fell in the last {tail} of {epochs} epochs, that of validation by"
            f" {_between((-still[1], -still[0]))} an epoch. Try more epochs, or a higher learning rate."
        ]
    lowest = f"the validation loss was lowest at epoch {best} of {epochs}"
    if held_back:
        return [
            f"Held back by what was frozen, as it seems: {lowest}, and the same network, all of it trained from scratch, is"
            f" better. Try {option('unfreeze', repr('all'), 'all')}."
        ]
    return [f"Neither over- nor underfitted: {lowest}."]


def _change(losses: np.ndarray, scale: float) -> tuple[float, float] | None:
    """Interval, 95%, of the slope of a line through losses, an epoch; None where it is short, or does not matter."""
    from scipy.stats import linregress, t

    if len(losses) < WINDOW:
        return None
    line = linregress(np.arange(len(losses)), losses)
    half = float(t.ppf(0.975, len(losses) - 2)) * float(line.stderr)
    if abs(line.slope) * (len(losses) - 1) <= scale:
        return None
    return float(line.slope) - half, float(line.slope) + half


def beside_others(metrics: Sequence[Metric], unfreeze: object = "all") -> list[str]:
    """Say whether a fine-tuned model is better than the network from scratch and than its parent, and by how much.

    Parameters
    ----------
    metrics : sequence of Metric
        Metrics as ``zoo.training.comparison`` makes them.
    unfreeze : object
        What was trained; what to try next depends on it.

    Returns
    -------
    list of str
        A sentence for each of the others, with the difference on the same rows and its interval.
    """
    more = "" if unfreeze == "all" else f"{option('unfreeze', repr('all'), 'all')}, "
    nearer = f"Try {more}more rows, or a parent whose question is nearer to yours."
    slower = f"Try {more}{option('learning_rate', '0.0001')}, or more rows; else keep the parent."
    others = {"from scratch": ("the same network from scratch", nearer), "before": ("the parent", slower)}
    return _beside(metrics, others)


def held_back(metrics: Sequence[Metric], unfreeze: object) -> bool:
    """Whether blocks that were frozen keep a fine-tuned model from what the same network reaches from scratch.

    Parameters
    ----------
    metrics : sequence of Metric
        Metrics as ``zoo.training.comparison`` makes them.
    unfreeze : object
        What was trained.

    Returns
    -------
    bool
        Whether the network from scratch is better, on the same rows and by the statistic that a comparison is said of.
    """
    found = _told(metrics, "from scratch")
    return unfreeze != "all" and found is not None and _sign(*found) < 0


def beside_uncalibrated(metrics: Sequence[Metric]) -> list[str]:
    """Say whether a classifier is better than it was before its temperature, and by how much.

    Parameters
    ----------
    metrics : sequence of Metric
        What was measured.

    Returns
    -------
    list of str
        A sentence, with the difference on the same rows and its interval.
    """
    keep = "Keep that one, or try more rows to fit the temperature on."
    return _beside(metrics, {"before": ("the model before", keep)})


def beside_members(metrics: Sequence[Metric]) -> list[str]:
    """Say whether an ensemble is better than the mean and than the best of its members, and by how much.

    Parameters
    ----------
    metrics : sequence of Metric
        Metrics as ``zoo.training.comparison.beside_members`` makes them.

    Returns
    -------
    list of str
        Two sentences, each with the difference on the same rows and its interval.
    """
    others = {
        "of the mean member": ("the mean of its members", "Try more members, or leave out one that is far off."),
        "of the best member": (
            "the best of its members",
            "Try members that differ in more than their seed; else keep that one, which takes less time.",
        ),
    }
    return _beside(metrics, others)


def _beside(metrics: Sequence[Metric], others: Mapping[str, tuple[str, str]]) -> list[str]:
    """A sentence for each of other models, by what their differences are called, who they are and what to try next."""
    told = ((_told(metrics, other), who, to_try) for other, (who, to_try) in others.items())
    return [_difference(found[0], found[1], who, found[2], to_try) for found, who, to_try in told if found is not None]


def _told(metrics: Sequence[Metric], other: str) -> tuple[Metric, str, int] | None:
    """The difference that a comparison is said of, its statistic, and 1 where that is better higher, else -1."""
    found = {metric.name: metric for metric in metrics}
    name = next((name for name in ORDER if f"{name} minus that {other}" in found), None)
    return None if name is None else (found[f"{name} minus that {other}"], name, 1 if name in HIGHER else -1)


def _sign(difference: Metric, name: str, better: int) -> int:
    """1 where a difference says better, -1 where worse, 0 where its interval does not tell."""
    low, high = difference.interval or (-np.inf, np.inf)
    return 0 if low <= 0 <= high else better if low > 0 else -better


def _difference(difference: Metric, name: str, who: str, better: int, to_try: str) -> str:
    """What a difference on the same rows, of a statistic that is better higher (1) or lower (-1), says of two models."""
    low, high = difference.interval or (-np.inf, np.inf)
    if low <= 0 <= high:
        by = f"`{name}` differs by {_with_interval(difference)} over {difference.n} test rows"
        return f"Not told apart from {who}: {by}. {to_try}"
    word, way = "Better" if _sign(difference, name, better) > 0 else "Worse", "higher" if low > 0 else "lower"
    bounds = sorted((abs(low), abs(high)))
    by = f"by {_number(abs(difference.value))} ({_number(bounds[0])} to {_number(bounds[1])})"
    return f"{word} than {who}: `{name}` is {way} {by}.{'' if word == 'Better' else ' ' + to_try}"


def beside_baselines(metrics: Sequence[Metric]) -> list[str]:
    """Say whether a model is better than each of its baselines.

    Parameters
    ----------
    metrics : sequence of Metric
        What was measured; of each baseline the first metric that is known to be better higher or lower counts.

    Returns
    -------
    list of str
        A sentence for each baseline. A published number is none: it is of other data, and stands on the card beside the metric.
    """
    said: dict[str, str] = {}
    for metric in metrics:
        name, of, baseline = metric.name.partition(" minus that of ")
        better = _better(name)
        if of and better is not None and metric.interval is not None:
            said.setdefault(baseline, _difference(metric, name, f"the baseline, {baseline}", better, LARGER))
    for metric in metrics:
        better, other = _better(metric.name), metric.baseline_name
        if better is None or metric.baseline is None or metric.interval is None or other is None:
            continue
        if other in said or other.startswith(PUBLISHED):
            continue
        low, high = metric.interval
        between = f"`{metric.name}` is {_with_interval(metric)}, beside {_number(metric.baseline)}"
        if low <= metric.baseline <= high:
            said[other] = f"Not told apart from the baseline, {other}: {between}. {LARGER}"
        elif (low > metric.baseline) == (better > 0):
            said[other] = f"Better than the baseline, {other}: {between}."
        else:
            said[other] = f"Worse than the baseline, {other}: {between}. {LARGER}"
    return list(said.values())


def _better(name: str) -> int | None:
    """1 for metrics that are better higher, -1 for those better lower; None for others, variants and further test sets."""
    if "/" in name or " minus that" in name or " over that of" in name:
        return None
    return 1 if name.startswith(HIGHER) else -1 if name.startswith(LOWER) else None


def calibrated(metrics: Sequence[Metric], miscalibrated: Sequence[str] | None = None, cooler: str = COOLER) -> list[str]:
    """Say whether answers are as sure as they should be, by whatever was measured of it.

    Parameters
    ----------
    metrics : sequence of Metric
        What was measured: distances of ranks and coverage, a classifier's temperature, or how many intervals hold the truth.
    miscalibrated : sequence of str, optional
        Which distances are more than chance, as ``zoo.interpret.posteriors.miscalibration`` says; None where none were judged.
    cooler : str
        What to try where a classifier's temperature is off.

    Returns
    -------
    list of str
        A sentence of each kind; one that says so where nothing was measured.
    """
    from zoo.training.calibration import SHIFT, TEMPERATURE
    from zoo.training.evaluations.distribution import LEVELS

    found = {metric.name: metric for metric in metrics}
    said = [] if miscalibrated is None else [_distances(metrics, miscalibrated)]
    if (temperature := found.get(TEMPERATURE)) and (shift := found.get(SHIFT)):
        said.append(_temperature(temperature, shift, cooler))
    levels = [(found[f"coverage of {level:.0%}"], level) for level in LEVELS if f"coverage of {level:.0%}" in found]
    if levels:
        said.append(_coverage(levels))
    return said or ["Calibrated or not: not told, as nothing was measured of it for this kind of answer."]


def _distances(metrics: Sequence[Metric], miscalibrated: Sequence[str]) -> str:
    distances = [metric for metric in metrics if metric.name.startswith(("sbc distance", "coverage distance"))]
    worst = max(distances, key=lambda metric: metric.value / (metric.baseline or 1.0))
    named = f"`{worst.name}`, {_with_interval(worst)}, of exact models 95% stay below {_number(worst.baseline or 1.0)}"
    if not miscalibrated:
        return f"Calibrated: no rank or coverage is off by more than chance, the furthest {named}."
    several = "1 distance is" if len(miscalibrated) == 1 else f"{len(miscalibrated)} distances are"
    return (
        f"Not calibrated: {several} more than chance, the furthest {named}. Too sure: more simulations, an ensemble, fewer"
        f" epochs if the validation loss rose. Not sure enough: more epochs, a larger network, or a transform of x ({PAGE})."
    )


def _temperature(temperature: Metric, shift: Metric, cooler: str) -> str:
    (cold, hot), (low, high) = temperature.interval or (-np.inf, np.inf), shift.interval or (-np.inf, np.inf)
    named = (
        f"the best temperature is {_with_interval(temperature)} beside 1, probabilities are off by {_with_interval(shift)} in"
        " the mean beside 0"
    )
    ways = []
    if not cold <= 1 <= hot:
        ways.append("too sure" if cold > 1 else "not sure enough")
    if not low <= 0 <= high:
        ways.append(f"shifted, probabilities too {'high' if low > 0 else 'low'}")
    if not ways:
        return f"Calibrated, as far as {temperature.n} rows tell: {named}."
    to_try = [cooler] if not cold <= 1 <= hot else []
    to_try += [] if low <= 0 <= high else ["classes in the shares that you will meet, and look for an input in another unit"]
    return f"Not calibrated ({'; '.join(ways)}): {named}. Try {', '.join(to_try)} ({PAGE})."


def _coverage(levels: Sequence[tuple[Metric, float]]) -> str:
    off = [
        (metric, level) for metric, level in levels if metric.interval and not metric.interval[0] <= level <= metric.interval[1]
    ]
    named = "; ".join(f"`{metric.name}` is {_with_interval(metric)}" for metric, _ in off or levels)
    if not off:
        return f"Calibrated: {named}."
    sure = {metric.value < level for metric, level in off}
    way = "too sure" if sure == {True} else "not sure enough" if sure == {False} else "off both ways"
    return f"Not calibrated ({way}): {named}. Try more rows, an ensemble, or fewer epochs if the validation loss rose ({PAGE})."


def _with_interval(metric: Metric) -> str:
    return _number(metric.value) + (" ({} to {})".format(*map(_number, metric.interval)) if metric.interval else "")


def _between(interval: tuple[float, float]) -> str:
    return f"{_number(interval[0])} to {_number(interval[1])}"


def _number(value: float) -> str:
    return f"{value:.3g}"


def narrowed(simulated: int, trained_on: int, acceptance: float) -> str:
    """Say what a round of simulations for one observation has found.

    Parameters
    ----------
    simulated : int
        Simulations of the round.
    trained_on : int
        Simulations of all rounds that its flow was trained on, those held out to stop by included.
    acceptance : float
        Probability of the prior where this round and those before hold the observation possible.

    Returns
    -------
    str
        A sentence; calibration is measured after the last round, which alone has simulations for it.
    """
    return (
        f"{simulated:,} simulations, of all so far {trained_on:,} are trained on: the observation is held possible on"
        f" {_number(acceptance)} of the prior, where the next round simulates."
    )


def say(verdict: Sequence[str], title: str = "verdict") -> None:
    """Print a verdict for whoever has waited for the training."""
    print(f"{title}:")
    for sentence in verdict:
        print(f"- {sentence}")
