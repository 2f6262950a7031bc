"""moto's state, and the one account and region that the one-machine AWS has."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

ACCOUNT: str = DEFAULT_ACCOUNT_ID
REGION = "us-east-1"


def arn(service: str, resource: str) -> str:
    """The ARN of `resource`, written as its service does after the account, e.g. `endpoint/name`."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def moto_module(name: str) -> Any:
    """A module of moto, e.g. `sns.models`; imported when first needed, for a quick start."""
    return importlib.import_module(f"moto.{name}")


@cache
def s3() -> Any:
    return moto_module("s3.models").s3_backends[ACCOUNT]["aws"]


@cache
def sns() -> Any:
    return moto_module("sns.models").sns_backends[ACCOUNT][REGION]


@cache
def sessions() -> Any:
    return moto_module("sts.models").sts_backends[ACCOUNT]["aws"]


@cache
def iam() -> Any:
    return moto_module("iam.models").iam_backends[ACCOUNT]["aws"]


@cache
def queues() -> Any:
    return moto_module("sqs.models").sqs_backends[ACCOUNT][REGION].queues


@cache
def tables() -> Any:
    return moto_module("dynamodb.models").dynamodb_backends[ACCOUNT][REGION]


@cache
def keys() -> Any:
    return moto_module("kms.models").kms_backends[ACCOUNT][REGION]


@cache
def logs() -> Any:
    return moto_module("logs.models").logs_backends[ACCOUNT][REGION]


@cache
def events() -> Any:
    return moto_module("events.models").events_backends[ACCOUNT][REGION]


@cache
def cloudwatch() -> Any:
    return moto_module("cloudwatch.models").cloudwatch_backends[ACCOUNT][REGION]


@cache
def functions() -> Any:
    return moto_module("awslambda.models").lambda_backends[ACCOUNT][REGION]
