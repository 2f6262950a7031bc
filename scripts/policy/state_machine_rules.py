"""What every state machine of this project must have, whatever it does: timeouts, retries with jitter, catches.

Sources: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html and
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html.
"""

import re
from collections.abc import Iterator
from typing import Any

LONGEST_MACHINE_SECONDS = 2 * 86400
LONGEST_TASK_SECONDS = 60
MOST_ATTEMPTS = 6
LONGEST_DELAY_SECONDS = 30

# The project's named errors that another attempt may cure, by the function that raises them (its name, or the
# token that Terraform fills). All others would fail again in the same way.
RETRYABLE = {"serialize[-_]image[-_]data": "ImageUnavailable", "classify[-_]image": "EndpointUnavailable"}
# What AWS's services answer while they are busy, by the service in a task's resource.
TRANSIENT = {
    "lambda": {
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.TooManyRequestsException",
    },
    "dynamodb": {
        "DynamoDB.ProvisionedThroughputExceededException",
        "DynamoDB.ThrottlingException",
        "DynamoDB.RequestLimitExceeded",
        "DynamoDB.InternalServerError",
        "DynamoDB.SdkClientException",
        "States.Timeout",
    },
    "s3": {"S3.S3Exception", "S3.SdkClientException", "States.Timeout"},
}
TAKEN = "DynamoDB.ConditionalCheckFailedException"
EVERYTHING = "States.ALL"
CHANGES = ("dynamodb:updateItem", "dynamodb:putItem", "dynamodb:deleteItem")

State = dict[str, Any]


def states(machine: State, sheltered: bool = False) -> Iterator[tuple[str, State, bool]]:
    """(name, state, whether a state around it catches everything) for each state, however deep in the machine."""
    for name, state in machine["States"].items():
        yield name, state, sheltered
        inside = sheltered or EVERYTHING in _named(state, "Catch")
        for part in [*state.get("Branches", []), *[state[key] for key in ("ItemProcessor",) if key in state]]:
            if isinstance(part, dict):
                yield from states(part, inside)


def faults(machine: State, failures_are_alerted: bool = False) -> Iterator[str]:
    """What a complete definition lacks, as sentences that begin with the state's name.

    If an event rule reports the machine's failures to a person, its alerts need not be caught.
    """
    if not 0 < machine.get("TimeoutSeconds", 0) <= LONGEST_MACHINE_SECONDS:
        yield "the machine has no timeout (at most two days)"
    for name, state, sheltered in states(machine):
        if state["Type"] == "Task":
            yield from (f"{name} {it}" for it in _task(state, sheltered, failures_are_alerted))
        elif state["Type"] in ("Parallel", "Map"):
            yield from (f"{name} {it}" for it in _container(state, sheltered))
        elif state["Type"] == "Fail" and not {"Error", "Cause"} <= set(state):
            yield f"{name} fails without saying why"


def _task(state: State, sheltered: bool, failures_are_alerted: bool) -> Iterator[str]:
    if not {"Resource", "Arguments"} <= set(state):
        yield "does not say what to call with what"
        return
    caught, service = _named(state, "Catch"), _service(state)
    if not 0 < state.get("TimeoutSeconds", 0) <= LONGEST_TASK_SECONDS:
        yield f"has no timeout of at most {LONGEST_TASK_SECONDS} s"
    yield from _retries(state)
    # Only the ledger's states may leave their errors to the state around them, which records and alerts once more.
    left = (sheltered and service == "dynamodb") or (failures_are_alerted and _alerts(state))
    if EVERYTHING not in caught and not left:
        yield "does not catch everything"
    if state["Resource"].endswith(CHANGES) and (
        "ConditionExpression" not in state["Arguments"] or not caught & {TAKEN, EVERYTHING}
    ):
        yield "writes over what another execution has decided"


def _retries(state: State) -> Iterator[str]:
    retried, needed = _named(state, "Retry"), TRANSIENT.get(_service(state), set())
    function = state["Arguments"].get("FunctionName", "")
    helped = {error for pattern, error in RETRYABLE.items() if re.search(pattern, function)}
    for retry in state.get("Retry", []):
        yield from _retry(retry)
    if not retried:
        yield "is tried once only"
    elif EVERYTHING in retried and not _alerts(state):
        yield "retries everything, faults that stay included"
    elif EVERYTHING not in retried and not retried >= needed | helped:
        yield f"does not retry {', '.join(sorted((needed | helped) - retried))}"
    if foreign := {it for it in retried if "." not in it} - helped:
        yield f"retries {', '.join(sorted(foreign))}, which another attempt cannot help"


def _retry(retry: State) -> Iterator[str]:
    if retry.get("JitterStrategy") != "FULL":
        yield "retries without jitter: all that failed together come back together"
    if not 0 < retry.get("MaxAttempts", 0) <= MOST_ATTEMPTS:
        yield f"does not say how often it retries (at most {MOST_ATTEMPTS} times)"
    if not 0 < retry.get("MaxDelaySeconds", 0) <= LONGEST_DELAY_SECONDS:
        yield f"does not cap the wait between attempts (at most {LONGEST_DELAY_SECONDS} s)"
    if retry.get("BackoffRate", 1) < 2 or retry.get("IntervalSeconds", 0) < 1:
        yield "does not wait longer before each attempt"


def _container(state: State, sheltered: bool) -> Iterator[str]:
    # A Map may leave the loss of an item to the Map around it; a Parallel holds one picture, which must not be lost.
    left = sheltered and state["Type"] == "Map"
    if EVERYTHING not in _named(state, "Catch") and not left:
        yield "does not catch everything"
    if state["Type"] == "Map" and not state.get("MaxConcurrency"):
        yield "has no MaxConcurrency, which means 40 or, distributed, 10,000 at once"


def _service(state: State) -> str:
    """lambda, dynamodb, sqs... of `arn:aws:states:::lambda:invoke` or `arn:aws:states:::aws-sdk:sfn:describeMapRun`."""
    parts = state["Resource"].split(":::")[1].split(":")
    return parts[1] if parts[0] == "aws-sdk" else parts[0]


def _alerts(state: State) -> bool:
    """Whether a state sends the alert to a person: there everything must be tried."""
    function = state["Arguments"].get("FunctionName", "")
    return _service(state) in ("sqs", "sns") or bool(re.search("send[-_]alert", function))


def _named(state: State, element: str) -> set[str]:
    return {error for it in state.get(element, []) for error in it["ErrorEquals"]}
