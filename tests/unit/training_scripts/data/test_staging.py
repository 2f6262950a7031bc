"""Staging: which pictures of a source are chosen, how they are laid down, and what an interruption leaves."""

import csv
import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training_scripts.data import out_of_distribution, readers
from training_scripts.data.readers import DataSourceError
from training_scripts.data.staging import stage_pictures
from training_scripts.data.stores import Bucket, Folder
from training_scripts.synthetic import generator

OTHERS = ("apple", "bed", "castle", "dolphin")


def silent(_text, _share):
    pass


def png(seed: int, side: int = 40) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """An archive with 6 training and 2 test pictures of each class, no two alike."""
    path = tmp_path_factory.mktemp("source") / "pictures.tar.gz"
    seeds = iter(range(1000))
    with tarfile.open(path, "w:gz") as tar:
        for split, count in (("train", 6), ("test", 2)):
            for label in ("bicycle", "motorcycle", *OTHERS):
                for number in range(count):
                    content = png(next(seeds))
                    member = tarfile.TarInfo(f"set/{split}/{label}/{number}.png")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return path


def staged(source: Path, store, classes=("bicycle", "motorcycle"), neither=100, progress=silent):
    return stage_pictures([source], classes, store, neither=neither, progress=progress)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def test_the_classes_asked_for_keep_their_splits_and_others_become_neither(source, tmp_path):
    result = staged(source, Folder(tmp_path))

    assert result.counts == {
        ("train", "bicycle"): 6,
        ("test", "bicycle"): 2,
        ("train", "motorcycle"): 6,
        ("test", "motorcycle"): 2,
        ("train", "neither"): 12,
        ("test", "neither"): 16,
    }


def test_no_class_of_foreign_pictures_in_the_test_split_is_trained_on(source, tmp_path):
    staged(source, Folder(tmp_path))

    origins = {
        split: {
            row["source"].split(":")[1].split("/")[0]
            for row in manifest(tmp_path)["pictures"]
            if row["split"] == split and row["label"] == "neither"
        }
        for split in ("train", "test")
    }
    assert origins == {"train": {"apple", "castle"}, "test": {"bed", "dolphin"}}


def test_foreign_pictures_are_taken_evenly_up_to_the_number_asked_for(source, tmp_path):
    staged(source, Folder(tmp_path), neither=4)

    origins = Counter(
        row["source"].split(":")[1].split("/")[0]
        for row in manifest(tmp_path)["pictures"]
        if row["label"] == "neither"
    )
    assert origins == dict.fromkeys(OTHERS, 2)


def test_without_foreign_pictures_there_is_no_class_neither(source, tmp_path):
    assert {label for _, label in staged(source, Folder(tmp_path), neither=0).counts} == {
        "bicycle",
        "motorcycle",
    }


