"""scones verify: whether what runs is what was asked for."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import SOME_FAILED, errors_explained, show_checks, steps
from scripts.deployment.environments import LOCAL
from scripts.operations.check import FAILED, Check
from scripts.operations.environment import get_environment
from scripts.operations.verify import checks

NEEDS_A_HAND = 3
VITAL = ("endpoint", "canary")


def verify(
    picture: Annotated[
        Path | None,
        typer.Option(
            help="Send this picture instead of a drawn bicycle: one that your model is sure of.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: options.AsJson = False,
    environment: options.Env = LOCAL,
) -> None:
    """Check after an apply that what runs is what was asked for, a line for each check.

    canary: a picture dropped into the bucket gets its verdict, and is forgotten. Accepted and
    doubtful both show that everything works; a doubtful one sends an alert like any picture.
    endpoint: it runs the requested configuration (an apply succeeds even if SageMaker has rolled
    the update back). plan: it is empty. subscriptions: confirmed. alarms: none is in alarm.

    Exit code: 0 all holds, or is off on purpose; 3 pictures pass, but something needs a hand: plan,
    subscriptions, alarms; 4 the endpoint or the canary failed: fix it or roll back; 1 nothing could
    be checked.
    """
    with errors_explained(), steps() as progress:
        done = checks(get_environment(environment), picture, progress)
    show_checks(done, environment, as_json=as_json)
    raise typer.Exit(_exit_code(done))


def _exit_code(done: list[Check]) -> int:
    failed = {check.what for check in done if check.state == FAILED}
    return SOME_FAILED if failed & {*VITAL} else NEEDS_A_HAND if failed else 0
