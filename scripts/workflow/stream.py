"""Sends a continuous stream of pictures and follows each to its row in the ledger."""

import bisect
import io
import itertools
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from scripts.workflow.client import Workflow
from scripts.workflow.demo_pictures import from_folder
from scripts.workflow.ledger import STATUSES
from training_scripts.synthetic import generator

UPLOADS_AT_ONCE = 16
LOOK_SECONDS = 0.2
TICK_SECONDS = 0.01
# Mostly what the workflow looks for, as in a day's pictures.
SHARES = {"bicycle": 45, "motorcycle": 45, "other": 5, "ambiguous": 5}


@dataclass(frozen=True)
class Sample:
    """A picture to send; its bytes are made when it is due."""

    name: str
    make: Callable[[], bytes]


def drawn(seed: int) -> Iterator[Sample]:
    """Endless pictures from the generator, the same ones for the same seed."""
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for number in itertools.count(1):
        (label,) = rng.choices([*SHARES], [*SHARES.values()])
        yield Sample(f"{number:06}-{label}.jpg", partial(_jpeg, label, seed + number))


def of_folder(folder: Path) -> Iterator[Sample]:
    """The files of a folder, over and over. Raises NoPictures."""
    files = [sample.path for sample in from_folder(folder)]
    for number, path in enumerate(itertools.cycle(files), 1):
        yield Sample(f"{number:06}-{path.name}", path.read_bytes)


def partly_broken(samples: Iterator[Sample], share: float, seed: int) -> Iterator[Sample]:
    """Cut a share of the pictures short, so that they are rejected."""
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for sample in samples:
        broken = rng.random() < share
        yield Sample(f"broken-{sample.name}", partial(_half, sample.make)) if broken else sample


def _jpeg(label: str, seed: int) -> bytes:
    stored = io.BytesIO()
    generator.draw(label, seed).save(stored, "JPEG", quality=90)
    return stored.getvalue()


def _half(make: Callable[[], bytes]) -> bytes:
    data = make()
    return data[: len(data) // 2]


@dataclass(frozen=True)
class Figures:
    """A stream so far. p50, p95: seconds from the start of an upload until its row was seen."""

    sent: int
    counts: Counter[str]
    in_flight: int
    p50: float | None
    p95: float | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        counts = {status: self.counts[status] for status in STATUSES}
        seconds = {"p50_seconds": self.p50, "p95_seconds": self.p95, "seconds": self.seconds}
        rounded = {name: value and round(value, 3) for name, value in seconds.items()}
        return {"sent": self.sent, **counts, "in_flight": self.in_flight, **rounded}


class Sent(NamedTuple):
    """A picture in the bucket, and when its upload began (time.monotonic)."""

    uri: str
    version: str
    began: float


class Stream:
    """Uploads pictures under a prefix at a rate; the bucket's events start the executions.

    Args:
        workflow: whose bucket and ledger.
        samples: what to send; the stream ends with them, or after `stop`.
        rate: pictures per second; fewer if the uploads take longer.
        prefix: where to put them. It must be new: any row under it counts as a decision.
    """

    def __init__(self, workflow: Workflow, samples: Iterator[Sample], rate: float, prefix: str):
        self.workflow, self.samples, self.rate, self.prefix = workflow, samples, rate, prefix
        self.failure: Exception | None = None
        self._pool = ThreadPoolExecutor(UPLOADS_AT_ONCE)
        self._uploads: set[Future[Sent]] = set()
        self._in_flight: dict[tuple[str, str], float] = {}
        self._counts: Counter[str] = Counter()
        self._latencies: list[float] = []
        self._began = self._last_sent = time.monotonic()
        self._begun, self._ended, self._next_look = 0, False, 0.0

    def step(self) -> None:
        """Send what is due, look for rows now and then, and wait a moment."""
        while not self._ended and len(self._uploads) < UPLOADS_AT_ONCE and self._is_due():
            self._send_next()
        for upload in [upload for upload in self._uploads if upload.done()]:
            self._uploads.remove(upload)
            self._note(upload)
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + LOOK_SECONDS
        time.sleep(TICK_SECONDS)

    def stop(self) -> None:
        """Send nothing more."""
        self._ended = True

    def is_over(self, patience: float) -> bool:
        """Whether every picture has a row, or the last was sent over `patience` seconds ago."""
        if not self._ended or self._uploads:
            return False
        return not self._in_flight or time.monotonic() - self._last_sent > patience

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def missing(self) -> list[str]:
        """The S3 URIs of the pictures that have no row yet, in the order of their names."""
        return sorted(uri for uri, _ in self._in_flight)

    def figures(self) -> Figures:
        return Figures(
            sent=len(self._latencies) + len(self._in_flight),
            counts=self._counts.copy(),
            in_flight=len(self._in_flight),
            p50=percentile(self._latencies, 50),
            p95=percentile(self._latencies, 95),
            seconds=time.monotonic() - self._began,
        )

    def _is_due(self) -> bool:
        return time.monotonic() - self._began >= self._begun / self.rate

    def _send_next(self) -> None:
        sample = next(self.samples, None)
        if sample is None:
            self._ended = True
            return
        self._begun += 1
        self._uploads.add(self._pool.submit(self._put, sample))

    def _put(self, sample: Sample) -> Sent:
        data, bucket, key = sample.make(), self.workflow.deployment.bucket, f"{self.prefix}/{sample.name}"
        began = time.monotonic()
        answer = self.workflow.s3.put_object(Bucket=bucket, Key=key, Body=data)
        return Sent(f"s3://{bucket}/{key}", answer["VersionId"], began)

    def _note(self, upload: Future[Sent]) -> None:
        try:
            sent = upload.result()
        except (ClientError, BotoCoreError, OSError) as error:
            # What is in flight is still followed to its end.
            self.failure = error
            self._ended = True
            return
        self._in_flight[sent.uri, sent.version] = sent.began
        self._last_sent = time.monotonic()

    def _look(self) -> None:
        rows = [*self.workflow.ledger.rows([*self._in_flight])]
        now = time.monotonic()
        for row in rows:
            began = self._in_flight.pop((row["picture"], row["version"]))
            bisect.insort(self._latencies, now - began)
            self._counts[row["status"]] += 1


def percentile(ordered: list[float], percent: int) -> float | None:
    """The nearest-rank percentile of values in ascending order; None if there are none."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
