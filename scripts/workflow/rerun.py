"""Runs pictures again: those that wait in the ledger, and those whose events started nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from botocore.exceptions import ClientError

from functions.common.inference_id import inference_id
from scripts.workflow.bucket_layout import NoSuchPicture, Picture, bucket_and_key
from scripts.workflow.client import Workflow
from scripts.workflow.dead_letters import DeadLetter
from scripts.workflow.ledger import UNKNOWN_VERSION, Row, Selection


@dataclass(frozen=True)
class Rerun:
    """One picture to run again.

    `row` is its row in the ledger, `obstacle` why it cannot be run again, and `letter` the message
    that asks for it, which is removed once the execution exists.
    """

    picture: Picture
    run: int
    row: Row | None = None
    obstacle: str = ""
    letter: DeadLetter | None = None

    @property
    def decided(self) -> str:
        """The decision that makes an undelivered event superfluous; empty if there is none."""
        if self.letter is None or self.row is None:
            return ""
        if self.reviewed:
            return str(self.row["reviewed_label"])
        return "" if self.row["status"] == "FAILED" else str(self.row["status"])

    @property
    def reviewed(self) -> bool:
        """Whether a person has answered. Asking for the picture by name takes that answer back."""
        return self.row is not None and "reviewed_at" in self.row

    @property
    def asked(self) -> Picture:
        """What the execution is started with: no version if the row has none.

        The execution then finds the version, and removes that row once the version has its own.
        """
        unknown = self.row is not None and self.row["version"] == UNKNOWN_VERSION
        return replace(self.picture, s3_version_id="") if unknown else self.picture


@dataclass(frozen=True)
class Started:
    """What became of a rerun: the execution that runs or ran it, or why there is none."""

    rerun: Rerun
    execution: str | None
    note: str = ""


class Reruns:
    """Plans and starts executions with a higher run; safe to repeat, even by two people at once.

    An execution's name is made of picture, version and run, and Step Functions runs a name once:
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """

    def __init__(self, workflow: Workflow):
        self.workflow, self.ledger = workflow, workflow.ledger

    def of_rows(self, selection: Selection) -> Iterator[Rerun]:
        """One for each selected row."""
        return map(self._of_row, self.ledger.select(selection))

    def of_picture(self, uri: str) -> Rerun:
        """An object's present version, whatever the ledger says of it. Raises NoSuchPicture."""
        picture = self.workflow.find(uri)
        return self._of_version(picture, self.workflow.row(picture.uri, picture.s3_version_id))

    def of_event(self, letter: DeadLetter) -> Rerun:
        """The picture of an S3 event; with an obstacle if the message is something else."""
        picture = _picture_of(letter.body)
        if picture is None:
            return Rerun(Picture("", "", ""), 0, obstacle="The message is not an S3 event.", letter=letter)
        row = self.workflow.row(picture.uri, picture.s3_version_id)
        return replace(self._of_version(picture, row), letter=letter)

    def _of_row(self, row: Row) -> Rerun:
        bucket, key = bucket_and_key(row["picture"])
        # Very many rows may be chosen: keep only what is needed of each.
        row = {name: row.get(name) for name in ("picture", "version", "status", "error", "run")}
        if row["version"] != UNKNOWN_VERSION:
            return self._of_version(Picture(bucket, key, row["version"]), row)
        # Step Functions runs a name once, and the name needs a version.
        try:
            return replace(self.of_picture(row["picture"]), row=row)
        except NoSuchPicture as error:
            return Rerun(Picture(bucket, key, UNKNOWN_VERSION), row["run"], row, obstacle=str(error))

    @staticmethod
    def _of_version(picture: Picture, row: Row | None) -> Rerun:
        return Rerun(picture, row["run"] + 1 if row else 0, row)

    def start(self, rerun: Rerun) -> Started:
        """Start the execution, unless it is running already or another one has just decided."""
        if rerun.obstacle or rerun.decided:
            return Started(rerun, None, rerun.obstacle or f"Decided already: {rerun.decided}.")
        picture, run = rerun.picture, rerun.run
        if rerun.row and rerun.reviewed:
            self.ledger.reopen(rerun.row)
        while True:
            name = f"rerun-{inference_id(**vars(picture), run=run)}"
            try:
                return Started(replace(rerun, run=run), self.workflow.start(rerun.asked, run, name))
            except ClientError as error:
                if error.response["Error"]["Code"] != "ExecutionAlreadyExists":
                    raise
            # It may be running for the picture's other row: one has a version, one does not.
            if execution := self.workflow.under_way(name):
                return Started(replace(rerun, run=run), execution)
            row = self.workflow.row(picture.uri, picture.s3_version_id)
            if row and "reviewed_at" in row:
                return Started(
                    rerun, None, f"{row['reviewer']} has decided it since then: {row['reviewed_label']}."
                )
            if row and row["run"] >= run:
                return Started(rerun, None, f"Run {row['run']} has decided it since then: {row['status']}.")
            # That execution ended without writing to the ledger: it was stopped, or timed out.
            run += 1

    def result(self, started: Started) -> str:
        """Wait for a started execution to end; returns the status that it gave its picture."""
        assert started.execution
        ended = self.workflow.wait(started.execution)
        picture = started.rerun.picture
        row = self.workflow.row(picture.uri, picture.s3_version_id)
        if row is None or (row["execution"] != started.execution and ended["status"] != "SUCCEEDED"):
            return "FAILED"
        return str(row["status"])


def _picture_of(event: Any) -> Picture | None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: the key is raw, not URL-encoded."""
    try:
        stored = event["detail"]["object"]
        picture = Picture(event["detail"]["bucket"]["name"], stored["key"], stored.get("version-id", ""))
    except (KeyError, TypeError, AttributeError):
        return None
    return picture if all(isinstance(part, str) for part in vars(picture).values()) else None
