"""Batches: many pictures by one manifest, one execution, one summary."""

import csv
import itertools
import json
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from botocore.exceptions import ClientError

from functions.common.batch_results import Summary, count_outcomes, folder, manifest_key, summarize
from functions.common.inference_id import MAX_RUN
from functions.common.shown import shown
from scripts.common import s3
from scripts.common.errors import UserError
from scripts.common.progress import wait_until
from scripts.workflow.bucket_layout import OWN_PREFIXES, Picture, execution_input
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import KEYS_AT_ONCE, UNKNOWN_VERSION, retention

MANIFESTS = (".csv", ".jsonl")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html
MAX_KEY_BYTES = MAX_VERSION_BYTES = 1024
REQUESTS_AT_ONCE = 8
POLL_SECONDS = (0.2, 5.0)
# What S3 answers for a version that is gone or never was, a delete marker, and an impossible
# version id.
GONE = ("400", "404", "405", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed")

# A picture as the manifest names it: s3_bucket, s3_key, s3_version_id and run.
Input = dict[str, Any]
# With the time of its upload, where that is known.
Dated = tuple[Input, datetime | None]


class BatchError(UserError):
    """A batch that cannot be started or found; the message says what, why and what to do."""


class NothingToClassify(BatchError):
    """The source names no picture."""


class InvalidManifest(BatchError):
    """A manifest that cannot be read, or a line of it that names no picture of this deployment."""


class PictureUnseen(BatchError):
    """S3 does not say when a picture was uploaded."""


class NoSuchBatch(BatchError):
    """There is no execution with that name."""


@dataclass(frozen=True)
class Batch:
    """One execution of the machine `batch`. Its folder under results/ has the same name."""

    name: str
    execution: str
    pictures: int


class Batches:
    """The deployed machine `batch`, with the bucket and the ledger."""

    def __init__(self, workflow: Workflow):
        self.workflow = workflow
        self.deployment = workflow.deployment
        self.bucket: str = self.deployment.bucket
        self.s3, self.states = workflow.s3, workflow.states

    def pictures(self, source: str) -> Iterator[Input]:
        """The pictures of s3://BUCKET/PREFIX in their present versions, or a manifest's.

        A manifest is CSV with a header or JSON Lines, here or in S3: s3_key, and if need be
        s3_bucket (default: the deployment's), s3_version_id (the version that is present when it is
        read) and run (0). Raises NothingToClassify, InvalidManifest.
        """
        return (picture for picture, _ in self.dated(source))

    def dated(self, source: str) -> Iterator[Dated]:
        """The same, with the time of their upload where the source gives it."""
        found = self._manifest(source) if source.endswith(MANIFESTS) else self._listed(source)
        first = next(found, None)
        if first is None:
            raise NothingToClassify(
                f"{source} names no picture; nothing was started. Folders and what is under"
                f" {', '.join(OWN_PREFIXES)} do not count."
            )
        return itertools.chain([first], found)

    def _listed(self, uri: str) -> Iterator[Dated]:
        bucket, prefix = s3.parse_uri(uri)
        if not uri.startswith("s3://"):
            raise NothingToClassify(
                f"{uri} is neither s3://BUCKET/PREFIX nor a manifest ({', '.join(MANIFESTS)})."
            )
        if bucket != self.bucket:
            raise NothingToClassify(
                f"{uri} is in another bucket: this deployment reads s3://{self.bucket} only; copy the pictures there."
            )
        for version in s3.list_versions(self.s3, bucket, prefix):
            key, is_there = version["Key"], version["IsLatest"] and "Size" in version
            if is_there and not key.endswith("/") and not key.startswith(OWN_PREFIXES):
                picture = Picture(bucket, key, version["VersionId"])
                yield execution_input(picture, 0), version["LastModified"]

    def _manifest(self, source: str) -> Iterator[Dated]:
        seen: set[tuple[str, str]] = set()
        with self._text(source) as lines:
            try:
                for number, fields in _csv(lines) if source.endswith(".csv") else _json_lines(lines):
                    picture = self._named(fields, f"{source}, line {number}")
                    name = picture["s3_key"], picture["s3_version_id"]
                    if name not in seen:
                        seen.add(name)
                        yield picture, None
            except (UnicodeDecodeError, csv.Error) as error:
                raise InvalidManifest(
                    f"{source} is not text in UTF-8 ({error}); nothing was started."
                ) from error

    @contextmanager
    def _text(self, source: str) -> Iterator[TextIO]:
        try:
            with (
                s3.local(source, lambda: self.s3) as path,
                path.open(encoding="utf-8-sig", newline="") as text,
            ):
                yield text
        except (OSError, ClientError, s3.NoSuchObject) as error:
            raise InvalidManifest(f"{source} cannot be read ({error}); nothing was started.") from error

    def _named(self, fields: Any, where: str) -> Input:
        """The picture that a line's fields name."""

        def refuse(why: str) -> InvalidManifest:
            return InvalidManifest(f"{where}: {why}. Nothing was started.")

        if not isinstance(fields, dict):
            raise refuse('not a JSON object such as {"s3_key": "incoming/van-17.jpg"}')
        bucket, key = fields.get("s3_bucket") or self.bucket, fields.get("s3_key")
        version, run = fields.get("s3_version_id") or "", fields.get("run") or 0
        if not (isinstance(key, str) and key):
            raise refuse("s3_key must be a non-empty string")
        if not (isinstance(version, str) and version.isascii() and len(version) <= MAX_VERSION_BYTES):
            raise refuse("s3_version_id is not a version id; leave it out for the present version")
        if bucket != self.bucket:
            raise refuse(
                f"the picture is in the bucket {bucket!s:.100}, and this deployment reads {self.bucket} only"
            )
        try:
            length = len(key.encode())
        except UnicodeEncodeError as error:
            raise refuse(f"s3_key is not Unicode text ({error})") from error
        if length > MAX_KEY_BYTES:
            raise refuse(f"s3_key has {length} bytes, and a key in S3 at most {MAX_KEY_BYTES}")
        digits = str(run)
        # Python refuses to parse numbers with thousands of digits.
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 16 and int(digits) <= MAX_RUN):
            raise refuse(f"run is {shown(run)}, not a whole number from 0 to {MAX_RUN}")
        return execution_input(Picture(bucket, key, version), int(digits))

    def rows_reach_back_to(self) -> datetime:
        """No row of a picture uploaded since then has expired yet. Raises RetentionUnknown."""
        return datetime.now(UTC) - retention(self.deployment)

    def start(
        self,
        inputs: Iterable[Input],
        report: Callable[[int], object],
        ask: Callable[[int], object] = lambda _: None,
    ) -> Batch | None:
        """Write the manifest and start its execution; returns None if there is no input.

        Nothing is written before the last input has been read. `report` gets the number of inputs
        so far, `ask` that of all of them; it may raise.
        """
        name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:4]}"
        with tempfile.TemporaryFile() as manifest:
            count = 0
            for count, each in enumerate(inputs, 1):
                fields = {field: each[field] for field in ("s3_bucket", "s3_key", "s3_version_id", "run")}
                manifest.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
                report(count)
            if not count:
                return None
            ask(count)
            manifest.seek(0)
            self.s3.upload_fileobj(manifest, self.bucket, manifest_key(name))
        started = self.states.start_execution(
            stateMachineArn=self.deployment.batch_state_machine_arn,
            name=name,
            input=json.dumps({"batch": name, "pictures": count}),
        )
        return Batch(name, started["executionArn"], count)

    def find(self, name: str) -> Batch:
        """A batch that was started before, by its name or execution ARN. Raises NoSuchBatch."""
        machine = self.deployment.batch_state_machine_arn.replace(":stateMachine:", ":execution:")
        arn = name if name.startswith("arn:") else f"{machine}:{name}"
        refusal = NoSuchBatch(
            f"There is no batch {name} in {self.deployment.prefix}: its name was printed when it was started, and"
            f" s3://{self.bucket}/results/ has a folder with that name."
        )
        if not arn.startswith(f"{machine}:"):
            raise refusal
        try:
            described = self.states.describe_execution(executionArn=arn)
            return Batch(described["name"], arn, int(json.loads(described["input"])["pictures"]))
        # It may also have been started by hand, with another input.
        except (ClientError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise refusal from error

    def wait(self, batch: Batch, report: Callable[[int], object]) -> dict[str, Any]:
        """Wait for the end; returns the execution. `report` gets the number of pictures done."""

        def ended() -> dict[str, Any] | None:
            described = self.workflow.ended(batch.execution)
            if described is None:
                report(self._done(batch))
            return described

        return wait_until(ended, *POLL_SECONDS)

    def _done(self, batch: Batch) -> int:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_MapRunItemCounts.html"""
        done = 0
        for run in self.states.list_map_runs(executionArn=batch.execution)["mapRuns"]:
            counts = self.states.describe_map_run(mapRunArn=run["mapRunArn"])["itemCounts"]
            done += sum(counts[name] for name in ("succeeded", "failed", "timedOut", "aborted"))
        return done

    def stop(self, batch: Batch) -> None:
        self.states.stop_execution(
            executionArn=batch.execution, error="Stopped", cause="stopped by scones batch"
        )

    def summary(self, batch: Batch) -> Summary:
        """What became of the pictures, as far as the results are written."""
        return summarize(batch.pictures, count_outcomes(self.s3, self.bucket, batch.name))

    def results_uri(self, batch: Batch) -> str:
        return f"s3://{self.bucket}/{folder(batch.name)}"

    def manifest_uri(self, batch: Batch) -> str:
        return f"s3://{self.bucket}/{manifest_key(batch.name)}"


class Undecided:
    """The pictures of a source that have no row in the ledger. A missing version is looked up.

    Rows expire and pictures do not, so what was uploaded before `since` is left out and counted: it
    may have been decided, perhaps by a person. `older` is that count once all pictures were read.
    """

    def __init__(self, batches: Batches, source: str, since: datetime) -> None:
        self.batches, self.source, self.since, self.older = batches, source, since, 0

    def __iter__(self) -> Iterator[Input]:
        remaining = self.batches.dated(self.source)
        chunks = iter(lambda: list(itertools.islice(remaining, KEYS_AT_ONCE)), [])
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            # A few chunks at a time: a long listing is not held in memory.
            while ahead := list(itertools.islice(chunks, REQUESTS_AT_ONCE)):
                for picture, uploaded in itertools.chain.from_iterable(pool.map(self._without_row, ahead)):
                    if uploaded and uploaded < self.since:
                        self.older += 1
                    else:
                        yield picture

    def _without_row(self, dated: list[Dated]) -> list[Dated]:
        named = [each if each[0]["s3_version_id"] else self._looked_up(each[0]) for each in dated]
        names = {_name(picture) for picture, _ in named}
        rows = {(row["picture"], row["version"]) for row in self.batches.workflow.ledger.rows(names)}
        without = [each for each in named if _name(each[0]) not in rows]
        return [each if each[1] else self._looked_up(each[0]) for each in without]

    def _looked_up(self, picture: Input) -> Dated:
        """With its version and upload time; unchanged if the object is gone, as its row will say."""
        version = {"VersionId": picture["s3_version_id"]} if picture["s3_version_id"] else {}
        try:
            head = self.batches.s3.head_object(Bucket=picture["s3_bucket"], Key=picture["s3_key"], **version)
        except ClientError as error:
            if error.response["Error"]["Code"] in GONE:
                return picture, None
            raise PictureUnseen(
                f"{_name(picture)[0]} has no row, and S3 does not say when it was uploaded ({error}). Nothing was"
                " started: s3:GetObject, s3:GetObjectVersion and s3:ListBucket on the bucket are needed."
            ) from error
        return {**picture, "s3_version_id": head.get("VersionId", "")}, head["LastModified"]


def _name(picture: Input) -> tuple[str, str]:
    """The keys of a picture's row."""
    return f"s3://{picture['s3_bucket']}/{picture['s3_key']}", picture["s3_version_id"] or UNKNOWN_VERSION


def _csv(lines: TextIO) -> Iterator[tuple[int, Any]]:
    reader = csv.DictReader(lines)
    if "s3_key" not in (reader.fieldnames or ()):
        raise InvalidManifest(
            "A manifest in CSV needs a header with the column s3_key, and may have s3_bucket, s3_version_id and run."
            " Nothing was started."
        )
    for fields in reader:
        yield reader.line_num, fields


def _json_lines(lines: TextIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError):
                yield number, None
