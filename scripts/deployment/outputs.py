"""What Terraform deployed, as the command line needs it, for one machine and for AWS alike."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.common.shown import shown
from scripts.common.errors import UserError
from scripts.deployment import terraform


class NotDeployed(UserError):
    """There is no applied stack for the environment asked for; the message says how to get one."""


@dataclass(frozen=True)
class Deployment:
    """Terraform's outputs, and where its AWS answers (None: AWS itself)."""

    outputs: dict[str, Any]
    variables: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.outputs[name]
        except KeyError:
            raise AttributeError(
                f"Terraform has no output {shown(name)}: run `terraform apply` again."
            ) from None

    def client(self, service: str) -> Any:
        """A boto3 client for this deployment's region and endpoint."""
        return boto3.client(
            service,
            region_name=self.outputs["region"],
            endpoint_url=self.variables.get("AWS_ENDPOINT_URL"),
            aws_access_key_id=self.variables.get("AWS_ACCESS_KEY_ID"),
            aws_secret_access_key=self.variables.get("AWS_SECRET_ACCESS_KEY"),
            aws_session_token=self.variables.get("AWS_SESSION_TOKEN"),
            config=Config(retries={"mode": "standard", "total_max_attempts": 4}, max_pool_connections=32),
        )


def found(describe: Callable[..., dict[str, Any]], **name: str) -> dict[str, Any] | None:
    """What SageMaker describes; None where there is no such thing."""
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
