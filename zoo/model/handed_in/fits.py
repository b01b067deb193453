"""FITS files of a user: their tables as columns, and an image as the array that it is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.errors import InputError, needs_library
from zoo.model.handed_in.astropy_tables import astropy_table
from zoo.model.handed_in.columns import Column
from zoo.model.handed_in.values import Values

MOST_PACKED = 1100
"""Times the size of its file that an image may take in memory: deflate packs up to 1032 to 1, tiles of FITS hardly more."""


class _Table(NamedTuple):
    place: int
    name: str
    columns: list[str]
    rows: int


class _Image(NamedTuple):
    place: int
    name: str
    shape: tuple[int, ...]
    bits: int
    blank: bool

    def __str__(self) -> str:
        return f"{self.name or self.place} {self.shape}"


def read_fits(path: Path) -> dict[str, dict[str, Column]]:
    """Columns of each table of a FITS file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to dict
        Columns by the name of their table, of which there is at least one.

    Raises
    ------
    InputError
        It is no FITS file, or has no table.
    ZooError
        Astropy is not installed.
    """
    found, images = _contents(path)
    if not found:
        instead = ": an image has no column names, so write a .npz of arrays by name" if images else ", nor an image"
        raise InputError(f"{path}: expected a table, given a FITS file without one{instead}")
    from astropy.table import Table

    twice = len({table.name for table in found}) < len(found)
    tables = {}
    for place, name, names, rows in found:
        read = lambda place=place: Table.read(path, hdu=place, format="fits", unit_parse_strict="silent")  # noqa: E731
        tables[str(place) if twice or not name else name] = astropy_table(path, names, rows, read)
    return tables


def read_image(path: Path) -> Values | None:
    """The image of a FITS file that has no table, as numbers in memory, with its unit where ``BUNIT`` says one.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Values or None
        The image, its pixels scaled by ``BSCALE`` and ``BZERO``, NaN where they are ``BLANK``. None of a file that has a table,
        which is read by its columns, or that has no image.

    Raises
    ------
    InputError
        It is no FITS file, has several images, or announces more than it holds.
    ZooError
        Astropy is not installed.
    """
    tables, images = _contents(path)
    if tables or not images:
        return None
    if len(images) > 1:
        raise InputError(
            f"{path}: expected one image, given {', '.join(map(str, images))}: write the one that is meant to a file of its"
            " own, or several of one size as one image with an axis more"
        )
    (image,) = images
    announced, there = math.prod(image.shape) * image.bits // 8, path.stat().st_size
    if announced > MOST_PACKED * there:
        raise InputError(f"{path} is not a readable FITS file: it announces {announced} bytes, and has {there}")
    from astropy.io import fits

    try:
        # Astropy leaves BLANK alone where it makes unsigned numbers.
        with fits.open(path, uint=not image.blank) as file:
            hdu = file[image.place]
            array = np.array(hdu.data, dtype=hdu.data.dtype.newbyteorder("="))  # FITS has the other order of bytes
            unit = hdu.header.get("BUNIT")
    except Exception as error:  # of a damaged file astropy, NumPy and zlib raise what has no common base
        raise InputError(f"{path}: the image {image} cannot be read: {error}") from error
    return Values(array, unit=None if unit is None else str(unit))


def _contents(path: Path) -> tuple[list[_Table], list[_Image]]:
    """The tables and the images that a file has, by what its headers say."""
    try:
        from astropy.io import fits
    except ImportError as error:
        raise needs_library(path, "astropy") from error
    tables, images = [], []
    try:
        with fits.open(path) as file:
            for place, hdu in enumerate(file):
                if isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU | fits.CompImageHDU):
                    images += [] if isinstance(hdu, fits.GroupsHDU) else _image(place, hdu)
                elif isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
                    tables.append(_Table(place, hdu.name, hdu.columns.names, int(hdu.header["NAXIS2"])))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a readable FITS file: {error}") from error
    return tables, images


def _image(place: int, hdu: Any) -> list[_Image]:
    """What a header says of an image; nothing where it has no pixels, as what stands before a table."""
    shape = tuple(map(int, hdu.shape))
    if not shape or not math.prod(shape):
        return []
    return [_Image(place, hdu.name, shape, abs(int(hdu.header["BITPIX"])), "BLANK" in hdu.header)]
