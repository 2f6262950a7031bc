"""The project's own rules for a plan's JSON: what no ready-made tool asks.

Each rule is a function that takes a plan (as `plan_json.filled` leaves it) and yields what breaks it; its docstring
is the promise. The rules hold for every environment; what production promises in addition is in
tests/terraform/features.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from scripts.policy.plan_json import (
    DOCUMENTS,
    Names,
    Plan,
    changes,
    documents,
    listed,
    names,
    resources,
    statements,
)
from scripts.policy.state_machine_rules import faults

Rule = Callable[[Plan], Iterator[str]]

# Every "*" resource of a policy that allows something, with the reason that the module gives for it.
STAR_RESOURCES = {
    "DeliverLogs": "log deliveries have no resource to name",
    "LogInToRegistry": "a token is for the account's whole registry",
    "PutMetrics": "metrics have no resource to name; a condition limits the namespace",
    "SendTraces": "X-Ray has no resource to name",
}
# In a key's own policy "*" means that key.
KEY_STATEMENTS = {"LetAccountAdminister", "LetAccountDelegateUse", "LetLogsEncrypt", "LetAlarmsPublish"}

# Who assumes roles here, with the condition keys that the service documents for it.
TRUSTED_SERVICES = {
    "lambda.amazonaws.com": set(),  # documents none for execution roles
    "sagemaker.amazonaws.com": {"aws:SourceAccount"},
    "states.amazonaws.com": {"aws:SourceAccount", "aws:SourceArn"},
    "events.amazonaws.com": {"aws:SourceAccount", "aws:SourceArn"},
    "scheduler.amazonaws.com": {"aws:SourceAccount", "aws:SourceArn"},
}
# What a denial must cover: SNS refuses "sns:*" in a topic's policy.
DENIED = {"aws_s3_bucket_policy": ["s3:*"], "aws_sqs_queue": ["sqs:*"], "aws_sns_topic": ["sns:Publish"]}

BUCKET_GUARDS = (
    "aws_s3_bucket_lifecycle_configuration",
    "aws_s3_bucket_notification",
    "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
)
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html: States.ALL catches neither of the
# two errors.
UNCATCHABLE = ("TIMED_OUT", "ABORTED", "FAILED States.DataLimitExceeded", "FAILED States.Runtime")

# Which attribute names the key that encrypts. Queues use the key that SQS manages: what failed because
# of the project's key must still be kept (docs/decisions/0008).
KEYS = {
    "aws_cloudwatch_log_group": ("kms_key_id",),
    "aws_dynamodb_table": ("server_side_encryption", "kms_key_arn"),
    "aws_ecr_repository": ("encryption_configuration", "kms_key"),
    "aws_s3_bucket_server_side_encryption_configuration": (
        "rule",
        "apply_server_side_encryption_by_default",
        "kms_master_key_id",
    ),
    "aws_sagemaker_endpoint_configuration": ("data_capture_config", "kms_key_id"),
    "aws_sns_topic": ("kms_master_key_id",),
}


def everything_is_known(plan: Plan) -> Iterator[str]:
    """Policies, state machines and event patterns are readable in the plan, to the last character."""
    for change in changes(plan):
        for attribute in DOCUMENTS:
            # A bucket reports its policy as an attribute of its own, which is set elsewhere.
            if change["change"]["after_unknown"].get(attribute) and change["type"] != "aws_s3_bucket":
                yield f"{change['address']}: {attribute} is known only after the apply"


def statements_have_sids(plan: Plan) -> Iterator[str]:
    """Every policy statement has a name of its own, so that a review can refer to it."""
    for address, attribute, document in documents(plan):
        names = [statement.get("Sid") for statement in document["Statement"]]
        for name in sorted({str(name) for name in names if not name or names.count(name) > 1}):
            yield f"{address}: {attribute} has the Sid {name} more or less than once"


def policies_are_of_the_latest_version(plan: Plan) -> Iterator[str]:
    """Policies are read by the rules of 2012, which know variables; those of 2008 are the default."""
    for address, attribute, document in documents(plan):
        if document.get("Version") != "2012-10-17":
            yield f"{address}: {attribute} has the version {document.get('Version')}"


def no_action_by_wildcard(plan: Plan) -> Iterator[str]:
    """Nothing is allowed by a wildcard action, nor by naming what is not meant."""
    for address, _, statement in statements(plan):
        if statement["Effect"] == "Allow":
            for action in listed(statement.get("Action", "*")):
                if "*" in action or "?" in action:
                    yield f"{address}: {statement.get('Sid')} allows {action}"
        for element in {"NotAction", "NotPrincipal", "NotResource"} & set(statement):
            yield f"{address}: {statement.get('Sid')} has {element}"


def stars_have_reasons(plan: Plan) -> Iterator[str]:
    """The resource "*" is used only where AWS knows no other, with its reason."""
    for address, attribute, statement in statements(plan):
        if attribute == "assume_role_policy" or statement["Effect"] != "Allow":
            continue
        known = KEY_STATEMENTS if "aws_kms_key" in address else STAR_RESOURCES
        if "*" in listed(statement.get("Resource", "*")) and statement.get("Sid") not in known:
            yield f"{address}: {statement.get('Sid')} is for the resource *, without a reason in rules.py"


def metrics_stay_in_their_namespace(plan: Plan) -> Iterator[str]:
    """A role that may put metrics may put them only under SageMaker's names."""
    for address, _, statement in statements(plan):
        if "cloudwatch:PutMetricData" in listed(statement.get("Action")):
            names = statement.get("Condition", {}).get("StringLike", {}).get("cloudwatch:namespace")
            if names != ["/aws/sagemaker/*"]:
                yield f"{address}: {statement.get('Sid')} may put metrics of any name ({names})"


