"""How weakenings are made; what notices them is asked by `make mutations`."""

import json
import shutil
import subprocess

import pytest

from scripts.common.paths import TERRAFORM
from scripts.deployment import terraform
from scripts.policy import rules
from scripts.policy.mutations import GONE, REPLACED, SourceWeakening, Weakening, of_plan, of_source

STATEMENT = {
    "Sid": "ReadModels",
    "Effect": "Allow",
    "Action": ["s3:GetObject"],
    "Resource": ["arn:aws:s3:::bucket/models/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "true"}},
}


def plan(kind, **after):
    address = f"{kind}.this"
    resource = {"address": address, "type": kind, "name": "this", "mode": "managed"}
    expressions = {name: {"constant_value": value} for name, value in after.items()}
    return {
        "resource_changes": [resource | {"change": {"after": after, "after_unknown": {}}}],
        "planned_values": {"root_module": {"child_modules": [{"resources": [resource | {"values": after}]}]}},
        "configuration": {"root_module": {"resources": [resource | {"expressions": expressions}]}},
    }


def role_policy():
    return plan("aws_iam_role_policy", policy=json.dumps({"Statement": [STATEMENT]}))


def test_a_statement_is_widened_in_every_part():
    made = {(it.kind, json.dumps(it.value)) for it in of_plan(role_policy())}
    assert made >= {
        ("action", '"s3:*"'),
        ("action", '["s3:GetObjects"]'),
        ("action", '["s3:GetObject", "s3:DeleteObject"]'),
        ("resource of a statement", '["*"]'),
        ("resource of a statement", '["arn:aws:s3:::*"]'),
        ("condition", json.dumps(GONE)),
        ("condition", '["false"]'),
        ("statement", json.dumps(GONE)),
    }


def test_a_weakening_changes_a_copy_in_both_places_where_a_plan_holds_it():
    original = role_policy()
    weakening = Weakening("action", "aws_iam_role_policy.this", ("policy", "Statement", 0, "Action"), "*")
    weak = weakening.applied(original)
    changed = weak["resource_changes"][0]["change"]["after"]
    assert json.loads(changed["policy"])["Statement"][0]["Action"] == "*"
    assert weak["planned_values"]["root_module"]["child_modules"][0]["resources"][0]["values"] == changed
    assert original == role_policy()


def test_a_guard_is_removed_altogether():
    (removed,) = (it for it in of_plan(plan("aws_s3_bucket_versioning", bucket="b")) if it.path == ())
    weak = removed.applied(plan("aws_s3_bucket_versioning", bucket="b"))
    assert weak["resource_changes"] == []
    assert weak["planned_values"]["root_module"]["child_modules"][0]["resources"] == []


def test_booleans_keys_and_times_are_weakened():
    """Where the configuration sets them."""
    table = plan("aws_dynamodb_table", enabled=True, force=False, kms_key_arn="arn", retention_in_days=30)
    made = {(it.kind, it.path[0], it.value) for it in of_plan(table) if it.kind not in REPLACED}
    assert made == {
        ("boolean", "enabled", False),
        ("boolean", "force", True),
        ("encryption", "kms_key_arn", None),
        ("retention", "retention_in_days", 0),
        ("retention", "retention_in_days", None),
    }


def both(*plans):
    """One plan with the resources of several."""
    first = plans[0]
    for number, other in enumerate(plans[1:]):
        for change in other["resource_changes"]:
            first["resource_changes"].append(change | {"address": f"{change['address']}[{number}]"})
    return first


def replaced(of):
    """(kind, path, value) of the weakenings that put a valid value in the place of another."""
    return {(it.kind, ".".join(map(str, it.path)), json.dumps(it.value)) for it in of if it.kind in REPLACED}


@pytest.mark.parametrize(
    ("value", "others"),
    [
        (60, [("number", 600), ("number", 6)]),
        (3, [("number", 30), ("number", 1)]),
        (0.5, [("number", 5.0), ("number", 0.05)]),
        ("0.93", [("number", "9.3"), ("number", "0.093")]),
        ("rate(24 hours)", [("number", "rate(240 hours)"), ("number", "rate(2 hours)")]),
        (
            "IF(pictures >= 20, 1, 0)",
            [("number", "IF(pictures >= 200, 1, 0)"), ("number", "IF(pictures >= 2, 1, 0)")],
        ),
        ("PAY_PER_REQUEST", [("constant", "other")]),
        ("sha256:0123", [("constant", "other")]),
        (["only"], []),
        (0, []),
        ("", []),
        (None, []),
    ],
)
def test_a_value_without_neighbours_becomes_another_of_its_kind(value, others):
    made = of_plan(plan("aws_other", it=value))
    assert [(it.kind, it.value) for it in made if it.path == ("it",)] == others


def test_a_list_becomes_a_part_of_itself_and_each_of_its_values_another():
    made = of_plan(
        plan("aws_sns_topic_subscription", filter_policy='{"category": ["alarm", "batch", "drift"]}')
    )
    assert replaced(made) == {
        ("list", "filter_policy.category", '["alarm"]'),
        ("list", "filter_policy.category", '["batch", "drift"]'),
        ("neighbour", "filter_policy.category.0", '"batch"'),
        ("neighbour", "filter_policy.category.1", '"drift"'),
        ("neighbour", "filter_policy.category.2", '"alarm"'),
    }


def test_a_text_becomes_that_of_the_next_resource_of_the_type():
    made = of_plan(both(plan("aws_alarm", metric="Errors"), plan("aws_alarm", metric="Throttles")))
    assert replaced(made) == {("neighbour", "metric", '"Throttles"'), ("neighbour", "metric", '"Errors"')}


def test_a_name_without_a_neighbour_becomes_a_similar_one():
    """The same holds for an ARN: the new one begins alike."""
    queues = plan("aws_queue", name="scones-prod-one", arn="arn:aws:sqs:r:1:one")
    function = plan(
        "aws_function", table="scones-prod-ledger", queue="arn:aws:sqs:r:1:two", role="arn:aws:iam::1:a"
    )
    assert replaced(of_plan(both(queues, function))) == {
        ("neighbour", "name", '"scones-prod-ledger"'),
        ("neighbour", "arn", '"arn:aws:sqs:r:1:two"'),
        ("neighbour", "table", '"scones-prod-one"'),
        ("neighbour", "queue", '"arn:aws:sqs:r:1:one"'),
        ("constant", "role", '"other"'),
    }


def test_a_state_leads_to_another_of_its_own_machine_only():
    inner = {"StartAt": "In", "States": {"In": {"Type": "Pass", "Next": "End"}, "End": {"Type": "Succeed"}}}
    outer = {
        "StartAt": "All",
        "States": {
            "All": {"Type": "Map", "ItemProcessor": inner, "Next": "Good"},
            "Good": {"Type": "Pass", "Next": "Bad"},
            "Bad": {"Type": "Fail", "Error": "E", "Cause": "C"},
        },
    }
    made = of_plan(plan("aws_sfn_state_machine", definition=json.dumps(outer)))
    assert {(path, other) for _, path, other in replaced(made) if path.endswith(("Next", "StartAt"))} == {
        ("definition.StartAt", '"Bad"'),
        ("definition.States.All.Next", '"All"'),
        ("definition.States.Good.Next", '"Good"'),
        ("definition.States.All.ItemProcessor.StartAt", '"End"'),
        ("definition.States.All.ItemProcessor.States.In.Next", '"In"'),
    }


def test_a_list_in_a_text_stays_a_text():
    function = plan("aws_lambda_function", environment=[{"variables": {"LABELS": '["a", "b"]'}}])
    made = {it.kind: it for it in of_plan(function)}
    after = made["list"].applied(function)["resource_changes"][0]["change"]["after"]
    assert after == {"environment": [{"variables": {"LABELS": '["b"]'}}]}
    after = made["neighbour"].applied(function)["resource_changes"][0]["change"]["after"]
    assert after == {"environment": [{"variables": {"LABELS": '["a", "a"]'}}]}


def test_a_subscription_that_filters_for_something_else_is_noticed():
    chosen = ["low_confidence", "rejected", "alarm"]
    policy = json.dumps({"category": chosen})
    alerts = plan("aws_sns_topic_subscription", endpoint="a@example.com", filter_policy=policy)
    address = 'module.alerts.aws_sns_topic_subscription.alerts["a@example.com"]'
    alarms = {
        "address": address.replace(".alerts[", ".alarms["),
        "change": {"after": {"endpoint": "a@example.com"}},
    }
    alerts["resource_changes"][0]["address"] = address
    alerts["resource_changes"].append(alerts["resource_changes"][0] | alarms)
    alerts["variables"] = {"subscribers": {"value": {"a@example.com": chosen}}}
    rule = rules.subscribers_hear_what_they_chose
    assert [*rule(alerts)] == []
    weak = Weakening("list", address, ("filter_policy", "category"), ["alarm"]).applied(alerts)
    assert [*rule(weak)] == [f"{address}: it filters for ['alarm'], chosen are {chosen}"]


def test_the_source_loses_validations_defaults_and_the_states_protection(tmp_path):
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments" / "dev.tfbackend").write_text("encrypt = true\n")
    variables = tmp_path / "variables.tf"
    variables.write_text(
        'variable "safe" {\n  default = true\n  validation {\n    condition = var.safe\n  }\n}\n'
    )
    made = of_source(tmp_path)
    assert [(it.kind, it.after.strip()) for it in made] == [
        ("state", "encrypt = false"),
        ("default", "default = false"),
        ("validation", "condition = true ? true : var.safe"),
    ]
    made[2].apply(tmp_path)
    assert "condition = true ? true : var.safe" in variables.read_text()


def test_terraform_can_read_every_weakening_of_the_source(tmp_path):
    """One that it cannot read fails every gate, and would count as noticed."""
    shutil.copytree(TERRAFORM, tmp_path / "terraform", ignore=shutil.ignore_patterns(".terraform"))
    made = of_source(TERRAFORM)
    for it in made:
        it.apply(tmp_path / "terraform")
    conditions = [it for it in made if it.kind == "validation"]
    assert any(it.before.endswith(("(", "[")) for it in conditions), "none goes on over the next lines"
    command = [terraform.executable(), f"-chdir={tmp_path}", "fmt", "-recursive"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_names_weakening_says_where_and_what():
    assert str(SourceWeakening("state", "a.tfbackend", 3, "encrypt = true", "encrypt = false")) == (
        "state: a.tfbackend:3 encrypt = true -> encrypt = false"
    )
