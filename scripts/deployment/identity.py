"""Which deployment a command is about: checkout, terraform/, shell, AWS and state must agree.

Every command that deletes, overwrites or runs anything again goes through `find`. If two of these
name different deployments, it refuses and names both. "Never applied" (no state), "destroyed" (a
state without resources) and "I cannot see" (a state that cannot be read) are three different
answers.
"""

import json
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.errors import UserError
from scripts.common.paths import TERRAFORM
from scripts.deployment.outputs import Deployment, NotDeployed, client
from scripts.deployment.terraform import TerraformFailed

Settings = dict[str, Any]
Terraform = Callable[..., tuple[int, str]]

BACKEND_LINE = re.compile(r'^\s*(\w+)\s*=\s*(".*?"|\w+)\s*(?:#.*)?$', re.MULTILINE)
STATE = re.compile(r"^\{.*^\}", re.MULTILINE | re.DOTALL)
BUCKET = re.compile(r".+-(\d{12})-[a-z]{2}(?:-[a-z]+)+-\d")


class WrongDeployment(UserError):
    """Two sources disagree about which deployment this is; the message says what to do."""


class StateUnreadable(UserError):
    """Terraform's state cannot be read, so nobody knows whether anything is deployed."""


class StateLocked(UserError):
    """Somebody else is working on the state, or it has no lock that would stop them."""


