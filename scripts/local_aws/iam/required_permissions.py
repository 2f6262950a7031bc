"""Which permissions a request needs: its own, and those that its service asks for on the caller's behalf.

A row applies if the request is the row's (or any of its service: `dynamodb:*`) and every fact is known that
its resource and `when` name. Facts come from the request and from what it is about, see authorization.py.
For instance, `key` is the customer-managed key that encrypts it.
"""

import re
from typing import NamedTuple

AWS = "https://docs.aws.amazon.com"
S3_API = f"{AWS}/AmazonS3/latest/API"
S3_KEYS = f"{AWS}/AmazonS3/latest/userguide/UsingKMSEncryption.html"
S3_PARTS = f"{AWS}/AmazonS3/latest/userguide/mpuoverview.html#mpuAndPermissions"
DYNAMODB_KEYS = f"{AWS}/amazondynamodb/latest/developerguide/encryption.usagenotes.html"
SNS_KEYS = f"{AWS}/sns/latest/dg/sns-key-management.html"
SQS_KEYS = f"{AWS}/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html"
LAMBDA_LOGS = f"{AWS}/lambda/latest/dg/monitoring-cloudwatchlogs.html#monitoring-cloudwatchlogs-prereqs"
LAMBDA_TRACES = f"{AWS}/lambda/latest/dg/python-tracing.html"
LOG_KEYS = f"{AWS}/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html"
STATES_LOGS = f"{AWS}/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy"
STATES_TRACES = f"{AWS}/step-functions/latest/dg/xray-iam.html"
STATES_MAP = f"{AWS}/step-functions/latest/dg/iam-policies-eg-dist-map.html"
STATES_RESULTS = f"{AWS}/step-functions/latest/dg/input-output-resultwriter.html"
SAGEMAKER_ROLES = f"{AWS}/sagemaker/latest/dg/sagemaker-roles.html"
SAGEMAKER_VOLUME = f"{AWS}/sagemaker/latest/APIReference/API_CreateEndpointConfig.html"
SAGEMAKER_OUTPUT = f"{AWS}/sagemaker/latest/APIReference/API_OutputDataConfig.html"
SERVICE_AUTHORIZATION = f"{AWS}/service-authorization/latest/reference/"

LOG_DELIVERY = (
    "logs:CreateLogDelivery logs:GetLogDelivery logs:UpdateLogDelivery logs:DeleteLogDelivery logs:ListLogDeliveries "
    "logs:PutResourcePolicy logs:DescribeResourcePolicies logs:DescribeLogGroups"
)
TRACES = "xray:PutTraceSegments xray:PutTelemetryRecords"
SAMPLING = "xray:GetSamplingRules xray:GetSamplingTargets"
IMAGE_LAYERS = "ecr:BatchCheckLayerAvailability ecr:GetDownloadUrlForLayer ecr:BatchGetImage"
KEY_OF_LOGS = "kms:Encrypt kms:Decrypt kms:ReEncryptFrom kms:ReEncryptTo kms:GenerateDataKey kms:DescribeKey"


class Permission(NamedTuple):
    """One row: `actions` are separated by blanks, "same" is the request's own name; `via` is who uses a key."""

    request: str
    actions: str
    resource: str
    page: str
    when: str = ""
    via: str = ""

    @property
    def facts(self) -> set[str]:
        """What must be known for the row to apply."""
        return {*re.findall("{([a-z]+)}", self.resource), *([self.when] if self.when else [])}


