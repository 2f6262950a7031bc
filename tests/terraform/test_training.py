"""What a training job may reach, read from the plan."""

import json
from collections.abc import Callable
from typing import Any

import pytest

BUCKET = "arn:aws:s3:::scones-dev-123456789012-us-east-1"
JOB = f"{BUCKET}/training/scones-dev-training-*"


@pytest.fixture
def permissions(development: dict[str, Any], planned: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    """The statements of the training role's policy by Sid."""
    policy = planned(development)["module.training.aws_iam_role_policy.job"]["policy"]
    return {statement["Sid"]: statement for statement in json.loads(policy)["Statement"]}


def test_a_job_reads_data_code_and_checkpoints_and_no_pictures(permissions: dict[str, Any]) -> None:
    readable = [
        resource
        for statement in permissions.values()
        for resource in statement["Resource"]
        if "s3:GetObject" in statement["Action"]
    ]
    assert readable == [f"{BUCKET}/training/data/*", f"{JOB}/source/*", f"{JOB}/checkpoints/*"]
    assert permissions["FindDataAndCode"]["Condition"] == {"StringLike": {"s3:prefix": ["training/*"]}}


def test_a_job_cannot_publish_a_model(
    permissions: dict[str, Any],
) -> None:
    """models/ is what endpoints serve: only `scones promote` puts something there."""
    writable = [
        resource
        for statement in permissions.values()
        for resource in statement["Resource"]
        if "s3:PutObject" in statement["Action"]
    ]
    assert writable == [f"{JOB}/output/*", f"{JOB}/checkpoints/*"]


def test_a_job_uses_the_key_through_s3_only(permissions: dict[str, Any]) -> None:
    conditions = permissions["UseKeyOfBucket"]["Condition"]
    assert conditions["StringEquals"] == {"kms:ViaService": ["s3.us-east-1.amazonaws.com"]}
    assert conditions["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": ["alias/scones-dev"]}


def test_a_job_pulls_the_one_image_and_writes_its_own_log(permissions: dict[str, Any]) -> None:
    assert permissions["PullImage"]["Resource"] == ["arn:aws:ecr:us-east-1:763104351884:repository/pytorch"]
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TrainingJobs"
    assert permissions["WriteLogs"]["Resource"] == [
        f"{group}:log-stream:scones-dev-training-????????-??????/*"
    ]


def test_an_image_of_ones_own_is_the_one_that_jobs_may_pull(
    root_module: Any, model: Callable[..., Any], planned: Callable[..., Any]
) -> None:
    image = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/trainer:7"
    plan = root_module.plan("dev", model=model(), training_image_uri=image)
    assert plan["planned_values"]["outputs"]["training_image_uri"]["value"] == image
    policy = planned(plan)["module.training.aws_iam_role_policy.job"]["policy"]
    assert "arn:aws:ecr:eu-west-1:123456789012:repository/team/trainer" in policy


def test_an_image_that_sagemaker_cannot_pull_is_refused(root_module: Any) -> None:
    message = root_module.refusal("dev", training_image_uri="pytorch/pytorch:latest")
    assert 'training_image_uri is "pytorch/pytorch:latest"' in message
    assert "set it to null" in message
