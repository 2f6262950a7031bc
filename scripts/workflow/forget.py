"""Removes one picture from every place where this deployment keeps a trace of it."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from functions.common.inference_id import picture_hash
from scripts.common import s3
from scripts.common.errors import UserError
from scripts.common.progress import Progress
from scripts.workflow import bucket_layout
from scripts.workflow.bucket_layout import CAPTURES, OWN_PREFIXES, RESULTS, bucket_and_key
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import UNKNOWN_VERSION, Row

# Reviewed pictures, and those frozen for a training job, are copies under the picture's hash.
COPIES = (f"{bucket_layout.REVIEWED}/", "training/data/")
# Everything else there, or under the deployment's other prefixes, is not a picture: models,
# manifests, archives.
COPY = re.compile(
    rf"({bucket_layout.REVIEWED}|training/data/[^/]+)/.+/([0-9a-f]{{40}}({bucket_layout.SUFFIX.pattern})?|[^/]+[.](jpe?g|png|webp))",
    re.IGNORECASE | re.DOTALL,
)
READ_AT_ONCE = 8
# Clocks differ: a picture may be captured a little before the time that S3 gives its version.
SLACK = timedelta(hours=1)
# An execution takes time, and captured data takes time to reach the bucket. Not measured on AWS.
SETTLING = timedelta(minutes=30)
# The hour in the key of captured data:
# https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
HOUR = re.compile(r"/(\d{4}/\d\d/\d\d/\d\d)/[^/]+$")
PERMISSIONS = {
    "ListObjectVersions": "s3:ListBucketVersions on the bucket",
    "GetObject": "s3:GetObjectVersion on the bucket's objects and kms:Decrypt on its key",
    "PutObject": "s3:PutObject on capture/, results/ and reviewed/ and kms:GenerateDataKey on the bucket's key",
    "DeleteObjects": "s3:DeleteObjectVersion on the bucket's objects",
    "Query": "dynamodb:Query on the ledger",
    "DeleteItem": "dynamodb:DeleteItem on the ledger",
}

Mentions = Callable[[Any], bool]
GONE = object()


class ForgetFailed(UserError):
    """Something could not be looked at or removed; the message says what, why and what to do."""


@dataclass(frozen=True)
class Stored:
    """A version of an object, or a delete marker; `records` counts those about the picture."""

    key: str
    version: str
    is_latest: bool
    modified: datetime
    is_marker: bool
    records: int = 0


@dataclass(frozen=True)
class Traces:
    """Where a picture was found.

    `versions` are those of the object itself and `copies` those of reviewed copies, with delete
    markers; `files` mention other pictures as well.
    """

    uri: str
    versions: list[Stored]
    rows: list[Row]
    copies: list[Stored]
    files: list[Stored]

    def counts(self) -> dict[str, int]:
        """Counts of versions, rows, versions of copies, captured records, lines of other files."""
        captured = sum(each.records for each in self.files if each.key.startswith(CAPTURES))
        lines = sum(each.records for each in self.files) - captured
        return {
            "versions": len(self.versions),
            "rows": len(self.rows),
            "copies": len(self.copies),
            "captured": captured,
            "lines": lines,
        }

    def hashes(self) -> set[str]:
        """The picture's known versions, as captured records and copies name them."""
        known = {each.version for each in self.versions} | {row["version"] for row in self.rows}
        return {picture_hash(*bucket_and_key(self.uri), version) for version in known - {UNKNOWN_VERSION}}

    def first_known(self) -> datetime | None:
        """When the picture first appeared; nothing older can mention it."""
        times = [entry["time"] for row in self.rows for entry in (row, *row.get("history", []))]
        moments = [*map(datetime.fromisoformat, times), *(each.modified for each in self.versions)]
        return min(moments) - SLACK if moments else None

    def settled(self) -> datetime | None:
        """When everything about the picture should be written; None if nothing is known of it."""
        moments = [datetime.fromisoformat(row["time"]) for row in self.rows]
        moments += [each.modified for each in self.versions if not each.is_marker]
        return max(moments) + SETTLING if moments else None


