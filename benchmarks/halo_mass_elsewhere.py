"""What cnn3d-halo-mass says of the particles that it was not trained for: those of small halos, of giants and of none.

    python benchmarks/halo_mass_elsewhere.py [--simulations 2]

Particles of the first of the model's test simulations, as they come. Simulations that the cache lacks are made, six seconds of
one core each. Writes benchmarks/results/halo_mass_elsewhere.json.
"""

from __future__ import annotations

import argparse

import numpy as np
from interleaved import about, write

import zoo
from zoo.data.nbody.cosmology import growth
from zoo.data.nbody.cubes import density_cubes
from zoo.data.nbody.halo_mass import INITIAL, LOG_MASS, HaloMass
from zoo.data.nbody.lagrangian import particle_cells

ASKED = 500
"""Particles of each simulation that the model is asked about."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=2, help="of the model's test split, the first")
    number = parser.parse_args().simulations
    dataset, model = HaloMass(test=number), zoo.load("cnn3d-halo-mass")
    side, box = dataset.config.particles, dataset.config.box
    outside, answers, scales = [], [], []
    for simulation in dataset.simulations("test"):
        mass = np.append(np.log10(simulation.halos.mass), -np.inf)[simulation.halo_of]
        elsewhere = np.flatnonzero((mass < LOG_MASS[0]) | (mass >= LOG_MASS[-1]))
        outside.append(len(elsewhere) / len(mass))
        asked = np.random.default_rng(simulation.seed).choice(elsewhere, ASKED, replace=False)
        field = np.asarray(simulation.linear) * growth(dataset.config.cosmology, INITIAL)
        found = model.endpoint("predict")(density=density_cubes(field, box, particle_cells(asked, side)))
        answers.append(found["log_mass"])
        scales.append(found["scale"])
    log_mass = np.concatenate(answers).astype(float)
    content = {
        "about": about("numpy"),
        "simulations": number,
        "outside": {"share": round(float(np.mean(outside)), 3), "of each": [round(share, 3) for share in outside]},
        "asked": len(log_mass),
        "log_mass": {f"{q}%": round(float(np.percentile(log_mass, q)), 2) for q in (5, 50, 95)},
        "median scale": round(float(np.median(np.concatenate(scales))), 2),
    }
    write("halo_mass_elsewhere.json", content)


if __name__ == "__main__":
    main()
