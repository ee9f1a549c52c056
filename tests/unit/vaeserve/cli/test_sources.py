"""Files and folders become items in the model's shape, or an error that says what is wanted."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaeserve.cli import sources
from vaeserve.cli.connection import BadInput
from vaeserve.results import ModelInfo, ModelRef, ModelSummary


def model(*item_shape: int) -> ModelInfo:
    return ModelInfo(
        summary=ModelSummary(ModelRef("toy", "3", "d"), "ready", "", is_default=True),
        item_shape=item_shape,
        value_min=0.0,
        value_max=1.0,
        latent_size=2,
        likelihood="bernoulli",
        sigma=None,
        scale=(),
        learned_prior=False,
        embedding_space="s",
        sampling_version=1,
        metrics={},
        graphs={},
        max_request_rows=4096,
    )


GREY, COLOUR, TABLE = model(1, 2, 3), model(3, 2, 3), model(6)
PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3) * 10


def written(folder: Path, pixels: np.ndarray, name: str = "a.png") -> Path:
    path = folder / name
    Image.fromarray(pixels).save(path)
    return path


def load(path: Path, of: ModelInfo, *, resize: bool = False) -> np.ndarray:
    return sources.load([path], of, resize=resize).items


def test_a_grey_picture_is_an_item(tmp_path: Path):
    np.testing.assert_array_equal(load(written(tmp_path, PIXELS), GREY), PIXELS[None, None])


def test_a_colour_picture_is_an_item_with_channels_first(tmp_path: Path):
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(load(written(tmp_path, pixels), COLOUR)[0], pixels.transpose(2, 0, 1))


def test_a_grey_picture_saved_as_colour_with_an_opaque_alpha_is_grey_all_the_same(tmp_path: Path):
    rgba = np.dstack([PIXELS, PIXELS, PIXELS, np.full_like(PIXELS, 255)])
    np.testing.assert_array_equal(load(written(tmp_path, rgba), GREY), PIXELS[None, None])


def test_a_colour_model_takes_grey_pictures(tmp_path: Path):
    np.testing.assert_array_equal(load(written(tmp_path, PIXELS), COLOUR)[0], [PIXELS] * 3)


def test_a_folder_is_its_pictures_by_name(tmp_path: Path):
    written(tmp_path, PIXELS + 2, "b.png")
    written(tmp_path, PIXELS + 1, "a.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    loaded = sources.load([tmp_path], GREY, resize=False)
    assert loaded.names == ("a.png", "b.png")
    np.testing.assert_array_equal(loaded.items[:, 0, 0, 0], [1, 2])


@pytest.mark.parametrize(
    ("pixels", "of", "message"),
    [
        (np.zeros((4, 5), np.uint8), GREY, r"a\.png is 5x4 in grey, toy/3 wants 3x2 in grey: --resize converts it"),
        (np.arange(18, dtype=np.uint8).reshape(2, 3, 3), GREY, "is 3x2 in colour, toy/3 wants 3x2 in grey: --resize"),
        (np.zeros((2, 3), np.uint16), GREY, "more than 8 bits a pixel"),
        (np.zeros((2, 3, 4), np.uint8), GREY, "is transparent: --resize puts it on black"),
        (PIXELS, TABLE, r"is a picture; toy/3 wants items of shape \[6\]: use \.npy"),
    ],
)
def test_a_picture_that_does_not_fit_is_refused_with_what_is_wanted(tmp_path: Path, pixels, of, message):
    with pytest.raises(BadInput, match=message):
        load(written(tmp_path, pixels), of)


def test_resize_scales_the_whole_picture_onto_black_and_takes_its_colour(tmp_path: Path):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:] = (255, 254, 255)
    items = load(written(tmp_path, pixels), model(1, 10, 20), resize=True)
    assert items.shape == (1, 1, 10, 20)
    np.testing.assert_array_equal(items[0, 0, 5, [0, 4, 5, 14, 15]], [0, 0, 254, 254, 0])


def test_resize_puts_transparent_pictures_on_black(tmp_path: Path):
    rgba = np.dstack([np.full_like(PIXELS, 200)] * 3 + [np.array([[0, 255, 255]] * 2, np.uint8)])
    np.testing.assert_array_equal(load(written(tmp_path, rgba), GREY, resize=True)[0, 0, 0], [0, 200, 200])


@pytest.mark.parametrize("name", ["a.png", "a.npy", "a.npz"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"neither picture nor array")
    with pytest.raises(BadInput, match=name):
        load(tmp_path / name, GREY)


def test_a_truncated_picture_is_refused(tmp_path: Path):
    path = written(tmp_path, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BadInput, match="no readable picture"):
        load(path, model(1, 64, 64))


def test_arrays_with_pickled_objects_are_refused(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(BadInput, match="no numpy file of numbers"):
        load(tmp_path / "a.npy", GREY)


@pytest.mark.parametrize("shape", [(4, 1, 2, 3), (4, 2, 3)])
def test_arrays_are_rows_and_may_leave_out_the_one_channel(tmp_path: Path, shape: tuple[int, ...]):
    array = np.arange(24, dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(load(tmp_path / "a.npy", GREY), array.reshape(4, 1, 2, 3))


def test_a_table_is_rows_of_features(tmp_path: Path):
    np.savez(tmp_path / "a.npz", items=np.ones((2, 6)))
    assert load(tmp_path / "a.npz", TABLE).shape == (2, 6)


@pytest.mark.parametrize("shape", [(2, 3), (6,), (4, 3, 2), (4, 6)])
def test_arrays_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...]):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(BadInput, match=r"the model wants \[rows, 1, 2, 3\]"):
        load(tmp_path / "a.npy", GREY)


def test_an_npz_without_a_known_array_says_what_it_holds(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(1), y=np.zeros(1))
    with pytest.raises(BadInput, match="holds x, y; one of items is wanted"):
        load(tmp_path / "a.npz", GREY)


def test_pictures_and_floats_do_not_mix(tmp_path: Path):
    np.save(tmp_path / "b.npy", np.zeros((1, 1, 2, 3), np.float32))
    with pytest.raises(BadInput, match=r"a\.png holds uint8, b\.npy holds float32"):
        sources.load([written(tmp_path, PIXELS), tmp_path / "b.npy"], GREY, resize=False)


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match=r"holds no \.png"):
        load(tmp_path, GREY)