class Forgetting:
    """Finds and removes what mentions one picture.

    Args:
        workflow: whose bucket and ledger.
        uri: s3://BUCKET/KEY; the object need not be there any more.

    Raises:
        NoSuchPicture: the URI names no object.
        ForgetFailed: it names one of the deployment's own files.
    """

    def __init__(self, workflow: Workflow, uri: str):
        self.s3, self.ledger, self.bucket = workflow.s3, workflow.ledger, workflow.deployment.bucket
        self.uri, (self.in_bucket, self.key) = uri, bucket_and_key(uri)
        ours = self.in_bucket == self.bucket and self.key.startswith(OWN_PREFIXES)
        if ours and not COPY.fullmatch(self.key):
            raise ForgetFailed(
                f"{uri} is not a picture but a file of the deployment itself, so nothing was removed. Name the picture"
                " that it is about: its lines and copies go with it."
            )

    def find(self, progress: Progress) -> Traces:
        """Look everywhere, even in overwritten or deleted versions. Raises ForgetFailed."""
        with _faults_explained():
            versions = self._versions_of(self.key) if self.in_bucket == self.bucket else []
            found = Traces(self.uri, versions, self.ledger.rows_of(self.uri), [], [])
            since, hashes = found.first_known(), found.hashes()
            copies = [each for place in COPIES for each in self._versions(place) if _stem(each) in hashes]
            files = []
            # Captured records and copies name a version, so without one there is nothing to look
            # for.
            if since and hashes:
                captures = [each for each in self._versions(CAPTURES) if _hour(each) >= since]
                files += self._search("captured data", captures, hashes, hashes, progress)
            listed = [each for each in self._versions(RESULTS) if not since or each.modified >= since]
            listed += self._versions(bucket_layout.REVIEW_MANIFEST)
            files += self._search("files", listed, {_longest_word(self.key), *hashes}, hashes, progress)
        return replace(found, copies=copies, files=files)

    def remove(self, traces: Traces, progress: Progress) -> None:
        """Remove what was found, in an order that may be interrupted anywhere. Raises ForgetFailed.

        Copies go before the manifest, which anybody can rebuild from them. Rows and the object go
        last, because they lead to the rest. The latest version of a key goes last: without it, an
        older one would be present again.
        """
        hashes = traces.hashes()
        with _faults_explained():
            self._delete(traces.copies)
            for number, file in enumerate(sorted(traces.files, key=lambda file: file.is_latest)):
                progress(f"Removing from files: {number} of {len(traces.files)}", number / len(traces.files))
                self._cut_out(file, hashes)
            for row in traces.rows:
                self.ledger.remove(row)
            self._delete(traces.versions)

    def _versions(self, prefix: str) -> Iterator[Stored]:
        """Every version and delete marker under a prefix of the deployment's bucket."""
        for each in s3.list_versions(self.s3, self.bucket, prefix):
            yield Stored(
                each["Key"], each["VersionId"], each["IsLatest"], each["LastModified"], "Size" not in each
            )

    def _versions_of(self, key: str) -> list[Stored]:
        """The versions of one key, which comes first among the keys that start with it."""
        return [*itertools.takewhile(lambda each: each.key == key, self._versions(key))]

    def _search(
        self, kind: str, files: list[Stored], words: set[str], hashes: set[str], progress: Progress
    ) -> list[Stored]:
        """The files with records about the picture. Only those with one of `words` are parsed."""
        found = []
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            for number, (file, data) in enumerate(zip(files, pool.map(self._read, files), strict=True)):
                progress(f"Searching {kind}: {number} of {len(files)}", number / len(files))
                if any(word.encode() in data for word in words):
                    _, records = cut(data, self._mentions(hashes))
                    found += [replace(file, records=records)] if records else []
        return found

    def _read(self, file: Stored) -> bytes:
        """A version's content; empty for a delete marker or a version that has just expired."""
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=file.key, VersionId=file.version)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("MethodNotAllowed", "NoSuchKey", "NoSuchVersion"):
                return b""
            raise
        return answer["Body"].read()

    def _cut_out(self, file: Stored, hashes: set[str]) -> None:
        """Write a file without the picture, even if empty, and delete the version that had it."""
        answer = self.s3.get_object(Bucket=self.bucket, Key=file.key, VersionId=file.version)
        rest, _ = cut(answer["Body"].read(), self._mentions(hashes))
        if file.is_latest and (rest or len(self._versions_of(file.key)) > 1):
            # Two people who forget at the same time must not restore what the other has removed.
            self.s3.put_object(
                Bucket=self.bucket,
                Key=file.key,
                Body=rest,
                ContentType=answer["ContentType"],
                IfMatch=answer["ETag"],
            )
        self._delete([file])

    def _delete(self, versions: list[Stored]) -> None:
        for latest in (False, True):
            named = [
                {"Key": each.key, "VersionId": each.version} for each in versions if each.is_latest == latest
            ]
            s3.delete(self.s3, self.bucket, named)

    def _mentions(self, hashes: set[str]) -> Mentions:
        """Whether JSON names the picture: by URI, as an execution's input, or by a hash."""

        def names(value: Any) -> bool:
            if isinstance(value, dict):
                return (value.get("s3_bucket"), value.get("s3_key")) == (self.in_bucket, self.key)
            return isinstance(value, str) and (value == self.uri or any(each in value for each in hashes))

        return names


