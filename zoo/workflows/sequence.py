"""Rounds of simulations, each where the posterior of the round before may lie, and what each is trained on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from zoo.atomic import claim, whole_file
from zoo.data.sbi.dataset import training_rows
from zoo.data.sbi.datum import Datum
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.follows import warn_of_a_cut_prior
from zoo.data.sbi.priors.joint_prior import plain_rows
from zoo.data.sbi.priors.truncated import Region, TruncatedPrior
from zoo.data.sbi.rows_file import sha256_of, write_rows
from zoo.data.sbi.simulating.read_answer import Labels
from zoo.data.sbi.simulating.simulations import Simulations, check_simulations
from zoo.data.sbi.x_scales import chosen_scales
from zoo.errors import InputError, option
from zoo.model.test_tensors import read_npz
from zoo.seeds import generator
from zoo.workflows.npe_run import RECIPE, NpeRun, Pairs
from zoo.workflows.observed import observed
from zoo.workflows.verdict import fitted, narrowed, say

THETA, DRAWN, TRAINED_ON = "theta.npz", "drawn.npz", "simulations.npz"
"""Parameters that a round has drawn, what was simulated at them, and what of all rounds is trained on."""
NEAR = 4
"""Draws of an observation's posterior by whose density data are said to be near the observation."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """What is asked for.

    Attributes
    ----------
    rounds : int
        Number of rounds, at least two.
    observation : array_like
        The observation that the posterior is for, as it was handed in.
    simulations : int
        Number of simulations of all rounds together.
    test : int
        Number of further simulations, in the last round.
    """

    rounds: int
    observation: Any
    simulations: int
    test: int

    def __post_init__(self) -> None:
        if self.rounds < 2:
            raise InputError(f"rounds: expected at least 2 for one observation, given {self.rounds}")

    def of_round(self, index: int) -> int:
        """Simulations of a round, the first of which is 0."""
        return len(np.array_split(np.arange(self.simulations), self.rounds)[index])


class _Drawn:
    """Parameters that were drawn before, as what is simulated at."""

    def __init__(self, theta: np.ndarray, prior: AnyPrior) -> None:
        self.theta, self.names, self.units = theta, prior.names, prior.units

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.theta[:n]

    def plain(self) -> dict[str, Any]:
        content = np.ascontiguousarray(self.theta, dtype="<f8").tobytes()
        return {"names": list(self.names), "sha256": hashlib.sha256(content).hexdigest()}


class Sequence:
    """All rounds of a run but the last one's training, each in a folder of its own.

    ``<run>/round-<k>`` keeps the parameters that were drawn, the data simulated at them, what was trained on, and the training.
    The same call goes on where it was killed.

    Parameters
    ----------
    run : NpeRun
        The folder beside the model.
    prior : Prior or JointPrior
        The prior.
    simulated : callable
        Simulates: takes a prior, a number, ``seed``, ``path`` and ``overwrite``, and gives ``Simulations``.
    asked : Rounds
        What is asked for.
    how : dict
        How a flow is trained.
    """

    def __init__(
        self, run: NpeRun, prior: AnyPrior, simulated: Callable[..., Simulations], asked: Rounds, how: dict[str, Any]
    ) -> None:
        self.run, self.prior, self.simulated, self.asked, self.how = run, prior, simulated, asked, how
        self.labels = Labels()
        """Names and units of the simulator's numbers."""
        self.truncated: TruncatedPrior | None = None
        """The prior of the last round."""
        self.observation = np.empty(0)
        """The observation, (C,), in the simulator's units and order, which its first answers tell."""
        self.notes: list[str] = []
        """What the card is to say of the simulations."""

    def simulate(self) -> Pairs:
        """Simulate and train round after round; the simulations inside the last region, of which the last are the test rows.

        Returns
        -------
        Pairs
            What the model is to be trained on.

        Raises
        ------
        InputError
            The observation is none of the simulator's data, or hardly any parameters are left inside.
        FolderError
            The run holds other rounds.
        """

        def remove() -> None:
            for folder in self.run.folder.glob("round-*"):
                shutil.rmtree(folder)

        return self.run.refused_or_anew(self._all, remove, InputError)  # simulations of another simulator may be in the way

    def _all(self) -> Pairs:
        asked = self.asked
        about = {"rounds": asked.rounds, "simulations": asked.simulations, "test": asked.test, "prior": self.prior.plain()}
        (self.run.folder / "round-1").mkdir(exist_ok=True)
        claim(self.run.folder / "round-1" / "rounds.json", about | self.how, "rounds")
        parts: list[Simulations] = []
        regions: list[Region] = []
        law: Any = self.prior
        for index in range(asked.rounds):
            last, folder = index == asked.rounds - 1, self.run.folder / f"round-{index + 1}"
            parts.append(self._simulated(law, asked.of_round(index) + (asked.test if last else 0), index, folder))
            if isinstance(law, TruncatedPrior) and last:
                self.truncated = law
                return self._pairs(f"{folder.name}/{TRAINED_ON}", folder, partial(self._tested, parts, law), asked.test)
            pairs = self._pairs(TRAINED_ON, folder, partial(self._inside, parts, law), 2)
            flow, history, kept_best = self._trained(pairs, folder, index)
            regions.append(Region.around(flow, self.observation, seed=index))
            law = TruncatedPrior(self.prior, regions)
            found = narrowed(len(parts[-1]), pairs.budget, law.acceptance)
            say([found, *fitted(history, kept_best)], f"round {index + 1} of {asked.rounds}")
        raise AssertionError

    def _simulated(self, law: Any, n: int, index: int, folder: Path) -> Simulations:
        """Data of a round, at parameters that are drawn once: whether one lies inside may hang on the last bit of a flow."""
        folder.mkdir(exist_ok=True)
        kept = folder / THETA
        if index and kept.exists():
            theta = read_npz(kept)["theta"]
        else:  # the first round's are drawn again, which tells another prior from this one
            theta = law.sample(n, generator([self.how["seed"], index]))
            with whole_file(kept) as file:
                np.savez(file, allow_pickle=False, theta=theta)
        found = self.simulated(_Drawn(theta, self.prior), n, seed=[self.how["seed"], index], path=folder / DRAWN)
        if index and found.labels != self.labels:
            raise InputError(
                f"simulator: it answers with {found.labels}, and in the first round with {self.labels}: expected the same;"
                f" start anew with {option('overwrite')}"
            )
        check_simulations(found.theta, found.x, self.prior.names)
        if not index:
            self.labels = found.labels
            self.observation = observed(self.asked.observation, Datum.of(found.x, labels=found.labels))
            claim(folder / "observation.json", {"observation": self.observation.tolist()}, "rounds")
            if found.dropped:
                self.notes += warn_of_a_cut_prior(found.theta, self.prior)
        return found

    def _inside(self, parts: list[Simulations], law: Any) -> Simulations:
        """Simulations of all rounds where the last region is, in random order; their density is the prior's there."""
        theta, x = (np.concatenate([getattr(part, name) for part in parts]) for name in ("theta", "x"))
        held = np.ones(len(theta), bool)
        if isinstance(law, TruncatedPrior):
            held[: -len(parts[-1])] = law.holds(theta[: -len(parts[-1])])
        rows = self._order(len(parts)).permutation(np.flatnonzero(held))
        return Simulations(theta[rows], x[rows])

    def _tested(self, parts: list[Simulations], law: TruncatedPrior) -> Simulations:
        """The same with the test rows at the end: of the last round, among the half whose data are nearest to the observation.

        Far from it the posterior has the edge of the region in it, which no flow has to get right. To choose rows by their
        data alone leaves ranks and coverage of a right posterior uniform.
        """
        *earlier, last = parts
        region, test = law.regions[-1], self.asked.test
        near = [np.broadcast_to(one, last.theta.shape) for one in region.draws[:NEAR]]
        nearness = np.mean([region.posterior.log_density(theta, last.x) for theta in near], axis=0)
        nearest = np.argsort(-nearness, kind="stable")[: max(len(last) // 2, test)]
        chosen = np.isin(np.arange(len(last)), self._order(0).permutation(nearest)[:test])
        rest = self._inside([*earlier, Simulations(last.theta[~chosen], last.x[~chosen])], law)
        return Simulations(np.concatenate([rest.theta, last.theta[chosen]]), np.concatenate([rest.x, last.x[chosen]]))

    def _order(self, index: int) -> np.random.Generator:
        return generator([self.how["seed"], self.asked.rounds, index])

    def _pairs(self, name: str, folder: Path, found: Callable[[], Simulations], test: int) -> Pairs:
        """What is trained on, which is chosen once and kept with the prior's density where that is truncated."""
        path = folder / TRAINED_ON
        if not path.exists():
            chosen = found()
            arrays = {"theta": chosen.theta, "x": chosen.x}
            if self.truncated is not None:
                arrays["log_prior"] = self.prior.log_density(chosen.theta) - np.log(self.truncated.acceptance)
            write_rows(path, arrays, 0)
        arrays = read_npz(path)
        plain = self.prior.plain()
        if self.truncated is not None:
            plain = plain_rows(self.prior.names, self.prior.units, self.prior.ends)
        parameters: dict[str, Any] = {
            "file": name, "prior": plain, "test": test, "on_nonfinite": "fail", "sha256": sha256_of(arrays),
            **({"notes": self.notes} if self.notes else {}),
        }  # fmt: skip
        x, budget = arrays["x"], len(arrays["x"]) - test
        scales = chosen_scales(x[: training_rows(budget)])
        data: dict[str, Any] = {"source": "simulations", "parameters": parameters}
        return Pairs(self.prior, data, budget, Datum.of(x, labels=self.labels), scales, x[:budget])

    def _trained(self, pairs: Pairs, folder: Path, index: int) -> tuple[Any, dict[str, Any], bool]:
        """The flow of a round, the history of its training, and whether the best epoch was kept."""
        from zoo.training.fit import fit
        from zoo.training.npe_recipe import npe_recipe
        from zoo.training.recipe import load_recipe

        name, path = f"{self.run.name}-round-{index + 1}", folder / RECIPE
        recipe = npe_recipe(name, pairs.prior, pairs.data, pairs.budget, pairs.datum, context_scales=pairs.scales, **self.how)
        with whole_file(path, "w") as file:
            yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), file, sort_keys=False)
        flow, history = fit(load_recipe(path), folder / "model", title=f"{self.run.name}, round {index + 1}")
        return flow, history, recipe.patience is not None
