"""A model's answer to an observation, beside its answers to simulated rows and beside what the observation is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from zoo.data.observation import Observation
from zoo.interpret.elements import element_name, positions
from zoo.model.spec import Endpoint, ModelSpec

Runs = Callable[[dict[str, np.ndarray]], Mapping[str, np.ndarray]]
"""An endpoint in whatever runtime: makes its outputs of its inputs."""
MOST = 12
"""Elements of an output at most that are placed among simulated rows."""


class Placement(BaseModel):
    """Where an answer lies among those to simulated rows."""

    model_config = ConfigDict(frozen=True)

    answer: str
    value: float
    fraction: float
    """Fraction of the simulated rows whose answer is at least as large."""
    rows: int
    among: str
    """What the simulated rows are."""


class Agreement(BaseModel):
    """How far a group of elements is from the reference, errors taken as independent."""

    model_config = ConfigDict(frozen=True)

    chi2: float
    elements: int


class ObservedAnswer(BaseModel):
    """What a model answers to an observation."""

    model_config = ConfigDict(frozen=True)

    model: str
    observation: str
    endpoint: str
    answers: dict[str, list]
    """The outputs of the endpoint, a row each."""
    placements: list[Placement]
    reference: str
    """What the observation is compared with."""
    agreement: dict[str, Agreement]
    """The distance of each group of elements from the reference."""

    def text(self) -> str:
        """What is known besides the answers, a line each.

        Returns
        -------
        str
            The description, empty for an observation of which nothing is known.
        """
        lines = [
            f"  {one.among} with at least this {one.answer}  {one.fraction:.1%} of {one.rows:,}" for one in self.placements
        ]
        if self.agreement:
            told = ", ".join(f"{group} {one.chi2:.1f} / {one.elements}".strip() for group, one in self.agreement.items())
            lines.append(f"  chi2 / elements against {self.reference}  {told}")
        return "\n".join(lines)


def answer_observation(spec: ModelSpec, run: Runs, observation: Observation, endpoint: str) -> ObservedAnswer:
    """Ask a model of an observation.

    Parameters
    ----------
    spec : ModelSpec
        Spec of the model.
    run : callable
        The endpoint, in whatever runtime.
    observation : Observation
        What is asked of.
    endpoint : str
        Name of the endpoint.

    Returns
    -------
    ObservedAnswer
        The answers; where the observation tells, their place among simulated rows, and the distance from the reference.

    Raises
    ------
    InputError
        The observation is not one of the endpoint's input, or lies outside its trained range.
    """
    described = spec.endpoint(endpoint)
    given = observation.of(described)
    found = {name: np.asarray(array) for name, array in run(given).items()}
    return ObservedAnswer(
        model=spec.name,
        observation=observation.description,
        endpoint=endpoint,
        answers={name: array.tolist() for name, array in found.items()},
        placements=_placements(described, run, observation, found),
        reference=observation.reference_name,
        agreement={key: one for name in given for key, one in _agreement(described, name, observation).items()},
    )


def _placements(described: Endpoint, run: Runs, observation: Observation, found: Mapping[str, np.ndarray]) -> list[Placement]:
    if observation.compare is None or all(array[0].size > MOST for array in found.values()):
        return []
    comparison = observation.compare()
    others = run(dict(comparison.inputs))
    placed = []
    for tensor in described.outputs:
        answers, value = np.asarray(others[tensor.name]), found[tensor.name][0]
        for element in range(value.size if value.size <= MOST else 0):
            column = answers.reshape(len(answers), -1)[:, element]
            fraction = float(np.mean(column >= value.reshape(-1)[element]))
            name = element_name(tensor, value.shape, element)
            number = float(value.reshape(-1)[element])
            placed.append(
                Placement(answer=name, value=number, fraction=fraction, rows=len(column), among=comparison.description)
            )
    return placed


def _agreement(described: Endpoint, name: str, observation: Observation) -> dict[str, Agreement]:
    if name not in observation.error or name not in observation.reference:
        return {}
    (tensor,) = (one for one in described.inputs if one.name == name)
    data, error, reference = (
        np.asarray(known[name], dtype=float)[0] for known in (observation.inputs, observation.error, observation.reference)
    )
    pulls = (data - reference) / error
    groups = positions(tensor.axes[0], len(pulls)).groups if len(tensor.axes) == 1 else {"": slice(None)}
    return {
        group or name: Agreement(chi2=float(np.sum(pulls[inside] ** 2)), elements=int(pulls[inside].size))
        for group, inside in groups.items()
    }
