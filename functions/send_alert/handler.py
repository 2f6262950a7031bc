"""Sends an alert: the only place that knows what alerts say."""

import dataclasses
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from functions.common import batch_results, settings
from functions.common.aws import client, named_error
from functions.common.errors import AlertUnavailable
from functions.common.telemetry import count, logger, observed
from functions.common.times import ledger_time, moment
from functions.send_alert.message import compose
from functions.send_alert.occurrence import Occurrence, identity, understand
from functions.send_alert.waiting import count_waiting

READ_TIMEOUT_SECONDS = 10


@observed
def lambda_handler(event: Any) -> dict[str, Any]:
    """Publish what happened to TOPIC_ARN, with the message attributes `category`, for filter policies, and `alert_id`.

    An alert is delivered at least once, and each time with the same `alert_id`. A program that reads alerts can
    so distinguish a second delivery from a second alert.

    Takes {category, error, reason, execution, picture, ...} from the workflow, {category: batch, batch, pictures,
    error, reason, ...} at the end of a batch, {category: digest, hours, time} from a schedule, or an EventBridge
    event "Step Functions Execution Status Change" or "CloudWatch Alarm State Change" as it is. Returns message_id:
    null for a batch without news and for a digest of nothing, which nobody hears of. Raises InvalidInput,
    AlertUnavailable, Misconfigured.
    """
    topic = settings.text("TOPIC_ARN")
    occurrence = understand(event)
    logger.append_keys(category=occurrence.category, execution=occurrence.execution, s3_key=occurrence.key)
    if occurrence.batch:
        occurrence = _with_summary(occurrence)
    if occurrence.category == "digest":
        occurrence = _with_waiting(occurrence)
    # Before anything is published: they count even if the alert cannot be delivered.
    if occurrence.system_failures:
        count("SystemFailures", occurrence.system_failures)
    if occurrence.summary and not occurrence.summary.has_news and not occurrence.error:
        return {"message_id": None}
    if occurrence.waiting and not occurrence.waiting.total:
        return {"message_id": None}
    attributes = {"category": occurrence.category, "alert_id": identity(event)}
    message = compose(occurrence, topic, settings.text("ENVIRONMENT"), settings.text("RUNBOOK_URL"))
    try:
        response = client("sns", READ_TIMEOUT_SECONDS).publish(
            TopicArn=topic,
            Subject=message.subject,
            Message=message.text,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
            },
        )
    except Exception as error:
        raise named_error(error, f"Publishing to {topic}", AlertUnavailable, {}) from error
    with single_metric(name="Alerts", unit=MetricUnit.Count, value=1) as metric:
        metric.add_dimension(name="category", value=occurrence.category)
    return {"message_id": response["MessageId"]}


def _with_summary(occurrence: Occurrence) -> Occurrence:
    """Adds where the batch's manifest is and, once the batch has come to its own end, what became of its pictures."""
    bucket, batch = settings.text("BUCKET"), occurrence.batch
    manifest = f"s3://{bucket}/{batch_results.manifest_key(batch)}"
    if occurrence.was_stopped:  # its results may not be written yet
        return dataclasses.replace(occurrence, manifest=manifest)
    try:
        outcomes = batch_results.count_outcomes(client("s3", READ_TIMEOUT_SECONDS), bucket, batch)
    except Exception as error:
        raise named_error(error, f"Reading the results of batch {batch}", AlertUnavailable, {}) from error
    summary = batch_results.summarize(occurrence.pictures, outcomes)
    return dataclasses.replace(occurrence, manifest=manifest, summary=summary)


def _with_waiting(occurrence: Occurrence) -> Occurrence:
    """Adds what waits in the ledger, and what of it came in since the previous digest.

    Both times come from the schedule, so a digest that is tried again, or sent from the dead letters,
    counts the same hours.
    """
    table = settings.text("LEDGER_TABLE")
    since = ledger_time(moment(occurrence.time) - timedelta(hours=occurrence.hours))
    try:
        waiting = count_waiting(client("dynamodb", READ_TIMEOUT_SECONDS), table, since)
    except Exception as error:
        raise named_error(error, f"Reading what waits in {table}", AlertUnavailable, {}) from error
    return dataclasses.replace(occurrence, waiting=waiting)
