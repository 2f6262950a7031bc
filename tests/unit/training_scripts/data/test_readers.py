"""Reading labelled pictures, from honest sources and from hostile ones."""

import hashlib
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training_scripts.data import readers
from training_scripts.data.readers import DataSourceError

# Protocol 2 as Python 2 wrote it: an array of bytes pickled by the three names of the format.
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
SHA256_OF_THE_CUT_DOWN_ARCHIVE = "0f86e88b65fba7b97211b85fe65a98db1e40efb82e92e6ec54d712032a666387"


def text(value: bytes) -> bytes:
    """The opcode of a Python 2 string."""
    return b"T" + len(value).to_bytes(4, "little") + value


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little")


def pickled_array(raw: bytes, rows: int, dtype: bytes = b"u1", fortran: bytes = b"\x89") -> bytes:
    empty = RECONSTRUCT + b"(cnumpy\nndarray\n" + b"(" + number(0) + b"t" + text(b"b") + b"tR"
    kind = b"cnumpy\ndtype\n(" + text(dtype) + number(0) + number(1) + b"tR"
    kind += b"(" + number(3) + text(b"|") + b"NNN" + number(-1 & 0x7FFFFFFF) + number(0) + number(0) + b"tb"
    shape = b"(" + number(rows) + number(3072) + b"t"
    return empty + b"(" + number(1) + shape + kind + fortran + text(raw) + b"tb"


def pickled_table(pairs: dict[bytes, bytes]) -> bytes:
    body = b"".join(text(key) + value for key, value in pairs.items())
    return b"\x80\x02}(" + body + b"u."


def pickled_list(items: list[bytes]) -> bytes:
    return b"](" + b"".join(items) + b"e"


def split_table(labels: list[int], pixels: np.ndarray, **replaced: bytes) -> bytes:
    names = [text(b"picture_%d.png" % i) for i in range(len(labels))]
    pairs = {
        b"filenames": pickled_list(names),
        b"fine_labels": pickled_list([number(label) for label in labels]),
        b"data": pickled_array(pixels.tobytes(), len(pixels)),
    }
    return pickled_table(pairs | {key.encode(): value for key, value in replaced.items()})


META = pickled_table({b"fine_label_names": pickled_list([text(b"apple"), text(b"bicycle")])})
PIXELS = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072)


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def cifar(folder: Path, train: bytes, meta: bytes = META) -> Path:
    members = {"cifar-100-python/meta": meta, "cifar-100-python/train": train}
    return archive(folder / "cifar-100-python.tar.gz", members)