PERMISSIONS: tuple[Permission, ...] = (
    # S3. A version needs another permission than the object; only who may list the bucket learns of a missing key.
    Permission("s3:GetObject", "s3:GetObject", "{object}", f"{S3_API}/API_GetObject.html"),
    Permission("s3:GetObject", "s3:ListBucket", "{bucket}", f"{S3_API}/API_GetObject.html", when="missing"),
    Permission("s3:GetObject", "kms:Decrypt", "{key}", S3_KEYS, via="s3"),
    Permission("s3:GetObjectVersion", "s3:GetObjectVersion", "{object}", f"{S3_API}/API_GetObject.html"),
    Permission(
        "s3:GetObjectVersion", "s3:ListBucket", "{bucket}", f"{S3_API}/API_GetObject.html", when="missing"
    ),
    Permission("s3:GetObjectVersion", "kms:Decrypt", "{key}", S3_KEYS, via="s3"),
    Permission("s3:HeadObject", "s3:GetObject", "{object}", f"{S3_API}/API_HeadObject.html"),
    Permission("s3:HeadObject", "s3:ListBucket", "{bucket}", f"{S3_API}/API_HeadObject.html", when="missing"),
    Permission("s3:HeadObjectVersion", "s3:GetObjectVersion", "{object}", f"{S3_API}/API_HeadObject.html"),
    Permission("s3:ListObjects", "s3:ListBucket", "{bucket}", f"{S3_API}/API_ListObjectsV2.html"),
    Permission("s3:PutObject", "s3:PutObject", "{object}", f"{S3_API}/API_PutObject.html"),
    Permission("s3:PutObject", "kms:GenerateDataKey", "{key}", S3_KEYS, via="s3"),
    Permission("s3:DeleteObject", "s3:DeleteObject", "{object}", f"{S3_API}/API_DeleteObject.html"),
    Permission(
        "s3:DeleteObjectVersion", "s3:DeleteObjectVersion", "{object}", f"{S3_API}/API_DeleteObject.html"
    ),
    # Large objects: the parts are read back when they are put together.
    Permission("s3:UploadInParts", "s3:PutObject", "{object}", S3_PARTS),
    Permission("s3:UploadInParts", "s3:AbortMultipartUpload", "{object}", S3_PARTS),
    Permission("s3:UploadInParts", "kms:GenerateDataKey", "{key}", S3_PARTS, via="s3"),
    Permission("s3:UploadInParts", "kms:Decrypt", "{key}", S3_PARTS, via="s3"),
    # DynamoDB uses the table's key on behalf of the caller.
    Permission("dynamodb:*", "same", "{table}", f"{SERVICE_AUTHORIZATION}list_amazondynamodb.html"),
    Permission("dynamodb:*", "kms:Decrypt", "{key}", DYNAMODB_KEYS, via="dynamodb"),
    Permission("dynamodb:*", "kms:Encrypt", "{key}", DYNAMODB_KEYS, when="writes", via="dynamodb"),
    Permission("dynamodb:*", "kms:GenerateDataKey", "{key}", DYNAMODB_KEYS, when="writes", via="dynamodb"),
    # Messages
    Permission("sns:Publish", "sns:Publish", "{topic}", f"{AWS}/sns/latest/api/API_Publish.html"),
    Permission("sns:Publish", "kms:GenerateDataKey", "{key}", SNS_KEYS, via="sns"),
    Permission("sns:Publish", "kms:Decrypt", "{key}", SNS_KEYS, via="sns"),
    Permission("sqs:*", "same", "{queue}", f"{SERVICE_AUTHORIZATION}list_amazonsqs.html"),
    Permission("sqs:*", "kms:GenerateDataKey", "{key}", SQS_KEYS, via="sqs"),
    Permission("sqs:*", "kms:Decrypt", "{key}", SQS_KEYS, via="sqs"),
    # Lambda; the last two are asked for the function's own role.
    Permission(
        "lambda:Invoke", "lambda:InvokeFunction", "{function}", f"{AWS}/lambda/latest/api/API_Invoke.html"
    ),
    Permission("lambda:WriteLogs", "logs:CreateLogStream logs:PutLogEvents", "{stream}", LAMBDA_LOGS),
    Permission("lambda:SendTraces", TRACES, "*", LAMBDA_TRACES),
    Permission("logs:Encrypt", KEY_OF_LOGS, "{key}", LOG_KEYS),
    # Step Functions; what follows the first two rows is asked for the state machine's own role.
    Permission(
        "states:StartExecution", "same", "{machine}", f"{SERVICE_AUTHORIZATION}list_awsstepfunctions.html"
    ),
    Permission(
        "states:StartSyncExecution", "same", "{machine}", f"{SERVICE_AUTHORIZATION}list_awsstepfunctions.html"
    ),
    Permission("states:*", "same", "{execution}", f"{SERVICE_AUTHORIZATION}list_awsstepfunctions.html"),
    Permission("states:DeliverLogs", LOG_DELIVERY, "*", STATES_LOGS),
    Permission("states:SendTraces", f"{TRACES} {SAMPLING}", "*", STATES_TRACES),
    Permission("states:RunMap", "states:StartExecution", "{machine}", STATES_MAP),
    Permission("states:RunMap", "states:DescribeExecution", "{execution}", STATES_MAP),
    Permission(
        "states:WriteResults",
        "s3:PutObject s3:GetObject s3:ListMultipartUploadParts s3:AbortMultipartUpload",
        "{object}",
        STATES_RESULTS,
    ),
    Permission(
        "states:WriteResults",
        "kms:Decrypt kms:Encrypt kms:GenerateDataKey",
        "{key}",
        STATES_RESULTS,
        via="s3",
    ),
    # SageMaker; what follows the first row is asked for the role of the model or of the job.
    Permission(
        "sagemaker:InvokeEndpoint",
        "same",
        "{endpoint}",
        f"{AWS}/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html",
    ),
    Permission("sagemaker:PullImage", "ecr:GetAuthorizationToken", "*", SAGEMAKER_ROLES),
    Permission("sagemaker:PullImage", IMAGE_LAYERS, "{repository}", SAGEMAKER_ROLES),
    Permission("sagemaker:FindLogGroup", "logs:CreateLogGroup", "{group}", SAGEMAKER_ROLES, when="own_group"),
    Permission("sagemaker:FindLogGroup", "logs:DescribeLogStreams", "{group}:*", SAGEMAKER_ROLES),
    Permission("sagemaker:WriteLogs", "logs:CreateLogStream logs:PutLogEvents", "{stream}", SAGEMAKER_ROLES),
    Permission("sagemaker:PutMetrics", "cloudwatch:PutMetricData", "*", SAGEMAKER_ROLES),
    Permission("sagemaker:EncryptVolume", "kms:CreateGrant", "{key}", SAGEMAKER_VOLUME),
    Permission("sagemaker:EncryptOutput", "kms:Encrypt", "{key}", SAGEMAKER_OUTPUT, via="s3"),
    # Metrics have no resources.
    Permission("cloudwatch:*", "same", "*", f"{SERVICE_AUTHORIZATION}list_amazoncloudwatch.html"),
)
