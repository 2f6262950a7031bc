"""What moto's S3 lacks or gets wrong."""

from __future__ import annotations

import json
import re
from functools import wraps
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import unescape

from scripts.local_aws.core.moto_backends import moto_module

# What this endpoint can truly say about a request; a statement about any other key is left aside.
# One machine has no TLS, so a bucket's TLS-only statement sees its requests as if they had come by TLS.
KNOWN_CONDITION_KEYS = {"aws:securetransport": "true"}


def repair_bucket_policies() -> None:
    """An unmet condition makes a statement neutral; in moto it denies.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
    """
    access_control = moto_module("iam.access_control")

    def get_permission(self: Any, action: str, resource: str) -> Any:
        if self.policy is None:
            return access_control.PermissionResult.NEUTRAL
        document = json.loads(self.policy)
        statements = (
            document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
        )
        met = [_without_condition(each) for each in statements if _condition_met(each.get("Condition", {}))]
        return access_control.IAMPolicy(json.dumps({**document, "Statement": met})).is_action_permitted(
            action, resource
        )

    moto_module("s3.models").FakeBucket.get_permission = get_permission


def _without_condition(statement: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in statement.items() if name != "Condition"}


def _condition_met(condition: dict[str, dict[str, Any]]) -> bool:
    for operator, pairs in condition.items():
        for key, expected in pairs.items():
            actual = KNOWN_CONDITION_KEYS.get(key.lower())
            if actual is None or operator.lower() not in ("bool", "stringequals"):
                return False
            values = expected if isinstance(expected, list) else [expected]
            if actual not in [str(value).lower() for value in values]:
                return False
    return True


def repair_bucket_notifications() -> None:
    """GetBucketNotificationConfiguration leaves EventBridge out.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
    """
    responses = moto_module("s3.responses").S3Response
    original = responses.get_bucket_notification

    @wraps(original)
    def get_bucket_notification(self: Any) -> Any:
        status, headers, body = original(self)
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration is not None and configuration.event_bridge is not None:
            text = body if isinstance(body, bytes) else body.encode()
            opened = text.removesuffix(b"</NotificationConfiguration>")
            opened = opened.removesuffix(b"/>") + b">" if opened.endswith(b"/>") else opened
            body = opened + b"<EventBridgeConfiguration/></NotificationConfiguration>"
        return status, headers, body

    responses.get_bucket_notification = get_bucket_notification


def repair_multipart_events() -> None:
    """A completed multipart upload is announced twice, once as PutObject.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
    """
    backend = moto_module("s3.models").S3Backend
    original = backend.put_object

    @wraps(original)
    def put_object(self: Any, *arguments: Any, **more: Any) -> Any:
        if more.get("multipart") is not None:
            more["disable_notification"] = True
        return original(self, *arguments, **more)

    backend.put_object = put_object


def repair_version_listing() -> None:
    """ListObjectVersions ignores encoding-type=url, so that Terraform decodes keys that were never encoded.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
    """
    responses = moto_module("s3.responses").S3Response
    original = responses.list_object_versions
    encoded = re.compile(r"<(Key|KeyMarker|NextKeyMarker|Prefix|Delimiter)>([^<]*)<")

    @wraps(original)
    def list_object_versions(self: Any) -> Any:
        status, headers, body = original(self)
        if self.querystring.get("encoding-type") == ["url"]:
            body = encoded.sub(lambda found: f"<{found[1]}>{quote(unescape(found[2]), safe='/')}<", body)
            body = body.replace(
                "</ListVersionsResult>", "<EncodingType>url</EncodingType></ListVersionsResult>"
            )
        return status, headers, body

    responses.list_object_versions = list_object_versions


def repair_delete_markers() -> None:
    """The last version of a key cannot be deleted if it is a delete marker: moto expects a file behind it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManagingDelMarkers.html
    """
    moto_module("s3.models").FakeDeleteMarker.dispose = lambda _: None
