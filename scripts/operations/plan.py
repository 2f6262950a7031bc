"""Terraform's plans: made, read, and checked against the project's rules."""

import copy
import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.common.paths import WORK
from scripts.common.progress import Progress
from scripts.deployment.environments import OPTIONS, model_file, var_files
from scripts.deployment.identity import Terraform
from scripts.deployment.offline import ACCOUNT, offline
from scripts.policy import plan_json, rules

PLANS = WORK / "plans"


@dataclass(frozen=True)
class SavedPlan:
    """A plan as Terraform saved it, as JSON, in Terraform's words, and what it was compared with.

    `next_step` is the command that applies it; empty where none does.
    """

    path: Path
    json: dict[str, Any]
    text: str
    basis: str
    next_step: str = ""


def make(environment: str, files: list[str], terraform: Terraform, basis: str) -> SavedPlan:
    """Plans the root module and reads the plan. Raises TerraformFailed."""
    path = plan_path(environment)
    terraform("plan", *OPTIONS, f"-out={path}", *files)
    return _read(path, basis, terraform)


def without_account(
    environment: str, chosen: Iterable[tuple[str, str]], state: Path | None, progress: Progress
) -> SavedPlan:
    """Plans a first apply, or one on a saved state (`terraform state pull`), without any account.

    Raises PlanError, TerraformFailed.
    """
    files, account = var_files(environment), _account(environment)
    progress("Preparing Terraform", None)
    work = PLANS / environment
    work.mkdir(parents=True, exist_ok=True)
    with offline(work, account=account, variables=dict(chosen)) as module:
        if state:
            shutil.copy(state, module.state)
        progress(f"Planning {environment}", None)
        before = f"the saved state {state.name}" if state else "nothing, as before a first apply"
        basis = f"{before}, without an account (its number is taken to be {account})"
        return make(environment, ["-refresh=false", *files], module.run, basis)


def broken_rules(plan: dict[str, Any]) -> list[str]:
    """Which of the project's rules a plan breaks (scripts/policy/rules.py)."""
    judged = copy.deepcopy(plan)
    # What goes has no values to judge.
    judged["resource_changes"] = [
        it for it in judged["resource_changes"] if it["change"]["after"] is not None
    ]
    return rules.broken(plan_json.filled(judged))


def state_values(terraform: Terraform) -> dict[str, Any]:
    """What Terraform's state holds, as in a plan's `planned_values`; empty if there is none."""
    _, text = terraform("show", "-json", "-no-color")
    return json.loads(text).get("values") or {}


def _account(environment: str) -> str:
    """The account in the URI of the promoted model's image, as in the artifact's bucket."""
    path = model_file(environment)
    found = re.search(r'"(\d{12})\.dkr\.ecr\.', path.read_text(encoding="utf-8")) if path.exists() else None
    return found[1] if found else ACCOUNT


def plan_path(environment: str) -> Path:
    """Where an environment's plan is saved."""
    PLANS.mkdir(parents=True, exist_ok=True)
    return PLANS / f"{environment}.tfplan"


def _read(path: Path, basis: str, terraform: Terraform) -> SavedPlan:
    _, text = terraform("show", "-no-color", str(path))
    _, shown = terraform("show", "-json", str(path))
    return SavedPlan(path, json.loads(shown), text, basis)
