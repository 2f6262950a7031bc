"""scones stream: a continuous stream of pictures, watched live."""

import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from scripts.cli import options
from scripts.cli.console import (
    INTERRUPTED,
    QUIET_SECONDS,
    SOME_FAILED,
    STYLES,
    err,
    errors_explained,
    out,
    printable,
)
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import STATUSES
from scripts.workflow.stream import Figures, Stream, drawn, of_folder, partly_broken

SOME_MISSING = 5
HEADERS = dict(zip(STATUSES, ("accepted", "low conf.", "rejected", "failed"), strict=True))
NAMED = 20


def stream(  # noqa: PLR0913, PLR0917 - one for each option
    rate: Annotated[float, typer.Option(min=0.01, max=1000, help="Pictures per second.")] = 5,
    count: Annotated[int, typer.Option(min=1, max=10**9, help="Pictures in all.")] = 100,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Send a folder's files, over and over, instead of drawn ones.", exists=True, file_okay=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which pictures are drawn, and which are broken.")] = 1,
    broken: Annotated[
        float, typer.Option(min=0, max=1, help="Share of pictures that are cut short, and so rejected.")
    ] = 0.0,
    patience: Annotated[
        float,
        typer.Option("--timeout", min=0, help="Seconds that rows may take after the last picture was sent."),
    ] = 300,
    as_json: options.AsJson = False,
    environment: options.Env = LOCAL,
) -> None:
    """Send pictures to incoming/ as a continuous stream, and watch what becomes of them.

    Nothing is started from here: the bucket's own events start the executions. Mind the alerts: on
    AWS each refused picture may send an email. Latency is from the start of a picture's upload
    until its row is seen. Ctrl-C sends no more, waits for what is in flight and shows the figures;
    a second one leaves at once.

    Exit code: 0 each picture has its row; 4 some failed; 5 some have no row; 130 after Ctrl-C.
    """
    with errors_explained():
        workflow = Workflow(get_environment(environment).deployment())
        workflow.check_endpoint()
        samples = of_folder(images) if images else drawn(seed)
        chosen = itertools.islice(partly_broken(samples, broken, seed), count)
        prefix = f"incoming/stream-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        running = Stream(workflow, chosen, rate, prefix)
        err.print(f"Sending {count} pictures to s3://{workflow.deployment.bucket}/{prefix}/", markup=False)
        try:
            with _first_interrupt(running.stop) as interrupted, _display(count) as show:
                while not running.is_over(patience):
                    running.step()
                    show(running.figures())
        finally:
            running.close()
        _report(running, count, as_json)
        if running.failure:
            raise running.failure
    if running.missing:
        raise typer.Exit(SOME_MISSING)
    if interrupted():
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(SOME_FAILED if running.figures().counts["FAILED"] else 0)


@contextmanager
def _first_interrupt(action: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C call `action` instead; yields a function that says whether it came."""
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, before)
        seen.append(number)
        action()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _display(count: int) -> Iterator[Callable[[Figures], None]]:
    """A live table on a terminal, a line now and then elsewhere."""
    if err.is_terminal:
        with Live(console=err, transient=True) as live:
            yield lambda figures: live.update(_table(figures, count))
        return
    last = time.monotonic()

    def show(figures: Figures) -> None:
        nonlocal last
        if time.monotonic() - last > QUIET_SECONDS:
            err.print(f"{figures.seconds:6.1f} s  {figures.sent} sent, {figures.in_flight} in flight")
            last = time.monotonic()

    yield show


def _table(figures: Figures, count: int) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    cells = [f"{figures.sent} of {count}"]
    table.add_column("sent", justify="right")
    for status in STATUSES:
        table.add_column(HEADERS[status], justify="right", style=STYLES[status])
        cells.append(str(figures.counts[status]))
    for name, text in (
        ("in flight", str(figures.in_flight)),
        ("p50", _seconds(figures.p50)),
        ("p95", _seconds(figures.p95)),
        ("after", _seconds(figures.seconds)),
    ):
        table.add_column(name, justify="right")
        cells.append(text)
    table.add_row(*cells)
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def _report(running: Stream, count: int, as_json: bool) -> None:
    figures = running.figures()
    if as_json:
        print(json.dumps(figures.as_dict() | {"prefix": running.prefix, "missing": running.missing}))
    else:
        out.print(_table(figures, count))
    if running.missing:
        err.print(f"[red]no row[/] for {len(running.missing)} of {figures.sent} pictures:")
        for uri in running.missing[:NAMED]:
            err.print(f"  {printable(uri)}")
