"""Samples of a posterior as arviz and getdist take them."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.errors import InputError, ZooError
from zoo.interpret.posteriors.draws import draws_of
from zoo.interpret.posteriors.mcmc import Chains
from zoo.interpret.posteriors.parameters import parameters_of
from zoo.model.handed_in.tensors import numbers_alone
from zoo.quiet import quiet_arviz

GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi",
    "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
}  # fmt: skip
"""Names of letters that LaTeX knows."""


def to_arviz(
    samples: Any,
    parameters: Any,
    *,
    log_density: np.ndarray | None = None,
    observed: np.ndarray | Mapping[str, np.ndarray] | None = None,
) -> Any:
    """Samples as arviz takes them.

    Parameters
    ----------
    samples : array_like or Chains
        Draws from one posterior, (n, D), as one chain, or several, (chains, draws, D); a table or a mapping of them by name; or
        what ``flow_mcmc`` or ``sample_posterior`` gave.
    parameters : Flow or sequence of str
        Names of the D parameters, or the flow that drew them, which knows their names and units.
    log_density : ndarray, optional
        Logarithm of the density at the samples, (n,), or with the first two axes of chains; it is called ``lp``.
    observed : ndarray or mapping of str to ndarray, optional
        What was observed, under its name, or as ``x``.

    Returns
    -------
    arviz.InferenceData
        Groups ``posterior`` with a variable (chain, draw) for each parameter, ``sample_stats`` and ``observed_data`` where they
        are known; units are attributes of the variables. Of arviz 1, a DataTree.

    Raises
    ------
    InputError
        Samples or log densities have another shape, or are not finite.
    ZooError
        Package arviz is not installed.

    Examples
    --------
    >>> posterior = to_arviz(flow.draw(1000, x), flow)  # doctest: +SKIP
    >>> arviz.summary(posterior)  # doctest: +SKIP
    """
    arviz = _imported("arviz")
    known = parameters_of(parameters)
    chains = draws_of(samples, known)
    groups: dict[str, dict[str, np.ndarray]] = {"posterior": {name: chains[..., k] for k, name in enumerate(known.names)}}
    if log_density is not None:
        groups["sample_stats"] = {"lp": _of_samples(log_density, chains, samples)}
    if observed is not None:
        named = observed if isinstance(observed, Mapping) else {"x": observed}
        groups["observed_data"] = {name: np.asarray(numbers_alone(array, name)) for name, array in named.items()}
    made = arviz.from_dict(**groups) if hasattr(arviz, "InferenceData") else arviz.from_dict(groups)
    for name, unit in known.units.items():
        made["posterior"][name].attrs["units"] = unit
    return made


def to_getdist(
    samples: Any,
    parameters: Any,
    *,
    log_density: np.ndarray | None = None,
    limits: Mapping[str, tuple[float | None, float | None]] | None = None,
    latex: Mapping[str, str] | None = None,
    label: str | None = None,
) -> Any:
    """Samples as getdist takes them.

    Parameters
    ----------
    samples : array_like or Chains
        Draws from one posterior, (n, D), which are independent, or chains, (chains, draws, D); a table or a mapping of them by
        name; or what ``flow_mcmc`` or ``sample_posterior`` gave.
    parameters : Flow or sequence of str
        Names of the D parameters, or the flow that drew them, which knows their names, units and limits.
    log_density : ndarray, optional
        Logarithm of the density at the samples, (n,), or with the first two axes of chains.
    limits : mapping of str to tuple, optional
        Where the density of a parameter ends, None where it does not on a side; those of a flow by default. Without them,
        getdist smooths across the edge of a prior.
    latex : mapping of str to str, optional
        Label of a parameter in LaTeX without dollars; by default made of name and unit.
    label : str, optional
        Name of the samples in a legend.

    Returns
    -------
    getdist.MCSamples
        The samples with names, labels and limits.

    Raises
    ------
    InputError
        Samples or log densities have another shape, or are not finite; limits or labels are of other parameters.
    ZooError
        Package getdist is not installed.

    Examples
    --------
    >>> getdist.plots.get_subplot_plotter().triangle_plot(to_getdist(flow.draw(9999, x), flow))  # doctest: +SKIP
    """
    getdist = _imported("getdist")
    known = parameters_of(parameters)
    chains = draws_of(samples, known)
    for what, given in (("limits", limits or {}), ("latex", latex or {})):
        if unknown := [name for name in given if name not in known.names]:
            raise InputError(f"{what}: expected those of {', '.join(known.names)}, given {', '.join(unknown)}")
    ends = {**known.limits, **(limits or {})}
    likelihoods = None if log_density is None else -_of_samples(log_density, chains, samples)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints how many rows of burn-in it removed, which are none
        return getdist.MCSamples(
            samples=list(chains),
            loglikes=None if likelihoods is None else list(likelihoods),
            names=[_plain(name) for name in known.names],
            labels=[(latex or {}).get(name) or _latex(name, known.units.get(name, "1")) for name in known.names],
            ranges={_plain(name): list(pair) for name, pair in ends.items() if pair != (None, None)},
            label=label,
            sampler="mcmc" if isinstance(samples, Chains) or len(chains) > 1 else "uncorrelated",
            ignore_rows=0,
        )


def _of_samples(log_density: np.ndarray, chains: np.ndarray, samples: Any) -> np.ndarray:
    """Log densities (chains, draws), which come in the order of the axes of the samples."""
    found = numbers_alone(log_density, "log_density").astype(np.float64)
    draws_first = isinstance(samples, Chains)
    found = found[None] if found.ndim == 1 else found.T if draws_first else found
    if found.shape != chains.shape[:2]:
        expected = chains.shape[1:2] if len(chains) == 1 else chains.shape[1::-1] if draws_first else chains.shape[:2]
        raise InputError(f"log_density: expected one of each sample, of shape {expected}, given {np.shape(log_density)}")
    return found


def _plain(name: str) -> str:
    """A name that getdist's files can hold, in which spaces and stars have a meaning."""
    return re.sub(r"[\s*]+", "_", name)


def _latex(name: str, unit: str) -> str:
    """A label of a name such as ``sigma_8`` or ``lifetime``, with its unit."""
    base, _, index = name.partition("_")
    letter = f"\\{base}" if base in GREEK else base if len(base) == 1 else f"\\mathrm{{{_text(base)}}}"
    symbol = letter + (f"_{{\\mathrm{{{_text(index)}}}}}" if index else "")
    return symbol if unit in ("", "1") else f"{symbol}\\;[\\mathrm{{{_text(unit)}}}]"


def _text(words: str) -> str:
    return re.sub(r"([_%$#&{}])", r"\\\1", words).replace("^", r"\hat{}").replace(" ", r"\ ")


def _imported(package: str) -> Any:
    import importlib

    try:
        with quiet_arviz():
            return importlib.import_module(package)
    except ImportError as error:
        raise ZooError(f"this needs {package} ({error}): pip install 'physzoo[posteriors]'") from error
