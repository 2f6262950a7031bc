"""terraform/bootstrap: the state's bucket and who may plan, apply and destroy, by the real provider's plan."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from scripts.common import paths
from scripts.deployment.offline import ACCOUNT, OfflineModule, offline
from scripts.deployment.terraform import TerraformFailed

# The provider's calls on the one-machine AWS by type of resource: apply, change, destroy (TF_LOG_PROVIDER=DEBUG,
# tf_resource_type, rpc.service and rpc.method).
CALLS = Path(__file__).parent / "provider_calls.json"
# Calls whose permission has another name: https://docs.aws.amazon.com/service-authorization/latest/reference/
PERMISSIONS = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:CreateNotification": "budgets:ModifyBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeNotificationsForBudget": "budgets:ViewBudget",
    "budgets:DescribeSubscribersForNotification": "budgets:ViewBudget",
    "budgets:UpdateBudget": "budgets:ModifyBudget",
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
# Type of resource: what makes one, the attribute that names it, and its ARN.
NAMED = {
    "aws_budgets_budget": ("budgets:ModifyBudget", "name", "budgets::{account}:budget/{name}"),
    "aws_cloudwatch_dashboard": (
        "cloudwatch:PutDashboard",
        "dashboard_name",
        "cloudwatch::{account}:dashboard/{name}",
    ),
    "aws_cloudwatch_event_rule": ("events:PutRule", "name", "events:{region}:{account}:rule/{name}"),
    "aws_cloudwatch_log_group": ("logs:CreateLogGroup", "name", "logs:{region}:{account}:log-group:{name}"),
    "aws_cloudwatch_metric_alarm": (
        "cloudwatch:PutMetricAlarm",
        "alarm_name",
        "cloudwatch:{region}:{account}:alarm:{name}",
    ),
    "aws_dynamodb_table": ("dynamodb:CreateTable", "name", "dynamodb:{region}:{account}:table/{name}"),
    "aws_ecr_repository": ("ecr:CreateRepository", "name", "ecr:{region}:{account}:repository/{name}"),
    "aws_iam_role": ("iam:CreateRole", "name", "iam::{account}:role/{name}"),
    "aws_kms_alias": ("kms:CreateAlias", "name", "kms:{region}:{account}:{name}"),
    "aws_lambda_function": (
        "lambda:CreateFunction",
        "function_name",
        "lambda:{region}:{account}:function:{name}",
    ),
    "aws_s3_bucket": ("s3:CreateBucket", "bucket", "s3:::{name}"),
    "aws_sagemaker_endpoint": (
        "sagemaker:CreateEndpoint",
        "name",
        "sagemaker:{region}:{account}:endpoint/{name}",
    ),
    "aws_sagemaker_endpoint_configuration": (
        "sagemaker:CreateEndpointConfig",
        "name",
        "sagemaker:{region}:{account}:endpoint-config/{name}",
    ),
    "aws_sagemaker_model": ("sagemaker:CreateModel", "name", "sagemaker:{region}:{account}:model/{name}"),
    "aws_sfn_state_machine": (
        "states:CreateStateMachine",
        "name",
        "states:{region}:{account}:stateMachine:{name}",
    ),
    "aws_sns_topic": ("sns:CreateTopic", "name", "sns:{region}:{account}:{name}"),
    "aws_sqs_queue": ("sqs:CreateQueue", "name", "sqs:{region}:{account}:{name}"),
}
# What a role that applies carries, in addition to what it reads.
READ = ("environment_read", "read_watch")
APPLY = ("access", "deploy", "deploy_watch")
READING = ("Describe", "Get", "List", "View", "Validate")
CHARACTERS = 6144  # the most a managed policy holds, white space not counted


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OfflineModule]:
    with offline(tmp_path_factory.mktemp("bootstrap"), paths.TERRAFORM / "bootstrap") as copy:
        yield copy


def changes(module: OfflineModule, *options: str) -> dict[str, Any]:
    """What a plan makes of every resource, by address."""
    repository = "-var=github_repository=octo-org/scones"
    module.run("plan", "-no-color", "-input=false", "-refresh=false", "-out=plan", repository, *options)
    _, shown = module.run("show", "-json", "plan")
    return {
        change["address"]: change["change"]
        for change in json.loads(shown)["resource_changes"]
        if change["mode"] == "managed"
    }


@pytest.fixture(scope="module")
def plan(module: OfflineModule) -> dict[str, Any]:
    """Every resource's attributes after a first apply, by address."""
    return {address: it["after"] for address, it in changes(module).items()}


