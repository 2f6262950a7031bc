"""The dead-letter queues: events that started nothing, and alerts that reached nobody."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from botocore.exceptions import ClientError

from functions.common.times import ledger_time
from scripts.deployment.outputs import Deployment

# For this long nobody else gets a message. If handling it takes longer, it is handled twice, which
# does no harm.
HELD_SECONDS = 900
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
MESSAGES_AT_ONCE = 10
# Long polling asks every server of the queue; otherwise SQS samples some and may miss messages.
WAIT_SECONDS = 1
CATEGORIES = {"LOW_CONFIDENCE": "low_confidence", "REJECTED": "rejected", "FAILED": "system"}


@dataclass(frozen=True)
class DeadLetter:
    """A message of a dead-letter queue; `body` is its JSON, or its text if it is not JSON."""

    queue: str
    receipt: str
    body: Any
    sent: str


class AlertNotSent(Exception):
    """The function failed again; the message names its error."""


class DeadLetters:
    """The deployment's two dead-letter queues, and the function that sends alerts.

    A message that was received and not removed goes back when the `with` block ends, however it
    ends.
    """

    def __init__(self, deployment: Deployment):
        self.deployment = deployment
        self.sqs = deployment.client("sqs")
        self.functions = deployment.client("lambda")
        self.held: dict[str, DeadLetter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for letter in self.held.values():
            # A message held for too long is back already.
            with contextlib.suppress(ClientError):
                self.sqs.change_message_visibility(
                    QueueUrl=letter.queue, ReceiptHandle=letter.receipt, VisibilityTimeout=0
                )

    def events(self) -> Iterator[DeadLetter]:
        """Events that started no execution."""
        return self._receive(self.deployment.trigger_dead_letters_url)

    def alerts(self) -> Iterator[DeadLetter]:
        """Alerts that could not be sent."""
        return self._receive(self.deployment.alert_dead_letters_url)

    def _receive(self, queue: str) -> Iterator[DeadLetter]:
        while messages := self.sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=MESSAGES_AT_ONCE,
            VisibilityTimeout=HELD_SECONDS,
            WaitTimeSeconds=WAIT_SECONDS,
            AttributeNames=["SentTimestamp"],
        ).get("Messages"):
            for message in messages:
                sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
                body = _parsed(message["Body"])
                letter = DeadLetter(queue, message["ReceiptHandle"], body, ledger_time(sent))
                self.held[letter.receipt] = letter
                yield letter

    def remove(self, letter: DeadLetter) -> None:
        self.sqs.delete_message(QueueUrl=letter.queue, ReceiptHandle=letter.receipt)
        del self.held[letter.receipt]

    def send_again(self, letter: DeadLetter) -> None:
        """Hand an alert to send_alert, or a drift check to report_drift, and remove the message.

        Raises AlertNotSent; the message then stays.
        """
        wanted = alert(letter)
        drift = isinstance(wanted, dict) and wanted.get("check") == "drift"
        answer = self.functions.invoke(
            FunctionName=self.deployment.function_names["report_drift" if drift else "send_alert"],
            Qualifier="live",
            Payload=json.dumps(wanted),
        )
        if "FunctionError" in answer:
            failure = json.load(answer["Payload"])
            raise AlertNotSent(f"{failure.get('errorType', 'Error')}: {failure.get('errorMessage', '')}")
        self.remove(letter)


def alert(letter: DeadLetter) -> Any:
    """What send_alert takes, which the workflow and the event rules keep as it is.

    Lambda keeps an asynchronous call as requestPayload:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    kept = letter.body
    if not isinstance(kept, dict):
        return kept
    if "requestPayload" in kept:
        return kept["requestPayload"]
    return _composed(kept, letter.sent) if isinstance(kept.get("outcome"), dict) else kept


def _composed(kept: dict[str, Any], sent: str) -> dict[str, Any]:
    """The alert about what a former workflow kept: the outcome and the picture, not yet an alert.

    Queues keep messages for 14 days, so an upgraded deployment needs this no longer than that.
    """
    outcome, picture = kept["outcome"], kept.get("picture") or {}
    named = {name: picture.get(name) for name in ("s3_bucket", "s3_key")}
    answer = {name: outcome[name] for name in ("label", "confidence", "threshold") if outcome.get("label")}
    return answer | {
        "category": CATEGORIES.get(outcome.get("status"), "system"),
        "error": outcome.get("error"),
        "reason": outcome.get("reason"),
        "execution": kept.get("execution"),
        "time": sent,
        "picture": named | {"s3_version_id": outcome.get("s3_version_id")} if named["s3_key"] else None,
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
