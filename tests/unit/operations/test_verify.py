"""What `scones verify` finds: a plan that is not empty, an endpoint that was rolled back, subscribers and alarms."""

import dataclasses

import boto3
import pytest

from scripts.common.progress import silent
from scripts.operations import verify
from scripts.operations.check import FAILED, OK, SKIPPED, subscriptions
from scripts.workflow.client import Workflow

PENDING = """<ListSubscriptionsByTopicResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">
<ListSubscriptionsByTopicResult><Subscriptions><member><SubscriptionArn>PendingConfirmation</SubscriptionArn>
<Protocol>email</Protocol><Endpoint>late@example.com</Endpoint></member></Subscriptions>
</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"""
TOPIC = "arn:aws:sns:us-east-1:123456789012:scones-test-alerts"
NAME, OLD, NEW = "scones-test-classifier", "scones-test-classifier-aaa", "scones-test-classifier-bbb"


def planned(configuration=None, changes=(), outputs=None):
    """A plan's JSON with an endpoint of a configuration, and changes as (action, address)."""
    endpoint = {
        "mode": "managed",
        "type": "aws_sagemaker_endpoint",
        "values": {"name": NAME, "endpoint_config_name": configuration},
    }
    return {
        "planned_values": {"root_module": {"resources": [endpoint] if configuration else []}},
        "resource_changes": [
            {
                "address": address,
                "mode": "managed",
                "type": "aws_sns_topic",
                "change": {"actions": [action], "before": {}, "after": {}, "after_unknown": {}},
            }
            for action, address in changes
        ],
        "output_changes": outputs or {},
    }


@pytest.fixture
def sagemaker(deployment):
    """An endpoint that runs OLD."""
    client = deployment.client("sagemaker")
    client.create_model(
        ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/m", PrimaryContainer={}
    )
    variant = {
        "VariantName": "primary",
        "ModelName": "m",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName=OLD, ProductionVariants=[variant])
    client.create_endpoint(EndpointName=NAME, EndpointConfigName=OLD)
    return client


def test_an_endpoint_with_the_requested_configuration_holds(deployment, sagemaker):
    assert verify.endpoint(deployment, planned(OLD)).state == OK


def test_a_rolled_back_endpoint_is_found(deployment, sagemaker):
    """Although the apply succeeded."""
    sagemaker.delete_endpoint_config(EndpointConfigName=OLD)

    check = verify.endpoint(deployment, planned(NEW))

    assert check.state == FAILED
    assert f"it runs {OLD}, which is deleted" in check.why
    assert f"{NEW} was asked for" in check.why
    assert "scones rollback" in check.remedy


def test_an_endpoint_whose_configuration_somebody_deleted_is_found(deployment, sagemaker):
    sagemaker.delete_endpoint_config(EndpointConfigName=OLD)

    assert verify.endpoint(deployment, planned(OLD)).why == f"its configuration {OLD} is deleted"


def test_a_missing_endpoint_is_found_and_one_that_is_off_is_skipped(deployment):
    assert verify.endpoint(deployment, planned(NEW)).why == f"there is no endpoint {NAME}"
    assert verify.endpoint(deployment, planned()).state == SKIPPED


def test_a_plan_that_would_change_something_names_it():
    changes = [("update", "a.b"), ("create", "c.d"), ("delete", "e.f"), ("create", "g.h"), ("no-op", "i.j")]

    check = verify.plan(planned(changes=changes))

    assert check.state == FAILED
    assert check.why == "a plan would update a.b, create c.d, destroy e.f and 1 more"


def test_a_plan_that_would_only_change_an_output_is_not_empty():
    changed = {"bucket": {"actions": ["update"]}, "region": {"actions": ["no-op"]}}

    assert verify.plan(planned(outputs=changed)).why == "a plan would output bucket"
    assert verify.plan(planned()).state == OK


def test_an_alarm_that_rings_is_named_and_other_peoples_alarms_are_not(deployment):
    cloudwatch = boto3.client("cloudwatch", region_name="us-east-1")
    for name in ("scones-test-failures", "scones-test-idle", "scones-test2-failures", "other"):
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            MetricName="m",
            Namespace="n",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            Statistic="Sum",
            ComparisonOperator="GreaterThanThreshold",
        )
    cloudwatch.set_alarm_state(
        AlarmName="scones-test-idle", StateValue="INSUFFICIENT_DATA", StateReason="test"
    )
    assert verify.alarms(deployment).why == "none of 2 rings, 1 of them without data yet"

    for name in ("scones-test-failures", "scones-test2-failures"):
        cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")

    assert verify.alarms(deployment).why == "scones-test-failures in alarm"


def test_an_unconfirmed_subscriber_is_named(deployment, service):
    """Alerts do not reach such a subscriber."""
    service.answers(headers={"Content-Type": "text/xml"}, body=PENDING.encode())
    played = dataclasses.replace(deployment, variables={"AWS_ENDPOINT_URL": service.url})

    check = subscriptions(played.client("sns"), [TOPIC])

    assert check.state == FAILED
    assert check.why == "late@example.com did not confirm, and hears nothing"
    assert "mail of AWS Notifications" in check.remedy


def test_a_topic_without_subscribers_and_a_missing_one(deployment):
    sns = deployment.client("sns")
    assert subscriptions(sns, [TOPIC]).state == SKIPPED

    sns.create_topic(Name="scones-test-alerts")
    assert "nobody is subscribed" in subscriptions(sns, [TOPIC]).why

    sns.subscribe(TopicArn=TOPIC, Protocol="email", Endpoint="you@example.com")
    assert subscriptions(sns, [TOPIC]).state == OK


def test_a_late_canary_says_what_removes_its_traces(deployment, monkeypatch):
    monkeypatch.setattr(verify, "CANARY_SECONDS", 1e-9)
    canary = verify.Canary(Workflow(deployment), None, silent)

    check = canary.check()

    assert check.state == FAILED
    assert check.remedy.endswith(f"scones forget {canary.picture.uri}")
