"""The observation that rounds of simulations are for: read as it was meant, in the simulator's units and order."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.data.sbi.datum import Datum
from zoo.data.sbi.simulating.read_answer import read_answer
from zoo.errors import InputError
from zoo.model.handed_in.tables import has_names
from zoo.model.handed_in.tensors import rows_of
from zoo.model.spec import Tensor


def expect_observation(given: Any) -> None:
    """Refuse what no simulator's answer can be compared with, before anything is simulated.

    Parameters
    ----------
    given : array_like
        What was handed in.

    Raises
    ------
    InputError
        There is none, it is no row of numbers, or some are missing or not finite.
    """
    if given is None:
        raise InputError("rounds are for one observation, given none: give it as observation, the simulator's data (C,)")
    try:
        found = read_answer(given).array
    except (TypeError, ValueError, InputError) as error:
        raise InputError(f"observation: expected one row (C,) of finite numbers: {error}") from error
    if found.ndim != 1 or not np.isfinite(found).all():
        what = "some that are not finite or missing" if found.ndim == 1 else f"shape {found.shape}"
        raise InputError(f"observation: expected one row (C,) of finite numbers, given {what}")


def observed(given: Any, datum: Datum) -> np.ndarray:
    """The numbers of an observation as the simulator would have answered them.

    Parameters
    ----------
    given : array_like
        What was handed in, as :func:`expect_observation` takes it: plain numbers are in the simulator's units and order.
    datum : Datum
        What the simulator answers.

    Returns
    -------
    ndarray
        The numbers, (C,), float64.

    Raises
    ------
    InputError
        It has other names or another shape than the simulator's answers, or a unit that cannot be converted to theirs.
    """
    from zoo.training.observations import observed_tensors

    if not has_names(given) and np.ndim(given) == 0:
        given = np.atleast_1d(given)
    rows, _ = rows_of(given, Tensor.model_validate(observed_tensors(datum)[0]))
    if rows.shape != (1, *datum.shape):
        raise InputError(f"observation: expected the simulator's data of shape {datum.shape}, given {rows.shape[1:]}")
    return rows[0].astype(np.float64)
