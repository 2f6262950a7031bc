"""Repairs of moto: each is seen through boto3, as Terraform's provider would see it."""

import json
import re
import uuid
from typing import Any
from urllib.parse import unquote

import pytest
from botocore.exceptions import ClientError

from tests.local_aws.conftest import Server


def deny(**condition: Any) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": condition,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    ("condition", "denied"),
    [
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringNotEquals": {"s3:x-amz-server-side-encryption": "aws:kms"}}, False),
    ],
)
def test_a_bucket_policy_denies_only_when_its_condition_is_met(
    server: Server, condition: dict[str, Any], denied: bool
) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"""
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=deny(**condition))
    if denied:
        with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
            s3.get_object(Bucket=bucket, Key="a")
    else:
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"


def test_a_bucket_says_that_it_notifies_eventbridge(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html"""
    s3, bucket = server.client("s3"), server.create_bucket()
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    assert "EventBridgeConfiguration" not in s3.get_bucket_notification_configuration(Bucket=bucket)


def test_a_queue_keeps_its_policy_when_another_attribute_changes(server: Server) -> None:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html"""
    sqs = server.client("sqs")
    url, arn = server.create_queue()
    _, dead_letters = server.create_queue()
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Sid": "A", "Effect": "Allow", "Resource": arn}]}
    )
    redrive = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 3}, separators=(",", ":"))
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy, "RedrivePolicy": redrive})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "60"})
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert json.loads(attributes["Policy"]) == json.loads(policy)
    assert attributes["RedrivePolicy"] == redrive
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
    assert "Policy" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


def test_a_function_keeps_its_whole_configuration(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html"""
    _, queue = server.create_queue()
    logging = {"LogFormat": "JSON", "LogGroup": "/x", "ApplicationLogLevel": "WARN", "SystemLogLevel": "INFO"}
    name = server.create_function("x = 1", LoggingConfig=logging, DeadLetterConfig={"TargetArn": queue})
    client = server.client("lambda")
    configuration = client.get_function_configuration(FunctionName=name)
    assert configuration["LoggingConfig"] == logging
    assert configuration["DeadLetterConfig"] == {"TargetArn": queue}
    client.update_function_configuration(
        FunctionName=name,
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/y"},
        TracingConfig={"Mode": "Active"},
        EphemeralStorage={"Size": 1024},
    )
    configuration = client.get_function_configuration(FunctionName=name)
    assert configuration["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/y"}
    assert configuration["TracingConfig"] == {"Mode": "Active"}
    assert configuration["EphemeralStorage"] == {"Size": 1024}


