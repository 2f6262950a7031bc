"""What a deployment costs idle, at a volume, and so far this month."""

from datetime import UTC, datetime, timedelta

import pytest

from scripts.operations import cost
from scripts.operations.prices import Volume
from tests.unit.operations.test_prices import BUCKET, ENDPOINT, KEY, SCALING

DEPLOYED = [BUCKET, KEY, *ENDPOINT, SCALING]
NOW = datetime.now(UTC)


@pytest.fixture
def deployment(deployment):
    """With its key, made just now."""
    deployment.outputs["key_arn"] = deployment.client("kms").create_key()["KeyMetadata"]["Arn"]
    return deployment


def test_idle_is_what_remains_with_the_endpoint_off_and_no_pictures():
    done = cost.estimate(DEPLOYED, "us-east-1", Volume())

    assert [(line.item, line.usd) for line in done.idle.lines if line.usd] == [("Keys", 1.0)]
    assert done.idle.usd == 1.0
    assert done.month.usd > 250


def test_without_an_endpoint_the_note_says_what_is_missing():
    assert "no model is promoted yet" in cost.estimate([BUCKET, KEY], "us-east-1", Volume()).month.notes[0]


def test_one_more_picture_costs_less_than_a_picture_on_average():
    done = cost.estimate(DEPLOYED, "us-east-1", Volume(pictures=1_000))

    assert done.month.per_picture == pytest.approx(done.month.usd / 1_000)
    assert 0 < done.month.per_further_picture < done.month.per_picture / 10


def row(key, time):
    return {
        "picture": {"S": key},
        "version": {"S": "1"},
        "time": {"S": f"{time:%FT%T.000Z}"},
        "status": {"S": "ACCEPTED"},
    }


def test_this_month_counts_its_decisions_and_endpoint_hours(deployment):
    """The hours count from the moment at which the endpoint was switched on."""
    first = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    table = {"TableName": deployment.ledger_table}
    for number, moment in enumerate((first - timedelta(seconds=1), first, NOW)):
        deployment.client("dynamodb").put_item(**table, Item=row(f"s3://b/{number}", moment))
    sagemaker, name = deployment.client("sagemaker"), deployment.endpoint_name
    sagemaker.create_model(
        ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/m", PrimaryContainer={}
    )
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="c")
    created = sagemaker.describe_endpoint(EndpointName=name)["CreationTime"]
    done = cost.estimate(DEPLOYED, "us-east-1", Volume())

    end_of_month = (first + timedelta(days=31)).replace(day=1) - timedelta(seconds=1)
    now = min(created + timedelta(hours=2), end_of_month)

    lines = {line.item: line for line in cost.so_far(deployment, done, now)}

    assert lines["Pictures"].formula.startswith("2 decided x $")
    assert lines["Pictures"].usd == pytest.approx(2 * done.month.per_further_picture)
    assert lines["Endpoint"].formula.endswith(" h x $0.345")
    assert lines["Endpoint"].usd == pytest.approx((now - created).total_seconds() / 3600 * 3 * 0.115)
    assert 0 < lines["Keys"].usd <= 1


def test_an_endpoint_that_is_off_has_no_hours(deployment):
    done = cost.estimate(DEPLOYED, "us-east-1", Volume())

    lines = {line.item: line for line in cost.so_far(deployment, done, datetime.now(UTC))}

    assert lines["Endpoint"].usd == 0


def test_hours_so_far_count_from_the_deployments_start(deployment):
    """Today's deployment has cost some hours, an older one the month so far."""
    done = cost.estimate(DEPLOYED, "us-east-1", Volume())
    created = deployment.client("kms").describe_key(KeyId=deployment.key_arn)["KeyMetadata"]["CreationDate"]
    first = created.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    next_month = (first + timedelta(days=31)).replace(day=1)
    now = min(created + timedelta(hours=2), next_month - timedelta(seconds=1))

    (young,) = (line for line in cost.so_far(deployment, done, now) if line.item == "Keys")
    (old,) = (
        line for line in cost.so_far(deployment, done, next_month + timedelta(days=1)) if line.item == "Keys"
    )

    assert young.usd == pytest.approx((now - created).total_seconds() / 3600 / 730)
    assert old.usd == pytest.approx(24 / 730)
