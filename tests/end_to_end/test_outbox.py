"""scones outbox: what subscribers would have received, in a terminal."""

import json

import pytest

from scripts.cli.commands import outbox


@pytest.fixture
def message(workflow, stack, doubtful):
    """The last message: of a picture that was not accepted. Its number in the list comes first."""
    workflow.classify(str(doubtful))
    messages = stack.outbox()
    return len(messages), messages[-1]


def test_the_list_has_a_line_for_each_message(scones, message):
    number, last = message

    line = scones("outbox").stdout.splitlines()[-1]

    assert line.split()[:2] == [str(number), f"{last['time'][:19]}Z"]
    assert line.split()[2:4] == ["pictures@example.com", "low_confidence"]
    assert line.endswith(last["subject"])


def test_a_message_can_be_read_whole(scones, message):
    number, last = message

    assert last["message"].strip() in scones("outbox", number).stdout
    assert json.loads(scones("outbox", number, "--json").stdout) == last


def test_json_is_one_message_a_line(scones, message):
    number, last = message

    lines = scones("outbox", "--json").stdout.splitlines()

    assert (len(lines), json.loads(lines[-1])) == (number, last)


def test_a_number_beyond_the_last_says_how_many_there_are(scones, message):
    number, _ = message

    result = scones("outbox", number + 1)

    assert result.exit_code == 1
    assert f"There are {number} messages so far, no message {number + 1}." in result.stderr


def test_follow_shows_what_comes_in_until_ctrl_c(scones, message, workflow, tmp_path, monkeypatch):
    number, _ = message
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"%PDF-1.7 not a picture")
    naps = iter(["one look", "another"])

    def look_again() -> None:
        if next(naps, None) == "one look":
            workflow.classify(str(broken))
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(outbox, "pause", look_again)

    result = scones("outbox", "--follow")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[number].endswith("Picture rejected - broken.jpg")