def test_staged_pictures_are_pngs_and_in_the_manifest(source, tmp_path):
    """Each is a PNG of the model's input size, and the manifest describes it."""
    staged(source, Folder(tmp_path))

    described = manifest(tmp_path)
    assert described["labels"] == ["bicycle", "motorcycle", "neither"]
    assert described["input_size"] == readers.SIDE
    assert described["sources"] == [
        {"name": source.name, "sha256": hashlib.sha256(source.read_bytes()).hexdigest()}
    ]
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}
    assert {row["path"] for row in described["pictures"]} == files
    for row in described["pictures"]:
        content = (tmp_path / row["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert Image.open(io.BytesIO(content)).size == (readers.SIDE, readers.SIDE)
        assert row["path"].startswith(f"{row['split']}/{row['label']}/")


def test_the_lists_number_pictures_and_classes(source, tmp_path):
    """As the first workflow did."""
    staged(source, Folder(tmp_path), classes=("motorcycle", "bicycle"))

    with (tmp_path / "train.lst").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    assert [int(index) for index, _, _ in rows] == list(range(24))
    for _, number, path in rows:
        assert path.split("/")[0] == ("motorcycle", "bicycle", "neither")[int(number)]
        assert (tmp_path / "train" / path).is_file()


def test_a_staged_folder_is_a_source_to_train_on(source, tmp_path):
    staged(source, Folder(tmp_path))

    labels = Counter(picture.label for picture in readers.read_pictures(tmp_path, "train"))
    assert labels == {"bicycle": 6, "motorcycle": 6, "neither": 12}


def test_staged_pictures_have_the_very_pixels_of_the_source(source, tmp_path):
    staged(source, Folder(tmp_path))

    def pixels(place: Path) -> set[bytes]:
        return {p.pixels.tobytes() for p in readers.read_pictures(place, "train") if p.label == "bicycle"}

    assert pixels(tmp_path) == pixels(source)


def test_a_second_run_copies_nothing(source, tmp_path):
    first = staged(source, Folder(tmp_path))
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    second = staged(source, Folder(tmp_path))

    assert (second.copied, second.there_already) == (0, first.copied)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_an_interrupted_run_is_continued_by_the_next_one(source, tmp_path):
    """It leaves nothing usable."""

    def interrupt(text, share):
        if share and share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        staged(source, Folder(tmp_path), progress=interrupt)
    there = len(list(tmp_path.rglob("*.png")))
    with pytest.raises(DataSourceError, match="not staged to the end"):
        list(readers.read_pictures(tmp_path, "train"))
    assert not (tmp_path / "manifest.json").exists()

    result = staged(source, Folder(tmp_path))

    assert 0 < there <= result.there_already
    assert len(list(readers.read_pictures(tmp_path, "train"))) == 24


def test_a_full_disk_is_an_error_and_leaves_no_half_file(source, tmp_path, monkeypatch):
    real, written = Path.write_bytes, []

    def fills_up(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) < 6:
            return real(path, content)
        real(path, content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills_up)
    with pytest.raises(OSError, match="No space left"):
        staged(source, Folder(tmp_path))
    monkeypatch.undo()

    for path in tmp_path.rglob("*.png"):
        Image.open(path).load()
    assert not list(tmp_path.rglob("*.partial"))
    assert staged(source, Folder(tmp_path)).there_already > 0


def test_a_file_that_was_cut_short_afterwards_is_copied_again(source, tmp_path):
    staged(source, Folder(tmp_path))
    victim = next((tmp_path / "train" / "bicycle").iterdir())
    victim.write_bytes(victim.read_bytes()[:50])

    assert staged(source, Folder(tmp_path)).copied == 1
    Image.open(victim).load()


def test_another_set_at_the_same_place_is_refused_and_left_alone(source, tmp_path):
    staged(source, Folder(tmp_path))
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(DataSourceError, match="holds another set"):
        staged(source, Folder(tmp_path), classes=("bicycle", "bed"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("asked", "near"), [("bycicle", "bicycle"), ("cycle", "motorcycle"), ("zebra", "there are: apple, bed")]
)
def test_an_unknown_class_is_an_error_that_names_what_is_near(source, tmp_path, asked, near):
    with pytest.raises(DataSourceError, match=near):
        staged(source, Folder(tmp_path / "to"), classes=("bicycle", asked))
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize("classes", [(), ("bicycle",), ("bicycle", "bicycle")])
def test_fewer_than_two_classes_are_refused(source, tmp_path, classes):
    with pytest.raises(DataSourceError, match="two different classes"):
        staged(source, Folder(tmp_path), classes=classes)


def test_a_class_whose_name_would_leave_the_folder_is_refused(tmp_path):
    folder = tmp_path / "source"
    for label in ("bicycle", "..hidden"):
        (folder / label).mkdir(parents=True)
        (folder / label / "1.png").write_bytes(png(1))

    with pytest.raises(DataSourceError, match="hidden"):
        staged(folder, Folder(tmp_path / "to"), classes=("bicycle", "..hidden"))


def test_a_source_without_a_test_split_gives_a_tenth(tmp_path):
    """About a tenth is kept for testing, always the same pictures."""
    for number, label in enumerate(("bicycle", "motorcycle")):
        (tmp_path / "source" / label).mkdir(parents=True)
        for seed in range(100):
            (tmp_path / "source" / label / f"{seed}.png").write_bytes(png(1000 * number + seed))

    first = staged(tmp_path / "source", Folder(tmp_path / "a"))
    second = staged(tmp_path / "source", Folder(tmp_path / "b"))

    assert first.counts == second.counts
    assert 5 <= first.counts["test", "bicycle"] <= 20
    assert first.counts["train", "bicycle"] + first.counts["test", "bicycle"] == 100


def test_two_sources_make_one_set(source, tmp_path):
    (tmp_path / "more" / "truck").mkdir(parents=True)
    for seed in range(30):
        (tmp_path / "more" / "truck" / f"{seed}.png").write_bytes(png(5000 + seed))

    result = stage_pictures(
        [source, tmp_path / "more"], ["bicycle", "truck"], Folder(tmp_path / "to"), neither=0, progress=silent
    )

    assert {label for _, label in result.counts} == {"bicycle", "truck"}
    assert result.counts["train", "bicycle"] == 6


def test_a_tampered_archive_stages_nothing(tmp_path):
    hostile = tmp_path / "cifar-100-python.tar.gz"
    with tarfile.open(hostile, "w:gz") as tar:
        content = b"cposix\nsystem\n(S'touch " + str(tmp_path / "mark").encode() + b"'\ntR."
        for name in ("meta", "test", "train"):
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    with pytest.raises(DataSourceError, match="tampered"):
        staged(hostile, Folder(tmp_path / "to"))
    assert not (tmp_path / "mark").exists()
    assert not (tmp_path / "to").exists()


def test_a_set_in_the_bucket_is_the_same_as_in_a_folder(source, tmp_path, s3):
    staged(source, Folder(tmp_path))

    result = staged(source, Bucket(s3, "pictures", "two-wheels"))

    assert result.place == "s3://pictures/training/data/two-wheels/"
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket="pictures")["Contents"]]
    files = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("*") if path.is_file()}
    assert {key.removeprefix("training/data/two-wheels/") for key in keys} == set(files)
    body = s3.get_object(Bucket="pictures", Key="training/data/two-wheels/manifest.json")["Body"].read()
    assert body == files["manifest.json"].read_bytes()
    assert staged(source, Bucket(s3, "pictures", "two-wheels")).copied == 0


