"""scones destroy: a whole deployment taken away."""

import typer

from scripts.cli import options
from scripts.cli.console import (
    confirm_removal,
    err,
    errors_explained,
    local_stack,
    out,
    show_leftovers,
    show_rest,
    steps,
)
from scripts.deployment import environments
from scripts.deployment.environments import LOCAL
from scripts.operations import destroy as destroying


def destroy(
    environment: options.Env,
    yes: options.Yes = False,
) -> None:
    """Remove a deployment and everything in it for good: pictures with all versions, ledger, logs, models, images, key.

    Terraform plans under its lock; what will go is shown, and the environment's name asked for. Then Terraform does
    exactly what it has planned, and what services made besides is removed. Ctrl-C is safe: the same command goes on
    where it ended. An environment with protect_data = true is refused with what lifts that.

    Exit code: 0 nothing is left; 3 something is; 1 refused, or something could not be done or looked at.
    """
    with errors_explained():
        stack = local_stack()
        with steps() as progress:
            target = destroying.target(environment, stack, progress)
            destroying.check_unprotected(target)
            found = target.sweep.find(progress)
            destroying.check_seen(found)
            progress("Planning what Terraform destroys", None)
            planned = destroying.plan(target)
        state = target.identity.state
        managed = len(state.managed) if state else 0
        account = target.sweep.account
        where = f"{account.prefix} in account {account.number}, {account.region}"
        out.print(f"{where}: Terraform keeps {managed} resources of it. There are:")
        show_leftovers(target.sweep, found)
        if managed or found.leftovers:
            confirm_removal(target, found, yes=yes)
        with steps() as progress:
            left = destroying.destroy(target, planned, progress)
        model_file = stack.model_file if environment == LOCAL else environments.model_file(environment)
        if environment == LOCAL:
            stack.forget_deployment()
        elif model_file.exists():
            err.print(f"{model_file.name} names a model that is gone: remove the file before the next apply.")
    raise typer.Exit(show_rest(left))
