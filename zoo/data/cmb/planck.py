"""Planck's public binned spectra as a model's input.

The files are COM_PowerSpect_CMB-{TT,TE,EE}-binned_R3.0x.txt of the Planck Legacy Archive
(https://pla.esac.esa.int, "CMB angular power spectra"); columns l, D_l, -dD_l, +dD_l, best fit in muK^2.
They are not shipped: a user downloads them and gives their folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.data.cmb.binning import CHANNELS, SLICES, joint_multipoles
from zoo.errors import InputError


@dataclass(frozen=True)
class PlanckSpectra:
    """Joint TT, TE, EE bins, each (215,): multipole, D_l, its error and Planck's best fit in muK^2."""

    multipole: np.ndarray
    d_ell: np.ndarray
    error: np.ndarray
    best_fit: np.ndarray


def read_planck(folder: str | Path) -> PlanckSpectra:
    """Read the three binned files in ``folder``.

    Raises
    ------
    FileNotFoundError
        If a channel has no file, or several.
    InputError
        If a file has another binning, missing columns or values that are not finite.
    """
    joined = np.concatenate([_read_channel(Path(folder), channel) for channel in CHANNELS])
    multipole, d_ell, lower, upper, best_fit = joined.T
    return PlanckSpectra(multipole, d_ell, (lower + upper) / 2, best_fit)


def _read_channel(folder: Path, channel: str) -> np.ndarray:
    pattern = f"COM_PowerSpect_CMB-{channel}-binned_R3.0*.txt"
    paths = sorted(folder.glob(pattern)) if folder.is_dir() else []
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "none"
        raise FileNotFoundError(
            f"expected one {pattern} in {folder}, found {found}; Planck's binned spectra are at https://pla.esac.esa.int"
        )
    try:
        table = np.loadtxt(paths[0], ndmin=2)
    except ValueError as error:
        raise InputError(f"{paths[0]} is not a table of numbers: {error}") from error
    multipole = joint_multipoles()[SLICES[channel]]
    if table.shape != (multipole.size, 5):
        raise InputError(f"{paths[0]}: expected {multipole.size} bins of 5 columns, given a table of shape {table.shape}")
    if not np.isfinite(table).all():
        raise InputError(f"{paths[0]} holds NaN or infinite values")
    if not np.allclose(table[:, 0], multipole, atol=0.01):
        worst = int(np.argmax(np.abs(table[:, 0] - multipole)))
        raise InputError(
            f"{paths[0]}: expected Planck's binning, l = {multipole[worst]:.2f} in row {worst}, given {table[worst, 0]:.2f}"
        )
    return table
