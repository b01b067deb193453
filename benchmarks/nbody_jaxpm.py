"""The peer of nbody.py, in an environment of its own: steps of JaxPM for every line on stdin, one line on stdout each.

    python benchmarks/nbody_jaxpm.py STATE.npz      positions and momenta (N, 3) in cells of a mesh of N, kick, drift

The first answer holds versions and the momenta's file, for a comparison of the forces.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jaxpm.pm import pm_forces


def main() -> None:
    path = Path(sys.argv[1])
    with np.load(path, allow_pickle=False) as state:
        positions, momenta, kick, drift = (np.float32(state[name]) for name in ("positions", "momenta", "kick", "drift"))
    mesh = round(len(positions) ** (1 / 3))

    @jax.jit
    def step(positions, momenta):
        forces = pm_forces(positions.reshape(mesh, mesh, mesh, 3), mesh_shape=(mesh,) * 3).reshape(-1, 3)
        momenta = momenta + kick * forces
        return (positions + drift * momenta) % mesh, momenta

    state = jax.device_put((positions, momenta))
    after = path.with_name("jaxpm.npy")
    np.save(after, step(*state)[1])
    print(
        json.dumps({"momenta": str(after), "versions": {name: version(name) for name in ("jaxpm", "jax", "jaxlib")}}),
        flush=True,
    )
    for _ in sys.stdin:
        jax.block_until_ready(step(*state))
        print("done", flush=True)


if __name__ == "__main__":
    main()
