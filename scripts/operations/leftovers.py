"""Everything that one deployment has left in an account: found by name and by tag, and removed.

A thing is a deployment's if its tags `project` and `environment` say so; without these, if a part of its name is the
prefix, alone or followed by a dash. One deployment's prefix may begin another's (`scones-dev` and `scones-dev-prod`, where
a project is called `scones-dev`), so a thing without tags is never taken whose name begins with the prefix of another
deployment that was met. What could not be looked at may be such a deployment: then nothing may be removed.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.common import buckets
from scripts.common.progress import Progress, silent
from scripts.deployment.identity import Account

LEAST_KEY_DAYS = 7
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
# How services say, each in its own words, that there is nothing, or nothing any more.
NOTHING = re.compile("NotFound|NoSuch|NonExistent|DoesNotExist|Could not find")
DENIED = re.compile("Denied|Unauthorized|Forbidden|NotAuthorized")
REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")

Tags = dict[str, str]


class OtherRegion(Exception):
    """A deployment of the same name is in another region, and shares with this one what belongs to no region."""


@dataclass(frozen=True)
class Leftover:
    """One thing that is there: its kind, its name, what AWS calls it, and whether only its name tells whose it is."""

    kind: str
    name: str
    id: str
    by_name: bool = False


@dataclass(frozen=True)
class Kind:
    """How things of one kind are found and removed.

    Args:
        listing: operation, and a JMESPath of [name, id] in its pages (https://jmespath.org).
        remove: removes one.
        tags: operation that lists tags, and its parameter; None where there are no tags.
        id: what that parameter takes: {id} or {name} as listed, or an ARN.
        detail: what is to be said of one, by client and name.
        asked: further parameters of the listing.
        precious: people would miss it.
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


def _remove_bucket(s3: Any, bucket: Leftover, progress: Progress) -> None:
    buckets.empty(s3, bucket.name, progress)
    s3.delete_bucket(Bucket=bucket.name)


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
    return buckets.in_words(sum(it.get("storedBytes", 0) for it in groups if it["logGroupName"] == name))


SAGEMAKER_TAGS = ("list_tags", "ResourceArn")
# In the order in which they are removed: what uses goes before what is used.
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
        detail=lambda client, name: str(buckets.content(client, name, silent)),
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
        # Terraform makes them without a path; those of CI lie under /ci/ (terraform/bootstrap).
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
BY_NAME = {kind.name: kind for kind in KINDS}
# https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/overview.html lags behind the services that
# are asked themselves.
ASKED_SERVICES = {*(kind.service for kind in KINDS), "states"}


@dataclass
class Swept:
    """What was found; keys that go by themselves on a day; what could not be looked at, and why."""

    leftovers: list[Leftover] = field(default_factory=list)
    going: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Leftover]:
        return [each for each in self.leftovers if each.kind == kind]


