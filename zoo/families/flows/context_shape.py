"""What a conditional density is given: one shape of arrays, or sets and sequences of free length with a mask."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from zoo.errors import InputError
from zoo.families.flows.embeddings import Settings, embedding_settings
from zoo.model.axes import Axis
from zoo.model.handed_in.tables import has_names
from zoo.model.handed_in.tensors import array_of, elements_of, inputs_of, rows_of
from zoo.model.handed_in.values import values_of
from zoo.model.inputs import along
from zoo.model.spec import DType, Endpoint, Tensor

LONGEST = 2**20
"""The most elements of a context of free length that a flow takes which has no spec."""


@dataclass(frozen=True)
class ContextShape:
    """The shape of a context, and which of its numbers are features.

    Attributes
    ----------
    shape : tuple of int or None
        Sizes of the axes after the batch; None for the first where its length is free.
    settings : Settings or None
        The embedding; None where all numbers together are one row of features.
    """

    shape: tuple[int | None, ...]
    settings: Settings | None = None

    @classmethod
    def of(cls, context: int | Sequence[int | None], embedding: Sequence[int] | Mapping[str, Any]) -> ContextShape | None:
        """The context of a config, None where there is none.

        Parameters
        ----------
        context : int or sequence of int or None
            The width of a row, 0 for none, or a shape.
        embedding : sequence of int or mapping
            Units of dense layers, or the settings of an embedding.

        Returns
        -------
        ContextShape or None
            The context.

        Raises
        ------
        ValueError
            The embedding does not take the shape.
        """
        shape = ((context,) if context else ()) if isinstance(context, int) else tuple(context)
        if not shape:
            if embedding:
                raise ValueError("an embedding needs a context")
            return None
        if any(size is not None and size < 1 for size in shape) or None in shape[1:]:
            raise ValueError(f"expected sizes of a context, null for the first where it is free, given {list(shape)}")
        settings = embedding_settings(embedding) if isinstance(embedding, Mapping) else None
        if settings is None:
            if None in shape:
                raise ValueError(
                    f'a context of free length {list(shape)} needs an embedding, such as {{"kind": "mean-pooled"}}'
                )
        elif len(shape) - settings.positions not in (0, 1) or (None in shape and not settings.takes_free):
            free = "" if settings.takes_free else " of fixed sizes"
            raise ValueError(
                f"embedding {settings.kind}: expected {settings.positions} axes{free}, or one more of features, given the"
                f" context {list(shape)}"
            )
        return cls(shape, settings)

    @property
    def free(self) -> bool:
        """Whether the first axis has a free length, and a mask."""
        return self.shape[0] is None

    @cached_property
    def arranged_shape(self) -> tuple[int | None, ...]:
        """Shape after the batch as the embedding sees it, whose last axis is that of the features."""
        if self.settings is None:
            return (math.prod(size or 1 for size in self.shape),)
        return self.shape if len(self.shape) > self.settings.positions else (*self.shape, 1)

    @property
    def features(self) -> int:
        """Numbers that have a scale of their own: all of a row, or those of an element of a set, a sequence or an image."""
        return self.arranged_shape[-1] or 1

    def arranged(self, c):
        """A context (batch, ...) with its features along the last axis."""
        if self.settings is None:
            return c if len(self.shape) == 1 else ops.reshape(c, (-1, self.features))
        return c if len(self.arranged_shape) == len(self.shape) else c[..., None]

    def elements(self, c: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """The features (n, F) of all real elements of all rows, on which their scales are measured."""
        arranged = np.asarray(c[:]).reshape(len(c), *(size or -1 for size in self.arranged_shape))
        return arranged.reshape(-1, self.features) if mask is None else arranged[np.asarray(mask[:])]

    def per_element(self, weight: np.ndarray | None, c: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray | None:
        """The event weight of each row (n,), for each of its real elements; None where rows have none."""
        if weight is None:
            return None
        counts = len(self.elements(c[:1])) if mask is None else np.asarray(mask[:]).sum(axis=1)
        return np.repeat(weight, counts)

    def filled(self, features: np.ndarray) -> np.ndarray:
        """A context whose elements all have these features (F,); one that broadcasts, where the number of elements is free."""
        if self.settings is None:
            return features.reshape(self.fixed_shape)
        spread = features if len(self.arranged_shape) == len(self.shape) else features[0]
        return np.asarray(spread if self.free else np.broadcast_to(spread, self.fixed_shape))

    @property
    def fixed_shape(self) -> tuple[int, ...]:
        """The shape, with one element where their number is free."""
        return tuple(size or 1 for size in self.shape)

    def signature(self, dtype: str) -> list[tuple[tuple[int | None, ...], str]]:
        """Shape after the batch and dtype of each tensor: the context, and its mask."""
        return [(self.shape, dtype), *([((None,), "bool")] if self.free else [])]

    def tensors(self, dtype: DType, name: str = "c") -> list[Tensor]:
        """The context and its mask as a spec describes them, for a flow that has none."""
        axes = [
            Axis(name="element", least=1, most=LONGEST) if size is None else Axis(name=f"{name}_{place}", size=size)
            for place, size in enumerate(self.shape)
        ]
        mask = Tensor(name="mask", axes=axes[:1], dtype="bool", unit="1", description="")
        own = Tensor(name=name, axes=axes, dtype=dtype, unit="1", description="", mask=mask.name if self.free else None)
        return [own, mask] if self.free else [own]

    def read(
        self, given: Any, mask: Any, tensors: Sequence[Tensor], allow_missing: bool = False
    ) -> tuple[list[np.ndarray], bool]:
        """Contexts from what a user handed in.

        Parameters
        ----------
        given : array_like
            One context, or several: an array with one axis more, a list or a ragged array of contexts of different lengths, or
            padded ones beside their mask. Of free length, a table is one context, whose rows are its elements, as are columns
            by name.
        mask : array_like of bool, optional
            Which elements of padded contexts are real.
        tensors : sequence of Tensor
            How the spec describes the context and, of free length, its mask.
        allow_missing : bool
            Whether missing values become NaN in place of an error.

        Returns
        -------
        arrays : list of ndarray
            Contexts (m, ...), padded with zeros, and which of their elements are real.
        several : bool
            Whether one context was told from several by the number of axes.

        Raises
        ------
        InputError
            They are of another shape, missing or not finite.
        """
        tensor = tensors[0]
        if given is None:
            raise InputError(f"{tensor.name}: expected a context of shape {self._said(tensor)}, given none")
        if mask is not None and not self.free:
            raise InputError(
                f"{tensor.name}: expected no mask, since this flow takes contexts of shape {self.shape}, given one"
            )
        if isinstance(given, Mapping) and tensor.name in given:
            mask = given.get(tensor.mask, mask)
            given = given[tensor.name]
        if self.free and has_names(given):
            given = elements_of(given, tensor, allow_missing)
        if mask is not None:
            mask = np.asarray(values_of(mask).array)
            if mask.dtype != bool:
                raise InputError(f"mask: expected true and false, given {mask.dtype}")
        values = None if has_names(given) else values_of(given)
        if values is not None and values.jagged:
            if mask is not None:
                raise InputError("mask: expected none beside contexts of different lengths, which are not padded, given one")
            named = inputs_of({tensor.name: values.array}, Endpoint(description="", inputs=list(tensors), outputs=[tensor]))
            array, mask, several = array_of(values, tensor), named[tensors[1].name] if self.free else None, True
        else:
            array, several = rows_of(given if values is None else values, tensor, allow_missing)
        if self.free and array.ndim == len(self.shape) + 1 and mask is None and array.shape[1] == 0:  # of no elements at all
            array, mask = np.zeros((len(array), 1, *array.shape[2:]), array.dtype), np.zeros((len(array), 1), bool)
            mask = mask if several else mask[0]
        fits = array.ndim == len(self.shape) + 1 and all(
            own in (None, size) for own, size in zip(self.shape, array.shape[1:], strict=False)
        )
        if not fits or not array.size:
            found = array.shape if values is None or values.jagged else np.shape(given)
            raise InputError(
                f"{tensor.name}: expected a context of shape {self._said(tensor)}, or several with one more axis before, given"
                f" shape {found}"
            )
        if not self.free:
            return [array], several
        if mask is None:
            mask = np.ones(array.shape[:2], bool)
        elif not several:
            mask = mask[None]
        if mask.shape != array.shape[:2]:
            raise InputError(f"mask: expected shape {array.shape[: 1 + several]}, given {mask.shape}")
        return [np.where(along(mask, array), array, np.zeros((), array.dtype)), mask], several

    def _said(self, tensor: Tensor) -> str:
        """The shape in words, a free length by the name of its axis."""
        sizes = [tensor.axes[0].name if size is None else str(size) for size in self.shape]
        return f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
