"""What networks have learned, as formulae that one can write on a blackboard, and deploy.

    python examples/formulae.py [folder] [--short]

Three answers are distilled: the latents of pendulums by their damping and stiffness, those of dark-matter halos by their mass
and concentration, and the growth of cosmic structure by the density of matter, for which textbooks have a fit. Each formula is
printed with its held-out R^2, the errors of its constants, and as LaTeX; those of the pendulums become a model that ONNX
Runtime serves. Some minutes on one core; ``--short`` takes fewer rows.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import zoo
from zoo.data.dataset import get_dataset
from zoo.data.nbody.cosmology import Cosmology, growth
from zoo.interpret import FormulaSearch, SymbolicFormula, active_latents, distill, kl_per_latent
from zoo.interpret.plots.style import BLUE, GRAY, panels, styled
from zoo.serving import Session

WRITER = "transformer-formulae"
PENDULUM, HALO = "ive-pendulum", "ive-synthetic-halo"
EARLY = 0.01
"""Scale factor at which matter alone counts."""


def latents_of(name: str, rows: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Means of the active latents of test rows by name, and the physical quantities of these rows."""
    session = Session(name)
    made = get_dataset(session.spec.data.source, **session.spec.data.parameters).rows("test").some(rows)
    (tensor,) = session.spec.endpoint("encode").inputs
    answer = session.run({tensor.name: made.inputs[tensor.name][:]}, "encode")
    active = active_latents(kl_per_latent(answer["mean"], answer["log_variance"]))
    truth = {quantity: np.asarray(values, float) for quantity, values in made.truth.items()}
    return {f"latent {i}": answer["mean"][:, i].astype(float) for i in active}, truth


def grown(rows: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """How much structure has grown until today, over how much it would have grown with matter alone, by Omega_m."""
    matter = np.random.default_rng(0).uniform(0.1, 1.0, rows)
    growths = [EARLY / float(growth(Cosmology(omega_m=each), EARLY)) for each in matter]
    return {"growth": np.array(growths)}, {"Omega_m": matter}


@styled
def figure(answers: dict[str, np.ndarray], formulae: dict[str, SymbolicFormula], known: dict[str, dict]) -> Figure:
    """Each answer beside its formula."""
    columns = 3
    drawn, axes = panels(-(-len(answers) // columns), columns, (12.0, 3.6 * -(-len(answers) // columns)))
    for place in np.ravel(axes)[len(answers) :]:
        place.set_visible(False)
    for place, (name, answer) in zip(np.ravel(axes), answers.items(), strict=False):
        formula = formulae[name]
        values = formula.predict(known[name])
        ends = [min(values.min(), answer.min()), max(values.max(), answer.max())]
        place.plot(ends, ends, color=GRAY, linewidth=1)
        place.scatter(values, answer, s=4, color=BLUE, alpha=0.4, linewidths=0)
        place.set(xlabel="formula", ylabel=name, title=f"${formula.latex()}$\n$R^2 = {formula.r2:.4f}$")
        place.title.set_fontsize(9)
    return drawn


def main(folder: Path, *, short: bool = False) -> None:
    """Distill, print, deploy and draw."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = 400 if short else 2000
    search = FormulaSearch(zoo.load(WRITER))
    answers, known, formulae = {}, {}, {}
    for of, (found, quantities) in {
        "pendulum": latents_of(PENDULUM, rows),
        "halo": latents_of(HALO, rows),
        "universe": grown(rows),
    }.items():
        for name, answer in found.items():
            gain = 0.0 if of == "universe" else 0.01  # the growth is no network's, and exact
            formula = distill(answer, quantities, search="symbolic", writer=search, gain=gain)
            errors = ", ".join(f"{c:.4g} +- {e:.1g}" for c, e in zip(formula.constants, formula.errors, strict=True))
            print(f"{of}, {name} = {formula}\n    constants {errors}\n    {formula.latex()}")
            answers[f"{of}, {name}"], known[f"{of}, {name}"], formulae[f"{of}, {name}"] = answer, quantities, formula

    pendulums = {name: formula for name, formula in formulae.items() if name.startswith("pendulum")}
    quantities = known[next(iter(pendulums))]
    units = {"damping": "kg/s", "stiffness": "kg/s^2"}
    used = {name for formula in pendulums.values() for name in formula.names}
    units = {name: unit for name, unit in units.items() if name in used}
    zoo.save_formulae(pendulums, quantities, folder=folder / "pendulum-latents", units=units, overwrite=True)
    served = Session(folder / "pendulum-latents").run({name: quantities[name] for name in sorted(used)})["values"]
    off = max(
        np.abs(served[:, i] - formula.predict(quantities)).max() / answers[name].std()
        for i, (name, formula) in enumerate(pendulums.items())
    )
    print(f"ONNX Runtime gives the formulae of the pendulums to {off:.1g} of their deviation")
    figure(answers, formulae, known).savefig(folder / "formulae.png", dpi=110)
    print(f"the model is in {folder / 'pendulum-latents'}, the figure is {folder / 'formulae.png'}")


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--short"]
    main(Path(arguments[0]) if arguments else Path("runs/formulae"), short="--short" in sys.argv)
