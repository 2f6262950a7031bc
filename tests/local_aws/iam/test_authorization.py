"""Who may do what: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html."""

import json
import re
import urllib.request
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.iam.required_permissions import PERMISSIONS
from tests.local_aws.conftest import Server, model_archive, policy
from tests.local_aws.events.test_service import create_rule, put_event
from tests.local_aws.sagemaker.test_training_jobs import Jobs
from tests.local_aws.sns.test_service import create_topic
from tests.local_aws.stepfunctions.test_integrations import run_machine

# Does what its event asks for, and returns how AWS refused it.
CALLER = """
import boto3
from botocore.exceptions import ClientError

def lambda_handler(event, context):
    client = boto3.client(event["service"])
    try:
        getattr(client, event["operation"])(**event["arguments"])
    except ClientError as error:
        return error.response["Error"]
"""
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
LOGS = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}


def allow(*actions: str, resource: str = "*", condition: Any = None) -> dict[str, Any]:
    statement = {
        "Sid": re.sub("[^A-Za-z]", "", actions[0]),
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": resource,
    }
    return {**statement, "Condition": condition} if condition else statement


class Function:
    """A function with just these permissions, which calls AWS."""

    def __init__(self, server: Server, *statements: dict[str, Any]) -> None:
        self._client = server.client("lambda")
        self.role = server.create_role(*(statements or (LOGS,)))
        self.name = server.create_function(CALLER, Role=self.role)

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, str]:
        """The error's `Code` and `Message`, or nothing."""
        event = {"service": service, "operation": operation, "arguments": arguments}
        answer = self._client.invoke(FunctionName=self.name, Payload=json.dumps(event))
        result = json.load(answer["Payload"])
        assert "FunctionError" not in answer, result
        return result or {}


def encrypted_bucket(server: Server) -> tuple[str, str, str]:
    """A bucket whose objects are encrypted by a key of the account; returns its name, the key's ARN and alias."""
    kms, alias = server.client("kms"), f"alias/key-{uuid.uuid4().hex[:8]}"
    root = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}}
    key = kms.create_key(Policy=policy({**root, "Action": "kms:*", "Resource": "*"}))["KeyMetadata"]["Arn"]
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    bucket = server.create_bucket()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    server.client("s3").put_bucket_encryption(
        Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )
    server.client("s3").put_object(Bucket=bucket, Key="a", Body=b"text")
    return bucket, key, alias


def decisions(server: Server) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{server.url}/_local/permissions") as answer:
        listed: list[dict[str, Any]] = json.load(answer)["decisions"]
    return listed


def test_a_function_may_do_exactly_what_its_role_may(server: Server) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    bucket = server.create_bucket()
    server.client("s3").put_object(Bucket=bucket, Key="a", Body=b"")
    function = Function(server, allow("s3:GetObject", resource=f"arn:aws:s3:::{bucket}/*"))

    assert function.call("s3", "get_object", Bucket=bucket, Key="a") == {}
    refused = function.call("s3", "put_object", Bucket=bucket, Key="b")
    name = function.role.rpartition("/")[2]
    assert refused["Code"] == "AccessDenied"
    assert f"User: arn:aws:sts::123456789012:assumed-role/{name}/" in refused["Message"]
    assert f"perform: s3:PutObject on resource: arn:aws:s3:::{bucket}/b because no id" in refused["Message"]


