"""What a user hands in as the tensors of an endpoint: by name, in the unit of the spec, nothing missing, rows padded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.errors import InputError, option
from zoo.model.handed_in.columns import Columns, said
from zoo.model.handed_in.lengths import agreed_lengths, flat_rows, mask_of_lengths, padded_rows
from zoo.model.handed_in.tables import by_label, columns_of, columns_of_row, is_row, is_table
from zoo.model.handed_in.units import converter
from zoo.model.handed_in.values import Values, values_of
from zoo.model.jet import OTHERWISE
from zoo.model.spec import Endpoint, Tensor


def inputs_of(given: Any, endpoint: Endpoint, allow_missing: bool = False) -> dict[str, Any]:
    """The inputs of an endpoint from what was handed in for all of them.

    Parameters
    ----------
    given : object
        Arrays or tables by the name of the tensor; or one table, one row that has names, or columns by name, which name tensors
        or their elements.
    endpoint : Endpoint
        The endpoint.
    allow_missing : bool
        Whether missing values become NaN in place of an error.

    Returns
    -------
    dict of str to object
        What is there of each tensor by its name. The mask of rows of different lengths is made where it is not given.

    Raises
    ------
    InputError, UnknownNameError
        Naming the tensor, the columns that were expected, and those that are there.
    """
    if isinstance(given, Mapping):
        named = {tensor.name for tensor in endpoint.inputs if tensor.dtype != "bool"}
        if named - given.keys() and given.keys() - named:  # elements may be called by their own names
            columns = (columns_of_row if is_row(given) else columns_of)(given, "the columns")
            if all(columns.find(tensor) for tensor in endpoint.inputs if tensor.name in named):
                return inputs_of_columns(columns, endpoint, allow_missing=allow_missing)
        return _with_masks(dict(given), endpoint)
    if is_row(given):
        return inputs_of_columns(columns_of_row(given, "the row"), endpoint, allow_missing=allow_missing)
    if isinstance(given, Columns) or is_table(given):
        columns = given if isinstance(given, Columns) else columns_of(given, "the table")
        return inputs_of_columns(columns, endpoint, allow_missing=allow_missing)
    names = ", ".join(tensor.name for tensor in endpoint.inputs)
    raise InputError(f"expected the inputs {names} by name, or a table with columns, given {type(given).__name__}")


def named_inputs(given: Any, first: str) -> Any:
    """Inputs by name, of what may be the rows of the first input alone.

    Parameters
    ----------
    given : object
        A mapping, a table, or the rows of the first input.
    first : str
        Name of that input.

    Returns
    -------
    object
        A mapping, or the table.
    """
    return given if isinstance(given, Mapping | Columns) or is_table(given) else {first: given}


def array_of(given: Any, tensor: Tensor, allow_missing: bool = False) -> np.ndarray:
    """One tensor from what was handed in for it.

    Parameters
    ----------
    given : object
        An array or a column of whatever library; or a table, columns by name, one row that has names or a list of such, which
        name the tensor's elements.
    tensor : Tensor
        The tensor.
    allow_missing : bool
        Whether missing values become NaN in place of an error.

    Returns
    -------
    ndarray
        Plain numbers (batch, ...) in the tensor's unit, of whatever dtype and shape.

    Raises
    ------
    InputError, UnknownNameError
        Values are missing, the unit is another that cannot be converted, or columns do not name the elements.
    """
    where = f"input {tensor.name!r}"
    given = by_label(given) if tensor.labels else given
    if tensor.axes and is_row(given):  # of a tensor of single numbers, a series with labels is a column of them
        return _tensor(columns_of_row(given, where), tensor, allow_missing)
    if isinstance(given, list) and given and is_row(given[0]):
        return np.concatenate([_one_of(row, tensor, allow_missing, f"{where}, row {i}") for i, row in enumerate(given)])
    if is_table(given) or isinstance(given, Mapping):
        return _tensor(columns_of(given, where), tensor, allow_missing)
    values = _values(given, where)
    if values.jagged:
        flat, counts = flat_rows(values, where)
        return padded_rows(_converted(Values(flat, unit=values.unit), tensor, where), counts, tensor, where)
    return _filled(_converted(values, tensor, where), values.missing, tensor, allow_missing)


def rows_of(given: Any, tensor: Tensor, allow_missing: bool = False) -> tuple[np.ndarray, bool]:
    """One tensor from what may be one row of it alone: an array without a batch, or a row that has names.

    Parameters
    ----------
    given : object
        What `array_of` takes, or a row of it.
    tensor : Tensor
        The tensor.
    allow_missing : bool
        Whether missing values become NaN in place of an error.

    Returns
    -------
    array : ndarray
        Plain numbers (batch, ...), of one row where a row was handed in.
    several : bool
        Whether rows were handed in rather than a row.

    Raises
    ------
    InputError, UnknownNameError
        What `array_of` raises.
    """
    given = by_label(given) if tensor.labels else given
    if is_row(given):
        return array_of(given, tensor, allow_missing), False
    if isinstance(given, list) and given and is_row(given[0]):
        return array_of(given, tensor, allow_missing), True
    if isinstance(given, Mapping) and tensor.name in given:
        given = given[tensor.name]
    if is_table(given) or isinstance(given, Mapping):
        return array_of(given, tensor, allow_missing), True
    values = _values(given, f"input {tensor.name!r}")
    several = values.jagged or np.ndim(values.array) != len(tensor.axes)
    if not several:
        missing = None if values.missing is None else values.missing[None]
        values = Values(values.array[None], missing, values.unit)
    return array_of(values, tensor, allow_missing), several


def elements_of(given: Any, tensor: Tensor, allow_missing: bool = False) -> np.ndarray:
    """The elements of one row of a tensor of free length, from what has names.

    Parameters
    ----------
    given : object
        A table, whose rows they are; columns by name; or a row of lists, or of the numbers of a single element.
    tensor : Tensor
        The tensor.
    allow_missing : bool
        Whether missing values become NaN in place of an error.

    Returns
    -------
    ndarray
        Plain numbers (length, ...).

    Raises
    ------
    InputError, UnknownNameError
        What `array_of` raises.
    """
    row, where = is_row(given), f"input {tensor.name!r}"
    columns = (columns_of_row if row else columns_of)(given, where)
    names = columns.find(tensor)
    if row and names and columns.shape(names[:1]):
        return np.asarray(_tensor(columns, tensor, allow_missing)[0])
    return _tensor(columns, tensor.model_copy(update={"axes": tensor.axes[1:], "mask": None}), allow_missing)


def _one_of(row: Any, tensor: Tensor, allow_missing: bool, where: str) -> np.ndarray:
    """A row that has names, of several."""
    if not is_row(row):
        raise InputError(f"{where}: expected numbers by name, as the rows before, given {type(row).__name__}")
    return _tensor(columns_of_row(row, where), tensor, allow_missing)


def _values(given: Any, where: str) -> Values:
    try:
        return values_of(given)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def numbers_alone(given: Any, what: str) -> np.ndarray:
    """Numbers for which no spec says a unit: of an array without masked values, without a unit and without names.

    Parameters
    ----------
    given : array_like
        The numbers.
    what : str
        What they are, for messages.

    Returns
    -------
    ndarray
        The numbers.

    Raises
    ------
    InputError
        Values are missing or words, or it has a unit or columns.
    """
    array = labels_alone(given, what)
    if array.dtype.kind in "US" and array.size:
        raise InputError(f"{what}: expected numbers, given {str(array.flat[0])!r}; classes are numbered from 0 on")
    return array


def labels_alone(given: Any, what: str) -> np.ndarray:
    """What `numbers_alone` takes, or words for classes.

    Parameters
    ----------
    given : array_like
        The numbers or words.
    what : str
        What they are, for messages.

    Returns
    -------
    ndarray
        The numbers or words.

    Raises
    ------
    InputError
        Values are missing, or it has a unit or columns.
    """
    if is_table(given):
        raise InputError(
            f"{what}: expected an array, given {type(given).__name__}: choose columns, and give .to_numpy() of them"
        )
    try:
        values = values_of(given)
    except InputError as error:
        raise InputError(f"{what}: {error}") from error
    if values.unit is not None:
        raise InputError(f"{what}: expected numbers without a unit, given {values.unit}: give them in the unit that is meant")
    if values.missing is not None and values.missing.any():
        at = ", ".join(map(str, np.argwhere(values.missing)[0]))
        raise InputError(f"{what}: {np.count_nonzero(values.missing)} values are missing, the first at ({at})")
    return np.asarray(values.array)


def element_units(tensor: Tensor, shape: tuple[int, ...]) -> list[str]:
    """Unit of each element of a row, or of its last axes, in C order.

    Parameters
    ----------
    tensor : Tensor
        The tensor.
    shape : tuple of int
        Sizes of the axes, or of the last of them.

    Returns
    -------
    list of str
        The units; the tensor's own where the shape is not that of its axes.
    """
    axes = tensor.axes[len(tensor.axes) - len(shape) :] if shape else []
    if len(shape) <= len(tensor.axes) and all(axis.size in (size, None) for axis, size in zip(axes, shape, strict=True)):
        for place, axis in enumerate(axes):
            if axis.units is not None:
                units = axis.units
                return [units[index[place]] for index in np.ndindex(*shape)]
    return [tensor.unit] * int(np.prod(shape, dtype=int))


def _with_masks(given: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Inputs with the masks that rows of different lengths tell by themselves."""
    for mask in endpoint.inputs:
        owners = [tensor for tensor in endpoint.inputs if tensor.mask == mask.name and tensor.name in given]
        rows = [given[tensor.name] for tensor in owners]
        if mask.name in given or not owners or any(isinstance(row, np.ndarray) and row.dtype != object for row in rows):
            continue
        where = f"input {owners[0].name!r}"
        counts = [flat_rows(values_of(row), where)[1] for row in rows]
        given[mask.name] = mask_of_lengths(agreed_lengths(counts, mask.name), owners[0])
    return given


