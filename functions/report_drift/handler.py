"""Compares the last hours' pictures with the model's baseline, and alerts once when they have changed."""

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from functions.common import baseline, settings
from functions.common.aws import client, named_error
from functions.common.baseline import Baseline, Picture
from functions.common.errors import AlertUnavailable, InvalidInput, ReportUnavailable
from functions.common.telemetry import count, logger, observed
from functions.common.times import ledger_time, moment
from functions.report_drift.features import features, in_words
from functions.report_drift.judgement import Finding, judge
from functions.report_drift.window import pictures

READ_TIMEOUT_SECONDS = 10
# With fewer pictures hardly any change could be distinguished from chance.
LEAST_PICTURES = 50


@observed
def lambda_handler(event: Any) -> dict[str, Any]:
    """Judge the pictures that were decided in the {hours} before {time}, as a schedule gives both.

    They are compared with the baseline of the model that answered last; pictures of another model do not
    count. Returns verdict (drifted, unchanged, too few pictures, no baseline), the model, the number of
    pictures, and for each feature PSI and KS with their limits. Publishes the metrics DriftPictures, and
    with a verdict Drift (0 or 1), PSI_<feature> and KS_<feature>. Calls send_alert if the window before had
    not drifted, so that people hear of a change once. Raises InvalidInput, ReportUnavailable,
    AlertUnavailable, Misconfigured.
    """
    until, hours = _window(event)
    answered = _pictures(until, hours)
    model = max(answered, key=lambda it: it["time"])["model"] if answered else ""
    window = [each for each in answered if each["model"] == model]
    count("DriftPictures", len(window))
    told: dict[str, Any] = {"model": model, "pictures": len(window), "features": {}}
    if len(window) < LEAST_PICTURES:
        logger.info(f"{len(window)} pictures are not enough for a verdict; {LEAST_PICTURES} are needed.")
        return told | {"verdict": "too few pictures"}
    expected = _baseline(model)
    if expected is None:
        logger.warning(f"{model} has no baseline; run scones promote or scones baseline.")
        return told | {"verdict": "no baseline"}
    findings = judge(features(window, expected))
    drifted = [finding for finding in findings if finding.drifted]
    count("Drift", 1 if drifted else 0)
    for finding in findings:
        count(f"PSI_{finding.name}", finding.psi, "None")
        count(f"KS_{finding.name}", finding.ks, "None")
    if drifted and not _had_drifted(until - timedelta(hours=hours), hours, model, expected):
        _tell(_alert(drifted, window, expected, until, hours))
    told["features"] = {finding.name: _rounded(finding) for finding in findings}
    return told | {"verdict": "drifted" if drifted else "unchanged"}


def _window(event: Any) -> tuple[datetime, int]:
    hours = event.get("hours") if isinstance(event, dict) else None
    if type(hours) is not int or not 0 < hours < 10_000:
        raise InvalidInput(
            'The hours to look at are missing; call it with {"hours": 24, "time": "2026-..."}.'
        )
    return moment(str(event.get("time"))), hours


def _pictures(until: datetime, hours: int) -> list[Picture]:
    table = settings.text("LEDGER_TABLE")
    since = ledger_time(until - timedelta(hours=hours))
    try:
        dynamodb = client("dynamodb", READ_TIMEOUT_SECONDS)
        return pictures(dynamodb, table, since, ledger_time(until))
    except Exception as error:
        raise named_error(error, f"Reading {table}", ReportUnavailable, {}) from error


def _baseline(model: str) -> Baseline | None:
    bucket, key = settings.text("BUCKET"), baseline.key(model)
    s3 = client("s3", READ_TIMEOUT_SECONDS)
    try:
        return json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    except s3.exceptions.NoSuchKey:
        return None
    except Exception as error:
        raise named_error(error, f"Reading s3://{bucket}/{key}", ReportUnavailable, {}) from error


def _had_drifted(until: datetime, hours: int, model: str, expected: Baseline) -> bool:
    window = [each for each in _pictures(until, hours) if each["model"] == model]
    return len(window) >= LEAST_PICTURES and any(it.drifted for it in judge(features(window, expected)))


def _alert(
    drifted: Sequence[Finding], window: list[Picture], expected: Baseline, until: datetime, hours: int
) -> dict[str, Any]:
    words = "; ".join(in_words(finding.name, window, expected) for finding in drifted)
    return {
        "category": "drift",
        "error": f"{drifted[0].name.title().replace('_', '')}Shifted",
        "reason": f"Of {len(window)} pictures in {hours} hours: {words}.",
        "time": ledger_time(until),
    }


def _tell(alert: dict[str, Any]) -> None:
    function = settings.text("SEND_ALERT")
    try:
        client("lambda", READ_TIMEOUT_SECONDS).invoke(
            FunctionName=function, InvocationType="Event", Payload=json.dumps(alert)
        )
    except Exception as error:
        raise named_error(error, f"Calling {function}", AlertUnavailable, {}) from error


def _rounded(finding: Finding) -> dict[str, float]:
    return {name: round(value, 3) for name, value in dataclasses.asdict(finding).items() if name != "name"}
