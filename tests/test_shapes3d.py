"""The renderer of Shapes3D: each factor changes what it should, any image follows from its factors, splits share none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from zoo.data.dataset import get_dataset
from zoo.data.shapes3d import FACTORS, SHAPES, grid_factors, render
from zoo.data.shapes3d.factors import GRID, SIZES
from zoo.data.shapes3d.images import SKY_COLOR, Images
from zoo.data.shapes3d.scene import AIM, AMBIENT, DISTANCE, FLOOR, HEIGHT, OBJECT, ROOM, SKY, VIEW, WALL, cast
from zoo.data.shapes3d.solids import BALL, CAPSULE, CUBE, CYLINDER, PILL, SPHERE, TALL, first_hit
from zoo.errors import InputError
from zoo.interpret.plots import image_grid

NAMES = [factor.name for factor in FACTORS]
RED_BALL = (1 / 3, 2 / 3, 0.0, 1.0, float(SPHERE), 0.0)
"""On a green floor before a blue wall: each color channel is one surface, and the sky's share."""


def changed(factors=RED_BALL, **new: float) -> np.ndarray:
    """Factors (1, 6) with some changed."""
    values = dict(zip(NAMES, factors, strict=True)) | new
    return np.array([list(values.values())])


def silhouette(shape: int, scale: float = 1.0, orientation: float = 0.0) -> np.ndarray:
    """Whether each pixel (64, 64) is all or partly of the object."""
    return cast(shape, scale, orientation)[OBJECT] > 0


def test_the_grid_is_the_published_one():
    assert SIZES == (10, 10, 10, 8, 4, 15)
    assert GRID == 480_000
    assert NAMES == ["floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"]
    every = grid_factors(np.arange(GRID))
    for column, factor in enumerate(FACTORS):
        np.testing.assert_array_equal(np.unique(every[:, column]), factor.values)
    np.testing.assert_allclose(np.unique(every[:, 0]), np.arange(10) / 10)
    np.testing.assert_allclose(np.diff(np.unique(every[:, 3])), 0.5 / 7)
    np.testing.assert_allclose(np.diff(np.unique(every[:, 5])), 60 / 14)


def test_each_index_is_another_point_and_the_last_factor_varies_fastest():
    every = grid_factors(np.arange(GRID))
    places = [np.searchsorted(factor.values, every[:, column]) for column, factor in enumerate(FACTORS)]
    np.testing.assert_array_equal(np.ravel_multi_index(places, SIZES), np.arange(GRID))
    np.testing.assert_array_equal(every[:15, 5], FACTORS[5].values)
    assert np.ptp(every[:15, :5], axis=0).max() == 0
    np.testing.assert_array_equal(every[:60:15, 4], range(4))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.array([0, 480_000]), "index: expected 0 to 479999, given 480000 at 1"),
        (np.array([-1]), "given -1 at 0"),
        (np.array([0.5]), "expected whole numbers of shape .n,., given float64"),
        (np.array(3), "given int64 of shape ()"),
    ],
)
def test_indices_off_the_grid_are_refused(index, message):
    with pytest.raises(InputError, match=message):
        grid_factors(index)


def test_images():
    found = render(grid_factors(np.random.default_rng(0).integers(GRID, size=50)))
    assert found.shape == (50, 64, 64, 3)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert render(np.empty((0, 6))).shape == (0, 64, 64, 3)


def test_an_image_follows_from_its_factors_alone():
    """Whatever else is rendered with it, on or off the grid, of float32 too."""
    rng = np.random.default_rng(0)
    factors = grid_factors(rng.integers(GRID, size=8))
    factors[::2, 3], factors[1::4, 5] = rng.uniform(0.75, 1.25, 4), rng.uniform(-30, 30, 2)
    together = render(factors)
    np.testing.assert_array_equal(together, np.concatenate([render(one[None]) for one in factors]))
    np.testing.assert_array_equal(together[::-1], render(factors[::-1]))
    np.testing.assert_allclose(render(factors.astype(np.float32)), together, atol=1e-3)


