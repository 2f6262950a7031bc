"""What commands print: results on standard output, progress and errors on standard error."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import typer
import typer.rich_utils
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from scripts.common.errors import UserError
from scripts.operations.check import FAILED, OK, SKIPPED, Check
from scripts.operations.destroy import Target
from scripts.operations.leftovers import Sweep, Swept
from scripts.workflow.client import Outcome
from training_scripts.errors import UserError as TrainingUserError
from training_scripts.terminal import Terminal, cleaned, one_line

out = Terminal(highlight=False, emoji=False, soft_wrap=True)
err = Terminal(stderr=True, highlight=False, emoji=False, soft_wrap=True)
# Typer prints usage errors and tracebacks itself, and both quote text from outside.
typer.rich_utils.Console = Terminal  # type: ignore[misc]

# The pause between two lines about one step: seconds, and at least this share of the step's age.
QUIET_SECONDS, QUIET_SHARE = 5, 0.1
UNSEEN, SOME_LEFT = 1, 3
ALL_ACCEPTED, SOME_REFUSED, SOME_FAILED, INTERRUPTED = 0, 3, 4, 130
STYLES = {"ACCEPTED": "green", "LOW_CONFIDENCE": "yellow", "REJECTED": "magenta", "FAILED": "red"}
WORDS = {
    "ACCEPTED": "accepted",
    "LOW_CONFIDENCE": "low confidence",
    "REJECTED": "rejected",
    "FAILED": "FAILED",
}
CHECK_STYLES = {OK: "green", FAILED: "red", SKIPPED: "dim"}


@contextmanager
def errors_explained() -> Iterator[None]:
    """Turn the errors that a user can fix into one message and exit code 1."""
    try:
        yield
    except (UserError, TrainingUserError, ClientError, BotoCoreError, OSError) as error:
        err.print(f"[red]error:[/] {escape(str(error))}")
        raise typer.Exit(1) from error


@contextmanager
def interruption_explained() -> Iterator[None]:
    """For commands that stop what they started: Ctrl-C says so and ends with its exit code."""
    try:
        yield
    except KeyboardInterrupt:
        err.print("Interrupted: everything it started has been stopped.")
        raise typer.Exit(INTERRUPTED) from None


class Steps:
    """Shows what a long command is doing: a live bar on a terminal, else a line now and then."""

    def __init__(self, progress: Progress | None):
        self.progress = progress
        self.task = progress.add_task("", total=None) if progress else None
        self.began = time.monotonic()
        self.last_step, self.step_began, self.last_print = "", 0.0, 0.0

    def __call__(self, text: str, share: float | None) -> None:
        text = one_line(text)
        if self.progress and self.task is not None:
            self.progress.update(
                self.task, description=text, total=None if share is None else 1.0, completed=share or 0
            )
            return
        step, now = text.partition(":")[0], time.monotonic()
        is_new = step != self.last_step
        if is_new:
            self.step_began = now
        quiet = max(QUIET_SECONDS, QUIET_SHARE * (now - self.step_began))
        if is_new or now - self.last_print > quiet:
            done = "" if share is None or is_new else f" ({share:.0%})"
            err.print(f"{now - self.began:6.1f} s  {step}{done}", markup=False)
            self.last_step, self.last_print = step, now


@contextmanager
def steps() -> Iterator[Steps]:
    """A progress display for the length of a `with` block."""
    if not err.is_terminal:
        yield Steps(None)
        return
    described = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), described, BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield Steps(progress)


def show_checks(checks: Iterable[Check], environment: str, *, as_json: bool) -> None:
    """Print a checklist, a line for each check and one for its remedy; or one JSON object."""
    listed = [*checks]
    if as_json:
        ok = all(check.state != FAILED for check in listed)
        print(json.dumps({"environment": environment, "ok": ok, "checks": [*map(asdict, listed)]}))
        return
    width = max(len(check.what) for check in listed)
    for check in listed:
        state = f"[{CHECK_STYLES[check.state]}]{check.state:<7}[/]"
        out.print(f"{check.what:<{width}}  {state}  {printable(check.why)}")
        if check.remedy:
            out.print(f"{'':<{width}}           [dim]-> {printable(check.remedy)}[/]")


def show_leftovers(sweep: Sweep, swept: Swept) -> None:
    """Print what was found: data and untagged things by name, the rest as counts."""
    named = [each for each in swept.leftovers if each.by_name or sweep.is_precious(each)]
    width = max((len(each.kind) for each in named), default=0)
    for each in named:
        details = [sweep.described(each)] if sweep.is_precious(each) else []
        details += ["without tags, taken by its name"] if each.by_name else []
        about = ", ".join(filter(None, details))
        out.print(f"  {each.kind:<{width}}  {printable(each.name)}{f': {about}' if about else ''}")
    rest = Counter(each.kind for each in swept.leftovers if each not in named)
    if rest:
        out.print(f"  and {', '.join(f'{count} x {kind}' for kind, count in rest.items())}")


def confirm_removal(target: Target, found: Swept, *, yes: bool) -> None:
    """Go on only if names are typed. `yes` does not cover what Terraform does not know."""
    if not yes:
        _confirm_by_name(target.environment, "All of it will be removed for good.")
    state, backend = target.identity.state, target.identity.backend
    tagged = [each for each in found.leftovers if not each.by_name]
    if state and (state.managed or not tagged):
        return
    doubt = (
        f"The state of Terraform ({backend}) keeps nothing, but {len(tagged)} things carry the tags that Terraform gives"
        if state
        else f"There is no state of Terraform ({backend})"
    )
    err.print(
        f"{doubt}: the deployment may be in use, with its state elsewhere. See who uses it before you go on.",
        markup=False,
    )
    _confirm_by_name(target.identity.place, "If nobody does:")


def _confirm_by_name(name: str, question: str) -> None:
    typed = typer.prompt(
        cleaned(f"{question} Type {name} to go on"), default="", show_default=False, err=True
    )
    if typed.strip() != name:
        err.print("Nothing was removed.")
        raise typer.Abort


def confirm(question: str, **options: Any) -> bool:
    """Ask yes or no as typer.confirm does. The question may quote text from outside."""
    return typer.confirm(cleaned(question), err=True, **options)


def show_rest(swept: Swept) -> int:
    """Print what is left, a line each; returns the exit code for it."""
    for line in swept.going:
        out.print(line, markup=False)
    for line in swept.unseen:
        err.print(f"[red]not looked at:[/] {printable(line)}")
    out.print(f"{len(swept.leftovers)} leftovers")
    for each in swept.leftovers:
        out.print(f"  {each.kind} {printable(each.id)}")
    return SOME_LEFT if swept.leftovers else UNSEEN if swept.unseen else 0


def printable(text: str) -> str:
    """Text from outside on one line, with its markup escaped."""
    return escape(one_line(text))


def exit_code(statuses: Iterable[str]) -> int:
    """The exit code for what became of pictures."""
    seen = set(statuses)
    return SOME_FAILED if "FAILED" in seen else SOME_REFUSED if seen - {"ACCEPTED"} else ALL_ACCEPTED


def outcome_line(outcome: Outcome, width: int) -> str:
    """One line for one picture: name, label, confidence, decision, time."""
    name = outcome.source.rsplit("/", 1)[-1]
    confidence = "    -" if outcome.confidence is None else f"{outcome.confidence:.3f}"
    decision = f"[{STYLES[outcome.status]}]{WORDS[outcome.status]:<14}[/]"
    answer = printable(f"{name:<{width}}  {outcome.label or '-':<12}")
    return f"{answer} {confidence:>6}  {decision} {outcome.seconds:6.2f} s"