def jpeg(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (50, 40), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_an_official_archive_gives_pictures_and_labels(tmp_path):
    """And the files' names."""
    first, second = readers.read_pictures(cifar(tmp_path, split_table([1, 0], PIXELS)), "train")

    assert (first.label, first.filename, second.label) == ("bicycle", "picture_0.png", "apple")
    assert first.pixels.shape == (32, 32, 3)
    # planes of red, green, blue in the archive; channels last in the array
    assert np.array_equal(first.pixels.transpose(2, 0, 1).ravel(), PIXELS[0])


def test_the_pickle_built_here_is_what_the_official_unpickling_reads(tmp_path):
    table = pickle.loads(split_table([1, 0], PIXELS), encoding="bytes")  # noqa: S301 - built above

    assert np.array_equal(table[b"data"], PIXELS)


def test_the_real_archive_is_read_whole(shared_data):
    source = shared_data / "cifar-100-python.tar.gz"
    if hashlib.sha256(source.read_bytes()).hexdigest() != SHA256_OF_THE_CUT_DOWN_ARCHIVE:
        pytest.skip("another archive than the one these counts belong to")

    counts = {split: [p.label for p in readers.read_pictures(source, split)] for split in ("train", "test")}

    assert {split: len(labels) for split, labels in counts.items()} == {"train": 2090, "test": 999}
    assert counts["train"].count("bicycle") == counts["train"].count("motorcycle") == 500
    assert counts["test"].count("bicycle") == counts["test"].count("motorcycle") == 50
    assert not readers.is_official(source)


def doubled(levels: int) -> bytes:
    """Opcodes for a list of two lists of two lists ...: a few bytes each, and with each the text is twice as long."""
    return b"]X\x01\x00\x00\x00xa" + b"".join(b"q%c0](h%ch%ce" % ((n,) * 3) for n in range(levels))


@pytest.mark.parametrize(
    "train",
    [
        pytest.param(b"\x80\x02cnumpy\ndtype\n(" + doubled(20) + b"tR.", id="a type that is a tree"),
        pytest.param(b"\x80\x02cnumpy\ndtype\n(" + text(b"x" * 10**6) + b"tR.", id="a long type"),
        pytest.param(b"\x80\x02c" + b"m" * 10**6 + b"\nn\n.", id="a long module"),
        pytest.param(b"\x80\x02" + text(b"x" * 10**6) + b"h" + b"\x07.", id="a memo that is not there"),
        pytest.param(pickled_table({b"fine_labels": doubled(20)}), id="labels that are a tree"),
    ],
)
def test_a_message_is_short_whatever_a_pickle_holds(tmp_path, train):
    with pytest.raises(DataSourceError) as refusal:
        list(readers.read_pictures(cifar(tmp_path, train), "train"))

    assert len(str(refusal.value)) < 1000
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "name", ["n" * 100_000 + "/train/bicycle/a.jpg", "\x1b]0;owned\x07/train/bicycle/a.jpg"]
)
def test_a_message_is_short_and_printable_whatever_a_member_is_called(tmp_path, name):
    with pytest.raises(DataSourceError) as refusal:
        list(readers.read_pictures(archive(tmp_path / "a.tar.gz", {name: b"no picture"}), "train"))

    assert len(str(refusal.value)) < 1000
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "opcodes",
    [
        b"cos\nsystem\n(S'touch {mark}'\ntR.",
        b"cposix\nsystem\n(S'touch {mark}'\ntR.",
        b'cbuiltins\neval\n(S\'open("{mark}", "w")\'\ntR.',
        b"csubprocess\nPopen\n((S'touch'\nS'{mark}'\nttR.",
        b"(S'touch {mark}'\nios\nsystem\n.",
        b"cnumpy\nsave\n(S'{mark}'\nI1\ntR.",
        b"cnumpy.core.multiarray\nscalar\n.",
        b"c_codecs\nencode\n.",
        b"cfunctools\npartial\n.",
    ],
)
def test_a_pickle_that_names_any_other_code_is_refused_and_runs_nothing(tmp_path, opcodes):
    mark = tmp_path / "mark"
    source = cifar(tmp_path, b"\x80\x02" + opcodes.replace(b"{mark}", str(mark).encode()))

    with pytest.raises(DataSourceError, match="does not need"):
        list(readers.read_pictures(source, "train"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (b"", "damaged"),
        (b"no pickle at all", "damaged"),
        (split_table([1, 0], PIXELS)[:-3000], "damaged"),
        (b"\x80\x02](K\x01e.", "holds a list"),
        (split_table([1, 0, 1], PIXELS), "do not fit"),
        (split_table([1, 7], PIXELS), "do not fit"),
        (split_table([1, 0], PIXELS, data=text(b"pixels")), "do not fit"),
        (split_table([1, 0], PIXELS, fine_labels=text(b"none")), "do not fit"),
        (split_table([1, 0], PIXELS, filenames=pickled_list([number(1)])), "not a list of names"),
        (split_table([1, 0], PIXELS, data=pickled_array(PIXELS.tobytes(), 2, b"O8")), "damaged"),
        (split_table([1, 0], PIXELS, data=pickled_array(PIXELS.tobytes(), 2, fortran=b"\x88")), "damaged"),
        (split_table([1, 0], PIXELS, data=pickled_array(PIXELS.tobytes(), 900_000_000)), "damaged"),
        # an array's state that is not a state, and attributes set on what the names mean
        (b"\x80\x02" + RECONSTRUCT + b")RK\x01b.", "damaged"),
        (b"\x80\x02" + RECONSTRUCT + b"}X\x08\x00\x00\x00__code__K\x01sb.", "damaged|no table"),
    ],
)
def test_a_tampered_or_damaged_table_is_a_clear_error(tmp_path, train, said):
    with pytest.raises(DataSourceError, match=said):
        list(readers.read_pictures(cifar(tmp_path, train), "train"))


def test_one_hostile_pickle_does_not_change_how_the_next_one_is_read(tmp_path):
    hostile = b"\x80\x02" + RECONSTRUCT + b"}X\x0c\x00\x00\x00__defaults__K\x01sb."
    with pytest.raises(DataSourceError):
        list(readers.read_pictures(cifar(tmp_path, hostile), "train"))

    assert len(list(readers.read_pictures(cifar(tmp_path, split_table([1, 0], PIXELS)), "train"))) == 2


def test_a_missing_member_is_named(tmp_path):
    source = archive(tmp_path / "a.tar.gz", {"cifar-100-python/meta": META})

    with pytest.raises(DataSourceError, match="cifar-100-python/train is missing"):
        list(readers.read_pictures(source, "train"))


