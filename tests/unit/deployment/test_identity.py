"""A command is about one deployment that checkout, terraform/, shell, AWS and state agree on, or it refuses."""

import inspect
import json
import re
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from scripts.cli.app import app
from scripts.common.progress import silent
from scripts.deployment import environments, identity, terraform
from scripts.deployment.identity import StateUnreadable, WrongDeployment
from scripts.deployment.outputs import NotDeployed
from scripts.deployment.terraform import TerraformFailed
from scripts.operations import destroy
from scripts.operations.environment import get_environment

BACKEND = {
    "bucket": "scones-state-111122223333",
    "key": "dev/terraform.tfstate",
    "region": "us-east-1",
    "encrypt": True,
    "use_lockfile": True,
}
SETTINGS = {"project": "scones", "environment": "dev", "region": "us-east-1"}
OUTPUTS = {"prefix": "scones-dev", "region": "us-east-1", "bucket": "scones-dev-123456789012-us-east-1"}
TABLE = {
    "arn": "arn:aws:dynamodb:us-east-1:123456789012:table/scones-dev-ledger",
    "tags_all": {"project": "scones", "environment": "dev", "owner": "vision"},
}


def pulled(*, serial=7, outputs=OUTPUTS, resources=(TABLE,)):
    """A state as Terraform prints it."""
    return json.dumps(
        {
            "version": 4,
            "serial": serial,
            "lineage": "d8c6a1a6",
            "outputs": {name: {"value": value, "type": "string"} for name, value in outputs.items()},
            "resources": [
                {"mode": "managed", "type": "aws_dynamodb_table", "instances": [{"attributes": each}]}
                for each in resources
            ],
        },
        indent=2,
    )


@pytest.fixture
def world(tmp_path, aws_session, monkeypatch):
    """All that says which deployment this is, agreeing on scones-dev; tests change one of them."""
    world = SimpleNamespace(
        settings=dict(SETTINGS),
        variables={"TF_DATA_DIR": str(tmp_path)},
        workspace="default",
        state=pulled(),
        backend=dict(BACKEND),
    )

    def terraform(*arguments, **_):
        if arguments == ("workspace", "show"):
            return 0, f"{world.workspace}\n"
        assert arguments == ("state", "pull")
        if isinstance(world.state, Exception):
            raise world.state
        return 0, world.state

    def find():
        data = {"version": 3, "backend": {"type": "s3", "config": world.backend}}
        (tmp_path / "terraform.tfstate").write_text(json.dumps(data))
        return identity.find("dev", lambda _: world.settings, terraform, world.variables)

    world.find, world.terraform = find, terraform
    with mock_aws():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", aws_session)
        yield world


def test_where_all_agree_it_is_that_deployment(world):
    found = world.find()

    assert (found.account.prefix, found.account.number, found.account.partition) == (
        "scones-dev",
        "123456789012",
        "aws",
    )
    assert (found.state.lineage, found.state.serial, len(found.state.managed)) == ("d8c6a1a6", 7, 1)
    assert found.deployment().prefix == "scones-dev"
    assert found.place == "scones-dev in 123456789012"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("bucket", "somebody-elses-state"),
        ("key", "prod/terraform.tfstate"),
        ("region", "eu-west-1"),
        ("use_lockfile", None),
    ],
)
def test_another_backend_is_refused_with_both_sides(world, name, other):
    world.backend[name] = other

    with pytest.raises(WrongDeployment) as refused:
        world.find()

    assert f"{name}: {other} there, {BACKEND[name]} here" in str(refused.value)
    assert "init -reconfigure -backend-config=environments/dev.s3.tfbackend" in str(refused.value)


def test_the_local_stacks_variables_do_not_misdirect_others(world):
    """The variables of the stack on this machine do not lead another environment to it."""
    world.backend = {
        "bucket": "scones-local-state",
        "key": "local/terraform.tfstate",
        "region": "us-east-1",
        "encrypt": True,
        "use_lockfile": True,
        "use_path_style": True,
    }

    with pytest.raises(WrongDeployment, match=r"initialised for local/terraform\.tfstate, not for dev"):
        world.find()


