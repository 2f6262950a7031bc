"""The pictures that were decided in some hours, read from the ledger.

The ledger has no index by time, which would cost a write for each picture. A scan reads rows in the order of their
keys' hashes, so its beginning is a random sample of all pictures, and reading a bounded part of it costs the same
however large the ledger is: with rows kept for a year, 500 MB of it hold about 900 of a day's.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html
"""

from collections.abc import Iterator
from typing import Any

from functions.common.baseline import Picture

MOST_PICTURES = 2000
MOST_PAGES = 500  # of 1 MB


def pictures(dynamodb: Any, table: str, since: str, until: str) -> list[Picture]:
    """Pictures that a model answered between two times (as the ledger writes them), MOST_PICTURES at most.

    `dynamodb` is a boto3 client, whose exceptions pass.
    """
    found: list[Picture] = []
    for page, items in enumerate(_pages(dynamodb, table, since, until), start=1):
        found += map(_picture, items)
        if len(found) >= MOST_PICTURES or page == MOST_PAGES:
            break
    return found[:MOST_PICTURES]


def _pages(dynamodb: Any, table: str, since: str, until: str) -> Iterator[list[dict[str, Any]]]:
    answers = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="#time BETWEEN :since AND :until AND attribute_type(confidence, :number)",
        ProjectionExpression="#time, model, label, confidence, image",
        ExpressionAttributeNames={"#time": "time"},
        ExpressionAttributeValues={
            ":since": {"S": since},
            ":until": {"S": until},
            ":number": {"S": "N"},
        },
    )
    for answer in answers:
        yield answer["Items"]


def _picture(item: dict[str, Any]) -> Picture:
    image = item["image"]["M"]
    return {
        "time": item["time"]["S"],
        "model": item["model"]["S"],
        "label": item["label"]["S"],
        "confidence": float(item["confidence"]["N"]),
        "image": {
            "width": int(image["width"]["N"]),
            "height": int(image["height"]["N"]),
            **{name: float(image[name]["N"]) for name in ("brightness", "contrast", "sharpness")},
        },
    }
