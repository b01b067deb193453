"""Evaluation of taggers: what they reject at an efficiency, beside single observables and trees, and as samples vary."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, JsonValue, model_validator
from sklearn.metrics import confusion_matrix

from zoo.data.dataset import Rows
from zoo.families.contracts import InFixedPoint
from zoo.interpret import plots
from zoo.model.spec import Metric
from zoo.training.evaluate import Evaluation, Run, Runs
from zoo.training.evaluations import EvaluationSettings, register_evaluation
from zoo.training.evaluations.tagging_baselines import boosted_classifier, observable
from zoo.training.metrics import Interval, Statistic, Units, auc, mean, measured, metric
from zoo.training.recipe import RecipeError, Source

TREES = "boosted trees"
Efficiency = Annotated[float, Field(gt=0, lt=1)]


@register_evaluation("tagging")
class Tagging(EvaluationSettings):
    """Classes of jets, each against the others: area, rejection at an efficiency, and what of it varied samples move."""

    kind: Literal["tagging"] = "tagging"
    classes: Annotated[list[str], Field(min_length=2)]
    """What targets 0, 1, ... mean. Of two, the second is what is tagged, else each of them is."""
    efficiencies: list[Efficiency] = [0.3, 0.5]
    """Shares of the tagged class that are kept, at which the rejection of the others is reported."""
    observables: list[str] = []
    """Truths of rows that stand beside the model as taggers of their own; of two classes."""
    trees: Source | None = None
    """The same rows with features for boosted trees, which then stand beside the model."""
    also_on: dict[str, dict[str, JsonValue]] = {}
    """Further test sets by label, such as other showers, with the changes of the data's parameters. What share of each class
    passes the cut of the test split is reported there, as that is what a systematic uncertainty is taken from."""
    published_rows: Annotated[int, Field(gt=0)] | None = None
    """Training rows of the published area under the ROC curve, where the learning curve shows it."""

    @model_validator(mode="after")
    def _observables_tag_two(self) -> Tagging:
        if self.observables and len(self.classes) > 2:
            raise ValueError(f"observables tag one of two classes, given {len(self.classes)}: leave them out")
        return self

    @property
    def tagged(self) -> dict[int, str]:
        """Names of the classes that are told from the others, by their numbers."""
        return dict(enumerate(self.classes)) if len(self.classes) > 2 else {1: self.classes[1]}

    def judge(self, runs: Runs) -> Evaluation:
        return evaluate(runs, self)


def evaluate(runs: Runs, settings: Tagging) -> Evaluation:
    """Every variant on the test split, the model also on further test sets, beside what else tags."""
    released = runs[""][0]
    evaluation = Evaluation()
    rows = released.held_out()
    scores = {variant: [probabilities(run, rows) for run in members] for variant, members in runs.items()}
    others = _beside(released, settings, rows)
    trees = others.get(TREES)
    evaluation.metrics += _statistics("", scores[""], rows, settings, trees)
    for label, score in others.items():
        judged = _statistics(f"{label}/", [score], rows, settings)
        # An observable is no probability: it says of no row which class is the more probable one.
        evaluation.metrics += [one for one in judged if label == TREES or one.name != f"{label}/accuracy"]
        evaluation.metrics.append(_ahead(label, scores[""], score, rows, settings))
    for label, changes in settings.also_on.items():
        varied = released.held_out(changes)
        found = [probabilities(run, varied) for run in runs[""]]
        evaluation.metrics += _statistics(f"{label}/", found, varied, settings)
        evaluation.metrics += _passing(label, scores[""], rows, found, varied, settings)
    for variant, members in scores.items():
        if variant:
            evaluation.metrics += _statistics(f"{variant}/", members, rows, settings)
    shown = {released.recipe.name: scores[""][0], **others}
    evaluation.curves["confusion"] = _confusion(rows, scores[""][0]).tolist()
    evaluation.figures = _figures(evaluation, released, settings, rows, shown)
    learning = _learning(evaluation.metrics, runs)
    if len(learning["rows"]) > 1:
        evaluation.curves["learning"] = learning  # type: ignore[assignment]
        published = {figure.source: figure.value for figure in settings.published if figure.metric == "auc"}
        evaluation.figures["auc_against_rows"] = plots.auc_against_rows(learning, published, settings.published_rows)
    if isinstance(released.load(), InFixedPoint):
        evaluation.metrics += [_ebops(variant, members, len(rows)) for variant, members in runs.items()]
        if len(runs) > 1:
            costs = _against_ebops(evaluation.metrics, runs)
            evaluation.curves["ebops"] = costs  # type: ignore[assignment]
            evaluation.figures["auc_against_ebops"] = plots.auc_against_ebops(costs)
    return evaluation


def probabilities(run: Run, rows: Rows) -> np.ndarray:
    """Probabilities (n, classes) of rows."""
    answer = run.answer(rows)
    return np.concatenate([1 - answer, answer], axis=1) if answer.shape[1] == 1 else answer


def _beside(released: Run, settings: Tagging, rows: Rows) -> dict[str, np.ndarray]:
    """Probabilities or scores (n, classes) of what stands beside the model, by its name."""
    dataset = released.recipe.data.dataset()
    found = {}
    for name in settings.observables:
        if name not in rows.truth:
            raise RecipeError(f"observables: expected truths of the data, {', '.join(rows.truth)}, given {name}")
        found[name.replace("_", " ")] = observable(dataset.rows("validation"), rows, name)
    if settings.trees is not None:
        features = settings.trees.dataset()
        if not np.array_equal(features.rows("test").group, rows.group):
            raise RecipeError("trees: expected features of the same rows: give them the parameters of the data")
        found[TREES] = boosted_classifier(features)
    return found


def _against(scores: np.ndarray, rows: Rows, number: int) -> np.ndarray:
    """Score of a class and whether a row is of it, (n, 2)."""
    return np.stack([scores[:, number], rows.target[:, 0] == number], axis=1)


def _statistics(
    prefix: str, scores: list[np.ndarray], rows: Rows, settings: Tagging, beside: np.ndarray | None = None
) -> list[Metric]:
    """Area under the ROC curve of each class, rejection at the efficiencies, and the share of rows that are told right."""
    units, metrics = Units.of(rows), []

    def add(name: str, statistic: Statistic, values: list[np.ndarray], other: np.ndarray | None, meaning: str) -> None:
        baseline = None if other is None else statistic(other, units.weight)
        metrics.append(measured(f"{prefix}{name}", statistic, values, units, meaning, baseline=baseline, baseline_name=TREES))

    several = len(settings.tagged) > 1
    if several:
        areas = partial(_mean_area, classes=len(settings.classes))
        joined, other = ([_labeled(score, rows) for score in of] for of in (scores, [] if beside is None else [beside]))
        add(
            "auc", areas, joined, next(iter(other), None), "area under the ROC curve of a class against the others, mean of all"
        )
    for number, name in settings.tagged.items():
        pairs = [_against(score, rows, number) for score in scores]
        compared = None if beside is None else _against(beside, rows, number)
        of, rest = (f" of {name}", "the others") if several else ("", settings.classes[0])
        add(f"auc{of}", auc, pairs, compared, f"area under the ROC curve, {name} against {rest}")
        for share in settings.efficiencies:
            meaning = f"1 / share of {rest} that is kept with {share:.0%} of {name}"
            add(f"rejection{of} at {share:.0%}", partial(rejection, efficiency=share), pairs, compared, meaning)
    right = [(score.argmax(axis=1) == rows.target[:, 0]).astype(float) for score in scores]
    theirs = None if beside is None else (beside.argmax(axis=1) == rows.target[:, 0]).astype(float)
    add("accuracy", mean, right, theirs, "share of rows whose most probable class is theirs")
    return metrics


def _labeled(scores: np.ndarray, rows: Rows) -> np.ndarray:
    """Scores of all classes and the number of the class of a row, (n, classes + 1)."""
    return np.concatenate([scores, rows.target], axis=1)


def _mean_area(values: np.ndarray, weights: np.ndarray | None, classes: int) -> float:
    label = values[:, classes]
    return float(np.mean([auc(np.stack([values[:, k], label == k], axis=1), weights) for k in range(classes)]))


def kept(scored: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ROC curve of (n, 2) scores and labels 0 or 1: the cuts, from the highest score on, and the shares of labels 1 and 0.

    A share is of the weight of rows that score at least as much. The first cut keeps none.
    """
    weights = np.ones(len(scored)) if weights is None else weights
    values, place = np.unique(-scored[:, 0], return_inverse=True)
    shares = []
    for label in (1, 0):
        chosen = scored[:, 1] == label
        total = np.cumsum(np.bincount(place[chosen], weights[chosen], minlength=len(values)))
        shares.append(np.concatenate([[0.0], total / total[-1] if chosen.any() else total]))
    return np.concatenate([[np.inf], -values]), shares[0], shares[1]


