"""Versions of a bucket's objects: counted and deleted for good."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.progress import Progress

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
KEYS_AT_ONCE = 1000

Version = dict[str, str]


@dataclass(frozen=True)
class Content:
    """What a bucket holds: objects as a listing shows them, versions and delete markers of any age, bytes of all."""

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
    """Bytes for people."""
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:,.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def content(s3: Any, bucket: str, progress: Progress) -> Content:
    """Counts what a bucket holds."""
    objects = versions = markers = size = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = page.get("Versions", [])
        versions += len(listed)
        objects += sum(each["IsLatest"] for each in listed)
        size += sum(each["Size"] for each in listed)
        markers += len(page.get("DeleteMarkers", []))
        progress(f"Counting what {bucket} holds: {versions + markers:,}", None)
    return Content(objects, versions, markers, size)


def empty(s3: Any, bucket: str, progress: Progress) -> None:
    """Deletes every version, delete marker and unfinished upload for good; repeated, what is still there."""
    held = content(s3, bucket, progress)
    count, done = held.versions + held.markers, 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        listed = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        delete(s3, bucket, [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in listed])
        done += len(listed)
        progress(f"Emptying {bucket}: {done:,} of {count:,} versions", min(1, done / max(count, 1)))
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def delete(s3: Any, bucket: str, versions: list[Version]) -> None:
    """Deletes versions ({"Key", "VersionId"}) for good. Raises ClientError for the first that stays."""
    for first in range(0, len(versions), KEYS_AT_ONCE):
        chunk = versions[first : first + KEYS_AT_ONCE]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": chunk, "Quiet": True})
        if errors := answer.get("Errors"):
            raise ClientError({"Error": errors[0]}, "DeleteObjects")
