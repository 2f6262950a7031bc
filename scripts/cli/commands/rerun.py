"""scones rerun: run waiting pictures and dead letters again."""

import json
import time
from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from scripts.cli import options
from scripts.cli.console import (
    STYLES,
    Steps,
    confirm,
    err,
    errors_explained,
    exit_code,
    out,
    printable,
    steps,
)
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow.client import Workflow
from scripts.workflow.dead_letters import AlertNotSent, DeadLetter, DeadLetters, alert
from scripts.workflow.ledger import STATUSES, Selection
from scripts.workflow.rerun import Rerun, Reruns, Started

SHOWN = 20
UNDONE = 5

Status = StrEnum("Status", {status: status for status in STATUSES})  # type: ignore[misc]


def rerun(  # noqa: PLR0913, PLR0917 - one for each option
    status: Annotated[
        Status | None,
        typer.Option(help="Of all that waits, only this status. ACCEPTED reads the whole ledger."),
    ] = None,
    error: Annotated[
        str | None, typer.Option(help="Only this named error, such as EndpointUnavailable.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only pictures that this model answered.")] = None,
    since: options.Since = None,
    until: options.Until = None,
    picture: Annotated[
        list[str] | None,
        typer.Option(
            metavar="S3://BUCKET/KEY",
            help="This object, whatever its status; a person's answer is taken back. May be repeated.",
        ),
    ] = None,
    from_dead_letters: Annotated[
        bool,
        typer.Option(
            "--from-dead-letters",
            help="What the two dead-letter queues keep: events start executions, alerts are sent.",
        ),
    ] = False,
    rate: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Executions started per second, at most.")
    ] = 10,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the executions until they end.")] = False,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object for each picture or alert, a line each.")
    ] = False,
    environment: options.Env = LOCAL,
) -> None:
    """Run pictures again: all that wait for attention, or those that the options choose.

    Each gets a new execution with a higher run, which decides anew with today's model and
    threshold. Repeating the command is safe: while an execution is running, no second one is
    started for its picture. Ctrl-C starts no more; what was started goes on.

    Exit code: 0 done; 5 some could not be started or sent; with --wait, as `scones classify`: 3
    some refused, 4 some failed.
    """
    selection = Selection(status, error, model, since, until)
    if sum([selection != Selection(), bool(picture), from_dead_letters]) > 1:
        raise typer.BadParameter("choose by --picture, by --from-dead-letters or by the other options")
    with errors_explained():
        workflow = Workflow(get_environment(environment).deployment())
        reruns = Reruns(workflow)
        with DeadLetters(workflow.deployment) as letters:
            planned, alerts = [], []
            if from_dead_letters:
                planned, alerts = [*map(reruns.of_event, letters.events())], [*letters.alerts()]
            elif picture:
                planned = [*map(reruns.of_picture, picture)]
            else:
                planned = [*reruns.of_rows(selection)]
            if not as_json:
                _show(planned, alerts)
            if dry_run:
                _print([*map(_record, planned), *map(_alert_record, alerts)] if as_json else [])
                return
            if not yes and (planned or alerts):
                confirm(f"{_intent(planned, alerts)}?", abort=True)
            if planned:
                workflow.check_endpoint()
            with steps() as progress:
                started = _start(reruns, letters, planned, rate, progress)
                failures = _send(letters, alerts, progress)
        with steps() as progress:
            statuses = _wait(reruns, started, progress) if wait else []
    if as_json:
        _print([*map(_outcome, started, statuses or [None] * len(started))])
        _print(
            [_alert_record(letter) | {"failure": why} for letter, why in zip(alerts, failures, strict=True)]
        )
    else:
        _report(started, alerts, failures, statuses)
    undone = any(failures) or any(each.rerun.obstacle for each in started)
    raise typer.Exit(UNDONE if undone else exit_code(status for status in statuses if status))


def _start(
    reruns: Reruns, letters: DeadLetters, planned: list[Rerun], rate: float, progress: Steps
) -> list[Started]:
    began = time.monotonic()
    started: list[Started] = []
    try:
        for number, each in enumerate(planned):
            progress(f"Starting executions: {number} of {len(planned)}", number / len(planned))
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            started.append(reruns.start(each))
            if each.letter and not each.obstacle:
                letters.remove(each.letter)
    except KeyboardInterrupt:
        err.print(
            f"Stopped after {len(started)} of {len(planned)}, which go on. The same command does the rest."
        )
        raise
    return started


