"""What was granted and what was used, read from the decisions of the one-machine AWS."""

import json

import pytest
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.deployment.outputs import Deployment
from scripts.operations import permission_usage
from scripts.operations.local_stack import LocalStack
from scripts.operations.permission_usage import Grant, use

ROLE = "arn:aws:iam::123456789012:role/scones-local-send-alert"
KEY = "arn:aws:kms:us-east-1:123456789012:key/1"
LOGS = {
    "Sid": "WriteLogs",
    "Effect": "Allow",
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "*",
}
TLS = {"Sid": "DenyWithoutTLS", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}
ADMINISTER = {"Sid": "LetAccountAdminister", "Effect": "Allow", "Action": "kms:PutKeyPolicy", "Resource": "*"}


def decision(action, *by, owner=ROLE):
    call = {"principal": ROLE, "action": action, "resource": "arn:aws:x", "context": {}}
    return {
        "call": call,
        "allowed": bool(by),
        "by": [[owner, sid] for sid in by],
        "reason": "" if by else "because",
    }


def decided(*decisions, **policies):
    owners = {"role": ROLE, "key": KEY, "other": "arn:aws:iam::123456789012:role/somebody-elses"}
    texts = [[owners[name], json.dumps({"Statement": statements})] for name, statements in policies.items()]
    return {"decisions": list(decisions), "policies": texts}


def found(*decisions, **policies):
    return use(decided(*decisions, **policies), "scones-local", KEY)


def test_an_allowed_action_is_used_and_the_others_are_idle():
    assert found(decision("logs:PutLogEvents", "WriteLogs"), role=[LOGS]).unused == [
        Grant(ROLE, "WriteLogs", "logs:CreateLogStream")
    ]


def test_an_action_counts_for_the_statements_that_allowed_it_alone():
    again = {**LOGS, "Sid": "Again"}
    assert {
        grant.sid for grant in found(decision("logs:PutLogEvents", "WriteLogs"), role=[again]).unused
    } == {"Again"}


def test_denials_grant_nothing_and_other_deployments_do_not_count():
    assert found(role=[TLS], other=[LOGS]).granted == []


def test_an_exception_excuses_with_its_reason():
    excused = found(key=[ADMINISTER])
    assert excused.unused == []
    ((grant, reason),) = excused.excused
    assert (grant.sid, "people and Terraform" in reason) == ("LetAccountAdminister", True)


def test_what_was_denied_is_listed():
    assert [each["call"]["action"] for each in found(decision("sns:Publish"), role=[LOGS]).denied] == [
        "sns:Publish"
    ]


@pytest.fixture
def scones(monkeypatch):
    """`scones permissions` about these decisions."""

    def run(reported, *options):
        deployment = Deployment({"prefix": "scones-local", "key_arn": KEY}, {})
        monkeypatch.setattr(LocalStack, "deployment", lambda _: deployment)
        monkeypatch.setattr(permission_usage, "read", lambda _: reported)
        return CliRunner().invoke(app, ["permissions", *options])

    return run


def test_the_command_names_what_is_idle_and_what_was_denied(scones):
    told = scones(decided(decision("sns:Publish"), role=[LOGS], key=[ADMINISTER]))

    assert told.exit_code == 3
    assert "unused  role/scones-local-send-alert: WriteLogs: logs:PutLogEvents" in told.stdout
    assert f"denied  {ROLE}: sns:Publish on arn:aws:x" in told.stdout
    assert (
        "3 permissions are granted, 2 of them are unused and 1 excused; 1 kinds of calls were denied."
        in told.stderr
    )


def test_the_command_is_content_when_everything_was_used(scones):
    whole = [decision(action, "WriteLogs") for action in LOGS["Action"]]

    told = scones(decided(*whole, role=[LOGS]), "--json")

    assert (told.exit_code, json.loads(told.stdout)) == (
        0,
        {"granted": 2, "unused": [], "excused": [], "denied": []},
    )
