"""A plan's summary: what is counted, what stands out and why, what the Markdown says."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.operations import plan_markdown
from scripts.operations.plan_summary import Summary, summarise
from scripts.operations.prices import Volume

ROOT = Path(__file__).resolve().parents[3]
BUCKET = "module.storage.aws_s3_bucket.this"


def change(address: str, *actions: str, **facts: Any) -> dict[str, Any]:
    """One entry of resource_changes, as Terraform writes it."""
    *module, kind, _ = address.rsplit(".", 2)
    before = None if actions == ("create",) else facts.pop("before", {})
    after = None if actions == ("delete",) else facts.pop("after", {})
    return {
        "address": address,
        "mode": facts.pop("mode", "managed"),
        "type": kind,
        **({"module_address": module[0]} if module else {}),
        **({"action_reason": facts.pop("reason")} if "reason" in facts else {}),
        "change": {
            "actions": list(actions),
            "before": before,
            "after": after,
            "after_unknown": facts.pop("unknown", {}),
            **facts,
        },
    }


def summary(*changes: dict[str, Any], broken: list[str] | None = None, heard: str | None = None) -> Summary:
    subscription = {
        "mode": "managed",
        "type": "aws_sns_topic_subscription",
        "address": "module.alerts.aws_sns_topic_subscription.alerts",
        "values": {"filter_policy": heard},
    }
    plan = {
        "planned_values": {
            "outputs": {"region": {"value": "us-east-1"}},
            "root_module": {"resources": [subscription]},
        },
        "resource_changes": list(changes),
    }
    return summarise(plan, "dev", "the state of dev", Volume(), broken or [])


def test_changes_are_counted_by_module():
    done = summary(
        change("module.alerts.aws_sns_topic.alerts", "create"),
        change("module.alerts.aws_sns_topic.alarms", "update", before={"name": "a"}, after={"name": "b"}),
        change('module.function["x"].aws_lambda_alias.live', "delete", "create"),
        change("aws_sns_topic.own", "delete"),
    )
    assert done.counts == {"create": 1, "update": 1, "replace": 1, "destroy": 1}
    assert done.modules["module.alerts"] == {"create": 1, "update": 1}
    assert done.modules['module.function["x"]'] == {"replace": 1}
    assert done.modules["root"] == {"destroy": 1}


def test_what_stays_or_is_only_read_is_not_a_change():
    done = summary(change(BUCKET, "no-op"), change("data.aws_caller_identity.current", "read", mode="data"))
    assert done.changes == []
    assert plan_markdown.summary(done).startswith("## Plan for dev: no changes\n")


@pytest.mark.parametrize(
    ("address", "precious"),
    [
        (BUCKET, "data"),
        ("module.storage.aws_dynamodb_table.ledger", "data"),
        ('module.endpoint.aws_sagemaker_endpoint.this["classifier"]', "endpoint"),
        ('module.key["project"].aws_kms_key.this', "key"),
    ],
)
@pytest.mark.parametrize("actions", [("delete", "create"), ("create", "delete"), ("delete",)])
def test_replaced_or_destroyed_data_endpoints_and_keys_stand_out(address, precious, actions):
    done = summary(change(address, *actions, replace_paths=[["bucket"]]))
    assert [(it.address, it.precious) for it in done.dangers] == [(address, precious)]
    text = plan_markdown.summary(done)
    assert "[!CAUTION]" in text
    assert f"s the {precious} `{address}`" in text


@pytest.mark.parametrize("actions", [("create",), ("update",)])
def test_new_and_updated_data_is_not_a_danger(actions):
    done = summary(change(BUCKET, *actions))
    assert done.dangers == []
    assert "[!CAUTION]" not in plan_markdown.summary(done)


def test_the_attribute_that_forces_a_replacement_is_named():
    paths = [["encryption_configuration", 0, "kms_key"], ["name"]]
    done = summary(
        change("module.endpoint.aws_ecr_repository.serving", "delete", "create", replace_paths=paths)
    )
    assert done.changes[0].why == "encryption_configuration[0].kms_key, name"
    assert "`: encryption_configuration[0].kms_key, name\n" in plan_markdown.summary(done)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("replace_by_triggers", "replace_triggered_by"),
        ("delete_because_each_key", "no longer in for_each"),
        ("delete_because_no_resource_config", "no longer in the configuration"),
    ],
)
def test_without_such_an_attribute_terraforms_reason_is_shown(reason, words):
    assert words in summary(change(BUCKET, "delete", reason=reason)).changes[0].why


def test_an_update_names_the_attributes_that_differ():
    before = {"memory_size": 256, "timeout": 10, "version": "1"}
    done = summary(
        change(
            "aws_lambda_function.this",
            "update",
            before=before,
            after={"memory_size": 512, "timeout": 10},
            unknown={"version": True},
        )
    )
    assert done.changes[0].attributes == ["memory_size"]


def test_an_update_that_follows_another_says_so():
    """It names what only the apply will show."""
    done = summary(
        change(
            "aws_lambda_alias.live",
            "update",
            before={"function_version": "1"},
            after={},
            unknown={"function_version": True},
        )
    )
    assert done.changes[0].attributes == ["function_version"]


def judging(address: str = 'module.function["filter_inferences"].aws_lambda_function.this', **moments: Any):
    """The change of a function's THRESHOLDS."""
    settings = {
        moment: {"environment": [{"variables": {"THRESHOLDS": json.dumps(thresholds)}}]}
        for moment, thresholds in moments.items()
    }
    return change(address, "update" if "before" in moments else "create", **settings)


