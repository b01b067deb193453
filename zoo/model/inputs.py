"""Checks of what a user hands to an endpoint: names, dtype, shape, masks, finiteness, range, jets, likeness to simulations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from zoo.errors import InputError, option
from zoo.model.axes import BATCH
from zoo.model.handed_in.tensors import array_of, inputs_of
from zoo.model.jet_check import refuse_jets
from zoo.model.pdg_codes import are_pdg_codes, expect_both_signs, have_both_pions, signs
from zoo.model.spec import Endpoint, Tensor
from zoo.model.unit_text import unit_behind
from zoo.model.whole_numbers import refuse_fractions

if TYPE_CHECKING:
    from zoo.model.misspecification import Reference

_LARGE, _LARGER, _WIDE = 2**10, 2**15, 64
"""Sizes from which extremes cost less than comparisons: of an array with one bound, with many, and of its last axis then."""
_KINDS = {"f": "fiu", "i": "iu", "b": "b"}
"""Kinds of arrays that hold numbers of an expected kind of dtype: a fraction is no index, and a number no truth value."""


class InputCheck:
    """Check of one endpoint's inputs, prepared once so that a call costs a few microseconds.

    Parameters
    ----------
    endpoint : Endpoint
        The endpoint whose ``inputs`` are expected.
    reference : Reference, optional
        What simulated observations are like, of a model that was trained on such; those among the inputs are held against it.
    """

    def __init__(self, endpoint: Endpoint, reference: Reference | None = None) -> None:
        self._endpoint, self._reference = endpoint, reference
        self._expected = {tensor.name: _Expected(tensor) for tensor in endpoint.inputs}
        self._fixed = {axis.name: axis.size for tensor in endpoint.tensors for axis in tensor.axes if axis.size is not None}

    def __call__(
        self, inputs: object, allow_nonfinite: bool = False, allow_out_of_range: bool = False
    ) -> dict[str, np.ndarray]:
        """Check the inputs of one call.

        Parameters
        ----------
        inputs : mapping or object
            One array for each input tensor by its name, of shape (batch, ...); or a table whose columns name them or their
            elements. `zoo.model.handed_in` reads them, and converts units to the spec's.
        allow_nonfinite : bool
            Let NaN and infinity through, and missing values as NaN.
        allow_out_of_range : bool
            Let values outside the trained range through, and observations that no simulation resembles.

        Returns
        -------
        dict of str to ndarray
            The inputs as contiguous arrays of the spec's dtypes, in the endpoint's order.

        Raises
        ------
        InputError
            Naming the tensor, what was expected and what was given.

        Warns
        -----
        MisspecificationWarning
            An observation is unlike simulations.
        """
        given = (
            inputs if type(inputs) is dict and inputs.keys() == self._expected.keys() else self._named(inputs, allow_nonfinite)
        )
        arrays = {name: expected.array(given[name], allow_nonfinite) for name, expected in self._expected.items()}
        if len(arrays) > 1:
            self._agree(arrays)
        for name, array in arrays.items():
            expected = self._expected[name]
            mask = None if expected.tensor.mask is None else arrays[expected.tensor.mask]
            if expected.bounded and not expected.within(array):
                expected.refuse(array, mask, allow_nonfinite, allow_out_of_range)
            if expected.tensor.jet is not None and mask is not None:
                refuse_jets(expected.tensor, array, mask, allow_out_of_range)
            if expected.codes and not allow_out_of_range:
                expected.refuse_one_sign(array, mask)
            if not allow_out_of_range:
                refuse_fractions(expected.tensor, array)
            if expected.tensor.index_of is not None:
                expected.refuse_positions(array, self._length(expected.tensor.index_of, arrays))
        if self._reference is not None and not allow_out_of_range:
            self._reference.expect_among(arrays)
        return arrays

    def _named(self, inputs: object, allow_nonfinite: bool) -> dict[str, object]:
        """What was handed in for each input, of a table or of a mapping."""
        given = inputs_of(inputs, self._endpoint, allow_nonfinite)
        if given.keys() != self._expected.keys():
            lacking = [f"{name} ({one.tensor.description})" for name, one in self._expected.items() if name not in given]
            raise InputError(
                f"expected the inputs {sorted(self._expected)}, given {sorted(map(str, given))}"
                + (f": give {', '.join(lacking)} too" if lacking else "")
            )
        return given

    def _agree(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Refuse inputs whose batches, or whose free axes of one name, have several lengths."""
        rows = len(next(iter(arrays.values())))
        if any(len(array) != rows for array in arrays.values()):
            given = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
            raise InputError(f"inputs must have the same number of rows, given {given}")
        sizes: dict[str, tuple[int, str]] = {}
        for name, array in arrays.items():
            for axis, position in self._expected[name].free:
                size = array.shape[position]
                known, first = sizes.setdefault(axis, (size, name))
                if size != known:
                    raise InputError(
                        f"input {name!r}: expected {known} along the axis {axis!r}, as in input {first!r}, given {size}"
                    )

    def _length(self, axis: str, arrays: Mapping[str, np.ndarray]) -> int:
        """Length of an axis in this call, which is fixed or free in one of the inputs."""
        if axis in self._fixed:
            return self._fixed[axis]
        places = ((array, *free) for name, array in arrays.items() for free in self._expected[name].free)
        return next(int(array.shape[position]) for array, name, position in places if name == axis)


