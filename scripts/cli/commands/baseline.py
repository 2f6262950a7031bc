"""scones baseline: make the pictures of some days what the drift check expects."""

import json

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out
from scripts.deployment.environments import LOCAL
from scripts.models import drift_baseline
from scripts.operations.environment import get_environment


def baseline(
    since: options.Since = None,
    until: options.Until = None,
    dry_run: options.DryRun = False,
    environment: options.Env = LOCAL,
) -> None:
    """Take the pictures decided in a period as normal, instead of the model's own baseline.

    From the next check on, drift means a difference from them. Needs 200 pictures that the model
    was sure of; choose days on which all was well. Reads the whole ledger. Prints the baseline as
    JSON.
    """
    with errors_explained():
        deployment = get_environment(environment).deployment()
        made = drift_baseline.of_ledger(deployment, since, until)
        place = None if dry_run else drift_baseline.keep(deployment, made)
    out.print(json.dumps(made.baseline), markup=False)
    err.print(f"{made.model}: of {made.pictures} pictures, {made.baseline['count']} accepted.")
    if place:
        err.print(f"written: {place}", markup=False)