def _send(letters: DeadLetters, alerts: list[DeadLetter], progress: Steps) -> list[str | None]:
    """Why each alert could not be sent; None if it was."""
    failures: list[str | None] = []
    for number, letter in enumerate(alerts):
        progress(f"Sending alerts: {number} of {len(alerts)}", number / len(alerts))
        try:
            letters.send_again(letter)
            failures.append(None)
        except AlertNotSent as error:
            failures.append(str(error))
    return failures


def _wait(reruns: Reruns, started: list[Started], progress: Steps) -> list[str | None]:
    """The status that each execution gave its picture; None where none was started."""
    statuses: list[str | None] = []
    try:
        for number, each in enumerate(started):
            progress(f"Waiting for executions: {number} of {len(started)} ended", number / len(started))
            statuses.append(reruns.result(each) if each.execution else None)
    except KeyboardInterrupt:
        err.print("No longer waiting; the executions go on.")
        raise
    return statuses


def _intent(planned: list[Rerun], alerts: list[DeadLetter]) -> str:
    executions = sum(not (each.obstacle or each.decided) for each in planned)
    return f"Start {executions} executions" + (f" and send {len(alerts)} alerts" if alerts else "")


def _show(planned: list[Rerun], alerts: list[DeadLetter]) -> None:
    table = Table(Column("picture", overflow="fold"), "so far", "error", "to do", box=None)
    for each in planned[:SHOWN]:
        state = (each.row or {}).get("status", "no row")
        nothing = each.obstacle or (f"nothing: {each.decided} already" if each.decided else "")
        answer = (
            f"; {each.row['reviewer']}: {each.row['reviewed_label']}" if each.row and each.reviewed else ""
        )
        cells = (
            each.picture.s3_key,
            state + answer,
            (each.row or {}).get("error") or "",
            nothing or f"run {each.run}",
        )
        table.add_row(*map(printable, cells), style=STYLES.get(state))
    for letter in alerts[: max(0, SHOWN - len(planned))]:
        record = _alert_record(letter)
        cells = (record["picture"] or "-", f"{record['alert']} alert", record["error"], "send again")
        table.add_row(*map(printable, cells))
    count = len(planned) + len(alerts)
    out.print(table if count else "Nothing waits.")
    if count > SHOWN:
        counts = Counter((each.row or {}).get("status", "no row") for each in planned)
        counts["alerts"] = len(alerts)
        out.print(f"... {count} in all: {', '.join(f'{n} {kind}' for kind, n in counts.items() if n)}.")


def _report(
    started: list[Started], alerts: list[DeadLetter], failures: list[str | None], statuses: list[str | None]
) -> None:
    for each in started:
        if each.note:
            out.print(f"{printable(each.rerun.picture.uri)}: {printable(each.note)}")
    for why in failures:
        if why:
            err.print(f"[red]not sent:[/] {printable(why)}")
    if started:
        out.print(f"{sum(each.execution is not None for each in started)} executions started or under way.")
    if alerts:
        out.print(f"{failures.count(None)} of {len(alerts)} alerts sent.")
    if any(statuses):
        counts = Counter(status for status in statuses if status)
        out.print(", ".join(f"{counts[status]} {status}" for status in STATUSES) + ".")


def _print(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        print(json.dumps(line))


def _record(each: Rerun) -> dict[str, Any]:
    """The execution's input, which a manifest for `scones batch` takes, too, and why it is run."""
    row = each.row or {}
    why = {
        "before": row.get("status"),
        "error": row.get("error"),
        "note": each.obstacle or each.decided or None,
    }
    return {**vars(each.picture), "run": each.run, **why}


def _outcome(each: Started, status: str | None) -> dict[str, Any]:
    return _record(each.rerun) | {"note": each.note or None, "execution": each.execution, "status": status}


def _alert_record(letter: DeadLetter) -> dict[str, Any]:
    content = alert(letter)
    facts = content if isinstance(content, dict) else {}
    stored = facts.get("picture")
    return {
        "alert": facts.get("category") or facts.get("check") or facts.get("detail-type") or "unreadable",
        "error": facts.get("error") or "",
        "picture": f"s3://{stored.get('s3_bucket')}/{stored.get('s3_key')}"
        if isinstance(stored, dict)
        else None,
    }
