"""Makes plans: of an environment on AWS, of the stack on this machine, or without an account."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.common.paths import WORK
from scripts.common.progress import Progress
from scripts.deployment import identity
from scripts.deployment import terraform as terraform_cli
from scripts.deployment.environments import (
    LOCAL,
    OPTIONS,
    chosen,
    explained,
    initialise,
    model_file,
    settings,
    var_files,
)
from scripts.deployment.identity import Identity
from scripts.deployment.offline import ACCOUNT, offline
from scripts.operations.local_stack import LocalStack
from scripts.policy import plan_json, rules

PLANS = WORK / "plans"


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
    with explained(environment):
        progress(f"Planning {environment}", None)
        path = plan_path(environment)
        terraform_cli.run("plan", *OPTIONS, f"-out={path}", *files)
        return _read(path, f"the state of {environment}", terraform_cli.run)


def on_this_machine(stack: LocalStack, progress: Progress) -> SavedPlan:
    """Plans the running stack. Raises NotDeployed, TerraformFailed."""
    progress("Planning the stack on this machine", None)
    path = plan_path(LOCAL)
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
    with offline(work, account=account, variables=chosen(environment)) as module:
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
        (region, plan_json.REGION),
        (f"{prefix}-", f"scones-{prefix.rpartition('-')[2]}-"),
    ):
        text = text.replace(own, usual)
    judged = json.loads(text)
    # What goes has no values to judge.
    judged["resource_changes"] = [
        it for it in judged["resource_changes"] if it["change"]["after"] is not None
    ]
    return rules.broken(plan_json.filled(judged))


def identify(environment: str, stack: LocalStack | None = None) -> Identity:
    """Which deployment an environment is, on AWS or on this machine; everything that names it agrees.

    Raises PlanError, NotDeployed, WrongDeployment, StateUnreadable.
    """
    var_files(environment)
    terraform, variables = (stack.terraform, stack.variables) if stack else (terraform_cli.run, os.environ)
    with explained(environment):
        return identity.find(environment, settings, terraform, variables)


def state_values(run: Callable[..., tuple[int, str]]) -> dict[str, Any]:
    """What Terraform's state holds, as in a plan's `planned_values`; nothing where nothing is applied."""
    _, text = run("show", "-json", "-no-color")
    return json.loads(text).get("values") or {}


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
