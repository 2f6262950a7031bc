"""scones destroy: remove a whole deployment."""

import typer

from scripts.cli import options
from scripts.cli.console import confirm_removal, err, errors_explained, out, show_leftovers, show_rest, steps
from scripts.operations import destroy
from scripts.operations.environment import get_environment


def destroy_environment(
    environment: options.Env,
    yes: options.Yes = False,
) -> None:
    """Remove a deployment and everything in it for good.

    That is pictures with all versions, ledger, logs, models, images and key. Terraform plans under
    its lock; the command shows what will go and asks for the environment's name. Then Terraform
    does exactly what it planned, and what services created on their own is removed too. Ctrl-C is
    safe: the same command continues where it stopped. If protect_data = true, it refuses and says
    how to lift that.

    Exit code: 0 nothing is left; 3 something is; 1 refused, or something could not be done or
    looked at.
    """
    with errors_explained():
        env = get_environment(environment)
        with steps() as progress:
            target = destroy.target(env, progress)
            destroy.check_unprotected(target)
            found = target.sweep.find(progress)
            destroy.check_seen(found)
            progress("Planning what Terraform destroys", None)
            planned = destroy.plan(target)
        state = target.identity.state
        managed = len(state.managed) if state else 0
        account = target.sweep.account
        where = f"{account.prefix} in account {account.number}, {account.region}"
        out.print(f"{where}: Terraform keeps {managed} resources of it. There are:")
        show_leftovers(target.sweep, found)
        if managed or found.leftovers:
            confirm_removal(target, found, yes=yes)
        with steps() as progress:
            left = destroy.destroy(target, planned, progress)
        if note := env.forget_model():
            err.print(note)
    raise typer.Exit(show_rest(left))
