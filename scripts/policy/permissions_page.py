"""Who may do what: every policy statement of the judged plan as tables in docs/permissions.md.

Nothing is shortened away: whatever changes a statement changes a line of the table, so a change of permissions is
always part of a review.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from scripts.common.paths import ROOT
from scripts.deployment.offline import ACCOUNT
from scripts.policy.plan_json import REGION, Plan, listed, resources, statements

PAGE = ROOT / "docs" / "permissions.md"
INTRODUCTION = """# Who may do what

Written by `make permissions` from production's plan with everything on; `make policy` fails where this page is not
what the plan says. ARNs are given without `arn:aws:`. What the statements promise: [security.md](security.md).
"""
ABOUT_CROSSINGS = """## What reaches beyond its environment

[terraform/bootstrap](../terraform/bootstrap/README.md) says who plans, applies and destroys. A role
of ENV is any role that `apply-ENV` could make, with all that its boundary allows. Nothing else
reaches another environment or project: `tests/terraform/test_reach.py` evaluates boundary, identity
and resource policies together."""
ANYTHING = "anything in the account"


class Crossing(NamedTuple):
    """What reaches beyond its own environment: who may do what on what, and why it is allowed."""

    who: tuple[str, ...]
    actions: tuple[str, ...]
    on: tuple[str, ...]
    why: str


APPLIES = ("apply-ENV", "destroy-ENV")
PLANS = ("plan", *APPLIES)
# tests/terraform/test_reach.py fails on whatever else crosses, and on a row that nothing needs.
ACROSS = (
    Crossing(
        PLANS,
        (
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "cloudwatch:DescribeAlarms",
            "kms:ListAliases",
            "logs:DescribeLogGroups",
            "sns:GetSubscriptionAttributes",
            "states:ValidateStateMachineDefinition",
        ),
        (ANYTHING,),
        "Terraform reads with these, and AWS lets nobody name a resource for them.",
    ),
    Crossing(
        PLANS,
        ("application-autoscaling:ListTagsForResource",),
        ("scaling target without tags",),
        "A target has an id of its own; another deployment's is known by its tags.",
    ),
    Crossing(
        APPLIES,
        ("s3:ListBucket",),
        ("its project's bucket of states",),
        "Terraform looks for its state: it sees the names of the others, not what they hold.",
    ),
    Crossing(
        APPLIES,
        ("sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
        (ANYTHING,),
        "IAM knows no resource for subscriptions, not even their topic.",
    ),
    Crossing(
        APPLIES,
        (
            "application-autoscaling:DeleteScalingPolicy",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:RegisterScalableTarget",
            "application-autoscaling:TagResource",
            "application-autoscaling:UntagResource",
        ),
        ("scaling target without tags",),
        "A new target has no tags yet; another deployment's is known by them.",
    ),
    Crossing(
        APPLIES,
        ("kms:CreateKey", "kms:TagResource"),
        ("key without tags",),
        "A key is tagged while it is made, and IAM cannot distinguish it from another without the tag `project`.",
    ),
    Crossing(
        APPLIES,
        ("iam:CreateServiceLinkedRole",),
        ("role for scaling",),
        "There is one for the account, and only AWS's scaling can use it.",
    ),
    Crossing(
        ("destroy-ENV",),
        (
            "cloudwatch:ListDashboards",
            "dynamodb:ListTables",
            "ecr:DescribeImages",
            "events:ListRules",
            "iam:ListRoleTags",
            "iam:ListRoles",
            "kms:ListKeys",
            "lambda:ListFunctions",
            "logs:DescribeLogStreams",
            "s3:ListAllMyBuckets",
            "sagemaker:ListEndpointConfigs",
            "sagemaker:ListEndpoints",
            "sagemaker:ListModels",
            "sagemaker:ListTrainingJobs",
            "sns:ListTopics",
            "sqs:ListQueues",
            "states:ListStateMachines",
            "tag:GetResources",
        ),
        (ANYTHING,),
        "`scones cleanup` looks for what is left through the account's lists: names and tags, no content.",
    ),
    Crossing(
        ("a role of ENV",),
        (
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ),
        (ANYTHING,),
        "A state machine with logs needs them, and AWS lets nobody name a resource for them.",
    ),
    Crossing(
        ("a role of ENV",),
        (
            "cloudwatch:PutMetricData",
            "ecr:GetAuthorizationToken",
            "xray:GetSamplingRules",
            "xray:GetSamplingTargets",
            "xray:PutTelemetryRecords",
            "xray:PutTraceSegments",
        ),
        (ANYTHING,),
        "Traces, registry tokens and metrics (of hosts alone) have no resource.",
    ),
    Crossing(
        ("a role of ENV",),
        ("logs:CreateLogGroup", "logs:DescribeLogStreams"),
        ("log group of training jobs", "logs of a training job"),
        "One log group serves the training jobs of an account: the names of its streams, not what they hold.",
    ),
    Crossing(
        ("a role of ENV",),
        ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        ("repository without tags",),
        "A training image may be in any account; another deployment's repository is known by its tags.",
    ),
)
HEADER = "| statement | lets | do | on | if |\n|---|---|---|---|---|"


def table(plan: Plan) -> str:
    """Markdown: one heading for each policy, one row for each statement."""
    blocks: dict[str, list[str]] = {}
    for address, attribute, statement in statements(plan):
        blocks.setdefault(_title(address, attribute), []).append(_row(statement))
    for _, after in resources(plan, "aws_lambda_permission"):
        blocks.setdefault(f"Invoking {after['function_name']}", []).append(_invocation(after))
    return "\n\n".join(
        "\n".join([f"**{title}**", "", HEADER, *rows]) for title, rows in sorted(blocks.items())
    )


def _title(address: str, attribute: str) -> str:
    what = {"assume_role_policy": "who assumes it"}.get(attribute, "policy")
    return f"`{address}`: {what}"


def _row(statement: dict[str, Any]) -> str:
    who = statement.get("Principal", "its role")
    cells = (
        _code([statement.get("Sid", "")]),
        _principal(who) + (" **not**" if statement["Effect"] == "Deny" else ""),
        _code(listed(statement.get("Action", statement.get("NotAction")))),
        _code(listed(statement.get("Resource", "the role"))),
        _code(list(_tests(statement.get("Condition", {})))),
    )
    return f"| {' | '.join(cells)} |"


def _invocation(after: dict[str, Any]) -> str:
    condition = {"ArnLike": {"aws:SourceArn": after.get("source_arn")}}
    function = f"{after['function_name']}:{after.get('qualifier')}"
    cells = (after["statement_id"], after["principal"], after["action"], function, *_tests(condition))
    return f"| {' | '.join(_code([cell]) for cell in cells)} |"


def _principal(who: Any) -> str:
    if isinstance(who, str):
        return "everybody" if who == "*" else who
    return _code([f"{kind} {name}" for kind, names in who.items() for name in listed(names)])


def _tests(condition: dict[str, Any]) -> Iterator[str]:
    for operator, tests in condition.items():
        for key, values in tests.items():
            yield f"{key} {operator} {', '.join(map(str, listed(values)))}"


def _code(texts: list[str]) -> str:
    """Texts in code style, each on a line of its own; the account and the region by their names."""
    named = [
        str(text).replace(ACCOUNT, "ACCOUNT").replace(REGION, "REGION").removeprefix("arn:aws:")
        for text in texts
    ]
    return "<br>".join(f"`{text}`" for text in named) if any(named) else ""


def across() -> str:
    """Markdown: what reaches beyond its own environment."""
    rows = [
        f"| {', '.join(it.who)} | {_code(list(it.actions))} | {', '.join(it.on)} | {it.why} |"
        for it in ACROSS
    ]
    return "\n".join([ABOUT_CROSSINGS, "", "| who | may | on | because |", "|---|---|---|---|", *rows])


def page(plan: Plan) -> str:
    return f"{INTRODUCTION}\n{across()}\n\n## Statement by statement\n\n{table(plan)}\n"


def broken(plan: Plan) -> list[str]:
    """What distinguishes the page from the plan: its first line, or nothing."""
    documented, planned = PAGE.read_text(encoding="utf-8"), page(plan)
    if documented == planned:
        return []
    lines = [it for it in planned.split("\n") if it not in documented] or ["something is there no more"]
    return [f"docs/permissions.md differs, first at: {lines[0]} (after a review: make permissions)"]


def write(plan: Plan) -> None:
    PAGE.write_text(page(plan), encoding="utf-8")