def test_changed_thresholds_are_shown_as_values_by_model():
    done = summary(
        judging(
            before={"bikes": 0.93, "older": 0.9, "oldest": 0.8},
            after={"bikes": 0.93, "older": 0.95, "trikes": 0.98},
        )
    )
    assert done.thresholds == {"older": (0.9, 0.95), "oldest": (0.8, None), "trikes": (None, 0.98)}
    assert done.as_json()["thresholds"]["older"] == {"before": 0.9, "after": 0.95}
    text = plan_markdown.summary(done)
    assert "| model | threshold now | then |\n|---|--:|--:|\n" in text
    assert "| `older` | 0.9 | 0.95 |\n| `oldest` | 0.8 | none |\n| `trikes` | none | 0.98 |\n" in text
    assert "bikes" not in text


@pytest.mark.parametrize(
    "same",
    [
        judging(before={"bikes": 0.93}, after={"bikes": 0.93}),
        judging("module.other.aws_lambda_function.this", before={"bikes": 0.93}, after={"bikes": 0.8}),
        change('module.function["filter_inferences"].aws_lambda_function.this', "delete"),
    ],
)
def test_without_a_changed_threshold_there_is_no_table_of_them(same):
    assert summary(same).thresholds == {}
    assert "threshold" not in plan_markdown.summary(summary(same))


def test_a_first_apply_shows_the_thresholds():
    """So does the first one in which each model has its own."""
    before_models = change(
        'module.function["filter_inferences"].aws_lambda_function.this',
        "update",
        before={"environment": [{"variables": {"THRESHOLD": "0.93"}}]},
        after=judging(after={"bikes": 0.93})["change"]["after"],
    )
    for plan in (judging(after={"bikes": 0.93}), before_models):
        assert summary(plan).thresholds == {"bikes": (None, 0.93)}


@pytest.mark.parametrize("ticks", ["`", "```", "````", "`" * 50])
def test_no_fence_in_a_plan_ends_the_box_around_it(ticks):
    """https://spec.commonmark.org/0.31.2/#fenced-code-blocks"""
    plan = f"a\n{ticks}\n</details>\n# Approved by @everybody\n{ticks}text\nb"

    _, _, box = plan_markdown.comment(summary(), plan).partition("<summary>Terraform's plan</summary>\n\n")

    fence = re.match("`{3,}(?=text\n)", box)[0]
    assert len(fence) > len(ticks)
    assert box == f"{fence}text\n{plan}\n{fence}\n\n</details>\n"


