"""Embeddings: networks that make a fixed number of features of sets, sequences, images and fields.

What an embedding is given has been standardized, unless it ``scales_itself``, and its padding is zero. Padding changes no
feature: it is left out of means and of attention, and is zero again before each convolution, as what lies beyond the ends is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import keras
import numpy as np
import pydantic
from keras import ops
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from zoo.errors import fault
from zoo.families.fields.convolutions import FieldFeatures
from zoo.families.set_layers import AttentionBlock, built_dense, pooled, through

Units = Annotated[int, pydantic.Field(gt=0)]
Layers = Annotated[list[Units], pydantic.Field(min_length=1)]
PLACED = 8
"""Numbers kept of each position after the last stage of a convolution over a fixed size, beside the mean over positions."""
FAR = 8
"""Positions along an axis to which the default stages of a convolution bring a sequence or an image of fixed size."""
FEATURES = 16
"""The most numbers of an element that the last of two axes is taken for, and not for the width of an image."""


class _Embedding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    positions: ClassVar[int] = 1
    """Number of axes along which elements lie; one more axis holds the numbers of an element."""
    takes_free: ClassVar[bool] = True
    """Whether the first of these axes may be of free length."""
    scales_itself: ClassVar[bool] = False
    """Whether the layer takes what is observed as it is, and measures its scales in ``adapt``."""


class MeanPooled(_Embedding):
    """A deep set (Zaheer et al. 2017, arXiv:1703.06114): a network of each element, and one of their mean."""

    kind: Literal["mean-pooled"] = "mean-pooled"
    element_units: Layers = [64, 64]
    """Units of the layers that each element passes."""
    units: Layers = [64, 32]
    """Units of the layers after the mean, the last of which are the features."""


class Attention(_Embedding):
    """A set transformer (Lee et al. 2019, arXiv:1810.00825): elements attend to each other before their mean is taken."""

    kind: Literal["attention"] = "attention"
    width: Units = 32
    """Numbers that an element has in the blocks."""
    heads: Units = 4
    blocks: Units = 2
    units: Layers = [64, 32]
    """Units of the layers after the mean, the last of which are the features."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Attention:
        if self.width % self.heads:
            raise ValueError(f"expected a width that {self.heads} heads divide, given {self.width}")
        return self


class Convolution1D(_Embedding):
    """Convolutions along a sequence, each of which halves it; then a network, of the mean alone where lengths are free."""

    kind: Literal["convolution-1d"] = "convolution-1d"
    filters: Layers = [32, 64, 64]
    """Filters of each stage."""
    kernel: Units = 5
    units: Layers = [64, 32]
    """Units of the layers after the last stage, the last of which are the features."""


class Convolution2D(_Embedding):
    """Convolutions over an image of fixed size, each of which halves its sides; a network of the whole."""

    positions: ClassVar[int] = 2
    takes_free: ClassVar[bool] = False

    kind: Literal["convolution-2d"] = "convolution-2d"
    filters: Layers = [16, 32, 64]
    """Filters of each stage."""
    kernel: Units = 3
    units: Layers = [64, 32]
    """Units of the layers after the last stage, the last of which are the features."""


class Field(_Embedding):
    """The features that networks of fields see of a map of an overdensity, averaged over places, and a network of them."""

    positions: ClassVar[int] = 2
    takes_free: ClassVar[bool] = False
    scales_itself: ClassVar[bool] = True

    kind: Literal["field"] = "field"
    channels: Layers = [16, 32, 64, 64]
    """Channels of each stage of `zoo.families.fields.convolutions.FieldFeatures`."""
    smoothing: Annotated[float, pydantic.Field(ge=0)] = 0.0
    """Standard deviation in cells of a Gaussian by which densities are smoothed first."""
    units: Layers = [64, 32]
    """Units of the layers after the mean over places, the last of which are the features."""


