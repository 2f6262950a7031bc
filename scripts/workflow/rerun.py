"""Runs pictures again: those that wait in the ledger, and the events that once started nothing."""

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

    `row` is what the ledger said of it, `obstacle` why it cannot be run again, `letter` the message that asks
    for it, which goes once the execution exists.
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
        """Whether a person's answer stands, which whoever asks for the picture by name takes back."""
        return self.row is not None and "reviewed_at" in self.row

    @property
    def asked(self) -> Picture:
        """What the execution is asked for. It learns the version itself where the row knows none, and removes that
        row once the version's own stands."""
        unknown = self.row is not None and self.row["version"] == UNKNOWN_VERSION
        return replace(self.picture, s3_version_id="") if unknown else self.picture


@dataclass(frozen=True)
class Started:
    """What became of a rerun: the execution that runs or has run it, or why there is none."""

    rerun: Rerun
    execution: str | None
    note: str = ""


class Reruns:
    """Plans and starts executions with a higher run. All of it may be repeated, also by two people at once.

    The name of an execution is made of picture, version and run, and Step Functions runs a name once:
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """

    def __init__(self, workflow: Workflow):
        self.workflow, self.ledger = workflow, workflow.ledger

    def of_rows(self, selection: Selection) -> Iterator[Rerun]:
        """One for each row that is selected."""
        return map(self._of_row, self.ledger.select(selection))

    def of_picture(self, uri: str) -> Rerun:
        """The present version of an object, whatever the ledger says of it. Raises NoSuchPicture."""
        picture = self.workflow.find(uri)
        return self._of_version(picture, self.workflow.row(picture.uri, picture.s3_version_id))

    def of_event(self, letter: DeadLetter) -> Rerun:
        """The picture of an S3 event; an obstacle if it is none, or if the picture was decided since."""
        picture = _picture_of(letter.body)
        if picture is None:
            return Rerun(Picture("", "", ""), 0, obstacle="The message is no S3 event.", letter=letter)
        row = self.workflow.row(picture.uri, picture.s3_version_id)
        return replace(self._of_version(picture, row), letter=letter)

    def _of_row(self, row: Row) -> Rerun:
        bucket, key = bucket_and_key(row["picture"])
        # Very many rows may be chosen, and of each no more is needed.
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
        """Starts the execution, unless it runs already or somebody else has just had it decided."""
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
            # It may be under way for the picture's other row: one with a version, one without.
            if execution := self.workflow.under_way(name):
                return Started(replace(rerun, run=run), execution)
            row = self.workflow.row(picture.uri, picture.s3_version_id)
            if row and "reviewed_at" in row:
                return Started(
                    rerun, None, f"{row['reviewer']} has decided it meanwhile: {row['reviewed_label']}."
                )
            if row and row["run"] >= run:
                return Started(rerun, None, f"Run {row['run']} has decided it meanwhile: {row['status']}.")
            # That execution ended without reaching the ledger: it was stopped, or ran out of time.
            run += 1

    def result(self, started: Started) -> str:
        """The status that a started execution gave its picture; waits for the execution's end."""
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
