"""Unfold jets of one shower with the simulation of another, through a stated smearing.

``python examples/unfolding_showers.py FIGURE`` prints means and draws distributions.
The data are jets with a final-state alphaS of 0.1502, of which a detector would see the mass within 10% and the multiplicity
within 8%, both Gaussian; the simulation has the shower of Pythia's default. What is missing of either is simulated first.
"""

from __future__ import annotations

import sys

import numpy as np
from astropy import units as u

import zoo
from zoo.data.jets.packed import joined
from zoo.data.jets.samples import Shower, jet_config
from zoo.data.jets.storage import cached_jets, load_folder

SMEARING = {"mass": 0.10, "multiplicity": 0.08}
"""Relative width of the detector's answer."""


def levels(shower: Shower, seeds: list[int]) -> tuple[dict[str, u.Quantity], dict[str, u.Quantity]]:
    """Observables of jets at particle and at detector level, each of shape (n,)."""
    config = jet_config("quark-gluon", shower)
    jets = joined(load_folder(cached_jets(config), config, seeds, "simulate"))
    particle = {"mass": jets.momentum[:, 3].astype(np.float64) * u.GeV, "multiplicity": jets.counts * u.dimensionless_unscaled}
    rng = np.random.default_rng(seeds[0])
    return particle, {name: values * rng.normal(1, SMEARING[name], len(values)) for name, values in particle.items()}


def main(figure: str) -> None:
    """Print the means before, after and as they are, and draw the distributions."""
    hidden, data = levels("alphaS-up", [1205, 1206])
    truth, simulated = levels("default", list(range(8)))
    unfolded = zoo.unfold(data, simulated, truth)
    for name, values in truth.items():
        found, known = np.average(values, weights=unfolded.weights), hidden[name].mean()
        error = hidden[name].std() / np.sqrt(len(hidden[name]))
        print(f"{name}: simulated {values.mean():.2f}, unfolded {found:.2f}, truth {known:.2f} +- {error:.2f}")
    drawn = unfolded.plot(bins=20)
    for axis, name in zip(drawn.axes, truth, strict=False):
        edges = unfolded.histogram(name, 20).edges
        axis.stairs(np.histogram(hidden[name].value, edges)[0] / np.diff(edges), edges, color="black", label="truth")
        axis.legend()
    drawn.savefig(figure, dpi=120)


if __name__ == "__main__":
    main(sys.argv[1])
