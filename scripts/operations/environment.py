"""Where a command is done: on the stack on this machine, or in an environment on AWS.

Only `get_environment` compares names. What differs between the two is one method or value each.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import boto3

from scripts.common.progress import Progress
from scripts.deployment import environments, identity, terraform
from scripts.deployment.environments import LOCAL, explained
from scripts.deployment.identity import Identity, Settings
from scripts.deployment.outputs import Deployment
from scripts.deployment.serving_image import ImageError
from scripts.models import registry, training_jobs
from scripts.models.registry import Destination, NotPromoted, PromoteError
from scripts.operations import doctor, plan
from scripts.operations.check import FAILED, Check
from scripts.operations.local_stack import ActionCounter, LocalStack, default_stack, training_python
from scripts.operations.plan import SavedPlan


class Environment(Protocol):
    """One environment: what is deployed there, and how it is planned, changed and taken away."""

    name: str
    # Who says what it really costs.
    billing: str
    # Whether AWS's console shows it.
    has_console: bool

    @property
    def model_file(self) -> Path:
        """The file that names the promoted model to Terraform."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment variables by which Terraform and boto3 find it. Raises NotDeployed."""

    @property
    def chosen(self) -> frozenset[tuple[str, str]]:
        """The Terraform variables that this shell chooses for it."""

    @property
    def after_promote(self) -> str:
        """The command that comes after `scones promote`."""

    def var_files(self) -> list[str]:
        """The -var-file options: its own, and the promoted model's, if any. Raises PlanError."""

    def initialise(self, progress: Progress) -> None:
        """Initialises terraform/ for it where it is not initialised for anything."""

    def terraform(self, *arguments: str, **options: Any) -> tuple[int, str]:
        """Runs Terraform on it, as `terraform.run` does."""

    def deployment(self) -> Deployment:
        """What is deployed there. Raises NotDeployed; on AWS also what `identify` raises."""

    def plan(self, progress: Progress) -> SavedPlan:
        """Plans it as it is configured here.

        Raises NotDeployed, PlanError, TerraformFailed, WrongDeployment.
        """

    def apply(self, saved: SavedPlan, progress: Progress) -> None:
        """Applies exactly what was planned. Raises TerraformFailed."""

    def image_uri(self, given: str | None) -> str:
        """The serving image that a promoted model runs in. Raises PromoteError."""

    def check_takes_image(self) -> None:
        """Raises ImageError where the serving program needs no image."""

    def check_training(self, architecture: str) -> str:
        """Returns what to know about training jobs there, if anything. Raises ToolsMissing."""

    def forget_model(self) -> str:
        """Forgets the promoted model after a destroy; returns what is left to do, if anything."""

    def diagnose(self, progress: Progress) -> list[Check]:
        """The checklist of `scones doctor`. Raises PlanError."""

    def settings(self) -> Settings:
        """The variables that `environments.SETTINGS` names. Raises PlanError, TerraformFailed."""
        return environments.settings(self.name, self.chosen)

    def identify(self) -> Identity:
        """Which deployment it is; everything that names it agrees.

        Raises PlanError, NotDeployed, WrongDeployment, StateUnreadable.
        """
        self.var_files()
        with explained(self.name):
            return identity.find(self.name, lambda _: self.settings(), self.terraform, self.variables)

    def offline_plan(self, state: Path | None, progress: Progress) -> SavedPlan:
        """Plans a first apply, or one on a saved state, without an account.

        Raises PlanError, TerraformFailed.
        """
        return plan.without_account(self.name, self.chosen, state, progress)

    def destination(self) -> Destination:
        """Where a model is promoted to. Raises as `deployment` does."""
        deployed = self.deployment()
        return Destination(deployed.bucket, self.model_file, deployed.client("s3"))

    def previous_model(self, current: dict[str, Any], destination: Destination) -> dict[str, Any]:
        """The model that the current one has replaced. Raises PromoteError."""
        return registry.previous_model(current, destination)