def test_the_grid_is_no_other_than_what_lies_between():
    """The kept light of a grid point against rays that are cast a little beside it."""
    on = changed(scale=FACTORS[3].values[4], orientation=FACTORS[5].values[9], shape=CUBE)
    beside = on + np.array([0, 0, 0, 3e-6, 0, 3e-4])
    found, expected = render(beside), render(on)
    assert 0 < np.abs(found - expected).max() < 0.1
    assert np.abs(found - expected).mean() < 1e-4


@pytest.mark.parametrize(
    ("name", "surface", "channel"), [("floor_hue", FLOOR, 1), ("wall_hue", WALL, 2), ("object_hue", OBJECT, 0)]
)
def test_a_hue_colors_its_surface_and_nothing_else(name, surface, channel):
    light = cast(SPHERE, 1.0, 0.0)
    before, after = render(changed())[0], render(changed(**{name: 0.5}))[0]
    np.testing.assert_array_equal(np.abs(after - before).max(axis=-1) > 1e-6, light[surface] > 0)
    pure = (light[surface] > 0) & (np.delete(light, surface, axis=0).max(axis=0) == 0)
    assert pure.sum() > 100
    np.testing.assert_allclose(before[pure], light[surface][pure][:, None] * np.eye(3)[channel], atol=1e-6)
    np.testing.assert_allclose(after[pure], light[surface][pure][:, None] * [0, 1, 1], atol=1e-6)


