"""An execution in one state: the data that it carries, and the state's fields evaluated on it.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl.jsonata import QueryError, evaluate, to_jsonata

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
PAYLOAD_BYTES = 262_144


class Scope:
    """The states of a machine, of one Parallel branch or of one Map iteration: variables and last event.

    An inner scope sees the outer variables and keeps its own assignments
    (https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html).
    """

    def __init__(self, variables: dict[str, Any], context: dict[str, Any], last_event: int) -> None:
        self.variables = dict(variables)
        self.context = context
        self.last_event = last_event


@dataclass(frozen=True)
class Payload:
    """A JSON value on its way between states, with its text as history and limits need it."""

    value: Any
    text: str


@dataclass(frozen=True)
class Step:
    """How a state ended: what it passes on, and to which state (None: it was the last one)."""

    output: Payload
    following: str | None


class StateContext:
    """One stay of an execution in one state."""

    def __init__(self, name: str, state: dict[str, Any], payload: Payload, scope: Scope) -> None:
        self.name = name
        self.state = state
        self.input = payload
        self.scope = scope
        self.entered_event = 0
        self.entered_time = iso_time(datetime.now(UTC))
        self.retry_count = 0
        self._jsonata_input = to_jsonata(payload.value)

    @property
    def context(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html"""
        state = {"EnteredTime": self.entered_time, "Name": self.name, "RetryCount": self.retry_count}
        return {**self.scope.context, "State": state}

    def query(
        self, template: Any, location: str, context: dict[str, Any] | None = None, **states: Any
    ) -> Any:
        """Evaluates a field; `states` are further members of $states: result or errorOutput."""
        known = {"input": self._jsonata_input, "context": context or self.context}
        known.update((name, to_jsonata(value)) for name, value in states.items())
        return evaluate(template, {**self.scope.variables, "states": known}, location)

    def field(self, name: str, default: Any = None) -> Any:
        return self.query(self.state[name], name) if name in self.state else default

    def number(self, name: str) -> int | None:
        """A field that must be a whole number, zero or more; None without it."""
        return self.checked_number(self.field(name), name)

    def checked_number(self, value: Any, location: str, least: int = 0) -> int | None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            kind = "positive" if least else "non-negative"
            raise self.unexpected(location, f"{kind} integer", value)
        return value

    def unexpected(self, location: str, expected: str, value: Any) -> QueryError:
        return QueryError(
            f"The field '{location}' returned an unexpected result type. Expected '{expected}', "
            f"but was '{type(value).__name__}' for value: {json_text(value)}",
            location,
        )

    def failure(self, error: str, cause: str) -> StatesError:
        """A failure that the interpreter itself finds, in AWS's words."""
        where = f"'{self.name}' (entered at the event id #{self.entered_event})"
        return StatesError(error, f"An error occurred while executing the state {where}. {cause}")

    def payload(self, value: Any, source: str) -> Payload:
        """A value to pass on; `source` is the state or task that made it. Raises StatesError if it is too large."""
        if value is self.input.value:
            return self.input
        text = json_text(value)
        if byte_length(text) > PAYLOAD_BYTES:
            cause = f"The state/task '{source}' returned a result with a size exceeding the maximum number of bytes "
            raise self.failure("States.DataLimitExceeded", f"{cause}service limit.")
        return Payload(value, text)

    def items(self) -> list[Any]:
        """What a Map state iterates over: an array, or the pairs of an object."""
        items = self.field("Items", self.input.value)
        if isinstance(items, dict):
            items = [{"Key": key, "Value": value} for key, value in items.items()]
        if not isinstance(items, list):
            raise self.unexpected("Items", "array", items)
        return items

    def selected(self, item: Any, position: dict[str, Any]) -> Any:
        """What a Map state makes of one of its items; `position` is what `map_item` says about it."""
        if "ItemSelector" not in self.state:
            return item
        return self.query(self.state["ItemSelector"], "ItemSelector", {**self.context, **position})


def json_text(value: Any) -> str:
    """Compact JSON text, as Step Functions writes it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def byte_length(text: str) -> int:
    """Length in UTF-8; JSON may hold half a surrogate pair, which UTF-8 itself does not know."""
    return len(text.encode(errors="surrogatepass"))


def iso_time(moment: datetime) -> str:
    """A time as the context object writes it: UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def map_item(index: int, item: Any) -> dict[str, Any]:
    """The member of the context object that describes an item of a Map state:
    https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
    """
    return {"Map": {"Item": {"Index": index, "Value": to_jsonata(item)}}}
