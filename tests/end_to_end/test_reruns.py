"""Every picture that is not accepted can be found and run again, and so can every event that started nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pytest

from scripts.workflow.client import Workflow
from scripts.workflow.dead_letters import DeadLetters
from scripts.workflow.ledger import retention
from scripts.workflow.rerun import Reruns
from training_scripts.synthetic import generator


def lines(result: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@contextmanager
def threshold(workflow: Workflow, value: float) -> Iterator[None]:
    """Another threshold for every model behind the alias, as the next apply would set it; afterwards everything is as before."""
    functions = workflow.deployment.client("lambda")
    name = workflow.deployment.function_names["filter_inferences"]
    live = functions.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]
    known = json.loads(before["Variables"]["THRESHOLDS"])
    changed = {"Variables": before["Variables"] | {"THRESHOLDS": json.dumps(dict.fromkeys(known, value))}}
    functions.update_function_configuration(FunctionName=name, Environment=changed)
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)
    try:
        yield
    finally:
        functions.update_alias(FunctionName=name, Name="live", FunctionVersion=live)
        functions.update_function_configuration(FunctionName=name, Environment=before)
        functions.delete_function(FunctionName=name, Qualifier=version)


def test_a_doubtful_picture_is_accepted_by_a_rerun_with_a_lower_threshold(scones, workflow, doubtful):
    outcome = workflow.classify(str(doubtful))
    waiting = workflow.row(outcome.uri, outcome.version)
    assert "expiry" not in waiting
    chosen = ("rerun", "--status", "LOW_CONFIDENCE", "--since", waiting["time"], "--wait", "--yes", "--json")

    with threshold(workflow, 0.3):
        result = scones(*chosen)

    row = workflow.row(outcome.uri, outcome.version)
    assert [(line["s3_version_id"], line["status"]) for line in lines(result)] == [
        (outcome.version, "ACCEPTED")
    ]
    assert result.exit_code == 0
    assert (row["status"], row["threshold"], row["run"]) == ("ACCEPTED", 0.3, 1)
    assert not {"attention", "error", "cause"} & set(row)
    assert [entry["status"] for entry in row["history"]] == ["LOW_CONFIDENCE", "ACCEPTED"]
    kept_until = datetime.fromisoformat(row["time"]) + retention(workflow.deployment)
    assert row["expiry"] == pytest.approx(kept_until.timestamp(), abs=2)
    assert lines(scones(*chosen)) == []


def test_a_rerun_shows_what_it_would_do_and_asks(scones, workflow, doubtful):
    outcome = workflow.classify(str(doubtful))
    row = workflow.row(outcome.uri, outcome.version)

    shown = scones("rerun", "--dry-run", "--since", row["time"])
    asked = scones("rerun", "--since", row["time"])

    assert "LOW_CONFIDENCE" in shown.stdout
    assert "run 1" in shown.stdout
    assert (shown.exit_code, asked.exit_code) == (0, 1)
    assert "Start 1 executions?" in asked.stderr
    assert workflow.row(outcome.uri, outcome.version) == row


def test_after_ctrl_c_the_same_command_does_the_rest(scones, workflow, tmp_path, monkeypatch):
    outcomes = []
    for seed in (1, 2):
        generator.draw("ambiguous", seed).save(tmp_path / f"{seed}.jpg", quality=90)
        outcomes.append(workflow.classify(str(tmp_path / f"{seed}.jpg")))
    since = workflow.row(outcomes[0].uri, outcomes[0].version)["time"]
    start, started = Reruns.start, []

    def interrupted(reruns, rerun):
        if started:
            raise KeyboardInterrupt
        started.append(rerun)
        return start(reruns, rerun)

    with monkeypatch.context() as patch:
        patch.setattr(Reruns, "start", interrupted)
        first = scones("rerun", "--since", since, "--yes")
    rest = scones("rerun", "--since", since, "--yes", "--wait", "--json")

    rows = [workflow.row(outcome.uri, outcome.version) for outcome in outcomes]
    assert (first.exit_code, rest.exit_code) == (130, 3)
    assert "Stopped after 1 of 2" in first.stderr
    assert sorted(row["run"] for row in rows) in ([1, 1], [1, 2])  # the first may have been decided by then
    assert all(len(row["history"]) == row["run"] + 1 for row in rows)


@contextmanager
def target_missing(workflow: Workflow) -> Iterator[None]:
    """The rule that starts executions aims at a state machine that is not there."""
    events = workflow.deployment.client("events")
    rule = f"{workflow.deployment.prefix}-object-created"
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    events.put_targets(Rule=rule, Targets=[target | {"Arn": f"{target['Arn']}-gone"}])
    try:
        yield
    finally:
        events.put_targets(Rule=rule, Targets=[target])


@pytest.fixture
def empty_queues(workflow):
    """What other tests have left in the dead-letter queues is gone."""
    with DeadLetters(workflow.deployment) as letters:
        for letter in (*letters.events(), *letters.alerts()):
            letters.remove(letter)


def messages(workflow: Workflow, queue: str) -> int:
    attributes = workflow.deployment.client("sqs").get_queue_attributes(
        QueueUrl=getattr(workflow.deployment, queue), AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.usefixtures("empty_queues")
def test_an_undelivered_event_waits_for_a_rerun(scones, workflow, bicycle, eventually):
    """An event that started nothing waits in the dead-letter queue."""
    key = "incoming/nobody saw+me%20.jpg"
    with target_missing(workflow):
        put = workflow.s3.put_object(Bucket=workflow.deployment.bucket, Key=key, Body=bicycle.read_bytes())
        eventually(lambda: messages(workflow, "trigger_dead_letters_url") == 1)
    uri = f"s3://{workflow.deployment.bucket}/{key}"
    assert workflow.row(uri, put["VersionId"]) is None

    result = scones("rerun", "--from-dead-letters", "--wait", "--yes", "--json")

    assert [(line["s3_key"], line["run"], line["status"]) for line in lines(result)] == [(key, 0, "ACCEPTED")]
    assert workflow.row(uri, put["VersionId"])["label"] == "bicycle"
    assert messages(workflow, "trigger_dead_letters_url") == 0


@pytest.mark.usefixtures("empty_queues")
def test_an_alert_that_reached_nobody_is_sent_by_a_rerun(scones, workflow, doubtful, alerts_of, eventually):
    functions = workflow.deployment.client("lambda")
    name = workflow.deployment.function_names["send_alert"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        outcome = workflow.classify(str(doubtful))
        silent = scones("rerun", "--from-dead-letters", "--yes", "--json")
    finally:
        functions.delete_function_concurrency(FunctionName=name)
    assert alerts_of(outcome.execution) == []
    assert silent.exit_code == 1
    eventually(lambda: messages(workflow, "alert_dead_letters_url") == 1)

    result = scones("rerun", "--from-dead-letters", "--yes", "--json")

    assert [(line["picture"], line["failure"]) for line in lines(result)] == [(outcome.uri, None)]
    (alert,) = alerts_of(outcome.execution)
    assert alert["attributes"]["category"] == "low_confidence"
    assert "both.jpg" in alert["subject"]
    assert messages(workflow, "alert_dead_letters_url") == 0