def test_an_encrypted_object_takes_its_key_through_s3(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html"""
    bucket, key, alias = encrypted_bucket(server)
    read, of_key = allow("s3:GetObject"), {"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}}
    via_s3, via_sns = (
        allow(
            "kms:Decrypt",
            condition={**of_key, "StringEquals": {"kms:ViaService": f"{name}.us-east-1.amazonaws.com"}},
        )
        for name in ("s3", "sns")
    )

    for statements in ([read], [read, via_sns]):
        refused = Function(server, *statements).call("s3", "get_object", Bucket=bucket, Key="a")
        assert refused["Code"] == "AccessDenied"
        assert f"kms:Decrypt on resource: {key}" in refused["Message"]
    permitted = Function(server, read, via_s3)
    assert permitted.call("s3", "get_object", Bucket=bucket, Key="a") == {}


def test_only_who_may_list_a_bucket_learns_of_a_missing_key(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
    bucket = server.create_bucket()
    listing = allow("s3:ListBucket", condition={"StringLike": {"s3:prefix": "no*"}})
    blind, seeing = Function(server, allow("s3:Get*")), Function(server, allow("s3:Get*"), listing)

    assert blind.call("s3", "get_object", Bucket=bucket, Key="none")["Code"] == "AccessDenied"
    assert seeing.call("s3", "get_object", Bucket=bucket, Key="none")["Code"] == "NoSuchKey"
    assert seeing.call("s3", "get_object", Bucket=bucket, Key="elsewhere")["Code"] == "AccessDenied"
    assert blind.call("s3", "head_object", Bucket=bucket, Key="none")["Code"] == "403"
    assert seeing.call("s3", "head_object", Bucket=bucket, Key="none")["Code"] == "404"


def test_a_version_takes_another_permission_than_the_object(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html"""
    bucket, s3 = server.create_bucket(), server.client("s3")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = {"Bucket": bucket, "Key": "a"}
    version["VersionId"] = s3.put_object(Bucket=bucket, Key="a", Body=b"")["VersionId"]

    assert Function(server, allow("s3:GetObjectVersion")).call("s3", "get_object", **version) == {}
    refused = Function(server, allow("s3:GetObject")).call("s3", "get_object", **version)
    assert "s3:GetObjectVersion" in refused["Message"]


def test_a_listing_is_bounded_by_its_prefix(server: Server) -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html"""
    bucket = server.create_bucket()
    function = Function(server, allow("s3:ListBucket", condition={"StringLike": {"s3:prefix": "results/*"}}))

    assert function.call("s3", "list_objects_v2", Bucket=bucket, Prefix="results/a") == {}
    assert function.call("s3", "list_objects_v2", Bucket=bucket, Prefix="models/")["Code"] == "AccessDenied"
    assert function.call("s3", "list_objects_v2", Bucket=bucket)["Code"] == "AccessDenied"


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code"),
    [
        ("sns", "publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": "m"}, "AuthorizationError"),
        ("sqs", "send_message", {"QueueUrl": "http://q/123456789012/q", "MessageBody": "m"}, "AccessDenied"),
        ("dynamodb", "get_item", {"TableName": "t", "Key": {"a": {"S": "b"}}}, "AccessDeniedException"),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": ""}, "AccessDeniedException"),
        ("lambda", "invoke", {"FunctionName": "f"}, "AccessDeniedException"),
        ("stepfunctions", "start_execution", {"stateMachineArn": MACHINE}, "AccessDeniedException"),
        ("cloudwatch", "put_metric_data", {"Namespace": "n", "MetricData": []}, "AccessDenied"),
        ("kinesis", "list_streams", {}, "UnknownOperationException"),
    ],
)  # fmt: skip
def test_each_service_refuses_in_its_own_words(
    stranger: Function, service: str, operation: str, arguments: dict[str, Any], code: str
) -> None:
    refused = stranger.call(service, operation, **arguments)
    assert (refused["Code"], "is not authorized to perform" in refused["Message"]) == (
        code,
        code != "UnknownOperationException",
    )


@pytest.fixture(scope="module")
def stranger(server: Server) -> Function:
    """A function that may do nothing but log."""
    return Function(server)


def test_everybody_may_ask_who_he_is(server: Server, stranger: Function) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html"""
    assert stranger.call("sts", "get_caller_identity") == {}


def test_a_message_to_an_encrypted_topic_takes_the_topics_key(server: Server) -> None:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html"""
    _, key, _ = encrypted_bucket(server)
    topic = create_topic(server)
    server.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=key
    )
    message = {"TopicArn": topic, "Message": "m"}

    refused = Function(server, allow("sns:Publish")).call("sns", "publish", **message)
    assert (refused["Code"], "kms:GenerateDataKey" in refused["Message"]) == ("KMSAccessDenied", True)
    sender = Function(server, allow("sns:Publish", "kms:GenerateDataKey", "kms:Decrypt"))
    assert sender.call("sns", "publish", **message) == {}


def test_a_function_needs_a_role_that_trusts_lambda(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
    iam, name = server.client("iam"), f"role-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy(allow("*")))
    function = Function(server)
    server.client("lambda").update_function_configuration(FunctionName=function.name, Role=role)

    with pytest.raises(ClientError, match=r"AccessDeniedException.*cannot be assumed by Lambda"):
        function.call("s3", "list_buckets")


def test_a_function_without_leave_to_log_leaves_no_log(server: Server) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html"""
    silent = Function(server, allow("sns:Publish"))
    silent.call("sts", "get_caller_identity")
    groups = server.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{silent.name}")

    assert groups["logGroups"] == []


@pytest.mark.parametrize(
    ("resource", "arguments", "error"),
    [
        ("lambda:invoke", {"FunctionName": "f"}, "Lambda.AWSLambdaException"),
        ("dynamodb:getItem", {"TableName": "t", "Key": {}}, "DynamoDB.AmazonDynamoDBException"),
        ("sns:publish", {"TopicArn": "arn:aws:sns:us-east-1:123456789012:t", "Message": "m"}, "SNS.AuthorizationErrorException"),
        ("sqs:sendMessage", {"QueueUrl": "http://q/123456789012/q", "MessageBody": "m"}, "SQS.AmazonSQSException"),
        ("states:startExecution", {"StateMachineArn": MACHINE}, "StepFunctions.AWSStepFunctionsException"),
        ("aws-sdk:s3:headObject", {"Bucket": "none", "Key": "a"}, "S3.S3Exception"),
        ("aws-sdk:sfn:describeExecution", {"ExecutionArn": MACHINE.replace("stateMachine", "execution")}, "Sfn.SfnException"),
    ],
)  # fmt: skip
def test_a_task_that_the_machines_role_may_not_do_fails(
    server: Server, resource: str, arguments: dict[str, Any], error: str
) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concept-create-iam-advanced.html"""
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Arguments": arguments, "End": True}
    ended = run_machine(server, {"Task": task}, server.create_role(LOGS))

    assert ended["error"] == error
    assert resource.startswith("aws-sdk:s3") or "is not authorized to perform" in ended["cause"]


def test_a_machine_that_logs_needs_leave_to_deliver_logs(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html"""
    definition = {"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    with pytest.raises(ClientError, match="not authorized to access the Log Destination"):
        server.client("stepfunctions").create_state_machine(
            name="silent",
            definition=json.dumps(definition),
            roleArn=server.create_role(LOGS),
            loggingConfiguration={"level": "ERROR"},
        )


def test_a_distributed_map_starts_children_of_its_own_machine(server: Server) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html"""
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": "Pass",
        "States": {"Pass": {"Type": "Pass", "End": True}},
    }
    each = {"Type": "Map", "Items": [1, 2], "ItemProcessor": processor, "End": True}

    ended = run_machine(server, {"Each": each}, server.create_role(LOGS))
    assert "states:StartExecution" in ended["cause"]
    may = server.create_role(allow("states:StartExecution", "states:DescribeExecution"))
    assert run_machine(server, {"Each": each}, may)["output"] == [1, 2]


def test_a_rule_invokes_the_functions_that_let_it(server: Server) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    url, arn = server.create_queue()
    function = server.client("lambda").get_function(FunctionName=server.create_function("x = 1"))
    target = {"Arn": function["Configuration"]["FunctionArn"], "DeadLetterConfig": {"Arn": arn}}
    create_rule(server, {"source": ["to.a.stranger"]}, target)
    put_event(server, "to.a.stranger")

    attributes = server.receive(url)["MessageAttributes"]
    assert attributes["ERROR_CODE"]["StringValue"] == "AccessDeniedException"
    assert "events.amazonaws.com is not authorized" in attributes["ERROR_MESSAGE"]["StringValue"]


def test_a_rule_starts_machines_by_its_targets_role(server: Server) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-iam-roles.html"""
    url, arn = server.create_queue()
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:any"
    target = {"Arn": machine, "RoleArn": server.create_role(LOGS), "DeadLetterConfig": {"Arn": arn}}
    create_rule(server, {"source": ["by.a.stranger"]}, target)
    put_event(server, "by.a.stranger")

    assert "states:StartExecution" in server.receive(url)["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"]


def test_a_model_is_read_by_its_role(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"""
    bucket = server.create_bucket()
    server.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=model_archive())
    container = {"Image": "serving:1", "ModelDataUrl": f"s3://{bucket}/model.tar.gz"}
    image = allow("ecr:GetAuthorizationToken")
    for statements, told in (([LOGS], "ecr:GetAuthorizationToken"), ([image], "s3:ListBucket")):
        with pytest.raises(ClientError, match=told):
            server.client("sagemaker").create_model(
                ModelName="x", ExecutionRoleArn=server.create_role(*statements), PrimaryContainer=container
            )


def test_a_training_job_reads_and_writes_by_its_role(server: Server) -> None:
    """https://docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html"""
    jobs = Jobs(server)
    jobs.role = server.create_role(allow("s3:ListBucket", "s3:GetObject", "ecr:*", "logs:*"))

    described = jobs.ended(jobs.start())
    assert described["TrainingJobStatus"] == "Failed"
    assert "is not authorized to perform: s3:PutObject" in described["FailureReason"]


def test_a_session_of_a_role_is_bound_by_it_and_other_credentials_are_not(server: Server) -> None:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html"""
    bucket = server.create_bucket()
    role = server.create_role(allow("s3:ListBucket"))
    keys = server.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    session = boto3.session.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], "us-east-1"
    )
    s3 = session.client("s3", endpoint_url=server.url)

    s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(ClientError, match=r"assumed-role/.*/me is not authorized"):
        s3.put_object(Bucket=bucket, Key="a")
    server.client("s3").put_object(Bucket=bucket, Key="a")


def test_what_was_decided_can_be_read_with_the_statements_that_decided_it(server: Server) -> None:
    bucket = server.create_bucket()
    function = Function(server, allow("s3:ListBucket", resource=f"arn:aws:s3:::{bucket}"))
    function.call("s3", "list_objects_v2", Bucket=bucket)
    function.call("s3", "put_object", Bucket=bucket, Key="a")

    own = {
        each["call"]["action"]: each
        for each in decisions(server)
        if each["call"]["principal"] == function.role
    }
    assert (own["s3:ListBucket"]["allowed"], own["s3:ListBucket"]["by"]) == (
        True,
        [[function.role, "sListBucket"]],
    )
    assert own["s3:ListBucket"]["call"]["context"]["s3:prefix"] == [""]
    assert (own["s3:PutObject"]["allowed"], own["s3:PutObject"]["by"]) == (False, [])


def test_every_row_of_the_table_names_its_page_and_actions_of_one_service() -> None:
    for row in PERMISSIONS:
        assert row.page.startswith("https://docs.aws.amazon.com/")
        assert row.actions == "same" or all(
            re.fullmatch("[a-z0-9]+:[A-Za-z]+", it) for it in row.actions.split()
        )
        assert not row.via or row.actions.startswith("kms:")


def test_a_changed_policy_counts_at_once(server: Server) -> None:
    bucket, function = server.create_bucket(), Function(server)
    listing = {"Bucket": bucket}
    name = function.role.rpartition("/")[2]

    assert function.call("s3", "list_objects_v2", **listing)["Code"] == "AccessDenied"
    server.client("iam").put_role_policy(
        RoleName=name, PolicyName="more", PolicyDocument=policy(allow("s3:ListBucket"))
    )
    assert function.call("s3", "list_objects_v2", **listing) == {}
    server.client("iam").delete_role_policy(RoleName=name, PolicyName="more")
    assert function.call("s3", "list_objects_v2", **listing)["Code"] == "AccessDenied"
