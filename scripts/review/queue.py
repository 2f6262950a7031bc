"""People's labels for doubtful pictures, kept in the ledger and as labelled copies in the bucket.

Any number of people may review at once. A row is shown under a lease (a conditional write), and an
answer counts only under the answerer's own lease, so no row is shown or answered twice. An answer
counts once its row is written; until then the row keeps waiting.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from functions.common.inference_id import picture_hash
from functions.common.shown import shown
from functions.common.times import ledger_time
from scripts.common.errors import UserError
from scripts.common.s3 import list_objects
from scripts.deployment.outputs import Deployment
from scripts.workflow.bucket_layout import REVIEW_MANIFEST, REVIEWED, SUFFIX, bucket_and_key
from scripts.workflow.ledger import UNKNOWN_VERSION, UNUSABLE, Ledger, Row, Selection, retention

LEASE = timedelta(minutes=5)
# After this many seconds the index is queried again.
FRESH_SECONDS = 5.0
TAKEN = "Somebody else, or a rerun, has resolved this picture since then, or is looking at it."
_AT_ONCE = 8


class NotYours(Exception):
    """Somebody else, or a rerun, has resolved the row, or is looking at it; the message says so."""


class NothingReviewed(UserError):
    """There is no reviewed picture in the bucket; the message says what to do."""


@dataclass(frozen=True)
class Item:
    """One row that waits; `identity` stands for picture and version in URLs."""

    identity: str
    row: Row

    @classmethod
    def of(cls, row: Row) -> "Item":
        return cls(picture_hash(*bucket_and_key(row["picture"]), row["version"]), row)

    @property
    def key(self) -> dict[str, Any]:
        return {"picture": {"S": self.row["picture"]}, "version": {"S": self.row["version"]}}

    @property
    def source(self) -> dict[str, str]:
        """The picture's version in S3, as GetObject and CopyObject name it."""
        bucket, key = bucket_and_key(self.row["picture"])
        version = self.row["version"]
        return {"Bucket": bucket, "Key": key} | ({} if version == UNKNOWN_VERSION else {"VersionId": version})


@dataclass
class _Session:
    """One open page: what it has put off, and what it has answered, latest last."""

    put_off: set[str] = field(default_factory=set)
    answered: list[tuple[Item, str]] = field(default_factory=list)