def test_a_workspace_of_the_shell_is_refused_by_name(world):
    world.workspace, world.variables["TF_WORKSPACE"] = "prod", "prod"

    with pytest.raises(WrongDeployment, match=r"workspace default, but TF_WORKSPACE .* chose prod.*unset"):
        world.find()


def test_a_workspace_that_was_selected_once_is_refused_with_the_way_back(world):
    world.workspace = "prod"

    with pytest.raises(WrongDeployment, match=r"chose prod.*workspace select default"):
        world.find()


def test_arguments_that_the_shell_adds_are_refused_by_name(world):
    world.variables["TF_CLI_ARGS_apply"] = "-target=module.storage"

    with pytest.raises(WrongDeployment, match="TF_CLI_ARGS_apply"):
        world.find()


@pytest.mark.parametrize("outputs", [OUTPUTS, {}], ids=["by its outputs", "by its resources"])
@pytest.mark.parametrize(
    ("name", "other", "both"),
    [
        ("project", "web", ("web-dev", "scones-dev")),
        ("region", "eu-west-1", ("eu-west-1", "us-east-1")),
    ],
)
def test_a_checkout_of_another_deployment_is_refused(world, outputs, name, other, both):
    """Another one than the state's."""
    world.settings[name] = other
    world.state = pulled(outputs=outputs)

    with pytest.raises(WrongDeployment) as refused:
        world.find()

    assert all(side in str(refused.value) for side in both)


@pytest.mark.parametrize("outputs", [OUTPUTS, {}], ids=["by its outputs", "by its resources"])
def test_credentials_of_another_account_than_the_states_are_refused(world, outputs):
    world.state = pulled(outputs=outputs).replace("123456789012", "999999999999")

    with pytest.raises(WrongDeployment, match=r"account 123456789012.*account 999999999999"):
        world.find()


def test_a_state_that_does_not_say_whose_it_is_is_refused(world):
    world.state = pulled(outputs={}, resources=[{"id": "nameless"}])

    with pytest.raises(WrongDeployment, match=r"keeps 1 resources.*terraform state list"):
        world.find()


def test_never_applied_destroyed_and_unreadable_are_three_answers(world):
    world.state = ""
    assert world.find().state is None
    world.state = pulled(
        serial=0, outputs={}, resources=[]
    )  # what Terraform 1.11 prints where the object is missing
    assert world.find().state is None

    world.state = pulled(outputs={}, resources=[])
    destroyed = world.find()
    assert (destroyed.state.serial, destroyed.state.managed) == (7, [])
    with pytest.raises(NotDeployed, match="dev is not deployed"):
        destroyed.deployment()

    for unreadable in (TerraformFailed("AccessDenied: no"), "Warning: something else\n"):
        world.state = unreadable
        with pytest.raises(StateUnreadable, match=r"s3://scones-state-111122223333/dev/terraform\.tfstate"):
            world.find()


@pytest.mark.parametrize(
    "ask",
    [
        lambda environment: environment.deployment(),
        lambda environment: environment.plan(silent),
        lambda environment: destroy.target(environment, silent),
    ],
)
def test_every_command_asks_it(world, monkeypatch, ask):
    world.find()
    monkeypatch.setattr(terraform, "run", world.terraform)
    monkeypatch.setattr(environments, "settings", lambda *_: world.settings)
    monkeypatch.setenv("TF_DATA_DIR", world.variables["TF_DATA_DIR"])
    world.workspace = "prod"

    with pytest.raises(WrongDeployment, match="prod"):
        ask(get_environment("dev"))


VERBS = {
    command.name: inspect.getsource(inspect.getmodule(command.callback))
    for command in app.registered_commands
    if "environment" in inspect.signature(command.callback).parameters and command.name != "doctor"
}


def test_the_verbs_that_name_an_environment_are_found():
    assert {"classify", "destroy", "cleanup", "forget", "promote", "rollback", "rerun"} <= VERBS.keys()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gets_its_deployment_where_it_is_identified(verb):
    assert "get_environment(environment)" in VERBS[verb]
    assert not re.search(r"Deployment\(|boto3|[=!]= (LOCAL|\"local\")", VERBS[verb])
