"""Images of FITS files are read as arrays without a name: their values, units, missing pixels, and what is refused."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from command_line import ok, refused

from zoo.errors import InputError
from zoo.model.handed_in.files import read_array, read_columns
from zoo.model.spec import TEST_TENSORS
from zoo.model.store import locate
from zoo.model.test_tensors import read_npz

fits = pytest.importorskip("astropy.io.fits")

NUMBERS = np.arange(-6.0, 6.0).reshape(2, 2, 3)


def maps(name: str, tensor: str, n: int) -> np.ndarray:
    return read_npz(locate(name).path(TEST_TENSORS))[tensor][:n]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
def test_numbers_are_those_that_were_written(tmp_path, dtype):
    array = (NUMBERS + 6).astype(dtype)
    fits.PrimaryHDU(array).writeto(tmp_path / "a.fits")
    found = read_array(tmp_path / "a.fits")
    assert found.array.dtype == np.dtype(dtype)  # in the order of bytes of this machine
    np.testing.assert_array_equal(found.array, array)
    assert found.unit is None


@pytest.mark.parametrize("kind", [fits.ImageHDU, fits.CompImageHDU])
def test_an_image_behind_an_empty_first_one(tmp_path, kind):
    fits.HDUList([fits.PrimaryHDU(), kind(NUMBERS.astype("int32"), name="MAP")]).writeto(tmp_path / "a.fit")
    np.testing.assert_array_equal(read_array(tmp_path / "a.fit").array, NUMBERS)


def test_pixels_are_scaled(tmp_path):
    hdu = fits.PrimaryHDU(NUMBERS.copy())
    hdu.scale("int16", bscale=0.5, bzero=2.0)
    hdu.writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_array(tmp_path / "a.fits").array, NUMBERS)


@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_blank_pixels_are_missing(tmp_path, dtype):
    hdu = fits.PrimaryHDU(np.array([[1, 2], [3, 4]], dtype))
    hdu.header["BLANK"] = 3 - int(hdu.header.get("BZERO", 0))
    hdu.writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(read_array(tmp_path / "a.fits").array, [[1, 2], [np.nan, 4]])


def test_a_file_with_a_table_is_one_of_columns(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("pt", "D", array=[1.0, 2.0])])
    fits.HDUList([fits.PrimaryHDU(NUMBERS), table]).writeto(tmp_path / "a.fits")
    assert read_array(tmp_path / "a.fits") is None
    assert list(read_columns(tmp_path / "a.fits")) == ["pt"]


def test_several_images_are_named(tmp_path):
    fits.HDUList([fits.PrimaryHDU(NUMBERS), fits.ImageHDU(NUMBERS[0], name="ERROR")]).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"expected one image, given PRIMARY \(2, 2, 3\), ERROR \(2, 3\): write the one"):
        read_array(tmp_path / "a.fits")


def test_what_asks_for_columns_says_what_to_write(tmp_path):
    fits.PrimaryHDU(NUMBERS).writeto(tmp_path / "a.fits")
    with pytest.raises(InputError, match=r"a FITS file without one: an image has no column names, so write a \.npz"):
        read_columns(tmp_path / "a.fits")
    fits.PrimaryHDU().writeto(tmp_path / "none.fits")
    assert read_array(tmp_path / "none.fits") is None
    with pytest.raises(InputError, match="a FITS file without one, nor an image"):
        read_columns(tmp_path / "none.fits")


def test_an_image_that_announces_more_than_there_is_takes_no_memory(tmp_path):
    fits.PrimaryHDU(NUMBERS).writeto(tmp_path / "a.fits")
    whole = (tmp_path / "a.fits").read_bytes()
    (tmp_path / "a.fits").write_bytes(whole[:2900])
    with pytest.raises(InputError, match=r"the image PRIMARY \(2, 2, 3\) cannot be read"):
        read_array(tmp_path / "a.fits")
    announced = whole.replace(b"NAXIS1  =                    3", b"NAXIS1  =          30000000000")
    for content in (announced, gzip.compress(announced)):
        (tmp_path / "a.fits").write_bytes(content)
        with pytest.raises(InputError, match="it announces 960000000000 bytes, and has"):
            read_array(tmp_path / "a.fits")


def test_maps_are_answered_as_those_of_a_npy(tmp_path):
    found = maps("cnn2d-cosmology", "predict/in/overdensity", 2)
    np.save(tmp_path / "maps.npy", found)
    expected = ok("predict", "cnn2d-cosmology", "--input", tmp_path / "maps.npy", "--json")
    percent = fits.Header([("BUNIT", "percent")])
    for name, hdu in (("maps", fits.PrimaryHDU(found)), ("percent", fits.PrimaryHDU(found.astype(float) * 100, percent))):
        hdu.writeto(tmp_path / f"{name}.fits")
        answer = json.loads(ok("predict", "cnn2d-cosmology", "--input", tmp_path / f"{name}.fits", "--json"))
        np.testing.assert_allclose(answer["mean"], json.loads(expected)["mean"], rtol=1e-5)


def test_one_map_is_observed(tmp_path):
    field = maps("maf-field-posterior", "sample/in/overdensity", 1)
    for name, array in (("one", field[0]), ("axis", field)):
        np.save(tmp_path / f"{name}.npy", array)
        fits.PrimaryHDU(array).writeto(tmp_path / f"{name}.fits")
    drawn = []
    for name in ("one.npy", "one.fits", "axis.fits"):
        out = tmp_path / name.replace(".", "-")
        told = ok("infer", "maf-field-posterior", "--observation", tmp_path / name, "--draws", 200, "--out", out, "--json")
        drawn.append(json.loads(told)["parameters"])
    assert drawn[0] == drawn[1] == drawn[2]


def test_other_units_and_missing_pixels_are_refused(tmp_path):
    found = maps("cnn2d-cosmology", "predict/in/overdensity", 2)
    fits.PrimaryHDU(found, fits.Header([("BUNIT", "K")])).writeto(tmp_path / "unit.fits")
    found[0, 3, 4] = np.nan
    fits.PrimaryHDU(found).writeto(tmp_path / "nan.fits")
    for name, said in (("unit", "expected 1, given K"), ("nan", "1 values are NaN or infinite, the first at (0, 3, 4)")):
        assert said in " ".join(refused("predict", "cnn2d-cosmology", "--input", tmp_path / f"{name}.fits").split())


def test_an_image_for_an_endpoint_of_several_inputs(tmp_path):
    fits.PrimaryHDU(NUMBERS).writeto(tmp_path / "a.fits")
    said = refused("predict", "maf-field-posterior", "--endpoint", "sample", "--input", tmp_path / "a.fits")
    assert "given a .fits of one array only" in " ".join(said.split())
