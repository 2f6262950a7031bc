"""scones doctor: what would make an apply or an alert fail, each with its remedy."""

import boto3
import typer

from scripts.cli import options
from scripts.cli.console import errors_explained, local_stack, show_checks, steps
from scripts.deployment import environments
from scripts.deployment.environments import LOCAL
from scripts.operations import doctor as diagnosis
from scripts.operations.check import FAILED, Check

FOUND = 3


def doctor(
    environment: options.ConfiguredEnv = LOCAL,
    as_json: options.AsJson = False,
) -> None:
    """Look for what would make an apply or an alert fail, before it does; each finding comes with its remedy.

    Tools and their versions; for AWS also packaged functions, credentials, the bucket of Terraform's state, quotas (functions
    at once, instances of the endpoint), and subscribers who have not confirmed. Nothing is changed, and nothing need be deployed.

    Exit code: 0 nothing found; 3 something failed; 1 there is no such environment. What is skipped hinders nothing, or
    could not be asked.
    """
    with errors_explained(), steps() as progress:
        environments.var_files(environment)
        progress("Looking at this machine", None)
        done = [*diagnosis.tools()]
        if environment == LOCAL:
            done.append(diagnosis.this_machine(local_stack()))
        else:
            done.append(diagnosis.packages())
            if not _failed(done, "terraform", "provider"):
                progress("Asking AWS", None)
                done += diagnosis.Account(environments.settings(environment), boto3.Session()).checks()
    show_checks(done, environment, as_json=as_json)
    raise typer.Exit(FOUND if any(check.state == FAILED for check in done) else 0)


def _failed(done: list[Check], *whats: str) -> bool:
    return any(check.state == FAILED and check.what in whats for check in done)
