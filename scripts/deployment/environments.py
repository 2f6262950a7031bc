"""The environments of terraform/environments: their variables, settings and promoted model."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from botocore.exceptions import NoCredentialsError

from scripts.common import paths
from scripts.common.errors import UserError
from scripts.common.paths import TERRAFORM
from scripts.common.progress import Progress
from scripts.deployment import identity, terraform
from scripts.deployment.identity import Settings, StateUnreadable
from scripts.deployment.terraform import TerraformFailed

ENVIRONMENTS = TERRAFORM / "environments"
# A plan changes nothing, so it needs no lock: Terraform refuses to apply one that has become stale.
OPTIONS = ("-input=false", "-no-color", "-lock=false")
SETTINGS = ("project", "environment", "region", "model", "endpoint", "subscribers", "protect_data")
NO_CREDENTIALS = re.compile(
    r"No valid credential sources found|failed to refresh cached credentials|locate credentials"
)

LOCAL = "local"


class PlanError(UserError):
    """A plan cannot be made; the message says what to do."""


def var_files(environment: str) -> list[str]:
    """The -var-file options: its own, and the promoted model's, if any. Raises PlanError."""
    own = ENVIRONMENTS / f"{environment}.tfvars"
    if not own.exists():
        known = ", ".join(sorted(path.stem for path in ENVIRONMENTS.glob("*.tfvars")))
        raise PlanError(f"There is no {own.relative_to(paths.ROOT)}: the environments are {known}.")
    return [f"-var-file={path}" for path in (own, model_file(environment)) if path.exists()]


@cache
def settings(environment: str, chosen: frozenset[tuple[str, str]] = frozenset()) -> Settings:
    """The variables in SETTINGS, as Terraform reads them for an environment, with defaults.

    Args:
        chosen: the variables (TF_VAR_...) that a shell sets in place of the environment's files.

    Raises:
        PlanError: there is no such environment, or Terraform does not print them.
        TerraformFailed: it ended with an error.
    """
    files = var_files(environment)
    wanted = ", ".join(f"{name} = var.{name}" for name in SETTINGS)
    # Only the variables, because the rest of the module needs the provider, and loading that takes
    # seconds.
    with tempfile.TemporaryDirectory() as folder:
        for path in (TERRAFORM / "variables.tf", *TERRAFORM.glob("*.tfvars*")):
            shutil.copy(path, folder)
        # Packages are not required here; Terraform only warns if they are missing.
        _, text = terraform.run(
            "console",
            *files,
            extra_environment=dict(chosen),
            module=Path(folder),
            given=f"jsonencode({{{wanted}}})\n",
        )
    answer = next((line for line in text.splitlines() if line.startswith('"')), None)
    if answer is None:
        raise PlanError(f"The settings of {environment} cannot be read:\n{text[-2000:]}")
    return json.loads(json.loads(answer))


def model_file(environment: str) -> Path:
    """The file in which `scones promote` names the model to Terraform."""
    return ENVIRONMENTS / f"{environment}.model.tfvars.json"


def initialise(environment: str, progress: Progress) -> None:
    """Initialises terraform/ for an environment, unless it is initialised already."""
    if identity.initialised_for(os.environ) is None:
        progress("Initialising terraform/", None)
        backend = ENVIRONMENTS / f"{environment}.s3.tfbackend"
        with explained(environment):
            terraform.run("init", *OPTIONS[:2], "-lockfile=readonly", f"-backend-config={backend}")


@contextmanager
def explained(environment: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, StateUnreadable, TerraformFailed) as error:
        if NO_CREDENTIALS.search(str(error)):
            raise PlanError(
                f"There are no AWS credentials for {environment}: log in (`aws sso login`, `aws configure`), "
                "or plan without an account: --offline."
            ) from error
        raise
