"""What a flow is asked to condition on: checked as a session checks its inputs, and held against the simulations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.model.inputs import InputCheck
from zoo.model.misspecification import Reference
from zoo.model.spec import Endpoint, Tensor


def checked_context(
    tensors: Sequence[Tensor],
    given: Sequence[np.ndarray],
    reference: Reference | None,
    *,
    allow_nonfinite: bool,
    allow_out_of_range: bool,
) -> list[np.ndarray]:
    """Refuse contexts that are not finite, out of range or nothing like simulations, and warn of what is hardly like them.

    Parameters
    ----------
    tensors : sequence of Tensor
        What is expected: the observation, and its mask where it has one.
    given : sequence of ndarray
        An array for each, of shape (m, ...).
    reference : Reference, optional
        What simulated observations are like, where it is known.
    allow_nonfinite : bool
        Let NaN and infinity through.
    allow_out_of_range : bool
        Let values outside the trained range, and observations that no simulation resembles, through.

    Returns
    -------
    list of ndarray
        The arrays, in the dtypes of the tensors.

    Raises
    ------
    InputError
        Naming the tensor, what was expected and what was given.

    Warns
    -----
    MisspecificationWarning
        An observation is unlike simulations.
    """
    check = InputCheck(Endpoint(description="", inputs=list(tensors), outputs=list(tensors[:1])))
    named = dict(zip([tensor.name for tensor in tensors], given, strict=True))
    checked = list(check(named, allow_nonfinite, allow_out_of_range).values())
    if reference is not None and len(checked[0]):
        reference.expect_like(checked[0], *checked[1:2], allow_out_of_range=allow_out_of_range)
    return checked