def inputs_of_columns(
    columns: Columns,
    endpoint: Endpoint,
    *,
    chosen: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    allow_missing: bool = False,
) -> dict[str, Any]:
    """The inputs of an endpoint from columns that name tensors or their elements.

    Parameters
    ----------
    columns : Columns
        The columns.
    endpoint : Endpoint
        The endpoint.
    chosen : mapping of str to sequence of str, optional
        Columns of each tensor by its name, where they are not called after it; None where the user cannot say them.
    units : mapping of str to str, optional
        Units of columns, of which the table gives none.
    allow_missing : bool
        Whether missing values become NaN in place of an error.

    Returns
    -------
    dict of str to ndarray
        Each tensor, rows of several lengths padded; their mask, which is made where no column holds it.

    Raises
    ------
    InputError, UnknownNameError
        Naming the tensor, the columns that were expected, and those that are there.
    """
    choosable, chosen = chosen is not None, chosen or {}
    expect_chosen(columns, endpoint, chosen, units or {})
    found = {tensor.name: columns.find(tensor, chosen.get(tensor.name)) for tensor in endpoint.inputs}
    columns.rows([name for names in found.values() for name in names or ()])
    inputs: dict[str, Any] = {}
    for tensor in endpoint.inputs:
        owners = [one for one in endpoint.inputs if one.mask == tensor.name and found[one.name]]
        if found[tensor.name] is None and owners:
            counts = [flat_rows(columns.one(name).values, name)[1] for one in owners for name in found[one.name] or ()]
            inputs[tensor.name] = mask_of_lengths(agreed_lengths(counts, tensor.name), owners[0])
        elif found[tensor.name] is None:
            raise lacking(columns, tensor, choosable)
        else:
            inputs[tensor.name] = _tensor(columns, tensor, allow_missing, found[tensor.name], units)
    return inputs