class Reviews:
    """The rows that wait, for one reviewer; each open page is a session with leases of its own.

    A waiting row does not expire; an answered one does. Raises RetentionUnknown.
    """

    def __init__(
        self,
        deployment: Deployment,
        reviewer: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.labels: list[str] = deployment.labels
        self.reviewer = reviewer
        self._bucket = deployment.bucket
        self._s3 = deployment.client("s3")
        self._ledger = Ledger(deployment)
        self._retention = retention(deployment)
        self._now = now
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._waiting: list[Item] = []
        self._listed = float("-inf")

    def take(self, session: str) -> Item | None:
        """Lease the most doubtful row that nobody else is looking at; None if none is left."""
        put_off = self._session(session).put_off
        waiting = self._list()
        for item in sorted(waiting, key=lambda item: item.identity in put_off):
            if self._lease(item, session):
                return item
        return None

    def progress(self) -> dict[str, int]:
        """How many rows wait, and how many answers this reviewer's pages have given."""
        with self._lock:
            answered = sum(len(session.answered) for session in self._sessions.values())
        return {"waiting": len(self._list()), "answered": answered}

    def put_off(self, item: Item, session: str) -> None:
        """Show the item last, and let others have it."""
        self._session(session).put_off.add(item.identity)
        values = {":session": {"S": session}}
        self._update(item, "REMOVE lease_by, lease_until", "lease_by = :session", values)

    def answer(self, item: Item, label: str, session: str) -> None:
        """Record an answer: the label in the ledger, and a copy of the picture in its class.

        Raises:
            ValueError: neither a label of the model nor UNUSABLE.
            NotYours: somebody else was faster.
        """
        if label not in (*self.labels, UNUSABLE):
            raise ValueError(f"{shown(label)} is not one of {', '.join([*self.labels, UNUSABLE])}")
        if not self._lease(item, session):
            raise NotYours(TAKEN)
        # Picture first: if this process dies in between, the row keeps waiting, and the next answer
        # fixes the copy.
        # Only if a rerun accepts the picture instead does the copy stay in the class that a person
        # named.
        self._place(item, label)
        now = self._now()
        at, expiry = ledger_time(now), int((now + self._retention).timestamp())
        values = {":session": {"S": session}, ":label": {"S": label}, ":at": {"S": at}}
        values[":expiry"] = {"N": str(expiry)}
        values |= self._history_entry("reviewed", at, label)
        try:
            self._update(
                item,
                "SET reviewed_label = :label, reviewer = :reviewer, reviewed_at = :at, expiry = :expiry, "
                "#history = list_append(if_not_exists(#history, :nothing), :entry) "
                "REMOVE attention, lease_by, lease_until",
                "attribute_exists(attention) AND lease_by = :session",
                values,
            )
        except NotYours:
            there = self._ledger.row(item.row["picture"], item.row["version"]) or {}
            self._place(item, there.get("reviewed_label", UNUSABLE))
            # The AWS client retries what was not confirmed, and may then find its own answer.
            if (there.get("reviewer"), there.get("reviewed_at")) != (self.reviewer, at):
                raise
        with self._lock:
            self._waiting = [each for each in self._waiting if each.identity != item.identity]
        self._session(session).answered.append((item, at))

    def undo(self, session: str) -> Item | None:
        """Take back this page's last answer: the row waits again, leased to the page.

        Returns None if there is no answer.

        Raises:
            NotYours: the row was changed since.
        """
        answered = self._session(session).answered
        if not answered:
            return None
        item, at = answered.pop()
        until = ledger_time(self._now() + LEASE)
        entry = self._history_entry("taken back", ledger_time(self._now()), None)
        values = {":attention": {"S": item.row["status"]}, ":session": {"S": session}, ":until": {"S": until}}
        self._update(
            item,
            "SET attention = :attention, lease_by = :session, lease_until = :until, "
            "#history = list_append(if_not_exists(#history, :nothing), :entry) "
            "REMOVE reviewed_label, reviewer, reviewed_at, expiry",
            "reviewer = :reviewer AND reviewed_at = :answered AND #status = :attention "
            "AND attribute_not_exists(attention)",
            values | entry | {":answered": {"S": at}},
        )
        self._place(item, UNUSABLE)
        self._listed = float("-inf")
        return item

    def picture(self, item: Item) -> bytes:
        """The picture's bytes. Raises ClientError if it is gone."""
        body: bytes = self._s3.get_object(**item.source)["Body"].read()
        return body

    def _session(self, name: str) -> _Session:
        with self._lock:
            return self._sessions.setdefault(name, _Session())

    def _list(self) -> list[Item]:
        """What waits: lowest confidence first, and last what the model never answered."""
        with self._lock:
            if time.monotonic() - self._listed > FRESH_SECONDS:
                rows = self._ledger.select(Selection())
                self._waiting = sorted(map(Item.of, rows), key=_doubt)
                self._listed = time.monotonic()
            return list(self._waiting)

    def _lease(self, item: Item, session: str) -> bool:
        now = self._now()
        values = {":session": {"S": session}, ":now": {"S": ledger_time(now)}}
        values[":until"] = {"S": ledger_time(now + LEASE)}
        try:
            self._update(
                item,
                "SET lease_by = :session, lease_until = :until",
                "attribute_exists(attention) AND "
                "(attribute_not_exists(lease_until) OR lease_until < :now OR lease_by = :session)",
                values,
            )
        except NotYours:
            return False
        return True

    def _history_entry(self, event: str, at: str, label: str | None) -> dict[str, Any]:
        """The values that an update needs to add an entry to the row's history."""
        entry = {"status": event, "reviewer": self.reviewer, "time": at} | ({"label": label} if label else {})
        return {
            ":reviewer": {"S": self.reviewer},
            ":nothing": {"L": []},
            ":entry": {"L": [{"M": {name: {"S": text} for name, text in entry.items()}}]},
        }

    def _update(self, item: Item, expression: str, condition: str, values: dict[str, Any]) -> None:
        """One conditional write. Raises NotYours."""
        names = {f"#{name}": name for name in ("history", "status") if f"#{name}" in expression + condition}
        try:
            self._ledger.dynamodb.update_item(
                TableName=self._ledger.table,
                Key=item.key,
                UpdateExpression=expression,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
                **({"ExpressionAttributeNames": names} if names else {}),
            )
        except self._ledger.dynamodb.exceptions.ConditionalCheckFailedException:
            raise NotYours(TAKEN) from None

    def _place(self, item: Item, label: str) -> None:
        """Copy the picture to its class, and remove it from every other."""
        for other in self.labels:
            for each in list_objects(self._s3, self._bucket, f"{REVIEWED}/{other}/{item.identity}"):
                if other != label:
                    self._s3.delete_object(Bucket=self._bucket, Key=each["Key"])
        if label != UNUSABLE:
            self._s3.copy_object(Bucket=self._bucket, Key=_place_of(item, label), CopySource=item.source)


def _doubt(item: Item) -> tuple[bool, float, str]:
    confidence = item.row.get("confidence")
    return confidence is None, confidence or 0.0, item.row["time"]


def _place_of(item: Item, label: str) -> str:
    suffix = PurePosixPath(item.row["picture"]).suffix.lower()
    known = suffix if SUFFIX.fullmatch(suffix) else ""
    return f"{REVIEWED}/{label}/{item.identity}{known}"


def write_manifest(deployment: Deployment) -> int:
    """Write the augmented manifest of all reviewed pictures; returns their number.

    It is made from what is in the bucket, so anybody may write it again at any time:
    https://docs.aws.amazon.com/sagemaker/latest/dg/sms-data-output.html#sms-output-class
    """
    s3, labels = deployment.client("s3"), deployment.labels
    lines = []
    for number, label in enumerate(labels):
        for each in list_objects(s3, deployment.bucket, f"{REVIEWED}/{label}/"):
            described = {
                "class-name": label,
                "confidence": 1,
                "type": "groundtruth/image-classification",
                "job-name": "scones-review",
                "human-annotated": "yes",
                "creation-date": each["LastModified"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f"),
            }
            source = f"s3://{deployment.bucket}/{each['Key']}"
            lines.append(json.dumps({"source-ref": source, "class": number, "class-metadata": described}))
    s3.put_object(
        Bucket=deployment.bucket, Key=REVIEW_MANIFEST, Body="".join(f"{line}\n" for line in lines).encode()
    )
    return len(lines)


def freeze(deployment: Deployment) -> str:
    """Copy the reviewed pictures to a fixed place, as a training channel; returns its URI.

    The same pictures and labels give the same place, training/data/reviewed-<hash>/train/<label>/.

    Raises:
        NothingReviewed: nothing is there.
    """
    s3, bucket = deployment.client("s3"), deployment.bucket
    found = [each for label in deployment.labels for each in list_objects(s3, bucket, f"{REVIEWED}/{label}/")]
    if not found:
        raise NothingReviewed(
            f"There are no reviewed pictures in s3://{bucket}/{REVIEWED}/: label some by scones review."
        )
    names = "".join(f"{each['Key']} {each['ETag']}\n" for each in found)
    place = f"training/data/reviewed-{hashlib.sha256(names.encode()).hexdigest()[:16]}/"
    there = {each["Key"] for each in list_objects(s3, bucket, place)}

    def copy(key: str) -> None:
        target = f"{place}train/{key.removeprefix(f'{REVIEWED}/')}"
        if target not in there:
            s3.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": key})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(copy, [each["Key"] for each in found]))
    return f"s3://{bucket}/{place}"
