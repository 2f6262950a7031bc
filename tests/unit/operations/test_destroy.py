"""A deployment is taken away once everything is seen and Terraform has planned it; cut off anywhere, it goes on."""

import json
import os
from collections import Counter
from dataclasses import replace

import boto3
import pytest
from click.testing import Result
from inhabited_account import NUMBER, REGION, client, deploy, sweep_of, there
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.common import s3
from scripts.common.progress import silent
from scripts.deployment.identity import Account, Backend, Identity, StateLocked, WrongDeployment, read_state
from scripts.deployment.terraform import TerraformFailed
from scripts.operations import destroy, plan
from scripts.operations.destroy import NotSeen, Protected, StillDeployed, Target
from scripts.operations.leftovers import ClientError, Sweep

PLACE = f"scones-dev in {NUMBER}"
BACKEND = Backend("scones-dev-state", "dev/terraform.tfstate", REGION, use_lockfile=True)


class PlayedTerraform:
    """Terraform as it destroys scones-dev's bucket and table: by a plan, under a lock, one after the other."""

    def __init__(self) -> None:
        self.kept = ["bucket", "table"]
        self.serial, self.planned = 7, 0
        self.state: str | None = None
        self.protects = False
        self.step = lambda _text, _share: None

    def __call__(self, *arguments, **_) -> tuple[int, str]:
        match arguments[0]:
            case "state":
                return 0, self.pulled() if self.state is None else self.state
            case "plan":
                assert "-destroy" in arguments
                assert "-lock=false" not in arguments
                self._lock("terraform plan")
                self.planned = self.serial
            case "apply":
                self._lock("terraform apply")
                if self.planned != self.serial:
                    raise TerraformFailed("Error: Saved plan is stale")
                self._destroy()
        return 0, ""

    def pulled(self) -> str:
        kinds = {"bucket": "aws_s3_bucket", "table": "aws_dynamodb_table"}
        attributes = {
            "tags_all": {"project": "scones", "environment": "dev"},
            "force_destroy": not self.protects,
        }
        resources = [
            {"mode": "managed", "type": kinds[kind], "instances": [{"attributes": attributes}]}
            for kind in self.kept
        ]
        return json.dumps(
            {"serial": self.serial, "lineage": "a", "outputs": {}, "resources": resources}, indent=1
        )

    def _lock(self, step: str) -> None:
        self.step(step, None)
        if client("s3").list_objects_v2(Bucket=BACKEND.bucket, Prefix=BACKEND.key).get("Contents"):
            raise TerraformFailed("Error: Error acquiring the state lock")

    def _destroy(self) -> None:
        for kind in [*self.kept]:
            self.step(f"terraform destroys {kind}", None)
            if kind == "bucket":
                s3.empty(client("s3"), f"scones-dev-{NUMBER}-{REGION}", silent)
                client("s3").delete_bucket(Bucket=f"scones-dev-{NUMBER}-{REGION}")
            else:
                client("dynamodb").delete_table(TableName="scones-dev-ledger")
            self.kept.remove(kind)
            self.serial += 1


@pytest.fixture
def terraform() -> PlayedTerraform:
    return PlayedTerraform()


@pytest.fixture
def target(account, terraform):
    """scones-dev as a command sees it, looked at anew with each call."""

    def look(*, protect_data=False) -> Target:
        state = read_state(BACKEND, terraform)
        return Target(
            Identity("dev", account, BACKEND, state),
            {"protect_data": protect_data},
            sweep_of(account),
            terraform,
            ["-var-file=/x/dev.tfvars"],
        )

    return look


@pytest.fixture
def scones(target, monkeypatch):
    """Calls `scones destroy` and `scones cleanup` on scones-dev."""
    monkeypatch.setattr(destroy, "target", lambda *_: target())

    def call(*arguments: str, **given) -> Result:
        return CliRunner().invoke(app, [arguments[0], "--env", "dev", *arguments[1:]], **given)

    return call


def refuse(sweep: Sweep, monkeypatch, service: str, operation: str) -> None:
    """AWS denies one operation from now on."""
    refusing, own = boto3.client(service, region_name=REGION), sweep.client
    denied = {"Code": "AccessDeniedException", "Message": f"not authorized to perform: {service}:{operation}"}

    def deny(**_):
        raise ClientError({"Error": denied}, operation)

    refusing.meta.events.register(f"before-call.*.{operation}", deny)
    monkeypatch.setattr(sweep, "client", lambda name: refusing if name == service else own(name))


