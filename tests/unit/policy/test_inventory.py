"""What the inventory holds of a plan, and what it says of a plan that sets something else."""

import json
from typing import Any

import pytest
import yaml

from scripts.policy import inventory

TOPIC = "module.alerts.aws_sns_topic.alerts"


def plan(**after: Any) -> dict[str, Any]:
    change = {"address": TOPIC, "type": "aws_sns_topic", "mode": "managed", "change": {"after": after}}
    return {"resource_changes": [change], "variables": {"package_dir": {"value": "/build/aws"}}}


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Writes the inventory of a plan to a file of its own."""
    monkeypatch.setattr(inventory, "PAGE", tmp_path / "inventory.yaml")
    inventory.read.cache_clear()
    yield lambda **after: inventory.write(plan(**after))
    inventory.read.cache_clear()


def test_documents_are_listed_by_their_content():
    """Packages are listed without their folder."""
    after = {
        "pattern": json.dumps({"status": ["FAILED"]}),
        "filename": "/build/aws/send_alert.zip",
        "days": 0,
    }
    assert inventory.inventory(plan(**after)) == {
        TOPIC: {"pattern": {"status": ["FAILED"]}, "filename": "PACKAGES/send_alert.zip", "days": 0}
    }


def test_words_for_readers_tags_policies_and_what_is_empty_are_left_out():
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    machine = json.dumps({"Comment": "words", "States": {"A": {"Comment": "words", "width": 3}}})
    after = {
        "description": "words",
        "tags_all": {"a": "b"},
        "policy": policy,
        "kms": None,
        "list": [],
        "text": "",
    }
    assert inventory.inventory(plan(**after)) == {}
    assert inventory.inventory(plan(definition=machine)) == {
        TOPIC: {"definition": {"States": {"A": {"width": 3}}}}
    }


def test_the_file_is_yaml_with_a_line_that_says_how_it_is_renewed():
    text = inventory.page(plan(name="alerts"))
    assert "`make inventory`" in text
    assert yaml.safe_load(text) == {TOPIC: {"name": "alerts"}}


def test_what_was_listed_is_not_a_finding(listed):
    listed(name="alerts", filter='{"category": ["alarm"]}', threshold=0.5)
    assert inventory.broken(plan(name="alerts", filter='{"category": ["alarm"]}', threshold=0.5)) == []


def test_each_changed_value_is_reported_with_its_place(listed):
    """Whether it changed, came or went."""
    listed(filter='{"category": ["alarm", "batch"]}', period=300)
    changed = plan(filter='{"category": ["batch"]}', period=300, name="new")
    how = "(after a review: make inventory)"
    assert inventory.broken(changed) == [
        f"{TOPIC}.filter.category.0: the inventory has 'alarm', the plan 'batch' {how}",
        f"{TOPIC}.filter.category.1: the inventory has 'batch', the plan nothing {how}",
        f"{TOPIC}.name: the inventory has nothing, the plan 'new' {how}",
    ]


@pytest.mark.parametrize("pattern", inventory.LEFT_OUT)
def test_what_is_left_out_has_a_reason(pattern):
    assert len(inventory.LEFT_OUT[pattern]) > len("no reason")
