"""S3 for the command line: URIs, listings, local copies, versions counted and deleted."""

import contextlib
import itertools
import operator
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.errors import UserError
from scripts.common.progress import Progress

_AT_ONCE = 8

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_AT_ONCE = 1000

Version = dict[str, str]


class NoSuchObject(UserError):
    """Nothing is stored at that URI, or it names a whole bucket."""


def parse_uri(uri: str) -> tuple[str, str]:
    """Bucket and key (or prefix) of s3://BUCKET/KEY; empty where the URI does not name one."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return (bucket, key) if scheme == "s3" else ("", "")


def list_objects(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Every object under a prefix, as ListObjectsV2 describes it."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def list_versions(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Every version and delete marker under a prefix, by key; only versions have a Size."""
    return itertools.chain.from_iterable(_version_pages(s3, bucket, prefix))


def _version_pages(s3: Any, bucket: str, prefix: str = "") -> Iterator[list[dict[str, Any]]]:
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        listed = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        yield sorted(listed, key=operator.itemgetter("Key"))


def download(uri: str, folder: Path, s3_client: Any) -> Path:
    """One object, s3://bucket/key, into a folder; returns its path.

    Raises:
        botocore.exceptions.ClientError: it is not there or may not be read.
    """
    bucket, key = parse_uri(uri)
    path = folder / PurePosixPath(key).name
    path.write_bytes(s3_client.get_object(Bucket=bucket, Key=key)["Body"].read())
    return path


@contextlib.contextmanager
def local(place: str, client: Callable[[], Any]) -> Iterator[Path]:
    """The path itself, or a temporary copy of s3://bucket/key or all of s3://bucket/prefix/.

    Args:
        client: gives an S3 client; only called for a URI.

    Raises:
        NoSuchObject: nothing is there.
        botocore.exceptions.ClientError: it may not be read.
    """
    if not place.startswith("s3://"):
        yield Path(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _copy(place, Path(folder), client())


def _copy(uri: str, folder: Path, s3_client: Any) -> Path:
    bucket, prefix = parse_uri(uri)
    if not prefix.strip("/"):
        raise NoSuchObject(f"{uri} is a whole bucket: name what you mean in it, as s3://BUCKET/PREFIX/")
    found = [each["Key"] for each in list_objects(s3_client, bucket, prefix)]
    keys = [key for key in found if not key.endswith("/")]  # the console's markers of folders
    if prefix in keys:
        return download(uri, folder, s3_client)
    root = prefix.rstrip("/") + "/"
    places = {key: folder / key.removeprefix(root).lstrip("/") for key in keys if key.startswith(root)}
    inside = {key: path for key, path in places.items() if path.resolve().is_relative_to(folder.resolve())}
    if not inside:
        raise NoSuchObject(f"nothing is stored at {uri}")

    def copy(key: str) -> None:
        inside[key].parent.mkdir(parents=True, exist_ok=True)
        inside[key].write_bytes(s3_client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, inside))
    return folder


@dataclass(frozen=True)
class Content:
    """What a bucket holds: present objects, all versions and delete markers, all bytes."""

    objects: int = 0
    versions: int = 0
    markers: int = 0
    size: int = 0

    def __str__(self) -> str:
        if not self.versions + self.markers:
            return "empty"
        return (
            f"{self.versions:,} versions of {self.objects:,} objects present and of deleted ones ({in_words(self.size)}), "
            f"{self.markers:,} delete markers"
        )


def in_words(size: float) -> str:
    """A size in bytes, for people to read."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def content(s3: Any, bucket: str, progress: Progress) -> Content:
    """Count what a bucket holds."""
    objects = versions = markers = size = 0
    for page in _version_pages(s3, bucket):
        stored = [each for each in page if "Size" in each]
        versions += len(stored)
        objects += sum(each["IsLatest"] for each in stored)
        size += sum(each["Size"] for each in stored)
        markers += len(page) - len(stored)
        progress(f"Counting what {bucket} holds: {versions + markers:,}", None)
    return Content(objects, versions, markers, size)


def empty(s3: Any, bucket: str, progress: Progress) -> None:
    """Delete every version, delete marker and unfinished upload for good. Safe to repeat."""
    held = content(s3, bucket, progress)
    count, done = held.versions + held.markers, 0
    for page in _version_pages(s3, bucket):
        delete(s3, bucket, [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in page])
        done += len(page)
        progress(f"Emptying {bucket}: {done:,} of {count:,} versions", min(1, done / max(count, 1)))
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def delete(s3: Any, bucket: str, versions: list[Version]) -> None:
    """Delete versions ({"Key", "VersionId"}) for good. Raises ClientError if one stays."""
    for first in range(0, len(versions), KEYS_AT_ONCE):
        chunk = versions[first : first + KEYS_AT_ONCE]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": chunk, "Quiet": True})
        if errors := answer.get("Errors"):
            raise ClientError({"Error": errors[0]}, "DeleteObjects")
