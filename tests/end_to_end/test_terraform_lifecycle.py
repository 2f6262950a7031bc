"""Terraform against the running stack: an empty second plan, a model update in place, and a clean end."""

import json
import tarfile
from pathlib import Path

import boto3
import pytest

from scripts.local_stack import SHIPPED_MODEL, STATE_BUCKET

pytestmark = [pytest.mark.last, pytest.mark.timeout(600)]


def plan(stack, folder: Path) -> dict[str, list[str]]:
    """Plans and returns {address: actions} of everything that would change."""
    saved = folder / "plan"
    stack.terraform(
        "plan", "-detailed-exitcode", f"-out={saved}", "-no-color", *stack.var_files(), accept=(0, 2)
    )
    _, shown = stack.terraform("show", "-json", str(saved))
    changes = json.loads(shown)["resource_changes"]
    return {
        change["address"]: change["change"]["actions"]
        for change in changes
        if change["change"]["actions"] != ["no-op"]
    }


@pytest.fixture
def renamed_model(tmp_path: Path) -> Path:
    """The shipped model under another name, as the next training job would have made it."""
    with tarfile.open(SHIPPED_MODEL) as tar:
        tar.extractall(tmp_path / "model", filter="data")
    facts = tmp_path / "model" / "model.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"name": "next-model"}))
    artifact = tmp_path / "next.tar.gz"
    with tarfile.open(artifact, "w:gz") as tar:
        for path in sorted((tmp_path / "model").iterdir()):
            tar.add(path, arcname=path.name)
    return artifact


def test_a_second_plan_is_empty(stack):
    code, output = stack.terraform(
        "plan", "-detailed-exitcode", "-no-color", *stack.var_files(), accept=(0, 2)
    )

    assert code == 0, output


def test_a_new_model_updates_the_endpoint_in_place_and_answers(
    stack, workflow, tmp_path, renamed_model, bicycle
):
    stack.publish(renamed_model)

    changes = plan(stack, tmp_path)

    replaced = sorted(address for address, actions in changes.items() if set(actions) == {"create", "delete"})
    updated = [address for address, actions in changes.items() if actions == ["update"]]
    assert len(changes) == 3, changes
    assert [address.split(".")[-2] for address in replaced] == [
        "aws_sagemaker_endpoint_configuration",
        "aws_sagemaker_model",
    ]
    assert [address.split(".")[-2] for address in updated] == ["aws_sagemaker_endpoint"]

    stack.apply()

    outcome = workflow.classify(str(bicycle))
    row = workflow.row(outcome.uri, outcome.version)
    assert (row["status"], row["model"]) == ("ACCEPTED", "next-model")
    assert plan(stack, tmp_path) == {}


def test_destroy_leaves_nothing_of_the_project(stack):
    client = {
        service: boto3.client(
            service,
            endpoint_url=stack.variables["AWS_ENDPOINT_URL"],
            region_name=stack.variables["AWS_REGION"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        for service in (
            "s3",
            "dynamodb",
            "lambda",
            "stepfunctions",
            "sagemaker",
            "sns",
            "sqs",
            "iam",
            "events",
            "logs",
            "ecr",
            "kms",
        )
    }

    stack.terraform("destroy", "-auto-approve", "-no-color", "-parallelism=40", *stack.var_files())

    left = {
        "buckets": [
            bucket["Name"]
            for bucket in client["s3"].list_buckets()["Buckets"]
            if bucket["Name"] != STATE_BUCKET
        ],
        "tables": client["dynamodb"].list_tables()["TableNames"],
        "functions": [
            function["FunctionName"] for function in client["lambda"].list_functions()["Functions"]
        ],
        "state machines": client["stepfunctions"].list_state_machines()["stateMachines"],
        "endpoints": client["sagemaker"].list_endpoints()["Endpoints"],
        "endpoint configurations": client["sagemaker"].list_endpoint_configs()["EndpointConfigs"],
        "models": client["sagemaker"].list_models()["Models"],
        "topics": client["sns"].list_topics()["Topics"],
        "queues": client["sqs"].list_queues().get("QueueUrls", []),
        "roles": [role["RoleName"] for role in client["iam"].list_roles()["Roles"]],
        "rules": client["events"].list_rules()["Rules"],
        "log groups": client["logs"].describe_log_groups()["logGroups"],
        "repositories": client["ecr"].describe_repositories()["repositories"],
        "aliases": [
            a["AliasName"]
            for a in client["kms"].list_aliases()["Aliases"]
            if not a["AliasName"].startswith("alias/aws/")
        ],
    }
    assert {kind: names for kind, names in left.items() if names} == {}
