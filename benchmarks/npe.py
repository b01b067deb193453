"""A posterior of five parameters from 10,000 simulations: ``train_npe`` against NPE of sbi, on the same rows in turns.

    python -m venv sbi && sbi/bin/pip install sbi
    pip install --no-deps sbibm
    python benchmarks/npe.py --sbi sbi/bin/python

The task is SLCP of arXiv:2101.04653. Ours is timed from the arrays to the loaded model, with calibration (for which it keeps
1,000 of 11,000 rows), export and parity; sbi's from 10,000 of them to a posterior that can be sampled, with the neural spline
flow that its documentation names and nothing else set, in a process of its own (torch and TensorFlow do not share one) whose
imports do not count. Beside the times stands how far each is from the published reference posteriors (C2ST, mean of ten
observations; 0.5 is exact). Writes benchmarks/results/npe.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

TASK, SIMULATIONS, TEST, DRAWS = "slcp", 10_000, 1000, 10_000
LOW, HIGH = -3.0, 3.0
"""The prior's ends, of each of its five parameters."""


def theirs(rows: Path, seed: int) -> None:
    """Train NPE of sbi on the rows of a file, and put seconds and draws beside it; run by sbi's own Python."""
    import sbi
    import torch
    from sbi.inference import NPE
    from sbi.utils import BoxUniform

    torch.manual_seed(seed)
    with np.load(rows) as given:
        theta, x, observed = (torch.from_numpy(given[name].astype(np.float32)) for name in ("theta", "x", "observed"))
    start = time.perf_counter()
    ends = (torch.full((theta.shape[1],), end) for end in (LOW, HIGH))
    inference = NPE(prior=BoxUniform(*ends), density_estimator="nsf")
    inference.append_simulations(theta, x).train()
    posterior = inference.build_posterior()
    seconds = time.perf_counter() - start
    drawn = [posterior.sample((DRAWS,), x=row, show_progress_bars=False).numpy() for row in observed]
    versions = {"sbi": sbi.__version__, "torch": torch.__version__}
    np.savez(rows.with_name("theirs.npz"), seconds=seconds, drawn=np.stack(drawn), **versions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sbi", help="a Python that has sbi")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--theirs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.theirs is not None:
        theirs(asked.theirs, asked.seed)
        return

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import joblib
    from c2st import OBSERVATIONS, reference
    from interleaved import about, write

    from zoo.data.sbi import simulate
    from zoo.data.sbi.tasks import get_task
    from zoo.interpret.posteriors.c2st import c2st
    from zoo.workflows.npe import train_npe

    task, folder = get_task(TASK), Path(tempfile.mkdtemp())
    found = simulate(task.simulate, task.prior, SIMULATIONS + TEST, seed=[0, 0], vectorized=True, jobs=1)
    observed, exact = zip(*(reference(TASK, number) for number in range(1, OBSERVATIONS + 1)), strict=True)
    rows = folder / "rows.npz"
    np.savez(rows, theta=found.theta[:SIMULATIONS], x=found.x[:SIMULATIONS], observed=np.stack(observed))
    seconds: dict[str, list[float]] = {"train_npe": [], "sbi": []}
    drawn: dict[str, list[np.ndarray]] = {}
    versions: dict[str, str] = {}
    for seed in range(asked.rounds):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            flow = train_npe(
                theta=found.theta, x=found.x, prior=task.prior, folder=folder / f"slcp-{seed}", test=TEST, seed=seed
            )
            seconds["train_npe"].append(time.perf_counter() - start)
            drawn.setdefault("train_npe", [flow.draw(DRAWS, row, allow_out_of_range=True) for row in observed])
        subprocess.run([asked.sbi, __file__, "--theirs", rows, "--seed", str(seed)], check=True)
        with np.load(rows.with_name("theirs.npz")) as answer:
            seconds["sbi"].append(float(answer["seconds"]))
            drawn.setdefault("sbi", list(answer["drawn"]))
            versions = {name: str(answer[name]) for name in ("sbi", "torch")}
        print({name: [round(value) for value in values] for name, values in seconds.items()}, flush=True)
    distance = {
        name: joblib.Parallel(n_jobs=2)(joblib.delayed(c2st)(*pair) for pair in zip(exact, draws, strict=True))
        for name, draws in drawn.items()
    }
    ratios = np.divide(seconds["sbi"], seconds["train_npe"]).tolist()
    for name, values in distance.items():
        print(f"{name}: {np.median(seconds[name]):.0f} s, C2ST {np.mean(values):.3f}")
    print(f"sbi takes {np.median(ratios):.1f} times as long ({min(ratios):.1f} to {max(ratios):.1f})")
    content = {"versions": about("keras", "tensorflow") | versions, "cores": os.cpu_count()}
    content |= {"task": TASK, "simulations": SIMULATIONS, "seconds": seconds, "c2st": distance, "ratios": ratios}
    write("npe.json", content)


if __name__ == "__main__":
    main()
