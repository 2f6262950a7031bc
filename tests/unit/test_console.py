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