Settings = MeanPooled | Attention | Convolution1D | Convolution2D | Field
KINDS: dict[str, type[Settings]] = {
    "mean-pooled": MeanPooled,
    "attention": Attention,
    "convolution-1d": Convolution1D,
    "convolution-2d": Convolution2D,
    "field": Field,
}
_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Annotated[Settings, pydantic.Field(discriminator="kind")])


def embedding_settings(plain: Mapping[str, Any]) -> Settings:
    """The settings of an embedding from plain data.

    Parameters
    ----------
    plain : mapping of str to object
        The kind, and what is not to be as by default: ``{"kind": "attention", "heads": 2}``.

    Returns
    -------
    Settings
        The settings, with all defaults.

    Raises
    ------
    ValueError
        Naming what an embedding cannot have.
    """
    try:
        return _SETTINGS.validate_python(dict(plain))
    except ValidationError as error:
        said = "; ".join(fault(one, "embedding", within=1) for one in error.errors())
        raise ValueError(f"embedding {dict(plain)}: {said}") from error


def default_embedding(shape: tuple[int | None, ...]) -> dict[str, Any] | None:
    """The embedding, as plain data, of observations of a shape, where their user names none.

    Parameters
    ----------
    shape : tuple of int or None
        Sizes of the axes, None for the first where its length is free.

    Returns
    -------
    dict of str to object or None
        A deep set for what is of free length; convolutions for sequences (length, features) of up to 16 features, and for
        images (height, width) and (height, width, channels); None for rows of numbers, and for fixed shapes of more axes,
        which are taken as rows of numbers.
    """
    if None in shape:
        return MeanPooled().model_dump()
    if len(shape) not in (2, 3):
        return None
    sequence = len(shape) == 2 and (shape[1] or 0) <= FEATURES
    return suited(Convolution1D if sequence else Convolution2D, shape).model_dump()