def rejection(scored: np.ndarray, weights: np.ndarray | None = None, *, efficiency: float) -> float:
    """One over the share of rows of label 0 that is kept where a share of those of label 1 is, by the ROC curve.

    Parameters
    ----------
    scored : ndarray of shape (n, 2)
        Scores, and labels 0 or 1.
    weights : ndarray of shape (n,), optional
        Event weights. Where negative ones make the curve turn back, its first point of that efficiency counts.
    efficiency : float
        The share of rows of label 1.

    Returns
    -------
    float
        The rejection; where none are kept, the most that so many rows can show.
    """
    _, signal, background = kept(scored, weights)
    after = int(np.argmax(signal >= efficiency))
    part = (efficiency - signal[after - 1]) / (signal[after] - signal[after - 1])
    passed = background[after - 1] + part * (background[after] - background[after - 1])
    return 1 / max(float(passed), 1 / max(1, int((scored[:, 1] == 0).sum())))


def cut_at(score: np.ndarray, weights: np.ndarray | None, efficiency: float) -> float:
    """The score that rows (n,) of a share of their weight have at least."""
    cuts, share, _ = kept(np.stack([score, np.ones(len(score))], axis=1), weights)
    return float(cuts[np.argmax(share >= efficiency)])


def _ahead(label: str, scores: list[np.ndarray], other: np.ndarray, rows: Rows, settings: Tagging) -> Metric:
    """How much larger the area of the model is than that of something else on the same rows."""
    classes = len(settings.classes)

    def difference(both: np.ndarray, weights: np.ndarray | None) -> float:
        ours, theirs, target = both[:, :classes], both[:, classes:-1], both[:, -1:]
        areas = [
            np.mean([auc(np.stack([of[:, k], target[:, 0] == k], axis=1), weights) for k in settings.tagged])
            for of in (ours, theirs)
        ]
        return float(areas[0] - areas[1])

    both = [np.concatenate([score, other, rows.target], axis=1) for score in scores]
    return measured(f"auc minus that of {label}", difference, both, Units.of(rows), "on the same rows")


