"""How Terraform composes and fills the state machine from statemachine/*.asl.json."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.common import paths

FOLDER = paths.ROOT / "statemachine"
PATH = r'"([a-z_/]+\.(asl\.json|json|jsonata|txt))"'
ADDRESS = 'module.state_machine["classify"].aws_sfn_state_machine.this'
# By deployed name.
MACHINES = {"batch": "batch", "classify": "classify", "unfinished": "reconcile"}


@pytest.fixture(scope="module")
def definitions(provisioned: dict[str, Any], planned: Callable[..., Any]) -> dict[str, dict[str, Any]]:
    addresses = {name: ADDRESS.replace("classify", name) for name in MACHINES}
    return {name: json.loads(planned(provisioned)[at]["definition"]) for name, at in addresses.items()}


@pytest.fixture(scope="module")
def definition(provisioned: dict[str, Any], planned: Callable[..., Any]) -> dict[str, Any]:
    return json.loads(planned(provisioned)[ADDRESS]["definition"])


def included(found: re.Match[str]) -> str:
    text = (FOLDER / found[1]).read_text(encoding="utf-8")
    match found[2]:
        case "jsonata":
            return json.dumps("{% " + text.strip() + " %}")
        case "txt":
            return json.dumps(re.sub(r"\s+", " ", text).strip())
    return re.sub(PATH, included, text)


def expected(text: str) -> Any:
    """The same by other means: include, then replace each token."""
    text = re.sub(PATH, included, text)
    lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:scones-prod-"
    tokens = {
        "batch_children": "6",
        "bucket": "scones-prod-123456789012-us-east-1",
        "ledger_table": "scones-prod-ledger",
        "ledger_retention_days": "730",
        "alert_dead_letters_url": "https://sqs.us-east-1.amazonaws.com/123456789012/scones-prod-alert-dead-letters",
    }
    for folder in ("serialize_image_data", "classify_image", "filter_inferences", "send_alert"):
        tokens[folder] = f"{lambda_arn}{folder.replace('_', '-')}:live"
    return json.loads(re.sub(r"<<([a-z_]+)>>", lambda match: tokens[match[1]], text))


def states(machine: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every state, those of branches and item processors included."""
    if isinstance(machine, dict):
        yield from machine.get("States", {}).items()
        for value in machine.values():
            yield from states(value)
    elif isinstance(machine, list):
        for value in machine:
            yield from states(value)


@pytest.mark.parametrize("name", MACHINES)
def test_definition_is_the_file_with_includes_and_tokens_filled(
    name: str, definitions: dict[str, dict[str, Any]]
) -> None:
    assert definitions[name] == expected((FOLDER / f"{MACHINES[name]}.asl.json").read_text(encoding="utf-8"))


def test_a_batch_runs_as_many_children_as_functions_and_endpoint_can_take(
    provisioned: dict[str, Any],
    development: dict[str, Any],
    serverless: dict[str, Any],
    planned: Callable[..., Any],
) -> None:
    """Eight pictures in flight in each: one child for each instance, and one for five serverless invocations."""
    children = {
        json.loads(planned(plan)[ADDRESS.replace("classify", "batch")]["definition"])["States"][
            "ClassifyPictures"
        ]["MaxConcurrency"]
        for plan in (provisioned, development, serverless)
    }
    assert children == {"{% 6 %}", "{% 1 %}"}


@pytest.mark.parametrize(
    ("written", "misspelt", "refusal"),
    [
        (
            "<<ledger_retention_days>>",
            "<<ledger_retention_dais>>",
            "classify.asl.json uses <<ledger_retention_dais>>, which has no value: add it to tokens",
        ),
        (
            '"retry/alert.json"',
            '"retry/alerts.json"',
            'classify.asl.json includes "retry/alerts.json", which is not there',
        ),
    ],
)
def test_a_misspelt_token_or_path_stops_the_plan(
    root_module: Any, written: str, misspelt: str, refusal: str
) -> None:
    link = root_module.folder.parent / "statemachine"
    target = link.readlink()
    link.unlink()
    try:
        shutil.copytree(FOLDER, link)
        for path in link.rglob("*.json*"):
            path.write_text(path.read_text(encoding="utf-8").replace(written, misspelt), encoding="utf-8")
        message = root_module.refusal("dev", tags={"attempt": misspelt})
    finally:
        shutil.rmtree(link)
        link.symlink_to(target)
    assert refusal in message


