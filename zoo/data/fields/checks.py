"""What theory expects of a set of fields, and what they have of it: power over the hypercube, and values of cells of maps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.stats import norm

from zoo.data.fields.design import RANGES, FieldsConfig
from zoo.data.nbody.checks import halofit_power
from zoo.data.nbody.cosmology import Cosmology, linear_power
from zoo.data.nbody.initial import linear_density
from zoo.data.nbody.particle_mesh import evolve
from zoo.data.nbody.power import particle_power


def nearest(config: FieldsConfig, omega_m: float, sigma8: float, count: int) -> np.ndarray:
    """Numbers (count,) of the simulations nearest to a cosmology, in widths of the ranges of Omega_m and sigma_8."""
    distance = sum(
        ((config.design()[:, config.parameters.index(name)] - value) / np.ptp(RANGES[name])) ** 2
        for name, value in (("omega_m", omega_m), ("sigma8", sigma8))
    )
    return np.argsort(distance)[:count]


def nonlinear_power(cosmology: Cosmology, k: np.ndarray) -> np.ndarray:
    """Nonlinear matter power (Mpc/h)^3 at z = 0 and k (h/Mpc) for fields that began with Eisenstein and Hu's transfer function.

    It is their linear power times what HMcode-2020 makes of CAMB's (Mead et al. 2021, arXiv:2009.01858), over CAMB's.
    """
    return linear_power(cosmology, k, transfer="eisenstein-hu") * halofit_power(cosmology, k) / linear_power(cosmology, k)


def binned_ratio(measured: tuple[np.ndarray, np.ndarray, np.ndarray], expected: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Measured over expected power in wider bins of wavenumber, (bins,), each mode counted alike; NaN where there is none.

    Parameters
    ----------
    measured : tuple of ndarray
        Wavenumbers, powers and modes as ``field_power`` returns them.
    expected : ndarray
        The power that is expected in each of its bins.
    edges : ndarray of shape (bins + 1,)
        Edges of the wider bins, h/Mpc.
    """
    k, power, modes = measured
    inside = [(k >= low) & (k < high) for low, high in pairwise(edges)]
    return np.array([np.average((power / expected)[of], weights=modes[of]) if of.any() else np.nan for of in inside])


def cost_of_the_mesh(config: FieldsConfig, softening: float, number: int, edges: np.ndarray) -> np.ndarray:
    """Power of a simulation with the mesh's forces alone over that with direct forces between near particles, (bins,).

    Both begin with the same field. Near particles take three times as many steps: at the middle of the hypercube more than the
    default 30 change the mesh's power by 0.4% at most, but that of direct forces by 2 to 4% from 0.7 h/Mpc on. The power is
    measured on four cells a particle, so that it holds up to the Nyquist frequency of the particles.

    Parameters
    ----------
    config : FieldsConfig
        A set without direct forces.
    softening : float
        Softening of the direct forces, in mean separations.
    number : int
        Which simulation of the set.
    edges : ndarray of shape (bins + 1,)
        Edges of the bins of wavenumber, h/Mpc.
    """
    of_mesh = config.nbody(number)
    field = linear_density(of_mesh, config.field_seed(number))
    both = (of_mesh, of_mesh.model_copy(update={"softening": softening, "steps": 3 * of_mesh.steps}))
    mesh, direct = (particle_power(evolve(one, field)[0].positions, one.box, 4 * one.particles) for one in both)
    return binned_ratio(mesh, direct[1], edges)


def lognormal_fractions(variance: float, edges: np.ndarray, offset: float = 0.01) -> np.ndarray:
    """Fractions of cells (bins,) as ``summaries.one_point`` counts them, of a lognormal density of mean 1 and given variance.

    Parameters
    ----------
    variance : float
        Variance of the overdensity, whose logarithm then has variance log(1 + variance) (Coles & Jones 1991).
    edges : ndarray of shape (bins + 1,)
        Edges of the bins of log(1 + delta + offset).
    offset : float
        What is added to densities, in units of their mean.
    """
    width = np.log1p(variance)
    with np.errstate(divide="ignore"):
        below = np.log(np.maximum(np.exp(edges) - offset, 0))
    return np.diff(norm.cdf(below, loc=-width / 2, scale=np.sqrt(width)))