@dataclass(frozen=True)
class Backend:
    """Where a deployment's state is kept."""

    bucket: str
    key: str
    region: str
    use_lockfile: bool

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key} in {self.region}"

    @contextmanager
    def locked(self, variables: Mapping[str, str]) -> Iterator[None]:
        """Holds the state's lock as Terraform does, so that nobody can apply. Raises StateLocked.

        https://developer.hashicorp.com/terraform/language/backend/s3#state-locking
        """
        if not self.use_lockfile:
            raise StateLocked(
                f"The state {self} has no lock, so somebody could apply meanwhile: set use_lockfile = true in "
                "terraform/environments/*.s3.tfbackend, then run `terraform init -reconfigure` with it."
            )
        s3 = client("s3", self.region, variables)
        place = {"Bucket": self.bucket, "Key": f"{self.key}.tflock"}
        lock = {
            "ID": str(uuid.uuid4()),
            "Operation": "scones",
            "Who": f"scones on {socket.gethostname()}",
            "Created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "Path": f"{self.bucket}/{self.key}",
        }
        try:
            s3.put_object(
                **place, Body=json.dumps(lock).encode(), ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            holder = s3.get_object(**place)["Body"].read().decode()
            raise StateLocked(
                f"Somebody else is at work on the state {self}, so nothing was removed: wait for them to end. Left by "
                f"a run that was killed? terraform -chdir=terraform force-unlock ID. The lock: {holder}"
            ) from error
        try:
            yield
        finally:
            s3.delete_object(**place)


@dataclass(frozen=True)
class Account:
    """A deployment's names, and the account and region that it is in."""

    project: str
    environment: str
    region: str
    partition: str
    number: str
    variables: Mapping[str, str]

    @property
    def prefix(self) -> str:
        return f"{self.project}-{self.environment}"

    @property
    def bucket(self) -> str:
        return f"{self.prefix}-{self.number}-{self.region}"

    @property
    def ledger(self) -> str:
        return f"{self.prefix}-ledger"

    def client(self, service: str) -> Any:
        return client(service, self.region, self.variables)


@dataclass(frozen=True)
class State:
    """Terraform's state, as `terraform state pull` prints it."""

    lineage: str
    serial: int
    outputs: dict[str, Any]
    resources: list[dict[str, Any]]

    @cached_property
    def managed(self) -> list[tuple[str, dict[str, Any]]]:
        """(type, attributes) of every resource that Terraform manages."""
        return [
            (resource["type"], instance["attributes"])
            for resource in self.resources
            if resource["mode"] == "managed"
            for instance in resource["instances"]
        ]

    def said(self) -> dict[str, set[str]]:
        """What it says about its deployment: by outputs, or by tags and ARNs if a run left none."""
        if "prefix" in self.outputs:
            bucket = BUCKET.fullmatch(self.outputs.get("bucket", ""))
            return {
                "prefix": {self.outputs["prefix"]},
                "region": {self.outputs["region"]},
                "account": {bucket[1]} if bucket else set(),
            }
        tags = [it.get("tags_all") or {} for _, it in self.managed]
        arns = [arn.split(":") for _, it in self.managed if (arn := it.get("arn")) and arn.startswith("arn:")]
        return {
            "prefix": {
                f"{each['project']}-{each['environment']}"
                for each in tags
                if each.keys() >= {"project", "environment"}
            },
            "region": {arn[3] for arn in arns} - {""},
            "account": {arn[4] for arn in arns} - {""},
        }


@dataclass(frozen=True)
class Identity:
    """One deployment that all sources agree on.

    Without a state it was never applied, or its state is gone.
    """

    environment: str
    account: Account
    backend: Backend
    state: State | None

    @property
    def place(self) -> str:
        """The deployment in words that fit no other."""
        return f"{self.account.prefix} in {self.account.number}"

    def deployment(self) -> Deployment:
        """What is applied. Raises NotDeployed."""
        if self.state is None or not self.state.outputs:
            raise NotDeployed(
                f"{self.environment} is not deployed: the state {self.backend} holds no outputs. Run `terraform apply` first."
            )
        return Deployment(self.state.outputs, dict(self.account.variables))


def find(
    environment: str,
    read_settings: Callable[[str], Settings],
    terraform: Terraform,
    variables: Mapping[str, str],
) -> Identity:
    """The deployment that an environment's settings, terraform/, AWS and the state agree on.

    Raises NotDeployed where terraform/ is not initialised, WrongDeployment, StateUnreadable.
    """
    if steered := sorted(
        name for name, value in variables.items() if value and name.startswith("TF_CLI_ARGS")
    ):
        raise WrongDeployment(
            f"This shell sets {', '.join(steered)}, which makes Terraform do something else than it is asked: "
            "unset it, then run this command again."
        )
    backend = _backend(environment, variables)
    _check_workspace(environment, terraform, variables)
    account = _account(read_settings(environment), variables)
    state = read_state(backend, terraform)
    if state:
        _check_state(backend, state, account)
    return Identity(environment, account, backend, state)


def read_state(backend: Backend, terraform: Terraform) -> State | None:
    """The state as it is now; None where there is none. Raises StateUnreadable."""
    try:
        _, text = terraform("state", "pull")
    except TerraformFailed as error:
        raise StateUnreadable(
            f"The state {backend} cannot be read, so nobody knows what is deployed: {error}"
        ) from error
    if not text.strip():
        return None
    found = STATE.search(text)
    if found is None:
        raise StateUnreadable(f"{backend} is not a state of Terraform: {text[-2000:]}")
    pulled = json.loads(found[0])
    outputs = {name: output["value"] for name, output in pulled["outputs"].items()}
    state = State(pulled["lineage"], pulled["serial"], outputs, pulled["resources"])
    # Terraform prints an empty state if the bucket has none: nothing was ever applied.
    return state if state.serial > 0 or state.resources else None


def initialised_for(variables: Mapping[str, str]) -> dict[str, Any] | None:
    """The backend that terraform/ is initialised for; None if it is not."""
    file = TERRAFORM / (variables.get("TF_DATA_DIR") or ".terraform") / "terraform.tfstate"
    return json.loads(file.read_text(encoding="utf-8"))["backend"]["config"] if file.exists() else None


def init_command(environment: str, option: str = "") -> str:
    """The command that initialises terraform/ for an environment."""
    return f"terraform -chdir=terraform init {option}-backend-config=environments/{environment}.s3.tfbackend"


def _backend(environment: str, variables: Mapping[str, str]) -> Backend:
    file = TERRAFORM / "environments" / f"{environment}.s3.tfbackend"
    wanted = {
        name: json.loads(value) for name, value in BACKEND_LINE.findall(file.read_text(encoding="utf-8"))
    }
    current = initialised_for(variables)
    if current is None:
        raise NotDeployed(
            f"terraform/ is not initialised for {environment}: run `{init_command(environment)}`."
        )
    if other := [
        name for name in {"bucket", "key", "region", *wanted} if current.get(name) != wanted.get(name)
    ]:
        differences = ", ".join(
            f"{name}: {current.get(name)} there, {wanted.get(name)} here" for name in sorted(other)
        )
        raise WrongDeployment(
            f"terraform/ is initialised for {current.get('key')}, not for {environment} as {file.name} describes it "
            f"({differences}): run `{init_command(environment, '-reconfigure ')}`."
        )
    return Backend(wanted["bucket"], wanted["key"], wanted["region"], wanted.get("use_lockfile", False))


def _check_workspace(environment: str, terraform: Terraform, variables: Mapping[str, str]) -> None:
    _, text = terraform("workspace", "show")
    workspace = text.split()[-1]
    if workspace != "default":
        chosen, remedy = (
            ("TF_WORKSPACE in this shell", "unset TF_WORKSPACE")
            if variables.get("TF_WORKSPACE")
            else ("`terraform workspace select`", "terraform -chdir=terraform workspace select default")
        )
        raise WrongDeployment(
            f"The state of {environment} is in Terraform's workspace default, but {chosen} chose {workspace}, which is "
            f"another deployment: {remedy}, then run this command again."
        )


def _account(settings: Settings, variables: Mapping[str, str]) -> Account:
    project, environment, region = (settings[name] for name in ("project", "environment", "region"))
    caller = client("sts", region, variables).get_caller_identity()
    partition = caller["Arn"].split(":")[1]
    return Account(project, environment, region, partition, caller["Account"], variables)


def _check_state(backend: Backend, state: State, account: Account) -> None:
    said = state.said()
    if state.managed and not said["prefix"]:
        raise WrongDeployment(
            f"The state {backend} keeps {len(state.managed)} resources, but neither outputs nor tags say of which "
            f"deployment; {account.prefix} was expected. Look at them: terraform -chdir=terraform state list"
        )
    expected = {
        "prefix": (account.prefix, "project and environment in terraform/", "restore them there"),
        "region": (account.region, "region in terraform/", "restore it there"),
        "account": (account.number, "this shell's credentials", "log in to the other account"),
    }
    for what, (own, source, remedy) in expected.items():
        if others := said[what] - {own}:
            raise WrongDeployment(
                f"By {source} this is {what} {own}, but the state {backend} is of {what} {', '.join(sorted(others))}: "
                f"{remedy}, or initialise terraform/ for the state that is meant."
            )