def _passing(
    label: str, nominal: list[np.ndarray], rows: Rows, varied: list[np.ndarray], others: Rows, settings: Tagging
) -> list[Metric]:
    """Shares of the classes of a further test set that pass the cuts of the test split."""
    metrics = []
    for number, name in settings.tagged.items():
        for share in settings.efficiencies:
            cuts = [_cut(score, rows, number, share) for score in nominal]
            for of, of_name in enumerate(settings.classes):
                if len(settings.tagged) > 1 and of != number:
                    continue
                here = others.target[:, 0] == of
                passed = [(score[here, number] >= cut).astype(float) for score, cut in zip(varied, cuts, strict=True)]
                there = rows.target[:, 0] == of
                at_home = mean(
                    (nominal[0][there, number] >= cuts[0]).astype(float), None if rows.weight is None else rows.weight[there]
                )
                metrics.append(
                    measured(
                        f"{label}/{of_name} passing {share:.0%} of {name}",
                        mean,
                        passed,
                        Units.of(others, here),
                        f"share above the cut that keeps {share:.0%} of {name} of the test split",
                        baseline=at_home,
                        baseline_name="the test split",
                    )
                )
    return metrics


def _cut(score: np.ndarray, rows: Rows, number: int, efficiency: float) -> float:
    of_class = rows.target[:, 0] == number
    return cut_at(score[of_class, number], None if rows.weight is None else rows.weight[of_class], efficiency)


def _confusion(rows: Rows, score: np.ndarray) -> np.ndarray:
    return confusion_matrix(rows.target[:, 0], score.argmax(axis=1), sample_weight=rows.weight)


def _learning(metrics: list[Metric], runs: Runs) -> dict[str, list[float]]:
    """Area with its interval against the number of training rows, of the model and variants that have fewer."""
    areas = {one.name: one for one in metrics}
    found: dict[str, list[float]] = {"rows": [], "auc": [], "low": [], "high": []}
    points = []
    for variant, (run, *_) in runs.items():
        only_rows = run.recipe.config == runs[""][0].recipe.config
        if not variant or ("training_jets" in run.recipe.data.parameters and only_rows):
            area = areas[f"{variant}/auc" if variant else "auc"]
            points.append((len(run.recipe.data.dataset().rows("train")), area.value, *(area.interval or (np.nan, np.nan))))
    for point in sorted(points):
        for key, number in zip(found, point, strict=True):
            found[key].append(float(number))
    return found


def _ebops(variant: str, members: list[Run], rows: int) -> Metric:
    """What the runs of a variant cost on a chip."""
    meaning = (
        "effective bit operations of an answer: bits of the factors of each product multiplied, and bits of biases, summed;"
        " counted, so that the interval is the number"
    )
    values = [float(run.load().ebops()) for run in members]
    exactly = Interval(values[0], values[0], "")
    return metric(f"{variant}/ebops" if variant else "ebops", values, exactly, rows, meaning)


def _against_ebops(metrics: list[Metric], runs: Runs) -> dict[str, list[float]]:
    """Area with its interval against the bit operations, of the model and its variants."""
    known = {one.name: one for one in metrics}
    points = []
    for variant in runs:
        area, cost = (known[f"{variant}/{name}" if variant else name] for name in ("auc", "ebops"))
        points.append((cost.value, area.value, *(area.interval or (np.nan, np.nan))))
    columns = zip(*sorted(points), strict=True)
    return {
        key: [float(number) for number in column] for key, column in zip(("ebops", "auc", "low", "high"), columns, strict=True)
    }


def _figures(evaluation: Evaluation, released: Run, settings: Tagging, rows: Rows, shown: dict[str, np.ndarray]) -> dict:
    figures = {"confusion": plots.confusion(_confusion(rows, shown[released.recipe.name]), settings.classes)}
    figures["learning_curves"] = plots.learning_curves(released.history)
    for number, name in settings.tagged.items():
        curves = {}
        for label, score in shown.items():
            scored = _against(score, rows, number)
            curves[f"{label} (AUC {auc(scored, rows.weight):.3f})"] = kept(scored, rows.weight)[1:]
        rest = "other classes" if len(settings.tagged) > 1 else settings.classes[0]
        figures[f"rejection_{name}" if len(settings.tagged) > 1 else "rejection"] = plots.rejection_curves(curves, name, rest)
    return figures