def test_hues_lie_on_a_circle():
    np.testing.assert_allclose(render(changed(wall_hue=0.0)), render(changed(wall_hue=1.0)), atol=1e-6)
    steps = np.concatenate([render(changed(wall_hue=hue)) for hue in np.linspace(0, 1, 25)])
    moved = np.abs(np.diff(steps, axis=0)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(moved, moved[0], rtol=1e-3)


def test_the_sky_is_the_same_whatever_the_factors():
    top = render(grid_factors(np.random.default_rng(0).integers(GRID, size=100)))[:, 0]
    np.testing.assert_array_equal(top, np.broadcast_to(top[:1], top.shape))
    np.testing.assert_allclose(top[0, 32] / top[0, 32, 2], np.array(SKY_COLOR) / SKY_COLOR[2], rtol=1e-5)


@pytest.mark.parametrize("shape", range(4), ids=SHAPES)
def test_the_silhouette_grows_with_the_scale(shape):
    area = [(cast(shape, scale, 10.0)[OBJECT] / AMBIENT).clip(max=1).sum() for scale in FACTORS[3].values]
    assert np.all(np.diff(area) > 10)
    # As the square, but for the perspective of an object that comes nearer and higher.
    assert (1.25 / 0.75) ** 2 < area[-1] / area[0] < 1.6 * (1.25 / 0.75) ** 2


def test_scale_and_shape_leave_the_room_as_it_is():
    """Pixels that show no object and are in nobody's shadow."""
    lights = np.stack([cast(shape, scale, -10.0) for shape in range(4) for scale in (0.75, 1.0, 1.25)])
    reference = lights[0]
    for light in lights[1:]:
        free = (light[OBJECT] == 0) & (reference[OBJECT] == 0)
        np.testing.assert_array_equal(light[WALL][free], reference[WALL][free])
        np.testing.assert_array_equal(light[SKY][free], reference[SKY][free])
        darker = free & (light[FLOOR] != reference[FLOOR])
        assert darker.sum() < 400
    assert np.all(lights[:, FLOOR, 60:] == reference[FLOOR, 60:])


def test_silhouettes_of_the_shapes_differ():
    seen = [silhouette(shape) for shape in range(4)]
    for one in range(4):
        for other in range(one):
            assert np.count_nonzero(seen[one] ^ seen[other]) > 60
    height = [np.ptp(np.flatnonzero(mask.any(axis=1))) for mask in seen]
    width = [np.ptp(np.flatnonzero(mask.any(axis=0))) for mask in seen]
    assert height[CAPSULE] == max(height)
    assert width[CAPSULE] == min(width)
    # A ball is round, a cylinder is as wide at its foot as in the middle, as a ball and a capsule are not.
    assert abs(height[SPHERE] - width[SPHERE]) <= 1
    foot = [mask[np.flatnonzero(mask.any(axis=1))[-2]].sum() / mask.sum(axis=1).max() for mask in seen]
    assert min(foot[CUBE], foot[CYLINDER]) > 0.4
    assert foot[CUBE] == max(foot)


def test_orientation_turns_the_room_and_the_cube_and_no_other_silhouette():
    """Opposite turns are mirror images, but for the light, which turns with the room."""
    for shape in (CYLINDER, SPHERE, CAPSULE):
        np.testing.assert_array_equal(silhouette(shape, 1.0, -30.0), silhouette(shape, 1.0, 30.0))
    turned = [silhouette(CUBE, 1.0, angle) for angle in (-30.0, 0.0, 30.0)]
    assert np.count_nonzero(turned[0] ^ turned[1]) > 60
    assert np.count_nonzero(turned[0] ^ turned[2][:, ::-1]) < 0.05 * turned[0].sum()


def test_edges_move_smoothly():
    """A step of a hundredth of a degree, a hundredth of a pixel, moves no pixel by more than two of its sixteen rays."""
    factors = np.repeat(changed(shape=CUBE), 20, axis=0)
    factors[:, 5] = 12 + np.arange(20) / 100
    images = render(factors)
    assert np.abs(np.diff(images, axis=0)).max() <= 2 / 16
    assert np.abs(images[-1] - images[0]).max() > 0.05


@pytest.mark.parametrize("orientation", [-30.0, -10.0, 0.0, 22.0])
def test_the_cube_is_where_perspective_puts_it(orientation):
    mask = silhouette(CUBE, 1.2, orientation)
    vertices = 1.2 * np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)])
    row, column = projected(vertices, orientation).T
    for found, expected in ((mask.any(axis=1), row), (mask.any(axis=0), column)):
        np.testing.assert_allclose(np.flatnonzero(found)[[0, -1]], np.floor([expected.min(), expected.max()]), atol=1)


@pytest.mark.parametrize("orientation", [-30.0, -20.0, 17.0, 30.0])
def test_the_corner_of_the_room_is_where_perspective_puts_it(orientation):
    light = cast(CAPSULE, 0.75, orientation)
    ((row, column),) = projected(np.array([(-np.sign(orientation) * ROOM, ROOM, 0.0)]), orientation).astype(int)
    assert light[FLOOR, row + 2, column] > AMBIENT
    assert light[FLOOR, row - 2, column] == 0
    left, right = light[WALL, row - 3, column - 2], light[WALL, row - 3, column + 2]
    assert min(left, right) >= AMBIENT
    assert abs(left - right) > 0.05
    assert light[WALL, row - 3, column - 3] == pytest.approx(left, abs=0.01)


def projected(points: np.ndarray, orientation: float) -> np.ndarray:
    """Row and column (n, 2), with fractions, of points (n, 3) of the room: a camera matrix, with no ray in it."""
    angle = np.radians(orientation)
    camera = np.array([DISTANCE * np.sin(angle), -DISTANCE * np.cos(angle), HEIGHT])
    forward = np.array([0, 0, AIM]) - camera
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    across, up, depth = np.stack([right, np.cross(right, forward), forward]) @ (points - camera).T
    return np.stack([1 - up / depth / VIEW, 1 + across / depth / VIEW], axis=1) * 32


