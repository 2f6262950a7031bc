"""AWS clients for functions, and what their failures mean.

boto3 is imported by the first call that needs it, not by this module: it costs more than everything else
that a handler imports, and an invocation that refuses its input never pays for it.
"""

import functools
from collections.abc import Mapping
from typing import Any

from functions.common.errors import Misconfigured, WorkflowError

CONNECT_TIMEOUT_SECONDS = 3

# Service error code: what it means for this call, and what to do.
ErrorsByCode = Mapping[str, tuple[type[WorkflowError], str]]

# botocore's own list of what is worth another try (botocore.retries.standard), and Lambda's, S3's and
# SageMaker's names that it leaves to the HTTP status.
RETRYABLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "ModelNotReadyException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "RequestTimeTooSkewed",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "KMSThrottling",
        "KMSThrottlingException",
        "KMS.ThrottlingException",
    }
)


@functools.cache
def client(service: str, read_timeout_seconds: int) -> Any:
    """A boto3 client that tries once: the state machine retries, and retries at two layers multiply.

    The timeouts must stay below the timeout of the task and of the function, so that a hang ends as a
    named error and not as States.Timeout. `total_max_attempts` counts the first try too (`max_attempts` in a
    Config would mean retries): https://docs.aws.amazon.com/boto3/latest/guide/retries.html
    The user agent is fixed: botocore composes one for each request, which is a sixth of what a call costs.
    """
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client(
        service,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=read_timeout_seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent="scones",
        ),
    )


def named_error(
    error: Exception,
    action: str,
    unavailable: type[WorkflowError],
    by_code: ErrorsByCode,
    **details: Any,
) -> WorkflowError:
    """Translate what boto3 raised into a named error.

    `action` says what was tried ("Reading s3://bucket/key"), `unavailable` is the retryable error of this
    call, `by_code` what particular service error codes mean here and what to do about them. Throttling, 5xx
    and every failure between here and the service are `unavailable`; any other refusal, or a request that
    could not even be built or signed, is Misconfigured. Exceptions that are not boto3's are raised again.
    """
    import botocore.exceptions  # noqa: PLC0415
    import botocore.parsers  # noqa: PLC0415

    if isinstance(error, botocore.exceptions.ClientError):
        return _from_response(error.response, action, unavailable, by_code, details)
    if isinstance(
        error,
        botocore.exceptions.HTTPClientError
        | botocore.exceptions.ConnectionError
        | botocore.exceptions.IncompleteReadError
        | botocore.parsers.ResponseParserError,
    ):
        return unavailable(f"{action} failed on the way ({error}); it can be tried again.", **details)
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return Misconfigured(
            f"{action} could not be requested ({error}); check the function's role and region.", **details
        )
    raise error


def _from_response(
    response: Mapping[str, Any],
    action: str,
    unavailable: type[WorkflowError],
    by_code: ErrorsByCode,
    details: dict[str, Any],
) -> WorkflowError:
    code = str(response.get("Error", {}).get("Code", ""))
    message = response.get("Error", {}).get("Message") or "no message"
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{code}: {message}"
    if code in by_code:
        named, advice = by_code[code]
        return named(f"{action} was refused ({said}); {advice}.", **details)
    if code in RETRYABLE_CODES or status == 429 or status >= 500:
        return unavailable(
            f"{action} is not possible at this moment ({said}); it can be tried again.", **details
        )
    return Misconfigured(
        f"{action} was refused ({said}); check the permissions and the key of this deployment.", **details
    )


def read_body(body: Any, limit: int) -> bytes:
    """Everything in a response's streaming body, or its first `limit` + 1 bytes if there are more.

    Raises botocore's IncompleteReadError when the connection ends before Content-Length bytes: that check
    happens only on the read that meets the end, hence the loop.
    """
    chunks = []
    length = 0
    while length <= limit and (chunk := body.read(limit + 1 - length)):
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)
