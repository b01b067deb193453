"""The figures that a posterior is judged by, from one call: pairs of parameters, ranks, expected coverage, predictions.

This joins the wings, as ``zoo.workflows.release`` does, and imports them only when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zoo.atomic import whole_file
from zoo.errors import InputError, option
from zoo.extras import expect_trainable
from zoo.families.state import apart
from zoo.jobs import expect_jobs
from zoo.model.handed_in.tables import has_names
from zoo.model.handed_in.tensors import array_of, element_units, elements_of, rows_of
from zoo.model.handed_in.units import same_unit
from zoo.model.handed_in.values import unpadded, values_of
from zoo.seeds import expect_seed
from zoo.workflows.npe_run import RECIPE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zoo.data.sbi.simulating.simulations import Simulator
    from zoo.families.flows.flow import Flow
    from zoo.model.spec import Tensor


@apart()
def posterior_report(
    flow: Flow | str | Path,
    folder: str | Path,
    *,
    observation: Any = None,
    truth: Any = None,
    beside: Mapping[str, Any] | None = None,
    simulator: Simulator | None = None,
    vectorized: bool = False,
    jobs: int | None = None,
    theta: Any = None,
    x: Any = None,
    draws: int = 5000,
    simulations: int = 500,
    seed: int = 0,
    allow_out_of_range: bool = False,
) -> dict[str, Figure]:
    """Draw what a posterior is judged by, into a folder.

    Parameters
    ----------
    flow : Flow, str or Path
        A posterior p(theta | x), or the name or folder of one.
    folder : str or Path
        The folder that the figures are written to, each as ``<name>.png``.
    observation : array_like, optional
        The observation whose posterior is shown; by default the first of the test simulations, with its truth.
    truth : array_like, optional
        The parameters that the observation was made with, where they are known: in the order of the flow's, or by name, as a
        mapping or a row of a table.
    beside : mapping of str to array_like, optional
        Samples (n, D) of other posteriors of the observation by label, laid over the flow's; tables are taken by name.
    simulator : callable, optional
        What made the simulations, as ``zoo.train_npe`` takes it; with it, what the posterior predicts is shown.
    vectorized : bool
        Whether the simulator takes all parameters at once.
    jobs : int, optional
        How many processes simulate.
    theta, x : array_like, optional
        Simulations that the flow was not trained on, (n, D) and (n, C), to test it with; by default the test simulations of
        ``<folder of the flow>.run``, where ``zoo.train_npe`` left them.
    draws : int
        How many draws from the posterior of the observation are shown.
    simulations : int
        How many simulations are made at draws from it.
    seed : int
        The seed of draws and simulations.
    allow_out_of_range : bool
        Whether an observation is taken that is outside the trained range, or that no simulation resembles.

    Returns
    -------
    dict of str to Figure
        ``posterior``, marginals of all parameters and pairs; ``ranks``, histograms of simulation-based calibration with the
        band of right posteriors; ``coverage``, expected coverage; and with a simulator ``predictive``.

    Raises
    ------
    InputError
        The model is no posterior, there are no test simulations, or the observation is none that it takes.
    SimulationError
        The simulator fails.
    MissingExtraError
        What draws the figures is not installed.

    Warns
    -----
    MisspecificationWarning
        The observation is unlike all simulations.

    Examples
    --------
    >>> zoo.posterior_report(flow, "figures", observation=x_o, simulator=simulate)  # doctest: +SKIP
    """
    expect_seed(seed)
    expect_jobs(jobs)
    expect_trainable()
    from zoo.interpret import plots
    from zoo.interpret.elements import positions
    from zoo.interpret.plots.style import Figures, with_unit
    from zoo.interpret.posteriors.coverage import posterior_predictive
    from zoo.interpret.posteriors.parameters import parameters_of
    from zoo.loading import load
    from zoo.model.reference_file import observed_tensors

    model: Flow = load(flow) if isinstance(flow, str | Path) else flow
    known = parameters_of(model)
    found = observed_tensors(model.spec.endpoint("sample"))
    if found is None:
        raise InputError(f"{model.spec.name}: expected a posterior, which is given one observation")
    observed, _ = found
    if observation is None and truth is not None:
        raise InputError(f"truth: expected that of an observation, {option('observation', 'ARRAY')}, given without one")
    tested, data = _test_simulations(model, observed, theta, x)
    if observation is None:
        row, truth = data[0], tested[0]
    else:
        row = _one_row(observation, observed)
    truth = None if truth is None else known.point(truth, "truth").tolist()
    samples = {model.spec.name: model.draw(draws, row, seed, allow_out_of_range=allow_out_of_range), **(beside or {})}
    figures = {"posterior": plots.corner_plot(samples, known.names, known.units, truth=truth)}
    figures |= _calibration(model, tested, data, known.names, seed)
    if simulator is not None:
        run = partial(_simulated, simulator, vectorized, jobs, seed, known.names, observed)
        check = posterior_predictive(model, run, row, simulations, seed, allow_out_of_range=allow_out_of_range)
        at = positions(observed.axes[0], len(check.observed)) if len(observed.axes) == 1 else None
        place: dict[str, Any] = {} if at is None else {"abscissa": at.values, "xlabel": at.label}
        figures["predictive"] = plots.predictive_plot(check, **place, ylabel=with_unit(observed.name, observed.unit))
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        with whole_file(out / f"{name}.png") as file:
            figure.savefig(file, dpi=120, format="png")
    return Figures(figures)


def _calibration(model: Flow, theta: np.ndarray, x: np.ndarray, names: Sequence[str], seed: int) -> dict[str, Figure]:
    """Ranks and expected coverage of test simulations, as they are measured at a release."""
    from zoo.interpret import plots
    from zoo.interpret.posteriors.coverage import sbc_ranks, tarp
    from zoo.training.evaluations.posterior import CALIBRATED, DRAWS, Drawn

    theta, x = theta[:CALIBRATED], x[:CALIBRATED]
    drawn = Drawn(model, x)
    covered = {f"{kind} references": tarp(drawn, theta, x, DRAWS, seed, references=kind) for kind in REFERENCES}
    return {
        "ranks": plots.rank_histograms(sbc_ranks(drawn, theta, x, DRAWS, seed), DRAWS, names),
        "coverage": plots.coverage_curve(covered),
    }


REFERENCES: tuple[Literal["uniform", "predicted"], ...] = ("uniform", "predicted")
"""Kinds of references of expected coverage."""


def _test_simulations(model: Flow, observed: Tensor, theta: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    """Simulations that the flow was not trained on: those given, or those of the run that it was trained in."""
    if (theta is None) != (x is None):
        raise InputError("test simulations: expected both theta and x, or neither")
    if theta is not None and x is not None:
        (parameters,) = model.spec.endpoint("sample").outputs
        return array_of(theta, parameters), values_of(x).array if observed.free else array_of(x, observed)
    recipe = None if model.folder is None else model.folder.folder.with_name(f"{model.folder.folder.name}.run") / RECIPE
    if recipe is None or not recipe.is_file():
        raise InputError(
            f"{model.spec.name}: its test simulations are not here ({recipe}): give simulations that it was not trained on with"
            f" {option('theta', 'ARRAY')} and {option('x', 'ARRAY')}"
        )
    from zoo.training.recipe import load_recipe

    tested, data, *mask = load_recipe(recipe).data.dataset().rows("test").inputs.values()
    return np.asarray(tested), unpadded(np.asarray(data), *mask) if mask else np.asarray(data)


def _one_row(observation: Any, tensor: Tensor) -> np.ndarray:
    """The observation as a flow takes one, of whatever it was handed in as."""
    if tensor.free and has_names(observation):  # its elements are the rows
        return elements_of(observation, tensor)
    rows, _ = rows_of(observation, tensor)
    if len(rows) != 1:
        raise InputError(f"observation: expected one {tensor.name}, given {len(rows)}")
    row: np.ndarray = rows[0]
    return row


class _Drawn:
    """Parameters (n, D) that are simulated at, in place of draws from a prior."""

    def __init__(self, theta: np.ndarray, names: list[str]) -> None:
        self.theta, self.names = theta, names

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return self.theta

    def plain(self) -> dict[str, Any]:
        return {}


def _simulated(
    simulator: Simulator, vectorized: bool, jobs: int | None, seed: int, names: list[str], observed: Tensor, theta: np.ndarray
) -> np.ndarray:
    """Data (n, C) at parameters (n, D), which are called so; NaN where the simulator gave no finite row."""
    from zoo.data.sbi.simulating.simulations import simulate

    theta = theta.astype(np.float64)
    drawn: Any = _Drawn(theta, names)
    found = simulate(simulator, drawn, len(theta), seed=seed, vectorized=vectorized, jobs=jobs)
    given, wanted = found.labels.along(found.x.shape[1]).get("units"), element_units(observed, found.x.shape[1:])
    if given is not None and not all(map(same_unit, given, wanted)):
        raise InputError(f"simulator: it answers with {found.labels}, and {observed.name} is in {observed.unit}: convert it")
    place = {row.tobytes(): number for number, row in enumerate(theta)}
    x = np.full((len(theta), found.x.shape[1]), np.nan)
    x[[place[row.tobytes()] for row in found.theta]] = found.x
    return x