def statements(plan: dict[str, Any], address: str) -> list[dict[str, Any]]:
    return json.loads(plan[f"aws_iam_policy.{address}"]["policy"])["Statement"]


def actions(plan: dict[str, Any], *addresses: str) -> set[str]:
    return {
        action
        for address in addresses
        for statement in statements(plan, address)
        if statement["Effect"] == "Allow"
        for action in statement["Action"]
    }


def test_the_bucket_for_states_is_versioned_encrypted_private_and_kept(plan: dict[str, Any]) -> None:
    assert plan["aws_s3_bucket.state"]["bucket"] == f"scones-state-{ACCOUNT}"
    assert plan["aws_s3_bucket_versioning.state"]["versioning_configuration"][0]["status"] == "Enabled"
    encryption = plan["aws_s3_bucket_server_side_encryption_configuration.state"]["rule"][0]
    assert encryption["apply_server_side_encryption_by_default"][0]["sse_algorithm"] == "aws:kms"
    access = plan["aws_s3_bucket_public_access_block.state"]
    assert all(access[name] for name in access if name.startswith(("block_", "ignore_", "restrict_")))
    source = (paths.TERRAFORM / "bootstrap" / "state.tf").read_text(encoding="utf-8")
    assert "prevent_destroy = true" in source


def test_every_environment_keeps_its_state_there_with_a_native_lock() -> None:
    for path in (paths.TERRAFORM / "environments").glob("*.s3.tfbackend"):
        text = path.read_text(encoding="utf-8")
        assert "use_lockfile" in text
        assert path.stem == "local.s3" or 'bucket       = "scones-state-' in text


@pytest.mark.parametrize(
    ("role", "subjects"),
    [
        ("plan", ["repo:octo-org/scones:pull_request", "repo:octo-org/scones:ref:refs/heads/main"]),
        ("apply-dev", ["repo:octo-org/scones:environment:dev"]),
        ("apply-prod", ["repo:octo-org/scones:environment:prod"]),
    ],
)
def test_roles_trust_workflows_of_this_repository_alone(
    plan: dict[str, Any], role: str, subjects: list[str]
) -> None:
    (trust,) = json.loads(plan[f'aws_iam_role.github["{role}"]']["assume_role_policy"])["Statement"]
    github = "token.actions.githubusercontent.com"
    assert trust["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{github}"}
    assert trust["Condition"] == {
        "StringEquals": {f"{github}:aud": "sts.amazonaws.com", f"{github}:sub": subjects}
    }


def attached(plan: dict[str, Any], role: str) -> set[str]:
    """The policies of a role for CI, by address.

    An attachment is called like its policy, and its key ends with the environment.
    """
    return {
        re.sub(r'_role_policy_attachment(.*\[").*?(\w+"\])$', r"_policy\1\2", address)
        for address, it in plan.items()
        if "attachment" in address and it["role"] == role
    }


def test_the_plan_role_only_reads_and_reads_no_picture(plan: dict[str, Any]) -> None:
    readers = {f'{kind}["{name}"]' for kind in ("environment_read", "read_watch") for name in ("dev", "prod")}
    assert attached(plan, "scones-plan") == {f"aws_iam_policy.{it}" for it in readers}
    assert [it for it in actions(plan, *readers) if not it.split(":")[1].startswith(READING)] == []
    for name in ("dev", "prod"):
        objects = [
            it for it in statements(plan, f'environment_read["{name}"]') if "s3:GetObject" in it["Action"]
        ]
        assert [it["Resource"] for it in objects] == [
            [f"arn:aws:s3:::scones-state-{ACCOUNT}/{name}/terraform.tfstate"]
        ]


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_apply_role_changes_its_own_environment_alone(plan: dict[str, Any], environment: str) -> None:
    """Statement by statement; test_reach.py evaluates all policies together."""
    unbound = []
    for part in APPLY:
        for statement in statements(plan, f'{part}["{environment}"]'):
            own = all(
                f"scones-{environment}" in it or f"/{environment}/" in it for it in statement["Resource"]
            )
            tagged = f'/environment": "{environment}"' in json.dumps(statement.get("Condition", {}))
            if not (own or tagged or statement["Effect"] == "Deny"):
                unbound.append(statement["Sid"])
    # Subscriptions are not a resource, and the role for scaling is one for the account.
    assert unbound == ["LetScalingBuildItsRole", "ChangeSubscriptions"]