@pytest.mark.parametrize("content", [b"", b"not compressed", jpeg((1, 2, 3))])
def test_a_file_that_is_not_an_archive_is_a_clear_error(tmp_path, content):
    source = tmp_path / "a.tar.gz"
    source.write_bytes(content)

    with pytest.raises(DataSourceError, match="not a readable tar archive"):
        list(readers.read_pictures(source, "train"))


def test_an_archive_that_was_cut_off_is_a_clear_error(tmp_path):
    source = cifar(
        tmp_path, split_table([1, 0], np.random.default_rng(0).integers(0, 256, (2, 3072), np.uint8))
    )
    source.write_bytes(source.read_bytes()[:2000])

    with pytest.raises(DataSourceError, match=r"not a readable tar archive|is missing"):
        list(readers.read_pictures(source, "train"))


def test_paths_and_links_in_an_archive_reach_no_file(tmp_path):
    source = tmp_path / "pictures.tar.gz"
    with tarfile.open(source, "w:gz") as tar:
        for name in ("../../escaped/train/bicycle/a.jpg", "/absolute/train/bicycle/b.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(jpeg((9, 9, 9)))
            tar.addfile(member, io.BytesIO(jpeg((9, 9, 9))))
        link = tarfile.TarInfo("x/train/bicycle/c.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)

    pictures = list(readers.read_pictures(source, "train"))

    assert [p.filename for p in pictures] == ["a.jpg", "b.jpg"]
    assert [path.name for path in tmp_path.rglob("*")] == ["pictures.tar.gz"]


def test_an_archive_of_picture_files_is_read_split_by_split(tmp_path):
    members = {
        f"set/{split}/{label}/1.jpg": jpeg((200, 10, 10)) for split in ("train", "test") for label in "ab"
    }
    source = archive(tmp_path / "pictures.tar.gz", {**members, "set/README.md": b"text"})

    pictures = list(readers.read_pictures(source, "test"))

    assert [p.label for p in pictures] == ["a", "b"]
    assert pictures[0].pixels.shape == (32, 32, 3)


def test_a_folder_of_classes_is_all_training_pictures(tmp_path):
    for label in ("bicycle", "motorcycle"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.JPG").write_bytes(jpeg((10, 200, 10)))
        (tmp_path / label / "notes.txt").write_text("no picture")

    assert [p.label for p in readers.read_pictures(tmp_path, "train")] == ["bicycle", "motorcycle"]
    assert not readers.has_split(tmp_path, "test")


def test_a_folder_with_splits_keeps_them_apart(tmp_path):
    for split, shade in (("train", 0), ("test", 250)):
        (tmp_path / split / "bicycle").mkdir(parents=True)
        (tmp_path / split / "bicycle" / "1.jpg").write_bytes(jpeg((shade, shade, shade)))

    (picture,) = readers.read_pictures(tmp_path, "test", side=16)

    assert picture.pixels.shape == (16, 16, 3)
    assert picture.pixels.min() > 240


def test_a_corrupt_picture_is_named(tmp_path):
    (tmp_path / "bicycle").mkdir()
    (tmp_path / "bicycle" / "broken.jpg").write_bytes(jpeg((1, 2, 3))[:200])

    with pytest.raises(DataSourceError, match=r"broken\.jpg"):
        list(readers.read_pictures(tmp_path, "train"))


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_an_empty_or_missing_source_is_a_clear_error(tmp_path, make):
    source = tmp_path / "source"
    make(source)

    with pytest.raises(DataSourceError, match=r"no pictures of the split|no such file"):
        list(readers.read_pictures(source, "train"))


def test_the_classes_of_a_source_are_known_without_reading_its_pictures(tmp_path):
    cifar_archive = cifar(tmp_path, b"no table: it is not read")
    members = {f"set/{split}/{label}/1.jpg": b"not read" for split in ("train", "test") for label in "ba"}
    files = archive(tmp_path / "pictures.tar.gz", {**members, "set/README.md": b"text"})
    (tmp_path / "folder" / "test" / "bus").mkdir(parents=True)
    (tmp_path / "folder" / "test" / "bus" / "1.png").write_bytes(b"not read")

    assert readers.class_names(cifar_archive) == ["apple", "bicycle"]
    assert readers.class_names(files) == ["a", "b"]
    assert readers.class_names(tmp_path / "folder") == ["bus"]


def test_a_folder_that_was_not_staged_to_its_end_is_not_read(tmp_path):
    (tmp_path / "train" / "bicycle").mkdir(parents=True)
    (tmp_path / "train" / "bicycle" / "1.jpg").write_bytes(jpeg((1, 2, 3)))
    (tmp_path / readers.INCOMPLETE).write_text("")

    with pytest.raises(DataSourceError, match="not staged to the end"):
        list(readers.read_pictures(tmp_path, "train"))
