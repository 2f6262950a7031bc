"""SNS: delivering messages to subscriptions, and the outbox in which people read what they would receive.

moto keeps topics, subscriptions and filter policies.
https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""

from __future__ import annotations

import json
import re
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.local_aws.cloudwatch.metrics import Metrics
from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.background import Background
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.iam.authorization import Caller
from scripts.local_aws.lambda_.service import LambdaService

# One line of printable ASCII that starts with no blank; at most 100 characters.
SUBJECT = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,99}")
READ_BY_PEOPLE = ("email", "email-json", "sms", "http", "https")


class Notifications:
    """What happens to a published message.

    Args:
        path: the outbox file, one JSON object per line.
        background: runs deliveries to functions.
        functions: receives messages for Lambda subscriptions.
        metrics: counts messages and deliveries.
    """

    def __init__(
        self, path: Path, background: Background, functions: LambdaService, metrics: Metrics
    ) -> None:
        self._metrics = metrics
        self._path = path
        self._background = background
        self._functions = functions
        self._lock = threading.Lock()
        self._sent: list[dict[str, Any]] = []

    def outbox(self) -> list[dict[str, Any]]:
        """Every delivery so far, oldest first."""
        with self._lock:
            return list(self._sent)

    def record(
        self, subscription: Any, subject: str | None, message: str, attributes: dict[str, Any]
    ) -> None:
        """Put one delivery into the outbox."""
        entry = {
            "time": _now(),
            "topic": subscription.topic.arn,
            "subscriber": subscription.endpoint,
            "protocol": subscription.protocol,
            "subject": subject,
            "message": message,
            "attributes": {name: value["Value"] for name, value in attributes.items()},
        }
        self._count(subscription.topic.arn, "NumberOfNotificationsDelivered")
        with self._lock:
            self._sent.append(entry)
            with self._path.open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def _count(self, topic_arn: str, name: str) -> None:
        """https://docs.aws.amazon.com/sns/latest/dg/sns-monitoring-using-cloudwatch.html"""
        self._metrics.add("AWS/SNS", {name: 1.0}, {"TopicName": topic_arn.rpartition(":")[2]})

    def invoke(
        self,
        subscription: Any,
        subject: str | None,
        message: str,
        attributes: dict[str, Any],
        message_id: str,
    ) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html"""
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription.arn,
            "Sns": {
                "Type": "Notification",
                "MessageId": message_id,
                "TopicArn": subscription.topic.arn,
                "Subject": subject,
                "Message": message,
                "Timestamp": _now(),
                "MessageAttributes": attributes,
            },
        }
        event = json.dumps({"Records": [record]}).encode()
        caller = Caller("sns.amazonaws.com", source=subscription.topic.arn)
        self._background.submit(self._functions.invoke_async, subscription.endpoint, event, None, caller)

    def install(self) -> None:
        """Make moto's topics deliver through this object."""
        models = moto_backends.moto_module("sns.models")
        deliver, publish = models.Subscription.publish, models.SNSBackend.publish
        notifications = self

        def deliver_or_record(self: Any, message: str, message_id: str, **more: Any) -> None:
            if self.protocol not in (*READ_BY_PEOPLE, "lambda"):
                deliver(self, message, message_id, **more)
            matcher, attributes = self._filter_policy_matcher, more.get("message_attributes") or {}
            if matcher is not None and not matcher.matches(attributes, message):
                return
            if more.get("message_structure") == "json":
                message = self._parse_message_structure(message, self.protocol)
            subject = more.get("subject")
            notifications.record(self, subject, message, attributes)
            if self.protocol == "lambda":
                notifications.invoke(self, subject, message, attributes, message_id)

        def check_and_publish(self: Any, message: str, **more: Any) -> str:
            check_subject(more.get("subject"))
            message_id = publish(self, message, **more)
            notifications._count(more.get("arn") or "", "NumberOfMessagesPublished")
            return message_id

        models.Subscription.publish = deliver_or_record
        models.SNSBackend.publish = check_and_publish


def check_subject(subject: str | None) -> None:
    """Raises ServiceError InvalidParameter for a subject that SNS refuses."""
    if subject is not None and not SUBJECT.fullmatch(subject):
        raise ServiceError("InvalidParameter", "Invalid parameter: Subject")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
