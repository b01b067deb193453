"""A prior from whatever a user has: laws by name, distributions of SciPy, an object or two functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from zoo.data.sbi.priors.frozen import NO_DENSITY, is_frozen
from zoo.data.sbi.priors.joint_prior import JointPrior
from zoo.data.sbi.priors.parameters import expect_names
from zoo.data.sbi.priors.prior import Prior
from zoo.errors import InputError

AnyPrior: TypeAlias = Prior | JointPrior
"""A prior that one can draw from and whose density is known."""
DENSITIES = ("log_prob", "log_density", "logpdf")
JOINT = ("multivariate_normal_frozen", "multivariate_t_frozen")
REFUSED = {
    "dirichlet": "its values sum to one, so it has no density over all of them: give a prior of all but the last, as an object"
    " with sample(n, rng) and log_prob(theta)",
    "multinomial": NO_DENSITY,
    "multivariate_hypergeom": NO_DENSITY,
    "dirichlet_multinomial": NO_DENSITY,
}


def as_prior(
    value: Any,
    names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    bounds: Mapping[str, Sequence[float | None]] | None = None,
) -> AnyPrior:
    """A prior from what a user has.

    Parameters
    ----------
    value : object
        A prior; a mapping of name to law, as ``Prior`` takes it; a sequence of laws, with ``names``; a frozen distribution of
        ``scipy.stats`` of one variable, a multivariate normal or a multivariate t; an object with ``sample`` or ``rvs`` and one
        of ``log_prob``, ``log_density`` and ``logpdf``; or these two functions in a tuple.
    names : sequence of str, optional
        Names of the parameters, where the value says none; ``theta_1``, ``theta_2``, ... by default.
    units : mapping of str to str, optional
        Units of parameters by name, where the value says none.
    bounds : mapping of str to sequence of float or None, optional
        Ends of the support of parameters by name, for an object or functions that cannot say them.

    Returns
    -------
    Prior or JointPrior
        The prior.

    Raises
    ------
    InputError
        Nothing of the kind, or a distribution without a density; a name that is no word or is there twice; a unit that is none.
    UnknownNameError
        A unit or bounds are given for no parameter.

    Examples
    --------
    >>> from scipy import stats
    >>> as_prior({"rate": stats.gamma(2.0), "phase": stats.uniform(0, 1)}, units={"rate": "1/s"}).units
    {'rate': '1/s', 'phase': '1'}
    """
    if isinstance(value, Prior | JointPrior):
        if names is not None or units is not None or bounds is not None:
            raise InputError("as_prior: a prior has its names, units and bounds: give them where it is made")
        return value
    if is_frozen(value):
        value = [value]
    functions = isinstance(value, tuple) and len(value) == 2 and all(map(_is_function, value))
    if isinstance(value, Sequence) and not isinstance(value, str) and not functions:
        names = [f"theta_{i + 1}" for i in range(len(value))] if names is None else names
        names = expect_names(names)
        if len(names) != len(value):
            raise InputError(f"prior: expected a name for each of {len(value)} laws, given {len(names)}")
        value, names = dict(zip(names, value, strict=True)), None
    if isinstance(value, Mapping):
        if names is not None or bounds is not None:
            raise InputError("prior: laws by name have their names and bounds: leave out names and bounds")
        return Prior(value, units)
    if functions:
        return JointPrior(value[0], value[1], names, units, bounds)
    if type(value).__module__.startswith("scipy.stats"):
        _expect_density(value)
    sample = next((getattr(value, name) for name in ("sample", "rvs") if hasattr(value, name)), None)
    density = next((getattr(value, name) for name in DENSITIES if hasattr(value, name)), None)
    if sample is None or density is None:
        raise InputError(
            "prior: expected laws by name, a frozen distribution of scipy.stats, or an object with sample(n, rng) and"
            f" log_prob(theta), given {type(value).__name__}"
        )
    return JointPrior(sample, density, names, units, bounds)


def _is_function(value: Any) -> bool:
    return callable(value) and not is_frozen(value)


def _expect_density(value: Any) -> None:
    """Refuse distributions of SciPy that have no density over as many numbers as they draw."""
    kind = type(value).__name__
    if kind not in JOINT:
        reason = REFUSED.get(kind.removesuffix("_frozen").removesuffix("_gen"))
        raise InputError(
            f"prior: expected a frozen multivariate_normal or multivariate_t, given {kind}"
            + (f": {reason}" if reason else ": write an object with sample(n, rng) and log_prob(theta) of it")
        )
    shape = np.atleast_2d(value.cov if kind == JOINT[0] else value.shape)
    if np.linalg.matrix_rank(shape, hermitian=True) < len(shape):
        raise InputError(f"prior: {kind} has a singular covariance: some parameters follow from others, leave those out")
