"""The fields of a Distributed Map state: its Map Run's settings, and the input of each child execution.

https://docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html
"""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

from scripts.local_aws.stepfunctions.asl.state_context import (
    PAYLOAD_BYTES,
    StateContext,
    byte_length,
    map_item,
)

MAP_RUN_CONCURRENCY = 10_000


class MapSettings(NamedTuple):
    """A Map Run's settings; a tolerated count or percentage is None when it is not set."""

    max_concurrency: int
    tolerated_count: int | None
    tolerated_percentage: float | None
    writer: dict[str, Any]


class ChildInput(NamedTuple):
    """What one child execution works on: the number of its items, and its input as JSON text."""

    items: int
    text: str


class Children(Protocol):
    """A Map Run as its state sees it."""

    arn: str

    async def conduct(self, inputs: AsyncIterator[ChildInput]) -> Any:
        """Runs a child execution for every input; returns the state's result.

        Raises StatesError when the Map Run fails, and whatever `inputs` raises.
        """


def map_settings(context: StateContext) -> MapSettings:
    """Evaluates the fields that hold for the whole Map Run; raises QueryError."""
    percentage = context.field("ToleratedFailurePercentage")
    if percentage is not None and (isinstance(percentage, bool) or not _is_percentage(percentage)):
        raise context.unexpected("ToleratedFailurePercentage", "number from 0 to 100", percentage)
    return MapSettings(
        context.number("MaxConcurrency") or MAP_RUN_CONCURRENCY,
        context.number("ToleratedFailureCount"),
        percentage,
        located(context, "ResultWriter"),
    )


def located(context: StateContext, name: str) -> dict[str, Any]:
    """The field ItemReader or ResultWriter, whose Arguments name a place in S3; raises QueryError."""
    field: dict[str, Any] = context.field(name, {})
    if not isinstance(field.get("Arguments", {}), dict):
        raise context.unexpected(f"{name}/Arguments", "object", field["Arguments"])
    return field


def _is_percentage(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 100


async def child_inputs(context: StateContext, pieces: AsyncIterator[list[Any]]) -> AsyncIterator[ChildInput]:
    """Selects and batches the items of a dataset; raises QueryError and StatesError, as `pieces` may."""
    texts = _selected(context, pieces)
    async for child in _batches(context, texts) if "ItemBatcher" in context.state else _single(texts):
        yield child


async def one_piece(items: list[Any]) -> AsyncIterator[list[Any]]:
    """A dataset that is at hand already."""
    yield items


async def _selected(context: StateContext, pieces: AsyncIterator[list[Any]]) -> AsyncIterator[str]:
    index = 0
    async for piece in pieces:
        for item in piece:
            yield context.payload(context.selected(item, map_item(index, item)), context.name).text
            index += 1


async def _single(texts: AsyncIterator[str]) -> AsyncIterator[ChildInput]:
    async for text in texts:
        yield ChildInput(1, text)


async def _batches(context: StateContext, texts: AsyncIterator[str]) -> AsyncIterator[ChildInput]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itembatcher.html"""
    batcher = context.field("ItemBatcher")
    most = context.checked_number(batcher.get("MaxItemsPerBatch"), "ItemBatcher/MaxItemsPerBatch", 1)
    limit = context.checked_number(
        batcher.get("MaxInputBytesPerBatch"), "ItemBatcher/MaxInputBytesPerBatch", 1
    )
    limit = min(limit or PAYLOAD_BYTES, PAYLOAD_BYTES)
    head = '{"Items":['
    if "BatchInput" in batcher:
        head = f'{{"BatchInput":{context.payload(batcher["BatchInput"], context.name).text},"Items":['
    frame = byte_length(head) + len("]}")
    batch: list[str] = []
    size = frame
    async for text in texts:
        length = byte_length(text)
        if batch and (len(batch) == most or size + len(",") + length > limit):
            yield ChildInput(len(batch), f"{head}{','.join(batch)}]}}")
            batch, size = [], frame
        size += length + bool(batch) * len(",")
        if size > limit:
            cause = f"An item with {length} bytes does not fit into a batch of at most {limit} bytes."
            raise context.failure("States.DataLimitExceeded", cause)
        batch.append(text)
    if batch:
        yield ChildInput(len(batch), f"{head}{','.join(batch)}]}}")
