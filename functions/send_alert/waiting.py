"""What waits in the ledger for a person or a rerun, counted for a digest.

The index `attention` holds exactly those rows, so the next digest also has what came in while a digest
could not be sent.
"""

import dataclasses
import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any

STATUSES = ("LOW_CONFIDENCE", "REJECTED", "FAILED")
BIGGEST_DOUBTS = 3


@dataclasses.dataclass(frozen=True)
class Picture:
    """A row that waits: its picture's URI, its time of decision, and the model's answer where there is one."""

    uri: str
    time: str
    label: str = ""
    confidence: float = 1.0


@dataclasses.dataclass(frozen=True)
class Waiting:
    """Rows that wait: by status, then by label or by named error; the longest and the most doubtful by themselves."""

    counts: dict[str, Counter[str]]
    new: int
    oldest: Picture | None
    doubts: list[Picture]

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.counts.values())


def count_waiting(dynamodb: Any, table: str, since: str) -> Waiting:
    """Everything that waits; `new` was decided after `since`, a time as the ledger writes it.

    `dynamodb` is a boto3 client, whose exceptions pass.
    """
    counts = {status: Counter[str]() for status in STATUSES}
    new, oldest, doubts = 0, None, list[Picture]()
    for status in STATUSES:
        for row in _rows(dynamodb, table, status):
            picture = _picture(row)
            told_by = "label" if status == "LOW_CONFIDENCE" else "error"
            counts[status][row.get(told_by, {}).get("S", "unknown")] += 1
            new += picture.time > since
            oldest = min(oldest or picture, picture, key=lambda it: it.time)
            if status == "LOW_CONFIDENCE":
                doubts = heapq.nsmallest(BIGGEST_DOUBTS, [*doubts, picture], key=lambda it: it.confidence)
    return Waiting(counts, new, oldest, doubts)


def _rows(dynamodb: Any, table: str, status: str) -> Iterator[dict[str, Any]]:
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        IndexName="attention",
        KeyConditionExpression="attention = :status",
        ExpressionAttributeValues={":status": {"S": status}},
        ProjectionExpression="picture, #time, label, confidence, #error",
        ExpressionAttributeNames={"#time": "time", "#error": "error"},
    )
    for page in pages:
        yield from page["Items"]


def _picture(row: dict[str, Any]) -> Picture:
    return Picture(
        uri=row["picture"]["S"],
        time=row["time"]["S"],
        label=row.get("label", {}).get("S", ""),
        confidence=float(row.get("confidence", {}).get("N", 1)),
    )
