"""What came from outside is printed as it is, whatever it means to a terminal."""

import io
import sys

import pytest
import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from typer.main import except_hook
from typer.testing import CliRunner

from scripts.cli import console
from scripts.cli.app import app
from scripts.common.errors import UserError
from scripts.operations.check import FAILED, Check
from scripts.workflow.client import Outcome
from training_scripts.errors import UserError as TrainingUserError
from training_scripts.terminal import Terminal

AWKWARD = ["IMG [copy].jpg", ":car:.jpg", "[red]x.jpg", "back\\"]


@pytest.mark.parametrize("name", AWKWARD)
def test_a_picture_keeps_its_name(name):
    facts = {"source": f"photos/{name}", "uri": "s3://b/k", "version": "v", "status": "ACCEPTED"}
    facts |= {"label": "[b]", "confidence": 0.99, "threshold": 0.9, "error": None, "reason": None}
    outcome = Outcome(**facts, execution="arn", execution_status="SUCCEEDED", seconds=1.0)

    with console.out.capture() as shown:
        console.out.print(console.outcome_line(outcome, 20))

    assert shown.get() == f"{name:<20}  [b]           0.990  accepted         1.00 s\n"


@pytest.mark.parametrize("name", [*AWKWARD, "a[/b].jpg"])
def test_progress_names_files_as_they_are(monkeypatch, name):
    terminal = Terminal(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(console, "err", terminal)

    with console.steps() as progress:
        progress(f"Uploading: {name}\x1b[2J", 0.5)

    assert f"Uploading: {name}?[2J" in terminal.file.getvalue()


def test_a_step_of_forty_minutes_is_told_ever_more_rarely_where_there_is_no_terminal(monkeypatch):
    file, second = Terminal(file=io.StringIO()), 0
    monkeypatch.setattr(console, "err", file)
    monkeypatch.setattr(console.time, "monotonic", lambda: second)

    with console.steps() as progress:
        for second in range(2400):
            progress(f"Training: {second} s", second / 2400)
        progress("Reading the metrics", None)

    first, *told, last = file.file.getvalue().splitlines()
    times = [float(line.split()[0]) for line in told]
    assert (first.strip(), last.strip()) == ("0.0 s  Training", "2399.0 s  Reading the metrics")
    assert times[:2] == [6, 12]
    assert 20 < len(times) < 60


# Sets the window's title, clears the screen, links, rings, goes back, turns the reading direction, hides a letter.
HOSTILE = (
    "a\x1b]0;owned\x07\x1b[2J\x1b]8;;http://x\x1b\\b\x9b2J\x08\x7f\r\u202egnp.exe\u2066\u2028\u200b\udc80c"
)


def assert_clean(text):
    """Nothing but text, line ends and tabs."""
    assert [letter for letter in text if not letter.isprintable() and letter not in "\n\t"] == []


def a_table():
    table = Table("name", title=HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Panel(Text(HOSTILE), title=HOSTILE))
    return table


WAYS = {
    "text": lambda terminal: terminal.print(HOSTILE),
    "text without markup": lambda terminal: terminal.print(HOSTILE, markup=False),
    "text with a style": lambda terminal: terminal.print(HOSTILE, style="dim"),
    "several": lambda terminal: terminal.print("a", HOSTILE, {"key": HOSTILE}, sep=HOSTILE, end=HOSTILE),
    "a table": lambda terminal: terminal.print(a_table()),
    "plain output": lambda terminal: terminal.out(HOSTILE),
    "a log line": lambda terminal: terminal.log(HOSTILE, log_locals=True),
    "JSON": lambda terminal: terminal.print_json(data={HOSTILE: HOSTILE}, ensure_ascii=False),
    "a rule": lambda terminal: terminal.rule(HOSTILE),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_way_of_printing_steers_the_terminal(way):
    terminal = Terminal(file=io.StringIO(), width=200)

    way(terminal)

    assert "owned" in terminal.file.getvalue()
    assert_clean(terminal.file.getvalue())


def test_lines_and_tabs_of_a_message_stay():
    terminal = Terminal(file=io.StringIO(), width=200)

    terminal.print("one\n  two\tthree")

    assert terminal.file.getvalue().splitlines() == ["one", "  two   three"]


def failing(error):
    with console.errors_explained():
        raise error


def of(kind):
    """An error of a kind with hostile text in it."""
    if kind is ClientError:
        return ClientError({"Error": {"Code": HOSTILE, "Message": HOSTILE}}, HOSTILE)
    if kind is BotoCoreError:
        return type("Odd", (BotoCoreError,), {"fmt": HOSTILE})()
    return kind(HOSTILE)


def kinds_of(base):
    """A class and everything that derives from it."""
    return [base, *(kind for derived in base.__subclasses__() for kind in kinds_of(derived))]


@pytest.mark.parametrize(
    "kind", [*kinds_of(UserError), *kinds_of(TrainingUserError), ClientError, BotoCoreError, OSError]
)
def test_every_error_that_is_explained_is_shown_as_text(kind, capsys):
    with pytest.raises(typer.Exit):
        failing(of(kind))

    said = capsys.readouterr().err
    assert "owned" in said
    assert_clean(said)


@pytest.mark.parametrize("verb", [each.name for each in app.registered_commands])
@pytest.mark.parametrize(
    "arguments", [[HOSTILE] * 9, ["--env", HOSTILE], [f"--{HOSTILE}"]], ids=["many", "env", "option"]
)
def test_every_verb_answers_hostile_arguments_with_text(verb, arguments):
    result = CliRunner().invoke(app, [verb, *arguments])

    assert result.exit_code != 0
    assert result.stderr
    assert_clean(result.stdout + result.stderr)


def test_a_traceback_is_text(capsys):
    """What typer prints of an error that nobody expected."""

    @app.command("fail", hidden=True)
    def fail():
        raise RuntimeError(HOSTILE)

    try:
        with pytest.raises(RuntimeError) as raised:
            app(["fail"])
    finally:
        app.registered_commands.pop()
    except_hook(raised.type, raised.value, raised.tb)

    said = capsys.readouterr().err
    assert "owned" in said
    assert_clean(said)


def test_a_question_is_text(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\nother\n"))

    assert console.confirm(f"Remove {HOSTILE}?")
    with pytest.raises(typer.Abort):
        console._confirm_by_name("dev", f"Remove {HOSTILE}?")

    assert_clean("".join(capsys.readouterr()))


def test_an_outcome_s_line_and_checks_are_text(capsys):
    facts = {"source": HOSTILE, "uri": HOSTILE, "version": HOSTILE, "status": "FAILED", "label": HOSTILE}
    facts |= {"confidence": 0.9, "threshold": 0.9, "error": HOSTILE, "reason": HOSTILE, "execution": HOSTILE}
    console.out.print(console.outcome_line(Outcome(**facts, execution_status="FAILED", seconds=1.0), 20))
    console.show_checks([Check(HOSTILE, FAILED, HOSTILE, HOSTILE)], "dev", as_json=False)
    console.show_checks([Check(HOSTILE, FAILED, HOSTILE, HOSTILE)], "dev", as_json=True)

    assert_clean("".join(capsys.readouterr()))
