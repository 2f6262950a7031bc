"""Pictures in a storm: `python -m tests.performance.benchmarks.chaos [COUNT]` (make chaos).

Sends COUNT drawn pictures by the bucket's own events while functions are killed, the endpoint throttles one request
in five, S3 asks one reading in twenty to slow down and one event in twenty comes twice; a person reviews what waits.
Then the storm ends and the books are compared: each picture has one row, each refusal its reason and its one alert. At
last what failed is run again, and no decision was replaced by a lesser one. Exit code 0 only if all of it holds. Waits
between retries take a tenth of their time.
"""

import argparse
import json
import os
import random
import re
import signal
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from scripts.cli.console import steps
from scripts.common import paths
from scripts.operations.local_stack import LocalStack
from scripts.review.queue import Item, NotYours, Reviews
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import UNUSABLE, WAITING, Row
from scripts.workflow.rerun import Reruns
from scripts.workflow.stream import Sent, Stream, drawn, partly_broken
from tests.performance.benchmarks.chain_speed import parts
from tests.support.order import overruled

DOUBLED = 0.05
BROKEN = 0.02
AT_ONCE = 100
KILL_SECONDS = 2.0
REVIEW_SECONDS = 0.5
TAKEN_BACK = 0.2
PATIENCE_SECONDS = 120.0
ALERT_SECONDS = 60.0
WAIT_SCALE = 0.1
RULES: tuple[dict[str, Any], ...] = (
    {
        "service": "sagemaker",
        "operation": "InvokeEndpoint",
        "probability": 0.2,
        "seed": 1,
        "fault": {"error": "ThrottlingException", "status": 400},
    },
    {
        "service": "s3",
        "operation": "GetObject",
        "resource": "*/incoming/*",
        "probability": 0.05,
        "seed": 2,
        "fault": {"error": "SlowDown", "status": 503},
    },
)


class DoubledStream(Stream):
    """A stream in which some events come twice, with at most AT_ONCE pictures in flight."""

    def __init__(self, workflow: Workflow, count: int, prefix: str, seed: int):
        samples = partly_broken(islice(drawn(seed), count), BROKEN, seed)
        super().__init__(workflow, samples, rate=1000, prefix=prefix)
        self._chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.doubled = 0

    def _is_due(self) -> bool:
        return len(self._in_flight) < AT_ONCE

    def _put(self, sample: Any) -> Sent:
        sent = super()._put(sample)
        if self._chance.random() < DOUBLED:
            bucket, key = self.workflow.deployment.bucket, f"{self.prefix}/{sample.name}"
            detail = {"bucket": {"name": bucket}, "object": {"key": key, "version-id": sent.version}}
            event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
            self.workflow.states.start_execution(
                stateMachineArn=self.workflow.deployment.state_machine_arn, input=json.dumps(event)
            )
            self.doubled += 1
        return sent


class Reviewer(Reviews):
    """A person who looks only at the storm's pictures, says that they show nothing, and sometimes takes it back."""

    def __init__(self, workflow: Workflow, prefix: str, seed: int):
        super().__init__(workflow.deployment, "chaos")
        self._prefix = f"s3://{workflow.deployment.bucket}/{prefix}/"
        self._chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.answers = 0

    def _list(self) -> list[Item]:
        return [item for item in super()._list() if item.row["picture"].startswith(self._prefix)]

    def look(self) -> None:
        with suppress(NotYours):
            if item := self.take("page"):
                self.answer(item, UNUSABLE, "page")
                self.answers += 1
                if self._chance.random() < TAKEN_BACK:
                    self.undo("page")


@dataclass(frozen=True)
class Books:
    """What was sent, what the storm did, and what the ledger and the subscribers' mail say of it."""

    sent: int
    doubled: int
    killed: int
    struck: dict[str, int]
    seconds: float
    rows: list[Row]
    alerts: Counter[str]
    delivered_again: int
    settled: Counter[str]
    answers: int
    overruled: int

    @property
    def discrepancies(self) -> list[str]:
        """Every promise that was not kept, in words; empty if all is well."""
        found = []
        pictures = Counter(row["picture"] for row in self.rows)
        if len(pictures) != self.sent:
            found.append(f"{self.sent} pictures were sent and {len(pictures)} are in the ledger.")
        found += [f"{picture} has {number} rows." for picture, number in pictures.items() if number > 1]
        for row in self.rows:
            refusals = _refusals(row)
            if self.alerts[row["picture"]] != refusals:
                found.append(
                    f"{row['picture']} was refused {refusals} times and alerted {self.alerts[row['picture']]} times."
                )
            if row["status"] != "ACCEPTED" and not (row.get("error") and row.get("cause")):
                found.append(f"{row['picture']} is {row['status']} without a reason.")
        if self.overruled:
            found.append(f"{self.overruled} decisions gave way to lesser ones.")
        return found

    def table(self) -> str:
        """In Markdown, for docs/reliability.md."""
        statuses = Counter(row["status"] for row in self.rows)
        errors = Counter(row["error"] for row in self.rows if row["status"] == "FAILED")
        lines = {
            "pictures sent, and events that came twice": f"{self.sent:,}, {self.doubled:,}",
            "functions killed": f"{self.killed:,}",
            "requests throttled or slowed down": ", ".join(
                f"{n:,} {what}" for what, n in self.struck.items()
            ),
            "rows in the ledger": f"{len(self.rows):,}: " + _counted(statuses),
            "why pictures failed": _counted(errors) or "none failed",
            "alerts, and deliveries of one that had been delivered": f"{self.alerts.total():,}, {self.delivered_again:,}",
            "failed pictures run again after the storm": _counted(self.settled) or "none",
            "answers of a person during the storm": f"{self.answers:,}",
            "decisions that gave way to lesser ones": f"{self.overruled:,}",
            "promises not kept": f"{len(self.discrepancies):,}",
            "seconds": f"{self.seconds:.0f}",
        }
        return "\n".join(
            ["| what | |", "|---|---|", *(f"| {what} | {value} |" for what, value in lines.items())]
        )


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.most_common())


