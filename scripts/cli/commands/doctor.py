"""scones doctor: look for what would make an apply or an alert fail."""

import typer

from scripts.cli import options
from scripts.cli.console import errors_explained, show_checks, steps
from scripts.deployment.environments import LOCAL
from scripts.operations.check import FAILED
from scripts.operations.environment import get_environment

FOUND = 3


def doctor(
    environment: options.ConfiguredEnv = LOCAL,
    as_json: options.AsJson = False,
) -> None:
    """Look for what would make an apply or an alert fail; each finding comes with its remedy.

    Tools and their versions; for AWS also packaged functions, credentials, the bucket of
    Terraform's state, quotas (functions at once, instances of the endpoint), and subscribers who
    have not confirmed. Nothing is changed, and nothing need be deployed.

    Exit code: 0 nothing found; 3 something failed; 1 there is no such environment. A skipped check
    is not an obstacle, or could not be made.
    """
    with errors_explained(), steps() as progress:
        done = get_environment(environment).diagnose(progress)
    show_checks(done, environment, as_json=as_json)
    raise typer.Exit(FOUND if any(check.state == FAILED for check in done) else 0)