def keys_are_recognised_and_used_through_services(plan: Plan) -> Iterator[str]:
    """A role uses the project's key only, and only through the service that needs it."""
    for address, statement in _identity_statements(plan):
        if not any(action.startswith("kms:") for action in listed(statement["Action"])):
            continue
        condition = statement.get("Condition", {})
        aliases = condition.get("ForAnyValue:StringEquals", {}).get("kms:ResourceAliases", [])
        if any(":key/*" in it for it in listed(statement["Resource"])) and [it[:6] for it in aliases] != [
            "alias/"
        ]:
            yield f"{address}: {statement.get('Sid')} may use every key of the account"
        services = condition.get("StringEquals", {}).get("kms:ViaService", [])
        through = len(services) == 1 and services[0].count("*") == 0
        if not through and condition.get("Bool") != {"kms:GrantIsForAWSResource": ["true"]}:
            yield f"{address}: {statement.get('Sid')} may use the key by itself, not through a service"


def finding_is_bounded_by_prefix(plan: Plan) -> Iterator[str]:
    """A role that lists the bucket while it may read a part of it lists that part only."""
    ours = names(plan)
    for address, _, document in documents(plan):
        read = [
            resource
            for statement in document["Statement"]
            if "s3:GetObject" in listed(statement.get("Action"))
            for resource in listed(statement["Resource"])
        ]
        whole = any(resource.endswith(f"{ours.account}-{ours.region}/*") for resource in read)
        for statement in document["Statement"]:
            if (
                statement["Effect"] == "Allow"
                and "s3:ListBucket" in listed(statement.get("Action"))
                and not whole
            ):
                prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", ["*"])
                if any(prefix.startswith("*") for prefix in prefixes):
                    yield f"{address}: {statement.get('Sid')} lists more than may be read"


def resources_are_this_accounts(plan: Plan) -> Iterator[str]:
    """A role reaches named resources of this deployment; another account's only to pull the training image."""
    ours = names(plan)
    for address, statement in _identity_statements(plan):
        for resource in listed(statement["Resource"]):
            own = ours.are_in(resource) or (ours.account in resource and "TrainingJobs" in resource)
            image = ":ecr:" in resource and statement.get("Sid") == "PullImage" and "*" not in resource
            if resource != "*" and ":key/" not in resource and not (own or image):
                yield f"{address}: {statement.get('Sid')} reaches {resource}"


