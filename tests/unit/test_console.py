"""What came from outside is printed as it is, whatever it means to a terminal."""

import io

import pytest
from rich.console import Console

from scripts.scones import console
from scripts.workflow import Outcome

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
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(console, "err", terminal)

    with console.steps() as progress:
        progress(f"Uploading: {name}\x1b[2J", 0.5)

    assert f"Uploading: {name}?[2J" in terminal.file.getvalue()


def test_a_step_of_forty_minutes_is_told_ever_more_rarely_where_there_is_no_terminal(monkeypatch):
    file, second = Console(file=io.StringIO()), 0
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