@pytest.mark.parametrize("name", ["", "../up", "Has Space", "a" * 64])
def test_a_name_that_makes_an_awkward_key_is_refused(s3, name):
    with pytest.raises(DataSourceError, match="cannot name a staged set"):
        Bucket(s3, "pictures", name)


def test_any_of_the_hundred_classes_of_the_real_archive_can_be_chosen(shared_data, tmp_path):
    archive = shared_data / "cifar-100-python.tar.gz"

    result = staged(archive, Folder(tmp_path), classes=("bus", "pickup_truck", "tractor"), neither=0)

    assert {label for _, label in result.counts} == {"bus", "pickup_truck", "tractor"}
    assert len(readers.class_names(archive)) == 100


def test_foreign_pictures_keep_their_kind_when_they_are_staged(shared_data, tmp_path):
    archive = shared_data / "cifar-100-python.tar.gz"
    staged(archive, Folder(tmp_path), neither=2000)

    def kinds(source: Path) -> Counter:
        return Counter(out_of_distribution.ood_pictures(source, "test", ["bicycle", "motorcycle"])[1])

    assert kinds(tmp_path) == kinds(archive)
    assert kinds(archive)["vehicles"] > 50


def test_photographs_have_the_kind_in_their_list_of_sources(shared_data):
    photos, kinds = out_of_distribution.ood_pictures(
        shared_data / "photos", "train", ["bicycle", "motorcycle"]
    )

    assert len(photos) == len(kinds) == 200
    assert Counter(kinds).keys() == {"vehicles", "thin wires", "other things"}


@pytest.fixture
def photographs(tmp_path):
    """A folder as people have it: pictures lie deeper, one is broken, and some files are not pictures."""
    folder = tmp_path / "photographs"
    for label in ("bicycle", "motorcycle"):
        for seed in range(8):
            path = folder / label / ("2024" if seed % 2 else "2025") / f"{seed}.JPG"
            path.parent.mkdir(parents=True, exist_ok=True)
            generator.draw(label, seed, 64).save(path, "JPEG")
    (folder / "bicycle" / "empty.jpg").write_bytes(b"")
    (folder / "bicycle" / ".DS_Store").write_bytes(b"\0")
    return folder


def test_pictures_may_lie_deeper_and_a_broken_one_is_left_out_by_name(photographs, tmp_path):
    made = staged(photographs, Folder(tmp_path / "set"), neither=0)
    assert sum(made.counts.values()) == 16
    assert len(made.left_out) == 1
    assert "empty.jpg: The file is empty" in made.left_out[0]


def test_many_broken_pictures_are_an_error(photographs, tmp_path):
    for number in range(3):
        (photographs / "bicycle" / f"broken{number}.jpg").write_bytes(b"nothing")
    with pytest.raises(DataSourceError, match="of 20 files cannot be read, the first is"):
        staged(photographs, Folder(tmp_path / "set"), neither=0)
    assert not (tmp_path / "set").exists()
