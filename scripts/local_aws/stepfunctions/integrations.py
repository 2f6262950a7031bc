"""Calls of one service by another inside the one-machine AWS: the service integrations of Step Functions.

https://docs.aws.amazon.com/step-functions/latest/dg/integrate-services.html
"""

from __future__ import annotations

import datetime
import json
import os
import threading
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import boto3
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError
from moto.core.exceptions import ServiceException

from scripts.local_aws.core import moto_backends
from scripts.local_aws.core.errors import ServiceError, StatesError
from scripts.local_aws.core.faults import Call, Faults, resource_of
from scripts.local_aws.core.protocol import WsgiApplication, call_json
from scripts.local_aws.iam.authorization import Authorization, Caller
from scripts.local_aws.lambda_.service import LambdaService

Arguments = dict[str, Any]
OPTIMISED = "arn:aws:states:::"
SDK = "arn:aws:states:::aws-sdk:"
DYNAMODB_ACTIONS = ("getItem", "putItem", "updateItem", "deleteItem")
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html: name in the resource ARN,
# prefix of the error names; boto3's name where it is another.
BOTO_NAMES = {"cloudwatchlogs": "logs", "eventbridge": "events", "sagemakerruntime": "sagemaker-runtime"}
ERROR_PREFIXES = {
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "sagemaker": "SageMaker",
    "sagemakerruntime": "SageMakerRuntime",
}
# What a task fails with when it is not authorized: SNS has an error of its own for that, elsewhere it is the base class
# of the service's errors. Seen for Lambda (https://github.com/awslabs/aws-deployment-framework/issues/460).
REFUSALS = {
    "dynamodb": ("DynamoDB.AmazonDynamoDBException", "AmazonDynamoDBv2"),
    "lambda": ("Lambda.AWSLambdaException", "AWSLambda"),
    "sns": ("SNS.AuthorizationErrorException", "AmazonSNS"),
    "sqs": ("SQS.AmazonSQSException", "AmazonSQS"),
    "states": ("StepFunctions.AWSStepFunctionsException", "AWSStepFunctions"),
}


class Executions(Protocol):
    """The part of Step Functions that other services call."""

    def handle(self, action: str, payload: dict[str, Any]) -> dict[str, Any]: ...


