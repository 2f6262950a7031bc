"""Executions of state machines under way: coroutines on one event loop, service calls on threads.

Waiting costs no thread, so thousands of executions may be under way. At most PARALLEL_CALLS calls of services run
at a time, the oldest execution's first: under load executions finish in the order in which they started.
"""

import asyncio
import contextlib
import heapq
import itertools
import json
import logging
import queue
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.iam.authorization import Caller
from scripts.local_aws.stepfunctions.asl.distributed_map import Children, MapSettings
from scripts.local_aws.stepfunctions.asl.interpreter import HISTORY_EVENTS, Interpreter, integration
from scripts.local_aws.stepfunctions.asl.item_reader import read_dataset
from scripts.local_aws.stepfunctions.asl.state_context import Payload

logger = logging.getLogger(__name__)

PARALLEL_CALLS = 32
NESTED_EXECUTIONS = ("states", "aws-sdk:sfn")
ITEMS_AT_ONCE = 1000

CallService = Callable[[str, Any, Caller], Any]


class Runtime:
    """What all executions share: daemon threads that call services, and the pace of time.

    A call that is given up (timeout, abort) makes room at once; its thread ends whenever the call returns.
    """

    def __init__(self, call_service: CallService, s3: Callable[[Caller], Any], wait_scale: float) -> None:
        self.s3 = s3
        self._call_service = call_service
        self._wait_scale = wait_scale
        self._free = PARALLEL_CALLS
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._idle = threading.Semaphore(0)

    async def call(  # noqa: PLR0913, PLR0917 - what a task is, when it may start, and for whom
        self,
        priority: int,
        resource: str,
        arguments: Any,
        seconds: float | None,
        on_start: Callable[[], object],
        caller: Caller,
    ) -> Any:
        """Raises StatesError, or TimeoutError when the call takes longer than `seconds` from its start.

        The lowest priority number comes first.
        """
        # A nested execution only waits for calls of its own: with a place here it could take the last one.
        bounded = integration(resource)[0] not in NESTED_EXECUTIONS
        if bounded:
            await self._enter(priority)
        try:
            on_start()
            async with asyncio.timeout(seconds):
                return await self.on_thread(lambda: self._call(resource, arguments, caller))
        finally:
            if bounded:
                self._make_room()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._wait_scale)

    def close(self) -> None:
        """Ends the threads, each once its call has returned."""
        self._jobs.put(None)

    async def _enter(self, priority: int) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._make_room()
            raise

    def _make_room(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def on_thread(self, work: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Does what blocks; its result or what it raises is awaited on the event loop."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put((work, answer))
        if not self._idle.acquire(blocking=False):
            threading.Thread(target=self._work, name="states-task", daemon=True).start()
        return answer

    def _call(self, resource: str, arguments: Any, caller: Caller) -> Any:
        try:
            return self._call_service(resource, arguments, caller)
        except StatesError:
            raise
        except Exception as error:
            logger.exception("task %s failed without an error name", resource)
            raise StatesError("States.TaskFailed", f"{type(error).__name__}: {error}") from error

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, answer = job
            result, failure = None, None
            try:
                result = work()
            except Exception as error:
                failure = error
            self._idle.release()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for the answer
                answer.get_loop().call_soon_threadsafe(_settle, answer, result, failure)
        self._jobs.put(None)


def _settle(answer: "asyncio.Future[Any]", result: Any, failure: Exception | None) -> None:
    if answer.done():
        return
    if failure is None:
        answer.set_result(result)
    else:
        answer.set_exception(failure)


class Outcome(NamedTuple):
    """The progress of an execution; replaced as a whole, because other threads read it."""

    status: str = "RUNNING"
    stop: float | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None


class Service(Protocol):
    """What an execution needs of the service that runs it."""

    runtime: Runtime

    def open_map_run(
        self, parent: "Execution", state_name: str, state: dict[str, Any], settings: MapSettings
    ) -> Children:
        """A new Map Run for a Distributed Map state of an execution."""


@dataclass(eq=False)
class Execution:
    """One execution, from its start to its status SUCCEEDED, FAILED, TIMED_OUT or ABORTED.

    `input` is JSON text; `context` has the members Execution and StateMachine of the context object. The lower
    its `number`, the sooner its tasks get their turn. `origin` belongs to the service.
    """

    service: Service
    arn: str
    name: str
    input: str
    definition: dict[str, Any]
    context: dict[str, Any]
    number: int
    keeps_history: bool
    origin: Any
    start: float = field(default_factory=time.time)
    outcome: Outcome = field(default_factory=Outcome)
    ended: "Future[None]" = field(default_factory=Future)
    _last_event: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)
    _packed_events: bytes | None = None
    _abortion: tuple[str | None, str | None] | None = None
    _halt: Callable[[], object] | None = None

    @property
    def history(self) -> list[dict[str, Any]]:
        """The events so far, oldest first."""
        packed = self._packed_events
        return list(self._events) if packed is None else json.loads(zlib.decompress(packed))

    async def conduct(self, seconds: float | None) -> None:
        """Runs to the end, whatever it is; `seconds` is the time limit of the whole execution."""
        interpreter = Interpreter(self.definition, self.context, self)
        run = asyncio.create_task(interpreter.run(Payload(self.context["Execution"]["Input"], self.input)))

        def halt() -> None:
            interpreter.stopping = True
            run.cancel()

        self._halt = halt
        if self._abortion is not None:
            halt()
        timer = asyncio.get_running_loop().call_later(seconds, halt) if seconds is not None else None
        await asyncio.wait({run})
        if timer is not None:
            timer.cancel()
        self._conclude(run)
        self._halt = None
        if self.keeps_history:
            # Pictures run through many events: packed, they take a tenth of the room.
            self._packed_events = zlib.compress(json.dumps(self._events).encode(), level=1)
            self._events = []
        self.ended.set_result(None)

    def abort(self, error: str | None, cause: str | None) -> None:
        """Ends the execution from outside, unless it has ended by then; call it on the event loop's thread."""
        self._abortion = (error, cause)
        if self._halt is not None:
            self._halt()

    def record(self, event_type: str, previous: int, details: dict[str, Any] | None = None) -> int:
        if self.keeps_history and self._last_event >= HISTORY_EVENTS:
            cause = f"The execution reached the maximum number of history events ({HISTORY_EVENTS})."
            raise StatesError("States.Runtime", cause)
        return self._append(event_type, previous, details)

    async def call(
        self, resource: str, arguments: Any, seconds: float | None, on_start: Callable[[], object]
    ) -> Any:
        return await self.service.runtime.call(
            self.number, resource, arguments, seconds, on_start, self.origin.caller
        )

    async def sleep(self, seconds: float) -> None:
        await self.service.runtime.sleep(seconds)

    async def read_items(self, reader: dict[str, Any]) -> AsyncIterator[list[Any]]:
        items = read_dataset(self.service.runtime.s3(self.origin.caller), reader)
        while piece := await self.service.runtime.on_thread(
            lambda: list(itertools.islice(items, ITEMS_AT_ONCE))
        ):
            yield piece

    def open_map_run(self, state_name: str, state: dict[str, Any], settings: MapSettings) -> Children:
        return self.service.open_map_run(self, state_name, state, settings)

    def _conclude(self, run: "asyncio.Task[Payload]") -> None:
        if run.cancelled() and self._abortion is not None:
            self._end("ExecutionAborted", 0, Outcome("ABORTED", None, None, *self._abortion))
        elif run.cancelled():
            self._append("ExecutionTimedOut", 0, {"error": "States.Timeout"})
            self.outcome = Outcome("TIMED_OUT", time.time())
        elif (failure := run.exception()) is None:
            self._end("ExecutionSucceeded", self._last_event, Outcome("SUCCEEDED", None, run.result().text))
        else:
            if not isinstance(failure, StatesError):
                logger.error("execution %s met a fault of the interpreter", self.arn, exc_info=failure)
                failure = StatesError("States.Runtime", f"{type(failure).__name__}: {failure}")
            self._end(
                "ExecutionFailed",
                self._last_event,
                Outcome("FAILED", None, None, failure.error, failure.cause),
            )

    def _end(self, event_type: str, previous: int, outcome: Outcome) -> None:
        details = {
            key: value for key, value in outcome._asdict().items() if value is not None and key != "status"
        }
        if outcome.output is not None:
            details["outputDetails"] = {"truncated": False}
        self._append(event_type, previous, details)
        self.outcome = outcome._replace(stop=time.time())

    def _append(self, event_type: str, previous: int, details: dict[str, Any] | None) -> int:
        self._last_event += 1
        if self.keeps_history:
            event = {
                "id": self._last_event,
                "previousEventId": previous,
                "timestamp": time.time(),
                "type": event_type,
            }
            if details is not None:
                event[_details_name(event_type)] = details
            self._events.append(event)
        return self._last_event


def _details_name(event_type: str) -> str:
    for shared in ("StateEntered", "StateExited"):
        if event_type.endswith(shared):
            return f"s{shared[1:]}EventDetails"
    return f"{event_type[0].lower()}{event_type[1:]}EventDetails"
