"""An interpreter of the Amazon States Language with JSONata (https://states-language.net).

One `Interpreter` runs one execution as coroutines, so that a thousand waiting executions cost no thread. It
reports every step in the event types of GetExecutionHistory
(https://docs.aws.amazon.com/step-functions/latest/apireference/API_HistoryEvent.html).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl.distributed_map import (
    Children,
    MapSettings,
    child_inputs,
    located,
    map_settings,
    one_piece,
)
from scripts.local_aws.stepfunctions.asl.jsonata import QueryError, to_jsonata
from scripts.local_aws.stepfunctions.asl.state_context import (
    Payload,
    Scope,
    StateContext,
    Step,
    json_text,
    map_item,
)

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
HISTORY_EVENTS = 25_000
INLINE_MAP_CONCURRENCY = 40
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
UNCATCHABLE_BY_WILDCARD = ("States.DataLimitExceeded", "States.Runtime")
RETRY_INTERVAL_SECONDS, RETRY_ATTEMPTS, RETRY_BACKOFF = 1, 3, 2.0
STATES_WITH_ABORTED_EVENT = ("Task", "Wait", "Parallel", "Map")


class Host(Protocol):
    """What an execution needs from the service that runs it."""

    def record(self, event_type: str, previous: int, details: dict[str, Any] | None = None) -> int:
        """Adds an event to the history and returns its id."""

    async def call(
        self, resource: str, arguments: Any, seconds: float | None, on_start: Callable[[], object]
    ) -> Any:
        """Performs a task; raises StatesError when it fails and TimeoutError after `seconds`."""

    async def sleep(self, seconds: float) -> None:
        """Waits in the time of the state machine, which may run faster than the clock."""

    def read_items(self, reader: dict[str, Any]) -> AsyncIterator[list[Any]]:
        """Reads what an ItemReader points at, piece by piece; raises StatesError States.ItemReaderFailed."""

    def open_map_run(self, state_name: str, state: dict[str, Any], settings: MapSettings) -> Children:
        """A new Map Run for a Distributed Map state."""


class Interpreter:
    """Runs one execution of a valid definition.

    Args:
        definition: the parsed state machine.
        context: the members Execution and StateMachine of the context object.
        host: history, tasks and time.
    """

    def __init__(self, definition: dict[str, Any], context: dict[str, Any], host: Host) -> None:
        self._definition = definition
        self._context = to_jsonata(context)
        self._host = host
        # Set before the whole execution is cancelled: then no state reports that it was aborted.
        self.stopping = False

    async def run(self, payload: Payload) -> Payload:
        """Returns the execution's output; raises StatesError when it fails."""
        return await self._run(self._definition, payload, Scope({}, self._context, 0))

    async def _run(self, machine: dict[str, Any], payload: Payload, scope: Scope) -> Payload:
        following: str | None = machine["StartAt"]
        while following is not None:
            context = StateContext(following, machine["States"][following], payload, scope)
            step = await self._enter(context)
            payload, following = step.output, step.following
            # Gives other executions their turn, and a timeout the chance to end a loop of Pass states.
            await asyncio.sleep(0)
        return payload

    async def _enter(self, context: StateContext) -> Step:
        kind = context.state["Type"]
        entered = {"name": context.name, **_data("input", context.input.text)}
        context.entered_event = self._record(context.scope, f"{kind}StateEntered", entered)
        try:
            return await HANDLERS[kind](self, context)
        except QueryError as error:
            raise self._evaluation_failure(context, error) from error
        except asyncio.CancelledError:
            if not self.stopping and kind in STATES_WITH_ABORTED_EVENT:
                self._record(context.scope, f"{kind}StateAborted")
            raise

    async def _pass(self, context: StateContext) -> Step:
        return self._leave(context, context.state, context.input.value)

    async def _fail(self, context: StateContext) -> Step:
        texts = {name: context.field(name) for name in ("Error", "Cause")}
        for name, text in texts.items():
            if text is not None and not isinstance(text, str):
                raise context.unexpected(name, "string", text)
        raise StatesError(texts["Error"], texts["Cause"])

    async def _choice(self, context: StateContext) -> Step:
        for index, rule in enumerate(context.state["Choices"]):
            location = f"Choices[{index}]"
            holds = context.query(rule["Condition"], f"{location}/Condition")
            if not isinstance(holds, bool):
                raise context.unexpected(f"{location}/Condition", "boolean", holds)
            if holds:
                return self._leave(context, rule, context.input.value, f"{location}/")
        if "Default" not in context.state:
            raise context.failure("States.NoChoiceMatched", "No choice rule matched and there is no Default.")
        return self._leave(context, {**context.state, "Next": context.state["Default"]}, context.input.value)

    async def _wait(self, context: StateContext) -> Step:
        seconds: float | None = context.number("Seconds")
        if seconds is None:
            timestamp = context.field("Timestamp")
            try:
                seconds = (datetime.fromisoformat(timestamp) - datetime.now(UTC)).total_seconds()
            except (TypeError, ValueError) as error:
                raise context.unexpected("Timestamp", "timestamp with a time zone", timestamp) from error
        await self._host.sleep(max(0.0, seconds))
        return self._leave(context, context.state, context.input.value)

    async def _task(self, context: StateContext) -> Step:
        return await self._attempts(context, self._perform)

    async def _parallel(self, context: StateContext) -> Step:
        return await self._attempts(context, self._branches)

    async def _map(self, context: StateContext) -> Step:
        config = context.state["ItemProcessor"].get("ProcessorConfig", {})
        return await self._attempts(
            context, self._children if config.get("Mode") == "DISTRIBUTED" else self._iterations
        )

    async def _attempts(self, context: StateContext, work: Callable[[StateContext], Awaitable[Any]]) -> Step:
        """Does the work of a state until it succeeds, no retrier is left, or a catcher takes over."""
        attempts = [0] * len(context.state.get("Retry", []))
        while True:
            try:
                result = await work(context)
                return self._leave(context, context.state, result, result=result)
            except QueryError as error:
                failure = self._evaluation_failure(context, error)
            except StatesError as error:
                failure = error
            delay = _retry_delay(context.state.get("Retry", []), attempts, failure)
            if delay is None:
                return self._catch(context, failure)
            await self._host.sleep(delay)
            context.retry_count += 1

    def _catch(self, context: StateContext, failure: StatesError) -> Step:
        if context.state["Type"] in ("Parallel", "Map"):
            self._record(context.scope, f"{context.state['Type']}StateFailed")
        for index, catcher in enumerate(context.state.get("Catch", [])):
            if matches(catcher["ErrorEquals"], failure.error):
                output = {"Error": failure.error or "", "Cause": failure.cause or ""}
                return self._leave(context, catcher, output, f"Catch[{index}]/", errorOutput=output)
        raise failure

    async def _perform(self, context: StateContext) -> Any:
        resource, scope = context.state["Resource"], context.scope
        arguments = context.payload(context.field("Arguments", context.input.value), context.name)
        seconds = context.number("TimeoutSeconds")
        kind, action = integration(resource)
        about = {"resourceType": kind, "resource": action}
        scheduled: dict[str, Any] = {
            **about,
            "region": resource_region(self._context),
            "parameters": arguments.text,
        }
        if seconds is not None:
            scheduled["timeoutInSeconds"] = seconds
        self._record(scope, "TaskScheduled", scheduled)
        try:
            result = await self._host.call(
                resource, arguments.value, seconds, lambda: self._record(scope, "TaskStarted", about)
            )
        except TimeoutError as error:
            self._record(scope, "TaskTimedOut", {**about, "error": "States.Timeout"})
            raise StatesError("States.Timeout") from error
        except StatesError as error:
            self._record(scope, "TaskFailed", {**about, "error": error.error, "cause": error.cause})
            raise
        answer = context.payload(result, resource)
        self._record(scope, "TaskSucceeded", {**about, **_data("output", answer.text)})
        return answer.value

    async def _branches(self, context: StateContext) -> list[Any]:
        arguments = context.payload(context.field("Arguments", context.input.value), context.name)
        started = self._record(context.scope, "ParallelStateStarted")
        scopes = [
            Scope(context.scope.variables, context.scope.context, started) for _ in context.state["Branches"]
        ]
        runs = zip(context.state["Branches"], scopes, strict=True)
        try:
            results = await _together(self._run(branch, arguments, scope) for branch, scope in runs)
        finally:
            context.scope.last_event = max(scope.last_event for scope in scopes)
        self._record_beside(context.scope, "ParallelStateSucceeded")
        return [result.value for result in results]

    async def _iterations(self, context: StateContext) -> list[Any]:
        items = context.items()
        limit = context.number("MaxConcurrency") or INLINE_MAP_CONCURRENCY
        started = self._record(context.scope, "MapStateStarted", {"length": len(items)})
        results: list[Any] = [None] * len(items)
        pending = iter(enumerate(items))

        async def work_off() -> None:
            for index, item in pending:
                results[index] = await self._iteration(context, started, index, item)

        await _together(work_off() for _ in range(min(limit, INLINE_MAP_CONCURRENCY, len(items))))
        self._record_beside(context.scope, "MapStateSucceeded")
        return results

    async def _iteration(self, context: StateContext, started: int, index: int, item: Any) -> Any:
        position = map_item(index, item)
        scope = Scope(context.scope.variables, {**context.scope.context, **position}, started)
        about = {"name": context.name, "index": index}
        self._record(scope, "MapIterationStarted", about)
        outcome = "Failed"
        try:
            payload = context.payload(context.selected(item, position), context.name)
            result = await self._run(context.state["ItemProcessor"], payload, scope)
            outcome = "Succeeded"
        except asyncio.CancelledError:
            outcome = "Aborted"
            raise
        finally:
            if not self.stopping:
                self._record_beside(scope, f"MapIteration{outcome}", about)
            context.scope.last_event = max(context.scope.last_event, scope.last_event)
        return result.value

    async def _children(self, context: StateContext) -> Any:
        """The iterations of a Distributed Map: a Map Run of child executions."""
        items = None if "ItemReader" in context.state else context.items()
        self._record(context.scope, "MapStateStarted", {"length": len(items or [])})
        pieces = self._host.read_items(located(context, "ItemReader")) if items is None else one_piece(items)
        run = self._host.open_map_run(context.name, context.state, map_settings(context))
        self._record(context.scope, "MapRunStarted", {"mapRunArn": run.arn})
        try:
            result = await run.conduct(child_inputs(context, pieces))
        except asyncio.CancelledError:
            if not self.stopping:
                self._record(context.scope, "MapRunAborted")
            raise
        except (QueryError, StatesError) as error:
            failure = self._evaluation_failure(context, error) if isinstance(error, QueryError) else error
            self._record(context.scope, "MapRunFailed", {"error": failure.error, "cause": failure.cause})
            raise failure from error
        self._record(context.scope, "MapRunSucceeded")
        self._record_beside(context.scope, "MapStateSucceeded")
        return context.payload(result, context.name).value

    def _leave(
        self, context: StateContext, fields: dict[str, Any], default: Any, location: str = "", **states: Any
    ) -> Step:
        """Evaluates Assign and Output of a state, choice rule or catcher; both see the old variables."""
        assigned: dict[str, Any] = {}
        if "Assign" in fields:
            assigned = context.query(fields["Assign"], f"{location}Assign", **states)
        if "Output" in fields:
            default = context.query(fields["Output"], f"{location}Output", **states)
        output = context.payload(default, context.name)
        exited: dict[str, Any] = {"name": context.name, **_data("output", output.text)}
        if assigned:
            context.payload(assigned, context.name)
            exited["assignedVariables"] = {name: json_text(value) for name, value in assigned.items()}
            exited["assignedVariablesDetails"] = {"truncated": False}
        self._record(context.scope, f"{context.state['Type']}StateExited", exited)
        context.scope.variables.update((name, to_jsonata(value)) for name, value in assigned.items())
        return Step(output, fields.get("Next"))

    def _evaluation_failure(self, context: StateContext, error: QueryError) -> StatesError:
        failure = context.failure("States.QueryEvaluationError", str(error))
        about = {
            "error": failure.error,
            "cause": failure.cause,
            "location": error.location,
            "state": context.name,
        }
        self._record(context.scope, "EvaluationFailed", about)
        return failure

    def _record(self, scope: Scope, event_type: str, details: dict[str, Any] | None = None) -> int:
        scope.last_event = self._record_beside(scope, event_type, details)
        return scope.last_event

    def _record_beside(self, scope: Scope, event_type: str, details: dict[str, Any] | None = None) -> int:
        """Records an event that its successor passes by, as AWS does for the end of branches and iterations."""
        return self._host.record(event_type, scope.last_event, details)


