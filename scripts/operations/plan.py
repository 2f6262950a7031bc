"""Makes plans: of an environment on AWS, of the stack on this machine, or without an account."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import NoCredentialsError

from scripts.deployment import identity
from scripts.deployment import terraform as terraform_cli
from scripts.deployment.identity import Identity, Settings, StateUnreadable
from scripts.deployment.offline import ACCOUNT, offline
from scripts.deployment.terraform import MODULE, WORK, TerraformFailed
from scripts.operations.local_stack import ENVIRONMENT, LocalStack, Progress
from scripts.policy import reference_plan, rules

ENVIRONMENTS = MODULE / "environments"
PLANS = WORK / "plans"
# A plan changes nothing, so it needs no lock: applying one that has become stale is refused by Terraform itself.
OPTIONS = ("-input=false", "-no-color", "-lock=false")
SETTINGS = ("project", "environment", "region", "model", "endpoint", "subscribers", "protect_data")
NO_CREDENTIALS = re.compile(
    r"No valid credential sources found|failed to refresh cached credentials|locate credentials"
)


class PlanError(Exception):
    """A plan cannot be made; the message says what to do."""


@dataclass(frozen=True)
class SavedPlan:
    """A plan as Terraform saved it, as JSON, in Terraform's words, and what it was held against."""

    path: Path
    json: dict[str, Any]
    text: str
    basis: str


def on_aws(environment: str, progress: Progress) -> SavedPlan:
    """Plans an environment with this shell's credentials against its own state.

    Raises PlanError, TerraformFailed, WrongDeployment, StateUnreadable.
    """
    files = var_files(environment)
    initialise(environment, progress)
    identify(environment)
    with _explained(environment):
        progress(f"Planning {environment}", None)
        path = plan_path(environment)
        terraform_cli.run("plan", *OPTIONS, f"-out={path}", *files)
        return _read(path, f"the state of {environment}", terraform_cli.run)


def on_this_machine(stack: LocalStack, progress: Progress) -> SavedPlan:
    """Plans the running stack. Raises NotDeployed, TerraformFailed."""
    progress("Planning the stack on this machine", None)
    path = plan_path(ENVIRONMENT)
    stack.terraform("plan", *OPTIONS, f"-out={path}", *stack.var_files())
    return _read(path, "the stack on this machine", stack.terraform)


def without_account(environment: str, state: Path | None, progress: Progress) -> SavedPlan:
    """Plans a first apply, or one on a saved state (`terraform state pull`), without any account.

    Raises PlanError, TerraformFailed.
    """
    files, account = var_files(environment), _account(environment)
    progress("Preparing Terraform", None)
    work = PLANS / environment
    work.mkdir(parents=True, exist_ok=True)
    with offline(work, account=account, variables=_chosen(environment)) as module:
        if state:
            shutil.copy(state, module.state)
        progress(f"Planning {environment}", None)
        path = plan_path(environment)
        module.run("plan", *OPTIONS, "-refresh=false", f"-out={path}", *files)
        before = f"the saved state {state.name}" if state else "nothing, as before a first apply"
        return _read(path, f"{before}, without an account (its number is taken to be {account})", module.run)


def broken_rules(plan: dict[str, Any]) -> list[str]:
    """Which of the project's rules a plan breaks (scripts/policy/rules.py).

    They are written for one account, region and project, whose names are put in the place of this plan's own.
    """
    outputs = {name: it.get("value") for name, it in plan["planned_values"]["outputs"].items()}
    prefix, region = outputs["prefix"], outputs["region"]
    account = outputs["bucket"].removeprefix(f"{prefix}-").removesuffix(f"-{region}")
    text = json.dumps(plan)
    for own, usual in (
        (account, ACCOUNT),
        (region, reference_plan.REGION),
        (f"{prefix}-", f"scones-{prefix.rpartition('-')[2]}-"),
    ):
        text = text.replace(own, usual)
    judged = json.loads(text)
    # What goes has no values to judge.
    judged["resource_changes"] = [
        it for it in judged["resource_changes"] if it["change"]["after"] is not None
    ]
    return rules.broken(reference_plan.filled(judged))


