"""What a posterior is asked of: the tensors of a conditional flow, and an observation as they take it."""

from __future__ import annotations

import numpy as np

from zoo.data.observation import Observation
from zoo.errors import InputError
from zoo.model.misspecification import Compared, Reference
from zoo.model.spec import ModelSpec, Tensor

MANY_NUMBERS = 100
"""Numbers of an observation from which on no two are the same by chance."""


def conditional_flow(spec: ModelSpec) -> tuple[Tensor, Tensor, Tensor]:
    """The tensors of a conditional flow.

    Parameters
    ----------
    spec : ModelSpec
        Spec of a model.

    Returns
    -------
    noise : Tensor
        What draws are made of.
    observed : Tensor
        What the posterior is given.
    parameters : Tensor
        The parameters that are drawn.

    Raises
    ------
    InputError
        The model is another kind.
    """
    endpoint = spec.endpoints.get("sample")
    inputs = [] if endpoint is None else endpoint.inputs
    masked = len(inputs) == 3 and inputs[1].mask == inputs[2].name
    if endpoint is None or not (len(inputs) == 2 or masked) or len(endpoint.outputs) != 1:
        raise InputError(f"{spec.name} is no conditional flow: expected an endpoint 'sample' of noise and observation")
    return inputs[0], inputs[1], endpoint.outputs[0]


def observed_inputs(
    spec: ModelSpec, observation: Observation, reference: Reference | None, allow_out_of_range: bool
) -> tuple[dict[str, np.ndarray], Compared | None]:
    """What was observed, and how like simulations it is.

    Parameters
    ----------
    spec : ModelSpec
        Spec of a conditional flow.
    observation : Observation
        One observation or several.
    reference : Reference or None
        What simulated observations are like.
    allow_out_of_range : bool
        Take observations that no simulation resembles.

    Returns
    -------
    given : dict of str to ndarray
        Observed inputs of the endpoint ``sample``, finite, with their mask where their length is free.
    compared : Compared or None
        How like simulations they are; None where that is not known.

    Raises
    ------
    InputError
        Numbers are missing, the same observation stands twice among several, or one is unlike the simulations.
    """
    noise, observed, _ = conditional_flow(spec)
    endpoint = spec.endpoint("sample")
    dtypes = {tensor.name: tensor.dtype for tensor in endpoint.inputs}
    given = {name: array.astype(dtypes[name]) for name, array in observation.of(endpoint, given=[noise.name]).items()}
    _expect_finite(observed.name, given[observed.name], observation.description)
    expect_different(observed.name, given[observed.name], observation.description)
    if reference is None:
        return given, None
    mask = given.get(observed.mask or "")
    return given, reference.expect_like(given[observed.name], mask, allow_out_of_range=allow_out_of_range)


def _expect_finite(name: str, array: np.ndarray, description: str) -> None:
    """Refuse an observation that lacks numbers, before it is held against simulations, of which NaN is beyond none."""
    if (missing := np.argwhere(~np.isfinite(array))).size:
        row, *at = missing[0].tolist()
        where = f"at {at}" if len(array) == 1 else f"in row {row} at {at}"
        raise InputError(
            f"{description}: expected a finite number for every element of {name}, given {len(missing)} that are NaN or"
            f" infinite, the first {where}: a posterior is of a whole observation"
        )


def expect_different(name: str, array: np.ndarray, description: str) -> None:
    """Refuse the same observation twice among several, where it is of so many numbers that chance does not make two."""
    if array[0].size < MANY_NUMBERS:
        return
    seen: dict[bytes, int] = {}
    for row, one in enumerate(array):
        first = seen.setdefault(one.tobytes(), row)
        if first != row:
            raise InputError(
                f"{description}: expected independent observations, given {name} of rows {first} and {row} that are the same:"
                " leave one out, as it would count twice"
            )