class _Expected:
    """What is expected of one input tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.dtype = np.dtype(tensor.dtype)
        self.free = [(axis.name, position) for position, axis in enumerate(tensor.axes, start=1) if axis.free]
        self._shape = tuple(tensor.shape)
        self.bounded = self.dtype.kind == "f" or not tensor.unbounded or tensor.values is not None
        self.codes = are_pdg_codes(tensor.values)
        self._values = np.unique(np.asarray(tensor.values or [], self.dtype))
        if self.bounded:
            limits = np.finfo(self.dtype) if self.dtype.kind == "f" else np.iinfo(self.dtype)
            self._low = np.asarray(limits.min if tensor.low is None else tensor.low, dtype=self.dtype)
            self._high = np.asarray(limits.max if tensor.high is None else tensor.high, dtype=self.dtype)

    def array(self, value: object, allow_nonfinite: bool) -> np.ndarray:
        """The value as a contiguous array of the expected dtype and shape."""
        if type(value) is np.ndarray and (value.dtype is self.dtype or value.dtype.kind in "fiub"):
            array = value
        else:
            array = array_of(value, self.tensor, allow_nonfinite)
        if array.dtype is not self.dtype or not array.flags.c_contiguous:
            array = self._converted(array)
        if self.dtype.kind == "b" and array.size and array.view(np.uint8).max() > 1:
            raise InputError(f"input {self.tensor.name!r}: expected true and false, given bytes other than 0 and 1")
        if array.ndim == 0 or (array.shape[1:] != self._shape and not self._fits(array.shape[1:])):
            expected = _shape((BATCH, *(axis.extent for axis in self.tensor.axes)))
            raise InputError(f"input {self.tensor.name!r}: expected shape {expected}, given {_shape(array.shape)}")
        return array

    def _converted(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind not in _KINDS[self.dtype.kind]:
            kind = {"i": "whole numbers", "u": "whole numbers", "b": "truth values"}.get(self.dtype.kind)
            cast = f": {kind} are made such by array.astype({str(self.dtype)!r})"
            raise InputError(
                f"input {self.tensor.name!r}: expected dtype {self.dtype}, given {array.dtype}"
                f"{cast if kind and array.dtype.kind in 'fiub' else ''}"
            )
        with np.errstate(over="ignore"):
            converted = np.ascontiguousarray(array, dtype=self.dtype)
        if self.dtype.kind == "f" and array.dtype.itemsize > self.dtype.itemsize:
            infinite = np.isinf(converted)
            if infinite.any() and (too_large := infinite & np.isfinite(array)).any():
                at = tuple(int(i) for i in np.argwhere(too_large)[0])
                raise InputError(
                    f"input {self.tensor.name!r}: expected numbers that {self.dtype} holds, given {array[at]:g} at {at}: check"
                    " the unit"
                )
        if self.dtype.kind == "i" and not np.array_equal(converted, array):
            raise InputError(f"input {self.tensor.name!r}: expected {self.dtype}, given numbers that it cannot hold")
        return converted

    def _fits(self, shape: tuple[int, ...]) -> bool:
        if not self.free or len(shape) != len(self._shape):
            return False
        return all(axis.admits(size) for axis, size in zip(self.tensor.axes, shape, strict=True))

    def within(self, array: np.ndarray) -> bool:
        """Whether every element is a number between the bounds, which are one or as many as the last axis is long."""
        # NaN compares as false and is its own minimum, so finiteness takes no pass of its own. Extremes leave nothing behind in
        # the caches that the graph needs, but cost more to begin with, and along a short axis.
        if self._values.size:
            return bool(self._listed(array).all())
        low, high = self._low, self._high
        one_each = not low.ndim and not high.ndim
        if array.size < (_LARGE if one_each else _LARGER) or (not one_each and array.shape[-1] < _WIDE):
            return bool(np.count_nonzero(array >= low) == array.size == np.count_nonzero(array <= high))
        if one_each:
            return bool(np.minimum.reduce(array, None) >= low and np.maximum.reduce(array, None) <= high)
        rows = array.reshape(-1, array.shape[-1])
        return bool((rows.min(axis=0) >= low).all() and (rows.max(axis=0) <= high).all())

    def _listed(self, array: np.ndarray) -> np.ndarray:
        """Whether each element is one of the values that are listed."""
        place = np.minimum(np.searchsorted(self._values, array), len(self._values) - 1)
        listed: np.ndarray = self._values[place] == array
        return listed

    def refuse(self, array: np.ndarray, mask: np.ndarray | None, allow_nonfinite: bool, allow_out_of_range: bool) -> None:
        """Name the first element that is no number, or that is real and out of range."""
        if self._values.size:
            if not allow_out_of_range:
                self._refuse_unlisted(array, mask)
            return
        tensor, low, high = self.tensor, self._low, self._high
        finite = np.isfinite(array)
        if not finite.all() and not allow_nonfinite:
            at = tuple(int(i) for i in np.argwhere(~finite)[0])
            padding = "; fill the padding with zeros" if mask is not None and not mask[at[: mask.ndim]] else ""
            raise InputError(
                f"input {tensor.name!r}: {np.count_nonzero(~finite)} values are NaN or infinite, the first at {at}{padding};"
                f" {option('allow_nonfinite')} lets them through"
            )
        outside = finite & ((array < low) | (array > high))
        if mask is not None:
            outside &= along(mask, array)
        if outside.any() and not allow_out_of_range:
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            lowest, highest = (np.broadcast_to(bound, array.shape)[at] for bound in (low, high))
            expected = unit_behind(f"{lowest:.6g} to {highest:.6g}", tensor.unit_of(at[1:]))
            raise InputError(
                f"input {tensor.name!r}: {np.count_nonzero(outside)} values lie outside the trained range, the first at {at}:"
                f" expected {expected}, given {array[at]:.6g};"
                f" check the units, or extrapolate with {option('allow_out_of_range')}"
            )

    def _refuse_unlisted(self, array: np.ndarray, mask: np.ndarray | None) -> None:
        unlisted = ~self._listed(array)
        if mask is not None:
            unlisted &= along(mask, array)
        if unlisted.any():
            at = tuple(int(i) for i in np.argwhere(unlisted)[0])
            known = ", ".join(map(str, self._values.tolist()))
            raise InputError(
                f"input {self.tensor.name!r}: {np.count_nonzero(unlisted)} values are none of those that are known, the first"
                f" at {at}: expected one of {known}, given {array[at]}; check the codes, or answer as for something unknown"
                f" with {option('allow_out_of_range')}"
            )

    def refuse_one_sign(self, array: np.ndarray, mask: np.ndarray | None) -> None:
        """Refuse PDG codes of many particles that have all one sign, such as absolute ones."""
        if have_both_pions(array):
            return
        lets = f"; {option('allow_out_of_range')} takes them all the same"
        expect_both_signs(f"input {self.tensor.name!r}", signs(array if mask is None else array[mask]), lets)

    def refuse_positions(self, array: np.ndarray, length: int) -> None:
        """Name the first position that the axis does not have, in padding too, where a graph would read past its end."""
        outside = (array < 0) | (array >= length)
        if outside.any():
            at = tuple(int(i) for i in np.argwhere(outside)[0])
            raise InputError(
                f"input {self.tensor.name!r}: expected positions from 0 to {length - 1} along the axis"
                f" {self.tensor.index_of!r}, given {array[at]} at {at}"
            )


def along(mask: np.ndarray, array: np.ndarray) -> np.ndarray:
    """A mask with as many axes as the array whose first axes it is for, so that the two broadcast."""
    return mask.reshape(*mask.shape, *(1,) * (array.ndim - mask.ndim))


def _shape(shape: tuple[object, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"
