"""scones stream: pictures go in, events do the rest, and each picture is accounted for."""

import json
import signal

import pytest

from scripts.workflow.ledger import STATUSES
from scripts.workflow.stream import Stream


def test_every_picture_of_a_stream_ends_in_exactly_one_place(scones, workflow):
    result = scones("stream", "--count", 15, "--rate", 20, "--broken", 0.2, "--json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (figures["sent"], figures["in_flight"], figures["missing"]) == (15, 0, [])
    assert sum(figures[status] for status in STATUSES) == 15
    assert figures["ACCEPTED"] > 0
    assert figures["REJECTED"] > 0
    listed = workflow.s3.list_objects_v2(Bucket=workflow.deployment.bucket, Prefix=figures["prefix"])[
        "Contents"
    ]
    rows = [workflow.ledger.rows_of(f"s3://{workflow.deployment.bucket}/{each['Key']}") for each in listed]
    assert [len(each) for each in rows] == [1] * 15


def test_pictures_that_nothing_classifies_are_named(scones, workflow):
    events, rule = workflow.deployment.client("events"), f"{workflow.deployment.prefix}-object-created"
    events.disable_rule(Name=rule)
    try:
        result = scones("stream", "--count", 2, "--rate", 20, "--timeout", 0)
    finally:
        events.enable_rule(Name=rule)

    assert result.exit_code == 5
    assert "no row for 2 of 2 pictures" in result.stderr
    assert result.stderr.count("s3://") == 3


def test_ctrl_c_stops_the_sending_and_waits_for_what_is_in_flight(scones, monkeypatch):
    step = Stream.step

    def interrupted(stream):
        step(stream)
        if stream.figures().sent >= 3 and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Stream, "step", interrupted)
    result = scones("stream", "--count", 1000, "--rate", 20, "--json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 130
    assert 3 <= figures["sent"] < 1000
    assert sum(figures[status] for status in STATUSES) == figures["sent"]


def test_a_folder_without_files_is_one_clear_line(scones, tmp_path):
    result = scones("stream", "--images", tmp_path)

    assert result.exit_code == 1
    assert "holds no files" in result.stderr


@pytest.mark.parametrize("wrong", [("--rate", 0), ("--broken", 2), ("--count", 0)])
def test_a_wrong_option_is_named(scones, wrong):
    assert scones("stream", *wrong).exit_code == 2
