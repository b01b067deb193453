"""Data sets of a conditional flow: parameters drawn from a prior, and data simulated at them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import JsonValue

from zoo.data.dataset import KnowsPosterior, KnowsPosteriorDensity, Rows, Split, groups, register_dataset
from zoo.data.sbi.priors.follows import warn_of_another_prior
from zoo.data.sbi.priors.prior import Prior
from zoo.data.sbi.priors.rows_prior import RowsPrior, prior_of_rows
from zoo.data.sbi.priors.rows_prior import inside as inside_prior
from zoo.data.sbi.rows_file import sha256_of
from zoo.data.sbi.simulating.simulations import Simulations, check_simulations, read_simulations, simulate
from zoo.data.sbi.simulating.simulator_file import SimulatorFile, inside
from zoo.data.sbi.tasks import get_task
from zoo.errors import InputError
from zoo.model.axes import Axis
from zoo.model.test_tensors import read_npz

VALIDATION = 0.1
"""Fraction of the simulation budget that is held out to stop the training."""


class Pairs:
    """Pairs (theta, x) in three splits; the validation rows are the last of the budget.

    Parameters
    ----------
    budget : Simulations
        Simulations that a model may be fitted with, validation included.
    test : Simulations
        Simulations outside the budget.
    prior : Prior or RowsPrior
        Prior of theta. A data set whose prior has no density is none that ``HasPrior``.
    dtype : {"float32", "float64"}
        Precision of the rows: "float64" for a flow with scales, else that of the model.
    """

    prior: Prior | RowsPrior
    description: str
    simulator: str
    seed: int
    notes: Sequence[str] = ()
    reference: Callable[[np.ndarray, int, np.random.Generator], np.ndarray] | None = None
    """Makes exact draws (n, D) from p(theta | x) of (x, n, rng), where they are known."""

    def __init__(
        self,
        budget: Simulations,
        test: Simulations,
        prior: Prior | RowsPrior,
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        self.dtype = dtype
        masks = None if budget.mask is None or test.mask is None else (budget.mask, test.mask)
        together = Simulations(
            np.concatenate([budget.theta, test.theta]),
            np.concatenate([budget.x, test.x]),
            mask=None if masks is None else np.concatenate(masks),
        )
        for part in (budget, together):  # what is rare may be the same in all of a few test rows
            with np.errstate(over="ignore"):  # what single precision cannot hold becomes infinite, and is refused
                check_simulations(part.theta, part.x.astype(dtype), prior.names, part.mask)
        theta = inside_prior(together.theta, prior.names, prior.ends)
        self._parameters = prior
        if isinstance(prior, Prior) or prior.has_density:
            self.prior = prior
        training = training_rows(len(budget))
        if training == len(budget):
            raise InputError(f"{len(budget)} simulations leave none to validate on: expected at least 10")
        self._splits: dict[Split, tuple[np.ndarray, np.ndarray]] = {
            "train": (theta[:training], budget.x[:training]),
            "validation": (theta[training : len(budget)], budget.x[training:]),
            "test": (theta[len(budget) :], test.x),
        }
        self._masks: dict[Split, np.ndarray] = {}
        """Which elements of observations of free length are real."""
        if masks is not None:
            self._masks = {"train": masks[0][:training], "validation": masks[0][training:], "test": masks[1]}

    @property
    def units(self) -> dict[str, str]:
        """Unit of each parameter."""
        return self._parameters.units

    @property
    def axes(self) -> dict[str, Axis]:
        """The axis of the parameters, in the order of the prior."""
        names, units = list(self._parameters.names), list(self._parameters.units.values())
        return {"parameter": Axis(name="parameter", size=len(names), labels=names, units=units)}

    def rows(self, split: Split, epoch: int = 0) -> Rows:
        theta, x = self._splits[split]
        return Rows(
            inputs={"theta": theta.astype(self.dtype), "x": x.astype(self.dtype)} | self._mask(split),
            target=np.zeros((len(theta), 1), np.float32),
            group=groups({name: len(theta) for name, (theta, _) in self._splits.items()}, split),
            truth=dict(zip(self._parameters.names, theta.T, strict=True)),
        )

    def _mask(self, split: Split) -> dict[str, np.ndarray]:
        return {"mask": self._masks[split]} if self._masks else {}


def training_rows(budget: int) -> int:
    """Give the number of rows of a budget, the first, that a model is fitted to."""
    return budget - round(VALIDATION * budget)


@register_dataset("sbi")
class BenchmarkTask(Pairs):
    """A task of the benchmark of Lueckmann et al. 2021 (arXiv:2101.04653).

    Parameters
    ----------
    task : str
        Name of the task: "two-moons", "slcp", "gaussian-linear", "sir" or "lotka-volterra".
    simulations : int
        Number of simulations in the budget, a tenth of it for validation.
    test : int
        Number of further simulations.
    seed : int
        Seed of all draws; the test rows do not depend on the budget.
    """

    def __init__(self, task: str, simulations: int = 100_000, test: int = 2000, seed: int = 0) -> None:
        chosen = get_task(task)
        self.description, self.simulator, self.seed = chosen.description, "sbibm's definition, own code", seed
        if isinstance(chosen, KnowsPosterior):
            self.reference = chosen.reference
        if isinstance(chosen, KnowsPosteriorDensity):
            self.log_posterior = chosen.log_posterior
        run = functools.partial(simulate, chosen.simulate, chosen.prior, vectorized=True, jobs=1)
        super().__init__(run(simulations, seed=[seed, 0]), run(test, seed=[seed, 1]), chosen.prior)


@register_dataset("simulations")
class SimulationsFile(Pairs):
    """A user's simulations, made beforehand.

    Parameters
    ----------
    file : str
        Name of a ``.npz`` beside the recipe with theta (n, D) and x (n, C) in random order, and log_prior (n,), the natural
        logarithm of the prior density, where the prior is not plain data.
    prior : dict of str to JsonValue
        Law that each parameter was drawn from, by its name, in the order of theta's columns; ``{"distribution": "rows"}`` for
        one that is not plain data, with its unit and the ends of its support.
    test : int
        Number of rows, the last of the file, that are used neither to fit nor to stop.
    on_nonfinite : {"drop", "fail"}
        What becomes of simulations with NaN or infinity: "drop" leaves them out, "fail" raises.
    sha256 : str, optional
        Hash of the arrays, as ``zoo.data.sbi.rows_file.sha256_of`` gives it, which says that the file is the one that is meant.
    dtype : {"float32", "float64"}
        Precision of the rows, as for ``Pairs``.
    notes : sequence of str
        What a card is to say of the rows.
    folder : Path, optional
        Folder of the recipe, which relative paths start from; the working folder by default.
    """

    simulator = "the user's own"
    seed = 0

    def __init__(
        self,
        file: str,
        prior: dict[str, JsonValue],
        test: int = 1000,
        on_nonfinite: Literal["drop", "fail"] = "drop",
        sha256: str | None = None,
        dtype: Literal["float32", "float64"] = "float32",
        notes: Sequence[str] = (),
        folder: Path | None = None,
    ) -> None:
        path = inside(folder or Path.cwd(), file)
        found = read_simulations(path, on_nonfinite)
        arrays = read_npz(path)
        if sha256 is not None and sha256_of(arrays) != sha256:
            raise InputError(f"{path} holds other simulations than those that the recipe was written for: train anew on them")
        law = prior_of_rows(prior, arrays["theta"], arrays.get("log_prior"))
        self.notes = list(notes)
        if isinstance(law, Prior) and "about" not in arrays:  # nothing of ours has drawn them
            advice = "give the prior that its rows were drawn from"
            self.notes += warn_of_another_prior(found.theta, law, f"theta of {path.name}", advice)
        dropped = found.dropped + (json.loads(str(arrays["about"])).get("dropped", 0) if "about" in arrays else 0)
        self.description = f"{len(found)} simulations from {Path(file).name}, {dropped} left out"
        super().__init__(*_split(found, test), law, dtype)


@register_dataset("simulator")
class UserSimulator(Pairs):
    """A user's simulator, run on draws from a prior.

    The simulator is code, so only a recipe that its user names by path may have one.

    Parameters
    ----------
    simulator : str
        The file beside the recipe and a function ``(theta) -> x`` in it, as ``"my_sim.py:function"``.
    prior : dict of str to JsonValue
        Law of each parameter by its name, in the order in which the function takes them.
    simulations : int
        Number of simulations in the budget, a tenth of it for validation.
    test : int
        Number of further simulations.
    seed : int
        Seed of all draws.
    vectorized : bool
        Whether the simulator takes many rows at once, as in ``zoo.data.sbi.simulate``.
    on_nonfinite : {"drop", "fail"}
        What becomes of NaN and infinity, as in ``zoo.data.sbi.simulate``.
    dtype : {"float32", "float64"}
        Precision of the rows, as for ``Pairs``.
    file : str, optional
        Name of a ``.npz`` beside the recipe that keeps the simulations, for simulators that take long.
    timeout : float, optional
        Seconds that a simulation may take, as in ``zoo.data.sbi.simulate``.
    folder : Path, optional
        Folder of the recipe.

    Raises
    ------
    InputError
        Without the folder of a recipe.
    """

    def __init__(
        self,
        simulator: str,
        prior: dict[str, JsonValue],
        simulations: int = 10_000,
        test: int = 1000,
        seed: int = 0,
        vectorized: bool = False,
        on_nonfinite: Literal["drop", "fail"] = "drop",
        dtype: Literal["float32", "float64"] = "float32",
        file: str | None = None,
        timeout: float | None = None,
        folder: Path | None = None,
    ) -> None:
        if folder is None:
            raise InputError(f"simulator {simulator!r} is code: only a recipe given as a file may name one, beside it")
        kept = None if file is None else inside(folder, file)
        source = SimulatorFile.beside(folder, simulator)
        settings = json.dumps([prior, simulations + test, seed, vectorized, on_nonfinite, timeout])
        found = _simulated(source, source.path.stat().st_mtime_ns, settings, kept)
        self.simulator, self.seed = simulator, seed
        self.description = f"{len(found)} simulations by {simulator}, {found.dropped} left out"
        super().__init__(*_split(found, test), Prior(prior), dtype)


@functools.lru_cache(maxsize=4)
def _simulated(source: SimulatorFile, changed: int, settings: str, kept: Path | None) -> Simulations:
    """Simulate once for training, evaluation and release of one process; ``changed`` is when the file was."""
    prior, n, *values = json.loads(settings)
    options = dict(zip(("seed", "vectorized", "on_nonfinite", "timeout"), values, strict=True))
    found = simulate(source, Prior(prior), n, path=kept, **options)
    if set(found.labels.units or ()) - {"1"}:
        raise InputError(
            f"{source.path.name}: {source.function} answers with {found.labels}, and a recipe says itself in which"
            " unit: let it answer with plain numbers in that unit"
        )
    return found


def expect_budget(found: int, test: int) -> int:
    """Give the number of simulations that are left when the last are set aside; InputError where none are, or nothing is."""
    if not 2 <= test < found:
        raise InputError(f"expected from 2 to {found - 1} test rows of {found} simulations, given {test}")
    return found - test


def _split(found: Simulations, test: int) -> tuple[Simulations, Simulations]:
    """The budget and the test rows, the last."""
    cut = expect_budget(len(found), test)
    return found[:cut], found[cut:]
