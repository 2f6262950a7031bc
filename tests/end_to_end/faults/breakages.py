"""What is broken by hand on the running stack, and where the picture must end.

Rules are those of scripts/local_aws/README.md, "Faults on purpose"; {object}, {key}, {execution} and {inference} are
replaced by those of the breakage's picture, so that all breakages can be played side by side.
"""

from dataclasses import dataclass, replace
from typing import Any

from .table import ACCEPTED, FAILED, KEPT, LOW, REJECTED, UNRECORDED, End

Rule = dict[str, Any]

READ = {"service": "s3", "operation": "GetObject", "resource": "{object}"}
ASK = {"service": "sagemaker", "operation": "InvokeEndpoint", "contains": "{inference}"}
WRITE = {"service": "dynamodb", "operation": "UpdateItem", "contains": "{key}"}
PUBLISH = {"service": "sns", "operation": "Publish", "contains": "{execution}"}

SLOW_DOWN = {"error": "SlowDown", "status": 503}
INTERNAL = {"error": "InternalServerError", "status": 500}
THROTTLED = {"error": "ProvisionedThroughputExceededException"}
BUSY = {"error": "TooManyRequestsException", "status": 429}
HEADERS = {"X-Amzn-SageMaker-Custom-Attributes": "{attributes}", "Content-Type": "application/json"}
# SNS passes a message on before its answer is lost; a repeated alert sends it again.
TWICE = replace(LOW, alerts=2)


@dataclass(frozen=True)
class Breakage:
    what: str
    end: End
    rules: tuple[Rule, ...] = ()
    doubtful: bool = False

    def line(self) -> tuple[str, str, str]:
        """What the table of faults says: what is broken, what happened, where it ended."""
        happened = f"`{self.end.error}`" if self.end.error else "tried again, then accepted"
        return self.what, happened, str(self.end)

    @property
    def name(self) -> str:
        return "".join(letter if letter.isalnum() else "-" for letter in self.what.lower())


def function(name: str) -> Rule:
    return {"service": "lambda", "operation": "Invoke", "resource": f"*-{name}", "contains": "{execution}"}


def once(rule: Rule, fault: dict[str, Any], times: int = 1) -> Rule:
    return {**rule, "first": times, "fault": fault}


def always(rule: Rule, fault: dict[str, Any]) -> Rule:
    return {**rule, "fault": fault}


def failed(error: str) -> End:
    return replace(FAILED, error=error)


def answer(what: str, body: str, status: int = 200, end: End | None = None, **headers: str) -> Breakage:
    """The container answers every request like this."""
    told = {"answer": {"status": status, "body": body, "headers": HEADERS | headers}}
    return Breakage(f"Endpoint answers {what}", end or failed("InvalidInference"), (always(ASK, told),))