def test_protected_data_is_refused_with_what_lifts_it(target):
    with pytest.raises(
        Protected,
        match=r"protect_data = false in terraform/environments/dev\.tfvars.*apply -var-file=environments/dev\.tfvars",
    ):
        destroy.check_unprotected(target(protect_data=True))

    destroy.check_unprotected(target())


def test_a_setting_that_was_not_applied_yet_protects_on(target):
    client("dynamodb").update_table(TableName="scones-dev-ledger", DeletionProtectionEnabled=True)

    with pytest.raises(Protected, match="was applied with protect_data = true"):
        destroy.check_unprotected(target())


def test_a_bucket_that_was_applied_as_protected_protects_on(target, terraform):
    terraform.protects = True

    with pytest.raises(Protected, match="was applied with protect_data = true"):
        destroy.check_unprotected(target())


def test_what_terraform_keeps_is_not_a_leftover(target, terraform):
    with pytest.raises(StillDeployed, match=r"2 resources.*make destroy ENV=dev"):
        destroy.check_gone(target())

    terraform.kept.clear()
    destroy.check_gone(target())


@pytest.mark.parametrize(
    ("verb", "denied"),
    [
        ("destroy", ("iam", "ListRoles")),
        ("cleanup", ("sqs", "ListQueues")),
        ("cleanup", ("events", "ListTagsForResource")),
    ],
)
def test_what_could_not_be_looked_at_stops_the_removal(scones, target, monkeypatch, verb, denied):
    service, operation = denied
    if verb == "cleanup":
        target().terraform.kept.clear()
    seen, before = target(), there("scones-dev")
    refuse(seen.sweep, monkeypatch, service, operation)
    monkeypatch.setattr(destroy, "target", lambda *_: seen)

    done = scones(verb, "--yes")

    assert done.exit_code == 1
    assert f"not authorized to perform: {service}:{operation}" in done.stderr
    assert "what was found stays" in done.stderr
    assert there("scones-dev") == before
    with pytest.raises(NotSeen):
        destroy.clean(seen, seen.sweep.find(silent), silent)


@pytest.mark.parametrize("verb", ["destroy", "cleanup"])
def test_without_a_state_even_yes_asks_for_the_whole_name(scones, terraform, verb):
    terraform.state = ""
    before = there("scones-dev")

    for answer in ("", "dev\n", "scones-dev\n"):
        asked = scones(verb, "--yes", input=answer)
        assert asked.exit_code == 1
        assert f"There is no state of Terraform ({BACKEND})" in asked.stderr
        assert f"Type {PLACE} to go on" in asked.stderr
        assert there("scones-dev") == before

    assert scones(verb, "--yes", input=f"{PLACE}\n").exit_code == 0
    assert there("scones-dev") == []


def test_what_terraform_would_have_taken_is_not_a_leftover(scones, terraform):
    terraform.kept.clear()
    before = there("scones-dev")

    asked = scones("cleanup", "--yes", input="dev\n")

    assert asked.exit_code == 1
    assert "keeps nothing, but" in asked.stderr
    assert f"Type {PLACE} to go on" in asked.stderr
    assert there("scones-dev") == before


def test_after_a_destroy_yes_is_enough(scones, terraform, target):
    terraform.kept.clear()
    sweep = target().sweep
    sweep.remove([each for each in sweep.find(silent).leftovers if not each.by_name], silent)

    done = scones("cleanup", "--yes")

    assert done.exit_code == 0, done.output
    assert there("scones-dev") == []


def test_a_state_that_was_replaced_since_then_is_refused(target, terraform):
    terraform.kept.clear()
    seen = target()
    for other in ("", terraform.pulled().replace('"lineage": "a"', '"lineage": "b"')):
        terraform.state = other
        with pytest.raises(WrongDeployment, match="was replaced meanwhile"):
            destroy.clean(seen, seen.sweep.find(silent), silent)


def test_what_has_no_tags_is_shown_by_name_before_the_question(scones):
    asked = scones("destroy", input="no\n")

    lines = [line.split() for line in asked.stdout.splitlines() if "taken by its name" in line]
    assert ["dashboard", "scones-dev:"] in [line[:2] for line in lines]
    assert any("/aws/sagemaker/Endpoints/scones-dev-classifier:" in line for line in lines)
    assert "Nothing was removed" in asked.stderr


