"""Logger and metrics of a function, and the one wrapper around every handler.

Logs are JSON, one line for each invocation. They carry what correlates (request, execution, picture), never
the picture's bytes. Metrics are CloudWatch's embedded metric format, printed with the logs; no API is called.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import functools
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from functions.common.errors import WorkflowError

logger = Logger()
metrics = Metrics()

Handler = Callable[[Any], dict[str, Any]]
LambdaHandler = Callable[[Any, Any], dict[str, Any]]


def count(name: str, value: float = 1, unit: str = "Count") -> None:
    metrics.add_metric(name=name, unit=unit, value=value)


def observed(handler: Handler) -> LambdaHandler:
    """Wrap a function of the event as a Lambda handler that logs how it ended and publishes its metrics.

    A WorkflowError is an expected end and is logged with its name and reason; anything else is a fault of
    ours and is logged with its traceback. Both are raised again, because the state machine decides.
    """

    @functools.wraps(handler)
    def wrapper(event: Any, context: Any) -> dict[str, Any]:
        logger.append_keys(request_id=context.aws_request_id, **_correlation(event))
        count("Invocations")
        try:
            result = handler(event)
        except WorkflowError as error:
            count(type(error).__name__)
            logger.warning(error.reason, extra={"error": type(error).__name__, **error.details})
            raise
        except Exception:
            count("UnexpectedError")
            logger.exception("unexpected error")
            raise
        else:
            logger.info("done")
            return result
        finally:
            metrics.flush_metrics()
            logger.clear_state()

    return wrapper


def _correlation(event: Any) -> dict[str, Any]:
    if not isinstance(event, dict):
        return {}
    names = ("execution", "category", "s3_bucket", "s3_key", "s3_version_id")
    return {name: event[name] for name in names if isinstance(event.get(name), str) and event[name]}
