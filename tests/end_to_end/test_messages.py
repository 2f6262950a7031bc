"""What people read: each category's message as the real workflow makes it and a subscriber gets it.

Golden files hold the whole message. What each run makes anew (ids, times) and what the model says are in
them as <names>, and must be what ledger and executions say.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.operations.local_stack import LocalStack
from scripts.workflow.bucket_layout import Picture
from scripts.workflow.client import Workflow
from scripts.workflow.ledger import Ledger, Selection

GOLDEN = Path(__file__).with_name("messages")
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"
OPERATIONS, PICTURES, REVIEW = "operations@example.com", "pictures@example.com", "review@example.com"


@pytest.fixture
def doubtful_pictures(doubtful: Path, tmp_path: Path) -> Callable[[int], list[Path]]:
    """Doubtful pictures, the first of them van-17.jpg."""

    def copy(number: int) -> list[Path]:
        return [shutil.copy(doubtful, tmp_path / f"van-{index:02}.jpg") for index in range(17, 17 + number)]

    return copy


@pytest.fixture
def received(stack: LocalStack) -> Callable[[str, str], list[dict[str, Any]]]:
    """The messages of a category that an address got since the test began."""
    before = len(stack.outbox())

    def read(address: str, category: str) -> list[dict[str, Any]]:
        return [
            it
            for it in stack.outbox()[before:]
            if it["subscriber"] == address and it["attributes"]["category"] == category
        ]

    return read


def golden(message: dict[str, Any], **made: Any) -> str:
    """The message, which fits a phone and holds no JSON, with <names> in place of what this run made."""
    assert len(message["message"]) < 1000
    assert not {"{", "}"} & set(message["message"])
    text = f"{message['subject']}\n{message['message']}"
    for name, value in sorted(made.items(), key=lambda it: -len(str(it[1]))):
        assert str(value) in text, f"{name} is not {value} in:\n{text}"
        text = text.replace(str(value), f"<{name}>")
    return re.sub(TIME, "<time>", text)


def of_picture(workflow: Workflow, picture: Picture, execution: str) -> dict[str, str]:
    folder = picture.s3_key.rpartition("/")[0]
    return {"folder": folder, "version": picture.s3_version_id, "execution": execution.rpartition(":")[2]}


def on_file(category: str) -> str:
    return (GOLDEN / f"{category}.txt").read_text("utf-8")


def test_low_confidence(workflow, doubtful_pictures, received):
    [path] = doubtful_pictures(1)
    picture = workflow.submit(str(path))
    execution = workflow.start(picture)
    workflow.wait(execution)

    row = workflow.row(picture.uri, picture.s3_version_id)
    answer = f"{row['label']} {str(row['confidence'])[:4]} < {row['threshold']}"
    [message] = received(PICTURES, "low_confidence")
    made = of_picture(workflow, picture, execution) | {"answer": answer, "label": row["label"]}
    assert golden(message, **made) == on_file("low_confidence")


def test_rejected(workflow, tmp_path, received):
    path = tmp_path / "invoice.jpg"
    path.write_bytes(b"%PDF-1.7 not a picture")
    picture = workflow.submit(str(path))
    execution = workflow.start(picture)
    workflow.wait(execution)

    [message] = received(PICTURES, "rejected")
    assert golden(message, **of_picture(workflow, picture, execution)) == on_file("rejected")


def test_system(workflow, received):
    picture = Picture(workflow.deployment.bucket, "submitted/gone/van-17.jpg", "")
    execution = workflow.start(picture)
    workflow.wait(execution)

    [message] = received(OPERATIONS, "system")
    assert golden(message, execution=execution.rpartition(":")[2]) == on_file("system")


def test_batch(scones, workflow, doubtful_pictures, tmp_path, received):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"%PDF-1.7 not a picture")
    pictures = [workflow.submit(str(path)) for path in (*doubtful_pictures(2), broken)]
    manifest = tmp_path / "pictures.jsonl"
    lines = [json.dumps({"s3_key": it.s3_key, "s3_version_id": it.s3_version_id}) for it in pictures]
    manifest.write_text("\n".join(lines), encoding="utf-8")

    told = json.loads(scones("batch", "--json", manifest).stdout)

    [message] = received(OPERATIONS, "batch")
    assert golden(message, batch=told["batch"]) == on_file("batch")


def resolve_everything(ledger: Ledger) -> None:
    """As if people had resolved everything that earlier tests left waiting."""
    for row in ledger.select(Selection()):
        key = {name: {"S": row[name]} for name in ("picture", "version")}
        ledger.dynamodb.update_item(TableName=ledger.table, Key=key, UpdateExpression="REMOVE attention")


def test_digest(stack, workflow, doubtful_pictures, received, eventually):
    """A burst is one message for those who chose the digest, and one for each picture for those who did not."""
    resolve_everything(workflow.ledger)
    burst = list(workflow.classify_all(map(str, doubtful_pictures(30))))
    stack.fire("digest")

    [message] = eventually(lambda: received(REVIEW, "digest"))
    assert [it for it in stack.outbox() if it["subscriber"] == REVIEW] == [message]
    assert len(received(PICTURES, "low_confidence")) == 30
    answer = f"{burst[0].label} {str(burst[0].confidence)[:4]}"
    text = golden(message, answer=answer, label=burst[0].label)
    assert re.sub(r"van-\d\d", "van-<number>", text) == on_file("digest")
