"""Flat LambdaCDM: linear power spectrum, growth of perturbations, and masses of spheres.

Lengths are comoving in Mpc/h, wavenumbers in h/Mpc, masses in Msun/h. Radiation and neutrino masses are left out of the
expansion and of the growth; the transfer function is that of the usual thermal history, normalized to sigma8 at z = 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import hyp2f1

Transfer = Literal["camb", "eisenstein-hu"]

CRITICAL_DENSITY = 2.77536627e11
"""The critical density 3 H0^2 / (8 pi G) in (Msun/h) / (Mpc/h)^3."""
CMB_TEMPERATURE = 2.7255
"""Temperature of the cosmic microwave background in K."""
TABLE = np.geomspace(1e-4, 30.0, 1200)
"""Wavenumbers (h/Mpc) at which the linear power spectrum is tabulated."""


class Cosmology(BaseModel):
    """Flat LambdaCDM; the defaults are Planck 2018 TT,TE,EE+lowE (arXiv:1807.06209, table 2)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    h: float = Field(default=0.6727, gt=0)
    omega_m: float = Field(default=0.3166, gt=0, lt=1)
    omega_b: float = Field(default=0.0494, gt=0)
    n_s: float = 0.9649
    sigma8: float = Field(default=0.812, gt=0)

    @model_validator(mode="after")
    def _baryons_are_matter(self) -> Cosmology:
        if self.omega_b >= self.omega_m:
            raise ValueError(f"expected omega_b < omega_m, which includes it, given {self.omega_b} and {self.omega_m}")
        return self


def linear_power(cosmology: Cosmology, k, z: float = 0.0, transfer: Transfer = "camb") -> np.ndarray:
    """Linear matter power spectrum, (Mpc/h)^3, at wavenumbers k (h/Mpc) of any shape; outside the table a power law."""
    log_table = _log_power(cosmology, transfer)
    log_k, log_nodes = np.log(np.asarray(k, dtype=float)), np.log(TABLE)
    slopes = np.diff(log_table)[[0, -1]] / np.diff(log_nodes)[[0, -1]]
    below, above = np.minimum(log_k - log_nodes[0], 0), np.maximum(log_k - log_nodes[-1], 0)
    inside = np.interp(log_k, log_nodes, log_table)
    return np.exp(inside + slopes[0] * below + slopes[1] * above) * growth(cosmology, 1 / (1 + z)) ** 2


def top_hat_window(x: np.ndarray) -> np.ndarray:
    """Fourier transform of the spherical top hat at x = k R: 3 (sin x - x cos x) / x^3, its series where that cancels."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(x < 1e-2, 1 - x**2 / 10, 3 * (np.sin(x) - x * np.cos(x)) / x**3)


def sigma_top_hat(cosmology: Cosmology, radius, transfer: Transfer = "camb") -> np.ndarray:
    """Standard deviation at z = 0 of the linear density contrast averaged over spheres of ``radius`` (Mpc/h, any shape)."""
    return _sigma(np.exp(_log_power(cosmology, transfer)), np.asarray(radius, dtype=float))


def mean_matter_density(cosmology: Cosmology) -> float:
    """Mean comoving density of matter in (Msun/h) / (Mpc/h)^3."""
    return CRITICAL_DENSITY * cosmology.omega_m


def lagrangian_radius(cosmology: Cosmology, mass) -> np.ndarray:
    """Radius (Mpc/h) of the sphere of mean density that holds ``mass`` (Msun/h)."""
    return np.cbrt(3 * np.asarray(mass, dtype=float) / (4 * np.pi * mean_matter_density(cosmology)))


def expansion(cosmology: Cosmology, a):
    """Expansion rate H(a) / H0."""
    return np.sqrt(cosmology.omega_m / np.asarray(a, dtype=float) ** 3 + 1 - cosmology.omega_m)


def growth(cosmology: Cosmology, a):
    """Linear growth factor, 1 at a = 1."""
    return _growth(cosmology.omega_m, a) / _growth(cosmology.omega_m, 1.0)


def growth_rate(cosmology: Cosmology, a):
    """Growth rate d ln D / d ln a."""
    a = np.asarray(a, dtype=float)
    return matter_fraction(cosmology, a) / 2 * (5 * a / _growth(cosmology.omega_m, a) - 3)


def matter_fraction(cosmology: Cosmology, a):
    """Fraction of matter Omega_m(a)."""
    return cosmology.omega_m / np.asarray(a, dtype=float) ** 3 / expansion(cosmology, a) ** 2


def _growth(omega_m: float, a):
    """Growing mode of flat LambdaCDM, which is a where matter dominates."""
    a = np.asarray(a, dtype=float)
    return a * hyp2f1(1 / 3, 1, 11 / 6, -(a**3) * (1 - omega_m) / omega_m)


def _sigma(power: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Standard deviation that a power spectrum at the table's wavenumbers gives spheres."""
    window = top_hat_window(np.asarray(radius)[..., None] * TABLE)
    return np.sqrt(np.trapezoid(TABLE**3 * power * window**2 / (2 * np.pi**2), np.log(TABLE), axis=-1))


