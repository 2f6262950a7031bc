"""The datasets in S3 that a Distributed Map reads item by item
(https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html).

Lines and listings are streamed; a JSON array is read as a whole.
"""

import csv
import itertools
import json
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_aws.core.errors import StatesError

FAILED = "States.ItemReaderFailed"
DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}
CHUNK_BYTES = 65_536


def read_dataset(s3: Any, reader: dict[str, Any]) -> Iterator[Any]:
    """The items that an evaluated ItemReader points at.

    Args:
        s3: a boto3 client.
        reader: `Resource`, `Arguments` and, but for listings, `ReaderConfig`.

    Raises StatesError States.ItemReaderFailed, in the middle if need be.
    """
    config, arguments = reader.get("ReaderConfig", {}), reader.get("Arguments", {})
    most = config.get("MaxItems", 0)
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise StatesError(FAILED, "field MaxItems must be positive")
    try:
        if reader["Resource"].endswith(":listObjectsV2"):
            items = _listed(s3, arguments)
        else:
            items = _parsed(s3.get_object(**arguments)["Body"], config)
        yield from itertools.islice(items, most or None)
    except (ClientError, BotoCoreError) as error:
        raise StatesError(FAILED, f"{error} (Service: S3)") from error
    except (ValueError, csv.Error) as error:  # including text that is not UTF-8, and broken JSON
        where = f"s3://{arguments.get('Bucket')}/{arguments.get('Key')}"
        raise StatesError(
            FAILED, f"{where} is not a valid {config.get('InputType')} dataset: {error}"
        ) from error


def _listed(s3: Any, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(**arguments):
        for entry in page.get("Contents", []):
            yield {
                "Etag": entry["ETag"],
                "Key": entry["Key"],
                "LastModified": int(entry["LastModified"].timestamp()),
                "Size": entry["Size"],
                "StorageClass": entry.get("StorageClass", "STANDARD"),
            }


def _parsed(body: Any, config: dict[str, Any]) -> Iterator[Any]:
    if config["InputType"] == "JSON":
        return _elements(_json(body.read().decode()))
    lines = (line.decode() for line in body.iter_lines(CHUNK_BYTES, keepends=True))
    if config["InputType"] == "CSV":
        return _rows(lines, config)
    return _json_lines(lines)


def _elements(dataset: Any) -> Iterator[Any]:
    if isinstance(dataset, dict):
        return iter([{"Key": key, "Value": value} for key, value in dataset.items()])
    if not isinstance(dataset, list):
        raise StatesError(FAILED, "Attempting to map over non-iterable node.")
    return iter(dataset)


def _json_lines(lines: Iterator[str]) -> Iterator[Any]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield _json(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error


def _json(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _rows(lines: Iterator[str], config: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Missing fields are empty, surplus ones are left out, a backslash escapes."""
    delimiter = DELIMITERS[config.get("CSVDelimiter", "COMMA")]
    rows = csv.reader(lines, delimiter=delimiter, escapechar="\\", strict=True)
    given = config["CSVHeaderLocation"] == "GIVEN"
    headers = config["CSVHeaders"] if given else next(rows, [])
    if len(set(headers)) < len(headers):
        raise StatesError(FAILED, "CSV headers cannot contain duplicates.")
    for row in rows:
        if row:
            yield dict(itertools.zip_longest(headers, row[: len(headers)], fillvalue=""))
