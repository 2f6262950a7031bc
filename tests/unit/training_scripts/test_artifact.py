"""The model artifact on disk: whole or not at all, and refused with a reason when it cannot be used."""

import contextlib
import gzip
import io
import json
import tarfile
import tracemalloc

import pytest

from training_scripts import artifact
from training_scripts.artifact import ArtifactError

DESCRIPTION = {
    "schema_version": 1,
    "name": "scones-12345678",
    "labels": ["bicycle", "motorcycle", "neither"],
    "classes_of_interest": ["bicycle", "motorcycle"],
    "input_size": 32,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "temperature": 0.7,
    "threshold": 0.93,
}


def test_what_was_written_and_packed_is_read_back(tmp_path):
    artifact.write(tmp_path, DESCRIPTION, b"network")

    assert artifact.read_folder(tmp_path) == (DESCRIPTION, b"network")
    assert artifact.read_archive(artifact.pack(tmp_path)) == (DESCRIPTION, b"network")


def test_packing_is_reproducible_to_the_bit(tmp_path):
    packed = []
    for name in ("one", "two"):
        artifact.write(tmp_path / name, DESCRIPTION, b"network")
        packed.append(artifact.pack(tmp_path / name).read_bytes())

    assert packed[0] == packed[1]


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"name": ""},
        {"name": "scones\x1b]0;owned\x07"},
        {"name": "scones on port 1\n"},
        {"labels": []},
        {"labels": ["bicycle", "bicycle"]},
        {"labels": [["bicycle"], ["motorcycle"]]},
        {"classes_of_interest": ["car"]},
        {"classes_of_interest": [["bicycle"]]},
        {"mean": [0.5]},
        {"std": [0.25, 0.0, 0.25]},
        {"temperature": float("nan")},
        {"temperature": 10**400},
        {"temperature": -1},
        {"threshold": 1.5},
        {"threshold": "0.93"},
        {"input_size": 32.5},
    ],
)
def test_a_description_that_serving_could_not_use_is_refused_by_field(tmp_path, change):
    (field,) = change
    artifact.write(tmp_path, DESCRIPTION | change, b"network")

    with pytest.raises(ArtifactError, match=field):
        artifact.read_folder(tmp_path)


@pytest.mark.parametrize("field", sorted(DESCRIPTION))
def test_a_missing_field_is_refused_by_name(tmp_path, field):
    artifact.write(tmp_path, {k: v for k, v in DESCRIPTION.items() if k != field}, b"network")

    with pytest.raises(ArtifactError, match=field):
        artifact.read_folder(tmp_path)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff"])
def test_a_description_that_is_not_an_object_is_refused(tmp_path, text):
    artifact.write(tmp_path, DESCRIPTION, b"network")
    (tmp_path / artifact.DESCRIPTION).write_bytes(text)

    with pytest.raises(ArtifactError):
        artifact.read_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_not_an_archive_is_refused(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)

    with pytest.raises(ArtifactError, match="not a model artifact"):
        artifact.read_archive(tmp_path / "model.tar.gz")


def test_an_archive_without_a_network_is_refused(tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        text = json.dumps(DESCRIPTION).encode()
        member = tarfile.TarInfo(artifact.DESCRIPTION)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))

    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        artifact.read_archive(tmp_path / "model.tar.gz")


def archive_of(path, *more, description=None):
    """A model archive that holds `more` as well: members, or (member, content)."""
    with tarfile.open(path, "w:gz") as tar:
        two = {
            artifact.DESCRIPTION: json.dumps(description or DESCRIPTION).encode(),
            artifact.NETWORK: b"network",
        }
        for name, content in two.items():
            tar.addfile(*member(name, content))
        for each in more:
            tar.addfile(*(each if isinstance(each, tuple) else (each,)))
    return path


def member(name, content=b"", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content), kind, link
    return info, io.BytesIO(content)


FURTHER = {
    "a file": member("extra.txt", b"more"),
    "a file in a folder": member("code/inference.py", b"import os"),
    "a folder": member("code", kind=tarfile.DIRTYPE),
    "an absolute path": member("/escaped", b"out"),
    "a parent path": member("../escaped", b"out"),
    "a link": member("elsewhere", kind=tarfile.SYMTYPE, link="../../.."),
    "a hard link": member("elsewhere", kind=tarfile.LNKTYPE, link="../../../escaped"),
    "a device": member("null", kind=tarfile.CHRTYPE),
    "a pipe": member("pipe", kind=tarfile.FIFOTYPE),
    "a second network": member("model.onnx", b"another network"),
    "a second network under ./": member("./model.onnx", b"another network"),
    "a link in the network's place": member("model.onnx", kind=tarfile.SYMTYPE, link="/etc/passwd"),
}


