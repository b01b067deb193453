"""Where LambdaCDM hides more neutrinos and early dark energy best: what zoo.data.cmb.extensions.HIDDEN holds.

    python benchmarks/hidden_universes.py

At Planck's best fit: Gauss-Newton steps of all parameters but tau, which the amplitude stands for, to the least chi-squared of
the difference from LambdaCDM for Planck's noise. A minute on one core. Writes benchmarks/results/hidden_universes.json.
"""

from __future__ import annotations

import numpy as np
from interleaved import about, write

from zoo.data.cmb.binning import bin_spectra
from zoo.data.cmb.extensions import BACKGROUNDS, HIDDEN, spectra_of, transfers_of
from zoo.data.cmb.noise import knox_covariance
from zoo.data.cmb.simulate import BEST_FIT, RANGES, TRANSFER_PARAMETERS, best_fit_spectra, spectra, transfer_functions

MOVED = ("H0", "ombh2", "omch2", "ns", "ln10As")
STEP = 1 / 20
"""Half of a difference that a derivative is taken of, of the width of the hypercube."""
STEPS = 4
BOOST = 2.0
"""Density of the multipoles at which CAMB computes; no oscillation is among these spectra."""


def plain(**moved: float) -> np.ndarray:
    """Binned spectra (215,) in muK^2 of LambdaCDM beside the best fit."""
    there = {name: value + moved.get(name, 0.0) for name, value in BEST_FIT.items()}
    return bin_spectra(spectra(transfer_functions(there, BOOST), ns=there["ns"], ln10As=there["ln10As"]))


def main() -> None:
    cholesky = np.linalg.cholesky(knox_covariance(best_fit_spectra()))
    best = plain()
    width = {name: STEP * (RANGES[name][1] - RANGES[name][0]) for name in MOVED}
    slopes = [(plain(**{name: width[name]}) - plain(**{name: -width[name]})) / (2 * width[name]) for name in MOVED]
    whitened = np.linalg.solve(cholesky, np.stack(slopes, axis=1))
    cosmology = {name: BEST_FIT[name] for name in TRANSFER_PARAMETERS}
    tilt = {name: BEST_FIT[name] for name in ("ns", "ln10As")}
    found = {}
    for universe in BACKGROUNDS["early"][1:]:
        HIDDEN[universe] = shift = dict.fromkeys(MOVED, 0.0)
        for step in range(STEPS + 1):
            there = bin_spectra(spectra_of(universe, transfers_of(universe, cosmology, BOOST), tilt))
            difference = np.linalg.solve(cholesky, there - best)
            print(f"{universe}, step {step}: chi-squared {np.square(difference).sum():.4g}", flush=True)
            if step < STEPS:
                towards = np.linalg.lstsq(whitened, difference, rcond=None)[0]
                shift.update({name: shift[name] - float(by) for name, by in zip(MOVED, towards, strict=True)})
        found[universe] = {"shift": dict(shift), "chi-squared": float(np.square(difference).sum())}
    write("hidden_universes.json", {"versions": about("camb"), "universes": found})


if __name__ == "__main__":
    main()
