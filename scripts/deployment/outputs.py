"""Terraform's outputs and the clients of what it deployed, for one machine and for AWS alike."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common.shown import shown
from scripts.common.errors import UserError
from scripts.deployment import terraform

T = TypeVar("T")


class NotDeployed(UserError):
    """The environment has no applied stack; the message says how to get one."""


class OutputMissing(NotDeployed):
    """The stack was applied by a version of terraform/ that did not have this output yet."""


class Output(Generic[T]):
    """One of Terraform's outputs, under its own name.

    It is looked up when it is used: a stack that an earlier version applied serves every command
    that does not need what is new. Raises OutputMissing.
    """

    def __set_name__(self, _owner: type, name: str) -> None:
        self.name = name

    def __get__(self, deployment: "Deployment", _owner: type) -> T:
        try:
            return deployment.outputs[self.name]
        except KeyError:
            raise OutputMissing(
                f"Terraform has no output {shown(self.name)}: run `terraform apply` again."
            ) from None


class OptionalOutput(Output[T | None]):
    """One that may be null, which Terraform leaves out, or missing from an earlier version."""

    def __get__(self, deployment: "Deployment", _owner: type) -> T | None:
        return deployment.outputs.get(self.name)


@dataclass(frozen=True)
class Deployment:
    """Terraform's outputs, and where its AWS answers (None: AWS itself)."""

    outputs: dict[str, Any]
    variables: dict[str, str]

    alarms_topic_arn = Output[str]()
    alert_dead_letters_url = Output[str]()
    alerts_topic_arn = Output[str]()
    batch_state_machine_arn = Output[str]()
    bucket = Output[str]()
    endpoint_name = OptionalOutput[str]()
    function_names = Output[dict[str, str]]()
    image_repository_url = Output[str]()
    key_arn = Output[str]()
    labels = Output[list[str]]()
    ledger_retention_days = OptionalOutput[int]()
    ledger_table = Output[str]()
    prefix = Output[str]()
    region = Output[str]()
    state_machine_arn = Output[str]()
    training_image_uri = Output[str]()
    training_role_arn = Output[str]()
    trigger_dead_letters_url = Output[str]()

    def client(self, service: str) -> Any:
        """A boto3 client for this deployment's region and endpoint."""
        return client(service, self.region, self.variables)


def client(service: str, region: str, variables: Mapping[str, str]) -> Any:
    """A boto3 client, with the endpoint and credentials that environment variables name."""
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=variables.get("AWS_ENDPOINT_URL"),
        aws_access_key_id=variables.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=variables.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=variables.get("AWS_SESSION_TOKEN"),
        config=Config(retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=32),
    )


def found(describe: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any] | None:
    """What SageMaker describes; None if it does not exist."""
    try:
        return describe(**name)
    except ClientError as error:
        if "Could not find" in error.response["Error"].get("Message", ""):
            return None
        raise


def read_outputs(variables: dict[str, str]) -> dict[str, Any]:
    """The outputs of what was applied with these environment variables. Raises NotDeployed."""
    try:
        _, text = terraform.run("output", "-json", "-no-color", extra_environment=variables)
        outputs = {name: output["value"] for name, output in json.loads(text).items()}
    except (terraform.TerraformFailed, json.JSONDecodeError) as error:
        raise NotDeployed(f"terraform/ has no readable state: {error}") from error
    if not outputs:
        raise NotDeployed(
            "Nothing is deployed: run `scones up` for one machine, or `terraform apply` for AWS."
        )
    return outputs


def from_file(path: Path, variables: dict[str, str]) -> Deployment:
    """A deployment whose outputs were saved by `save`."""
    return Deployment(json.loads(path.read_text(encoding="utf-8")), variables)


def save(deployment: Deployment, path: Path) -> None:
    path.write_text(json.dumps(deployment.outputs, indent=2), encoding="utf-8")
