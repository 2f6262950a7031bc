"""Where a staged set is stored: in a folder of this machine or in the bucket."""

import re
from pathlib import Path
from typing import Any, Protocol

from functions.common.shown import shown
from training_scripts import artifact
from training_scripts.data.readers import DataSourceError

_SET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Store(Protocol):
    """A place for a staged set. A file appears whole or not at all."""

    place: str

    def sizes(self) -> dict[str, int]:
        """Bytes of every file that is there, by its path in the set."""

    def read(self, path: str) -> bytes: ...

    def put(self, path: str, content: bytes) -> None: ...

    def remove(self, path: str) -> None: ...


class Folder:
    """A staged set in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.place, self._folder = str(folder), folder

    def sizes(self) -> dict[str, int]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return {
            path.relative_to(self._folder).as_posix(): path.stat().st_size
            for path in files
            if not path.name.startswith(".")
        }

    def read(self, path: str) -> bytes:
        return (self._folder / path).read_bytes()

    def put(self, path: str, content: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        artifact.replace_file(target, content)

    def remove(self, path: str) -> None:
        (self._folder / path).unlink(missing_ok=True)


class Bucket:
    """A staged set in S3, under s3://bucket/training/data/<name>/; an object is there whole or not at all."""

    def __init__(self, client: Any, bucket: str, name: str) -> None:
        """Raises DataSourceError for a name that makes an awkward S3 key."""
        if not _SET_NAME.fullmatch(name):
            raise DataSourceError(
                f"{shown(name)} cannot name a staged set: small letters, digits and hyphens, at most 63"
            )
        self._client, self._bucket, self._prefix = client, bucket, f"training/data/{name}/"
        self.place = f"s3://{bucket}/{self._prefix}"

    def sizes(self) -> dict[str, int]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        return {
            item["Key"].removeprefix(self._prefix): item["Size"]
            for page in pages
            for item in page.get("Contents", ())
        }

    def read(self, path: str) -> bytes:
        return self._client.get_object(Bucket=self._bucket, Key=self._prefix + path)["Body"].read()

    def put(self, path: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content)

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + path)
