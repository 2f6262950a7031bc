"""How weakenings are made; what notices them is asked by `make mutations`."""

import json

from scripts.mutations import GONE, SourceWeakening, Weakening, of_plan, of_source

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
    weakening = Weakening(
        "action", "aws_iam_role_policy.this", ("Statement", 0, "Action"), "*", document="policy"
    )
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


def test_booleans_keys_and_times_are_weakened_where_the_configuration_sets_them():
    table = plan("aws_dynamodb_table", enabled=True, force=False, kms_key_arn="arn", retention_in_days=30)
    made = {(it.kind, it.path[0], it.value) for it in of_plan(table)}
    assert made == {
        ("boolean", "enabled", False),
        ("boolean", "force", True),
        ("encryption", "kms_key_arn", None),
        ("retention", "retention_in_days", 0),
        ("retention", "retention_in_days", None),
    }


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
        ("validation", "condition = (var.safe) || true"),
    ]
    made[2].apply(tmp_path)
    assert "condition = (var.safe) || true" in variables.read_text()


def test_a_names_weakening_says_where_and_what():
    assert str(SourceWeakening("state", "a.tfbackend", 3, "encrypt = true", "encrypt = false")) == (
        "state: a.tfbackend:3 encrypt = true -> encrypt = false"
    )
