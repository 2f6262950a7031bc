"""Folders as people have them: what is read, what is left out with a word, and what is refused."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training_scripts.data.dataset import DataError
from training_scripts.data.readers import DataSourceError
from training_scripts.quick import photographs
from training_scripts.synthetic import generator

CLASSES = ("bicycle", "motorcycle")


def jpeg(label: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    generator.draw(label, seed, 96).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with six pictures each."""
    for label in ("bicycle", "motorcycle"):
        (tmp_path / label).mkdir()
        for seed in range(6):
            (tmp_path / label / f"{seed}.jpg").write_bytes(jpeg(label, seed))
    return tmp_path


def read(folder: Path, *classes: str) -> photographs.Photographs:
    return photographs.read([folder], "train", classes or CLASSES, lambda done, total: None)


def test_pictures_get_the_number_of_their_folder(folder: Path) -> None:
    made = read(folder)
    assert made.classes == ["bicycle", "motorcycle"]
    assert np.bincount(made.rows.truth).tolist() == [6, 6]
    assert made.features.shape == (12, 1280)
    assert made.unread == []


def test_pictures_of_neither_and_of_other_classes_are_foreign(folder: Path) -> None:
    for name in ("neither", "car"):
        (folder / name).mkdir()
        (folder / name / "1.jpg").write_bytes(jpeg("other", len(name)))
    assert read(folder, "motorcycle", "bicycle").rows.truth.tolist() == [1] * 6 + [2] + [0] * 6 + [2]


def test_files_that_are_not_pictures_deeper_folders_and_upper_case_endings(folder: Path) -> None:
    (folder / "bicycle" / ".DS_Store").write_bytes(b"\0")
    (folder / "bicycle" / "Thumbs.db").write_bytes(b"\0")
    (folder / "bicycle" / "._0.jpg").write_bytes(b"\0")
    (folder / "bicycle" / "2024" / "may").mkdir(parents=True)
    (folder / "bicycle" / "2024" / "may" / "IMG_1.JPG").write_bytes(jpeg("bicycle", 50))
    made = read(folder)
    assert np.bincount(made.rows.truth).tolist() == [7, 6]
    assert made.unread == []


@pytest.mark.parametrize("mode", ["L", "P", "CMYK"])
def test_pictures_of_every_kind_are_read(folder: Path, mode: str) -> None:
    picture = generator.draw("bicycle", 60, 96).convert(mode)
    picture.save(folder / "bicycle" / ("kind.png" if mode == "P" else "kind.jpg"))
    assert len(read(folder).paths) == 13


def test_a_few_unreadable_files_are_named_and_left_out(folder: Path) -> None:
    for seed in range(6, 16):
        (folder / "bicycle" / f"{seed}.jpg").write_bytes(jpeg("bicycle", seed))
    (folder / "bicycle" / "empty.jpg").write_bytes(b"")
    made = read(folder)
    assert len(made.paths) == 22
    assert len(made.unread) == 1
    assert "empty.jpg: The file is empty" in made.unread[0]


def test_many_unreadable_files_are_an_error(folder: Path) -> None:
    for number in range(3):
        (folder / "bicycle" / f"broken{number}.jpg").write_bytes(b"nothing")
    with pytest.raises(DataSourceError, match=r"3 of 15 files cannot be read, the first is .*broken0"):
        read(folder)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataSourceError, match="no such folder"):
        read(tmp_path / "nowhere")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 0 readable pictures of the class .bicycle."):
        read(tmp_path)


def test_one_class_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match=r"pictures of 1 class \(.motorcycle.\): make a folder"):
        read(folder, "motorcycle")


def test_a_class_of_one_picture_is_an_error(folder: Path) -> None:
    for seed in range(1, 6):
        (folder / "bicycle" / f"{seed}.jpg").unlink()
    with pytest.raises(DataError, match=r"has 1 readable pictures of the class .bicycle.: 3 are the least"):
        read(folder)


def test_one_picture_in_two_classes_is_an_error(folder: Path) -> None:
    shutil.copy(folder / "bicycle" / "0.jpg", folder / "motorcycle" / "copy.jpg")
    with pytest.raises(
        DataError, match=r"bicycle/0\.jpg and .*copy\.jpg show the same picture in two classes"
    ):
        photographs.folds(read(folder))


def test_copies_of_a_picture_share_a_fold(folder: Path) -> None:
    again = Image.open(folder / "bicycle" / "0.jpg")
    again.save(folder / "bicycle" / "0-again.jpg", quality=60)
    made = read(folder)
    names = [path.name for path in made.paths]
    folds = photographs.folds(made)
    assert folds[names.index("0.jpg")] == folds[names.index("0-again.jpg")]
    assert np.bincount(folds).min() >= 2


def test_turned_pictures_are_read_upright(folder: Path) -> None:
    original = Image.open(folder / "bicycle" / "0.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    original.transpose(Image.Transpose.ROTATE_90).save(
        folder / "bicycle" / "0-turned.jpg", exif=exif, quality=95
    )
    made = read(folder)
    names = [path.name for path in made.paths]
    difference = (
        made.rows.pixels[names.index("0.jpg")].astype(int) - made.rows.pixels[names.index("0-turned.jpg")]
    )
    assert np.abs(difference).mean() < 8
