"""Deletion and insertion curves (Petsiuk et al. 2018, arXiv:1806.07421), of whether the answer follows what is pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.errors import InputError
from zoo.interpret.attribution.explain import explain
from zoo.interpret.attribution.explanation import Explanation
from zoo.interpret.attribution.patches import masked_answers, patches_of
from zoo.interpret.attribution.scalar_output import Answer, answer_of, baseline_of
from zoo.interpret.methods import Asked, default_attribution, explanation_method
from zoo.interpret.result import Result
from zoo.seeds import generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class DeletionInsertion(Result):
    """Answers as elements are taken away, or put back, in the order of an explanation.

    Attributes
    ----------
    share : ndarray
        Share of the elements that are taken away or put back, of shape (k + 1,).
    deletion, insertion : ndarray
        Answers, of shape (n, k + 1).
    random : ndarray
        Answers as elements are taken away in random order, mean over orders, of shape (n, k + 1).
    method, model, answer : str
        Names of the method, the model and the output.
    """

    share: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random: np.ndarray
    method: str
    model: str
    answer: str

    @property
    def direction(self) -> np.ndarray:
        """The sign (n,) of f(x) - f(baseline)."""
        return np.sign(self.deletion[:, 0] - self.deletion[:, -1])

    @property
    def area(self) -> np.ndarray:
        """The area (n,) between insertion and deletion, in the direction from baseline to input, in the unit of the answer.

        The larger, the better the order; zero is expected of a random one where elements do not interact.
        """
        return self.direction * np.trapezoid(self.insertion - self.deletion, self.share, axis=1)

    def plot(self) -> Figure:
        """The curves, from the answer at the baseline towards that at the input, mean over rows; with their area."""
        from zoo.interpret import plots

        return plots.deletion_insertion_curves(self)


@explanation_method("deletion_insertion", "whether the answer follows the elements that an attribution names", kind="trust")
def _deletion(asked: Asked, *, of: str | None = None, **chosen: Any) -> DeletionInsertion:
    found = explain(asked.model, asked.inputs, method=of or default_attribution(asked.model), **chosen)
    return deletion_insertion(asked.model, found)


def deletion_insertion(
    model: Any, explanation: Explanation, *, steps: int = 32, orders: int = 5, seed: int = 0
) -> DeletionInsertion:
    """Replace elements by the baseline, and put them back into it, the strongest evidence first.

    Evidence is an attribution times the sign of f(x) - f(baseline): what drives the answer away from the baseline goes first.
    Elements of a set are taken away by its mask, and put back, and the baseline is the set without any.

    Parameters
    ----------
    explanation : Explanation
        An explanation of this model.
    steps : int
        Parts into which the elements are cut.
    orders : int
        Number of random orders beside it.

    Raises
    ------
    InputError
        No steps or orders, or a set without elements.
    """
    if steps < 1 or orders < 1:
        raise InputError(f"expected steps and orders from 1, given {steps} and {orders}")
    x = explanation.inputs
    answer = answer_of(
        model,
        {explanation.tensor: x, **explanation.fixed},
        endpoint=explanation.endpoint,
        output=explanation.output,
        target=explanation.target,
        wrt=explanation.tensor,
        allow_out_of_range=True,
    )
    start, nothing, evidence, real = _evidence(model, explanation, answer)
    labels = patches_of(answer, x, 1) if start is None else np.arange(x[0].size).reshape(x.shape[1:])
    elements = real.sum(axis=1)
    share = np.unique(np.rint(np.linspace(0, elements.max(), min(steps, int(elements.max())) + 1))) / elements.max()
    count = np.rint(elements[:, None] * share).astype(int)
    evidence = evidence * np.sign(answer.at(x) - nothing)[:, None]

    def answers(order: np.ndarray, inserting: bool, what: str) -> np.ndarray:
        padding = ~np.take_along_axis(real, order, axis=1)
        order = np.take_along_axis(order, np.argsort(padding, axis=1, kind="stable"), axis=1)
        rank = np.argsort(order, axis=1, kind="stable")
        touched = rank[:, None, :] < count[:, :, None]
        return masked_answers(answer, x, start, labels, touched if inserting else ~touched, what)

    order = np.argsort(-evidence, axis=1, kind="stable")
    rng = generator(seed)
    shuffled = [answers(rng.permuted(order, axis=1), False, "random deletion") for _ in range(orders)]
    return DeletionInsertion(
        share=share,
        deletion=answers(order, False, "deletion"),
        insertion=answers(order, True, "insertion"),
        random=np.mean(shuffled, axis=0),
        method=explanation.method,
        model=str(explanation.meta.get("model", "model")),
        answer=explanation.output,
    )


def _evidence(
    model: Any, explanation: Explanation, answer: Answer
) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, np.ndarray]:
    """The baseline, the answers there (n,), the attribution to each element (n, m), and which of these are real (n, m).

    Elements of a set have no baseline: they are taken away, each with all of its numbers.
    """
    x, n = explanation.inputs, len(explanation.inputs)
    if answer.real is None or explanation.baseline is not None:
        start = baseline_of(model, explanation.tensor, x, None) if explanation.baseline is None else explanation.baseline
        return start, answer.at(start), explanation.values.reshape(n, -1), np.ones((n, x[0].size), bool)
    real = answer.real.reshape(n, -1)
    if not real.any(axis=1).all():
        raise InputError("expected an element in each set, given a row without any, of which nothing can be taken away")
    total = explanation.values.reshape(*real.shape, -1).sum(axis=-1)
    return None, answer.at(x, real=np.zeros_like(answer.real)), total, real
