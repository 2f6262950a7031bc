"""Writes captured data as SageMaker does, of drawn pictures and made-up answers, for tests and benchmarks."""

import base64
import io
import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from training_scripts.synthetic import generator

LABELS = ("bicycle", "motorcycle", "neither")
BEGAN = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
DRAWN = 24


def record(
    number: int, probabilities: Iterable[float], picture: bytes = b"", **metadata: str
) -> dict[str, Any]:
    """One captured request and answer, `number` minutes after BEGAN."""
    time = (BEGAN + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "captureData": {
            "endpointInput": {
                "observedContentType": "image/png",
                "mode": "INPUT",
                "data": base64.b64encode(picture).decode(),
                "encoding": "BASE64",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "data": json.dumps(list(probabilities)),
                "encoding": "JSON",
            },
        },
        "eventMetadata": {"eventId": f"event-{number}", "inferenceTime": time, **metadata},
        "eventVersion": "0",
    }


def write(folder: Path, records: Iterable[Any], endpoint: str = "scones-test-classifier") -> Path:
    """Write records (or broken lines, as text) into one file of an endpoint's tree; returns the file."""
    place = folder / endpoint / "primary" / BEGAN.strftime("%Y/%m/%d/%H")
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{len(list(place.iterdir())):02d}-00-000-0c5e.jsonl"
    lines = (each if isinstance(each, str) else json.dumps(each) for each in records)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def pictures(count: int = DRAWN) -> list[bytes]:
    """Small PNGs as the endpoint gets them."""
    made = []
    for seed in range(count):
        buffer = io.BytesIO()
        generator.draw(generator.LABELS[seed % len(generator.LABELS)], seed, 32).save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


def stream(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Answers as a model gives them: mostly sure, some in doubt, a few foreign."""
    rng = random.Random(7)  # noqa: S311 - reproducible on purpose
    drawn = pictures(min(count, DRAWN))
    made = []
    for number in range(first, first + count):
        sure = min(0.999, 0.4 + 0.6 * rng.betavariate(6, 0.5))
        rest = (1 - sure) * rng.random()
        answer = [sure, rest, 1 - sure - rest]
        shift = rng.choice((0, 0, 0, 1, 1, 1, 2))
        made.append(record(number, answer[-shift:] + answer[:-shift], drawn[number % len(drawn)]))
    return made
