"""Many small pictures in one image."""

import numpy as np
import pytest

from vaeserve import InvalidInput, grid

PAD = grid.PADDING


def numbered(rows: int, *, channels: int = 1, height: int = 2, width: int = 3) -> np.ndarray:
    """Items whose every pixel is their row."""
    items = np.empty((rows, channels, height, width), np.uint8)
    items[:] = np.arange(rows).reshape(rows, 1, 1, 1)
    return items


def test_items_stand_in_reading_order_with_padding_around():
    picture = np.asarray(grid.picture(numbered(3), columns=2, scale=1))
    assert picture.shape == (2 * (2 + PAD) + PAD, 2 * (3 + PAD) + PAD)
    assert picture[PAD, PAD] == 0
    assert picture[PAD, PAD + 3 + PAD] == 1
    assert picture[PAD + 2 + PAD, PAD] == 2
    assert picture[PAD + 2 + PAD, PAD + 3 + PAD] == grid.BACKGROUND  # no fourth item
    assert (picture[:PAD] == grid.BACKGROUND).all()


def test_each_pixel_is_enlarged_to_a_square():
    items = np.array([[[[10, 20]]]], np.uint8)
    picture = np.asarray(grid.picture(items, scale=3))[PAD:-PAD, PAD:-PAD]
    np.testing.assert_array_equal(picture, [[10, 10, 10, 20, 20, 20]] * 3)


def test_small_items_are_enlarged_and_large_ones_left_alone():
    assert grid.picture(numbered(1, height=28, width=28)).width == 3 * 28 + 2 * PAD
    assert grid.picture(numbered(1, height=200, width=200)).width == 200 + 2 * PAD


def test_as_many_columns_as_lines_by_default():
    picture = grid.picture(numbered(64, height=8, width=8), scale=1)
    assert picture.size == (8 * (8 + PAD) + PAD, 8 * (8 + PAD) + PAD)


def test_floats_fill_the_range_from_black_to_white_and_others_are_clipped():
    items = np.array([[[[-2.0, -1.0, 0.0, 1.0, 2.0]]]], np.float32)
    picture = np.asarray(grid.picture(items, scale=1, value_range=(-1.0, 1.0)))[PAD, PAD:-PAD]
    np.testing.assert_array_equal(picture, [0, 0, 128, 255, 255])


def test_colour_stays_colour():
    items = np.zeros((1, 3, 1, 1), np.uint8)
    items[0, :, 0, 0] = (1, 2, 3)
    picture = grid.picture(items, scale=1)
    assert picture.mode == "RGB"
    assert picture.getpixel((PAD, PAD)) == (1, 2, 3)


def test_what_belongs_under_an_item_stands_right_below_it():
    picture = np.asarray(grid.picture(numbered(3), under=numbered(3) + 100, columns=2, scale=1))
    below = PAD + 2 + grid.SEAM
    assert (picture[PAD, PAD], picture[below, PAD]) == (0, 100)
    assert (picture[PAD, PAD + 3 + PAD], picture[below, PAD + 3 + PAD]) == (1, 101)
    second_line = below + 2 + PAD
    assert (picture[second_line, PAD], picture[second_line + 2 + grid.SEAM, PAD]) == (2, 102)


@pytest.mark.parametrize("shape", [(4, 28, 28), (4, 2, 8, 8), (0, 1, 8, 8), (4, 16)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]):
    with pytest.raises(InvalidInput, match="must be pictures"):
        grid.picture(np.zeros(shape, np.float32))
