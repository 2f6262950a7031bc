"""scones batch: many pictures at once, by one execution and with one summary."""

import json
import sys
from typing import Annotated

import typer
from rich.table import Table

from functions.common.batch_results import Summary
from scripts.batches import Batch, Batches
from scripts.local_stack import ENVIRONMENT
from scripts.scones.console import (
    ALL_ACCEPTED,
    INTERRUPTED,
    SOME_FAILED,
    SOME_REFUSED,
    confirm,
    err,
    errors_explained,
    find_deployment,
    out,
    printable,
    steps,
)
from scripts.workflow import Workflow


def batch(
    source: Annotated[
        str | None,
        typer.Argument(
            help="s3://BUCKET/PREFIX, or a manifest: a .csv or .jsonl, here or in S3. Default: incoming/.",
            show_default=False,
        ),
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Only pictures that have no row in the ledger.")
    ] = False,
    attach: Annotated[
        str | None,
        typer.Option(help="Follow a batch that was started before: its name or execution ARN."),
    ] = None,
    environment: Annotated[
        str, typer.Option("--env", help="local, or the environment terraform/ is initialised for.")
    ] = ENVIRONMENT,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end, for scripts.")] = False,
) -> None:
    """Classify many pictures: a prefix, or a manifest of execution inputs as `scones testcase` prints them.

    A manifest's lines have s3_key and may have s3_bucket, s3_version_id and run. Subscribers of the category batch
    get one summary, nobody an alert for each picture. What has been decided before is not decided again, so the
    same command may be repeated; a higher run in a manifest decides anew.

    Exit code: 0 nothing to look at; 3 some refused (low confidence, or no acceptable picture); 4 some failed or
    are undecided, or the batch was stopped; 1 nothing was started; 130 interrupted.
    """
    if attach and (source or missing):
        raise typer.BadParameter("--attach follows a batch that runs: leave the source and --missing out")
    with errors_explained():
        batches = Batches(Workflow(find_deployment(environment)))
        followed = batches.find(attach) if attach else _start(batches, source, missing)
        if followed is None:
            if as_json:
                print(json.dumps({"pictures": 0}))
            else:
                out.print("Every picture has a row: nothing to do.")
            raise typer.Exit(ALL_ACCEPTED)
        status = _wait(batches, followed)
        summary = batches.summary(followed)
    _show(batches, followed, summary, status, as_json)
    raise typer.Exit(_exit_code(summary, status))


def _start(batches: Batches, source: str | None, missing: bool) -> Batch | None:
    batches.workflow.check_endpoint()
    inputs = batches.pictures(source or f"s3://{batches.bucket}/incoming/")
    with steps() as progress:
        started = batches.start(
            batches.missing(inputs) if missing else inputs,
            lambda count: progress(f"Writing the manifest: {count:,} pictures", None),
        )
    if started:
        err.print(
            f"Batch {started.name}: {started.pictures:,} pictures. Follow it again by:"
            f" scones batch --attach {started.name}",
            markup=False,
        )
    return started


def _wait(batches: Batches, batch: Batch) -> str:
    """Follows a batch to its end; returns its execution's status."""
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