def test_functions_end_before_the_tasks_that_wait_for_them(
    definition: dict[str, Any], provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    """Otherwise the task is cut off first, and neither the function's error nor its log says why."""
    timeouts = {
        after["function_name"]: after["timeout"]
        for address, after in planned(provisioned).items()
        if address.endswith("aws_lambda_function.this")
    }
    tasks = {
        state["Arguments"]["FunctionName"].split(":")[6]: state["TimeoutSeconds"]
        for _, state in states(definition)
        if state.get("Resource") == "arn:aws:states:::lambda:invoke"
    }
    assert set(timeouts) - set(tasks) == {"scones-prod-report-drift"}  # a schedule calls it
    assert {name: (timeouts[name], tasks[name]) for name in tasks if timeouts[name] >= tasks[name]} == {}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_role_may_do_exactly_what_the_definition_needs(
    machine: str,
    definitions: dict[str, dict[str, Any]],
    provisioned: dict[str, Any],
    planned: Callable[..., Any],
) -> None:
    role = planned(provisioned)[f'module.state_machine["{machine}"].aws_iam_role_policy.this']
    allowed = {
        (action, resource)
        for statement in json.loads(role["policy"])["Statement"]
        if statement["Sid"] not in ("DeliverLogs", "SendTraces", "UseKeyOfBucket", "UseKeyOfLedger")
        for action in statement["Action"]
        for resource in statement["Resource"]
    }
    arn = "arn:aws:{}:us-east-1:123456789012:{}"
    needed = set()
    for name, state in states(definitions[machine]):
        if state.get("ItemProcessor", {}).get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED":
            needed |= distributed_map_permissions(state, arn)
        match state.get("Resource"):
            case None:
                continue
            case "arn:aws:states:::lambda:invoke":
                needed.add(("lambda:InvokeFunction", state["Arguments"]["FunctionName"]))
            case (
                "arn:aws:states:::dynamodb:updateItem"
                | "arn:aws:states:::dynamodb:getItem"
                | ("arn:aws:states:::dynamodb:deleteItem")
            ):
                action = state["Resource"].rpartition(":")[2]
                table = arn.format("dynamodb", f"table/{state['Arguments']['TableName']}")
                needed.add((f"dynamodb:{action[0].upper()}{action[1:]}", table))
            case "arn:aws:states:::aws-sdk:s3:headObject":
                bucket = "arn:aws:s3:::scones-prod-123456789012-us-east-1"
                needed |= {("s3:GetObject", f"{bucket}/*"), ("s3:ListBucket", bucket)}
            case "arn:aws:states:::sqs:sendMessage":
                queue = arn.format("sqs", state["Arguments"]["QueueUrl"].rsplit("/", 1)[1])
                needed.add(("sqs:SendMessage", queue))
            case other:
                pytest.fail(f"{name} calls {other}: grant it in terraform/state_machines.tf and say so here")
    assert needed == allowed


def distributed_map_permissions(state: dict[str, Any], arn: str) -> set[tuple[str, str]]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html"""
    executions = arn.format("states", "execution:scones-prod-batch:*")
    results = f"arn:aws:s3:::{state['ResultWriter']['Arguments']['Bucket']}/results/*"
    writing = ("s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload")
    return {
        ("states:StartExecution", arn.format("states", "stateMachine:scones-prod-batch")),
        ("states:DescribeExecution", executions),
        ("s3:GetObject", f"arn:aws:s3:::{state['ItemReader']['Arguments']['Bucket']}/results/*"),
        *((action, results) for action in writing),
    }


def test_unfinished_executions_are_recorded_without_a_loop(
    provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    """What stops an execution from outside starts the settling machine, never because of itself."""
    resources = planned(provisioned)
    settler = "arn:aws:states:us-east-1:123456789012:stateMachine:scones-prod-unfinished"
    watched = {}
    for rule, target in (("unfinished", "settler"), ('alert["unsettled"]', 'send_alert["unsettled"]')):
        pattern = json.loads(resources[f"module.alerts.aws_cloudwatch_event_rule.{rule}"]["event_pattern"])
        arn = resources[f"module.alerts.aws_cloudwatch_event_target.{target}"]["arn"]
        watched[arn] = pattern["detail"]

    machines = set(watched[settler]["stateMachineArn"])
    assert watched[settler]["$or"] == [
        {"status": ["ABORTED", "TIMED_OUT"]},
        {"status": ["FAILED"], "error": ["States.DataLimitExceeded", "States.Runtime"]},
    ]
    assert settler not in machines
    assert machines == {
        f"arn:aws:states:us-east-1:123456789012:stateMachine:{after['name']}"
        for address, after in resources.items()
        if address.endswith("aws_sfn_state_machine.this") and "unfinished" not in address
    }
    (alerted,) = (watched[arn] for arn in watched if ":function:" in arn)
    assert alerted == {"stateMachineArn": [settler], "status": ["ABORTED", "FAILED", "TIMED_OUT"]}


@pytest.mark.parametrize("name", MACHINES)
def test_logs_hold_failures_with_their_data_and_traces_are_on(
    name: str, provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    machine = planned(provisioned)[ADDRESS.replace("classify", name)]
    assert machine["logging_configuration"][0]["level"] == "ERROR"
    assert machine["logging_configuration"][0]["include_execution_data"] is True
    assert machine["tracing_configuration"] == [{"enabled": True}]


@pytest.mark.parametrize(("scenario", "state"), [("without_model", "DISABLED"), ("provisioned", "ENABLED")])
def test_new_pictures_start_executions_only_while_there_is_an_endpoint(
    scenario: str, state: str, request: pytest.FixtureRequest, planned: Callable[..., Any]
) -> None:
    resources = planned(request.getfixturevalue(scenario))
    rule = resources['module.state_machine["classify"].aws_cloudwatch_event_rule.object_created["incoming"]']
    assert rule["state"] == state
    assert json.loads(rule["event_pattern"])["detail"]["object"] == {"key": [{"prefix": "incoming/"}]}


def test_every_rule_retries_and_keeps_what_is_undelivered(
    provisioned: dict[str, Any], planned: Callable[..., Any]
) -> None:
    targets = {
        address: target
        for address, target in planned(provisioned).items()
        if ".aws_cloudwatch_event_target." in address
    }
    assert len(targets) >= 2
    for address, target in targets.items():
        assert target["retry_policy"][0]["maximum_retry_attempts"] == 185, address
        assert target["retry_policy"][0]["maximum_event_age_in_seconds"] >= 3600, address
        assert len(target["dead_letter_config"]) == 1, address
