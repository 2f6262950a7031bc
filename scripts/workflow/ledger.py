"""The ledger: one row for each version of a picture, in plain Python values."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.common.times import ledger_time
from scripts.common.errors import UserError
from scripts.deployment.outputs import Deployment

# What a person or a rerun has yet to resolve. These rows have the attribute `attention`, the
# index's key.
WAITING = ("LOW_CONFIDENCE", "REJECTED", "FAILED")
STATUSES = ("ACCEPTED", *WAITING)
# In place of a version: the picture was submitted without one and could not be read.
UNKNOWN_VERSION = "unknown"
# A reviewer's label for a file that shows nothing; not a class of any model.
UNUSABLE = "unusable"
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
KEYS_AT_ONCE = 100

Row = dict[str, Any]


class RetentionUnknown(UserError):
    """The deployment does not say how long its ledger keeps rows."""


@dataclass(frozen=True)
class Selection:
    """Rows by status (None: all that wait), error, model, and the time of the last decision."""

    status: str | None = None
    error: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def retention(deployment: Deployment) -> timedelta:
    """How long after its decision a row expires, unless it waits. Raises RetentionUnknown."""
    days = deployment.ledger_retention_days
    if days is None:
        raise RetentionUnknown(
            "The deployment does not say how long its ledger keeps rows (it was applied by an earlier version), so"
            " nothing was done. Run `terraform apply` again; or, for `scones batch --missing`, name a time by --since."
        )
    return timedelta(days=days)


class Ledger:
    """The deployment's table of pictures."""

    def __init__(self, deployment: Deployment):
        self.dynamodb = deployment.client("dynamodb")
        self.table = deployment.ledger_table

    def row(self, uri: str, version: str) -> Row | None:
        """The row of one picture version; None if there is none."""
        answer = self.dynamodb.get_item(TableName=self.table, Key=_key(uri, version), ConsistentRead=True)
        return _row(answer["Item"]) if "Item" in answer else None

    def rows(self, names: Iterable[tuple[str, str]]) -> Iterator[Row]:
        """The rows of many (uri, version) pairs, in no order; those without a row are left out."""
        remaining = iter(names)
        keys: list[dict[str, Any]] = []
        while keys := [
            *keys,
            *(_key(*name) for name in itertools.islice(remaining, KEYS_AT_ONCE - len(keys))),
        ]:
            request = {self.table: {"Keys": keys, "ConsistentRead": True}}
            answer = self.dynamodb.batch_get_item(RequestItems=request)
            yield from map(_row, answer["Responses"].get(self.table, []))
            # Ask again for what the table had no capacity for.
            keys = answer["UnprocessedKeys"].get(self.table, {}).get("Keys", [])

    def rows_of(self, uri: str) -> list[Row]:
        """The rows of every version of a picture."""
        pages = self.dynamodb.get_paginator("query").paginate(
            TableName=self.table,
            KeyConditionExpression="picture = :picture",
            ExpressionAttributeValues={":picture": {"S": uri}},
            ConsistentRead=True,
        )
        return [_row(item) for page in pages for item in page["Items"]]

    def all(self) -> Iterator[Row]:
        """Every row, in no order."""
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.table):
            yield from map(_row, page["Items"])

    def count_since(self, since: datetime) -> int:
        """How many rows were decided since then; reads the whole table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table,
            Select="COUNT",
            FilterExpression="#time >= :since",
            ExpressionAttributeNames={"#time": "time"},
            ExpressionAttributeValues={":since": _moment(since, "0")},
        )
        return sum(page["Count"] for page in pages)

    def select(self, selection: Selection) -> Iterator[Row]:
        """The selected rows: waiting ones are found by the index, accepted ones by a scan."""
        wanted = {"error": selection.error, "model": selection.model}
        equal = {name: value for name, value in wanted.items() if value is not None}
        during = "#time BETWEEN :since AND :until"
        values = {":since": _moment(selection.since, "0"), ":until": _moment(selection.until, "9")}
        if selection.status == "ACCEPTED":
            yield from self._pages("scan", equal | {"status": "ACCEPTED"}, values, also=during)
            return
        for status in [selection.status] if selection.status else WAITING:
            yield from self._pages(
                "query",
                equal,
                values | {":attention": {"S": status}},
                IndexName="attention",
                KeyConditionExpression=f"attention = :attention AND {during}",
            )

    def answered(self, since: datetime | None, until: datetime | None) -> Iterator[Row]:
        """The rows of that time that hold a model's answer, whatever was decided; by a scan."""
        values = {":since": _moment(since, "0"), ":until": _moment(until, "9"), ":number": {"S": "N"}}
        also = "#time BETWEEN :since AND :until AND attribute_type(confidence, :number)"
        yield from self._pages("scan", {}, values, also=also)

    def _pages(
        self, action: str, equal: dict[str, str], values: dict[str, Any], also: str = "", **request: str
    ) -> Iterator[Row]:
        """The rows that a query or scan finds, with the attributes in `equal`, if `also` holds."""
        conditions = [f"#{name} = :{name}" for name in equal] + ([also] if also else [])
        if conditions:
            request["FilterExpression"] = " AND ".join(conditions)
        pages = self.dynamodb.get_paginator(action).paginate(
            TableName=self.table,
            ExpressionAttributeNames={f"#{name}": name for name in ("time", *equal)},
            ExpressionAttributeValues=values | {f":{name}": {"S": value} for name, value in equal.items()},
            **request,
        )
        for page in pages:
            yield from map(_row, page["Items"])

    def reopen(self, row: Row) -> None:
        """Take a person's answer back: the picture waits again, and its row keeps the label.

        Does nothing if a newer answer has replaced the one in `row`.
        """
        entry = {"status": {"S": "asked again"}, "time": {"S": ledger_time(datetime.now(UTC))}}
        with contextlib.suppress(self.dynamodb.exceptions.ConditionalCheckFailedException):
            self.dynamodb.update_item(
                TableName=self.table,
                Key=_key(row["picture"], row["version"]),
                UpdateExpression="SET attention = #status, "
                "#history = list_append(if_not_exists(#history, :nothing), :entry) REMOVE reviewed_at, expiry",
                ConditionExpression="reviewed_at = :reviewed_at",
                ExpressionAttributeNames={"#status": "status", "#history": "history"},
                ExpressionAttributeValues={
                    ":reviewed_at": {"S": row["reviewed_at"]},
                    ":nothing": {"L": []},
                    ":entry": {"L": [{"M": entry}]},
                },
            )

    def remove(self, row: Row) -> None:
        self.dynamodb.delete_item(TableName=self.table, Key=_key(row["picture"], row["version"]))


def _key(uri: str, version: str) -> dict[str, Any]:
    return {"picture": {"S": uri}, "version": {"S": version or UNKNOWN_VERSION}}


def _moment(moment: datetime | None, otherwise: str) -> dict[str, str]:
    return {"S": ledger_time(moment) if moment else otherwise}


def _row(item: dict[str, Any]) -> Row:
    return {name: plain(value) for name, value in item.items()}


def plain(value: dict[str, Any]) -> Any:
    """A DynamoDB attribute as a plain Python value; whole numbers become int, others float."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return int(content) if content.lstrip("-").isdigit() else float(content)
        case "NULL":
            return None
        case "M":
            return {name: plain(inner) for name, inner in content.items()}
        case "L":
            return [plain(inner) for inner in content]
        case _:
            return content
