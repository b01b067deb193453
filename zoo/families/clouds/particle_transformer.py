"""Particle transformer: attention that knows what two particles are to each other (Qu et al. 2022, arXiv:2202.03772)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from zoo.families.clouds.cloud import CloudClassifier, some
from zoo.families.clouds.frame import about_axis, pair_kinematics
from zoo.families.layers import Standardize
from zoo.families.set_layers import AttentionBlock, ClassAttentionBlock, LearnedElements, built_dense, through
from zoo.model.registry import register_family

PAIRS = 4
"""Number of what is seen of two particles."""
MEASURED_PAIRS = 256
"""Training jets on which mean and scale of what is seen of two particles are measured."""


@register_family("particle-transformer")
class ParticleTransformer(CloudClassifier):
    """Attention of particles to each other, then of a class token to them.

    What two particles are to each other is made a bias of their attention, the same in all blocks. The paper's transformer has
    width 128, 8 heads, 8 blocks and 2 of the class token, embedding [128, 512] and pair [64, 64, 64]; it normalizes once more
    inside each block, has dropout, and gelu in place of relu. The endpoint ``attention`` is what the class token attends to.

    Parameters
    ----------
    width : int
        Numbers of a particle between blocks, which the number of heads divides.
    heads : int
        Number of heads of each attention.
    blocks : int
        Number of blocks of attention of particles to each other.
    class_blocks : int
        Number of blocks of attention of the class token, at least one.
    embedding : sequence of int
        Units of the layers that a particle passes before the first block; one of ``width`` follows.
    pair : sequence of int
        Units of the layers that what is seen of two particles passes; one of as many as heads follows.
    identity : bool
        Whether the kind of a particle is seen.
    outputs : int
        Number of probabilities: 1 for that of class 1 of two, else one for each class.
    activation : str
        Activation of all hidden layers.

    Raises
    ------
    ValueError
        The heads do not divide the width, or there is no block of the class token.
    """

    family = "particle-transformer"

    def __init__(
        self,
        width: int,
        heads: int,
        blocks: int,
        class_blocks: int = 2,
        embedding: Sequence[int] = (),
        pair: Sequence[int] = (),
        identity: bool = True,
        outputs: int = 1,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(outputs, identity, **kwargs)
        if heads < 1 or width % heads or class_blocks < 1 or blocks < 0:
            raise ValueError(
                f"expected heads that divide the width and a class block, given {heads} heads, width {width}, {blocks} blocks"
                f" and {class_blocks} class blocks"
            )
        self.endpoints = {**self.endpoints, "attention": "attention"}  # type: ignore[misc]
        self.config = {
            "width": width,
            "heads": heads,
            "blocks": blocks,
            "class_blocks": class_blocks,
            "embedding": list(embedding),
            "pair": list(pair),
            "identity": identity,
            "outputs": outputs,
            "activation": activation,
        }
        self.standardize_pairs = Standardize((PAIRS,), name="standardize_pairs")
        self.embedding = built_dense("embedding", self.seen, [*embedding, width], activation, linear=True)
        self.pair = built_dense("pair", PAIRS, [*pair, heads], activation, linear=True)
        self.attention_blocks = [AttentionBlock(width, heads, activation, wider=4, name=f"block_{i}") for i in range(blocks)]
        self.class_blocks = [
            ClassAttentionBlock(width, heads, activation, wider=4, name=f"class_block_{i}") for i in range(class_blocks)
        ]
        self.token = LearnedElements(width, name="token")
        self.normalized = keras.layers.LayerNormalization(name="normalized")
        self.normalized.build((None, width))
        self.finish(width)

    def _attended(self, particles, *others) -> tuple[Any, list]:
        """The class token (batch, 1, width) in the end, and its attention (batch, heads, 1, 1 + particle) in each block."""
        *identity, real = others
        frame = about_axis(particles, real)
        x = through(self.embedding, self.features(frame, identity))
        bias = through(self.pair, self.standardize_pairs(pair_kinematics(frame)))
        bias = ops.transpose(bias, (0, 3, 1, 2))
        for block in self.attention_blocks:
            x = block(x, real, bias)
        token, weights = self.token(x), []
        for class_block in self.class_blocks:
            token, weight = class_block(token, x, real)
            weights.append(weight)
        return token, weights

    def embed(self, particles, *others):
        return self.normalized(self._attended(particles, *others)[0][:, 0])

    def attention(self, particles, *others):
        """Share of the class token's attention that each particle has, (batch, particle, class block, head).

        What is missing from one is its attention to itself; a jet without particles has zeros.
        """
        weights = ops.stack([weight[:, :, 0, 1:] for weight in self._attended(particles, *others)[1]], axis=1)
        return ops.transpose(weights, (0, 3, 1, 2))

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "stem": [self.standardize, self.standardize_pairs],
            "embedding": [*self.embedding, *self.pair],
            **{block.name: [block] for block in self.attention_blocks},
            "class_token": [self.token, *self.class_blocks, self.normalized],
            "head": [self.head],
        }

    def adapt(self, inputs, target, weight=None) -> None:
        super().adapt(inputs, target, weight)
        frame, real, weight = some(inputs, weight, MEASURED_PAIRS)
        both = real[:, :, None] & real[:, None]
        if both.any():
            each = None if weight is None else np.broadcast_to(weight[:, None, None], both.shape)[both]
            self.standardize_pairs.adapt(ops.convert_to_numpy(pair_kinematics(frame))[both], each)