class Sweep:
    """Finds and removes what a deployment has left.

    Args:
        account: the deployment's.
    """

    def __init__(self, account: Account):
        self.account = account
        self.client = cache(account.client)
        self.own = {
            "project": account.prefix.rpartition("-")[0],
            "environment": account.prefix.rpartition("-")[2],
        }

    def find(self, progress: Progress) -> Swept:
        """Asks every service; what must not be asked is named in the result."""
        swept, untagged, others = Swept(), [], set()
        for number, kind in enumerate(KINDS):
            progress(f"Looking for what is there: {kind.name}", number / len(KINDS))
            try:
                for found, tags in self._candidates(kind):
                    own = {key: value for key, value in tags.items() if key in self.own}
                    if own == self.own:
                        swept.leftovers.append(found)
                    elif own.items() <= self.own.items():
                        untagged.append(replace(found, by_name=True))
                    elif own.keys() == self.own.keys() and _belongs(
                        other := f"{own['project']}-{own['environment']}", self.account.prefix
                    ):
                        others.add(other)
            except (ClientError, BotoCoreError, OtherRegion) as error:
                swept.unseen.append(f"{kind.name}: {error}")
        swept.leftovers += [it for it in untagged if not any(_belongs(it.name, other) for other in others)]
        self._told_by_tag(swept)
        order = [*BY_NAME]
        swept.leftovers.sort(key=lambda it: order.index(it.kind) if it.kind in BY_NAME else len(order))
        for each in [it for it in swept.leftovers if it.kind == "key"]:
            self._settle_key(each, swept)
        return swept

    def is_precious(self, leftover: Leftover) -> bool:
        """Whether people would miss it."""
        kind = BY_NAME.get(leftover.kind)
        return kind is None or kind.precious

    def described(self, leftover: Leftover) -> str:
        """What is to be said of a thing: how much it holds."""
        kind = BY_NAME.get(leftover.kind)
        return kind.detail(self.client(kind.service), leftover.name) if kind else ""

    def remove(self, leftovers: list[Leftover], progress: Progress) -> None:
        """Removes things in an order that works; what is gone meanwhile is no fault. Raises ClientError."""
        known = [each for each in leftovers if each.kind in BY_NAME]
        for number, each in enumerate(known):
            progress(f"Removing: {each.kind} {each.name}", number / len(known))
            kind = BY_NAME[each.kind]
            try:
                kind.remove(self.client(kind.service), each, progress)
            except ClientError as error:
                if not _tells_of_nothing(error):
                    raise

    def _candidates(self, kind: Kind) -> Iterator[tuple[Leftover, Tags]]:
        """Things of a kind whose name may be the deployment's, with their tags."""
        client = self.client(kind.service)
        operation, path = kind.listing
        pages = client.get_paginator(operation).paginate(**kind.asked(self.account))
        try:
            # Where a page lists nothing, some services leave the list out.
            listed = [pair for pair in pages.search(path) if pair]
        except ClientError as error:
            if _tells_of_nothing(error):
                return
            raise
        for name, listed_id in listed:
            identity = kind.id.format(id=listed_id, name=name, **vars(self.account))
            if kind.name == "key":
                mine = self._made_for_this(client, identity)
            elif kind.name == "bucket":
                # Others may begin like it, the state's bucket for one.
                mine = name == self.account.bucket
                self._check_region(name)
            else:
                mine = _belongs(name, self.account.prefix)
            if mine:
                yield Leftover(kind.name, name, identity), self._tags(kind, identity)

    def _tags(self, kind: Kind, identity: str) -> Tags:
        if kind.tags is None:
            return {}
        operation, parameter = kind.tags
        try:
            answer = getattr(self.client(kind.service), operation)(**{parameter: identity})
        except ClientError as error:
            if _tells_of_nothing(error):
                return {}
            raise
        return _as_tags(answer)

    def _made_for_this(self, kms: Any, key: str) -> bool:
        """Whether a key, which has no name, was made for the deployment; one that was handed to it was not."""
        try:
            described = kms.describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            # Whoever may look at a deployment's keys may not look at everybody's.
            if error.response["Error"]["Code"] == "AccessDeniedException" and not self._is_named(kms, key):
                return False
            raise
        return bool(described["Description"].endswith(f"(alias/{self.account.prefix})"))

    def _is_named(self, kms: Any, key: str) -> bool:
        aliases = kms.get_paginator("list_aliases").paginate(KeyId=key).search("Aliases[].AliasName")
        return f"alias/{self.account.prefix}" in [*aliases]

    def _check_region(self, bucket: str) -> None:
        """Roles and budgets belong to no region, so a deployment of the same name elsewhere would lose them."""
        before, region = f"{self.account.prefix}-{self.account.number}-", self.account.region
        other = bucket.removeprefix(before)
        if bucket != other and REGION.fullmatch(other) and other != region:
            raise OtherRegion(
                f"{bucket} is there, so {self.account.prefix} is also deployed in {other}, with the same roles as in "
                f'{region}: set region = "{other}" and destroy that first, or delete the bucket if it is a remnant'
            )

    def _told_by_tag(self, swept: Swept) -> None:
        """Adds things of services that are not asked themselves; they can be named, not removed."""
        filters = [{"Key": key, "Values": [value]} for key, value in self.own.items()]
        try:
            pages = (
                self.client("resourcegroupstaggingapi")
                .get_paginator("get_resources")
                .paginate(TagFilters=filters)
            )
            arns = [arn for arn in pages.search("ResourceTagMappingList[].ResourceARN") if arn]
        except (ClientError, BotoCoreError) as error:
            swept.unseen.append(f"by tag: {error}")
            return
        swept.leftovers += [
            Leftover("by tag", arn, arn) for arn in arns if arn.split(":")[2] not in ASKED_SERVICES
        ]

    def _settle_key(self, key: Leftover, swept: Swept) -> None:
        """A key that is to be deleted is no leftover: AWS deletes it on a day, and nobody can hurry that."""
        facts = self.client("kms").describe_key(KeyId=key.id)["KeyMetadata"]
        if facts["KeyState"] != "PendingDeletion":
            return
        swept.leftovers.remove(key)
        day: datetime = facts["DeletionDate"]
        swept.going.append(
            f"key {key.id} goes by itself on {day:%Y-%m-%d} (aws kms cancel-key-deletion keeps it)"
        )


def _belongs(name: str, prefix: str) -> bool:
    """Whether a part of a name, an ARN or a path is the prefix, alone or followed by a dash."""
    return any(part == prefix or part.startswith(f"{prefix}-") for part in re.split("[/:]", name))


def _tells_of_nothing(error: ClientError) -> bool:
    told = error.response["Error"]
    # The message of a denial may hold any name.
    if DENIED.search(told["Code"]):
        return False
    return bool(NOTHING.search(f"{told['Code']} {told.get('Message', '')}"))


def _as_tags(answer: dict[str, Any]) -> Tags:
    """Tags in any of the shapes in which AWS's services answer them."""
    listed: Any = next(
        (answer[name] for name in ("Tags", "tags", "TagSet", "ResourceTags") if name in answer), {}
    )
    if isinstance(listed, dict):
        return listed
    pairs = (("Key", "Value"), ("key", "value"), ("TagKey", "TagValue"))
    return {tag[key]: tag[value] for tag in listed for key, value in pairs if key in tag}
