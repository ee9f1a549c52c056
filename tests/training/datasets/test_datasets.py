"""Every kind of source is read, or refused in one line that names the file."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.datasets import Dataset, load
from training.datasets.dataset import Source, Split, assemble
from training.errors import TrainingError

DRAWS = np.random.default_rng(0)
IMAGES = DRAWS.integers(0, 256, (30, 6, 4), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def read(source: object) -> Dataset:
    return load(str(source), environment={})


def refusal(source: object) -> str:
    with pytest.raises(TrainingError) as caught:
        read(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pixels(dataset: Dataset) -> set[bytes]:
    """All rows, whatever their split."""
    splits = [dataset.train, dataset.validation, *([dataset.test] if dataset.test else [])]
    return {row.numpy().tobytes() for split in splits for row in split.rows}


def test_an_idx_folder_is_read_gzipped_or_plain_with_its_labels_and_test_rows(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(30, dtype=np.uint8)))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES[:5]))
    dataset = read(tmp_path)
    assert dataset.counts == {"train": 25, "validation": 5, "test": 5}
    assert dataset.item_shape == (1, 6, 4)
    np.testing.assert_array_equal(dataset.train.rows[:, 0], IMAGES[:25])  # the last sixth is held out
    np.testing.assert_array_equal(dataset.validation.rows[:, 0], IMAGES[25:])
    assert dataset.validation.labels is not None
    assert dataset.validation.labels.tolist() == [25, 26, 27, 28, 29]
    assert dataset.test is not None
    assert dataset.test.labels is None


def test_larochelles_file_names_bring_their_own_validation_rows(tmp_path: Path) -> None:
    for name, rows in (("train", IMAGES > 127), ("valid", IMAGES[:7] > 127), ("test", IMAGES[:8] > 127)):
        file = tmp_path / f"binarized_mnist_{name}-images-idx3-ubyte.gz"
        file.write_bytes(gzip.compress(idx(rows.astype(np.uint8))))
    dataset = read(tmp_path)
    assert dataset.counts == {"train": 30, "validation": 7, "test": 8}
    assert dataset.static
    assert dataset.train.rows.unique().tolist() == [0, 255]  # written as 0 and 1


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ({"x": IMAGES // 128, "x_test": IMAGES}, "train is black and white (0 and 1), test is grey (0..255)"),
        ({"x": IMAGES > 127, "x_test": IMAGES}, "train is black and white (0 and 255), test is grey (0..255)"),
        ({"x": IMAGES, "x_val": IMAGES // 128}, "train is grey (0..255), validation is black and white (0 and 1)"),
        (
            {"x": IMAGES > 127, "x_test": IMAGES // 128},
            "train is black and white (0 and 255), test is black and white (0 and 1)",
        ),
    ],
)
def test_splits_that_are_written_differently_are_refused(
    rows: dict[str, np.ndarray], complaint: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", **rows)  # type: ignore[arg-type]
    assert f"rows: {complaint}; write the pixels of all splits alike" == refusal(tmp_path / "rows.npz")


@pytest.mark.parametrize("train", [IMAGES // 128, (IMAGES > 127).astype(float), IMAGES], ids=["0 1", "floats", "grey"])
def test_a_split_of_black_rows_goes_with_any_other(train: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x=train, x_test=np.zeros_like(train[:2]))
    dataset = read(tmp_path / "rows.npz")
    assert dataset.static == (train is not IMAGES)
    assert int(dataset.train.rows.max()) == 255


def test_data_are_static_only_if_the_rows_held_out_are_black_and_white_too(tmp_path: Path) -> None:
    rows = np.concatenate(((IMAGES[:25] > 127) * np.uint8(255), IMAGES[25:]))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(rows))
    dataset = read(tmp_path)
    assert set(dataset.train.rows.unique().tolist()) == {0, 255}
    assert not dataset.static


def test_pictures_are_read_grey_in_the_order_of_their_names(tmp_path: Path) -> None:
    for index, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{index:03}.png")
    dataset = read(tmp_path)
    assert dataset.counts == {"train": 27, "validation": 3}
    assert dataset.item_shape == (1, 6, 4)
    assert pixels(dataset) == {image.tobytes() for image in IMAGES}


def test_one_coloured_picture_makes_all_of_them_coloured_and_transparency_black(tmp_path: Path) -> None:
    for index in range(20):
        Image.new("L", (5, 3), 100 + index).save(tmp_path / f"{index:03}.jpg", quality=100)
    Image.new("RGBA", (5, 3), (255, 0, 0, 0)).save(tmp_path / "020.png")
    Image.new("RGB", (5, 3), (0, 0, 255)).save(tmp_path / "021.png")
    dataset = read(tmp_path)
    assert dataset.item_shape == (3, 3, 5)
    black, blue = bytes(45), bytes(30) + b"\xff" * 15
    assert {black, blue} < pixels(dataset)


def test_sixteen_bits_of_grey_are_rounded_to_eight(tmp_path: Path) -> None:
    words = DRAWS.integers(0, 65536, IMAGES.shape, dtype=np.uint16)
    words[0, 0, :2] = 0, 65535
    for index, image in enumerate(words):
        Image.fromarray(image).save(tmp_path / f"{index:03}.png")
    dataset = read(tmp_path)
    assert dataset.item_shape == (1, 6, 4)
    assert pixels(dataset) == {np.rint(image / 65535 * 255).astype(np.uint8).tobytes() for image in words}


def test_sixteen_bits_of_grey_may_stand_beside_colour_and_be_turned(tmp_path: Path) -> None:
    for index in range(20):
        Image.new("RGB", (4, 6), (index, 0, 255)).save(tmp_path / f"{index:03}.png")
    turned = Image.Exif()
    turned[0x112] = 6  # orientation: a quarter turn
    Image.fromarray(np.rot90(IMAGES[0]).astype(np.uint16) * 257).save(tmp_path / "020.png", exif=turned)
    dataset = read(tmp_path)
    assert dataset.item_shape == (3, 6, 4)
    assert IMAGES[0].tobytes() * 3 in pixels(dataset)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (IMAGES[0] / np.float32(255), "25.png: holds floats without a known range"),
        (IMAGES[0].astype(np.int32) + 65500, "25.png: holds values from 655"),
        (IMAGES[0].astype(np.int32) - 300, "25.png: holds values from -"),
    ],
    ids=["floats", "too large", "negative"],
)
def test_pictures_of_numbers_without_a_scale_are_refused(array: np.ndarray, complaint: str, tmp_path: Path) -> None:
    for index in range(25):
        Image.fromarray(IMAGES[index]).save(tmp_path / f"{index:02}.png")
    Image.fromarray(array).save(tmp_path / "25.png", format="TIFF")
    assert complaint in refusal(tmp_path)


def test_folders_named_train_and_test_are_the_splits(tmp_path: Path) -> None:
    for folder, rows in (("train", IMAGES[:20]), ("val", IMAGES[20:24]), ("test", IMAGES[24:])):
        (tmp_path / folder).mkdir()
        for index, image in enumerate(rows):
            Image.fromarray(image).save(tmp_path / folder / f"{index}.png")
    assert read(tmp_path).counts == {"train": 20, "validation": 4, "test": 6}


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (IMAGES, (1, 6, 4)),
        (IMAGES > 127, (1, 6, 4)),
        (IMAGES.astype(np.int64), (1, 6, 4)),
        (IMAGES / 255, (1, 6, 4)),
        (np.stack([IMAGES] * 3, axis=3), (3, 6, 4)),
        (np.stack([IMAGES] * 3, axis=1), (3, 6, 4)),
        (IMAGES[:, None], (1, 6, 4)),
    ],
    ids=["bytes", "booleans", "integers", "floats", "channels last", "channels first", "one channel"],
)
def test_arrays_of_images_are_read_whatever_their_layout(
    array: np.ndarray, shape: tuple[int, ...], tmp_path: Path
) -> None:
    np.save(tmp_path / "rows.npy", array)
    dataset = read(tmp_path / "rows.npy")
    assert dataset.item_shape == shape
    assert len(dataset.train) == 27
    first = (IMAGES > 127) * np.uint8(255) if array.dtype == np.bool_ else IMAGES
    assert {row[:24] for row in pixels(dataset)} >= {image.tobytes() for image in first} or shape[0] == 3


def test_an_archive_may_name_its_splits_and_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", x_train=IMAGES, y_train=np.arange(30), x_test=IMAGES[:4], y_test=np.arange(4))
    dataset = read(tmp_path / "rows.npz")
    assert dataset.counts == {"train": 27, "validation": 3, "test": 4}
    assert dataset.train.labels is not None
    np.testing.assert_array_equal(dataset.train.rows[:, 0], IMAGES[dataset.train.labels.numpy()])


def test_the_bundled_digits_need_no_file() -> None:
    dataset = read("digits")
    assert dataset.counts == {"train": 1437, "validation": 180, "test": 180}
    assert (dataset.item_shape, int(dataset.train.rows.max())) == ((1, 8, 8), 255)


def test_the_split_and_the_digest_are_the_same_every_time(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", IMAGES)
    np.save(tmp_path / "b.npy", IMAGES[::-1])
    once, again, other = read(tmp_path / "a.npy"), read(tmp_path / "a.npy"), read(tmp_path / "b.npy")
    assert torch.equal(once.validation.rows, again.validation.rows)
    assert once.sha256 == again.sha256 != other.sha256


def test_training_on_all_sees_the_validation_rows_after_the_training_rows(tmp_path: Path) -> None:
    """Whether they lie beside each other in memory (an IDX folder), were taken out of it, or are a source's own."""
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    np.save(tmp_path / "rows.npy", IMAGES)
    np.savez(tmp_path / "rows.npz", x=IMAGES, x_val=IMAGES[:4])
    for source in (tmp_path, tmp_path / "rows.npy", tmp_path / "rows.npz"):
        dataset = read(source)
        assert torch.equal(dataset.rows("all"), torch.cat((dataset.train.rows, dataset.validation.rows)))
        assert torch.equal(dataset.rows("train"), dataset.train.rows)


