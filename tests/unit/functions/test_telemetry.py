"""Logs and metrics of a whole function process, as CloudWatch would receive them on standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVOKE = """
import json, sys, types
from functions.filter_inferences import handler

settled = handler.settings.probabilities
for event in json.loads(sys.argv[1]):
    handler.settings.probabilities = (lambda name: 1 / 0) if event == "a fault of ours" else settled
    try:
        handler.lambda_handler(event, types.SimpleNamespace(aws_request_id="5c6f4b8e"))
    except Exception:
        pass
"""

SURE = {"inferences": [0.97, 0.02, 0.01], "model": "scones-2026-11-12"}


@pytest.fixture
def printed():
    """The JSON lines that filter_inferences prints for some events: alternately one log and one metric record."""

    def invoke(*events):
        environment = os.environ | {
            "POWERTOOLS_SERVICE_NAME": "filter_inferences",
            "POWERTOOLS_METRICS_NAMESPACE": "scones-test",
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [sys.executable, "-c", INVOKE, json.dumps(events)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return invoke


def test_an_invocation_leaves_one_log_line_and_one_metric(printed):
    """The log line names the picture."""
    log, metric = printed({**SURE, "s3_key": "a.jpg", "image_data": "c2VjcmV0"})

    assert (log["level"], log["service"], log["s3_key"], log["request_id"]) == (
        "INFO",
        "filter_inferences",
        "a.jpg",
        "5c6f4b8e",
    )
    assert (metric["Invocations"], metric["Accepted"], metric["Confidence"]) == ([1.0], [1.0], [0.97])
    definition = metric["_aws"]["CloudWatchMetrics"][0]
    assert (definition["Namespace"], definition["Dimensions"]) == ("scones-test", [["service"]])
    assert "c2VjcmV0" not in json.dumps([log, metric])


def test_a_named_error_is_counted_and_logged_with_its_reason_and_details(printed):
    log, metric = printed(SURE | {"inferences": [0.5, 0.3, 0.2]})

    assert (log["level"], log["error"], log["confidence"]) == ("WARNING", "ThresholdConfidenceNotMet", 0.5)
    assert "not sure enough" in log["message"]
    assert "exception" not in log
    assert metric["ThresholdConfidenceNotMet"] == [1.0]
    assert "Accepted" not in metric


def test_an_unexpected_error_is_counted_and_logged_with_its_traceback(printed):
    log, metric = printed("a fault of ours")

    assert (log["level"], log["exception_name"]) == ("ERROR", "ZeroDivisionError")
    assert "Traceback" in log["exception"]
    assert metric["UnexpectedError"] == [1.0]


def test_nothing_of_one_invocation_shows_in_the_next(printed):
    first, _, second, metric = printed({"s3_key": "first.jpg"}, SURE)

    assert first["s3_key"] == "first.jpg"
    assert "s3_key" not in second
    assert "InvalidInput" not in metric
