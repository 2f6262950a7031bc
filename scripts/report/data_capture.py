"""Reads what SageMaker captured of an endpoint: JSON lines under endpoint/variant/yyyy/mm/dd/hh/.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from functions.common.shown import shown
from scripts.common import s3

LAYOUT = re.compile(r"(?:^|/)(?P<endpoint>[^/]+)/(?P<variant>[^/]+)/\d{4}/\d\d/\d\d/\d\d/[^/]+$")
UNKNOWN = "unknown"
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Inference:
    """One captured request and its answer; `picture` is what the model got, or empty."""

    event_id: str
    inference_id: str
    time: datetime
    endpoint: str
    variant: str
    probabilities: tuple[float, ...]
    picture: bytes


@dataclass(frozen=True)
class Broken:
    """A line that is not a record of an inference: which file, which line (from 1), and why."""

    place: str
    line: int
    reason: str


def read(place: str, client: Callable[[], Any]) -> Iterator[Inference | Broken]:
    """Every line of every .jsonl file in a folder or under s3://bucket/prefix/, by name.

    Args:
        place: any part of the captured tree; endpoint and variant are taken from the files' places.
        client: gives an S3 client; only called for a URI.

    Raises:
        scripts.common.s3.NoSuchObject: nothing is stored at that URI.
        OSError: a folder that is not there or cannot be read.
    """
    with s3.local(place, client) as root:
        files = [root] if root.is_file() else sorted(root.rglob("*.jsonl"))
        if not (files or root.is_dir()):
            raise FileNotFoundError(
                f"{place} is not there: name a folder of captured data or s3://BUCKET/PREFIX/"
            )
        for path in files:
            name = place if path == root else f"{place.rstrip('/')}/{path.relative_to(root).as_posix()}"
            yield from _lines(path, name)


def _lines(path: Path, name: str) -> Iterator[Inference | Broken]:
    found = LAYOUT.search(name)
    endpoint, variant = found.group("endpoint", "variant") if found else (UNKNOWN, UNKNOWN)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield _inference(line, endpoint, variant)
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    yield Broken(name, number, _why(error))


def _why(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"not JSON: {error.msg}"
        case UnicodeDecodeError():
            return "not UTF-8 text"
        case KeyError():
            return f"no {error.args[0]}"
        case RecursionError():
            return "nested too deeply"
        case TypeError():
            return "not the shape of a captured record"
        case _:
            return str(error)[:200]


def _inference(line: bytes, endpoint: str, variant: str) -> Inference:
    record = json.loads(line)
    data, metadata = record["captureData"], record["eventMetadata"]
    time = datetime.fromisoformat(metadata["inferenceTime"])
    return Inference(
        event_id=str(metadata["eventId"]),
        inference_id=str(metadata.get("inferenceId", "")),
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        endpoint=endpoint,
        variant=variant,
        probabilities=_probabilities(_content(data["endpointOutput"])),
        picture=_picture(data.get("endpointInput")),
    )


def _content(captured: dict[str, str]) -> bytes:
    if captured["encoding"] == "BASE64":
        return base64.b64decode(captured["data"], validate=True)
    return captured["data"].encode()


def _picture(captured: Any) -> bytes:
    """What the model was sent; empty, so without a thumbnail, if not captured properly."""
    try:
        return _content(captured) if captured else b""
    except (KeyError, TypeError, AttributeError, binascii.Error):
        return b""


def _probabilities(answer: bytes) -> tuple[float, ...]:
    """The answer as probabilities, whether captured as JSON or as a line of CSV."""
    text = answer.decode().strip()
    values = json.loads(text if text.startswith("[") else f"[{text}]")
    usable = [v for v in values if type(v) in (int, float) and 0 <= v <= 1]
    if not values or len(usable) != len(values) or abs(math.fsum(usable) - 1) > SUM_TOLERANCE:
        raise ValueError(f"the answer {shown(text)} is not a list of probabilities")
    return tuple(float(value) for value in usable)
