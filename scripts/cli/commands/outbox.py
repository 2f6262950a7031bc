"""scones outbox: what the subscribers of the one-machine AWS have received."""

import json
import time
from typing import Annotated, Any

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, printable
from scripts.operations.local_stack import default_stack

POLL_SECONDS = 0.5


def outbox(
    number: Annotated[
        int | None, typer.Argument(min=1, help="Show the whole message with this number in the list.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Keep showing new messages, until Ctrl-C.")] = False,
    as_json: options.AsJsonLines = False,
) -> None:
    """List what subscribers would have got by email: number, time, subscriber, category, subject.

    Nothing leaves this machine: the one-machine AWS keeps every message. A browser shows the same
    as a page, at the address that this command prints.
    """
    with errors_explained():
        stack = default_stack()
        err.print(f"{stack.endpoint_url}/_local/outbox", markup=False)
        messages = stack.outbox()
        if number is not None:
            _show_whole(messages, number, as_json)
            return
        shown = _show(messages, 0, as_json)
        if not messages and not follow:
            err.print("Nothing was sent yet.")
        try:
            while follow:
                pause()
                shown = _show(stack.outbox(), shown, as_json)
        except KeyboardInterrupt:
            err.print()


def pause() -> None:
    """Until the next look at the outbox."""
    time.sleep(POLL_SECONDS)


def _show(messages: list[dict[str, Any]], shown: int, as_json: bool) -> int:
    """Prints the messages beyond the first `shown`; returns how many there are."""
    for number, message in enumerate(messages[shown:], start=shown + 1):
        out.print(
            json.dumps(message) if as_json else _line(number, message), markup=not as_json, soft_wrap=True
        )
    return len(messages)


def _line(number: int, message: dict[str, Any]) -> str:
    category = message["attributes"].get("category", "")
    return (
        f"{number:>4}  {message['time'][:19]}Z  {printable(message['subscriber']):<24} "
        f"{printable(category):<14}  {printable(message['subject'] or '-')}"
    )


def _show_whole(messages: list[dict[str, Any]], number: int, as_json: bool) -> None:
    if number > len(messages):
        err.print(f"[red]error:[/] There are {len(messages)} messages so far, no message {number}.")
        raise typer.Exit(1)
    message = messages[number - 1]
    if as_json:
        out.print(json.dumps(message), markup=False)
        return
    out.print(f"To: {printable(message['subscriber'])}\nSubject: {printable(message['subject'] or '-')}\n")
    out.print("\n".join(map(printable, message["message"].splitlines())))