@pytest.mark.parametrize("shape", range(4), ids=SHAPES)
def test_rays_meet_the_solids_on_their_surface(shape):
    """From all around, with directions of any length: the point is on the surface and the normal points outwards."""
    rng = np.random.default_rng(shape)
    scale, met, middle = 1.1, 0, np.array([0, 0, 0.5])
    for _ in range(300):
        origin = rng.normal(size=3)
        origin *= 4 / np.linalg.norm(origin)
        direction = (middle + rng.uniform(-0.7, 0.7, 3) - origin) * rng.uniform(0.1, 3)
        t, *normal = first_hit(shape, scale, *origin, *direction)
        if np.isinf(t):
            along = np.linspace(0, 8, 400)[:, None] / np.linalg.norm(direction)
            assert not inside(shape, scale, origin + along * direction).any()
            continue
        met += 1
        x, normal = origin + t * direction, np.array(normal)
        assert np.linalg.norm(normal) == pytest.approx(1)
        assert normal @ direction < 0
        assert inside(shape, scale, x - 1e-6 * normal)
        assert not inside(shape, scale, x + 1e-6 * normal)
        before = origin + np.linspace(0, t - 1e-6, 400)[:, None] * direction
        assert not inside(shape, scale, before).any()
    assert met > 100


def inside(shape: int, scale: float, points: np.ndarray) -> np.ndarray:
    """Whether each of (..., 3) is inside, by what the solids are rather than by how rays meet them."""
    x, y, z = np.moveaxis(points / scale, -1, 0)
    if shape == CUBE:
        return np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z - 0.5)) < 0.5
    if shape == CYLINDER:
        return (np.hypot(x, y) < 0.5) & (z > 0) & (z < 1)
    radius, height = (BALL, 2 * BALL) if shape == SPHERE else (PILL, TALL)
    return np.sqrt(x**2 + y**2 + (z - np.clip(z, radius, height - radius)) ** 2) < radius


@pytest.mark.parametrize("shape", range(4), ids=SHAPES)
def test_rays_along_the_axis_and_away_from_the_solids(shape):
    t, *normal = first_hit(shape, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, -1.0)
    assert t == pytest.approx(5 - (1, 1, 2 * BALL, TALL)[shape])
    np.testing.assert_allclose(normal, [0, 0, 1], atol=1e-12)
    assert np.isinf(first_hit(shape, 1.0, 0.0, 0.0, 5.0, 0.0, 0.0, 1.0)[0])
    assert np.isinf(first_hit(shape, 1.0, 2.0, 0.0, 5.0, 0.0, 0.0, -1.0)[0])
    assert np.isinf(first_hit(shape, 1.0, 3.0, 0.0, 0.5, 1.0, 0.0, 0.0)[0])


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (changed(floor_hue=1.1), "floor_hue: expected 0 to 1, given 1.1 in row 0"),
        (changed(object_hue=-0.1), "object_hue: expected 0 to 1, given -0.1"),
        (changed(wall_hue=np.nan), "wall_hue: expected 0 to 1, given nan"),
        (changed(scale=0.5), "scale: expected 0.75 to 1.25, given 0.5"),
        (changed(shape=1.5), r"shape: expected one of 0, 1, 2, 3 \(cube, cylinder, sphere, capsule\), given 1.5"),
        (changed(shape=4), "shape: expected one of 0, 1, 2, 3 .* given 4"),
        (changed(shape=np.inf), "shape: .* given inf"),
        (np.concatenate([changed(), changed(orientation=31)]), "orientation: expected -30 to 30 deg, given 31 in row 1"),
        (np.zeros(6), r"expected shape \(n, 6\), that is floor_hue, .*, given \(6,\)"),
        (np.zeros((2, 5)), r"given \(2, 5\)"),
        (np.array([["a"] * 6]), "expected numbers, given <U1"),
    ],
)
def test_bad_factors_are_refused(factors, message):
    with pytest.raises(InputError, match=message):
        render(factors)