class LocalEnvironment(Environment):
    """The stack on this machine that `scones up` starts."""

    name = LOCAL
    chosen = frozenset()
    has_console = False
    billing = "None of this is billed on this machine."
    after_promote = "scones deploy"

    @property
    def stack(self) -> LocalStack:
        return default_stack()

    @property
    def model_file(self) -> Path:
        return self.stack.model_file

    @property
    def variables(self) -> Mapping[str, str]:
        return self.stack.variables

    def var_files(self) -> list[str]:
        return self.stack.var_files()

    def initialise(self, progress: Progress) -> None:
        pass

    def terraform(self, *arguments: str, **options: Any) -> tuple[int, str]:
        return self.stack.terraform(*arguments, **options)

    def deployment(self) -> Deployment:
        return self.stack.deployment()

    def plan(self, progress: Progress) -> SavedPlan:
        progress("Planning the stack on this machine", None)
        return plan.make(self.name, self.var_files(), self.terraform, "the stack on this machine")

    def apply(self, saved: SavedPlan, progress: Progress) -> None:
        self.stack.apply(progress, saved.path)

    def image_uri(self, given: str | None) -> str:
        return given or self.stack.image_uri

    def check_takes_image(self) -> None:
        raise ImageError(
            "the one-machine AWS takes no image: it starts the serving program itself, and "
            "`scones promote --env local` names it"
        )

    def check_training(self, architecture: str) -> str:
        training_jobs.check_interpreter(training_python(), architecture)
        return ""

    def previous_model(self, current: dict[str, Any], destination: Destination) -> dict[str, Any]:
        try:
            return super().previous_model(current, destination)
        except NotPromoted as error:
            raise PromoteError(
                f"{current['name']} came with `scones up` and is the first model here: there is none to return to"
            ) from error

    def forget_model(self) -> str:
        self.stack.forget_deployment()
        return ""

    def diagnose(self, progress: Progress) -> list[Check]:
        progress("Looking at this machine", None)
        return [*doctor.tools(), doctor.this_machine(self.stack)]


@dataclass(frozen=True)
class AwsEnvironment(Environment):
    """An environment of terraform/environments, with this shell's credentials."""

    name: str
    has_console = True
    billing = "What AWS bills is in Cost Explorer (filter by the tags project and environment)."

    @property
    def model_file(self) -> Path:
        return environments.model_file(self.name)

    @property
    def variables(self) -> Mapping[str, str]:
        return os.environ

    @property
    def chosen(self) -> frozenset[tuple[str, str]]:
        return frozenset(it for it in os.environ.items() if it[0].startswith("TF_VAR_"))

    @property
    def after_promote(self) -> str:
        return (
            f"terraform -chdir=terraform plan -var-file=environments/{self.name}.tfvars "
            f"-var-file=environments/{self.model_file.name}"
        )

    def var_files(self) -> list[str]:
        return environments.var_files(self.name)

    def initialise(self, progress: Progress) -> None:
        environments.initialise(self.name, progress)

    def terraform(self, *arguments: str, **options: Any) -> tuple[int, str]:
        return terraform.run(*arguments, **options)

    def deployment(self) -> Deployment:
        return self.identify().deployment()

    def plan(self, progress: Progress) -> SavedPlan:
        files = self.var_files()
        self.initialise(progress)
        self.identify()
        progress(f"Planning {self.name}", None)
        with explained(self.name):
            saved = plan.make(self.name, files, self.terraform, f"the state of {self.name}")
        return replace(saved, next_step=f"terraform -chdir=terraform apply {saved.path}")

    def apply(self, saved: SavedPlan, progress: Progress) -> None:
        self.terraform("apply", "-no-color", str(saved.path), on_line=ActionCounter(progress).see)

    def image_uri(self, given: str | None) -> str:
        if given is None:
            raise PromoteError("--image is needed: the serving image by digest, which `scones image` prints")
        return given

    def check_takes_image(self) -> None:
        pass

    def check_training(self, architecture: str) -> str:  # noqa: ARG002 - nothing can be checked there
        return "Training jobs have not been run on AWS yet: watch the first one in the console."

    def forget_model(self) -> str:
        if not self.model_file.exists():
            return ""
        return f"{self.model_file.name} names a model that is gone: remove the file before the next apply."

    def diagnose(self, progress: Progress) -> list[Check]:
        self.var_files()
        progress("Looking at this machine", None)
        done = [*doctor.tools(), doctor.packages()]
        if not any(each.state == FAILED and each.what in ("terraform", "provider") for each in done):
            progress("Asking AWS", None)
            done += doctor.Account(self.settings(), boto3.Session()).checks()
        return done


def get_environment(name: str) -> Environment:
    """The environment with this name. One that does not exist says so when it is used."""
    return LocalEnvironment() if name == LOCAL else AwsEnvironment(name)
