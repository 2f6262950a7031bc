"""Runs pictures through the deployed workflow and reads back what became of each."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from scripts.common.progress import wait_until
from scripts.deployment.outputs import Deployment, NotDeployed
from scripts.workflow.bucket_layout import SUBMITTED, NoSuchPicture, Picture, bucket_and_key, execution_input
from scripts.workflow.ledger import Ledger, Row

POLL_SECONDS = (0.05, 1.0)


@dataclass(frozen=True)
class Outcome:
    """What became of one picture: its status in the ledger, and the execution that decided."""

    source: str
    uri: str
    version: str
    status: str
    label: str | None
    confidence: float | None
    threshold: float | None
    error: str | None
    reason: str | None
    execution: str
    execution_status: str
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Step:
    """A state that an execution passed: when it entered (seconds after the start), how long it took."""

    state: str
    entered: float
    seconds: float


class Workflow:
    """The deployed state machine, with its bucket and ledger."""

    def __init__(self, deployment: Deployment):
        self.deployment = deployment
        self.s3 = deployment.client("s3")
        self.states = deployment.client("stepfunctions")
        self.ledger = Ledger(deployment)
        self.dynamodb = self.ledger.dynamodb

    def check_endpoint(self) -> None:
        """Raises NotDeployed while no model answers: pictures would fail, and lose nothing by waiting."""
        if self.deployment.endpoint_name is None:
            raise NotDeployed(
                "The endpoint is off (no model is deployed), so nothing was started: run `scones promote`, then apply;"
                " then try again. Pictures without a row wait until then."
            )

    def submit(self, source: str) -> Picture:
        """Upload a file, or look up an s3:// object. Raises NoSuchPicture."""
        return self.find(source) if source.startswith("s3://") else self.upload(Path(source))

    def find(self, uri: str) -> Picture:
        """The present version of an s3:// object. Raises NoSuchPicture."""
        bucket, key = bucket_and_key(uri)
        try:
            head = self.s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            raise NoSuchPicture(f"{uri} cannot be read: {error.response['Error']['Message']}") from error
        return Picture(bucket, key, head.get("VersionId", ""))

    def upload(self, path: Path, prefix: str = SUBMITTED) -> Picture:
        """Upload a file under a prefix of the deployment's bucket. Raises NoSuchPicture."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise NoSuchPicture(f"{path} cannot be read: {error.strerror}.") from error
        # The content's hash keeps two files with the same name apart, and gives a repeated upload
        # the same key.
        key = f"{prefix}/{hashlib.sha256(data).hexdigest()[:12]}/{path.name}"
        answer = self.s3.put_object(Bucket=self.deployment.bucket, Key=key, Body=data)
        return Picture(self.deployment.bucket, key, answer.get("VersionId", ""))

    def start(self, picture: Picture, run: int = 0, name: str | None = None) -> str:
        """Start one execution; returns its ARN. A name given twice starts only one execution."""
        answer = self.states.start_execution(
            stateMachineArn=self.deployment.state_machine_arn,
            name=name or f"scones-{uuid.uuid4()}",
            input=json.dumps(execution_input(picture, run)),
        )
        return answer["executionArn"]

    def under_way(self, name: str) -> str | None:
        """The ARN of the execution that was started with that name; None if it has ended."""
        machine = self.deployment.state_machine_arn
        execution = f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
        status = self.states.describe_execution(executionArn=execution)["status"]
        return execution if status == "RUNNING" else None

    def wait(self, execution: str) -> dict[str, Any]:
        """Wait until an execution has ended; returns its description."""
        return wait_until(lambda: self.ended(execution), *POLL_SECONDS)

    def ended(self, execution: str) -> dict[str, Any] | None:
        """The description of an execution that has ended; None while it runs."""
        described = self.states.describe_execution(executionArn=execution)
        return None if described["status"] in ("RUNNING", "PENDING_REDRIVE") else described

    def row(self, uri: str, version: str) -> Row | None:
        """The ledger's row of one picture version; None if there is none."""
        return self.ledger.row(uri, version)

    def classify(self, source: str) -> Outcome:
        """Run a file or s3:// object through the workflow, and wait. Raises NoSuchPicture."""
        began = time.monotonic()
        picture = self.submit(source)
        described = self.wait(self.start(picture))
        seconds = time.monotonic() - began
        row = self.row(picture.uri, picture.s3_version_id) or {}
        return Outcome(
            source=source,
            uri=picture.uri,
            version=picture.s3_version_id,
            status=row.get("status", "FAILED"),
            label=row.get("label"),
            confidence=row.get("confidence"),
            threshold=row.get("threshold"),
            error=described.get("error") or row.get("error"),
            reason=described.get("cause") or row.get("cause"),
            execution=described["executionArn"],
            execution_status=described["status"],
            seconds=round(seconds, 3),
        )

    def classify_all(self, sources: Iterable[str], at_once: int = 4) -> Iterator[Outcome]:
        """Run many pictures, a few at once; yields in the order given.

        Raises NoSuchPicture; for files, before anything is started.
        """
        sources = [*sources]
        files = [Path(source) for source in sources if not source.startswith("s3://")]
        unreadable = [str(path) for path in files if path.is_dir() or not os.access(path, os.R_OK)]
        if unreadable:
            raise NoSuchPicture(
                f"{', '.join(unreadable)} cannot be read, so nothing was started: name files, or s3://BUCKET/KEY."
            )
        with ThreadPoolExecutor(at_once) as pool:
            try:
                yield from pool.map(self.classify, sources)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def path(self, execution: str) -> list[Step]:
        """The states that an execution passed, in order, with times in seconds."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        events = [event for page in pages for event in page["events"]]
        began = events[0]["timestamp"]
        entered: dict[str, float] = {}
        steps = []
        for event in events:
            at = (event["timestamp"] - began).total_seconds()
            if details := event.get("stateEnteredEventDetails"):
                entered[details["name"]] = at
            elif details := event.get("stateExitedEventDetails"):
                since = entered.pop(details["name"])
                steps.append(Step(details["name"], since, at - since))
        # A Fail state is entered and never left.
        end = (events[-1]["timestamp"] - began).total_seconds()
        steps += [Step(name, since, end - since) for name, since in entered.items()]
        return sorted(steps, key=lambda step: step.entered)

    def console_url(self, execution: str) -> str:
        """The execution's page in the AWS console."""
        region = self.deployment.region
        base = f"https://{region}.console.aws.amazon.com/states/home?region={region}"
        return f"{base}#/v2/executions/details/{quote(execution, safe=':')}"
