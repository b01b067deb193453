"""Flows' posteriors of LambdaCDM against NUTS on the same emulator, likelihood and prior.

    python benchmarks/posterior_hmc.py [--planck DIR] [--models NAME NAME ...] [--skies N]

Ten mock skies of the test split and, with --planck, Planck's own spectra: C2ST (0.5: indistinguishable), shift of each mean in
the standard deviations of NUTS, and ratio of the standard deviations, of each model beside the same chains. Writes
benchmarks/results/posterior_hmc.json.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from interleaved import about, write

import zoo
from zoo.data.cmb.likelihood import Chains, nuts
from zoo.data.cmb.planck import read_planck
from zoo.data.cmb.posterior_data import CMBPosterior, load_emulator
from zoo.interpret.posteriors.c2st import c2st
from zoo.progress import track

DRAWS = 10_000
"""From the flow, and NUTS steps of all chains together."""


def compared(flow: np.ndarray, chains: Chains, sky: int, names: list[str]) -> dict:
    """Distance of the flow's samples (n, 6) from those of NUTS."""
    reference = chains.of(sky)
    n = min(len(flow), len(reference))
    mean, std = reference.mean(axis=0), reference.std(axis=0)
    return {
        "c2st": c2st(np.random.default_rng(0).permutation(reference)[:n], flow[:n]),
        "samples": n,
        "mean_shift_sigma": dict(zip(names, ((flow.mean(axis=0) - mean) / std).round(4).tolist(), strict=True)),
        "std_ratio": dict(zip(names, (flow.std(axis=0) / std).round(4).tolist(), strict=True)),
        "nuts": {name: [float(m), float(s)] for name, m, s in zip(names, mean, std, strict=True)},
        "flow": {name: [float(c.mean()), float(c.std())] for name, c in zip(names, flow.T.astype(float), strict=True)},
        "r_hat_max": float(chains.r_hat[sky].max()),
        "effective_min": float(chains.effective[sky].min()),
    }


def summary(found: dict[str, dict]) -> dict:
    """The comparisons of one model, over the mock skies."""
    mocks = [sky for label, sky in found.items() if label != "Planck"]
    shifts = np.array([list(sky["mean_shift_sigma"].values()) for sky in mocks])
    ratios = np.array([list(sky["std_ratio"].values()) for sky in mocks])
    return {
        "c2st_mean": float(np.mean([sky["c2st"] for sky in mocks])),
        "c2st_max": float(np.max([sky["c2st"] for sky in mocks])),
        "abs_mean_shift_sigma_mean": float(np.abs(shifts).mean()),
        "abs_mean_shift_sigma_max": float(np.abs(shifts).max()),
        "std_ratio_mean": float(ratios.mean()),
        "std_ratio_range": [float(ratios.min()), float(ratios.max())],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--planck", type=Path, help="folder of Planck's binned spectra")
    parser.add_argument("--models", nargs="+", default=["nsf-cmb-posterior", "nsf-cmb-posterior-ensemble"])
    parser.add_argument("--skies", type=int, default=10)
    asked = parser.parse_args()
    dataset = CMBPosterior()
    names = dataset.prior.names
    test = dataset.rows("test")
    labels = [f"sky {i}" for i in range(asked.skies)]
    spectra = test.inputs["spectrum"][: asked.skies]
    if asked.planck:
        labels.append("Planck")
        spectra = np.concatenate([spectra, read_planck(asked.planck).d_ell[None].astype(np.float32)])
    chains = nuts(load_emulator(dataset.emulator), spectra, dataset.cholesky, tau=dataset.tau, draws=DRAWS // 8)
    models = {}
    for name in asked.models:
        model = zoo.load(name)
        model.draw(DRAWS, spectra[0])  # compiles
        start = time.perf_counter()
        drawn = [model.draw(DRAWS, spectrum, seed=i) for i, spectrum in enumerate(spectra)]
        seconds = (time.perf_counter() - start) / len(spectra)
        found = {label: compared(drawn[i], chains, i, names) for i, label in enumerate(track(labels, f"C2ST of {name}"))}
        print(name)
        for label, sky in found.items():
            shift, ratio = (list(sky[key].values()) for key in ("mean_shift_sigma", "std_ratio"))
            print(f"{label:8s} C2ST {sky['c2st']:.3f}  shift {np.round(shift, 2)}  std ratio {np.round(ratio, 2)}")
        models[name] = {"summary": summary(found) | {"flow_seconds_a_sky": seconds}, "skies": found}
        print(json.dumps(models[name]["summary"], indent=1))
    mixed = {
        "r_hat_max": float(chains.r_hat.max()),
        "effective_min": float(chains.effective.min()),
        "divergent": chains.divergent,
        "seconds_all_skies": chains.seconds,
    }
    versions = about("tensorflow", "tensorflow-probability", "keras")
    write("posterior_hmc.json", {"versions": versions, "draws": DRAWS, "nuts": mixed, "models": models})


if __name__ == "__main__":
    main()