def lacking(columns: Columns, tensor: Tensor, choosable: bool) -> InputError:
    """What to raise where no columns make a tensor.

    Parameters
    ----------
    columns : Columns
        The columns that there are.
    tensor : Tensor
        The tensor.
    choosable : bool
        Whether the user can say which columns they are.

    Returns
    -------
    InputError
        Naming the tensor, the columns that were expected, those that are there, and what to do.
    """
    if choosable:
        said = option("columns", f"{{{tensor.name!r}: [...]}}", f"{tensor.name}=NAME,NAME,...")
        remedy = f"rename the columns, or say which they are, {said}"
    else:
        remedy = (
            "columns are taken by their names, so rename them; numbers that are in the order of the elements are given as a"
            " plain array"
        )
    if tensor.jet is not None:
        remedy += f"; {OTHERWISE}"
    return InputError(
        f"{columns.source}: expected {expected_names(tensor)} for the input {tensor.name} ({tensor.description}), given"
        f" {columns.there()}{columns.meant(tensor)}: {remedy}"
    )


def expect_chosen(columns: Columns, endpoint: Endpoint, chosen: Mapping[str, Sequence[str]], units: Mapping[str, str]) -> None:
    """Refuse columns that are chosen for what is no input, and units of columns that are not there or have another.

    Parameters
    ----------
    columns : Columns
        The columns.
    endpoint : Endpoint
        The endpoint.
    chosen : mapping of str to sequence of str
        Columns of each tensor by its name.
    units : mapping of str to str
        Units of columns.

    Raises
    ------
    InputError, UnknownNameError
        Naming what was not expected.
    """
    for name, unit in units.items():
        columns.expect_unit(name, unit)
    names = [tensor.name for tensor in endpoint.inputs]
    if unknown := sorted(chosen.keys() - set(names)):
        raise InputError(f"columns: expected those of the inputs {', '.join(names)}, given some of {', '.join(unknown)}")


