"""A U-Net of periodic maps, whose blocks are told what they are asked for (Ronneberger et al. 2015, arXiv:1505.04597)."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import ops

GROUPS = 8
"""Groups of channels that are normalized together, each by its mean and deviation over the map."""


def wrapped(x):
    """Maps or cubes (batch, ..., channels) with one cell more beyond each edge, from across the box."""
    for axis in range(1, len(x.shape) - 1):
        before = (slice(None),) * axis
        x = ops.concatenate([x[(*before, slice(-1, None))], x, x[(*before, slice(1))]], axis=axis)
    return x


class ToldBlock(keras.layers.Layer):
    """Two convolutions beside an identity, the second of which sees channels scaled and shifted by what the block is told.

    Parameters
    ----------
    before, units : int
        Channels before and after.
    told : int
        Numbers that it is told.
    """

    def __init__(self, before: int, units: int, told: int, **kwargs) -> None:
        super().__init__(**kwargs)
        layers = keras.layers
        self.norms = [layers.GroupNormalization(GROUPS, name=f"norm_{i}") for i in range(2)]
        self.convolutions = [
            layers.Conv2D(units, 3, kernel_initializer=start, name=f"convolution_{i}")
            for i, start in enumerate(("glorot_uniform", "zeros"))
        ]
        for norm, convolution, channels in zip(self.norms, self.convolutions, (before, units), strict=True):
            norm.build((None, None, None, channels))
            convolution.build((None, None, None, channels))
        self.gain = layers.Dense(2 * units, name="gain")
        self.gain.build((None, told))
        self.past = None
        if before != units:
            self.past = layers.Conv2D(units, 1, name="past")
            self.past.build((None, None, None, before))
        self.built = True

    def call(self, x, told):
        """Maps (batch, height, width, units) of maps (batch, height, width, before), told numbers (batch, told)."""
        gain, shift = ops.split(self.gain(told)[:, None, None], 2, axis=-1)
        seen = self.convolutions[0](wrapped(ops.silu(self.norms[0](x))))
        seen = self.convolutions[1](wrapped(ops.silu(self.norms[1](seen) * (1 + gain) + shift)))
        return seen + (x if self.past is None else self.past(x))


class UNet(keras.layers.Layer):
    """One channel out of several, of the same height and width.

    Of an odd number of cells the last one makes a block by itself on the level below, so that no size is refused; whole blocks
    on every level leave no seam.

    Parameters
    ----------
    inputs : int
        Channels of the maps.
    channels : sequence of int
        Channels of each level, multiples of 8; each but the first has half as many cells along a side.
    told : int
        Numbers that every block is told.

    Raises
    ------
    ValueError
        There are no levels, or channels that groups do not divide.
    """

    def __init__(self, inputs: int, channels: Sequence[int], told: int, **kwargs) -> None:
        super().__init__(**kwargs)
        if not channels or any(units < 1 or units % GROUPS for units in channels):
            raise ValueError(f"channels: expected multiples of {GROUPS} for one or more levels, given {list(channels)}")
        layers = keras.layers
        self.enter = layers.Conv2D(channels[0], 3, name="enter")
        self.enter.build((None, None, None, inputs))
        befores = [channels[0], *channels[:-1]]
        self.down = [
            ToldBlock(before, units, told, name=f"down_{i}")
            for i, (before, units) in enumerate(zip(befores, channels, strict=True))
        ]
        self.up = [
            ToldBlock(channels[i + 1] + channels[i], channels[i], told, name=f"up_{i}") for i in range(len(channels) - 1)
        ]
        self.halve, self.double = (
            layers.AveragePooling2D(2, padding="same", name="halve"),
            layers.UpSampling2D(2, name="double"),
        )
        self.norm = layers.GroupNormalization(GROUPS, name="norm")
        self.norm.build((None, None, None, channels[0]))
        self.leave = layers.Conv2D(1, 3, kernel_initializer="zeros", name="leave")
        self.leave.build((None, None, None, channels[0]))
        self.built = True

    def call(self, x, told):
        """Maps (batch, height, width, 1) of maps (batch, height, width, inputs), told numbers (batch, told)."""
        x, kept = self.enter(wrapped(x)), []
        for block in self.down:
            x = block(self.halve(x) if kept else x, told)
            kept.append(x)
        x = kept.pop()
        for block in reversed(self.up):
            past = kept.pop()
            height, width = ops.shape(past)[1], ops.shape(past)[2]
            x = block(ops.concatenate([self.double(x)[:, :height, :width], past], axis=-1), told)
        return self.leave(wrapped(ops.silu(self.norm(x))))
