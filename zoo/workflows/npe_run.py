"""What a posterior is made of: simulations, recipe and training in ``<folder>.run``, gone on with, refused or made anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import yaml

from zoo.atomic import whole_file
from zoo.data.sbi.dataset import expect_budget, training_rows
from zoo.data.sbi.datum import Datum
from zoo.data.sbi.own_rows import OwnRows
from zoo.data.sbi.priors.as_prior import AnyPrior
from zoo.data.sbi.priors.follows import warn_of_a_cut_prior
from zoo.data.sbi.priors.joint_prior import JointPrior
from zoo.data.sbi.priors.rows_prior import RowsPrior
from zoo.data.sbi.rows_file import sha256_of, with_density, write_rows
from zoo.data.sbi.simulating.simulations import Simulations, check_simulations
from zoo.data.sbi.x_scales import chosen_scales
from zoo.errors import FolderError, InputError, ZooError, option
from zoo.model.spec import METRICS, WEIGHTS
from zoo.model.test_tensors import read_npz

if TYPE_CHECKING:
    from pydantic import JsonValue

    from zoo.training.recipe import Recipe

TEST = 1000
"""Rows for calibration and for the error of the posterior mean."""
SIMULATIONS, RECIPE = "simulations.npz", "recipe.yaml"
Made = TypeVar("Made")
MADE_OF_THEM = ("model", "plots", METRICS, WEIGHTS, RECIPE)
"""What a training leaves in the folder of a run."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Simulations in the file of a run, and how a recipe names them.

    Attributes
    ----------
    prior : Prior, JointPrior or RowsPrior
        Prior of the parameters.
    data : dict of str to JsonValue
        Source and parameters of the data set.
    budget : int
        Number of simulations that a model may be fitted with, validation included.
    datum : Datum
        What one observation is.
    scales : list of dict
        Scale of each of its numbers, chosen from the training rows alone.
    x : ndarray
        Data of the simulations of the budget, of shape (budget, C).
    """

    prior: AnyPrior | RowsPrior
    data: dict[str, JsonValue]
    budget: int
    datum: Datum
    scales: list[dict[str, Any]]
    x: np.ndarray


class NpeRun:
    """The folder beside a model in which it is made; as a context it takes the folder away again where nothing came into it.

    Parameters
    ----------
    model : Path
        The folder of the model.
    name : str
        Name of the model.
    overwrite : bool
        Whether what differs from what is asked for is made anew; else it is refused.
    embedding : str, dict or list of int, optional
        The network that an observation passes first; by default what suits its shape.
    """

    def __init__(self, model: Path, name: str, overwrite: bool, embedding: Any = None) -> None:
        self.model, self.name, self.overwrite, self.embedding = model, name, overwrite, embedding
        self.folder = model.with_name(f"{model.name}.run")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / SIMULATIONS

    def __enter__(self) -> NpeRun:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what is in it stays
            self.folder.rmdir()

    def simulate(
        self,
        simulated: Callable[..., Simulations],
        prior: AnyPrior,
        test: int,
        on_nonfinite: str,
        trials: tuple[int, int] | None = None,
        of_the_rest: Callable[[np.ndarray, AnyPrior], list[str]] = warn_of_a_cut_prior,
    ) -> Pairs:
        """Simulate into the run's file, or go on there.

        Parameters
        ----------
        simulated : callable
            Simulates into the file that it is given as ``path``; one of other simulations is replaced as ``overwrite`` says.
        prior : Prior or JointPrior
            The prior that it draws from.
        test : int
            Number of simulations, the last, that are set aside.
        on_nonfinite : {"drop", "fail"}
            What becomes of simulations with NaN or infinity.
        trials : tuple of int, optional
            The fewest and the most elements of an observation, where it is a set of trials.
        of_the_rest : callable
            What warns of parameters (n, D) and a prior, where some simulations had no answer, and gives its words for the card.

        Returns
        -------
        Pairs
            The simulations.

        Raises
        ------
        InputError
            The file holds other simulations, or nothing can be learned from them.
        """
        found = simulated(path=self.file, overwrite=self.overwrite)
        check_simulations(found.theta, found.x, prior.names, found.mask)
        notes = of_the_rest(found.theta, prior) if found.dropped else []
        sha256 = with_density(self.file, prior)
        datum = Datum.of(found.x, found.mask, trials, found.labels)
        return self._pairs(prior, test, on_nonfinite, sha256, datum, found.x, found.mask, notes)

    def keep(self, rows: OwnRows, test: int | None, on_nonfinite: str, notes: list[str]) -> Pairs:
        """Write rows of a user into the run's file, or find them there.

        Parameters
        ----------
        rows : OwnRows
            The rows.
        test : int, optional
            Number of rows, the last, that are set aside; by default 1,000, at most a tenth.
        on_nonfinite : {"drop", "fail"}
            What becomes of rows whose data single precision cannot hold.
        notes : list of str
            What the card is to say of the rows.

        Returns
        -------
        Pairs
            The simulations.

        Raises
        ------
        InputError
            The file holds other rows, or nothing can be learned from them.
        """
        test = min(TEST, len(rows.theta) // 10) if test is None else test
        check_simulations(rows.theta, rows.x, rows.prior.names, rows.mask)
        arrays = {"theta": rows.theta, "x": rows.x} | ({} if rows.mask is None else {"x_mask": rows.mask})
        if isinstance(rows.prior, JointPrior):
            arrays["log_prior"] = rows.prior.log_density(rows.theta)
        sha256 = sha256_of(arrays)
        there = sha256_of(read_npz(self.file)) if self.file.exists() else None
        if there not in (None, sha256) and not self.overwrite:
            raise InputError(
                f"{self.file} holds other simulations than theta and x, or in another order: give another folder, or start anew"
                f" with {option('overwrite')}"
            )
        if there != sha256:
            write_rows(self.file, arrays, rows.dropped)
        return self._pairs(rows.prior, test, on_nonfinite, sha256, rows.datum, rows.x, rows.mask, notes)

    def train(self, pairs: Pairs, *, family: str, members: int, seed: int, changes: dict[str, JsonValue] | None) -> None:
        """Train a flow on the simulations and release it into the model's folder.

        Parameters
        ----------
        pairs : Pairs
            The simulations.
        family : str
            Family of the flow.
        members : int
            How many of them make a mixture.
        seed : int
            Seed of the training.
        changes : dict of str to JsonValue, optional
            Values of the recipe to set.

        Raises
        ------
        RecipeError
            The settings are not valid, or there are fewer simulations than a batch.
        FolderError
            The run holds a training with other settings.
        """
        from zoo.training.npe_recipe import npe_recipe

        recipe = npe_recipe(
            self.name,
            pairs.prior,
            pairs.data,
            pairs.budget,
            pairs.datum,
            family=family,
            members=members,
            context_scales=pairs.scales,
            embedding=self.embedding,
            seed=seed,
            changes=changes,
        )
        self.release(recipe)

    def release(self, recipe: Recipe) -> None:
        """Train a recipe in the run's folder and release it into the model's.

        Parameters
        ----------
        recipe : Recipe
            The recipe, whose data are the file of the run.

        Raises
        ------
        RecipeError
            There are fewer simulations than a batch.
        FolderError
            The run holds a training with other settings.
        """
        from zoo.training.recipe import load_recipe
        from zoo.workflows.release import release

        path = self.folder / RECIPE

        def made() -> None:
            with whole_file(path, "w") as file:
                yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True), file, sort_keys=False)
            release(load_recipe(path), self.folder, self.model)

        self.refused_or_anew(made, self._remove_training)

    def refused_or_anew(self, make: Callable[[], Made], remove: Callable[[], None], *also: type[ZooError]) -> Made:
        """Make what may be in the way of something else, which is then refused, or removed where the user says so.

        Parameters
        ----------
        make : callable
            Makes it, or goes on with it.
        remove : callable
            Removes what is in the way.
        *also : type
            Errors beside FolderError that may say so.

        Returns
        -------
        object
            What ``make`` gives.

        Raises
        ------
        FolderError
            Something else is in the way.
        """
        said: tuple[type[ZooError], ...] = (FolderError, *also)
        try:
            return make()
        except said as error:
            if self.overwrite:
                remove()
            elif isinstance(error, FolderError):
                raise FolderError(f"{error}, or start anew with {option('overwrite')}") from error
            else:
                raise
        return make()

    def _pairs(
        self,
        prior: AnyPrior | RowsPrior,
        test: int,
        on_nonfinite: str,
        sha256: str,
        datum: Datum,
        x: np.ndarray,
        mask: np.ndarray | None,
        notes: list[str],
    ) -> Pairs:
        from zoo.training.observations import scaled_numbers

        parameters: dict[str, Any] = {
            "file": SIMULATIONS, "prior": prior.plain(), "test": test, "on_nonfinite": on_nonfinite, "sha256": sha256,
            **({"notes": notes} if notes else {}),
        }  # fmt: skip
        budget = expect_budget(len(x), test)
        fitted = slice(training_rows(budget))
        scales = chosen_scales(scaled_numbers(datum, x[fitted], None if mask is None else mask[fitted], self.embedding))
        return Pairs(prior, {"source": "simulations", "parameters": parameters}, budget, datum, scales, x[:budget])

    def _remove_training(self) -> None:
        """Remove what was trained in the folder, and nothing that somebody else has put there."""
        from zoo.training.fit import alone

        with ExitStack() as held:
            for training in self.folder.glob("model/seed-*"):  # what another process is at stays
                held.enter_context(alone(training))
            for name in MADE_OF_THEM:
                path = self.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
