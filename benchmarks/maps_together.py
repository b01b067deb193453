"""What twenty maps of volumes of their own say of one cosmology by maf-field-posterior, taken together.

    python benchmarks/maps_together.py [--cosmologies 24]

Cosmologies at random in the range of the model, none of its training's fields. Simulations take a second and a half of one core
each, and are kept in runs/maps_together. Writes benchmarks/results/maps_together.json: how often all maps can be taken
together, and whether the truth is where the posterior says. What a posterior of one map is off by is to the power of twenty of
twenty together: where too few draws count the answer is refused, where it is too narrow a warning says so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from interleaved import about, write

import zoo
from zoo.atomic import whole_file
from zoo.data.fields.design import RANGES, FieldsConfig
from zoo.data.fields.simulate import density_of
from zoo.data.fields.views import slabs
from zoo.data.nbody.simulate import NBodyConfig, evolve, linear_density
from zoo.errors import InputError
from zoo.interpret.posteriors.another_prior import trained_prior
from zoo.interpret.posteriors.together import posterior_together
from zoo.progress import track
from zoo.training.metrics import of_share

NETWORK = "maf-field-posterior"
NAMES = ("omega_m", "sigma8")
MAPS, SLABS = 20, 4
SEED = 42_000_000
"""Seed of the first initial field, beyond those of the sets that train."""
FOLDER = Path("runs/maps_together")


def simulator_of(theta: np.ndarray) -> NBodyConfig:
    """The simulations of the model's training, at another Omega_m and sigma_8."""
    nbody = FieldsConfig().nbody(0)
    cosmology = nbody.cosmology.model_copy(update=dict(zip(NAMES, theta.tolist(), strict=True)))
    return nbody.model_copy(update={"cosmology": cosmology})


def maps_of_box(config: NBodyConfig, seed: int) -> np.ndarray:
    """Overdensities (12, 64, 64) in all slabs of a simulation, along each axis."""
    (final,) = evolve(config, linear_density(config, seed))
    found: np.ndarray = slabs(density_of(final.positions, config.box, config.particles), SLABS)
    return found


def one_map(config: NBodyConfig, seed: int) -> np.ndarray:
    """Overdensity (64, 64) in a slab of a simulation of its own."""
    found: np.ndarray = maps_of_box(config, seed)[seed % (3 * SLABS)]
    return found


def maps_of(number: int, theta: np.ndarray) -> np.ndarray:
    """Maps (20, 64, 64) of one cosmology, from the disk where they were made before."""
    path = FOLDER / f"{number:03d}.npy"
    if not path.exists():
        config = simulator_of(theta)
        made = [one_map(config, SEED + MAPS * number + i) for i in range(MAPS)]
        FOLDER.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            np.save(file, np.stack(made))
    return np.load(path)


def share_nearer(theta: np.ndarray, truth: np.ndarray) -> float:
    """Share of the draws (n, D) that lie nearer to their mean than the truth, by their covariance."""
    mean, inverse = theta.mean(axis=0), np.linalg.inv(np.cov(theta, rowvar=False))

    def distance(at: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.einsum("ij,jk,ik->i", at - mean, inverse, at - mean)
        return found

    return float(np.mean(distance(theta) < distance(truth[None])))


def within(level: float, taken: list[dict]) -> dict[str, object]:
    """Share of the truths in regions of a level, with its interval."""
    share = float(np.mean([row["nearer"] <= level for row in taken]))
    found = of_share(share, len(taken))
    return {"share": round(share, 3), "interval": [round(found.low, 3), round(found.high, 3)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cosmologies", type=int, default=24)
    number = parser.parse_args().cosmologies
    low, high = np.transpose([RANGES[name] for name in NAMES])
    truths = low + (high - low) * np.random.default_rng(4).random((number, len(NAMES)))
    made = [maps_of(i, truth) for i, truth in enumerate(track(truths, "simulations"))]
    flow = zoo.load(NETWORK)
    prior = trained_prior(flow.spec)
    rows = []
    for truth, maps in zip(truths, track(made, "posteriors"), strict=True):
        row = {name: round(float(value), 3) for name, value in zip(NAMES, truth, strict=True)}
        try:
            found = posterior_together(flow, prior, maps, allow_out_of_range=True)
        except InputError as error:
            rows.append(row | {"refused": str(error).split(",")[0]})
            continue
        mean, deviation = found.theta.mean(axis=0), found.theta.std(axis=0)
        rows.append(
            row
            | {"mean": np.round(mean, 4).tolist(), "deviation": np.round(deviation, 4).tolist()}
            | {"narrower": round(float(found.narrowing.max()), 1)}
            | {"nearer": round(share_nearer(found.theta, truth), 3), "effective": round(found.effective)}
        )
    taken = [row for row in rows if "mean" in row]
    errors = np.array([[row["mean"][i] - row[name] for i, name in enumerate(NAMES)] for row in taken])
    content = {
        "about": about("numpy", "keras"),
        "maps": MAPS,
        "cosmologies": number,
        "taken together": len(taken),
        "rms error": {name: round(float(np.sqrt(np.mean(errors[:, i] ** 2))), 4) for i, name in enumerate(NAMES)},
        "median deviation": {
            name: round(float(np.median([row["deviation"][i] for row in taken])), 4) for i, name in enumerate(NAMES)
        },
        "truth within": {f"{level:.0%}": within(level, taken) for level in (0.68, 0.95)},
        "each": rows,
    }
    write("maps_together.json", content)


if __name__ == "__main__":
    main()
