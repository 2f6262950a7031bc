"""What must become of a picture when a task meets an error: one row for each task and group of errors.

`test_every_error.py` checks the rows against the definitions: every task, every error that it can meet, every retry
and every catch needs a row, and every row is played.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from .world import TERMINAL, Failure, Lost

BUSY = "Lambda.AWSLambdaException Lambda.SdkClientException Lambda.ServiceException Lambda.TooManyRequestsException"
BROKEN = (
    "Lambda.KMSAccessDeniedException Lambda.KMSDisabledException Lambda.ResourceNotFoundException"
    " Lambda.Unknown Runtime.ExitError Runtime.ImportModuleError Sandbox.Timedout ValueError"
    " States.Timeout"
)
THROTTLED = (
    "DynamoDB.InternalServerError DynamoDB.ProvisionedThroughputExceededException DynamoDB.RequestLimitExceeded"
    " DynamoDB.SdkClientException DynamoDB.ThrottlingException States.Timeout"
)
HEAD_FAILED = "S3.S3Exception S3.SdkClientException States.Timeout"
HEAD_REFUSED = "S3.AccessDeniedException S3.NoSuchKeyException"
UNKEPT = "SQS.AccessDeniedException SQS.QueueDoesNotExistException SQS.SdkClientException States.Timeout"
REFUSED = "DynamoDB.AccessDeniedException DynamoDB.ResourceNotFoundException DynamoDB.ValidationException"
CONFLICT = "DynamoDB.ConditionalCheckFailedException"


@dataclass(frozen=True)
class End:
    """Where a picture ends; `error` "itself" means the error that was met."""

    row: str | None
    alert: str | None
    execution: str
    error: str | None = None
    attention: bool = True
    dead_letters: int = 0
    alerts: int = 1
    version: str = "v1"
    whose: str = ""
    unknown_stays: bool = False

    def __str__(self) -> str:
        row = f"row `{self.row}`{self.whose}" if self.row else "no row"
        alert = f"alert `{self.alert}`" if self.alert else "nobody alerted"
        alert += " twice" if self.alert and self.alerts > 1 else ""
        if self.dead_letters:
            alert = "the alert in the dead-letter queue"
        waits = ", waits for a person" if self.row and self.attention else ""
        waits += "; the row without a version stays" if self.unknown_stays else ""
        return f"{row}{waits}; {alert}; execution {self.execution}"


ACCEPTED = End("ACCEPTED", None, "SUCCEEDED", attention=False)
QUIET = replace(ACCEPTED, whose=" of another execution")
LOW = End("LOW_CONFIDENCE", "low_confidence", "FAILED", "ThresholdConfidenceNotMet")
REJECTED = End("REJECTED", "rejected", "FAILED", "ImageRejected")
FAILED = End("FAILED", "system", "FAILED", "itself")
UNRECORDED = End(None, "system", "FAILED", "itself")
KEPT = End("LOW_CONFIDENCE", None, "FAILED", "ThresholdConfidenceNotMet", dead_letters=1)
UNHEARD = End("LOW_CONFIDENCE", None, "FAILED", "ThresholdConfidenceNotMet")
VERSIONLESS = End("FAILED", "system", "FAILED", "itself", version="unknown")
SETTLED = End("FAILED", "system", "SUCCEEDED")
UNTOLD = End("FAILED", None, "FAILED", "itself", dead_letters=1)
LEDGER_FAULT = "DynamoDB.AccessDeniedException"
# Nobody can find out whether an alert about the row was sent.
TOLD = replace(QUIET, alert="system", execution="FAILED", error=LEDGER_FAULT)
OTHERS_TOLD = replace(QUIET, alert="system")
# The decision was recorded before the execution was stopped.
STOPPED = replace(LOW, alert="system", error="itself")
KNOWN_NOW = replace(ACCEPTED, unknown_stays=True)


@dataclass(frozen=True)
class Scene:
    """How the task comes to be reached, and where the picture ends if it does not fail: `end`."""

    end: End = ACCEPTED
    failures: dict[str, Failure] = field(default_factory=dict)
    given: dict[str, Any] | None = None
    row: dict[str, Any] | None = None
    version: str = "v1"


OTHERS_ROW = {"status": {"S": "ACCEPTED"}, "execution": {"S": "another"}}
DOUBT: dict[str, Failure] = {"FilterInferences": "ThresholdConfidenceNotMet"}
UNKNOWN_ROW = {"status": {"S": "FAILED"}, "execution": {"S": "another"}, "attention": {"S": "FAILED"}}
SCENES = {
    ("classify", "ReadPlaceholderRow"): Scene(given={"s3_version_id": ""}),
    ("classify", "ResolveVersion"): Scene(given={"s3_version_id": ""}),
    ("classify", "DeletePlaceholderRow"): Scene(
        given={"s3_version_id": ""}, row=UNKNOWN_ROW, version="unknown"
    ),
    ("classify", "RecordFailure"): Scene(LOW, DOUBT),
    ("classify", "ReadRowOwner"): Scene(QUIET, row=OTHERS_ROW),
    ("classify", "RecordFault"): Scene(
        End("FAILED", "system", "FAILED", LEDGER_FAULT), {"RecordAccepted": LEDGER_FAULT}
    ),
    ("classify", "CheckRowOwner"): Scene(QUIET, {"RecordAccepted": LEDGER_FAULT}, row=OTHERS_ROW),
    ("classify", "SendAlert"): Scene(LOW, DOUBT),
    ("classify", "SendToDeadLetterQueue"): Scene(KEPT, {**DOUBT, "SendAlert": "AlertUnavailable"}),
    ("reconcile", "RecordFault"): Scene(SETTLED),
    ("reconcile", "CheckRowOwner"): Scene(QUIET, row=OTHERS_ROW),
    ("reconcile", "SendAlert"): Scene(SETTLED),
}


@dataclass(frozen=True)
class Row:
    """Errors of one task that end alike; if `retried`, a single one does no harm."""

    state: str
    errors: tuple[Failure, ...]
    end: End
    retried: bool = False
    machine: str = "classify"
    scene: Scene | None = None

    def setting(self) -> Scene:
        return self.scene or SCENES.get((self.machine, self.state), Scene())

    def line(self) -> tuple[str, str, str]:
        """What the table of faults says: what is broken, what happened, where it ended."""
        if isinstance(self.errors[0], Lost):
            names = "the work is done, its answer lost"
        else:
            names = "; ".join(
                f"{service} {', '.join(each)}".strip() for service, each in self.by_service().items()
            )
        undisturbed = "if it happens once: as if nothing had happened; always: " if self.retried else ""
        how = "tried again" if self.retried else "not tried again"
        return f"`{self.state}` of {self.machine}: {names}", how, f"{undisturbed}{self.end}"

    def by_service(self) -> dict[str, list[str]]:
        """The errors' names, each service's under its name."""
        grouped: dict[str, list[str]] = {}
        for error in map(str, self.errors):
            service, _, name = error.rpartition(".")
            grouped.setdefault(service, []).append(name)
        return grouped


def rows(state: str, errors: str, end: End, **more: Any) -> Row:
    return Row(state, tuple(errors.split()), end, **more)


def lost(state: str, end: End, **more: Any) -> Row:
    """The ledger's task is done and its answer lost, once or every time: nothing of that shows afterwards."""
    return Row(
        state, (Lost("DynamoDB.SdkClientException"), Lost("States.Timeout")), end, retried=True, **more
    )


