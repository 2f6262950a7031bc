"""The model artifact on disk: whole or not at all, and refused with a reason when it cannot be used."""

import io
import json
import tarfile

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
def test_a_description_that_is_no_object_is_refused(tmp_path, text):
    artifact.write(tmp_path, DESCRIPTION, b"network")
    (tmp_path / artifact.DESCRIPTION).write_bytes(text)

    with pytest.raises(ArtifactError):
        artifact.read_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "model.tar.gz").write_bytes(content)

    with pytest.raises(ArtifactError, match="no model artifact"):
        artifact.read_archive(tmp_path / "model.tar.gz")


def test_an_archive_without_a_network_is_refused(tmp_path):
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        text = json.dumps(DESCRIPTION).encode()
        member = tarfile.TarInfo(artifact.DESCRIPTION)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))

    with pytest.raises(ArtifactError, match=r"model\.onnx"):
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


def test_a_job_is_told_its_commit(monkeypatch):
    monkeypatch.setenv("SCONES_COMMIT", "0123abc")

    assert artifact.commit() == "0123abc"


def test_outside_a_repository_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.delenv("SCONES_COMMIT", raising=False)
    monkeypatch.setenv("GIT_DIR", str(tmp_path))

    assert artifact.commit() is None
