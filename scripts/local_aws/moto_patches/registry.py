"""Where moto 5.2.5 answers differently from AWS in ways that Terraform or this project meet.

Each repair names the AWS page it follows and is applied when its service is first called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import unescape

from scripts.local_aws.core.moto_backends import moto_module
from scripts.local_aws.moto_patches import dynamodb

# What this endpoint can truly say about a request; a statement about any other key is left aside.
# One machine has no TLS, so a bucket's TLS-only statement sees its requests as if they had come by TLS.
KNOWN_CONDITION_KEYS = {"aws:securetransport": "true"}
# What tells one notification of a budget from another.
NOTIFICATION_KEY = ("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType")


def create_app(service: str) -> Any:
    """The Flask application of one of moto's services, repaired; made when the service is first called."""
    for repair in REPAIRS.get(service, ()):
        repair()
    return moto_module("moto_server.werkzeug_app").create_backend_app(service)


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


def repair_queue_attributes() -> None:
    """SetQueueAttributes wipes a policy it does not name, and RedrivePolicy is not compact JSON.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """
    queue = moto_module("sqs.models").Queue
    set_attributes = queue._set_attributes
    read_attributes: Callable[[Any], dict[str, Any]] = queue.attributes.fget

    @wraps(set_attributes)
    def _set_attributes(self: Any, attributes: dict[str, Any], now: float | None = None) -> None:
        if "Policy" not in attributes:
            attributes = {**attributes, "Policy": getattr(self, "policy", None)}
        set_attributes(self, attributes, now)

    def attributes(self: Any) -> dict[str, Any]:
        result = read_attributes(self)
        if "RedrivePolicy" in result:
            result["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return result

    queue._set_attributes = _set_attributes
    queue.attributes = property(attributes)


def repair_function_configuration() -> None:
    """Functions forget LoggingConfig, DeadLetterConfig and updated tracing, and lose a package's other settings.

    https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
    """
    function = moto_module("awslambda.models").LambdaFunction
    initialise, describe, update = (
        function.__init__,
        function.get_configuration,
        function.update_configuration,
    )

    def initialise_all(self: Any, account_id: str, spec: dict[str, Any], *rest: Any, **more: Any) -> None:
        initialise(self, account_id, spec, *rest, **more)
        self.dead_letter_config = spec.get("DeadLetterConfig") or {}
        self.logging_config = _logging_config(self.function_name, spec.get("LoggingConfig") or {})
        self.logs_group_name = self.logging_config["LogGroup"]

    def get_configuration(self: Any, on_create: bool = False) -> dict[str, Any]:
        result = describe(self, on_create)
        result["LoggingConfig"] = self.logging_config
        if self.dead_letter_config.get("TargetArn"):
            result["DeadLetterConfig"] = self.dead_letter_config
        return result

    def update_configuration(self: Any, config_updates: dict[str, Any]) -> dict[str, Any]:
        if "LoggingConfig" in config_updates:
            self.logging_config = _logging_config(self.function_name, config_updates["LoggingConfig"])
            self.logs_group_name = self.logging_config["LogGroup"]
        if "DeadLetterConfig" in config_updates:
            self.dead_letter_config = config_updates["DeadLetterConfig"]
        if "TracingConfig" in config_updates:
            self.tracing_config = config_updates["TracingConfig"]
        if "EphemeralStorage" in config_updates:
            self.ephemeral_storage = config_updates["EphemeralStorage"]["Size"]
        if "KMSKeyArn" in config_updates:
            self.kms_key_arn = config_updates["KMSKeyArn"]
        return update(self, config_updates)

    function.__init__ = initialise_all
    function.get_configuration = get_configuration
    function.update_configuration = update_configuration


def _logging_config(function_name: str, requested: dict[str, Any]) -> dict[str, Any]:
    result = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function_name}", **requested}
    if result["LogFormat"] == "JSON":
        result = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **result}
    return result


def repair_scaling_tags() -> None:
    """Application Auto Scaling has no tags at all.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ListTagsForResource.html
    """
    responses = moto_module("applicationautoscaling.responses").ApplicationAutoScalingResponse
    tags: dict[str, dict[str, str]] = {}

    def register_scalable_target(self: Any) -> str:
        answer = register(self)
        arn = json.loads(answer)["ScalableTargetARN"]
        tags.setdefault(arn, {}).update(self._get_param("Tags") or {})
        return answer

    def list_tags_for_resource(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    def tag_resource(self: Any) -> str:
        tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("TagKeys"):
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    register = responses.register_scalable_target
    for method in (register_scalable_target, list_tags_for_resource, tag_resource, untag_resource):
        setattr(responses, method.__name__, method)


def repair_budgets() -> None:
    """Budgets cannot be changed, and do not tell who is notified.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Operations_AWS_Budgets.html
    """
    responses = moto_module("budgets.responses").BudgetsResponse

    def update_budget(self: Any) -> str:
        changed = self._get_param("NewBudget")
        self.backend.budgets[self._get_param("AccountId")][changed["BudgetName"]].budget.update(changed)
        return "{}"

    def describe_subscribers_for_notification(self: Any) -> str:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        asked = self._get_param("Notification")
        for notification in budget.notifications:
            if all(notification.details.get(name) == asked.get(name) for name in NOTIFICATION_KEY):
                return json.dumps({"Subscribers": notification.subscribers})
        return json.dumps({"Subscribers": []})

    for method in (update_budget, describe_subscribers_for_notification):
        setattr(responses, method.__name__, method)


def repair_budget_tags() -> None:
    """Budgets have no tags at all.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_ListTagsForResource.html
    """
    responses = moto_module("budgets.responses").BudgetsResponse
    create = responses.create_budget
    tags: dict[str, dict[str, str]] = {}

    def create_budget(self: Any) -> str:
        answer = create(self)
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:{self.partition}:budgets::{self._get_param('AccountId')}:budget/{name}"
        tags[arn] = {it["Key"]: it["Value"] for it in self._get_param("ResourceTags") or []}
        return answer

    def list_tags_for_resource(self: Any) -> str:
        held = tags.get(self._get_param("ResourceARN"), {})
        return json.dumps({"ResourceTags": [{"Key": key, "Value": value} for key, value in held.items()]})

    def tag_resource(self: Any) -> str:
        added = {it["Key"]: it["Value"] for it in self._get_param("ResourceTags")}
        tags.setdefault(self._get_param("ResourceARN"), {}).update(added)
        return "{}"

    def untag_resource(self: Any) -> str:
        for key in self._get_param("ResourceTagKeys"):
            tags.get(self._get_param("ResourceARN"), {}).pop(key, None)
        return "{}"

    for method in (create_budget, list_tags_for_resource, tag_resource, untag_resource):
        setattr(responses, method.__name__, method)


REPAIRS: dict[str, tuple[Callable[[], None], ...]] = {
    "s3": (
        repair_bucket_policies,
        repair_bucket_notifications,
        repair_multipart_events,
        repair_version_listing,
        repair_delete_markers,
    ),
    "dynamodb": (dynamodb.install,),
    "sqs": (repair_queue_attributes,),
    "awslambda": (repair_function_configuration,),
    "applicationautoscaling": (repair_scaling_tags,),
    "budgets": (repair_budgets, repair_budget_tags),
}
