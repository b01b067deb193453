"""What particles' noise leaves to explain in profiles of simulated halos, and how much of it ive-halo-profile-3 explains.

    python benchmarks/halo_noise.py [--simulations 6]

Two estimates of the noise, along the radius, beside the scatter of the model and of a mean profile on halos of the model's
test simulations: that of the released card, Poisson draws about an NFW fit to all shells of a halo, and that of
``HaloProfile.noise``, which knows that R200m is where the number of particles within is given. Simulations that the cache
lacks are made, two minutes of one core each. Writes benchmarks/results/halo_noise.json.
"""

from __future__ import annotations

import argparse

import numpy as np
from interleaved import about, write

import zoo
from zoo.data.nbody.halo_profile import EMPTY, HaloProfile
from zoo.data.nbody.halo_shells import RADII
from zoo.training.evaluations.profiles import answered
from zoo.training.intervals import bootstrap

REPEATS = 20
"""Draws of the noise of each halo."""
PARTS = {"inside R200m": RADII <= 1, "outside R200m": RADII > 1}
SMALLEST = (100, 300)
"""Fewest particles of the halos that are looked at."""


def noises(dataset: HaloProfile) -> dict[str, np.ndarray]:
    """Draws of either estimate, (repeats, n, 16) dex."""
    expected, rng = dataset.mean_counts("test") * 10 ** dataset.nfw("test"), np.random.default_rng(0)
    poisson = np.maximum(rng.poisson(expected, (REPEATS, *expected.shape)), EMPTY)
    given = []
    for seed in range(REPEATS):
        dataset.seed = seed
        given.append(dataset.noise("test"))
    return {"poisson": np.log10(poisson / expected), "given R200m": np.array(given)}


def explained(model: np.ndarray, mean: np.ndarray, noise: np.ndarray) -> float:
    """Share of the variance of profiles about their mean, beyond that of the noise, that a model explains."""
    ours, theirs, floor = (np.mean(np.square(one)) for one in (model, mean, noise))
    return float(1 - (ours - floor) / (theirs - floor))


def errors(dataset: HaloProfile) -> dict[str, np.ndarray]:
    """Errors (n, 16) of the model, and of the mean profile of the halos of the other simulations."""
    rows = dataset.rows("test")
    others = [rows.target[rows.group != seed].mean(axis=0) for seed in rows.group]
    return {"ive-halo-profile-3": answered(zoo.load("ive-halo-profile-3"), rows).error, "mean profile": others - rows.target}


def judged(dataset: HaloProfile) -> dict:
    """Scatter along the radius, and what is explained on either side of R200m, with 95% intervals over halos."""
    found, drawn = errors(dataset), noises(dataset)
    curves = {name: np.sqrt(np.mean(np.square(error), axis=0)) for name, error in found.items()}
    curves |= {f"noise, {name}": np.sqrt(np.mean(np.square(draws), axis=(0, 1))) for name, draws in drawn.items()}
    shares = {}
    for (part, chosen), (name, draws) in ((one, other) for one in PARTS.items() for other in drawn.items()):

        def share(rows: np.ndarray, chosen: np.ndarray = chosen, draws: np.ndarray = draws) -> float:
            return explained(*(error[rows][:, chosen] for error in found.values()), draws[:, rows][:, :, chosen])

        halos = np.arange(len(draws[0]))
        low, high = bootstrap(share, halos)
        shares[f"{part}, {name}"] = {"value": round(share(halos), 3), "interval": [round(low, 3), round(high, 3)]}
    return {
        "halos": len(draws[0]),
        "scatter": {name: curve.astype(float).round(4).tolist() for name, curve in curves.items()},
        "explained": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=6, help="of the model's test split, the first")
    simulations = parser.parse_args().simulations
    content = {"about": about("numpy"), "simulations": simulations, "radius": RADII.round(4).tolist()}
    for smallest in SMALLEST:
        content[f"{smallest} particles"] = judged(HaloProfile(test=simulations, smallest=smallest))
    write("halo_noise.json", content)


if __name__ == "__main__":
    main()
