"""scones batch: many pictures at once, in one execution and with one summary."""

import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from functions.common.batch_results import Summary
from scripts.cli import options
from scripts.cli.console import (
    ALL_ACCEPTED,
    INTERRUPTED,
    SOME_FAILED,
    SOME_REFUSED,
    confirm,
    err,
    errors_explained,
    out,
    printable,
    steps,
)
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow.batch import Batch, Batches, Undecided
from scripts.workflow.client import Workflow

ASK_ABOVE = 1000


def batch(  # noqa: PLR0913, PLR0917 - one for each option
    source: Annotated[
        str | None,
        typer.Argument(
            help="s3://BUCKET/PREFIX, or a manifest: a .csv or .jsonl, here or in S3. Default: incoming/.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        bool,
        typer.Option(
            "--missing",
            help="Only pictures that have no row in the ledger and are younger than any that expired.",
        ),
    ] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=options.moment,
            metavar="TIME",
            help="With --missing: those uploaded then or later, however old: 2h, 3d or 2026-11-20T14:30 (UTC).",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help=f"Do not ask: --missing does, above {ASK_ABOVE:,} pictures.")
    ] = False,
    attach: Annotated[
        str | None,
        typer.Option(help="Follow a batch that was started before: its name or execution ARN."),
    ] = None,
    environment: options.Env = LOCAL,
    as_json: options.AsJson = False,
) -> None:
    """Classify many pictures: a prefix, or a manifest of inputs as `scones testcase` prints them.

    A manifest's lines have s3_key and may have s3_bucket, s3_version_id and run. Subscribers of the
    category batch get one summary, nobody an alert for each picture. What has been decided before
    is not decided again, so the same command may be repeated; a higher run in a manifest decides
    anew.

    Exit code: 0 nothing to look at; 3 some refused (low confidence, or no acceptable picture); 4
    some failed or are undecided, or the batch was stopped; 1 nothing was started; 130 interrupted.
    """
    if attach and (source or missing):
        raise typer.BadParameter(
            "--attach follows a batch that was started: leave out the source and --missing"
        )
    if since and not missing:
        raise typer.BadParameter("--since bounds --missing: give both")
    with errors_explained():
        batches = Batches(Workflow(get_environment(environment).deployment()))
        source = source or f"s3://{batches.bucket}/incoming/"
        older = 0
        if attach:
            followed: Batch | None = batches.find(attach)
        elif missing:
            followed, older = _start_missing(batches, source, since, yes)
        else:
            followed = _start(batches, batches.pictures(source))
        if followed is None:
            if as_json:
                print(json.dumps({"pictures": 0}))
            else:
                out.print(f"{'Every other picture' if older else 'Every picture'} has a row: nothing to do.")
            raise typer.Exit(ALL_ACCEPTED)
        status = _wait(batches, followed)
        summary = batches.summary(followed)
    _show(batches, followed, summary, status, as_json)
    raise typer.Exit(_exit_code(summary, status))


def _start_missing(
    batches: Batches, source: str, since: datetime | None, yes: bool
) -> tuple[Batch | None, int]:
    """Start pictures that have no row and cannot have lost one; returns how many were left out."""
    bound = since or batches.rows_reach_back_to()
    undecided = Undecided(batches, source, bound)
    started = _start(batches, undecided, ask=not yes)
    if undecided.older:
        err.print(
            f"Left out: {undecided.older:,} pictures without a row that were uploaded before {bound:%Y-%m-%d %H:%M} UTC."
            " They may have been decided, because rows expire. To classify them all the same, give an earlier --since."
        )
    return started, undecided.older


def _start(batches: Batches, inputs: Iterable[dict[str, Any]], ask: bool = False) -> Batch | None:
    batches.workflow.check_endpoint()
    with ExitStack() as display:
        progress = display.enter_context(steps())

        def agree(count: int) -> None:
            display.close()
            if ask and count > ASK_ABOVE:
                confirm(f"{count:,} pictures have no row. Classify them all?", abort=True)

        started = batches.start(
            inputs, lambda count: progress(f"Writing the manifest: {count:,} pictures", None), agree
        )
    if started:
        err.print(
            f"Batch {started.name}: {started.pictures:,} pictures. Follow it again by:"
            f" scones batch --attach {started.name}",
            markup=False,
        )
    return started


def _wait(batches: Batches, batch: Batch) -> str:
    """Follow a batch to its end; returns its execution's status."""
    try:
        with steps() as progress:
            described = batches.wait(
                batch,
                lambda done: progress(
                    f"Classifying: {done:,} of {batch.pictures:,} pictures", done / batch.pictures
                ),
            )
    except KeyboardInterrupt:
        _stop_or_leave(batches, batch)
        raise typer.Exit(INTERRUPTED) from None
    if described["status"] != "SUCCEEDED":
        err.print(
            f"[red]{described['status']}[/] {printable(described.get('error', ''))}: "
            f"{printable(described.get('cause', ''))}"
        )
    return described["status"]


def _stop_or_leave(batches: Batches, batch: Batch) -> None:
    try:
        stops = sys.stdin.isatty() and confirm(f"\nStop batch {batch.name}? Otherwise it goes on by itself.")
    except typer.Abort:
        stops = False
    if not stops:
        err.print(f"The batch goes on. Follow it again by: scones batch --attach {batch.name}", markup=False)
        return
    batches.stop(batch)
    err.print(
        f"Stopped; what is decided stays. The rest: scones batch {batches.manifest_uri(batch)}",
        markup=False,
    )


def _show(batches: Batches, batch: Batch, summary: Summary, status: str, as_json: bool) -> None:
    counts = {
        "accepted": summary.accepted,
        "low confidence": summary.low_confidence,
        "rejected": summary.rejected,
        "failed": summary.failed,
        "undecided": summary.undecided,
        "decided before": summary.decided_before,
    }
    if as_json:
        named = {name.replace(" ", "_"): count for name, count in counts.items()}
        about = {"batch": batch.name, "execution": batch.execution, "status": status}
        numbers = {"pictures": batch.pictures, **named, "errors": dict(summary.errors)}
        print(json.dumps({**about, **numbers, "results": batches.results_uri(batch)}))
        return
    table = Table("outcome", box=None, pad_edge=False)
    table.add_column("pictures", justify="right")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    for error, count in summary.errors.most_common():
        table.add_row(f"  {error}", f"{count:,}", style="dim")
    out.print(table)
    out.print(f"Results: {batches.results_uri(batch)}", markup=False)


def _exit_code(summary: Summary, status: str) -> int:
    if status != "SUCCEEDED" or summary.failed or summary.undecided:
        return SOME_FAILED
    return SOME_REFUSED if summary.low_confidence or summary.rejected else ALL_ACCEPTED