def cut(data: bytes, mentions: Mentions) -> tuple[bytes, int]:
    """JSON Lines without what mentions the picture, and how many records were removed.

    The smallest removable record goes: an element of a list, or else the line. Text that is itself
    JSON is searched too, such as the input of a child execution. Lines that are not JSON stay as
    they are.
    """
    kept, gone = [], 0
    for line in data.splitlines(keepends=True):
        rest, removed = _without(_parsed(line), mentions)
        gone += removed
        if not removed:
            kept.append(line)
        elif rest is not GONE:
            kept.append(json.dumps(rest).encode() + b"\n")
    return b"".join(kept), gone


def _without(value: Any, mentions: Mentions) -> tuple[Any, int]:
    if mentions(value):
        return GONE, 1
    if isinstance(value, list):
        parts = [_without(each, mentions) for each in value]
        return [rest for rest, _ in parts if rest is not GONE], sum(gone for _, gone in parts)
    if isinstance(value, dict):
        members = {name: _without(each, mentions) for name, each in value.items()}
        if any(rest is GONE for rest, _ in members.values()):
            return GONE, 1
        return {name: rest for name, (rest, _) in members.items()}, sum(gone for _, gone in members.values())
    if isinstance(value, str) and (inner := _parsed(value)):
        rest, gone = _without(inner, mentions)
        return (value if not gone else GONE if rest is GONE else json.dumps(rest)), gone
    return value, 0


def _parsed(text: str | bytes) -> Any:
    """A JSON list or object; None for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list | dict) else None


def _hour(file: Stored) -> datetime:
    """The end of the hour that a file of captured data is about."""
    if found := HOUR.search(file.key):
        with contextlib.suppress(ValueError):
            return datetime.strptime(f"{found[1]} +0000", "%Y/%m/%d/%H %z") + timedelta(hours=1)
    return file.modified


def _stem(file: Stored) -> str:
    """The last part of a key without its suffix."""
    return file.key.rpartition("/")[2].partition(".")[0]


def _longest_word(key: str) -> str:
    """A part of a key that looks the same however JSON escapes it."""
    return max(re.findall(r"[A-Za-z0-9_.-]+", key), key=len, default="")


@contextlib.contextmanager
def _faults_explained() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in ("AccessDenied", "AccessDeniedException"):
            needed = PERMISSIONS.get(error.operation_name, "more permissions")
            reason = f"You may not: {error.operation_name} needs {needed} ({message})."
        elif code in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchVersion"):
            reason = "A file was changed by somebody else at the same moment."
        else:
            reason = f"{error.operation_name} failed ({code}: {message})."
        raise ForgetFailed(f"{reason} The same command goes on where this one ended.") from error