OBJECTS = [
    Breakage("S3 asks to slow down, twice", ACCEPTED, (once(READ, SLOW_DOWN, 2),)),
    Breakage("S3 asks to slow down, always", failed("ImageUnavailable"), (always(READ, SLOW_DOWN),)),
    Breakage("S3 fails inside, once", ACCEPTED, (once(READ, {"error": "InternalError", "status": 500}),)),
    Breakage("Object's body is cut short, once", ACCEPTED, (once(READ, {"cut": 100}),)),
    Breakage("Object's body is cut short, always", failed("ImageUnavailable"), (always(READ, {"cut": 100}),)),
    Breakage("S3 closes the connection, once", ACCEPTED, (once(READ, {"close": True}),)),
    Breakage("S3 hangs, once", ACCEPTED, (once(READ, {"delay": 12}),)),
    Breakage(
        "Access to the object is denied",
        failed("Misconfigured"),
        (always(READ, {"error": "AccessDenied", "status": 403}),),
    ),
    Breakage(
        "Key of the object is disabled",
        failed("Misconfigured"),
        (always(READ, {"error": "KMS.DisabledException", "status": 400}),),
    ),
    Breakage("Object is archived", REJECTED, (always(READ, {"error": "InvalidObjectState", "status": 403}),)),
]
ENDPOINT = [
    Breakage("Endpoint's server fails, once", ACCEPTED, (once(ASK, {"answer": {"status": 500}}),)),
    answer("500 always", "boom", 500, failed("EndpointUnavailable")),
    answer("400", "no picture", 400),
    Breakage(
        "Endpoint is not ready, twice",
        ACCEPTED,
        (once(ASK, {"error": "ModelNotReadyException", "status": 429}, 2),),
    ),
    Breakage(
        "Endpoint is throttled, twice",
        ACCEPTED,
        (once(ASK, {"error": "ThrottlingException", "status": 400}, 2),),
    ),
    Breakage("Endpoint is missing", failed("Misconfigured"), (always(ASK, {"error": "ValidationError"}),)),
    Breakage("Endpoint hangs, once", ACCEPTED, (once(ASK, {"delay": 22}),)),
    Breakage("Endpoint's server is killed in mid-request", ACCEPTED, (once(ASK, {"kill": True}),)),
    answer("no JSON", "<html>"),
    answer("nothing", ""),
    answer("NaN", "[NaN, 0.5, 0.5]"),
    answer("infinity", "[Infinity, 0, 0]"),
    answer("a negative number", "[1.5, -0.5, 0]"),
    answer("a wrong sum", "[0.9, 0.9, 0.9]"),
    answer("too few numbers", "[0.5, 0.5]"),
    answer(
        "other labels", "[1, 0, 0]", **{"X-Amzn-SageMaker-Custom-Attributes": "model=m;labels=000000000000"}
    ),
]
FUNCTIONS = [
    Breakage(
        "Reading function cannot be imported",
        failed("Runtime.ImportModuleError"),
        (always(function("serialize-image-data"), {"crash": "import"}),),
    ),
    Breakage(
        "Reading function runs out of memory",
        failed("Runtime.ExitError"),
        (always(function("serialize-image-data"), {"crash": "memory"}),),
    ),
    Breakage(
        "Reading function runs out of time",
        failed("Sandbox.Timedout"),
        (always(function("serialize-image-data"), {"crash": "timeout"}),),
    ),
    Breakage(
        "Reading function is throttled, twice", ACCEPTED, (once(function("serialize-image-data"), BUSY, 2),)
    ),
    Breakage(
        "Asking function is throttled, always",
        failed("Lambda.TooManyRequestsException"),
        (always(function("classify-image"), BUSY),),
    ),
    Breakage(
        "Asking function's answer is lost, once",
        ACCEPTED,
        (once(function("classify-image"), {"lost": {"close": True}}),),
    ),
    Breakage(
        "Deciding function is killed",
        failed("Runtime.ExitError"),
        (always(function("filter-inferences"), {"crash": "memory"}),),
    ),
]
LEDGER = [
    Breakage("Ledger is throttled, twice", ACCEPTED, (once(WRITE, THROTTLED, 2),)),
    Breakage(
        "Ledger is throttled, always",
        replace(UNRECORDED, error="DynamoDB.ProvisionedThroughputExceededException"),
        (always(WRITE, THROTTLED),),
    ),
    Breakage("Ledger hangs, once", ACCEPTED, (once(WRITE, {"delay": 17}),)),
    Breakage("Ledger writes and its answer is lost", ACCEPTED, (once(WRITE, {"lost": {"close": True}}),)),
    Breakage("Ledger writes and answers 500", ACCEPTED, (once(WRITE, {"lost": INTERNAL}),)),
    Breakage(
        "Ledger writes a doubt and its answer is lost",
        LOW,
        (once(WRITE, {"lost": {"close": True}}),),
        doubtful=True,
    ),
]
ALERTS = [
    Breakage(
        "Alert function cannot be imported",
        KEPT,
        (always(function("send-alert"), {"crash": "import"}),),
        doubtful=True,
    ),
    Breakage(
        "SNS fails, always",
        KEPT,
        (always(PUBLISH, {"error": "InternalError", "status": 500}),),
        doubtful=True,
    ),
    Breakage(
        "SNS fails, once", LOW, (once(PUBLISH, {"error": "InternalError", "status": 500}),), doubtful=True
    ),
    Breakage(
        "SNS publishes and its answer is lost",
        TWICE,
        (once(PUBLISH, {"lost": {"close": True}}),),
        doubtful=True,
    ),
]
BREAKAGES = [*OBJECTS, *ENDPOINT, *FUNCTIONS, *LEDGER, *ALERTS]
