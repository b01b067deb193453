"""Particle mesh: time per particle and step from 64^3 particles up, whole simulations, and JaxPM in turns.

    python benchmarks/nbody.py [--large] [--peer PYTHON]

``--large`` adds 256^3 particles on a 512^3 mesh (about 5 GB). PYTHON is that of an environment in which JaxPM is installed
(``python -m venv peer && peer/bin/pip install jaxpm packaging``). Both do one step (density, potential, forces, kick and
drift) of the same clustered particles, on as many cells as particles, which is what JaxPM's absolute positions take.
Threads: NUMBA_NUM_THREADS for ours, all cores for JAX. Writes benchmarks/results/nbody.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
from interleaved import about, compare, write

from zoo.data.nbody.fourier import backward, forward
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import assign_mass, evolve, kick_drift, mesh_potential
from zoo.data.nbody.simulate import NBodyConfig, run

REPETITIONS = 5
NO_PMWD = "not on PyPI: pip says 'No matching distribution found for pmwd'"
KICK, DRIFT = 0.01, 0.01


def clustered(config: NBodyConfig) -> tuple[np.ndarray, np.ndarray]:
    """Positions and momenta at a = 1, in cells of the config's mesh."""
    (final,) = evolve(config, linear_density(config, 0))
    unit = np.float32(config.mesh / config.box)
    return np.minimum(final.positions * unit, np.nextafter(np.float32(config.mesh), np.float32(0))), final.momenta * unit


def seconds(function) -> float:
    """Median over the repetitions."""
    taken = []
    for _ in range(REPETITIONS + 1):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def stages(particles: int) -> dict[str, float]:
    """Nanoseconds per particle and step, of the whole and its parts, for a simulation as the defaults make it."""
    config = NBodyConfig(particles=particles, box=50 * particles / 64, steps=5, transfer="eisenstein-hu")
    positions, momenta = clustered(config)
    mesh, number = config.mesh, len(positions)
    counts, potential = assign_mass(positions, mesh), mesh_potential(positions, mesh)
    parts = {
        "mass": lambda: assign_mass(positions, mesh),
        "transforms": lambda: backward(forward(counts)),
        "potential": lambda: mesh_potential(positions, mesh),
        "kick and drift": lambda: kick_drift(positions, momenta, potential, 0.0, 0.0),
    }
    result = {name: seconds(function) / number * 1e9 for name, function in parts.items()}
    result["step"] = result["potential"] + result["kick and drift"]
    print(
        f"{particles}^3  " + "  ".join(f"{name} {value:.0f}" for name, value in result.items()) + "  ns per particle",
        flush=True,
    )
    return result


def whole(particles: int) -> dict[str, float]:
    """Seconds of a simulation with its halos, by the defaults, once the linear power spectrum is there."""
    config = NBodyConfig(particles=particles, box=50 * particles / 64)
    linear_density(config, 0)
    taken = []
    for seed in range(3 if particles <= 64 else 1):
        start = time.perf_counter()
        run(config, seed)
        taken.append(time.perf_counter() - start)
    print(f"{particles}^3, {config.box:g} Mpc/h, {config.steps} steps, halos: {statistics.median(taken):.2f} s", flush=True)
    return {"median_s": statistics.median(taken), "min_s": min(taken), "max_s": max(taken)}


def against_jaxpm(particles: int, python: str) -> dict:
    """One step of ours and of JaxPM, in turns; the correlation of their forces says that they do the same."""
    config = NBodyConfig(particles=particles, box=100 * particles / 64, steps=5, mesh_factor=1, transfer="eisenstein-hu")
    positions, momenta = clustered(config)
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.npz"
        np.savez(state, positions=positions, momenta=momenta, kick=KICK, drift=DRIFT)
        worker = [python, str(Path(__file__).with_name("nbody_jaxpm.py")), str(state)]
        with subprocess.Popen(worker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
            answer = json.loads(peer.stdout.readline())
            theirs = np.load(answer["momenta"], allow_pickle=False) - momenta

            def step():
                x, p = positions.copy(), momenta.copy()
                kick_drift(x, p, mesh_potential(x, config.mesh), KICK, DRIFT)
                return p

            def peer_step():
                peer.stdin.write("\n")
                peer.stdin.flush()
                assert peer.stdout.readline() == "done\n"

            agreement = float(np.corrcoef((step() - momenta).ravel(), theirs.ravel())[0, 1])
            times = compare(f"one step, {particles}^3 particles and cells", {"physzoo": step, "jaxpm": peer_step})
            peer.stdin.close()
    return {"correlation_of_forces": agreement, "times": times, "versions": answer["versions"]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--large", action="store_true", help="also 256^3 particles")
    parser.add_argument("--peer", metavar="PYTHON", help="of an environment with JaxPM")
    arguments = parser.parse_args()
    content = {"versions": about("numba", "scipy", "numpy"), "threads": numba.get_num_threads()}
    content["ns_per_particle_step"] = {str(n): stages(n) for n in (64, 128, *([256] if arguments.large else []))}
    content["simulation_with_halos"] = {str(n): whole(n) for n in (64, 128)}
    content["peers"] = {"pmwd": NO_PMWD}
    if arguments.peer:
        content["peers"]["jaxpm"] = {str(n): against_jaxpm(n, arguments.peer) for n in (64, 128)}
    write("nbody.json", content)


if __name__ == "__main__":
    main()
