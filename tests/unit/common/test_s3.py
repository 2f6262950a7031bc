"""What lies in S3 stands wherever a path may."""

from pathlib import Path

import pytest

from scripts.common import s3
from scripts.common.s3 import NoSuchObject


@pytest.fixture
def client(s3):
    for key in (
        "data/set/train/a/1.png",
        "data/set/manifest.json",
        "data/settled.txt",
        "models/m/model.tar.gz",
    ):
        s3.put_object(Bucket="pictures", Key=key, Body=key.encode())
    return lambda: s3


def test_a_path_is_itself_and_needs_no_client():
    def none() -> None:
        raise AssertionError

    with s3.local("some/where", none) as path:
        assert path == Path("some/where")


def test_an_object_is_a_file_while_it_is_needed(client):
    with s3.local("s3://pictures/models/m/model.tar.gz", client) as path:
        assert (path.name, path.read_bytes()) == ("model.tar.gz", b"models/m/model.tar.gz")
    assert not path.exists()


@pytest.mark.parametrize("uri", ["s3://pictures/data/set/", "s3://pictures/data/set"])
def test_a_prefix_is_a_folder_of_all_that_is_under_it_and_of_nothing_beside_it(client, uri):
    with s3.local(uri, client) as folder:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files == {"train/a/1.png", "manifest.json"}


def test_a_key_that_would_leave_the_folder_is_passed_over(client):
    client().put_object(Bucket="pictures", Key="data/set/../../../escaped", Body=b"x")

    with s3.local("s3://pictures/data/set/", client) as folder:
        assert len([path for path in folder.rglob("*") if path.is_file()]) == 2


def test_a_key_that_looks_like_an_absolute_path_stays_in_the_folder(client, tmp_path):
    escaped = tmp_path / "escaped"
    client().put_object(Bucket="pictures", Key=f"data/set/{escaped}", Body=b"x")

    with s3.local("s3://pictures/data/set/", client) as folder:
        assert not escaped.exists()
        assert (folder / escaped.relative_to("/")).read_bytes() == b"x"


def test_the_markers_that_the_console_makes_of_folders_are_no_files(client):
    for key in ("data/set/", "data/set/train/", "data/set/train/a/", "data/set/empty/"):
        client().put_object(Bucket="pictures", Key=key, Body=b"")

    with s3.local("s3://pictures/data/set/", client) as folder:
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
        assert files == {"train", "train/a", "train/a/1.png", "manifest.json"}


def test_nothing_there_is_a_clear_error(client):
    with pytest.raises(NoSuchObject, match="s3://pictures/none"), s3.local("s3://pictures/none", client):
        pass


@pytest.mark.parametrize("uri", ["s3://pictures", "s3://pictures/", "s3://pictures//"])
def test_a_whole_bucket_is_not_fetched_and_not_called_empty(client, uri):
    with pytest.raises(NoSuchObject, match=f"{uri} is a whole bucket: name"), s3.local(uri, client):
        pass


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://pictures/data/a.jpg", ("pictures", "data/a.jpg")),
        ("s3://pictures", ("pictures", "")),
        ("pictures/data/a.jpg", ("", "")),
        ("https://pictures/data/a.jpg", ("", "")),
    ],
)
def test_a_uri_has_a_bucket_and_a_key(uri, parts):
    assert s3.parse_uri(uri) == parts
