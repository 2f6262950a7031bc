"""scones cleanup: what a destroyed deployment has left."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import (
    SOME_LEFT,
    confirm_removal,
    errors_explained,
    show_leftovers,
    show_rest,
    steps,
)
from scripts.operations import destroy
from scripts.operations.environment import get_environment


def cleanup(
    environment: options.Env,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="What is left as one JSON object; removes nothing.")
    ] = False,
) -> None:
    """Find what a destroyed deployment has left in the account, by name and tag, and remove it.

    Asks before it removes anything, and never touches another deployment. Tags decide; without
    tags, a name counts if it has the prefix as a part, alone or before a dash. A key that is
    scheduled for deletion is not a leftover. While Terraform manages the deployment, nothing is
    left over: use `make destroy`. If there is no Terraform state, or resources have the
    deployment's tags without Terraform knowing of them, the command asks again, even with --yes.

    Exit code: 0 nothing is left; 3 something is; 1 refused, or something could not be looked at.
    """
    with errors_explained():
        with steps() as progress:
            target = destroy.target(get_environment(environment), progress)
            destroy.check_gone(target)
            swept = target.sweep.find(progress)
        if as_json:
            left = [asdict(each) for each in swept.leftovers]
            print(json.dumps({"leftovers": left, "going": swept.going, "not_looked_at": swept.unseen}))
            raise typer.Exit(SOME_LEFT if left else int(bool(swept.unseen)))
        if swept.leftovers and not dry_run:
            destroy.check_seen(swept)
            destroy.check_unprotected(target)
            show_leftovers(target.sweep, swept)
            confirm_removal(target, swept, yes=yes)
            with steps() as progress:
                swept = destroy.clean(target, swept, progress)
    raise typer.Exit(show_rest(swept))