def played(comments, tmp_path):
    """The workflow's own step with comments played by a `gh`; returns how it was called in the end."""
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "plan.yml").read_text())["jobs"]["plan"]["steps"]
    (step,) = [each for each in steps if each.get("name") == "Comment"]
    (tmp_path / "comments.json").write_text(json.dumps(comments))
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/bin/sh\nif [ "$2" = --paginate ]; then exec jq -r "$5" comments.json; fi\necho "$@" > called\n'
    )
    gh.chmod(0o755)
    told = {"GITHUB_REPOSITORY": "own/scones", "NUMBER": "7", "ENVIRONMENT": "dev"}
    told["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=tmp_path, env=told, check=True)
    return (tmp_path / "called").read_text()


BOT = {"login": "github-actions[bot]", "type": "Bot"}
MARK = "<!-- scones plan dev -->"


@pytest.mark.skipif(shutil.which("jq") is None, reason="gh reads comments by jq's language")
@pytest.mark.parametrize(
    ("comments", "updated"),
    [
        ([], None),
        ([{"id": 1, "user": {"login": "outsider", "type": "User"}, "body": MARK}], None),
        ([{"id": 1, "user": {"login": "github-actions[bot]", "type": "User"}, "body": MARK}], None),
        ([{"id": 1, "user": {"login": "other[bot]", "type": "Bot"}, "body": MARK}], None),
        ([{"id": 1, "user": None, "body": MARK}, {"id": 2, "user": BOT, "body": None}], None),
        ([{"id": 1, "user": BOT, "body": "<!-- scones plan prod -->"}], None),
        ([{"id": 1, "user": BOT, "body": f"See {MARK}"}], None),
        ([{"id": 3, "user": BOT, "body": f"{MARK}\n## Plan"}], 3),
        (
            [
                {"id": 1, "user": {"login": "outsider", "type": "User"}, "body": MARK},
                {"id": 3, "user": BOT, "body": MARK},
            ],
            3,
        ),
    ],
)
def test_only_the_workflow_s_own_comment_is_written_again(comments, updated, tmp_path):
    called = played(comments, tmp_path)

    if updated is None:
        assert called.startswith("api repos/own/scones/issues/7/comments --field body=@plan.md")
    else:
        assert called.startswith(f"api --method PATCH repos/own/scones/issues/comments/{updated} ")


def test_a_long_plan_is_cut_to_what_a_comment_holds():
    done = summary(change(BUCKET, "create"))
    text = plan_markdown.comment(done, "x" * 100_000)
    assert len(text) < 65_536
    assert "the whole plan is in the job's log" in text
    assert text.startswith("<!-- scones plan dev -->")


def test_json_says_the_same_as_the_summary():
    done = summary(change(BUCKET, "delete", reason="delete_because_no_module")).as_json()
    assert done["counts"] == {"create": 0, "update": 0, "replace": 0, "destroy": 1}
    assert done["dangers"] == [BUCKET]
    assert done["monthly_usd"]["after"] == 0


def test_broken_rules_stand_out():
    text = plan_markdown.summary(summary(broken=["logs_end: /aws/lambda/x is kept for ever"]))
    assert "> **Rules broken:**\n>\n> - logs_end: /aws/lambda/x is kept for ever" in text
    assert "The project's rules for plans hold" in plan_markdown.summary(summary())


@pytest.mark.parametrize(
    ("heard", "unheard"),
    [
        (None, ["alarm", "system"]),
        ('{"category": ["low_confidence", "system"]}', ["alarm"]),
        ('{"category": ["alarm", "system"]}', []),
    ],
)
def test_failures_that_would_alert_nobody_are_named(heard, unheard):
    done = summary(heard=heard)
    assert done.unheard == unheard
    assert ("Nobody receives alerts" in plan_markdown.summary(done)) == bool(unheard)