def test_a_source_that_is_no_data_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    assert "nowhere: no such file or folder; allowed: digits, mnist" in refusal(tmp_path / "nowhere")
    assert "notes.txt: cannot be read as data; allowed: digits" in refusal(tmp_path / "notes.txt")
    assert "empty: holds no data; expected train-images" in refusal(tmp_path / "empty")
    assert refusal("").startswith("--data is empty; allowed: digits, mnist")


def test_a_folder_whose_table_is_not_called_train_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "mydata.csv").write_text("1,2\n" * 30)
    assert "train.csv, .tsv or .parquet" in refusal(tmp_path)
    assert refusal(tmp_path).endswith("for a file of another name give the file itself")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x1f\x8b broken", "is not readable gzip"),
        (gzip.compress(idx(IMAGES), mtime=0)[:-20], "is not readable gzip"),
        (b"hello", "is not an IDX file"),
        (b"", "is not an IDX file"),
        (b"\0\0\x0d\x03" + bytes(12), "holds IDX type 0x0d; allowed: 0x08"),
        (b"\0\0\x08\x03" + bytes(3), "ends inside its header"),
        (idx(IMAGES)[:-1], "its header says (30, 6, 4), 720 bytes, but 719 follow"),
        (idx(np.zeros(5, np.uint8)), "has 1 axes; images need 3"),
    ],
)
def test_a_broken_idx_file_is_named(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    assert complaint in refusal(tmp_path)


def test_idx_folders_without_or_with_two_training_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES))
    assert "has no train-images-idx3-ubyte" in refusal(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    assert "are both train images; keep one" in refusal(tmp_path)


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(29, np.uint8)))
    assert "30 train rows have 29 labels" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (IMAGES[:0], "is empty, shape (0, 6, 4)"),
        (IMAGES[0], "has shape (6, 4); allowed: [N, H, W]"),
        (np.zeros((30, 6, 4, 2), np.uint8), "with 1 or 3 channels"),
        (IMAGES.astype(np.float32), "scale them to 0..1"),
        (np.full((30, 2, 2), np.nan), "holds NaN or infinite values"),
        (IMAGES.astype(np.int32) - 5, "is int32; allowed: values 0..255"),
        (IMAGES.astype(np.complex64), "is complex64; allowed"),
        (np.full((30, 6, 4), 7, np.uint8), "every value of every row is 7; there is nothing to learn"),
        (IMAGES[:1], "has 1 rows; training needs at least 20"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array: np.ndarray, complaint: str, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", array)
    assert complaint in refusal(tmp_path / "rows.npy")


def test_archives_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "names.npz", cats=IMAGES)
    np.savez(tmp_path / "shapes.npz", train=IMAGES, test=IMAGES[:, :5])
    np.savez(tmp_path / "labels.npz", x=IMAGES, y=np.zeros((30, 2)))
    np.save(tmp_path / "pickle.npy", np.array([{"code": 1}]), allow_pickle=True)
    (tmp_path / "broken.npz").write_bytes((tmp_path / "names.npz").read_bytes()[:100])
    assert "holds ['cats']; one array must be named train or" in refusal(tmp_path / "names.npz")
    assert "test items are (1, 5, 4), training items (1, 6, 4)" in refusal(tmp_path / "shapes.npz")
    assert "labels are whole numbers [N]" in refusal(tmp_path / "labels.npz")
    assert "numpy cannot read it" in refusal(tmp_path / "pickle.npy")
    assert "numpy cannot read it" in refusal(tmp_path / "broken.npz")