def _identity_statements(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    """(address, statement) of every policy that is a role's."""
    for address, attribute, statement in statements(plan):
        if attribute == "policy" and "aws_iam_role_policy" in address:
            yield address, statement


def only_services_assume_roles(plan: Plan) -> Iterator[str]:
    """Roles are assumed by AWS services only, on behalf of this account's own resources."""
    ours = names(plan)
    for address, attribute, statement in statements(plan):
        if attribute != "assume_role_policy":
            continue
        principal = statement.get("Principal")
        services = listed(principal.get("Service", "*")) if isinstance(principal, dict) else ["*"]
        keys = TRUSTED_SERVICES.get(services[0])
        if list(principal or {}) != ["Service"] or len(services) > 1 or keys is None:
            yield f"{address}: {statement.get('Sid')} lets {json.dumps(principal)} assume the role"
            continue
        if (statement["Effect"], statement["Action"]) != ("Allow", "sts:AssumeRole"):
            yield f"{address}: {statement.get('Sid')} is not a plain sts:AssumeRole"
        tests = _own_tests(statement, ours)
        for key in sorted(keys - set(tests)):
            yield f"{address}: {statement.get('Sid')} lets {services[0]} assume the role without a test of {key}"


def _own_tests(statement: dict[str, Any], ours: Names) -> dict[str, list[str]]:
    """Those condition keys of a statement that bind it to this account, with the values they ask for."""
    binding = {
        "StringEquals": {"aws:SourceAccount"},
        "ArnLike": {"aws:SourceArn", "kms:EncryptionContext:aws:logs:arn"},
        "ArnEquals": {"aws:SourceArn"},
    }
    return {
        key: listed(values)
        for operator, tests in statement.get("Condition", {}).items()
        for key, values in tests.items()
        if key in binding.get(operator, set()) and all(_is_own(key, value, ours) for value in listed(values))
    }


def _is_own(key: str, value: str, ours: Names) -> bool:
    if key == "aws:SourceAccount":
        return value == ours.account
    return f":{ours.account}:" in value and ours.are_in(value)


def nobody_outside_is_let_in(plan: Plan) -> Iterator[str]:
    """Policies of buckets, queues, topics and keys let in this account and AWS services that act for it."""
    ours = names(plan)
    for address, attribute, statement in statements(plan):
        if attribute != "policy" or statement["Effect"] == "Deny" or "aws_iam_role_policy" in address:
            continue
        principal = statement.get("Principal")
        if principal == {"AWS": f"arn:aws:iam::{ours.account}:root"} and "aws_kms_key" in address:
            continue
        if not isinstance(principal, dict) or set(principal) != {"Service"}:
            yield f"{address}: {statement.get('Sid')} lets in {json.dumps(principal)}"
        elif not _own_tests(statement, ours):
            yield f"{address}: {statement.get('Sid')} lets in {principal['Service']} for any account"
        elif (
            "cloudwatch.amazonaws.com" in listed(principal["Service"])
            and len(_own_tests(statement, ours)) < 2
        ):
            yield f"{address}: {statement.get('Sid')} needs aws:SourceAccount and aws:SourceArn"


def functions_are_invoked_by_named_resources(plan: Plan) -> Iterator[str]:
    """A service may invoke a function only for one named resource of this account."""
    ours = names(plan)
    for address, after in resources(plan, "aws_lambda_permission"):
        source, principal = after.get("source_arn") or "", after.get("principal") or ""
        own = _is_own("aws:SourceArn", source, ours) and "*" not in source
        if not principal.endswith(".amazonaws.com") or not own:
            yield f"{address}: {principal} may invoke for {source or 'anything'}"
        if after.get("action") != "lambda:InvokeFunction" or not after.get("qualifier"):
            yield f"{address}: it allows {after.get('action')} on {after.get('qualifier')}"
    for address, after in resources(plan, "aws_lambda_function_url"):
        yield f"{address}: {after.get('function_name')} is reachable from the internet"


def plain_http_is_denied(plan: Plan) -> Iterator[str]:
    """Buckets, queues and topics refuse every request without TLS, from anybody."""
    for change in changes(plan):
        if change["type"] not in DENIED:
            continue
        address, document = change["address"], json.loads(change["change"]["after"].get("policy") or "{}")
        denials = [it for it in document.get("Statement", []) if it.get("Sid") == "DenyWithoutTLS"]
        if len(denials) != 1:
            yield f"{address}: there is no DenyWithoutTLS"
            continue
        it = denials[0]
        if (it["Effect"], it.get("Principal")) != ("Deny", "*"):
            yield f"{address}: DenyWithoutTLS denies not everybody"
        if listed(it["Action"]) != DENIED[change["type"]]:
            yield f"{address}: DenyWithoutTLS denies {it['Action']} only"
        if it.get("Condition") != {"Bool": {"aws:SecureTransport": "false"}}:
            yield f"{address}: DenyWithoutTLS tests {it.get('Condition')}"
        covered = listed(it["Resource"])
        if change["type"] == "aws_s3_bucket_policy":
            if (
                sorted(covered) != sorted([covered[0], f"{covered[0].removesuffix('/*')}/*"])
                or len(covered) != 2
            ):
                yield f"{address}: DenyWithoutTLS covers {covered}, not the bucket and its objects"
        elif len(covered) != 1 or not covered[0].endswith(f":{change['change']['after']['name']}"):
            yield f"{address}: DenyWithoutTLS covers {covered}"


def publishers_may_use_the_topics_key(plan: Plan) -> Iterator[str]:
    """A publisher to an encrypted topic may use its key: otherwise the message is lost without a trace."""
    own_key = [statement for address, _, statement in statements(plan) if "aws_kms_key" in address]
    if not own_key:
        return
    users = {
        service
        for statement in own_key
        if {"kms:Decrypt", "kms:GenerateDataKey"} <= set(listed(statement["Action"]))
        if isinstance(statement.get("Principal"), dict)
        for service in listed(statement["Principal"].get("Service", []))
    }
    for address, _, statement in statements(plan):
        if (
            "aws_sns_topic" in address
            and statement["Effect"] == "Allow"
            and isinstance(statement["Principal"], dict)
        ):
            for service in listed(statement["Principal"].get("Service", [])):
                if service not in users:
                    yield f"{address}: {service} may publish, but may not use the key"
    for address, after in resources(plan, "aws_cloudwatch_event_target"):
        if ":sns:" in (after.get("arn") or "") and "events.amazonaws.com" not in users:
            yield f"{address}: events may not use the topic's key"


def data_is_encrypted_with_the_projects_key(plan: Plan) -> Iterator[str]:
    """Pictures, models, capture, ledger, logs, alerts and images are encrypted with one customer-managed key."""
    for change in changes(plan):
        if change["type"] in KEYS and not _has_key(change):
            yield f"{change['address']}: {'.'.join(KEYS[change['type']])} names no key"
    for address, after in resources(plan, "aws_sqs_queue"):
        if not after.get("sqs_managed_sse_enabled") and not after.get("kms_master_key_id"):
            yield f"{address}: messages are kept there in the clear"


def _has_key(change: dict[str, Any]) -> bool:
    path = KEYS[change["type"]]
    values, unknown = [change["change"]["after"]], [change["change"]["after_unknown"]]
    if path[0] == "data_capture_config" and not values[0].get(path[0]):
        return True  # nothing is captured
    for step in path[:-1]:
        values = [inner for value in values for inner in listed(value.get(step) or [])]
        unknown = [inner for value in unknown for inner in listed(value.get(step) or [])]
    keys = [value.get(path[-1]) for value in values]
    later = any(isinstance(it, dict) and it.get(path[-1]) is True for it in unknown)
    return bool(keys) and (later or all(key and ":kms:" in key for key in keys))


def logs_end(plan: Plan) -> Iterator[str]:
    """Every function, state machine and endpoint logs into a group of its own, kept for a stated time."""
    groups = {after["name"]: after for _, after in resources(plan, "aws_cloudwatch_log_group")}
    for name, after in groups.items():
        if not after.get("retention_in_days") or after.get("skip_destroy"):
            yield f"{name}: logs are kept for ever"
    for address, after in resources(plan, "aws_lambda_function"):
        logging = (after.get("logging_config") or [{}])[0]
        if logging.get("log_group") not in groups or logging.get("log_format") != "JSON":
            yield f"{address}: it does not log as JSON into a group of this deployment"
    for address, after in resources(plan, "aws_sfn_state_machine"):
        if f"/aws/vendedlogs/states/{after['name']}" not in groups:
            yield f"{address}: its log group is missing"
    for address, after in resources(plan, "aws_sagemaker_endpoint"):
        if f"/aws/sagemaker/Endpoints/{after['name']}" not in groups:
            yield f"{address}: its log group is missing"


def failures_are_logged_and_traced(plan: Plan) -> Iterator[str]:
    """State machines log failures with their data, never every picture; machines and functions are traced."""
    for address, after in resources(plan, "aws_sfn_state_machine"):
        logging = (after.get("logging_configuration") or [{}])[0]
        if (logging.get("level"), logging.get("include_execution_data")) != ("ERROR", True):
            yield f"{address}: it logs {logging.get('level')}, data {logging.get('include_execution_data')}"
        if after.get("tracing_configuration") != [{"enabled": True}]:
            yield f"{address}: it is not traced"
    for address, after in resources(plan, "aws_lambda_function"):
        if after.get("tracing_config") != [{"mode": "Active"}]:
            yield f"{address}: it is not traced"
        logging = (after.get("logging_config") or [{}])[0]
        if logging.get("application_log_level") != "INFO" or logging.get("system_log_level") not in (
            "INFO",
            "WARN",
        ):
            yield f"{address}: its own log is not at INFO, or the system's above WARN"


def nothing_undelivered_is_lost(plan: Plan) -> Iterator[str]:
    """What could not be delivered is kept in a dead-letter queue for as long as SQS can."""
    for address, after in resources(plan, "aws_sqs_queue"):
        if after.get("message_retention_seconds") != 1209600:
            yield f"{address}: it keeps messages for {after.get('message_retention_seconds')} s, not 14 days"
    for address, after in resources(plan, "aws_cloudwatch_event_target"):
        retry = (after.get("retry_policy") or [{}])[0]
        if not (after.get("dead_letter_config") or [{}])[0].get("arn"):
            yield f"{address}: events that cannot be delivered are dropped"
        if (retry.get("maximum_event_age_in_seconds") or 0) < 3600 or not retry.get("maximum_retry_attempts"):
            yield f"{address}: it gives up after {retry}"


def calls_that_fail_are_kept(plan: Plan) -> Iterator[str]:
    """What events and schedules ask of a function is tried again, then kept in a dead-letter queue."""
    for address, after in resources(plan, "aws_scheduler_schedule"):
        if not after["target"][0].get("dead_letter_config"):
            yield f"{address}: calls that fail are dropped"
    invoked = {
        (after["function_name"], after.get("qualifier"))
        for _, after in resources(plan, "aws_lambda_function_event_invoke_config")
        if (after.get("destination_config") or [{}])[0].get("on_failure")
        and after.get("maximum_retry_attempts")
    }
    for address, after in resources(plan, "aws_lambda_permission"):
        if (after["function_name"], after.get("qualifier")) not in invoked:
            yield f"{address}: calls of {after['function_name']} that fail are dropped"
    for address, after in resources(plan, "aws_lambda_function_event_invoke_config"):
        if (after.get("maximum_event_age_in_seconds") or 0) < 3600:
            yield f"{address}: it gives up within the hour"


def rules_of_events_are_on(plan: Plan) -> Iterator[str]:
    """Event rules are switched on, except the trigger and the drift check while there is no endpoint."""
    endpoint = any(True for _ in resources(plan, "aws_sagemaker_endpoint"))
    for address, after in resources(plan, "aws_cloudwatch_event_rule"):
        on = after.get("state") in (None, "ENABLED") and after.get("is_enabled") is not False
        needs_endpoint = "object_created" in address or '"drift"' in address
        if not on and (endpoint or not needs_endpoint):
            yield f"{address}: it is {after.get('state')}"
    for address, after in resources(plan, "aws_s3_bucket_notification"):
        if after.get("eventbridge") is not True:
            yield f"{address}: new pictures are not announced"


def events_lead_somewhere(plan: Plan) -> Iterator[str]:
    """Every event rule has a target, every target a rule, and new pictures have a rule."""
    targets = dict(resources(plan, "aws_cloudwatch_event_target"))
    targeted = {after["rule"] for after in targets.values()}
    named, patterns = set(), ""
    for address, after in resources(plan, "aws_cloudwatch_event_rule"):
        named.add(after["name"])
        patterns += after.get("event_pattern") or ""
        if after["name"] not in targeted:
            yield f"{address}: its events go nowhere"
    for address, after in targets.items():
        if after["rule"] not in named:
            yield f"{address}: there is no rule {after['rule']}"
    if "Object Created" not in patterns:
        yield "no event rule waits for new pictures"


def buckets_have_every_guard(plan: Plan) -> Iterator[str]:
    """No bucket is without its public access block, encryption, versions, policy, owner, expiry and announcements."""
    for address, after in resources(plan, "aws_s3_bucket"):
        for kind in BUCKET_GUARDS:
            if not any(guard.get("bucket") == after["bucket"] for _, guard in resources(plan, kind)):
                yield f"{address}: it has no {kind}"
    for address, after in resources(plan, "aws_ecr_repository"):
        if not any(
            it["repository"] == after["name"] for _, it in resources(plan, "aws_ecr_lifecycle_policy")
        ):
            yield f"{address}: unfinished pushes are kept for ever"


def what_is_not_needed_expires(plan: Plan) -> Iterator[str]:
    """Overwritten versions, unfinished uploads, captured requests, results and rows are deleted after a stated time."""
    for address, after in resources(plan, "aws_s3_bucket_lifecycle_configuration"):
        rules = [rule for rule in after.get("rule") or [] if rule.get("status") == "Enabled"]
        if not any(_days(rule, "noncurrent_version_expiration", "noncurrent_days") for rule in rules):
            yield f"{address}: overwritten versions are kept for ever"
        if not any(_first(rule, "expiration").get("expired_object_delete_marker") for rule in rules):
            yield f"{address}: marks of deleted objects are kept for ever"
        if not any(
            _days(rule, "abort_incomplete_multipart_upload", "days_after_initiation") for rule in rules
        ):
            yield f"{address}: unfinished uploads are kept for ever"
        expiring = {
            _first(rule, "filter").get("prefix") for rule in rules if _days(rule, "expiration", "days")
        }
        for prefix in sorted({"capture/", "results/"} - expiring):
            yield f"{address}: {prefix} is kept for ever"
    for address, after in resources(plan, "aws_dynamodb_table"):
        if _first(after, "ttl").get("enabled") is not True:
            yield f"{address}: rows are kept for ever"


def _first(value: dict[str, Any], block: str) -> dict[str, Any]:
    return (value.get(block) or [{}])[0]


def _days(rule: dict[str, Any], block: str, attribute: str) -> int:
    return _first(rule, block).get(attribute) or 0


def keys_are_in_use(plan: Plan) -> Iterator[str]:
    """The project's key is enabled, and its material changes every year."""
    for address, after in resources(plan, "aws_kms_key"):
        if after.get("is_enabled") is False or after.get("enable_key_rotation") is not True:
            yield f"{address}: it is disabled, or never rotated"


def models_are_isolated_and_captured(plan: Plan) -> Iterator[str]:
    """A provisioned endpoint cannot reach the network, and keeps its requests and answers."""
    for address, after in resources(plan, "aws_sagemaker_endpoint_configuration"):
        if any(variant.get("serverless_config") for variant in after["production_variants"]):
            continue
        for capture in after.get("data_capture_config") or [{}]:
            modes = {option["capture_mode"] for option in capture.get("capture_options", [])}
            if capture.get("enable_capture") is not True or modes != {"Input", "Output"}:
                yield f"{address}: capture is off or partial ({sorted(modes)})"
            if not capture.get("initial_sampling_percentage"):
                yield f"{address}: capture takes nothing"
        for model, its in resources(plan, "aws_sagemaker_model"):
            if its.get("enable_network_isolation") is not True:
                yield f"{model}: the container may reach the network"


def alarms_reach_somebody(plan: Plan) -> Iterator[str]:
    """Every alarm is on and leads somewhere: to a topic by itself, or to the rule that alerts for alarms."""
    ruled = [
        json.loads(after["event_pattern"])
        for _, after in resources(plan, "aws_cloudwatch_event_rule")
        if "CloudWatch Alarm State Change" in (after.get("event_pattern") or "")
    ]
    ours = names(plan)
    for address, after in resources(plan, "aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
        actions = after.get("alarm_actions") or []
        if after.get("actions_enabled") is False:
            yield f"{address}: its actions are switched off"
        if not actions and not any(_covers(pattern, after["alarm_name"], ours) for pattern in ruled):
            yield f"{address}: nobody hears of it"


def alarms_judge_one_value(plan: Plan) -> Iterator[str]:
    """One of an alarm's metrics and expressions is compared with the threshold: otherwise it never goes off."""
    for address, after in resources(plan, "aws_cloudwatch_metric_alarm"):
        queries = after.get("metric_query") or []
        if queries and sum(query.get("return_data") is True for query in queries) != 1:
            yield f"{address}: not one value is compared with its threshold"


def dashboards_show_the_alarms(plan: Plan) -> Iterator[str]:
    """What a dashboard shows as alarms are those of the deployment, all of them."""
    there = {after["alarm_name"] for _, after in resources(plan, "aws_cloudwatch_metric_alarm")}
    for address, after in resources(plan, "aws_cloudwatch_dashboard"):
        widgets = json.loads(after["dashboard_body"])["widgets"]
        arns = [arn for widget in widgets for arn in widget["properties"].get("alarms", [])]
        shown = {arn.rpartition(":")[2] for arn in arns}
        yield from (f"{address}: there is no alarm {name}" for name in sorted(shown - there))
        yield from (f"{address}: the alarm {name} is not on it" for name in sorted(there - shown))


def _covers(pattern: dict[str, Any], name: str, ours: Names) -> bool:
    """Whether an event pattern matches an alarm's going off (by the resource's ARN or the alarm's name)."""
    event = {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "resources": f"arn:aws:cloudwatch:{ours.region}:{ours.account}:alarm:{name}",
        "detail": {"alarmName": name, "state": {"value": "ALARM"}},
    }
    return _meets(event, pattern)


def _meets(event: dict[str, Any], pattern: dict[str, Any]) -> bool:
    for field, wanted in pattern.items():
        if field == "$or":
            met = any(_meets(event, either) for either in wanted)
        elif isinstance(wanted, dict):
            met = _meets(event.get(field, {}), wanted)
        else:
            met = any(_matches(test, event.get(field, "")) for test in wanted)
        if not met:
            return False
    return True


def _matches(test: Any, value: str) -> bool:
    if isinstance(test, dict):
        return value.startswith(test["prefix"]) if "prefix" in test else value not in test["anything-but"]
    return value == test


def subscribers_hear_what_they_chose(plan: Plan) -> Iterator[str]:
    """Each subscriber gets the alerts chosen by category, and alarms, which carry none, unfiltered."""
    subscribed = {
        (address.split("[")[0].rsplit(".", 1)[1], after["endpoint"])
        for address, after in _subscriptions(plan)
    }
    chosen_by = plan["variables"].get("subscribers", {}).get("value", {})
    for subscriber, chosen in chosen_by.items():
        wanted = {("alerts", subscriber)} | ({("alarms", subscriber)} if "alarm" in chosen else set())
        for topic, _ in sorted(wanted - subscribed):
            yield f"{subscriber} is not subscribed to the topic of {topic}"
    for address, after in _subscriptions(plan):
        categories = json.loads(after.get("filter_policy") or "{}").get("category")
        if ".alarms[" in address and after.get("filter_policy"):
            yield f"{address}: a filter drops every alarm"
        chosen = chosen_by.get(after["endpoint"], [])
        if ".alerts[" in address and (not categories or set(categories) != set(chosen)):
            yield f"{address}: it filters for {categories}, chosen are {chosen}"


def _subscriptions(plan: Plan) -> Iterator[tuple[str, dict[str, Any]]]:
    return resources(plan, "aws_sns_topic_subscription")


def bad_ends_of_executions_are_told(plan: Plan) -> Iterator[str]:
    """Executions that end in a way which no state can catch reach a person by an event rule."""
    told = _told(plan)
    for address, after in resources(plan, "aws_sfn_state_machine"):
        for end in UNCATCHABLE:
            if after.get("type") == "STANDARD" and not {(after["name"], it) for it in (end, end[:6])} & told:
                yield f"{address}: nobody hears of {end}"


def _told(plan: Plan) -> set[tuple[str, str]]:
    """(state machine's name, status, with its error where only some are meant) that event rules wait for."""
    return {
        (arn.rsplit(":", 1)[1], " ".join((status, *error)))
        for _, after in resources(plan, "aws_cloudwatch_event_rule")
        for pattern in [json.loads(after.get("event_pattern") or "{}")]
        if pattern.get("source") == ["aws.states"]
        for either in [pattern["detail"], *pattern["detail"].get("$or", [])]
        for status in either.get("status", [])
        for error in ([(it,) for it in either["error"]] if "error" in either else [()])
        for arn in pattern["detail"].get("stateMachineArn", [])
    }


def every_resource_is_tagged(plan: Plan) -> Iterator[str]:
    """Whatever takes tags carries project, environment and managed_by, by which it is found and cleaned up."""
    needed = {name: plan["variables"][name]["value"] for name in ("project", "environment")}
    needed["managed_by"] = "terraform"
    for address, after in resources(plan):
        tags = after.get("tags_all", needed) or {}
        for tag, value in needed.items():
            if tags.get(tag) != value:
                yield f"{address}: its tag {tag} is {tags.get(tag)}, not {value}"


def state_machines_are_sound(plan: Plan) -> Iterator[str]:
    """Every task times out, retries with a cap and jitter what can pass, and catches the rest."""
    told = _told(plan)
    for address, after in resources(plan, "aws_sfn_state_machine"):
        for fault in faults(json.loads(after["definition"]), (after["name"], "FAILED") in told):
            yield f"{address}: {fault}"


RULES: tuple[Rule, ...] = (
    everything_is_known,
    statements_have_sids,
    policies_are_of_the_latest_version,
    no_action_by_wildcard,
    stars_have_reasons,
    metrics_stay_in_their_namespace,
    keys_are_recognised_and_used_through_services,
    finding_is_bounded_by_prefix,
    resources_are_this_accounts,
    only_services_assume_roles,
    nobody_outside_is_let_in,
    functions_are_invoked_by_named_resources,
    plain_http_is_denied,
    publishers_may_use_the_topics_key,
    data_is_encrypted_with_the_projects_key,
    logs_end,
    failures_are_logged_and_traced,
    nothing_undelivered_is_lost,
    calls_that_fail_are_kept,
    rules_of_events_are_on,
    events_lead_somewhere,
    buckets_have_every_guard,
    what_is_not_needed_expires,
    keys_are_in_use,
    models_are_isolated_and_captured,
    alarms_reach_somebody,
    alarms_judge_one_value,
    dashboards_show_the_alarms,
    subscribers_hear_what_they_chose,
    bad_ends_of_executions_are_told,
    every_resource_is_tagged,
)


def broken(plan: Plan, rules: tuple[Rule, ...] = RULES) -> list[str]:
    """What breaks the rules: "rule: what", in the rules' order; empty for a sound plan."""
    return [f"{rule.__name__}: {it}" for rule in rules for it in rule(plan)]
