"""No decision is replaced by a lesser one, however executions, people and their commands come between each other.

INTERLEAVINGS=100000 .venv/bin/python -m pytest -rP tests/unit/statemachine/test_interleavings.py -k keeps
"""

import contextlib
import functools
import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.deployment import state_machines
from scripts.deployment.outputs import Deployment
from tests.support import interleaving
from tests.support.interleaving import World
from tests.support.order import overruled

INTERLEAVINGS = int(os.environ.get("INTERLEAVINGS", "500"))
LENGTH = 60
# This many seeds bring every weakness to light.
ENOUGH = 3000
SAMPLE = 50
RECORD = (
    "attribute_not_exists(picture) OR (attribute_not_exists(reviewed_at) AND "
    "(#run < :run OR (#run = :run AND #status = :failed AND #status <> :status)))"
)
FAULT = "attribute_not_exists(picture) OR (attribute_not_exists(reviewed_at) AND #run < :run)"
DROP = "#execution = :execution AND #run = :run AND attribute_not_exists(reviewed_at)"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    interleaving.quickly(monkeypatch)


def play(seed: int) -> World:
    world = World(seed)
    try:
        world.play(LENGTH)
    except AssertionError as error:
        story = "\n".join(world.story)
        raise AssertionError(f"seed {seed}: {error}\n{story}") from error
    return world


@pytest.mark.timeout(3600)
def test_every_interleaving_keeps_the_order_of_decisions() -> None:
    steps, entries = 0, Counter[str]()
    for seed in range(INTERLEAVINGS):
        world = play(seed)
        steps += world.steps
        for row in world.rows():
            assert overruled(row["history"]) == 0, f"seed {seed}: {row}"
            entries.update(entry["status"] for entry in row["history"])

    print(f"{INTERLEAVINGS:,} interleavings of {steps:,} steps in all; {dict(entries)}")
    assert entries.keys() == {
        *("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"),
        *("reviewed", "taken back", "asked again"),
    }


OWN = "(#execution = :execution OR #status = :failed)"
UNREVIEWED = "attribute_not_exists(reviewed_at) AND "
# What a condition might lack, or say instead; the first two are earlier versions of it.
WEAKNESSES = {
    "own decisions give way": (
        RECORD,
        RECORD.replace(UNREVIEWED, "").replace("#run = :run AND #status = :failed", OWN),
    ),
    "own decisions give way to faults": (
        FAULT,
        "attribute_not_exists(picture) OR #run < :run OR #execution = :execution",
    ),
    "people give way": (RECORD, RECORD.replace(UNREVIEWED, "")),
    "people give way to faults": (FAULT, FAULT.replace(UNREVIEWED, "")),
    "later failures give way": (RECORD, RECORD.replace("#run = :run AND ", "")),
    "refusals give way": (RECORD, RECORD.replace("#status = :failed AND ", "")),
    "failures are told twice": (RECORD, RECORD.replace(" AND #status <> :status", "")),
    "failures stay": (
        RECORD,
        RECORD.replace(" OR (#run = :run AND #status = :failed AND #status <> :status)", ""),
    ),
    "the same run's decisions give way to faults": (FAULT, FAULT.replace("#run < :run", "#run <= :run")),
    "faults of a later run are lost": (FAULT, "attribute_not_exists(picture)"),
    "a person's answer goes with its row": (DROP, DROP.replace(" AND attribute_not_exists(reviewed_at)", "")),
    "a row goes before another stands": (" and $outcome.s3_version_id != 'unknown'", ""),
    "nobody asks whose row it is": ('"Next": "CheckRowOwner"', '"Next": "AlreadyDecided"'),
    "what is accepted waits": ("REMOVE #attention, #error", "REMOVE #error"),
    "what failed does not wait": (", #attention = :status", ""),
}


@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_a_weaker_condition_is_found_out(weakness: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (sound, weak), definition = WEAKNESSES[weakness], interleaving.definition

    @functools.cache
    def weakened(machine: str) -> Any:
        return json.loads(json.dumps(definition(machine)).replace(sound, weak))

    assert any(sound in json.dumps(definition(machine)) for machine in ("classify", "reconcile"))
    monkeypatch.setattr(interleaving, "definition", weakened)
    with pytest.raises(AssertionError, match="seed"):
        [*map(play, range(ENOUGH))]


def test_the_rows_change_as_moto_changes_them(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    watch = World._watch

    def keep(world: World, request: Any, before: Any, after: Any) -> None:
        watch(world, request, before, after)
        found = before and [before["status"], before["run"], before["execution"], "reviewed_at" in before]
        kind = [request.get("UpdateExpression"), request["ExpressionAttributeValues"].get(":run"), found]
        seen[json.dumps(kind)] = request, before, after

    monkeypatch.setattr(World, "_watch", keep)
    for seed in range(50):
        play(seed)

    dynamodb, table = deployment.client("dynamodb"), deployment.ledger_table
    # Evenly over all that was seen.
    for request, before, after in [*seen.values()][:: len(seen) // SAMPLE]:
        if before:
            dynamodb.put_item(TableName=table, Item=before)
        change = dynamodb.update_item if "UpdateExpression" in request else dynamodb.delete_item
        with contextlib.suppress(dynamodb.exceptions.ConditionalCheckFailedException):
            change(**request | {"TableName": table})
        assert dynamodb.get_item(TableName=table, Key=request["Key"]).get("Item") == after
        dynamodb.delete_item(TableName=table, Key=request["Key"])


def conditions(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[name] for name in ("ConditionExpression",) if name in value)
        yield from (found for inner in value.values() for found in conditions(inner))
    elif isinstance(value, list):
        yield from (found for inner in value for found in conditions(inner))


def test_the_record_of_the_order_quotes_every_condition() -> None:
    told = (state_machines.MACHINES.parent / "docs/decisions/0017-order-of-decisions.md").read_text("utf-8")

    written = {found for path in state_machines.machines() for found in conditions(state_machines.read(path))}

    assert len(written) == 4
    assert [found for found in written if f"`{found}`" not in told] == []
