"""Every kind of resource that a deployment makes: how it is listed, recognised and removed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.common import s3
from scripts.common.progress import Progress, silent
from scripts.deployment.identity import Account

LEAST_KEY_DAYS = 7
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"


@dataclass(frozen=True)
class Leftover:
    """One resource; `id` is what AWS calls it. `by_name`: only the name shows whose it is."""

    kind: str
    name: str
    id: str
    by_name: bool = False


@dataclass(frozen=True)
class Kind:
    """How resources of one kind are found and removed.

    Args:
        listing: operation, and a JMESPath of [name, id] in its pages (https://jmespath.org).
        remove: removes one.
        tags: operation that lists tags, and its parameter; None where there are no tags.
        id: what that parameter takes: {id} or {name} as listed, or an ARN.
        detail: how much one holds, in words, by client and name.
        asked: more parameters of the listing.
        precious: whether people would miss it.
    """

    name: str
    service: str
    listing: tuple[str, str]
    remove: Callable[[Any, Leftover, Progress], Any]
    tags: tuple[str, str] | None = None
    id: str = "{id}"
    detail: Callable[[Any, str], str] = lambda _client, _name: ""
    asked: Callable[[Account], dict[str, Any]] = lambda _account: {}
    precious: bool = False


def _remove_rule(events: Any, rule: Leftover, _: Progress) -> None:
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule=rule.name)["Targets"]]
    if targets:
        events.remove_targets(Rule=rule.name, Ids=targets)
    events.delete_rule(Name=rule.name)


def _remove_role(iam: Any, role: Leftover, _: Progress) -> None:
    for policy in iam.list_role_policies(RoleName=role.name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role.name, PolicyName=policy)
    for policy in iam.list_attached_role_policies(RoleName=role.name)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role.name, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=role.name)


def _remove_bucket(client: Any, bucket: Leftover, progress: Progress) -> None:
    s3.empty(client, bucket.name, progress)
    client.delete_bucket(Bucket=bucket.name)


def _remove_target(scaling: Any, target: Leftover, _: Progress) -> None:
    scaling.deregister_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=target.id,
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
    )


def _rows(dynamodb: Any, name: str) -> str:
    return f"about {dynamodb.describe_table(TableName=name)['Table']['ItemCount']:,} rows"


def _images(ecr: Any, name: str) -> str:
    pages = ecr.get_paginator("describe_images").paginate(repositoryName=name)
    return f"{sum(len(page['imageDetails']) for page in pages):,} images"


def _logged(logs: Any, name: str) -> str:
    groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return s3.in_words(sum(it.get("storedBytes", 0) for it in groups if it["logGroupName"] == name))


SAGEMAKER_TAGS = ("list_tags", "ResourceArn")
# In the order in which they are removed: users before what they use.
KINDS = (
    Kind(
        "scalable target",
        "application-autoscaling",
        ("describe_scalable_targets", "ScalableTargets[].[ResourceId, ResourceId]"),
        _remove_target,
        asked=lambda _: {"ServiceNamespace": "sagemaker"},
    ),
    Kind(
        "endpoint",
        "sagemaker",
        ("list_endpoints", "Endpoints[].[EndpointName, EndpointArn]"),
        lambda client, it, _: client.delete_endpoint(EndpointName=it.name),
        SAGEMAKER_TAGS,
        detail=lambda client, name: client.describe_endpoint(EndpointName=name)["EndpointStatus"],
    ),
    Kind(
        "endpoint configuration",
        "sagemaker",
        ("list_endpoint_configs", "EndpointConfigs[].[EndpointConfigName, EndpointConfigArn]"),
        lambda client, it, _: client.delete_endpoint_config(EndpointConfigName=it.name),
        SAGEMAKER_TAGS,
    ),
    Kind(
        "model",
        "sagemaker",
        ("list_models", "Models[].[ModelName, ModelArn]"),
        lambda client, it, _: client.delete_model(ModelName=it.name),
        SAGEMAKER_TAGS,
    ),
    Kind(
        "running training job",
        "sagemaker",
        ("list_training_jobs", "TrainingJobSummaries[].[TrainingJobName, TrainingJobArn]"),
        lambda client, it, _: client.stop_training_job(TrainingJobName=it.name),
        SAGEMAKER_TAGS,
        asked=lambda account: {"StatusEquals": "InProgress", "NameContains": account.prefix},
    ),
    Kind(
        "rule",
        "events",
        ("list_rules", "Rules[].[Name, Arn]"),
        _remove_rule,
        ("list_tags_for_resource", "ResourceARN"),
        asked=lambda account: {"NamePrefix": account.prefix},
    ),
    Kind(
        "state machine",
        "stepfunctions",
        ("list_state_machines", "stateMachines[].[name, stateMachineArn]"),
        lambda client, it, _: client.delete_state_machine(stateMachineArn=it.id),
        ("list_tags_for_resource", "resourceArn"),
    ),
    Kind(
        "function",
        "lambda",
        ("list_functions", "Functions[].[FunctionName, FunctionArn]"),
        lambda client, it, _: client.delete_function(FunctionName=it.name),
        ("list_tags", "Resource"),
    ),
    Kind(
        "alarm",
        "cloudwatch",
        ("describe_alarms", "[MetricAlarms, CompositeAlarms][][].[AlarmName, AlarmArn]"),
        lambda client, it, _: client.delete_alarms(AlarmNames=[it.name]),
        ("list_tags_for_resource", "ResourceARN"),
        asked=lambda account: {
            "AlarmNamePrefix": account.prefix,
            "AlarmTypes": ["CompositeAlarm", "MetricAlarm"],
        },
    ),
    Kind(
        "dashboard",
        "cloudwatch",
        ("list_dashboards", "DashboardEntries[].[DashboardName, DashboardArn]"),
        lambda client, it, _: client.delete_dashboards(DashboardNames=[it.name]),
        asked=lambda account: {"DashboardNamePrefix": account.prefix},
    ),
    Kind(
        "budget",
        "budgets",
        ("describe_budgets", "Budgets[].[BudgetName, BudgetName]"),
        lambda client, it, _: client.delete_budget(AccountId=it.id.split(":")[4], BudgetName=it.name),
        ("list_tags_for_resource", "ResourceARN"),
        id="arn:{partition}:budgets::{number}:budget/{name}",
        asked=lambda account: {"AccountId": account.number},
    ),
    Kind(
        "topic",
        "sns",
        ("list_topics", "Topics[].[TopicArn, TopicArn]"),
        lambda client, it, _: client.delete_topic(TopicArn=it.id),
        ("list_tags_for_resource", "ResourceArn"),
    ),
    Kind(
        "queue",
        "sqs",
        ("list_queues", "QueueUrls[].[@, @]"),
        lambda client, it, _: client.delete_queue(QueueUrl=it.id),
        ("list_queue_tags", "QueueUrl"),
        asked=lambda account: {"QueueNamePrefix": account.prefix},
        precious=True,
    ),
    Kind(
        "table",
        "dynamodb",
        ("list_tables", "TableNames[].[@, @]"),
        lambda client, it, _: client.delete_table(TableName=it.name),
        ("list_tags_of_resource", "ResourceArn"),
        id="arn:{partition}:dynamodb:{region}:{number}:table/{name}",
        detail=_rows,
        precious=True,
    ),
    Kind(
        "bucket",
        "s3",
        ("list_buckets", "Buckets[].[Name, Name]"),
        _remove_bucket,
        ("get_bucket_tagging", "Bucket"),
        detail=lambda client, name: str(s3.content(client, name, silent)),
        precious=True,
    ),
    Kind(
        "image repository",
        "ecr",
        ("describe_repositories", "repositories[].[repositoryName, repositoryArn]"),
        lambda client, it, _: client.delete_repository(repositoryName=it.name, force=True),
        ("list_tags_for_resource", "resourceArn"),
        detail=_images,
        precious=True,
    ),
    Kind(
        "log group",
        "logs",
        ("describe_log_groups", "logGroups[].[logGroupName, logGroupName]"),
        lambda client, it, _: client.delete_log_group(logGroupName=it.name),
        ("list_tags_for_resource", "resourceArn"),
        id="arn:{partition}:logs:{region}:{number}:log-group:{name}",
        detail=_logged,
        precious=True,
    ),
    Kind(
        # One log group serves every training job of an account.
        "log stream of a training job",
        "logs",
        ("describe_log_streams", "logStreams[].[logStreamName, logStreamName]"),
        lambda client, it, _: client.delete_log_stream(logGroupName=TRAINING_LOGS, logStreamName=it.name),
        asked=lambda account: {
            "logGroupName": TRAINING_LOGS,
            "logStreamNamePrefix": f"{account.prefix}-training-",
        },
        precious=True,
    ),
    Kind(
        "role",
        "iam",
        # Terraform makes them without a path; those of CI are under /ci/ (terraform/bootstrap).
        ("list_roles", "Roles[?Path=='/'].[RoleName, Arn]"),
        _remove_role,
        ("list_role_tags", "RoleName"),
        id="{name}",
    ),
    Kind(
        "key alias",
        "kms",
        ("list_aliases", "Aliases[].[AliasName, AliasName]"),
        lambda client, it, _: client.delete_alias(AliasName=it.name),
    ),
    Kind(
        "key",
        "kms",
        ("list_keys", "Keys[].[KeyId, KeyId]"),
        lambda client, it, _: client.schedule_key_deletion(KeyId=it.id, PendingWindowInDays=LEAST_KEY_DAYS),
        ("list_resource_tags", "KeyId"),
        precious=True,
    ),
)