def _tensor(
    columns: Columns,
    tensor: Tensor,
    allow_missing: bool,
    names: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
) -> np.ndarray:
    """A tensor from the columns that name it or its elements, or from those of the names that are given."""
    names = names or columns.find(tensor)
    if names is None:
        raise lacking(columns, tensor, choosable=False)
    if not tensor.free:
        shape = tuple(tensor.fixed_shape)
        made = columns.array(names, shape, element_units(tensor, shape), units, allow_missing=allow_missing)
        assert isinstance(made, np.ndarray)
        return made
    flats, counts = zip(*(flat_rows(columns.one(name).values, f"{columns.source}: {name}") for name in names), strict=True)
    lengths = agreed_lengths(counts, said(names))
    if len(names) == 1:
        unit = (units or {}).get(names[0], columns.one(names[0]).values.unit)
        flat = _converted(Values(flats[0], unit=unit), tensor, f"{columns.source}: {names[0]}")
    else:
        wanted = element_units(tensor, (len(names),))
        ways = [columns.converter(name, [unit], units) for name, unit in zip(names, wanted, strict=True)]
        flat = np.stack([one if way is None else way(one) for one, way in zip(flats, ways, strict=True)], axis=-1)
    return padded_rows(flat, lengths, tensor, columns.source)


def expected_names(tensor: Tensor) -> str:
    """The columns that make a tensor, for messages.

    Parameters
    ----------
    tensor : Tensor
        The tensor.

    Returns
    -------
    str
        Such as "a column theta, theta_0 to theta_5, or H0, ombh2, ...".
    """
    sizes = [axis.size for axis in tensor.axes]
    width = int(np.prod([size or 0 for size in sizes], dtype=int)) if sizes else 1
    words = [f"a column {tensor.name}"] + ([f"{tensor.name}_0 to {tensor.name}_{width - 1}"] if width > 1 else [])
    if tensor.labels:
        words.append(", ".join(tensor.labels[:8]) + (", ..." if len(tensor.labels) > 8 else ""))
    return " or ".join(words)


def _converted(values: Values, tensor: Tensor, where: str) -> np.ndarray:
    """Numbers in the unit of the tensor, element by element."""
    array: np.ndarray = values.array
    if values.unit is None:
        return array
    if array.dtype.kind not in "biuf":
        raise InputError(f"{where}: expected numbers, given {array.dtype}")
    convert = converter(values.unit, element_units(tensor, array.shape[1:]), where) if array.ndim else None
    return array if convert is None else convert(array)


def _filled(array: np.ndarray, missing: np.ndarray | None, tensor: Tensor, allow_missing: bool) -> np.ndarray:
    """Numbers with NaN where they are missing, if that is allowed."""
    if missing is None or not missing.any():
        return array
    if allow_missing and tensor.dtype.startswith("float"):
        return np.where(missing, np.nan, array)
    row, *element = (int(place) for place in np.argwhere(np.atleast_1d(missing))[0])
    labels = tensor.labels if len(element) == len(tensor.axes) else None
    column = f", column {labels[element[-1]]}" if labels else f", element {', '.join(map(str, element))}" if element else ""
    through = f"; {option('allow_nonfinite')} lets them through as NaN" if tensor.dtype.startswith("float") else ""
    raise InputError(
        f"input {tensor.name!r}: {np.count_nonzero(missing)} values are missing, the first in row {row}{column}{through}"
    )