class Integrations:
    """Performs the calls that tasks of state machines, rules and destinations make.

    Args:
        moto: moto's WSGI application, for actions of JSON-protocol services.
        functions: Lambda.
        faults: what fails on purpose.
        authorization: decides what the caller may do.
    """

    def __init__(
        self, moto: WsgiApplication, functions: LambdaService, faults: Faults, authorization: Authorization
    ) -> None:
        self._moto = moto
        self._functions = functions
        self._faults = faults
        self._authorization = authorization
        self._clients: dict[tuple[str, Caller], Any] = {}
        self._lock = threading.Lock()
        self.step_functions: Executions | None = None
        self._optimised: dict[str, Callable[[Arguments], Any]] = {
            "lambda:invoke": self._invoke_function,
            "sns:publish": self._publish,
            "sqs:sendMessage": self._send_message,
            "states:startExecution": self._start_execution,
            **{f"dynamodb:{action}": self._dynamodb(action) for action in DYNAMODB_ACTIONS},
        }

    def call_service(self, resource_arn: str, arguments: Arguments, caller: Caller) -> Any:
        """Perform one task for a caller and return its result.

        Args:
            resource_arn: e.g. `arn:aws:states:::lambda:invoke` or `arn:aws:states:::aws-sdk:s3:headObject`.
            arguments: the API's parameters, in PascalCase.

        Raises StatesError with the error name that AWS documents for the integration.
        """
        if resource_arn.startswith(SDK):
            service, _, action = resource_arn.removeprefix(SDK).partition(":")
            return self._call_sdk(service, action, arguments, caller)
        task = resource_arn.removeprefix(OPTIMISED)
        perform = self._optimised.get(task)
        if perform is None:
            raise StatesError("States.Runtime", f"The resource {resource_arn} is not emulated on one machine")
        service, _, action = task.partition(":")
        error, named = REFUSALS[service]
        self._check(caller, f"{service}:{_pascal(action)}", arguments, error, named)
        return perform(arguments)

    def _check(self, caller: Caller, request: str, arguments: Arguments, error: str, service: str) -> None:
        try:
            self._authorization.check(caller, request, **arguments)
        except ServiceError as refusal:
            raise StatesError(error, _cause(refusal, service)) from refusal

    def _invoke_function(self, arguments: Arguments) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html"""
        payload = json.dumps(arguments.get("Payload", {})).encode()
        name, qualifier = arguments["FunctionName"], arguments.get("Qualifier")
        try:
            if arguments.get("InvocationType") == "Event":
                self._functions.invoke_async(name, payload, qualifier)
                return {"StatusCode": 202, "Payload": "", **_metadata(202)}
            result = self._functions.invoke(name, payload, qualifier)
        except ServiceError as error:
            raise StatesError(f"Lambda.{error.code}", _cause(error, "AWSLambda")) from error
        text = result.payload.decode()
        content = json.loads(text or "null")
        if result.error:
            kind = content.get("errorType") if isinstance(content, dict) else None
            raise StatesError(kind or "Lambda.Unknown", text)
        return {"ExecutedVersion": result.version, "Payload": content, "StatusCode": 200, **_metadata(200)}

    def _dynamodb(self, action: str) -> Callable[[Arguments], Any]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-ddb.html"""
        target = f"DynamoDB_20120810.{_pascal(action)}"

        def call(arguments: Arguments) -> Any:
            try:
                result = call_json(self._moto, "dynamodb", target, arguments)
            except ServiceError as error:
                raise StatesError(f"DynamoDB.{error.code}", _cause(error, "AmazonDynamoDBv2")) from error
            return {**result, **_metadata(200)}

        return call

    def _publish(self, arguments: Arguments) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-sns.html"""
        attributes = {
            name: {"Type": value["DataType"], "Value": value.get("StringValue", value.get("BinaryValue"))}
            for name, value in arguments.get("MessageAttributes", {}).items()
        }
        try:
            with self._faults.during(Call("sns", "Publish", resource_of(arguments))), self._lock:
                message_id = moto_backends.sns().publish(
                    message=_text(arguments["Message"]),
                    arn=arguments.get("TopicArn") or arguments.get("TargetArn"),
                    phone_number=arguments.get("PhoneNumber"),
                    subject=arguments.get("Subject"),
                    message_attributes=attributes,
                    message_structure=arguments.get("MessageStructure"),
                )
        except ServiceException as error:  # moto's own
            refusal = ServiceError(error.code, error.message)
            raise StatesError(f"SNS.{_exception(error.code)}", _cause(refusal, "AmazonSNS")) from error
        except ServiceError as error:
            raise StatesError(f"SNS.{_exception(error.code)}", _cause(error, "AmazonSNS")) from error
        return {"MessageId": message_id, **_metadata(200)}

    def _send_message(self, arguments: Arguments) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-sqs.html"""
        message = {**arguments, "MessageBody": _text(arguments["MessageBody"])}
        try:
            result = call_json(self._moto, "sqs", "AmazonSQS.SendMessage", message)
        except ServiceError as error:
            raise StatesError(f"SQS.{_exception(error.code)}", _cause(error, "AmazonSQS")) from error
        return {**result, **_metadata(200)}

    def _start_execution(self, arguments: Arguments) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""
        payload = {**arguments, "Input": _text(arguments.get("Input", {}))}
        return {**self._call_step_functions("startExecution", payload, "StepFunctions"), **_metadata(200)}

    def _call_step_functions(self, action: str, arguments: Arguments, prefix: str) -> dict[str, Any]:
        assert self.step_functions is not None
        try:
            payload = {name[0].lower() + name[1:]: value for name, value in arguments.items()}
            with self._faults.during(Call("states", _pascal(action), resource_of(payload))):
                result = self.step_functions.handle(_pascal(action), payload)
        except ServiceError as error:
            raise StatesError(
                f"{prefix}.{_exception(error.code)}", _cause(error, "AWSStepFunctions")
            ) from error
        return {_pascal(name): _sdk_member(name, value) for name, value in result.items()}

    def _call_sdk(self, service: str, action: str, arguments: Arguments, caller: Caller) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
        if service == "sfn":
            self._check(caller, f"states:{_pascal(action)}", arguments, "Sfn.SfnException", "Sfn")
            return self._call_step_functions(action, arguments, "Sfn")
        prefix = ERROR_PREFIXES.get(service, _pascal(service))
        try:
            result = getattr(self.client(service, caller), xform_name(_pascal(action)))(**arguments)
        except ClientError as error:
            details = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            # An answer to HEAD has no body and so no code: the Java SDK then raises its service's base class.
            code = prefix if details["Code"].isdigit() else details["Code"]
            cause = ServiceError(code, details.get("Message", ""), status)
            raise StatesError(f"{prefix}.{_exception(code)}", _cause(cause, prefix)) from error
        except (BotoCoreError, AttributeError) as error:
            raise StatesError("States.Runtime", f"{service}:{action} cannot be called: {error}") from error
        result.pop("ResponseMetadata", None)
        return _plain(result)

    def s3(self, caller: Caller) -> Any:
        """A boto3 client for the datasets and results of Distributed Maps."""
        return self.client("s3", caller)

    def client(self, service: str, caller: Caller) -> Any:
        """A boto3 client that acts for the caller; `service` as in a resource ARN, e.g. `sagemakerruntime`."""
        with self._lock:
            if (service, caller) not in self._clients:
                keys = self._authorization.credentials(caller)
                session = boto3.session.Session(
                    keys["AWS_ACCESS_KEY_ID"],
                    keys["AWS_SECRET_ACCESS_KEY"],
                    keys["AWS_SESSION_TOKEN"],
                    moto_backends.REGION,
                )
                name = BOTO_NAMES.get(service, service)
                self._clients[service, caller] = session.client(
                    name, endpoint_url=os.environ["AWS_ENDPOINT_URL"]
                )
            return self._clients[service, caller]


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def _sdk_member(name: str, value: Any) -> Any:
    """A member of Step Functions' own answer as the Java SDK shows it: times as text, names in PascalCase."""
    if isinstance(value, dict):
        return {_pascal(inner): _sdk_member(inner, each) for inner, each in value.items()}
    if isinstance(value, list):
        return [_sdk_member(name, each) for each in value]
    if name.endswith("Date") and isinstance(value, int | float):
        return datetime.datetime.fromtimestamp(value, datetime.UTC).isoformat()
    return value


def _exception(code: str) -> str:
    """Step Functions names errors by the classes of the Java SDK, which all end so."""
    return code if code.endswith("Exception") else f"{code}Exception"


def _cause(error: ServiceError, service: str) -> str:
    return (
        f"{error.message} (Service: {service}; Status Code: {error.status}; Error Code: {error.code}; "
        f"Request ID: {uuid.uuid4()}; Proxy: null)"
    )


def _metadata(status: int) -> dict[str, Any]:
    return {
        "SdkHttpMetadata": {"HttpStatusCode": status},
        "SdkResponseMetadata": {"RequestId": str(uuid.uuid4())},
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain(value: Any) -> Any:
    """JSON values only: times as ISO 8601, bodies as text."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, "read"):
        value = value.read()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
