"""scones report: what the endpoint answered, as one page that opens anywhere."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, steps
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.report import build
from scripts.report.records import Truths, read_truths


def _html(to: Path) -> Path:
    if to.suffix.lower() not in (".html", ".htm"):
        raise typer.BadParameter(f"{to} is the page itself: let its name end in .html.")
    return to


def report(  # noqa: PLR0913, PLR0917 - one for each option
    captured: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, files or s3://BUCKET/PREFIX/ of captured data; several are combined. The deployment's own "
            "by default.",
            show_default=False,
        ),
    ] = None,
    ledger: Annotated[
        bool | None,
        typer.Option(
            "--ledger/--no-ledger",
            help="Whether to read the ledger too. By default with the deployment's own captured data.",
            show_default=False,
        ),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="model.tar.gz with the answers' labels and threshold, a file or an S3 URI; may be given "
            "several times. By default those that the ledger names, else the shipped one.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the columns truth, and event_id or picture: the CSV beside a report, filled in.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    to: Annotated[
        Path,
        typer.Option(
            help="The HTML file; a PNG and a CSV of the same name go beside it.",
            dir_okay=False,
            callback=_html,
        ),
    ] = Path("report.html"),
    environment: options.Env = LOCAL,
    as_json: options.AsJson = False,
) -> None:
    """Show confidences over time, class mix, calibration, time taken, and the least sure pictures.

    Writes one HTML file that needs no server and no network, a PNG and a CSV. Lines that cannot be
    read are counted and listed, and are never fatal. Nothing is changed. Exit code 1 if there is
    nothing to show.
    """
    wants_ledger = not captured if ledger is None else ledger
    places = captured or []
    with errors_explained():
        needs_stack = (
            not captured or wants_ledger or any(p.startswith("s3://") for p in [*places, *(models or [])])
        )
        deployment = get_environment(environment).deployment() if needs_stack else None
        truths = read_truths(labels) if labels else Truths()
        with steps() as progress:
            made = build.make(
                places, deployment, models or [], truths, to, progress, with_ledger=wants_ledger
            )
    if as_json:
        print(json.dumps(made.figures, indent=1))
    else:
        _show(made.figures)
    for path in made.written:
        (err if as_json else out).print(f"written: {path}", markup=False)


def _show(figures: dict[str, Any]) -> None:
    accepted, labelled, seconds = figures["accepted"], figures["labelled"], figures["seconds"]
    low, high = accepted["interval"]
    out.print(
        f"{figures['records']:,} records from {figures['from']} to {figures['until']}; accepted "
        f"{accepted['value']:.1%} (95 %: {low:.1%} to {high:.1%}), median confidence {figures['median_confidence']:.3f}"
    )
    out.print(
        "by class: " + ", ".join(f"{n} {count:,}" for n, count in figures["by_class"].items()), markup=False
    )
    if seconds:
        out.print("seconds: " + ", ".join(f"{name} {value:g}" for name, value in seconds.items()))
    if labelled:
        accuracy = labelled["accuracy"]
        out.print(
            f"labelled: {accuracy['count']:,}, accuracy {accuracy['value']:.1%}, calibration error "
            f"{labelled['calibration_error']:.3f}"
        )
    if figures["unknown_truths"]:
        err.print(f"labels that no model knows: {', '.join(figures['unknown_truths'])}", markup=False)
    if figures["unanswered"]:
        counts = ", ".join(f"{count} {status}" for status, count in figures["unanswered"].items())
        out.print(f"without an answer: {counts}")
    if figures["broken"] or figures["duplicates"]:
        err.print(f"left out: {figures['broken']} broken lines, {figures['duplicates']} duplicates")
