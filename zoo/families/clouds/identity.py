"""What networks see of the kind of a particle: its charge and one of nine kinds, by its PDG code."""

from __future__ import annotations

import numpy as np
from keras import ops

from zoo.families.clouds.kinds import CODES, OF_CODE


def identities(identity):
    """Charge and kind of particles by their PDG codes (batch, particle), (batch, particle, 10).

    A graph can refuse nothing, so that any other code is a particle without charge and of no kind. Whatever checks inputs by a
    spec refuses codes that are not among the ``values`` that it lists.
    """
    codes, told = np.array(CODES, np.int32), np.array(list(OF_CODE.values()), np.float32)
    return ops.matmul(ops.cast(ops.equal(identity[..., None], codes), "float32"), told)
