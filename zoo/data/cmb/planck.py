"""Planck's public binned spectra as an observation.

The files are COM_PowerSpect_CMB-{TT,TE,EE}-binned_R3.0x.txt of the Planck Legacy Archive
(https://pla.esac.esa.int, "CMB angular power spectra"); columns l, D_l, -dD_l, +dD_l, best fit in muK^2.
They are not shipped: a user downloads them and gives their folder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from zoo.data.cmb.binning import CHANNELS, SLICES, joint_multipoles
from zoo.data.observation import Comparison, Constraint, Observation, observes
from zoo.errors import InputError
from zoo.model.fit import predicts
from zoo.paths import expect_there, user_path

PUBLISHED: dict[str, Constraint] = {
    "H0": (67.27, 66.67, 67.87),
    "ombh2": (0.02236, 0.02221, 0.02251),
    "omch2": (0.1202, 0.1188, 0.1216),
    "tau": (0.0544, 0.0463, 0.0614),
    "ns": (0.9649, 0.9605, 0.9693),
    "ln10As": (3.045, 3.029, 3.061),
}
"""Planck 2018 TT,TE,EE+lowE (arXiv:1807.06209, table 2)."""

FILE, ARCHIVE = "COM_PowerSpect_CMB-{}-binned_R3.0*.txt", "https://pla.esac.esa.int"
"""Planck's file of a channel, and where it is from."""
TAU = (0.0506, 0.0086)
"""Mean and standard deviation of tau by Planck's polarization at l < 30 alone (lowE; arXiv:1807.06209, section 3.3).

What Planck quotes from all of its spectra, 0.0544 +- 0.0073, would use those at l > 30 twice.
"""

NOT_KNOWN = (
    "correlations between neighboring bins (from the mask, lensing and foregrounds), which Planck's covariance has",
    "foregrounds, calibration and beams: subtracted from the public spectra at their best fit, without their uncertainty",
    f"tau: the bins begin at l = 30, where tau and As are degenerate; a prior of {TAU[0]} +- {TAU[1]} stands in for lowE,"
    " unless another was asked for",
    "non-linear lensing: simulations lens linearly, which changes TT by 0.2% at l = 2000",
    "noise that varies with the cosmology: every sky has the covariance of the best fit",
)
"""What a posterior of Planck's spectra leaves out."""


@dataclass(frozen=True)
class PlanckSpectra:
    """Joint TT, TE and EE bins of Planck's public files.

    Attributes
    ----------
    multipole : ndarray
        Multipole of each of the 215 bins.
    d_ell : ndarray
        D_l of each bin in muK^2.
    error : ndarray
        Standard deviation of each bin in muK^2.
    best_fit : ndarray
        Planck's best fit in each bin in muK^2.
    """

    multipole: np.ndarray
    d_ell: np.ndarray
    error: np.ndarray
    best_fit: np.ndarray


@observes("cmb-extension")
@observes("cmb-feature")
class PlanckSky:
    """Planck's spectra for a classifier of spectra, beside simulated skies without a feature."""

    def read_observation(self, path: Path) -> Observation:
        """Read a folder of Planck's binned spectra.

        Parameters
        ----------
        path : Path
            Folder of Planck's files.

        Returns
        -------
        Observation
            The spectrum with its errors and Planck's best fit.
        """
        return replace(_observation(path), compare=_skies_without_feature)


@observes("cmb-posterior")
class PlanckParameters:
    """Planck's spectra for a posterior of the parameters of LambdaCDM, beside Planck's own constraints."""

    emulator = "mlp-cmb-emulator"

    def read_observation(self, path: Path) -> Observation:
        """Read a folder of Planck's binned spectra.

        Parameters
        ----------
        path : Path
            The folder.

        Returns
        -------
        Observation
            The spectrum with its errors, Planck's best fit and Planck's constraints.
        """
        return replace(_observation(path), published=PUBLISHED, source="Planck 2018 TT,TE,EE+lowE", notes=NOT_KNOWN)

    def chi_squared(self, predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Chi-squared of spectra, by the covariance of the noise that the posterior was trained with.

        Parameters
        ----------
        predicted : ndarray
            Spectra in muK^2, of shape (n, 215).
        observed : ndarray
            One sky in muK^2, of shape (215,).

        Returns
        -------
        ndarray
            Chi-squared of each, of shape (n,).
        """
        from zoo.data.cmb.feature import load_spectra

        away = np.linalg.solve(load_spectra().cholesky, (predicted - observed).T.astype(np.float64))
        return np.square(away).sum(axis=0)


predicts("cmb-posterior")(PlanckParameters)


def _observation(folder: Path) -> Observation:
    planck = read_planck(folder)
    return Observation(
        inputs={"spectrum": planck.d_ell[None]},
        label="planck",
        description="Planck's binned spectra",
        error={"spectrum": planck.error[None]},
        reference={"spectrum": planck.best_fit[None]},
        reference_name="Planck's best fit",
    )


def _skies_without_feature() -> Comparison:
    from zoo.data.cmb.feature import CMBFeature

    spectra = CMBFeature(noise=True).spectra("test")[:, :, 0]
    return Comparison("simulated LambdaCDM skies", {"spectrum": spectra.reshape(-1, spectra.shape[-1]).astype(np.float32)})


def read_planck(folder: str | Path) -> PlanckSpectra:
    """Read Planck's three binned files.

    Parameters
    ----------
    folder : str or Path
        The folder that holds one file for each channel.

    Returns
    -------
    PlanckSpectra
        The joint bins, TT, then TE, then EE.

    Raises
    ------
    FileNotFoundError
        A channel has no file, or several.
    InputError
        There is no such folder, or a file has another binning, missing columns or values that are not finite.
    """
    folder = user_path(folder)
    expect_there(folder, f"a folder with {FILE.format('TT')} and those of TE and EE, as they are at {ARCHIVE}")
    joined = np.concatenate([_read_channel(folder, channel) for channel in CHANNELS])
    multipole, d_ell, lower, upper, best_fit = joined.T
    return PlanckSpectra(multipole, d_ell, (lower + upper) / 2, best_fit)


def _read_channel(folder: Path, channel: str) -> np.ndarray:
    pattern = FILE.format(channel)
    paths = sorted(folder.glob(pattern)) if folder.is_dir() else []
    if len(paths) != 1:
        found = ", ".join(path.name for path in paths) or "none"
        raise FileNotFoundError(f"expected one {pattern} in {folder}, found {found}; Planck's binned spectra are at {ARCHIVE}")
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