@lru_cache(maxsize=16)
def _log_power(cosmology: Cosmology, transfer: Transfer) -> np.ndarray:
    """Logarithm of the power at z = 0 at the table's wavenumbers."""
    if transfer == "camb":
        power = _camb_power(cosmology)
    else:
        power = TABLE**cosmology.n_s * eisenstein_hu_transfer(cosmology, TABLE) ** 2
    log_power = np.log(power) + 2 * np.log(cosmology.sigma8 / _sigma(power, np.array(8.0)))
    log_power.setflags(write=False)  # every caller gets the same array
    return log_power


def _camb_power(cosmology: Cosmology) -> np.ndarray:
    """Linear power of CAMB at z = 0 in arbitrary units, with massless neutrinos."""
    import camb

    density = cosmology.h**2 * np.array([cosmology.omega_b, cosmology.omega_m - cosmology.omega_b])
    parameters = camb.set_params(H0=100 * cosmology.h, ombh2=density[0], omch2=density[1], mnu=0, omk=0, TCMB=CMB_TEMPERATURE)
    parameters.InitPower.set_params(As=2e-9, ns=cosmology.n_s)
    parameters.WantCls = False
    parameters.set_matter_power(redshifts=[0.0], kmax=TABLE[-1] * cosmology.h, nonlinear=False)
    _, _, power = camb.get_results(parameters).get_matter_power_spectrum(TABLE[0], TABLE[-1], npoints=len(TABLE))
    return power[0]


def eisenstein_hu_transfer(cosmology: Cosmology, k: np.ndarray) -> np.ndarray:
    """Matter transfer function with baryon oscillations at k in h/Mpc (Eisenstein & Hu 1998, astro-ph/9709112, section 3)."""
    matter, baryons = cosmology.omega_m * cosmology.h**2, cosmology.omega_b * cosmology.h**2
    fraction, theta = baryons / matter, CMB_TEMPERATURE / 2.7
    k = np.asarray(k, dtype=float) * cosmology.h  # 1/Mpc

    z_equality = 2.5e4 * matter * theta**-4
    k_equality = 7.46e-2 * matter * theta**-2
    b1 = 0.313 * matter**-0.419 * (1 + 0.607 * matter**0.674)
    b2 = 0.238 * matter**0.223
    z_drag = 1291 * matter**0.251 / (1 + 0.659 * matter**0.828) * (1 + b1 * baryons**b2)
    ratio_drag, ratio_equality = (31.5e3 * baryons * theta**-4 / z for z in (z_drag, z_equality))
    sound_horizon = (
        2 / (3 * k_equality) * np.sqrt(6 / ratio_equality)
        * np.log((np.sqrt(1 + ratio_drag) + np.sqrt(ratio_drag + ratio_equality)) / (1 + np.sqrt(ratio_equality)))
    )  # fmt: skip
    k_silk = 1.6 * baryons**0.52 * matter**0.73 * (1 + (10.4 * matter) ** -0.95)
    q = k / (13.41 * k_equality)

    def pressureless(alpha: float, beta: float) -> np.ndarray:
        curvature = 14.2 / alpha + 386 / (1 + 69.9 * q**1.08)
        log = np.log(np.e + 1.8 * beta * q)
        return log / (log + curvature * q**2)

    # Equations 9-12, 17 and 18 are for cold dark matter.
    a1 = (46.9 * matter) ** 0.670 * (1 + (32.1 * matter) ** -0.532)
    a2 = (12.0 * matter) ** 0.424 * (1 + (45.0 * matter) ** -0.582)
    alpha_c = a1**-fraction * a2 ** -(fraction**3)
    c1 = 0.944 / (1 + (458 * matter) ** -0.708)
    c2 = (0.395 * matter) ** -0.0266
    beta_c = 1 / (1 + c1 * ((1 - fraction) ** c2 - 1))
    weight = 1 / (1 + (k * sound_horizon / 5.4) ** 4)
    cold = weight * pressureless(1.0, beta_c) + (1 - weight) * pressureless(alpha_c, beta_c)

    # Equations 14, 15 and 19-24 are for baryons.
    y = (1 + z_equality) / (1 + z_drag)
    root = np.sqrt(1 + y)
    g = y * (-6 * root + (2 + 3 * y) * np.log((root + 1) / (root - 1)))
    alpha_b = 2.07 * k_equality * sound_horizon * (1 + ratio_drag) ** -0.75 * g
    beta_b = 0.5 + fraction + (3 - 2 * fraction) * np.sqrt((17.2 * matter) ** 2 + 1)
    beta_node = 8.41 * matter**0.435
    shifted = sound_horizon / np.cbrt(1 + (beta_node / (k * sound_horizon)) ** 3)
    damping = np.exp(-((k / k_silk) ** 1.4))
    acoustic = pressureless(1.0, 1.0) / (1 + (k * sound_horizon / 5.2) ** 2)
    acoustic += alpha_b / (1 + (beta_b / (k * sound_horizon)) ** 3) * damping
    return fraction * acoustic * np.sinc(k * shifted / np.pi) + (1 - fraction) * cold
