"""scones review from its start to Ctrl-C."""

import json
import urllib.request
import uuid
import webbrowser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli.app import app
from scripts.cli.commands import review
from scripts.operations.environment import LocalEnvironment
from scripts.review import queue
from scripts.workflow import bucket_layout


@pytest.fixture
def command(deployment, monkeypatch):
    """Runs the command; `meanwhile` does what people do while the page is served, with its address."""
    monkeypatch.setattr(LocalEnvironment, "deployment", lambda _: deployment)
    monkeypatch.setattr(queue, "FRESH_SECONDS", -1.0)
    served = []
    serving = review.serving

    def told(work, port):
        served.append((work, port))
        return serving(work, port)

    monkeypatch.setattr(review, "serving", told)

    def run(*arguments, meanwhile=lambda work: None):
        monkeypatch.setattr(review, "_wait_for_the_end", lambda: meanwhile(served[0][0]))
        return CliRunner().invoke(app, ["review", "--no-browser", *arguments])

    return run


@pytest.fixture
def waits(deployment, bucket):
    version = bucket.put_object(Key="incoming/a.png", Body=b"picture").version_id
    row = {
        "picture": f"s3://{bucket.name}/incoming/a.png",
        "version": version,
        "time": "2026-11-20T11:00:00.000Z",
    }
    row |= {"status": "LOW_CONFIDENCE", "attention": "LOW_CONFIDENCE", "label": "bicycle"}
    item = {name: {"S": text} for name, text in row.items()}
    item |= {"run": {"N": "0"}, "confidence": {"N": "0.6"}, "threshold": {"N": "0.9"}}
    deployment.client("dynamodb").put_item(TableName=deployment.ledger_table, Item=item)


def test_it_prints_the_address_with_the_token_and_ends_with_the_manifest(command, waits, bucket):
    def answer(work):
        session = str(uuid.uuid4())
        work.answer(work.take(session), "bicycle", session)

    result = command("--reviewer", "ann", meanwhile=answer)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("http://127.0.0.1:")
    assert "1 pictures wait" in result.stderr
    assert "1 answered; 1 reviewed pictures" in result.stderr
    assert "--with-reviewed" in result.stderr
    (line,) = bucket.Object(bucket_layout.REVIEW_MANIFEST).get()["Body"].read().splitlines()
    assert json.loads(line)["class-metadata"]["class-name"] == "bicycle"


def test_the_page_is_served_while_it_runs(command, waits):
    pages = []

    def look(work):
        pages.append(work.reviewer)

    result = command("--reviewer", "ben", meanwhile=look)

    assert pages == ["ben"]
    address = result.stdout.partition("#")[0].strip()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)  # it is gone afterwards


def test_the_token_is_in_no_command_line(command, waits, tmp_path, monkeypatch):
    """Every user of a machine can read the arguments of every process; the page that leads on is for one user."""
    program, seen = tmp_path / "browser", tmp_path / "seen"
    program.write_text(
        "#!/usr/bin/env python3\n"
        "import json, os, pathlib, sys, urllib.parse\n"
        "path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(sys.argv[1]).path))\n"
        "modes = [oct(each.stat().st_mode & 0o777) for each in (path, path.parent)]\n"
        f"json.dump([sys.argv[1:], str(path), path.read_text(), modes], open({str(seen)!r}, 'w'))\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(webbrowser, "_tryorder", [])
    monkeypatch.setattr(webbrowser, "_browsers", {})
    webbrowser.register("recorded", None, webbrowser.GenericBrowser([str(program), "%s"]), preferred=True)

    result = command("--browser")

    assert result.exit_code == 0, result.stderr
    address = result.stdout.strip()
    arguments, path, page, modes = json.loads(seen.read_text())
    token = address.partition("#")[2]
    assert len(token) >= 43
    assert arguments == [Path(path).as_uri()]
    assert token not in path
    assert address in page
    assert modes == ["0o600", "0o700"]
    assert not Path(path).parent.exists()


def test_without_a_model_there_are_no_labels_to_give(command, deployment):
    deployment.outputs["labels"] = []

    result = command()

    assert result.exit_code == 1
    assert "scones promote" in result.stderr


def test_a_port_that_is_taken_is_a_clear_error(command, service):
    result = command("--port", service.url.rpartition(":")[2])

    assert result.exit_code == 1
    assert "error:" in result.stderr
