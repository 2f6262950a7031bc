"""What happened, read from any of the inputs that `send_alert` takes.

An alert is the last thing that can go wrong, so beyond the category nothing is required: a field that is
missing or of another type than promised becomes empty.
"""

import dataclasses
import hashlib
import json
import re
import sys
from typing import Any

from functions.common.batch_results import Summary
from functions.common.errors import InvalidInput
from functions.send_alert.waiting import Waiting

CATEGORIES = ("low_confidence", "rejected", "system", "alarm", "batch", "drift", "digest")
MAX_HOURS = 8784  # a year
# What an alarm means, what to do, and the runbook's section.
DESCRIPTION = re.compile(r"(?P<what>.*) What to do: (?P<advice>.*) (?P<help>\S+#\S+)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Alarm:
    """An alarm that changed its state, as terraform/modules/monitoring wrote it.

    `value` in `label`'s unit broke the `limit`; None where data were missing. `help` is the runbook's section.
    """

    name: str = ""
    state: str = ""
    what: str = ""
    advice: str = ""
    help: str = ""
    value: float | None = None
    label: str = ""
    limit: float | None = None


@dataclasses.dataclass(frozen=True)
class Occurrence:
    category: str
    error: str = ""
    reason: str = ""
    execution: str = ""
    bucket: str = ""
    key: str = ""
    version: str = ""
    label: str = ""
    confidence: float | None = None
    threshold: float | None = None
    time: str = ""
    alarm: Alarm | None = None
    batch: str = ""
    pictures: int = 0
    was_stopped: bool = False
    summary: Summary | None = None
    manifest: str = ""
    hours: int = 24
    waiting: Waiting | None = None

    @property
    def system_failures(self) -> int:
        """Pictures that the system failed, without those that are doubtful or rejected."""
        if self.summary:
            return self.summary.failed + self.summary.undecided
        return int(self.category == "system" or self.was_stopped)


def understand(event: Any) -> Occurrence:
    """Raises InvalidInput for anything but an alert of a known category or one of two EventBridge events."""
    if not isinstance(event, dict):
        raise InvalidInput(
            "The alert is not a JSON object; send {category, error, reason, execution, picture}."
        )
    detail = event.get("detail")
    if event.get("detail-type") == "Step Functions Execution Status Change" and isinstance(detail, dict):
        return _execution_status(detail, _text(event, "time"))
    if event.get("detail-type") == "CloudWatch Alarm State Change" and isinstance(detail, dict):
        return _alarm(detail, _text(event, "time"))
    if event.get("category") not in CATEGORIES:
        raise InvalidInput(f"The alert's category must be one of {', '.join(CATEGORIES)}.")
    picture = event.get("picture")
    return Occurrence(
        category=event["category"],
        error=_text(event, "error"),
        reason=plain(_text(event, "reason")),
        execution=_text(event, "execution"),
        bucket=_text(picture, "s3_bucket"),
        key=_text(picture, "s3_key"),
        version=_text(picture, "s3_version_id"),
        label=_text(event, "label"),
        confidence=_number(event, "confidence"),
        threshold=_number(event, "threshold"),
        time=_text(event, "time"),
        batch=_text(event, "batch"),
        pictures=_whole(event, "pictures"),
        hours=min(_whole(event, "hours") or 24, MAX_HOURS),
    )


def identity(event: Any) -> str:
    """The same 16 hex digits for the same event, however often it comes."""
    canonical = json.dumps(event, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _execution_status(detail: dict[str, Any], time: str) -> Occurrence:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    status = _text(detail, "status")
    error, reason = {
        "TIMED_OUT": (
            "TIMED_OUT",
            "The execution took longer than the state machine allows and was stopped.",
        ),
        "ABORTED": ("ABORTED", "Somebody stopped the execution before its end."),
    }.get(status, (_text(detail, "error") or status, plain(_text(detail, "cause"))))
    given = _json(_text(detail, "input"))
    bucket, key, version = _picture_of(given)
    batch = _text(given, "batch")
    return Occurrence(
        category="batch" if batch else "system",
        error=error,
        reason=reason,
        execution=_text(detail, "executionArn"),
        bucket=bucket,
        key=key,
        version=version,
        time=time,
        batch=batch,
        pictures=_whole(given, "pictures"),
        was_stopped=True,
    )


def _json(text: str) -> Any:
    """What an event holds as text: an alarm's data, or an execution's input.

    The input is S3's event, {s3_bucket, s3_key, ...}, {batch, pictures}, or the event about another execution,
    whose picture it should have recorded.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # long inputs are left out of the event
        return None


def _picture_of(given: Any) -> tuple[str, str, str]:
    """Bucket, key and version of the picture that an execution's input names."""
    detail = given.get("detail") if isinstance(given, dict) else None
    if isinstance(detail, dict) and "executionArn" in detail:
        return _picture_of(_json(_text(detail, "input")))
    if isinstance(detail, dict):
        stored = detail.get("object")
        return _text(detail.get("bucket"), "name"), _text(stored, "key"), _text(stored, "version-id")
    return _text(given, "s3_bucket"), _text(given, "s3_key"), _text(given, "s3_version_id")


def _alarm(detail: dict[str, Any], time: str) -> Occurrence:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    state, configuration, name = detail.get("state"), detail.get("configuration"), _text(detail, "alarmName")
    measured = _json(_text(state, "reasonData"))
    told = DESCRIPTION.fullmatch(_text(configuration, "description"))
    return Occurrence(
        category="drift" if name.endswith("-drift") else "alarm",
        reason=_text(state, "reason"),
        time=time,
        alarm=Alarm(
            name=name,
            state=_text(state, "value"),
            what=told["what"] if told else _text(configuration, "description"),
            advice=told["advice"] if told else "",
            help=told["help"] if told else "",
            value=_latest(measured),
            label=_returned_label(configuration),
            limit=_amount(measured.get("threshold")) if isinstance(measured, dict) else None,
        ),
    )


def _latest(measured: Any) -> float | None:
    points = measured.get("recentDatapoints") if isinstance(measured, dict) else None
    return _amount(points[-1]) if isinstance(points, list) and points else None


def _returned_label(configuration: Any) -> str:
    """The label of the one metric or expression that is compared with the threshold."""
    queries = configuration.get("metrics") if isinstance(configuration, dict) else None
    for query in queries if isinstance(queries, list) else []:
        if isinstance(query, dict) and query.get("returnData"):
            return _text(query, "label")
    return ""


def _amount(value: Any) -> float | None:
    # Also false for NaN; a whole number may be larger than any float.
    return float(value) if isinstance(value, int | float) and abs(value) <= sys.float_info.max else None


def _text(source: Any, name: str) -> str:
    value = source.get(name) if isinstance(source, dict) else None
    # JSON can hold half a character (a lone surrogate), which neither a link nor SNS can.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _number(source: dict[str, Any], name: str) -> float | None:
    value = source.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 1 else None


def _whole(source: Any, name: str) -> int:
    value = source.get(name) if isinstance(source, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**12 else 0


def plain(cause: str) -> str:
    """The words in a cause: in Lambda's {"errorMessage": ...} or our own {"reason": ...}, even if cut short."""
    while found := re.search(r'"(?:reason|errorMessage)"\s*:\s*"((?:[^"\\]|\\.)*)', cause):
        try:
            cause = json.loads(f'"{found[1]}"', strict=False)
        except ValueError:
            return found[1]
    return cause