HANDLERS: dict[str, Callable[[Interpreter, StateContext], Awaitable[Step]]] = {
    "Pass": Interpreter._pass,
    "Succeed": Interpreter._pass,
    "Fail": Interpreter._fail,
    "Choice": Interpreter._choice,
    "Wait": Interpreter._wait,
    "Task": Interpreter._task,
    "Parallel": Interpreter._parallel,
    "Map": Interpreter._map,
}


def matches(names: list[str], error: str | None) -> bool:
    """Whether the ErrorEquals of a retrier or catcher covers an error name."""
    if error == "States.Runtime":
        return False
    if error in names or ("States.Timeout" in names and error == "States.HeartbeatTimeout"):
        return True
    wildcard = "States.ALL" in names or ("States.TaskFailed" in names and error != "States.Timeout")
    return wildcard and error not in UNCATCHABLE_BY_WILDCARD


def _retry_delay(retriers: list[dict[str, Any]], attempts: list[int], failure: StatesError) -> float | None:
    """Seconds until the next attempt by the first retrier that matches; None when it has none left."""
    for index, retrier in enumerate(retriers):
        if not matches(retrier["ErrorEquals"], failure.error):
            continue
        if attempts[index] >= retrier.get("MaxAttempts", RETRY_ATTEMPTS):
            return None
        growth = retrier.get("BackoffRate", RETRY_BACKOFF) ** attempts[index]
        delay = retrier.get("IntervalSeconds", RETRY_INTERVAL_SECONDS) * growth
        delay = min(delay, retrier.get("MaxDelaySeconds", delay))
        attempts[index] += 1
        return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay  # noqa: S311
    return None


async def _together(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Runs all at once; the first failure cancels the others and is raised once they have ended."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def integration(resource: str) -> tuple[str, str]:
    """Splits `arn:aws:states:::aws-sdk:sfn:startSyncExecution` into `aws-sdk:sfn` and `startSyncExecution`."""
    words = resource.partition(":::")[2].split(":")
    service = 2 if words[0] == "aws-sdk" else 1
    return ":".join(words[:service]), ":".join(words[service:])


def resource_region(context: dict[str, Any]) -> str:
    return context["StateMachine"]["Id"].split(":")[3]


def _data(name: str, text: str) -> dict[str, Any]:
    return {name: text, f"{name}Details": {"truncated": False}}