DUPLICATE = Scene(QUIET, row=OTHERS_ROW)
DUPLICATE_OF_DOUBT = Scene(QUIET, DOUBT, row=OTHERS_ROW)
# Nobody can know whether a row without a version is about the same picture.
UNKNOWN_TOLD = replace(FAILED, version="unknown", whose=" of another execution")
UNKNOWN_SETTLED = replace(UNKNOWN_TOLD, execution="SUCCEEDED", error=None)
UNKNOWN_STOPPED = Scene(UNKNOWN_SETTLED, given={"s3_version_id": ""}, row=UNKNOWN_ROW, version="unknown")
UNKNOWN_FAULT = replace(
    UNKNOWN_STOPPED,
    failures={
        "ResolveVersion": "S3.NoSuchKeyException",
        "SerializeImageData": "ImageNotFound",
        "RecordFailure": LEDGER_FAULT,
    },
)
SETTLED_BY_A_PERSON = Scene(
    given={"s3_version_id": ""},
    row=UNKNOWN_ROW | {"reviewed_at": {"S": "2026-11-20T12:00:00.000Z"}},
    version="unknown",
)
DUPLICATE_OF_FAULT = Scene(QUIET, {"SerializeImageData": "States.Runtime"}, row=OTHERS_ROW)

TABLE = [
    rows("SerializeImageData", f"ImageUnavailable {BUSY}", FAILED, retried=True),
    rows("SerializeImageData", "ImageRejected", REJECTED),
    rows("SerializeImageData", f"ImageNotFound InvalidInput Misconfigured {BROKEN}", FAILED),
    rows("ClassifyImage", f"EndpointUnavailable {BUSY}", FAILED, retried=True),
    rows("ClassifyImage", f"InvalidInference InvalidInput Misconfigured {BROKEN}", FAILED),
    rows("FilterInferences", BUSY, FAILED, retried=True),
    rows("FilterInferences", "ThresholdConfidenceNotMet", LOW),
    rows("FilterInferences", f"InvalidInference InvalidInput Misconfigured {BROKEN}", FAILED),
    rows("RecordAccepted", THROTTLED, FAILED, retried=True),
    rows("RecordAccepted", REFUSED, FAILED),
    rows("RecordAccepted", CONFLICT, QUIET, scene=DUPLICATE),
    lost("RecordAccepted", ACCEPTED),
    rows("RecordFailure", THROTTLED, FAILED, retried=True),
    rows("RecordFailure", REFUSED, FAILED),
    rows("RecordFailure", CONFLICT, QUIET, scene=DUPLICATE_OF_DOUBT),
    lost("RecordFailure", LOW),
    # Whose the row is cannot be learned: it stays with whoever wrote it, and nobody is woken.
    rows("ReadRowOwner", THROTTLED, QUIET, retried=True),
    rows("ReadRowOwner", REFUSED, QUIET),
    rows("RecordFault", THROTTLED, End(None, "system", "FAILED", LEDGER_FAULT), retried=True),
    rows("RecordFault", REFUSED, End(None, "system", "FAILED", LEDGER_FAULT)),
    rows(
        "RecordFault", CONFLICT, QUIET, scene=Scene(QUIET, {"RecordAccepted": LEDGER_FAULT}, row=OTHERS_ROW)
    ),
    lost("RecordFault", End("FAILED", "system", "FAILED", LEDGER_FAULT)),
    rows("CheckRowOwner", THROTTLED, TOLD, retried=True),
    rows("CheckRowOwner", REFUSED, TOLD),
    rows("CheckRowOwner", CONFLICT, replace(UNKNOWN_TOLD, error=LEDGER_FAULT), scene=UNKNOWN_FAULT),
    rows("ReadPlaceholderRow", THROTTLED, ACCEPTED, retried=True),
    rows("ReadPlaceholderRow", REFUSED, ACCEPTED),
    rows("ResolveVersion", HEAD_FAILED, ACCEPTED, retried=True),
    rows("ResolveVersion", HEAD_REFUSED, ACCEPTED),
    rows("DeletePlaceholderRow", THROTTLED, KNOWN_NOW, retried=True),
    rows("DeletePlaceholderRow", REFUSED, KNOWN_NOW),
    rows("DeletePlaceholderRow", CONFLICT, KNOWN_NOW, scene=SETTLED_BY_A_PERSON),
    lost("DeletePlaceholderRow", ACCEPTED),
    rows("SendAlert", f"AlertUnavailable InvalidInput Misconfigured {BUSY} {BROKEN}", KEPT, retried=True),
    rows("SendToDeadLetterQueue", UNKEPT, UNHEARD, retried=True),
    rows("RecordFault", THROTTLED, End(None, "system", "SUCCEEDED"), retried=True, machine="reconcile"),
    rows("RecordFault", REFUSED, End(None, "system", "SUCCEEDED"), machine="reconcile"),
    rows("RecordFault", CONFLICT, QUIET, machine="reconcile", scene=DUPLICATE),
    lost("RecordFault", SETTLED, machine="reconcile"),
    rows("CheckRowOwner", THROTTLED, OTHERS_TOLD, retried=True, machine="reconcile"),
    rows("CheckRowOwner", REFUSED, OTHERS_TOLD, machine="reconcile"),
    rows("CheckRowOwner", CONFLICT, UNKNOWN_SETTLED, machine="reconcile", scene=UNKNOWN_STOPPED),
    rows(
        "SendAlert",
        f"AlertUnavailable InvalidInput Misconfigured {BUSY} {BROKEN}",
        UNTOLD,
        retried=True,
        machine="reconcile",
    ),
    # What no state can catch ends the execution, and the machine `unfinished` does the rest.
    rows("SerializeImageData", TERMINAL, FAILED),
    rows("ClassifyImage", TERMINAL, FAILED),
    rows("FilterInferences", TERMINAL, FAILED),
    rows("RecordAccepted", TERMINAL, FAILED),
    rows("RecordFailure", TERMINAL, FAILED),
    rows("RecordFault", TERMINAL, FAILED),
    rows("SendAlert", TERMINAL, STOPPED),
    rows("SendToDeadLetterQueue", TERMINAL, STOPPED),
    rows("ReadRowOwner", TERMINAL, replace(QUIET, execution="FAILED", error="itself")),
    rows("CheckRowOwner", TERMINAL, replace(QUIET, execution="FAILED", error="itself")),
    rows("ReadPlaceholderRow", TERMINAL, VERSIONLESS),
    rows("ResolveVersion", TERMINAL, VERSIONLESS),
    rows(
        "DeletePlaceholderRow",
        TERMINAL,
        replace(KNOWN_NOW, alert="system", execution="FAILED", error="itself"),
    ),
    rows("RecordFault", TERMINAL, UNRECORDED, machine="reconcile"),
    rows(
        "CheckRowOwner",
        TERMINAL,
        replace(OTHERS_TOLD, execution="FAILED", error="itself"),
        machine="reconcile",
    ),
    rows("SendAlert", TERMINAL, UNTOLD, machine="reconcile"),
]