def test_while_somebody_else_holds_the_lock_nothing_is_removed(scones, account, terraform):
    before = there("scones-dev")
    with BACKEND.locked(account.variables):
        assert "Error acquiring the state lock" in scones("destroy", "--yes").stderr

        terraform.kept.clear()
        refused = scones("cleanup", "--yes", input=f"{PLACE}\n")
        assert refused.exit_code == 1
        assert "Somebody else is at work" in refused.stderr
        assert "force-unlock" in refused.stderr
    assert there("scones-dev") == before

    assert scones("cleanup", "--yes", input=f"{PLACE}\n").exit_code == 0
    assert "Contents" not in client("s3").list_objects_v2(Bucket=BACKEND.bucket)


def test_a_state_without_a_lock_is_refused(account):
    with (
        pytest.raises(StateLocked, match="use_lockfile = true"),
        replace(BACKEND, use_lockfile=False).locked(account.variables),
    ):
        pytest.fail("nobody is kept from applying")


def test_what_somebody_applied_while_the_command_asked_is_not_removed(target, terraform):
    before = there("scones-dev")
    planned_for = target()
    planned = destroy.plan(planned_for)
    terraform.serial += 1
    with pytest.raises(TerraformFailed, match="stale"):
        destroy.destroy(planned_for, planned, silent)

    terraform.kept.clear()
    cleaned = target()
    swept = cleaned.sweep.find(silent)
    terraform.kept = ["bucket"]
    with pytest.raises(StillDeployed):
        destroy.clean(cleaned, swept, silent)

    assert there("scones-dev") == before


@pytest.mark.slow
def test_a_destroy_goes_on_wherever_it_was_cut_off(target, terraform, monkeypatch):
    """It is cut off once at each of its steps, one after the other, and started again each time."""
    deploy("scones-dev2", "scones", "dev2")
    before, neighbour = there("scones-dev"), there("scones-dev2")
    cut: Counter[str] = Counter()
    monkeypatch.setattr(plan, "plan_path", lambda name: f"{name}.tfplan")

    def step(text, _share):
        kind = text.partition(" scones")[0] if text.startswith("Removing") else text
        kind = kind.partition(" /")[0].partition(" alias/")[0]
        if not cut[kind] and not text.startswith("Looking"):
            cut[kind] += 1
            raise KeyboardInterrupt

    terraform.step = step
    for _ in range(100):
        try:
            seen = target()
            planned = destroy.plan(seen)
            left = destroy.destroy(seen, planned, step)
            break
        except KeyboardInterrupt:
            if not cut["terraform destroys bucket"]:
                assert there("scones-dev") == before
    assert (left.leftovers, left.unseen) == ([], [])
    assert {"terraform plan", "terraform apply", "terraform destroys table"} <= cut.keys()
    assert sum(kind.startswith("Removing") for kind in cut) > 15
    assert there("scones-dev2") == neighbour


def test_projects_whose_names_begin_each_other_keep_apart(account):
    deploy("scones-web", "scones", "web")
    deploy("scones-web-prod", "scones-web", "prod")
    others = {prefix: there(prefix) for prefix in ("scones-dev", "scones-web-prod")}
    sweep = sweep_of(Account("scones", "web", REGION, "aws", NUMBER, dict(os.environ)))

    sweep.remove(sweep.find(silent).leftovers, silent)

    assert {prefix: there(prefix) for prefix in others} == others
    assert there("scones-web") == []


def test_a_role_outside_the_root_path_is_not_the_deployments(account):
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    client("iam").create_role(
        RoleName="scones-dev-apply",
        Path="/ci/",
        AssumeRolePolicyDocument=trust,
        Tags=[{"Key": "project", "Value": "scones"}],
    )

    assert ("role", "scones-dev-apply") not in there("scones-dev")


def test_one_tag_of_somebody_else_is_enough(account):
    client("sqs").create_queue(QueueName="scones-dev-inbox", tags={"project": "web"})

    assert not any(name.endswith("scones-dev-inbox") for _, name in there("scones-dev"))


def test_the_same_name_in_a_second_region_stops_the_removal(account, target, scones, terraform):
    client("s3").create_bucket(
        Bucket=f"scones-dev-{NUMBER}-eu-west-1",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    terraform.kept.clear()

    done = scones("cleanup", "--yes")

    assert done.exit_code == 1
    assert "scones-dev is also deployed in eu-west-1" in done.stderr
    assert client("iam").list_roles()["Roles"]


def test_an_unreadable_key_is_anothers_if_its_alias_is(account, target, monkeypatch):
    own, seen = target(), target()
    other = client("kms").create_key(Description="Somebody's")["KeyMetadata"]["KeyId"]
    refuse(seen.sweep, monkeypatch, "kms", "DescribeKey")

    assert any(each.startswith("key: ") for each in seen.sweep.find(silent).unseen)
    assert other not in [each.name for each in own.sweep.find(silent).of("key")]
