"""A posterior of five parameters from 10,000 simulations: ``train_npe`` against NPE of sbi, on the same rows in one run.

    pip install sbi && pip install --no-deps sbibm
    python benchmarks/npe.py

The task is SLCP of arXiv:2101.04653. Ours is timed from the arrays to the loaded model, with calibration, export and parity;
sbi's from the arrays to a posterior that can be sampled, with the neural spline flow that its documentation names and nothing
else set. Beside the times stands how far each is from the published reference posteriors (C2ST ten observations; exact: 0.5).
Each library trains with as many threads as there are cores, one after the other, for as many rounds as are asked for. Writes
benchmarks/results/npe.json.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import numpy as np
from c2st import DRAWS, OBSERVATIONS, reference
from interleaved import about, write

from zoo.data.sbi import simulate
from zoo.data.sbi.tasks import get_task
from zoo.interpret.posteriors.c2st import c2st
from zoo.workflows.npe import train_npe

TASK, SIMULATIONS, TEST = "slcp", 10_000, 1000
Sampler = Callable[[np.ndarray], np.ndarray]


def ours(theta: np.ndarray, x: np.ndarray, seed: int) -> Sampler:
    """The whole of ``train_npe``; the rows for its calibration are further ones."""
    folder = Path(tempfile.mkdtemp()) / "slcp"
    flow = train_npe(theta=theta, x=x, prior=get_task(TASK).prior, folder=folder, test=TEST, seed=seed)
    shutil.rmtree(folder.parent)
    return lambda observed: flow.draw(DRAWS, observed, seed=seed)


def theirs(theta: np.ndarray, x: np.ndarray, seed: int) -> Sampler:
    """NPE of sbi; it has no use for the rows that ours is calibrated with."""
    import torch
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    torch.manual_seed(seed)
    low, high = np.array(get_task(TASK).prior.support, np.float32).T
    inference = NPE(prior=BoxUniform(torch.from_numpy(low), torch.from_numpy(high)), density_estimator="nsf")
    rows = (torch.from_numpy(array[:SIMULATIONS].astype(np.float32)) for array in (theta, x))
    inference.append_simulations(*rows).train()
    posterior = inference.build_posterior()
    return lambda observed: posterior.sample(
        (DRAWS,), x=torch.from_numpy(observed.astype(np.float32)), show_progress_bars=False
    ).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    task = get_task(TASK)
    found = simulate(task.simulate, task.prior, SIMULATIONS + TEST, seed=[0, 0], vectorized=True, jobs=1)
    ways: dict[str, Callable[[np.ndarray, np.ndarray, int], Sampler]] = {"train_npe": ours, "sbi": theirs}
    results: dict[str, dict[str, list[float]]] = {name: {"seconds": [], "c2st": []} for name in ways}
    for seed in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sample = way(found.theta, found.x, seed)
            results[name]["seconds"].append(time.perf_counter() - start)
            if not seed:
                for number in range(1, OBSERVATIONS + 1):
                    observed, exact = reference(TASK, number)
                    results[name]["c2st"].append(c2st(exact, sample(observed)))
            print(f"{name}: {results[name]['seconds'][-1]:.0f} s, C2ST {np.mean(results[name]['c2st']):.3f}", flush=True)
    ratios = np.divide(results["sbi"]["seconds"], results["train_npe"]["seconds"]).tolist()
    print(f"sbi takes {np.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f})")
    content = {"versions": about("keras", "tensorflow", "sbi", "torch", "sbibm"), "cores": os.cpu_count()}
    write("npe.json", content | {"task": TASK, "simulations": SIMULATIONS, "results": results, "ratios": ratios})


if __name__ == "__main__":
    main()
