"""A transformer that writes a formula for a set of points, token after token (Biggio et al. 2021, arXiv:2106.06427).

What the tokens are, the network does not know: they are numbers, of which 0 stands before the first and behind the last. Which
may follow, and what the constants are, is for who asks: `zoo.interpret.find_formulae`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from zoo.families.base import ZooModel
from zoo.families.set_layers import AWAY, AttentionBlock, CrossAttentionBlock, LearnedElements, built_dense, through
from zoo.model.registry import register_family

WAVES = np.pi * np.array([0.25, 0.5, 1.0, 2.0], np.float32)
"""Frequencies at which a coordinate is seen, per deviation of the set, as small differences show in waves, not in numbers."""
LEAST_SPREAD = 1e-6
"""Deviation, relative to the size of a coordinate, below which it counts as constant."""
SLOWEST = 1e3
"""Period, over 2 pi, of the slowest wave by which places in a formula are told apart."""


@register_family("symbolic-transformer")
class SymbolicTransformer(ZooModel):
    """Points of a function in, tokens of its formula out.

    A few learned elements attend to the points, and to each other (inducing points, Lee et al. 2019, arXiv:1810.00825), so that
    the work grows with the number of points and not with its square. Tokens attend to those before them, and to the elements.
    Each coordinate is seen in deviations from its mean over the set, as it is and as waves, beside the logarithms of its size,
    mean and deviation, so that no magnitude is lost.

    Parameters
    ----------
    coordinates : int
        Numbers of a point: all variables, and the value.
    tokens : int
        Number of tokens, the one that stands for nothing among them.
    width : int
        Numbers of an element or token between blocks, which the number of heads divides and which is even.
    heads : int
        Number of heads of each attention.
    memory : int
        Number of elements that a set of points becomes.
    encoder_blocks : int
        How many times the elements attend to the points, and then to each other.
    decoder_blocks : int
        How many times tokens attend to those before them, and then to the elements.
    activation : str
        Activation of all hidden layers.

    Raises
    ------
    ValueError
        The heads do not divide the width, the width is odd, or one of the numbers is not positive.
    """

    endpoints: ClassVar[dict[str, str]] = {"predict": "following", "encode": "encode", "next_token": "next_token"}
    no_gradient: ClassVar[str | None] = (
        "coordinates are seen in deviations of the set, which those that are constant, as unused variables are, have not;"
        " method occlusion needs none"
    )
    no_fine_tuning: ClassVar[str | None] = (
        "it was trained on points of formulae made at random, to write formulae for any: give yours to"
        " zoo.interpret.find_formulae"
    )

    def __init__(
        self,
        coordinates: int,
        tokens: int,
        width: int = 128,
        heads: int = 4,
        memory: int = 32,
        encoder_blocks: int = 2,
        decoder_blocks: int = 3,
        activation: str = "relu",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        counts = (coordinates, tokens, width, heads, memory, encoder_blocks, decoder_blocks)
        if min(counts) < 1 or width % heads or width % 2:
            raise ValueError(
                f"expected positive numbers, and an even width that the heads divide, given {width} and {heads} among {counts}"
            )
        self.config = {
            "coordinates": coordinates,
            "tokens": tokens,
            "width": width,
            "heads": heads,
            "memory": memory,
            "encoder_blocks": encoder_blocks,
            "decoder_blocks": decoder_blocks,
            "activation": activation,
        }
        self.tokens = tokens
        self.waves = np.repeat(WAVES, coordinates)
        self.seeing = built_dense("seeing", (4 + 2 * len(WAVES)) * coordinates, [width, width], activation, linear=True)
        self.elements = LearnedElements(width, memory, name="elements")
        self.asking = [CrossAttentionBlock(width, heads, activation, name=f"asking_{i}") for i in range(encoder_blocks)]
        self.mixing = [AttentionBlock(width, heads, activation, name=f"mixing_{i}") for i in range(encoder_blocks)]
        self.embedding = built_dense("embedding", tokens, [width], None)
        self.before = [AttentionBlock(width, heads, activation, name=f"before_{i}") for i in range(decoder_blocks)]
        self.reading = [CrossAttentionBlock(width, heads, activation, name=f"reading_{i}") for i in range(decoder_blocks)]
        self.normalized = [keras.layers.LayerNormalization(name=name) for name in ("normalized_memory", "normalized")]
        for layer in self.normalized:
            layer.build((None, None, width))
        self.head = built_dense("head", width, [tokens], None)
        self.periods = (SLOWEST ** (-2 * np.arange(width // 2) / width)).astype(np.float32)
        self.built = True

    def features(self, points, real):
        """What is seen of each point (batch, n, features), of points (batch, n, coordinates)."""
        here = ops.cast(real, "float32")[..., None]
        count = ops.maximum(ops.sum(here, axis=1, keepdims=True), 1.0)
        points = points * here
        mean = ops.sum(points, axis=1, keepdims=True) / count
        away = (points - mean) * here
        spread = ops.sqrt(ops.sum(ops.square(away), axis=1, keepdims=True) / count)
        spread = ops.maximum(spread, LEAST_SPREAD * (ops.abs(mean) + LEAST_SPREAD))
        scaled = away / spread
        same = ops.zeros_like(points)
        told = ops.concatenate([scaled, sized(points), sized(mean) + same, ops.log(spread) + same], axis=-1)
        waves = ops.concatenate([scaled] * len(WAVES), axis=-1) * self.waves
        return ops.concatenate([told, ops.sin(waves), ops.cos(waves)], axis=-1)

    def encode(self, points, real):
        """The memory (batch, memory, width) of those points (batch, n, coordinates) that are ``real`` (batch, n)."""
        seen = through(self.seeing, self.features(points, real))
        memory = self.elements(seen)
        for asking, mixing in zip(self.asking, self.mixing, strict=True):
            memory = mixing(asking(memory, seen, real))
        return self.normalized[0](memory)

    def decoded(self, memory, tokens, known):
        """Numbers (batch, length, width) of each of the tokens (batch, length), from those before it and itself."""
        place = ops.cumsum(ops.ones_like(ops.cast(tokens, "float32")), axis=1)
        angle = place[..., None] * self.periods
        # By comparison, as a look-up fails on tokens that there are not, such as what stands in padding.
        numbers = ops.cast(ops.cast(tokens, "int32")[..., None] == np.arange(self.tokens, dtype=np.int32), "float32")
        x = through(self.embedding, numbers) + ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
        later = ops.cast(place[:, None, None, :] > place[:, None, :, None], "float32")
        for before, reading in zip(self.before, self.reading, strict=True):
            x = reading(before(x, known, AWAY * later), memory)
        return self.normalized[1](x)

    def following(self, points, real, tokens, known):
        """Logits (batch, length, tokens) of what follows each of the tokens so far, the first of which is 0."""
        return through(self.head, self.decoded(self.encode(points, real), tokens, known))

    def next_token(self, memory, tokens, known):
        """Logits (batch, tokens) of what follows the last of the known tokens (batch, length)."""
        here = ops.cast(known, "float32")
        behind = ops.cumsum(here, axis=1)
        last = here * ops.cast(behind == ops.sum(here, axis=1, keepdims=True), "float32")
        found = ops.sum(self.decoded(memory, tokens, known) * last[..., None], axis=1)
        return through(self.head, found)

    def call(self, inputs):
        return self.following(*inputs)

    @property
    def objective_name(self) -> str:
        return "cross entropy of a token, nat"

    def objective(self, target, answer):
        target = ops.cast(target, "int32")
        there = ops.cast(target > 0, "float32")
        loss = ops.sparse_categorical_crossentropy(target, answer, from_logits=True)
        return ops.sum(loss * there, axis=-1) / ops.maximum(ops.sum(there, axis=-1), 1.0)

    def point(self, answer):
        return ops.argmax(answer, axis=-1)

    @property
    def blocks(self) -> dict[str, list[keras.layers.Layer]]:
        return {
            "points": [*self.seeing, self.elements],
            "encoder": [*self.asking, *self.mixing, self.normalized[0]],
            "decoder": [*self.embedding, *self.before, *self.reading, self.normalized[1]],
            "head": self.head,
        }

    def adapt(self, inputs: Mapping[str, Any], target: Any, weight: np.ndarray | None = None) -> None:
        """Nothing is measured: the sets themselves are standardized, and logarithms of sizes need it not."""

    def example(self, inputs, rng):
        points, real, tokens, known = inputs.values()
        memory = ops.convert_to_numpy(self.encode(points, real))
        return {"predict": (points, real, tokens, known), "encode": (points, real), "next_token": (memory, tokens, known)}


def sized(x):
    """A number of the sign of x that grows as the logarithm of its size, x itself near zero."""
    return ops.sign(x) * ops.log(1.0 + ops.abs(x))
