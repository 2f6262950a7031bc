"""scones forget: one picture removed from everywhere."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import confirm, err, errors_explained, out, printable, steps
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow.client import Workflow
from scripts.workflow.forget import Forgetting, Traces
from training_scripts.terminal import Terminal

TOO_EARLY = 5
KINDS = {
    "versions": "versions and delete markers of the object",
    "rows": "rows of the ledger",
    "copies": "versions of reviewed copies",
    "captured": "captured requests and answers of the endpoint",
    "lines": "lines in the files of batches and reviews",
}
OUT_OF_REACH = (
    "executions of the last 90 days: Step Functions keeps their inputs and histories, the picture's small copy among them",
    "logs, until they expire (log_retention_days): key and error, never the picture",
    "alerts that were sent or wait in the dead-letter queues: key and label",
    "backups of the ledger: point-in-time recovery reaches 35 days back",
    "the same picture under other keys, what `scones stage` made of it, and models that were trained on it",
)


def forget(
    picture: Annotated[str, typer.Argument(metavar="S3://BUCKET/KEY", show_default=False)],
    now: Annotated[
        bool, typer.Option("--now", help="Even if something about it may still be on its way.")
    ] = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
    environment: options.Env = LOCAL,
) -> None:
    """Remove one picture everywhere, for good; say what was removed and what cannot be reached.

    All versions of the object, its rows in the ledger, reviewed copies, what the endpoint captured
    of it, and its lines in the files of batches and reviews. Repeating it is safe, even after an
    interruption: it removes what is still there. Captured data is searched from the picture's first
    upload on, which takes a while in a busy deployment.

    Exit code: 0 removed, or nothing was there; 5 too early: it was uploaded or classified within
    the last half hour, so that something about it may still be on its way; 1 something could not be
    removed.
    """
    with errors_explained():
        forgetting = Forgetting(Workflow(get_environment(environment).deployment()), picture)
        with steps() as progress:
            traces = forgetting.find(progress)
        settled = traces.settled()
        if settled and datetime.now(UTC) < settled and not now:
            err.print(
                "[red]too early:[/] it was uploaded or classified within the last half hour. What the endpoint captured of it may"
                " not be in the bucket yet, and could not be found later. Nothing was removed: do it after"
                f" {settled:%H:%M} UTC, or at once with --now."
            )
            raise typer.Exit(TOO_EARLY)
        found = any(traces.counts().values())
        if found and not yes:
            _show("Found", traces, err)
            confirm(
                f"Remove all of it for good, all versions of {printable(picture)} included?",
                abort=True,
            )
        with steps() as progress:
            forgetting.remove(traces, progress)
    if as_json:
        print(json.dumps({"picture": picture, **traces.counts(), "out_of_reach": OUT_OF_REACH}))
        return
    if found:
        _show("Removed", traces, out)
    else:
        out.print(
            f"Nothing of {printable(picture)} was found, so nothing was removed. Is that its bucket and key?"
        )
    if picture.endswith("/"):
        out.print("A key that ends in / is not a prefix: it names one object, such as a folder's marker.")
    if not traces.versions and not traces.rows:
        out.print("No version of it is known (any more), so captured data could not be searched for it.")
    out.print("Out of reach:")
    for line in OUT_OF_REACH:
        out.print(f"  - {line}")


def _show(done: str, traces: Traces, console: Terminal) -> None:
    console.print(f"{done} of {printable(traces.uri)}:")
    for kind, count in traces.counts().items():
        console.print(f"  {count:5} {KINDS[kind]}")