@pytest.mark.parametrize("further", FURTHER.values(), ids=FURTHER)
def test_an_archive_with_anything_else_in_it_is_refused_by_name(tmp_path, further):
    archive = archive_of(tmp_path / "model.tar.gz", further)

    with pytest.raises(ArtifactError, match=further[0].name):
        artifact.read_archive(archive)


def test_a_hostile_name_is_shown_short_and_clean(tmp_path):
    """A name could steer the terminal, or fill it."""
    archive = archive_of(tmp_path / "model.tar.gz", member("\x1b]0;owned\x07" + "n" * 100_000))

    with pytest.raises(ArtifactError) as refusal:
        artifact.read_archive(archive)

    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


def test_names_may_begin_with_the_folder_that_tar_packs(tmp_path):
    """`tar -czf model.tar.gz -C model .` lists ./, ./model.json and ./model.onnx."""
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.addfile(*member(".", kind=tarfile.DIRTYPE))
        tar.addfile(*member("./model.json", json.dumps(DESCRIPTION).encode()))
        tar.addfile(*member("./model.onnx", b"network"))

    assert artifact.read_archive(tmp_path / "model.tar.gz") == (DESCRIPTION, b"network")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda whole: gzip.compress(whole + bytes(200_000_000)), id="zeros after the end"),
        pytest.param(lambda whole: gzip.compress(whole) + gzip.compress(whole), id="a second archive"),
        pytest.param(lambda whole: gzip.compress(pax_of_zeros() + whole), id="a header of zeros"),
        pytest.param(lambda whole: gzip.compress(sparse() + whole), id="a sparse network"),
    ],
)
def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path, content):
    whole = gzip.decompress(archive_of(tmp_path / "whole").read_bytes())
    (tmp_path / "model.tar.gz").write_bytes(content(whole))

    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError):
            artifact.read_archive(tmp_path / "model.tar.gz")
        assert tracemalloc.get_traced_memory()[1] < 4 * artifact.LARGEST_UNPACKED
    finally:
        tracemalloc.stop()


def pax_of_zeros():
    """An extended header that claims, and holds, 200 MB."""
    info, _ = member("header", kind=tarfile.XHDTYPE)
    info.size = 200_000_000
    return info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size)


def sparse():
    """A network of 10 GB that is one hole."""
    info = tarfile.TarInfo("model.onnx")
    info.pax_headers = {
        "GNU.sparse.map": "0,0",
        "GNU.sparse.size": "10000000000",
        "GNU.sparse.numblocks": "1",
    }
    return info.tobuf(tarfile.PAX_FORMAT)


def test_damage_in_an_archive_is_always_named(tmp_path):
    """Cut off or flipped anywhere: read as it was, or refused as not an artifact."""
    whole = archive_of(tmp_path / "model.tar.gz").read_bytes()
    plain = gzip.decompress(whole)
    damaged = [whole[:length] for length in range(0, len(whole), 7)]
    damaged += [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [gzip.compress(plain[:at] + b"\xff" + plain[at + 1 :], 1) for at in range(0, 2048, 3)]

    for content in damaged:
        (tmp_path / "model.tar.gz").write_bytes(content)
        with contextlib.suppress(ArtifactError):
            artifact.read_archive(tmp_path / "model.tar.gz")


def test_an_artifact_over_the_limit_is_not_packed(tmp_path, monkeypatch):
    artifact.write(tmp_path, DESCRIPTION, b"network")
    monkeypatch.setattr(artifact, "LARGEST", 100)

    with pytest.raises(ArtifactError, match="the limit is 100"):
        artifact.pack(tmp_path)
    assert not (tmp_path / "model.tar.gz").exists()


def test_a_write_that_fails_leaves_no_half_artifact(tmp_path, monkeypatch):
    artifact.write(tmp_path, DESCRIPTION, b"old")

    def full_disk(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        artifact.write(tmp_path, DESCRIPTION, b"new")
    monkeypatch.undo()

    with pytest.raises(ArtifactError, match="missing"):
        artifact.read_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_job_gets_its_commit(monkeypatch):
    monkeypatch.setenv("SCONES_COMMIT", "0123abc")

    assert artifact.commit() == "0123abc"


def test_outside_a_repository_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.delenv("SCONES_COMMIT", raising=False)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))

    assert artifact.commit() is None
