"""Terraform against the running stack: an empty second plan, a model update in place, and a clean end."""

import contextlib
import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.common.paths import SHIPPED_MODEL
from scripts.common.progress import silent
from scripts.deployment import environments, terraform
from scripts.deployment.terraform import TerraformFailed
from scripts.operations import destroy
from scripts.operations.environment import get_environment
from scripts.operations.local_stack import STATE_BUCKET, ActionCounter

pytestmark = [pytest.mark.last, pytest.mark.timeout(600)]

# SageMaker has one log group for all training jobs of an account.
ALL_JOBS = "/aws/sagemaker/TrainingJobs"


def plan(stack, folder: Path) -> dict[str, list[str]]:
    """Plans and returns {address: actions} of everything that would change."""
    saved = folder / "plan"
    stack.terraform(
        "plan", "-detailed-exitcode", f"-out={saved}", "-no-color", *stack.var_files(), accept=(0, 2)
    )
    _, shown = stack.terraform("show", "-json", str(saved))
    changes = json.loads(shown)["resource_changes"]
    return {
        change["address"]: change["change"]["actions"]
        for change in changes
        if change["change"]["actions"] != ["no-op"]
    }


@pytest.fixture
def renamed_model(tmp_path: Path) -> Path:
    """The shipped model under another name, as the next training job would have made it."""
    with tarfile.open(SHIPPED_MODEL) as tar:
        tar.extractall(tmp_path / "model", filter="data")
    facts = tmp_path / "model" / "model.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"name": "next-model"}))
    artifact = tmp_path / "next.tar.gz"
    with tarfile.open(artifact, "w:gz") as tar:
        for path in sorted((tmp_path / "model").iterdir()):
            tar.add(path, arcname=path.name)
    return artifact


def test_a_second_plan_is_empty(stack):
    code, output = stack.terraform(
        "plan", "-detailed-exitcode", "-no-color", *stack.var_files(), accept=(0, 2)
    )

    assert code == 0, output


def test_a_new_model_updates_the_endpoint_in_place_and_answers(
    stack, workflow, tmp_path, renamed_model, bicycle
):
    stack.publish(renamed_model)

    changes = plan(stack, tmp_path)

    replaced = sorted(address for address, actions in changes.items() if set(actions) == {"create", "delete"})
    updated = [address for address, actions in changes.items() if actions == ["update"]]
    assert len(changes) == 5, changes
    assert [address.split(".")[-2] for address in replaced] == [
        "aws_sagemaker_endpoint_configuration",
        "aws_sagemaker_model",
    ]
    # The function that judges the answers gets the new model's threshold before the endpoint gets the model.
    assert sorted(address.split(".")[-2] for address in updated) == [
        "aws_lambda_alias",
        "aws_lambda_function",
        "aws_sagemaker_endpoint",
    ]
    assert all(
        address.startswith(('module.function["filter_inferences"].', "module.endpoint."))
        for address in updated
    )

    stack.apply()

    outcome = workflow.classify(str(bicycle))
    row = workflow.row(outcome.uri, outcome.version)
    assert (row["status"], row["model"]) == ("ACCEPTED", "next-model")
    assert plan(stack, tmp_path) == {}


@pytest.fixture
def shell(monkeypatch):
    """Sets variables of this shell, as Terraform's children see them."""

    def set_all(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        terraform.environment.cache_clear()

    yield set_all
    monkeypatch.undo()
    terraform.environment.cache_clear()


def test_the_shells_terraform_settings_stay_outside(scones, shell):
    """They do not reach the stack on this machine."""
    shell(
        TF_WORKSPACE="prod",
        TF_VAR_project="other",
        TF_CLI_ARGS_state="-no-such-option",
        TF_DATA_DIR="/nowhere",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:9",
    )

    done = scones("cleanup", "--env", "local", "--yes")

    assert done.exit_code == 1
    assert "local is deployed: Terraform keeps" in done.stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"region": "eu-west-1"}, "region eu-west-1"), ({"project": "web"}, "prefix web-local")],
)
def test_a_checkout_that_names_another_deployment_destroys_nothing(
    scones, workflow, monkeypatch, changed, said
):
    settings = environments.settings("local") | changed
    monkeypatch.setattr(environments, "settings", lambda *_: settings)

    for verb in ("destroy", "cleanup"):
        done = scones(verb, "--env", "local", "--yes")
        assert done.exit_code == 1
        assert f"{said}, but the state s3://scones-local-state/local/terraform.tfstate" in done.stderr
    assert workflow.s3.list_object_versions(Bucket=workflow.deployment.bucket)["Versions"]


def test_a_deployment_without_its_state_is_not_taken_for_gone(scones, stack, workflow):
    s3 = stack.deployment().client("s3")
    place = {"Bucket": STATE_BUCKET, "Key": "local/terraform.tfstate"}
    kept = s3.get_object(**place)["Body"].read()
    s3.delete_object(**place)
    try:
        for verb in ("destroy", "cleanup"):
            done = scones(verb, "--env", "local", "--yes", input="local\n")
            assert done.exit_code == 1
            assert "There is no state of Terraform" in done.stderr
            assert "Type scones-local in 123456789012 to go on" in done.stderr
            assert "Nothing was removed" in done.stderr
    finally:
        s3.put_object(**place, Body=kept)
    assert workflow.s3.list_object_versions(Bucket=workflow.deployment.bucket)["Versions"]