def test_the_invocation_settings_of_each_alias_are_its_own(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html"""
    client, name = server.client("lambda"), server.create_function("x = 1", Publish=True)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="live", MaximumRetryAttempts=0)
    client.update_function_event_invoke_config(
        FunctionName=name, Qualifier="live", MaximumEventAgeInSeconds=60
    )
    found = client.get_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert (found["MaximumRetryAttempts"], found["MaximumEventAgeInSeconds"]) == (0, 60)
    assert found["FunctionArn"].endswith(":live")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_function_event_invoke_config(FunctionName=name)
    client.delete_function_event_invoke_config(FunctionName=name, Qualifier="live")
    assert not client.list_function_event_invoke_configs(FunctionName=name)["FunctionEventInvokeConfigs"]


def test_a_scaling_target_has_tags(server: Server) -> None:
    """https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ListTagsForResource.html"""
    client = server.client("application-autoscaling")
    target = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/x/variant/primary",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    arn = client.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2, Tags={"a": "1", "b": "2"})[
        "ScalableTargetARN"
    ]
    client.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    client.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2", "c": "3"}


def test_a_terraform_state_is_locked_by_a_conditional_write(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_object(Bucket=bucket, Key="lock", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="lock", Body=b"2", IfNoneMatch="*")


@pytest.mark.parametrize(
    "key", ["a+b%20c.jpg", "line\nbreak.jpg", "a & b <c>.jpg", "Fahrräder 🚲.jpg", "plain.jpg"]
)
def test_listed_versions_name_the_exact_key_in_the_encoding_asked_for(server: Server, key: str) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html"""
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    listed = s3.list_object_versions(Bucket=bucket, EncodingType="url")
    decoded = s3.list_object_versions(Bucket=bucket)

    assert listed["EncodingType"] == "url"
    assert unquote(listed["Versions"][0]["Key"]) == key
    assert decoded["Versions"][0]["Key"] == key


def test_a_key_is_gone_when_its_versions_and_its_delete_marker_are_deleted(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/ManagingDelMarkers.html"""
    s3, bucket = server.client("s3"), server.create_bucket()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key="a.jpg", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="a.jpg")["VersionId"]

    for each in (version, marker):
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a.jpg", "VersionId": each}]})

    listed = s3.list_object_versions(Bucket=bucket)
    assert not listed.get("Versions")
    assert not listed.get("DeleteMarkers")


def test_a_budget_has_tags_and_subscribers_and_can_change(server: Server) -> None:
    """https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_Operations_AWS_Budgets.html"""
    budgets, account = server.client("budgets"), server.facts["account"]
    budget: dict[str, Any] = {
        "BudgetName": "b",
        "BudgetType": "COST",
        "TimeUnit": "MONTHLY",
        "BudgetLimit": {"Amount": "300", "Unit": "USD"},
    }
    spent: dict[str, Any] = {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": 80,
        "ThresholdType": "PERCENTAGE",
    }
    subscriber = {"SubscriptionType": "EMAIL", "Address": "you@example.com"}
    budgets.create_budget(
        AccountId=account,
        Budget=budget,
        NotificationsWithSubscribers=[{"Notification": spent, "Subscribers": [subscriber]}],
        ResourceTags=[{"Key": "project", "Value": "scones"}],
    )
    arn = f"arn:aws:budgets::{account}:budget/b"
    budgets.tag_resource(ResourceARN=arn, ResourceTags=[{"Key": "owner", "Value": "you"}])
    budgets.untag_resource(ResourceARN=arn, ResourceTagKeys=["project"])
    budgets.update_budget(
        AccountId=account, NewBudget=budget | {"BudgetLimit": {"Amount": "400", "Unit": "USD"}}
    )

    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [
        {"Key": "owner", "Value": "you"}
    ]
    named = {"AccountId": account, "BudgetName": "b"}
    assert budgets.describe_subscribers_for_notification(**named, Notification=spent)["Subscribers"] == [
        subscriber
    ]
    other = spent | {"Threshold": 100}
    assert budgets.describe_subscribers_for_notification(**named, Notification=other)["Subscribers"] == []
    assert budgets.describe_budget(**named)["Budget"]["BudgetLimit"]["Amount"] == "400"


STORED = {"a": {"N": "1"}, "l": {"L": [{"S": text} for text in "vwxyz"]}, "m": {"M": {"k": {"S": "old"}}}}


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("SET #a = :n, b = :s REMOVE m", {"a": {"N": "5"}, "b": {"S": "new"}, "m": None}),
        ("SET m.k = :s, l[1] = :s", {"m": {"M": {"k": {"S": "new"}}}, "l": ["v", "new", "x", "y", "z"]}),
        ("REMOVE l[0], l[2], l[4]", {"l": ["w", "y"]}),
        ("SET l = list_append(if_not_exists(gone, :e), l), #a = #a + :n", {"l": [*"vwxyz"], "a": {"N": "6"}}),
        ("ADD #a :n, t :t", {"a": {"N": "6"}, "t": {"SS": ["q"]}}),
    ],
)
def test_an_update_does_what_its_expression_says(
    server: Server, expression: str, changed: dict[str, Any]
) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html"""
    lists = {
        name: {"L": [{"S": each} for each in value]}
        for name, value in changed.items()
        if isinstance(value, list)
    }
    expected = {name: value for name, value in (STORED | changed | lists).items() if value is not None}
    for _ in range(2):  # what is remembered of an expression stays as it was
        assert updated(server, expression) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("SET #a = :n SET b = :s", 'The "SET" section can only be used once'),
        ("SET b = :s, b = :s", "Two document paths overlap"),
        ("SET m = :e, m.k = :s", "Two document paths overlap"),
        ("SET id = :s", "Cannot update attribute id"),
        ("SET b = gone", "refers to an attribute that does not exist"),
        ("SET gone.k = :s", "document path provided in the update expression is invalid"),
    ],
)
def test_an_update_that_cannot_be_is_refused(server: Server, expression: str, message: str) -> None:
    for _ in range(2):
        with pytest.raises(ClientError, match=message):
            updated(server, expression)


def updated(server: Server, expression: str) -> dict[str, Any]:
    """An item like STORED after an update, without its key."""
    dynamodb, table = server.client("dynamodb"), f"table-{uuid.uuid4()}"
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}, **STORED})
    values = {":n": {"N": "5"}, ":s": {"S": "new"}, ":e": {"L": []}, ":t": {"SS": ["q"]}}
    names = {"ExpressionAttributeNames": {"#a": "a"}} if "#a" in expression else {}
    used = {name: value for name, value in values.items() if re.search(rf"{name}\b", expression)}
    dynamodb.update_item(
        TableName=table,
        Key={"id": {"S": "1"}},
        UpdateExpression=expression,
        **names,
        **({"ExpressionAttributeValues": used} if used else {}),
    )
    item = dynamodb.get_item(TableName=table, Key={"id": {"S": "1"}})["Item"]
    return {name: value for name, value in item.items() if name != "id"}
