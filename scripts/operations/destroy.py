"""Removes a whole deployment: what Terraform made, with its data, and what services added."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from scripts.common.errors import UserError
from scripts.common.progress import Progress
from scripts.deployment import identity
from scripts.deployment.identity import Identity, Settings, State, Terraform, WrongDeployment
from scripts.operations.environment import Environment
from scripts.operations.leftovers import Sweep, Swept
from scripts.operations.local_stack import ActionCounter
from scripts.operations.plan import plan_path

PARALLEL = "-parallelism=40"
# How the state marks data that was applied as protected: type, attribute, value.
PROTECTING = (
    ("aws_s3_bucket", "force_destroy", False),
    ("aws_ecr_repository", "force_delete", False),
    ("aws_dynamodb_table", "deletion_protection_enabled", True),
)


class Protected(UserError):
    """The deployment's data is protected; the message says how to lift that."""


class StillDeployed(UserError):
    """Terraform still keeps the deployment, so nothing of it is left over yet."""


class NotSeen(UserError):
    """Part of the account could not be searched, so nobody knows which resources belong to whom."""


@dataclass(frozen=True)
class Target:
    """One environment: which deployment it is, its settings, and the means to remove it."""

    identity: Identity
    settings: Settings
    sweep: Sweep
    terraform: Terraform
    var_files: list[str]

    @property
    def environment(self) -> str:
        return self.identity.environment

    def state(self) -> State | None:
        """Terraform's state as it is now. Raises StateUnreadable, WrongDeployment."""
        before, now = self.identity.state, identity.read_state(self.identity.backend, self.terraform)
        lineages = [each.lineage if each else "none" for each in (before, now)]
        if lineages[0] != lineages[1]:
            raise WrongDeployment(
                f"The state {self.identity.backend} was replaced meanwhile (its lineage was {lineages[0]}, now "
                f"{lineages[1]}): see who did that, then run this command again."
            )
        return now

    def locked(self) -> AbstractContextManager[None]:
        """Holds the state's lock. Raises StateLocked."""
        return self.identity.backend.locked(self.identity.account.variables)


def target(environment: Environment, progress: Progress) -> Target:
    """Which deployment an environment is.

    Raises NotDeployed, PlanError, TerraformFailed, WrongDeployment, StateUnreadable.
    """
    files = environment.var_files()
    environment.initialise(progress)
    progress(f"Finding out which deployment {environment.name} is", None)
    found = environment.identify()
    return Target(found, environment.settings(), Sweep(found.account), environment.terraform, files)


def check_unprotected(target: Target) -> None:
    """Raises Protected while the settings, the state or the ledger say that data must stay."""
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
    if _is_protected_in(target.identity.state) or _has_protected_ledger(target.sweep):
        raise Protected(
            f"{target.environment} was applied with protect_data = true, so nothing was removed. {lift}"
        )


def _is_protected_in(state: State | None) -> bool:
    kept = state.managed if state else []
    return any((kind, name, it.get(name)) in PROTECTING for kind, it in kept for _, name, _ in PROTECTING)


def _has_protected_ledger(sweep: Sweep) -> bool:
    try:
        described = sweep.client("dynamodb").describe_table(TableName=sweep.account.ledger)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        return False
    return bool(described["Table"].get("DeletionProtectionEnabled"))


def check_gone(target: Target) -> None:
    """Raises StillDeployed while Terraform's state has resources."""
    state = target.state()
    if state and state.managed:
        raise StillDeployed(
            f"{target.environment} is deployed: Terraform keeps {len(state.managed)} resources of it, and nothing is "
            f"left over yet. To take it away: make destroy ENV={target.environment}."
        )


def check_seen(swept: Swept) -> None:
    """Raises NotSeen if anything could not be searched: it may hide another deployment."""
    if swept.unseen:
        lines = "\n".join(f"  {each}" for each in swept.unseen)
        raise NotSeen(
            f"Not everything could be looked at, so what was found stays. Allow what is missing, then repeat:\n{lines}"
        )


def plan(target: Target) -> Path | None:
    """Terraform's plan to destroy, under its lock; None for nothing. Raises TerraformFailed."""
    state = target.identity.state
    if not (state and state.managed):
        return None
    path = plan_path(f"{target.environment}.destroy")
    options = ("-destroy", "-input=false", "-no-color", PARALLEL, f"-out={path}")
    target.terraform("plan", *options, *target.var_files)
    return path


def destroy(target: Target, planned: Path | None, progress: Progress) -> Swept:
    """Lets Terraform do exactly what was planned, then removes the rest; returns what is left.

    Terraform refuses the plan if anybody has applied since, and empties the bucket itself, under
    its lock. After an interruption, the same call goes on where it stopped. Raises TerraformFailed,
    NotSeen, StateLocked, ClientError.
    """
    state = target.identity.state
    if planned and state:
        progress("Terraform destroys", None)
        counter = ActionCounter(lambda text, share: progress(f"Terraform destroys: {text}", share))
        counter.planned = len(state.managed)
        target.terraform("apply", "-input=false", "-no-color", PARALLEL, str(planned), on_line=counter.see)
    return clean(target, target.sweep.find(progress), progress)


def clean(target: Target, swept: Swept, progress: Progress) -> Swept:
    """Removes what is left over, and looks again. The state is locked while it does.

    Raises NotSeen, StateLocked, StillDeployed, ClientError.
    """
    if not swept.leftovers:
        return swept
    check_seen(swept)
    progress("Locking Terraform's state", None)
    with target.locked():
        check_gone(target)
        target.sweep.remove(swept.leftovers, progress)
    return target.sweep.find(progress)
