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
    """Look through the account for what a destroyed deployment has left, by name and by tag, and remove it.

    Asks before it removes, and never touches another deployment's things: tags decide, and without tags names, up to
    a dash. A key that is to be deleted goes by itself on its day and is no leftover. While Terraform keeps the
    deployment, nothing is left over: that is for `make destroy`. Where there is no state of Terraform, or things with the
    deployment's tags are there without Terraform's knowing, the command asks once more, even with --yes.

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
