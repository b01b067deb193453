"""Truncated sequential rounds (TSNPE): the posterior of one observation from fewer simulations, and what its card says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.atomic import whole_file
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.truncated import DRAWS
from zoo.data.sbi.simulating.simulations import Simulations
from zoo.errors import warn
from zoo.model.card import prose_of, write_card
from zoo.model.model_json import write_spec
from zoo.model.spec import CARD, METRICS, Metric
from zoo.workflows.folder import describe_files
from zoo.workflows.npe_run import NpeRun
from zoo.workflows.sequence import Rounds, Sequence

if TYPE_CHECKING:
    from zoo.families.flows.flow import Flow

LEAK = 0.02
"""Share of draws outside the region from which on there is a warning: 0.0001 were left out of it by the round before."""


def train_in_rounds(
    run: NpeRun, prior: AnyPrior, simulated: Callable[..., Simulations], asked: Rounds, how: dict[str, Any]
) -> Flow:
    """Train the posterior of one observation in rounds, and release it into the model's folder.

    Parameters
    ----------
    run : NpeRun
        The folder beside the model.
    prior : Prior or JointPrior
        The prior.
    simulated : callable
        Simulates: takes a prior, a number, ``seed`` and ``path``, and gives ``Simulations``.
    asked : Rounds
        What is asked for.
    how : dict
        How a flow is trained: ``family``, ``members``, ``seed`` and ``changes``, as ``npe_recipe`` takes them.

    Returns
    -------
    Flow
        The posterior, whose card says what it holds for.

    Raises
    ------
    InputError
        The observation is none of the simulator's data, or hardly any parameters are left inside.
    FolderError
        The run holds other rounds.
    """
    from zoo.loading import load

    sequence = Sequence(run, prior, simulated, asked, how)
    pairs = sequence.simulate()
    summary = f"Posterior of {', '.join(prior.names)} near one observation, by neural posterior estimation in rounds"
    run.train(pairs, **how | {"changes": {"summary": summary} | (how["changes"] or {})})
    flow: Flow = load(run.model)
    _finish(flow, sequence)
    return flow


def _finish(flow: Flow, sequence: Sequence) -> None:
    """Say on the card what the model holds for, and how many of its draws leave the region that it was trained in."""
    asked, law = sequence.asked, sequence.truncated
    assert law is not None  # simulate saw to it
    draws = np.asarray(flow.draw(DRAWS, sequence.observation, seed=sequence.how["seed"], allow_out_of_range=True))
    outside = float(1 - law.holds(draws).mean())
    note = (
        f"This posterior is for one observation, {_shown(sequence.observation)}, and data like it. It was made in"
        f" {asked.rounds} rounds (TSNPE), the last on parameters where those before had held it possible, of prior probability"
        f" {law.acceptance:.2g}: it knows nothing of others. What was measured is of simulations from there whose data are near"
        f" the observation, beside that truncated prior. {outside:.2%} of its draws for the observation lie outside of the"
        " region, where it has no simulations: leave them out."
    )
    if outside > LEAK:
        warn(
            f"{sequence.run.name}: {outside:.1%} of the draws for the observation lie where earlier rounds had held it"
            " impossible, so the rounds disagree: give more simulations, or fewer rounds"
        )
    leak = Metric(
        name="draws outside the region",
        value=outside,
        n=len(draws),
        detail="share of draws for the observation that lie outside the truncated prior of the last round",
    )
    _note(sequence.run.model, flow, note, leak)


def _shown(observation: np.ndarray) -> str:
    numbers = [f"{value:.4g}" for value in np.ravel(observation)]
    return f"x = [{', '.join(numbers[:6])}{', ...' if len(numbers) > 6 else ''}]"


def _note(folder: Path, flow: Any, note: str, metric: Metric) -> None:
    """Add a note and a metric to a model's spec, card and metrics."""
    spec = flow.spec
    metrics, notes = [*spec.metrics, metric], [note, *(spec.notes or [])]
    content = json.loads((folder / METRICS).read_text())
    content |= {"metrics": [one.model_dump(mode="json") for one in metrics], "notes": notes}
    with whole_file(folder / METRICS, "w") as file:
        json.dump(content, file, indent=1)
    files = describe_files(folder)
    flow.spec = write_spec(folder, spec.model_copy(update={"metrics": metrics, "notes": notes, "files": files}))
    write_card(folder, flow.spec, prose_of(folder / CARD))
