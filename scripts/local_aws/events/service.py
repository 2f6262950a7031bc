"""EventBridge: delivering events to the targets of the rules that moto keeps.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rules.html
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.background import Background
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.events.patterns import matches
from scripts.local_aws.iam.authorization import Caller
from scripts.local_aws.lambda_.service import LambdaService, queue_url

logger = logging.getLogger(__name__)

Event = dict[str, Any]
# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
DEFAULT_RETRIES = 185
LONGEST_RETRY_DELAY = 600.0
NOT_RETRIED = (
    "ResourceNotFoundException",
    "StateMachineDoesNotExist",
    "QueueDoesNotExist",
    "NotFound",
    "AccessDenied",
    "AuthorizationError",
)
DELETE_MARKER = "s3:ObjectRemoved:DeleteMarkerCreated"
S3_DETAIL_TYPES = {"ObjectCreated": "Object Created", "ObjectRemoved": "Object Deleted"}
S3_REASONS = {"Put": "PutObject", "Post": "POST Object", "Copy": "CopyObject"}


class EventBridge:
    """The delivery side of EventBridge.

    Args:
        background: runs deliveries and retries.
        functions: receives events for Lambda targets.
        call_service: performs `sqs:sendMessage`, `sns:publish` and `states:startExecution`.
    """

    def __init__(
        self,
        background: Background,
        functions: LambdaService,
        call_service: Callable[[str, dict[str, Any], Caller], Any],
    ) -> None:
        self._background = background
        self._functions = functions
        self._call_service = call_service
        self._patterns: dict[str, Any] = {}

    def publish(self, event: Event, bus: str = "default") -> None:
        """Deliver an event to every enabled rule of the bus that matches. Returns at once.

        Fields that AWS sets (`version`, `id`, `account`, `time`, `region`, `resources`) are added where missing.
        """
        complete = {**_envelope(), **event}
        event_bus = moto_backends.events().event_buses.get(bus)
        if event_bus is None:
            logger.warning("an event went to the unknown bus %s", bus)
            return
        for rule in list(event_bus.rules.values()):
            text = rule.event_pattern.dump()
            if rule.state.startswith("ENABLED") and text and matches(self._pattern(text), complete):
                self.hand_over(rule, complete)

    def hand_over(self, rule: Any, event: Event) -> None:
        """Deliver an event to each target of a rule. Returns at once."""
        complete = {**_envelope(), **event}
        for target in list(rule.targets):
            self._background.submit(self._deliver, target, rule.arn, complete, 0)

    def put_events(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""
        return [self._put_entry(entry) for entry in entries]

    def publish_object_event(self, _account: str, bucket: Any, event_name: str, key: Any) -> None:
        """Publish an S3 object event; called by moto in place of its own delivery.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
        """
        group, _, kind = str(getattr(event_name, "value", event_name)).removeprefix("s3:").partition(":")
        if group not in S3_DETAIL_TYPES:
            return
        self.publish(
            {
                "source": "aws.s3",
                "detail-type": S3_DETAIL_TYPES[group],
                "resources": [bucket.arn],
                "detail": _object_detail(bucket, group, kind, key),
            }
        )

    def install_object_events(self) -> None:
        """Make moto's buckets send their events here."""
        notifications = moto_backends.moto_module("s3.notifications")
        s3_backend = moto_backends.moto_module("s3.models").S3Backend

        def invoke_function(_account: str, event_body: Any, fn_arn: str, _region: str) -> None:
            event = json.dumps(event_body).encode()
            self._background.submit(self._functions.invoke_async, fn_arn, event)

        def set_delete_marker(backend: Any, bucket_name: str, key_name: str) -> Any:
            marker = set_silently(backend, bucket_name, key_name)
            notifications.send_event(
                backend.account_id, DELETE_MARKER, backend.get_bucket(bucket_name), marker
            )
            return marker

        set_silently = s3_backend._set_delete_marker
        s3_backend._set_delete_marker = set_delete_marker
        notifications._send_event_bridge_message = self.publish_object_event
        notifications._invoke_awslambda = invoke_function

    def install_put_events(self) -> None:
        """Make moto's PutEvents deliver through this object."""

        def put_events(_backend: Any, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return self.put_events(events)

        moto_backends.moto_module("events.models").EventsBackend.put_events = put_events

    def _put_entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        for field in ("Source", "DetailType", "Detail"):
            if not entry.get(field):
                message = f"Parameter {field} is not valid. Reason: {field} is a required argument."
                return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        event = {
            **_envelope(),
            "source": entry["Source"],
            "detail-type": entry["DetailType"],
            "detail": detail,
        }
        event["resources"] = entry.get("Resources", [])
        self.publish(event, (entry.get("EventBusName") or "default").rpartition("/")[2])
        return {"EventId": event["id"]}

    def _pattern(self, text: str) -> Any:
        if text not in self._patterns:
            self._patterns[text] = json.loads(text)
        return self._patterns[text]

    def _deliver(self, target: dict[str, Any], rule_arn: str, event: Event, attempt: int) -> None:
        text = target_input(target, event, rule_arn)
        try:
            self._send(target, text, Caller("events.amazonaws.com", target.get("RoleArn", ""), rule_arn))
        except Exception as error:
            retries = target.get("RetryPolicy", {}).get("MaximumRetryAttempts", DEFAULT_RETRIES)
            code = getattr(error, "code", None) or getattr(error, "error", type(error).__name__)
            if attempt < retries and not any(name in str(error) for name in NOT_RETRIED):
                delay = min(2.0**attempt, LONGEST_RETRY_DELAY)
                self._background.submit(self._deliver, target, rule_arn, event, attempt + 1, delay=delay)
                return
            logger.warning("%s: the event was not delivered to %s: %s", rule_arn, target["Arn"], error)
            facts = {
                "RULE_ARN": rule_arn,
                "TARGET_ARN": target["Arn"],
                "ERROR_CODE": str(code),
                "ERROR_MESSAGE": str(error) or str(code),
                "RETRY_ATTEMPTS": str(attempt),
            }
            self._send_dead_letter(target.get("DeadLetterConfig", {}).get("Arn"), text, facts)

    def _send(self, target: dict[str, Any], text: str, caller: Caller) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html"""
        arn = target["Arn"]
        service = arn.split(":")[2]
        if service == "states":
            self._call("states:startExecution", {"StateMachineArn": arn, "Input": text}, caller)
        elif service == "lambda":
            self._functions.invoke_async(arn, text.encode(), caller=caller)
        elif service == "sns":
            self._call("sns:publish", {"TopicArn": arn, "Message": text}, caller)
        elif service == "sqs":
            group = target.get("SqsParameters", {}).get("MessageGroupId")
            content = {"QueueUrl": queue_url(arn), "MessageBody": text}
            message = {**content, "MessageGroupId": group} if group else content
            self._call("sqs:sendMessage", message, caller)
        elif service == "logs":
            self._write_log(arn.split(":")[6], text)
        else:
            raise ServiceError("ResourceNotFoundException", f"Targets of {service} are not emulated")

    def _call(self, action: str, arguments: dict[str, Any], caller: Caller) -> None:
        self._call_service(f"arn:aws:states:::{action}", arguments, caller)

    def _write_log(self, group: str, text: str) -> None:
        stream = str(uuid.uuid4())
        moto_backends.logs().create_log_stream(group, stream)
        now = int(datetime.now(UTC).timestamp() * 1000)
        moto_backends.logs().put_log_events(group, stream, [{"timestamp": now, "message": text}])

    def _send_dead_letter(self, queue: str | None, text: str, facts: dict[str, str]) -> None:
        """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html"""
        if queue is None:
            return
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in facts.items()}
        content = {"QueueUrl": queue_url(queue), "MessageBody": text, "MessageAttributes": attributes}
        self._call("sqs:sendMessage", content, Caller("events.amazonaws.com", source=facts["RULE_ARN"]))


def target_input(target: dict[str, Any], event: Event, rule_arn: str) -> str:
    """What the target gets: the event, a part of it, a constant or the filled template.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
    """
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_at(event, target["InputPath"]))
    if "InputTransformer" in target:
        return _transformed(target["InputTransformer"], event, rule_arn)
    return json.dumps(event)


def _transformed(transformer: dict[str, Any], event: Event, rule_arn: str) -> str:
    values = {name: _at(event, path) for name, path in transformer.get("InputPathsMap", {}).items()}
    values["aws.events.rule-arn"] = rule_arn
    values["aws.events.rule-name"] = rule_arn.rpartition("/")[2]
    values["aws.events.event.ingestion-time"] = event["time"]
    values["aws.events.event.json"] = event
    values["aws.events.event"] = {name: value for name, value in event.items() if name != "detail"}
    template = transformer["InputTemplate"]

    def fill(found: re.Match[str]) -> str:
        if found[0].startswith(
            '"'
        ):  # a string: text goes in without quotes of its own, objects keep theirs out
            return re.sub(r"<([^<>]+)>", lambda inner: _inside_string(values, inner), found[0])
        return json.dumps(values[found[1]]) if found[1] in values else found[0]

    return re.sub(r'"(?:[^"\\]|\\.)*"|<([^<>"]+)>', fill, template)


def _inside_string(values: dict[str, Any], found: re.Match[str]) -> str:
    if found[1] not in values:
        return found[0]
    value = values[found[1]]
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text)[1:-1]


def _at(event: Any, path: str) -> Any:
    """The value at a path such as `$.detail.requests[0].id`; missing values are null."""
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            event = event[name] if name else event[int(index)]
        except (KeyError, IndexError, TypeError):
            return None
    return event


def _envelope() -> Event:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "account": moto_backends.ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": moto_backends.REGION,
        "resources": [],
    }


def _object_detail(bucket: Any, group: str, kind: str, key: Any) -> dict[str, Any]:
    about: dict[str, Any] = {"key": key.name}
    if group == "ObjectCreated":
        about |= {"size": key.size, "etag": key.etag.strip('"')}
    version = getattr(key, "version_id", None)
    if version and version != "null":
        about["version-id"] = version
    about["sequencer"] = f"{uuid.uuid1().time:018X}"
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": about,
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": moto_backends.ACCOUNT,
        "source-ip-address": "127.0.0.1",
    }
    if group == "ObjectCreated":
        return {**detail, "reason": S3_REASONS.get(kind, kind)}
    deletion = "Delete Marker Created" if kind == "DeleteMarkerCreated" else "Permanently Deleted"
    return {**detail, "reason": "DeleteObject", "deletion-type": deletion}