def var_files(environment: str) -> list[str]:
    """The -var-file options: the environment's own, and the promoted model's where there is one. Raises PlanError."""
    own = ENVIRONMENTS / f"{environment}.tfvars"
    if not own.exists():
        known = ", ".join(sorted(path.stem for path in ENVIRONMENTS.glob("*.tfvars")))
        raise PlanError(f"There is no {own.relative_to(terraform_cli.ROOT)}: the environments are {known}.")
    return [f"-var-file={path}" for path in (own, model_file(environment)) if path.exists()]


@cache
def settings(environment: str) -> Settings:
    """The root's variables that SETTINGS names, as Terraform reads them for an environment, defaults included.

    Raises PlanError, TerraformFailed.
    """
    files = var_files(environment)
    wanted = ", ".join(f"{name} = var.{name}" for name in SETTINGS)
    # The variables alone, because the rest of the module needs the provider, and that takes seconds.
    with tempfile.TemporaryDirectory() as folder:
        for path in (MODULE / "variables.tf", *MODULE.glob("*.tfvars*")):
            shutil.copy(path, folder)
        # The functions need not be packaged for this; that they are not is said, and no hindrance.
        _, text = terraform_cli.run(
            "console",
            *files,
            extra_environment=_chosen(environment),
            module=Path(folder),
            given=f"jsonencode({{{wanted}}})\n",
        )
    answer = next((line for line in text.splitlines() if line.startswith('"')), None)
    if answer is None:
        raise PlanError(f"The settings of {environment} cannot be read:\n{text[-2000:]}")
    return json.loads(json.loads(answer))


def identify(environment: str, stack: LocalStack | None = None) -> Identity:
    """Which deployment an environment is, on AWS or on this machine; everything that names it agrees.

    Raises PlanError, NotDeployed, WrongDeployment, StateUnreadable.
    """
    var_files(environment)
    terraform, variables = (stack.terraform, stack.variables) if stack else (terraform_cli.run, os.environ)
    with _explained(environment):
        return identity.find(environment, settings, terraform, variables)


def state_values(run: Callable[..., tuple[int, str]]) -> dict[str, Any]:
    """What Terraform's state holds, as in a plan's `planned_values`; nothing where nothing is applied."""
    _, text = run("show", "-json", "-no-color")
    return json.loads(text).get("values") or {}


def model_file(environment: str) -> Path:
    """Where `scones promote` names the model to Terraform."""
    return ENVIRONMENTS / f"{environment}.model.tfvars.json"


def _account(environment: str) -> str:
    """The account that the promoted model's image lies in: the artifact's bucket carries the same number."""
    path = model_file(environment)
    found = re.search(r'"(\d{12})\.dkr\.ecr\.', path.read_text(encoding="utf-8")) if path.exists() else None
    return found[1] if found else ACCOUNT


def plan_path(environment: str) -> Path:
    """Where an environment's plan is saved."""
    PLANS.mkdir(parents=True, exist_ok=True)
    return PLANS / f"{environment}.tfplan"


def _read(path: Path, basis: str, run: Any) -> SavedPlan:
    _, text = run("show", "-no-color", str(path))
    _, shown = run("show", "-json", str(path))
    return SavedPlan(path, json.loads(shown), text, basis)


def initialise(environment: str, progress: Progress) -> None:
    """Initialises terraform/ for an environment where it is not initialised; it is never switched silently."""
    if identity.initialised_for(os.environ) is None:
        progress("Initialising terraform/", None)
        backend = ENVIRONMENTS / f"{environment}.s3.tfbackend"
        with _explained(environment):
            terraform_cli.run("init", *OPTIONS[:2], "-lockfile=readonly", f"-backend-config={backend}")


def _chosen(environment: str) -> dict[str, str]:
    """The variables that this shell chooses for an environment on AWS; the stack on this machine is always the same."""
    if environment == ENVIRONMENT:
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith("TF_VAR_")}


@contextmanager
def _explained(environment: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, StateUnreadable, TerraformFailed) as error:
        if NO_CREDENTIALS.search(str(error)):
            raise PlanError(
                f"There are no AWS credentials for {environment}: log in (`aws sso login`, `aws configure`), "
                "or plan without an account: --offline."
            ) from error
        raise
