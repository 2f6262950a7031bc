"""Brings what lies in S3 to this machine, so that a URI may stand wherever a path may."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

_AT_ONCE = 8


class NoSuchObject(Exception):
    """Nothing lies at that URI, or all that a bucket has; the message names it."""


def download(uri: str, folder: Path, s3_client: Any) -> Path:
    """One object, s3://bucket/key, into a folder; returns its path.

    Raises:
        botocore.exceptions.ClientError: it is not there or may not be read.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    path = folder / PurePosixPath(key).name
    path.write_bytes(s3_client.get_object(Bucket=bucket, Key=key)["Body"].read())
    return path


@contextlib.contextmanager
def local(place: str, client: Callable[[], Any]) -> Iterator[Path]:
    """The file or folder itself, or a temporary copy of s3://bucket/key or of all that is under s3://bucket/prefix/.

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
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not prefix.strip("/"):
        raise NoSuchObject(f"{uri} is a whole bucket: name what you mean in it, as s3://BUCKET/PREFIX/")
    pages = s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = [item["Key"] for page in pages for item in page.get("Contents", ())]
    keys = [key for key in found if not key.endswith("/")]  # the console's markers of folders
    if prefix in keys:
        return download(uri, folder, s3_client)
    root = prefix.rstrip("/") + "/"
    places = {key: folder / key.removeprefix(root).lstrip("/") for key in keys if key.startswith(root)}
    inside = {key: path for key, path in places.items() if path.resolve().is_relative_to(folder.resolve())}
    if not inside:
        raise NoSuchObject(f"nothing lies at {uri}")

    def copy(key: str) -> None:
        inside[key].parent.mkdir(parents=True, exist_ok=True)
        inside[key].write_bytes(s3_client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, inside))
    return folder
