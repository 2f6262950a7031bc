"""Takes a whole deployment away: what it holds, what Terraform made, and what services made besides."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from scripts import buckets, plan_summary, plans, sweeping, terraform_cli
from scripts.local_stack import ENVIRONMENT, ActionCounter, LocalStack, Progress
from scripts.plans import Settings
from scripts.sweeping import Sweep, Swept


class Protected(Exception):
    """The deployment's data is protected; the message says how to lift that."""


class StillDeployed(Exception):
    """Terraform still keeps the deployment, so nothing of it is left over yet."""


@dataclass(frozen=True)
class Target:
    """One environment: its settings, where to look for what it left, and how Terraform is run on it."""

    environment: str
    settings: Settings
    sweep: Sweep
    terraform: Callable[..., tuple[int, str]]
    var_files: list[str]

    def managed(self) -> int:
        """How many resources Terraform's state has."""
        return len(plan_summary.resources(plans.state_values(self.terraform)))


def target(environment: str, stack: LocalStack, progress: Progress) -> Target:
    """An environment by this shell's credentials, or the stack on this machine.

    Raises NotDeployed, PlanError, TerraformFailed.
    """
    here = environment == ENVIRONMENT
    variables, files = (
        (stack.variables, stack.var_files()) if here else (dict(os.environ), plans.var_files(environment))
    )
    progress(f"Reading the settings of {environment}", None)
    settings = plans.settings(environment)
    if not here:
        plans.initialise(environment, progress)
    sweep = Sweep(sweeping.account(settings, variables))
    return Target(environment, settings, sweep, stack.terraform if here else terraform_cli.run, files)


def check_unprotected(target: Target) -> None:
    """Raises Protected while the settings, or the ledger as it was applied, say that data must stay."""
    where = [Path(it.removeprefix("-var-file=")).name for it in target.var_files]
    apply = " ".join(f"-var-file=environments/{name}" for name in where)
    lift = (
        f"To lift that: set protect_data = false in terraform/environments/{target.environment}.tfvars, run "
        f"`terraform -chdir=terraform apply {apply}`, then this command again."
    )
    if target.settings["protect_data"]:
        raise Protected(
            f"{target.environment} is protected (protect_data = true), so nothing was removed. {lift}"
        )
    try:
        described = target.sweep.client("dynamodb").describe_table(TableName=target.sweep.account.ledger)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return
    if described["Table"].get("DeletionProtectionEnabled"):
        raise Protected(
            f"{target.environment} was applied with protect_data = true, so nothing was removed. {lift}"
        )


def check_gone(target: Target) -> None:
    """Raises StillDeployed while Terraform's state has resources."""
    if count := target.managed():
        raise StillDeployed(
            f"{target.environment} is deployed: Terraform keeps {count} resources of it, and nothing is left over yet. "
            f"To take it away: make destroy ENV={target.environment}."
        )


def destroy(target: Target, found: Swept, progress: Progress) -> Swept:
    """Empties the bucket, lets Terraform destroy, and removes what is left. Returns what is left then.

    Started again after an interruption, it goes on where it ended. Raises TerraformFailed, ClientError.
    """
    for bucket in found.of("bucket"):
        buckets.empty(target.sweep.client("s3"), bucket.name, progress)
    if target.managed():
        progress("Terraform destroys", None)
        counter = ActionCounter(lambda text, share: progress(f"Terraform destroys: {text}", share))
        options = ("-auto-approve", "-no-color", "-parallelism=40")
        target.terraform("destroy", *options, *target.var_files, on_line=counter.see)
    return clean(target.sweep, target.sweep.find(progress), progress)


def clean(sweep: Sweep, swept: Swept, progress: Progress) -> Swept:
    """Removes what is left over, and looks again."""
    if not swept.leftovers:
        return swept
    sweep.remove(swept.leftovers, progress)
    return sweep.find(progress)