def storm(stack: LocalStack, count: int, progress: Any, seed: int = 1) -> Books:
    """Sends `count` pictures through a storm and reads the books when every one has its row."""
    workflow = Workflow(stack.deployment())
    prefix = f"incoming/chaos-{os.getpid()}-{seed}"
    stream = DoubledStream(workflow, count, prefix, seed)
    began = time.monotonic()
    reviewer = Reviewer(workflow, prefix, seed)
    reviewing = _every(REVIEW_SECONDS, reviewer.look)
    with _faults(stack) as struck, _killer(stack, seed) as killed, reviewing:
        try:
            while not stream.is_over(PATIENCE_SECONDS):
                stream.step()
                figures = stream.figures()
                progress(f"In the storm: {figures.sent:,} sent", figures.counts.total() / count)
        finally:
            stream.close()
    seconds = time.monotonic() - began
    rows = _rows(workflow, prefix)
    alerts, delivered_again = _alerts(stack, rows, workflow.deployment.bucket, prefix)
    progress("Running again what failed", None)
    settled = _settle(workflow, [row for row in rows if row.get("attention") == "FAILED"])
    lesser = sum(overruled(row["history"]) for row in _rows(workflow, prefix))
    return Books(
        sent=count,
        doubled=stream.doubled,
        killed=len(killed),
        struck=struck,
        seconds=seconds,
        rows=rows,
        alerts=alerts,
        delivered_again=delivered_again,
        settled=settled,
        answers=reviewer.answers,
        overruled=lesser,
    )


def _rows(workflow: Workflow, prefix: str) -> list[Row]:
    return [row for row in workflow.ledger.all() if f"/{prefix}/" in row["picture"]]


def _refusals(row: Row) -> int:
    return sum(entry["status"] in WAITING for entry in row["history"])


def _alerts(stack: LocalStack, rows: list[Row], bucket: str, prefix: str) -> tuple[Counter[str], int]:
    """Alerts by picture, once as many have come as there were refusals, or none comes any more.

    And how many deliveries repeat one: an alert is delivered at least once, each time with the same `alert_id`.
    """
    owed = sum(map(_refusals, rows))
    deadline, told = time.monotonic() + ALERT_SECONDS, list[tuple[str, str]]()
    while len(set(told)) < owed and time.monotonic() < deadline:
        time.sleep(0.5)
        told = [
            (f"s3://{bucket}/{found[0]}", each["attributes"]["alert_id"])
            for each in stack.outbox()
            if (found := re.search(rf"{prefix}/[\w.-]+", each["message"]))
        ]
    return Counter(picture for picture, _ in set(told)), len(told) - len(set(told))


def _settle(workflow: Workflow, failed: list[Row]) -> Counter[str]:
    reruns = Reruns(workflow)
    started = [reruns.start(reruns.of_picture(row["picture"])) for row in failed]
    return Counter(reruns.result(each) for each in started if each.execution)


@contextmanager
def _faults(stack: LocalStack) -> Iterator[dict[str, int]]:
    """The rules hold inside; at the end the dictionary says how often each struck."""
    struck: dict[str, int] = {}
    for rule in RULES:
        stack.inject(**rule)
    try:
        yield struck
    finally:
        with urllib.request.urlopen(f"{stack.server['endpoint_url']}/_local/faults") as answer:
            struck |= {each["operation"]: each["struck"] for each in json.load(answer)}
        stack.heal()


@contextmanager
def _killer(stack: LocalStack, seed: int) -> Iterator[list[int]]:
    """Kills a function's process now and then; the list has those that were killed."""
    chance = random.Random(seed)  # noqa: S311 - reproducible on purpose
    killed: list[int] = []
    server, prefix = stack.server["pid"], stack.deployment().prefix

    def kill() -> None:
        alive = sorted(process for part, process in parts(server) if part.startswith(prefix))
        with suppress(ProcessLookupError, IndexError):
            victim = chance.choice(alive)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    with _every(KILL_SECONDS, kill):
        yield killed


@contextmanager
def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Does something again and again while inside."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", metavar="COUNT", type=int, nargs="?", default=10_000)
    count = parser.parse_args().count
    stack = LocalStack(paths.WORK / "chaos")
    with steps() as progress:
        stack.bring_up(progress, WAIT_SCALE)
        try:
            books = storm(stack, count, progress)
        finally:
            stack.stop_server()
    print(books.table())
    if books.discrepancies:
        sys.exit("\n".join(books.discrepancies[:50]))


if __name__ == "__main__":
    main()