def test_threads_may_share_the_work():
    factors = grid_factors(np.random.default_rng(3).integers(GRID, size=64))
    factors[::7, 3] = 0.9
    parts = np.array_split(factors, 16)
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(np.concatenate(list(pool.map(render, parts))), render(factors))


def test_indices_choose_as_of_an_array():
    factors = grid_factors(np.random.default_rng(0).integers(GRID, size=10))
    images, every = Images(factors), render(factors)
    assert len(images) == 10
    np.testing.assert_array_equal(images[:], every)
    np.testing.assert_array_equal(images[3:7], every[3:7])
    np.testing.assert_array_equal(images[np.array([5, 5, 0])], every[[5, 5, 0]])
    np.testing.assert_array_equal(images[every.mean(axis=(1, 2, 3)) > 0], every)
    assert images[10:].shape == (0, 64, 64, 3)


def test_splits_share_no_image_and_training_draws_anew_each_epoch():
    sizes = {"train": 300, "validation": 20, "test": 40}
    data = get_dataset("shapes3d", **sizes)
    held_out = [set(data.rows(split).group) for split in ("validation", "test")]
    assert [len(one) for one in held_out] == [20, 40]
    assert not held_out[0] & held_out[1]
    epochs = [data.rows("train", epoch) for epoch in range(3)]
    for rows in epochs:
        assert len(rows) == len(set(rows.group)) == 300
        assert not set(rows.group) & (held_out[0] | held_out[1])
    assert not np.array_equal(epochs[0].group, epochs[1].group)
    again = get_dataset("shapes3d", **sizes)
    np.testing.assert_array_equal(again.rows("train", 2).group, epochs[2].group)
    np.testing.assert_array_equal(again.rows("test", 5).group, data.rows("test").group)
    other = get_dataset("shapes3d", **sizes, seed=1)
    assert set(other.rows("test").group) != held_out[1]


def test_rows_are_images_with_their_factors():
    data = get_dataset("shapes3d", train=10, validation=5, test=5)
    rows = data.rows("train")
    factors = grid_factors(rows.group)
    assert list(rows.truth) == list(data.units) == NAMES
    for column, name in enumerate(NAMES):
        np.testing.assert_array_equal(rows.truth[name], factors[:, column])
    batch = np.array([7, 2])
    np.testing.assert_array_equal(rows.inputs["image"][batch], render(factors[batch]))
    np.testing.assert_array_equal(rows.target[batch], rows.inputs["image"][batch])


def test_a_split_may_be_all_that_is_left_and_no_more():
    data = get_dataset("shapes3d", train=GRID - 30, validation=10, test=20)
    assert len(set(data.rows("train").group)) == GRID - 30
    for sizes in ({"train": GRID, "validation": 1, "test": 0}, {"train": 10, "validation": -1, "test": 0}):
        with pytest.raises(InputError, match="expected sizes of at most 480000 together"):
            get_dataset("shapes3d", **sizes)


def test_a_grid_of_images():
    images = render(grid_factors(np.arange(6))).reshape(2, 3, 64, 64, 3)
    images[1, 2] = np.nan
    figure = image_grid(images, ["one", "two"], "title")
    (axes,) = figure.axes
    mosaic = axes.images[0].get_array()
    assert mosaic.shape == (2 * 66 - 2, 3 * 66 - 2, 3)
    np.testing.assert_array_equal(mosaic[:64, 66:130], images[0, 1])
    assert np.all(mosaic[66:, 132:] == 1)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    box = axes.get_window_extent()
    np.testing.assert_allclose([box.height, box.width], mosaic.shape[:2])
    for wrong, labels, message in (
        (images[0], (), "expected shape .rows, columns, height, width, 3., given .3, 64, 64, 3."),
        (images, ["one"], "labels: expected 2, one a row, given 1"),
        (2 * images, (), "images: expected values in .0, 1., given 0 to "),
    ):
        with pytest.raises(InputError, match=message):
            image_grid(wrong, labels)
