"""What `scones doctor` finds before an apply does: credentials, the state's bucket, quotas, subscribers."""

import json
import os

import boto3
import pytest
from moto import mock_aws

from scripts.common import paths
from scripts.deployment import environments, terraform
from scripts.operations import doctor
from scripts.operations.check import FAILED, OK, SKIPPED

PROVISIONED = {
    "enabled": True,
    "instance_type": "ml.m5.large",
    "instance_count": 2,
    "scaling": {"min": 2, "max": 6, "target": 6000},
    "serverless": None,
}


@pytest.fixture
def account():
    """An environment's account, with settings as Terraform reads them, changed."""

    def make(**changes):
        settings = {
            "project": "scones",
            "environment": "test",
            "region": "us-east-1",
            "model": None,
            "endpoint": PROVISIONED,
            "subscribers": {"you@example.com": ["alarm"]},
        }
        return doctor.Account(settings | changes, boto3.Session())

    return make


@pytest.fixture
def answers(service, monkeypatch):
    """Every AWS service answers with this JSON."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.url)
    return lambda body, **facts: service.answers(body=json.dumps(body).encode(), **facts)


def quota(name, value):
    return {"Quotas": [{"QuotaName": name, "QuotaCode": "L-1234", "Value": value}]}


def test_without_credentials_nothing_else_is_asked(account, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    (only,) = account().checks()

    assert (only.what, only.state) == ("credentials", FAILED)
    assert "aws sso login" in only.remedy


@mock_aws
def test_credentials_of_another_account_than_the_models_are_found(account):
    model = {"image_uri": "999988887777.dkr.ecr.us-east-1.amazonaws.com/scones-test-serving@sha256:0"}

    assert account().credentials().state == OK
    assert "but the model was promoted in 999988887777" in account(model=model).credentials().why


@pytest.mark.parametrize(
    ("bucket", "state", "why"),
    [
        ("scones-state-111122223333", FAILED, "still names the placeholder"),
        ("scones-state-nobody-made", FAILED, "is not there"),
        ("scones-state-123456789012", OK, "kept in scones-state-123456789012"),
    ],
)
@mock_aws
def test_the_bucket_of_the_state_is_named_and_there(  # noqa: PLR0917 - fixtures
    account, monkeypatch, tmp_path, bucket, state, why
):
    monkeypatch.setattr(environments, "ENVIRONMENTS", tmp_path)
    (tmp_path / "test.s3.tfbackend").write_text(f'key = "test/terraform.tfstate"\nbucket = "{bucket}"\n')
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="scones-state-123456789012")

    check = account().state()

    assert check.state == state
    assert why in check.why


@pytest.mark.parametrize(
    ("endpoint", "limit", "state"),
    [
        (PROVISIONED, 48, OK),
        (PROVISIONED, 47, FAILED),
        (PROVISIONED | {"scaling": None}, 16, OK),
        (PROVISIONED | {"scaling": None, "serverless": {"max_concurrency": 20}}, 16, OK),
        (PROVISIONED | {"scaling": None, "serverless": {"max_concurrency": 4}}, 7, FAILED),
    ],
)
def test_an_account_must_run_a_batchs_functions_at_once(account, answers, endpoint, limit, state):
    """A batch keeps as many pictures in flight as functions must run."""
    answers({"AccountLimit": {"ConcurrentExecutions": limit}})

    check = account(endpoint=endpoint).concurrency()

    assert check.state == state
    assert f"{limit} functions may run at once" in check.why


@pytest.mark.parametrize(
    ("limit", "consequence"),
    [
        (0, "the first apply with a model would fail"),
        (1, "the first apply with a model would fail"),
        (3, "an update, which starts new ones beside the old, would fail"),
        (5, "it cannot scale out to its most"),
    ],
)
def test_a_low_quota_of_instances_says_what_will_fail(account, answers, limit, consequence):
    """And how to raise it."""
    answers(quota("ml.m5.large for endpoint usage", limit))

    check = account().instances()

    assert check.why == f"{limit} x ml.m5.large for endpoint usage: {consequence} (6 needed)"
    assert "--service-code sagemaker --quota-code L-1234 --desired-value 6" in check.remedy


def test_enough_instances_are_enough(account, answers):
    """Quotas of other types and uses do not count."""
    answers(quota("ml.m5.large for endpoint usage", 6))
    assert account().instances().state == OK

    for other in ("ml.m5.large for training job usage", "ml.m5.xlarge for endpoint usage"):
        answers(quota(other, 6))
        assert account().instances().state == SKIPPED


def test_a_serverless_endpoint_counts_by_its_concurrency(account, answers):
    answers(quota("Maximum total concurrency that can be allocated across all serverless endpoints", 10))
    serverless = PROVISIONED | {"scaling": None, "serverless": {"max_concurrency": 20}}

    assert "(20 needed)" in account(endpoint=serverless, model={}).instances().why


def test_a_check_without_permission_is_skipped(account, answers):
    """The missing permission is named."""
    answers({"__type": "AccessDeniedException", "message": "no"}, status=400)

    check = doctor._asked("instances", account().instances)

    assert (check.state, check.remedy) == (SKIPPED, "Allow ListServiceQuotas.")


def test_nobody_to_hear_is_found_before_anything_is_deployed(account):
    check = account(subscribers={}).subscriptions()

    assert check.state == FAILED
    assert "environments/test.tfvars" in check.remedy


@mock_aws
def test_subscribers_are_looked_up_where_the_topics_exist(account):
    sns, own = boto3.client("sns", region_name="us-east-1"), account()
    own.credentials()
    assert own.subscriptions().state == SKIPPED

    for name in ("alerts", "alarms"):
        topic = sns.create_topic(Name=f"scones-test-{name}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="you@example.com")
    assert own.subscriptions().state == OK


def test_a_missing_terraform_is_found_with_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    terraform.executable.cache_clear()

    found = {check.what: check for check in doctor.tools()}
    terraform.executable.cache_clear()

    assert found["python"].state == OK
    assert found["terraform"].state == FAILED
    assert found["terraform"].remedy.startswith("install version 1.10 or newer")


def test_functions_that_are_not_packaged_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert doctor.packages().remedy == "make package"

    (tmp_path / "build" / "aws").mkdir(parents=True)
    (tmp_path / "build" / "aws" / "manifest.json").touch()
    assert doctor.packages().state == OK