def test_pictures_of_two_sizes_and_damaged_pictures_are_refused(tmp_path: Path) -> None:
    for index in range(25):
        Image.new("L", (5, 3), index).save(tmp_path / f"{index:02}.png")
    (tmp_path / "25.png").write_bytes(b"no picture")
    assert "25.png: is not a readable picture" in refusal(tmp_path)
    (tmp_path / "25.png").write_bytes((tmp_path / "24.png").read_bytes()[:-30])
    assert "25.png: is damaged" in refusal(tmp_path)
    Image.new("L", (6, 3), 1).save(tmp_path / "25.png")
    assert "25.png: is 6x3 pixels, 00.png is 5x3; bring all pictures to one size" in refusal(tmp_path)


def test_an_empty_test_split_is_refused() -> None:
    rows = torch.from_numpy(IMAGES)[:, None]
    with pytest.raises(TrainingError, match="the test split is empty"):
        assemble(Source("x", Split(rows), test=Split(rows[:0])))


@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_split_of_one_row_is_refused_and_of_two_is_not(name: str) -> None:
    rows = torch.from_numpy(IMAGES)[:, None]
    with pytest.raises(TrainingError, match=f"^x: the {name} split has 1 row; measuring needs 2$"):
        assemble(Source("x", Split(rows), **{name: Split(rows[:1])}))
    assert assemble(Source("x", Split(rows), **{name: Split(rows[:2])})).counts[name] == 2
