"""An account in moto with one thing of every kind for each deployment in it."""

import json
import os
from functools import cache

import boto3

from scripts.common.progress import silent
from scripts.deployment.identity import Account
from scripts.operations import resource_kinds
from scripts.operations.leftovers import Sweep

NUMBER, REGION = "123456789012", "us-east-1"
NEIGHBOURS = {
    "scones-dev2": ("scones", "dev2"),
    "scones-dev-prod": ("scones-dev", "prod"),
    "scones-prod": ("scones", "prod"),
}
TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})
STATEMENT = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*"}
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [STATEMENT]})


@cache
def client(service):
    """Made once: that takes longer than anything it is asked."""
    return boto3.client(service, region_name=REGION)


def tags(project, environment, *, key="Key", value="Value"):
    pairs = {"project": project, "environment": environment, "managed_by": "terraform"}
    return [{key: name, value: text} for name, text in pairs.items()]


def deploy(prefix, project, environment):
    """One resource of every kind, tagged as Terraform tags it; and, without tags, those that services make."""
    both = tags(project, environment)
    small = tags(project, environment, key="key", value="value")
    plain = {tag["Key"]: tag["Value"] for tag in both}
    bucket = f"{prefix}-{NUMBER}-{REGION}"
    s3 = client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": both})
    for _ in range(3):
        s3.put_object(Bucket=bucket, Key="incoming/a.jpg", Body=b"1234567890")
    s3.delete_object(Bucket=bucket, Key="incoming/a.jpg")
    s3.create_multipart_upload(Bucket=bucket, Key="incoming/unfinished.jpg")
    client("dynamodb").create_table(
        TableName=f"{prefix}-ledger",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "picture", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "picture", "AttributeType": "S"}],
        Tags=both,
    )
    role = client("iam").create_role(RoleName=f"{prefix}-classify", AssumeRolePolicyDocument=TRUST, Tags=both)
    client("iam").put_role_policy(
        RoleName=f"{prefix}-classify", PolicyName="permissions", PolicyDocument=POLICY
    )
    arn = role["Role"]["Arn"]
    sagemaker, name = client("sagemaker"), f"{prefix}-classifier"
    sagemaker.create_model(
        ModelName=f"{name}-0123456789ab", ExecutionRoleArn=arn, PrimaryContainer={}, Tags=both
    )
    variant = {
        "VariantName": "primary",
        "ModelName": f"{name}-0123456789ab",
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-ba9876543210", ProductionVariants=[variant], Tags=both
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-ba9876543210", Tags=both)
    client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{name}/variant/primary",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    events = client("events")
    events.put_rule(Name=f"{prefix}-object-created", EventPattern="{}", Tags=both)
    events.put_targets(Rule=f"{prefix}-object-created", Targets=[{"Id": "t", "Arn": arn}])
    client("stepfunctions").create_state_machine(
        name=f"{prefix}-classify",
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn=arn,
        tags=small,
    )
    client("lambda").create_function(
        FunctionName=f"{prefix}-send-alert",
        Role=arn,
        Runtime="python3.13",
        Handler="a.b",
        Code={"ZipFile": b"x"},
        Tags=plain,
    )
    cloudwatch = client("cloudwatch")
    alarm = {
        "MetricName": "m",
        "Namespace": "n",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "Statistic": "Sum",
    }
    cloudwatch.put_metric_alarm(
        AlarmName=f"{prefix}-failures", ComparisonOperator="GreaterThanThreshold", Tags=both, **alarm
    )
    cloudwatch.put_dashboard(DashboardName=prefix, DashboardBody="{}")
    client("budgets").create_budget(
        AccountId=NUMBER,
        Budget={
            "BudgetName": prefix,
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": "1", "Unit": "USD"},
        },
    )
    client("sns").create_topic(Name=f"{prefix}-alerts", Tags=both)
    client("sqs").create_queue(QueueName=f"{prefix}-alert-dead-letters", tags=plain)
    client("ecr").create_repository(repositoryName=f"{prefix}-serving", tags=both)
    logs = client("logs")
    logs.create_log_group(logGroupName=f"/aws/lambda/{prefix}-send-alert", tags=plain)
    logs.create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{prefix}-classifier")
    logs.create_log_stream(
        logGroupName=resource_kinds.TRAINING_LOGS, logStreamName=f"{prefix}-training-1/algo-1"
    )
    kms = client("kms")
    key = kms.create_key(
        Description=f"Encrypts (alias/{prefix})",
        Tags=tags(project, environment, key="TagKey", value="TagValue"),
    )["KeyMetadata"]["KeyId"]
    kms.create_alias(AliasName=f"alias/{prefix}", TargetKeyId=key)


def sweep_of(account):
    """A sweep with these clients."""
    sweep = Sweep(account)
    sweep.client = client
    return sweep


def there(prefix):
    """(kind, name) of all that a deployment has, by its own sweep."""
    swept = sweep_of(Account(*prefix.rsplit("-", 1), REGION, "aws", NUMBER, dict(os.environ))).find(silent)
    assert swept.unseen == []
    return sorted((it.kind, it.name) for it in swept.leftovers)
