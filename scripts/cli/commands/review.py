"""scones review: people label the doubtful pictures."""

import getpass
import signal
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out
from scripts.common.paths import WORK
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.review import queue
from scripts.review.queue import Reviews
from scripts.review.server import serving
from scripts.workflow import bucket_layout


def review(
    reviewer: Annotated[
        str | None, typer.Option(help="The reviewer's name, for the ledger; this machine's user by default.")
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; any free one by default.")
    ] = 0,
    browser: Annotated[bool, typer.Option(help="Open the page in this machine's browser.")] = True,
    environment: options.Env = LOCAL,
) -> None:
    """Open a page with all that waits in the ledger, the most doubtful first; one key answers.

    Each answer is written to the ledger at once, so the picture no longer waits, and the picture is
    copied to its class under reviewed/ in the bucket. Several people may review at the same time,
    each with their own command. Ctrl-C ends it and writes reviewed/manifest.jsonl (a SageMaker
    augmented manifest). Only this machine can open the page.
    """
    with errors_explained():
        deployment = get_environment(environment).deployment()
        if not deployment.labels:
            err.print(
                "[red]error:[/] No model is deployed, so there are no labels: run `scones promote` first."
            )
            raise typer.Exit(1)
        work = Reviews(deployment, reviewer or getpass.getuser())
        with serving(work, port) as address, page_to(address) as page:
            out.print(address, markup=False)
            err.print(f"{work.progress()['waiting']} pictures wait. Ctrl-C ends.")
            if browser:
                webbrowser.open(page)
            _wait_for_the_end()
        answered = work.progress()["answered"]
        pictures = queue.write_manifest(deployment)
    err.print(
        f"{answered} answered; {pictures} reviewed pictures in s3://{deployment.bucket}/{bucket_layout.REVIEW_MANIFEST}\n"
        "Next: scones train --data ... --with-reviewed",
        markup=False,
    )


@contextmanager
def page_to(address: str) -> Iterator[str]:
    """The address of a file that redirects a browser to `address`, while the `with` block runs.

    The token in `address` would show in the browser's command line, which every user of this
    machine can read. The file is in a folder that only this user may enter.
    """
    # Inside the checkout: sandboxed browsers cannot read /tmp.
    WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="review-", dir=WORK) as folder:
        page = Path(folder) / "open.html"
        page.touch(0o600)
        page.write_text(
            f'<!doctype html><title>scones review</title><meta http-equiv="refresh" content="0; url={address}">',
            encoding="utf-8",
        )
        yield page.as_uri()


def _wait_for_the_end() -> None:
    """Until Ctrl-C or SIGTERM."""
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        ended.wait()
    except KeyboardInterrupt:
        err.print()
    finally:
        signal.signal(signal.SIGTERM, before)