def test_applying_cannot_destroy_data_logs_or_keys(plan: dict[str, Any]) -> None:
    """A person decides that: the policy for it is attached to nobody."""
    apply = actions(plan, *(f'{part}["prod"]' for part in (*READ, *APPLY)))
    assert apply & actions(plan, 'destroy["prod"]') == {"s3:DeleteObject"}
    # The lock of a state is an object, too.
    (lock,) = [it for it in statements(plan, 'access["prod"]') if "s3:DeleteObject" in it["Action"]]
    assert lock["Resource"] == [f"arn:aws:s3:::scones-state-{ACCOUNT}/prod/terraform.tfstate.tflock"]
    for name in ("dev", "prod"):
        expected = {f'aws_iam_policy.{part}["{name}"]' for part in (*READ, *APPLY)}
        assert attached(plan, f"scones-apply-{name}") == expected


def test_applying_can_neither_shorten_nor_share_what_is_kept(plan: dict[str, Any]) -> None:
    """What decides how long data stays, whether it can be brought back and who reaches it takes a person."""
    keeping = {
        *("s3:PutLifecycleConfiguration", "s3:PutBucketVersioning", "s3:PutBucketPolicy", "kms:PutKeyPolicy"),
        *("s3:PutBucketPublicAccessBlock", "s3:PutBucketOwnershipControls", "s3:PutEncryptionConfiguration"),
        *("dynamodb:UpdateTable", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTimeToLive"),
        *("logs:PutRetentionPolicy", "sqs:SetQueueAttributes"),
        *("ecr:PutLifecyclePolicy", "ecr:PutImageTagMutability"),
    }
    assert keeping & actions(plan, *(f'{part}["prod"]' for part in (*READ, *APPLY))) == set()
    assert keeping - actions(plan, 'destroy["prod"]') == set()
    # Within the boundary code may overwrite objects and change rows, which versioning and recovery bring back.
    taking = {it for it in actions(plan, 'environment_boundary["prod"]') if "Delete" in it or "Put" in it}
    assert {it for it in taking if it.startswith(("s3:", "dynamodb:", "sqs:"))} == {
        "dynamodb:DeleteItem",
        "s3:PutObject",
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_no_role_is_made_without_the_boundary_of_its_environment(
    plan: dict[str, Any], environment: str
) -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/scones-boundary-{environment}"
    for statement in statements(plan, f'access["{environment}"]'):
        if {"iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"} & set(
            statement["Action"]
        ):
            assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}
    # Roles that deploy are not roles of a deployment, so that none can change itself.
    for address, it in plan.items():
        if address.startswith("aws_iam_role.github"):
            assert it["path"] == "/ci/"


def test_the_boundary_leaves_every_role_its_own_permissions(
    plan: dict[str, Any], provisioned: dict[str, Any]
) -> None:
    granted = {
        action
        for change in provisioned["resource_changes"]
        if change["type"] == "aws_iam_role_policy"
        for statement in json.loads(change["change"]["after"]["policy"])["Statement"]
        for action in statement["Action"]
    }
    assert granted - actions(plan, 'environment_boundary["prod"]') == set(), (
        "add them to terraform/bootstrap/boundary.tf"
    )


def recorded() -> dict[str, list[str]]:
    return json.loads(CALLS.read_text(encoding="utf-8"))


def permissions_of_calls() -> set[str]:
    return {PERMISSIONS.get(call, call) for calls in recorded().values() for call in calls}


def test_the_provider_s_calls_are_on_record_for_every_type_of_resource(provisioned: dict[str, Any]) -> None:
    planned = {it["type"] for it in provisioned["resource_changes"] if it["type"].startswith("aws_")}

    assert planned - recorded().keys() == set(), f"apply and destroy one, and add its calls to {CALLS.name}"


def test_an_apply_role_reaches_everything_by_its_name(
    plan: dict[str, Any], provisioned: dict[str, Any]
) -> None:
    """It makes each resource and reads something of it."""
    granted, read = (
        [it for part in parts for it in statements(plan, f'{part}["prod"]') if it["Effect"] == "Allow"]
        for parts in (APPLY, READ)
    )
    unreached, seen = [], set()
    for change in provisioned["resource_changes"]:
        if change["type"] not in NAMED:
            continue
        action, attribute, arn = NAMED[change["type"]]
        name = change["change"]["after"][attribute]
        wanted = "arn:aws:" + arn.format(region="us-east-1", account=ACCOUNT, name=name)
        making = [it for each in granted if action in each["Action"] for it in each["Resource"]]
        service = action.partition(":")[0]
        reading = [it for each in read if each["Action"][0].startswith(service) for it in each["Resource"]]
        # Aliases are read by a list, which names no resource.
        for patterns in (making,) if change["type"] == "aws_kms_alias" else (making, reading):
            unreached += [wanted] * (not any(fnmatchcase(wanted, it) for it in patterns))
        seen.add(change["type"])
    assert unreached == []
    assert seen == NAMED.keys()


def test_whatever_the_provider_calls_is_granted(plan: dict[str, Any]) -> None:
    calls = permissions_of_calls()
    granted = actions(plan, *(f'{part}["dev"]' for part in (*READ, *APPLY, "destroy")))
    assert calls - granted == set()


def test_a_role_that_plans_may_read_what_the_provider_reads(plan: dict[str, Any]) -> None:
    reads = {call for call in permissions_of_calls() if call.split(":")[1].startswith(READING)}
    only_to_destroy = {"iam:ListInstanceProfilesForRole", "s3:ListBucketVersions"}
    assert reads - actions(plan, *(f'{part}["dev"]' for part in READ)) - only_to_destroy == set()


def test_every_statement_is_named_and_no_action_is_a_pattern(plan: dict[str, Any]) -> None:
    policies = {
        address: it["policy"] for address, it in plan.items() if address.startswith("aws_iam_policy.")
    }
    assert len(policies) == 14
    for address, policy in policies.items():
        sids = [statement["Sid"] for statement in json.loads(policy)["Statement"]]
        assert len(set(sids)) == len(sids), address
        assert "*" not in "".join(it for s in json.loads(policy)["Statement"] for it in s["Action"]), address


def test_policies_are_short_enough_with_the_longest_names(module: OfflineModule) -> None:
    longest = ("-var=project=" + "p" * 20, f'-var=environments=["{"e" * 12}"]', "-var=region=us-gov-west-1")
    for address, it in changes(module, *longest).items():
        if address.startswith("aws_iam_policy."):
            assert len("".join(it["after"]["policy"].split())) <= CHARACTERS, address


def test_an_account_with_the_former_policies_loses_none_that_is_in_use(module: OfflineModule) -> None:
    """The former boundary and read policy stay in the account, forgotten: roles and people still carry them."""
    former = {"scones-boundary": "boundary", "scones-read": "read"}
    module.state.write_text(json.dumps(saved_state(former)), encoding="utf-8")
    try:
        done = changes(module)
    finally:
        module.state.unlink()
    assert {address: it["actions"] for address, it in done.items() if it["actions"] != ["create"]} == {
        f"aws_iam_policy.{address}": ["forget"] for address in former.values()
    }
    assert 'aws_iam_policy.environment_boundary["prod"]' in done


def saved_state(policies: dict[str, str]) -> dict[str, Any]:
    """Terraform's state of policies: {name: name of the resource}."""
    provider = 'provider["registry.terraform.io/hashicorp/aws"]'
    resources = [
        {
            "mode": "managed",
            "type": "aws_iam_policy",
            "name": resource,
            "provider": provider,
            "instances": [
                {
                    "schema_version": 0,
                    "attributes": {
                        "arn": f"arn:aws:iam::{ACCOUNT}:policy/{name}",
                        "name": name,
                        "policy": "{}",
                    },
                }
            ],
        }
        for name, resource in policies.items()
    ]
    return {
        "version": 4,
        "terraform_version": "1.10.0",
        "serial": 1,
        "lineage": "former",
        "resources": resources,
    }


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (
            "-var=github_repository=https://github.com/octo-org/scones",
            ["https://github.com", "give owner/name"],
        ),
        ('-var=environments=["dev","apply"]', ['["apply","dev"]', "reserved", "choose another name"]),
        ('-var=environments=["ci"]', ['["ci"]', "reserved", "choose another name"]),
        ('-var=environments=["plan"]', ['["plan"]', "reserved", "choose another name"]),
        ('-var=environments=["state"]', ['["state"]', "reserved", "choose another name"]),
        ('-var=environments=["a1","a2","a3","a4","a5","a6"]', ["6 names", "ten", "a second account"]),
    ],
)
def test_a_mistake_is_refused_with_a_way_out(module: OfflineModule, mistake: str, words: list[str]) -> None:
    good = "-var=github_repository=octo-org/scones"
    with pytest.raises(TerraformFailed) as refused:
        module.run("plan", "-no-color", "-input=false", good, mistake)
    told = " ".join(str(refused.value).split())
    assert [word for word in words if word not in told] == []


def test_an_existing_identity_provider_is_taken(module: OfflineModule) -> None:
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
    _, text = module.run(
        "plan",
        "-no-color",
        "-input=false",
        "-var=github_repository=o/r",
        f"-var=existing_oidc_provider_arn={provider}",
    )
    assert "aws_iam_openid_connect_provider" not in text