def suited(kind: type[Settings], shape: tuple[int | None, ...]) -> Settings:
    """The settings of a kind of embedding, a convolution with as many stages as a shape asks for.

    Parameters
    ----------
    kind : type
        The class of the settings.
    shape : tuple of int or None
        Sizes of the axes, None for the first where its length is free.

    Returns
    -------
    Settings
        The settings.
    """
    if kind not in (Convolution1D, Convolution2D) or None in shape:
        return kind()
    stages, longest = 1, max(size or 1 for size in shape[: kind.positions])
    while -(-longest // 2**stages) > FAR:
        stages += 1
    first = 32 if kind is Convolution1D else 16
    return kind(filters=[min(first * 2**i, 64) for i in range(stages)])


class SetEmbedding(keras.layers.Layer):
    """Features of a set, whatever the order of its elements.

    Parameters
    ----------
    settings : MeanPooled or Attention
        The settings.
    shape : tuple of int or None
        Elements, None where they are of free number, and numbers of each.
    activation : str
        The activation of hidden layers.
    """

    def __init__(self, settings: MeanPooled | Attention, shape: tuple[int | None, ...], activation: str, **kwargs) -> None:
        super().__init__(**kwargs)
        inputs = shape[-1] or 1
        if isinstance(settings, MeanPooled):
            self.element = built_dense("element", inputs, settings.element_units, activation)
            self.blocks, width = [], settings.element_units[-1]
        else:
            self.element, width = built_dense("element", inputs, [settings.width], None), settings.width
            names = [f"block_{i}" for i in range(settings.blocks)]
            self.blocks = [AttentionBlock(width, settings.heads, activation, name=name) for name in names]
        self.whole = built_dense("whole", width + (shape[0] is None), settings.units, activation, linear=True)
        self.built = True

    def call(self, x, real=None):
        """Features (batch, units) of elements (batch, n, numbers), of which ``real`` (batch, n) says which are there."""
        h = through(self.element, x)
        for block in self.blocks:
            h = block(h, real)
        return through(self.whole, pooled(h, real))


class ConvolutionEmbedding(keras.layers.Layer):
    """Features of a sequence or an image.

    Each stage is padded by hand: what a stride of two calls "same" begins at another element for even and odd lengths, so that
    padding would change what is real.

    Parameters
    ----------
    settings : Convolution1D or Convolution2D
        The settings.
    shape : tuple of int or None
        Sizes of the axes along which elements lie, None where free, and numbers of each element.
    activation : str
        The activation of hidden layers.
    """

    def __init__(
        self, settings: Convolution1D | Convolution2D, shape: tuple[int | None, ...], activation: str, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        kind = keras.layers.Conv1D if settings.positions == 1 else keras.layers.Conv2D
        self.stages, sizes, channels = [], shape[:-1], shape[-1] or 1
        for i, filters in enumerate(settings.filters):
            stage = kind(filters, settings.kernel, 2, padding="valid", activation=activation, name=f"stage_{i}")
            stage.build((None, *(None for _ in sizes), channels))
            self.stages.append(stage)
            channels = filters
            sizes = tuple(None if size is None else -(-size // 2) for size in sizes)
        before = (settings.kernel - 1) // 2
        self.margins = [[0, 0], *([[before, settings.kernel - 1 - before]] * settings.positions), [0, 0]]
        self.places, width = None, channels + 1
        if None not in sizes:
            self.places = kind(PLACED, 1, name="places")
            self.places.build((None, *sizes, channels))
            self.flat = PLACED * math.prod(size or 1 for size in sizes)
            width = channels + self.flat
        self.whole = built_dense("whole", width, settings.units, activation, linear=True)
        self.built = True

    def call(self, x, real=None):
        """Features (batch, units) of x (batch, ..., numbers), of which ``real`` (batch, length) says what is there."""
        for stage in self.stages:
            if real is not None:
                x, real = x * ops.cast(real, x.dtype)[..., None], _halved(real)
            x = stage(ops.pad(x, self.margins))
        if self.places is None:
            return through(self.whole, pooled(x, real))
        mean = ops.mean(x, axis=tuple(range(1, len(x.shape) - 1)))
        return through(self.whole, ops.concatenate([mean, ops.reshape(self.places(x), (-1, self.flat))], axis=-1))


class FieldEmbedding(keras.layers.Layer):
    """Features of maps (batch, height, width, 1) of an overdensity.

    Parameters
    ----------
    settings : Field
        The settings.
    activation : str
        The activation of hidden layers.
    """

    def __init__(self, settings: Field, activation: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.seen = FieldFeatures(2, settings.channels, activation, settings.smoothing, name="seen")
        self.whole = built_dense("whole", self.seen.width, settings.units, activation, linear=True)
        self.built = True

    def adapt(self, fields: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Measure the scale of the logarithm of the density on maps (n, height, width), by event weights (n,)."""
        self.seen.adapt(fields, weight)

    def call(self, x, real=None):
        """Features (batch, units)."""
        return through(self.whole, self.seen(x[..., 0]))


def _halved(real):
    """Which of every two neighbors (batch, (n + 1) // 2) have one that is real."""
    number = ops.cast(real, "float32")
    return ops.maximum(number[:, ::2], ops.pad(number, [[0, 0], [0, 1]])[:, 1::2]) > 0.5


def built_embedding(settings: Settings, shape: tuple[int | None, ...], activation: str) -> keras.layers.Layer:
    """The layer of some settings, called "embedding".

    Parameters
    ----------
    settings : Settings
        The settings.
    shape : tuple of int or None
        Sizes of the axes along which elements lie, None for the first where it is free, and numbers of each element.
    activation : str
        The activation of hidden layers.

    Returns
    -------
    Layer
        A built layer, which is called with elements and, where their number is free, with which of them are real.
    """
    if isinstance(settings, MeanPooled | Attention):
        return SetEmbedding(settings, shape, activation, name="embedding")
    if isinstance(settings, Field):
        return FieldEmbedding(settings, activation, name="embedding")
    return ConvolutionEmbedding(settings, shape, activation, name="embedding")
