"""moto's state, and the one account and region that the one-machine AWS has."""

from __future__ import annotations

from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID

ACCOUNT: str = DEFAULT_ACCOUNT_ID
REGION = "us-east-1"


def arn(service: str, resource: str) -> str:
    """`resource` as its service writes it after the account, e.g. `endpoint/name`."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def s3() -> Any:
    from moto.s3.models import s3_backends

    return s3_backends[ACCOUNT]["aws"]


def sqs() -> Any:
    from moto.sqs.models import sqs_backends

    return sqs_backends[ACCOUNT][REGION]


def sns() -> Any:
    from moto.sns.models import sns_backends

    return sns_backends[ACCOUNT][REGION]


def logs() -> Any:
    from moto.logs.models import logs_backends

    return logs_backends[ACCOUNT][REGION]


def events() -> Any:
    from moto.events.models import events_backends

    return events_backends[ACCOUNT][REGION]


def functions() -> Any:
    from moto.awslambda.models import lambda_backends

    return lambda_backends[ACCOUNT][REGION]