@pytest.fixture
def target(stack, monkeypatch):
    """The running stack as a command that destroys it sees it."""
    monkeypatch.setenv("SCONES_STACK_DIR", str(stack.folder))
    return destroy.target(get_environment("local"), silent)


def test_while_somebody_else_applies_nothing_is_removed(scones, stack, target, workflow):
    with target.locked():
        done = scones("destroy", "--env", "local", "--yes")
        with pytest.raises(TerraformFailed, match="Error acquiring the state lock"):
            stack.terraform("apply", "-auto-approve", "-no-color", *stack.var_files())

    assert done.exit_code == 1
    assert "Error acquiring the state lock" in done.stderr
    assert workflow.s3.list_object_versions(Bucket=workflow.deployment.bucket)["Versions"]


def test_what_was_applied_after_the_plan_is_not_destroyed_by_it(stack, target, workflow):
    planned = destroy.plan(target)
    address = 'module.function["send_alert"].aws_lambda_function.this'
    stack.terraform("taint", address)
    stack.terraform("untaint", address)

    with pytest.raises(TerraformFailed, match="Saved plan is stale"):
        destroy.destroy(target, planned, silent)

    assert workflow.s3.list_object_versions(Bucket=workflow.deployment.bucket)["Versions"]


def test_destroy_asks_by_name_and_leaves_nothing(stack, scones, workflow, bicycle, monkeypatch):
    """And `scones cleanup` finds nothing."""
    client = stack.deployment().client
    logs, bucket = client("logs"), workflow.deployment.bucket
    for _ in range(2):
        workflow.upload(bicycle, "incoming")
    client("s3").delete_object(Bucket=bucket, Key=workflow.upload(bicycle, "elsewhere").s3_key)
    logs.create_log_group(logGroupName="/aws/lambda/scones-local-made-by-a-service")
    logs.create_log_group(logGroupName="/aws/lambda/scones-local2-of-another-deployment")
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_group(logGroupName=ALL_JOBS)
    for job in ("scones-local-training-made-here", "job-of-another-deployment"):
        logs.create_log_stream(logGroupName=ALL_JOBS, logStreamName=f"{job}/algo-1")

    early = scones("cleanup", "--env", "local")
    assert early.exit_code == 1
    assert "local is deployed" in early.stderr
    asked = CliRunner().invoke(app, ["destroy", "--env", "local"], input="yes\n")
    assert asked.exit_code == 1
    assert "delete markers" in asked.stdout
    assert "Nothing was removed" in asked.stderr
    assert workflow.s3.list_object_versions(Bucket=bucket)["Versions"]

    def ctrl_c(counter: ActionCounter, line: str) -> None:
        if "Destruction complete" in line:
            raise KeyboardInterrupt

    with monkeypatch.context() as interrupted:
        interrupted.setattr(ActionCounter, "see", ctrl_c)
        assert scones("destroy", "--env", "local", "--yes").exit_code != 0
    early = scones("cleanup", "--env", "local", "--yes")
    assert early.exit_code == 1
    assert "local is deployed" in early.stderr

    done = scones("destroy", "--env", "local", "--yes")
    assert done.exit_code == 0, done.output
    assert "goes by itself on" in done.stdout

    again = scones("cleanup", "--env", "local", "--json")
    assert again.exit_code == 0
    assert (json.loads(again.stdout)["leftovers"], json.loads(again.stdout)["not_looked_at"]) == ([], [])
    assert left(client) == {"log groups": ["/aws/lambda/scones-local2-of-another-deployment", ALL_JOBS]}
    streams = logs.describe_log_streams(logGroupName=ALL_JOBS)["logStreams"]
    assert [it["logStreamName"] for it in streams] == ["job-of-another-deployment/algo-1"]


def left(client) -> dict[str, list[str]]:
    """What is in the account, except the state's bucket, read without the command's own code."""
    everything = {
        "buckets": [
            it["Name"] for it in client("s3").list_buckets()["Buckets"] if it["Name"] != STATE_BUCKET
        ],
        "tables": client("dynamodb").list_tables()["TableNames"],
        "functions": [it["FunctionName"] for it in client("lambda").list_functions()["Functions"]],
        "state machines": client("stepfunctions").list_state_machines()["stateMachines"],
        "endpoints": client("sagemaker").list_endpoints()["Endpoints"],
        "endpoint configurations": client("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "models": client("sagemaker").list_models()["Models"],
        "topics": client("sns").list_topics()["Topics"],
        "queues": client("sqs").list_queues().get("QueueUrls", []),
        "roles": [it["RoleName"] for it in client("iam").list_roles()["Roles"]],
        "rules": client("events").list_rules()["Rules"],
        "log groups": [it["logGroupName"] for it in client("logs").describe_log_groups()["logGroups"]],
        "repositories": client("ecr").describe_repositories()["repositories"],
        "budgets": client("budgets").describe_budgets(AccountId="123456789012")["Budgets"],
        "aliases": [
            it["AliasName"]
            for it in client("kms").list_aliases()["Aliases"]
            if not it["AliasName"].startswith("alias/aws/")
        ],
    }
    return {kind: names for kind, names in everything.items() if names}
