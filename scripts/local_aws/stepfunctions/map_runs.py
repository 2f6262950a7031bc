"""Map Runs: the child executions that a Distributed Map state starts, side by side and bounded in number.

Follows https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html. Inputs that wait and results
to export are on disk, so that a long dataset takes no memory.
"""

import asyncio
import logging
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Protocol, cast

from scripts.local_aws.core.errors import StatesError
from scripts.local_aws.stepfunctions.asl.distributed_map import ChildInput, MapSettings
from scripts.local_aws.stepfunctions.executions import Execution, Runtime
from scripts.local_aws.stepfunctions.result_writer import BYTES_IN_MEMORY, Results

logger = logging.getLogger(__name__)

COUNTS = ("pending", "running", "succeeded", "failed", "timedOut", "aborted", "total", "resultsWritten")
OUTCOMES = {"SUCCEEDED": "succeeded", "FAILED": "failed", "TIMED_OUT": "timedOut", "ABORTED": "aborted"}
EXCEEDED = "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"


class Service(Protocol):
    """What a Map Run needs of the service to run its children."""

    runtime: Runtime

    def begin_child(self, run: "MapRun", child: ChildInput) -> Execution:
        """A new execution that has not started to run."""

    async def conduct(self, execution: Execution) -> None:
        """Runs an execution to its end, whatever it is."""


class Backlog:
    """Inputs of children that wait for their turn, first in, first out, on disk once there are many."""

    def __init__(self) -> None:
        self._content = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - close() closes it
        self._read = self._written = 0

    def put(self, child: ChildInput) -> None:
        # JSON text has no line break in it.
        line = f"{child.items} {child.text}\n".encode(errors="surrogatepass")
        self._content.seek(self._written)
        self._written += self._content.write(line)

    def take(self) -> ChildInput | None:
        self._content.seek(self._read)
        line = self._content.readline()
        self._read += len(line)
        items, _, text = line.decode(errors="surrogatepass").rstrip("\n").partition(" ")
        return ChildInput(int(items), text) if line else None

    def close(self) -> None:
        self._content.close()


class MapRun:
    """One Map Run.

    Args:
        arn: of the Map Run.
        execution_arn: of the execution that has the state.
        origin: what the children run; belongs to the service.
        settings: concurrency, tolerated failures and result writer.
        service: begins and conducts the children.
    """

    def __init__(
        self,
        arn: str,
        execution_arn: str,
        origin: Any,
        settings: MapSettings,
        service: Service,
    ) -> None:
        self.arn, self.execution_arn, self.origin = arn, execution_arn, origin
        self.status, self.start, self.stop = "RUNNING", time.time(), 0.0
        self.max_concurrency, self.tolerated_count, self.tolerated_percentage, writer = settings
        self._items: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._executions: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._service = service
        self._backlog, self._results = Backlog(), Results(writer, arn)
        self._lanes: set[asyncio.Task[None]] = set()
        self._running: set[Execution] = set()
        self._started = 0
        self._all_read = False
        self._failure: BaseException | None = None
        self._delivering: asyncio.Task[Any] | None = None

    def describe(self) -> dict[str, Any]:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeMapRun.html"""
        stopped = {"stopDate": self.stop} if self.stop else {}
        return {
            "mapRunArn": self.arn,
            "executionArn": self.execution_arn,
            "status": self.status,
            "startDate": self.start,
            **stopped,
            "maxConcurrency": self.max_concurrency,
            "toleratedFailureCount": self.tolerated_count or 0,
            "toleratedFailurePercentage": float(self.tolerated_percentage or 0),
            "itemCounts": dict(self._items),
            "executionCounts": dict(self._executions),
            "redriveCount": 0,
        }

    async def conduct(self, inputs: AsyncIterator[ChildInput]) -> Any:
        """Runs a child for every input; returns the state's result. Raises StatesError and what `inputs` raises."""
        try:
            result = await self._run(inputs)
        except asyncio.CancelledError as error:
            self._failure = error
            self._abort_children()
            await self._drain()
            self._end("ABORTED")
            self._delivery()
            raise
        except Exception:
            self._end("FAILED")
            raise
        self._end("SUCCEEDED")
        return result

    def open_lanes(self) -> None:
        """Lets as many children run as `max_concurrency` allows; call it on the event loop's thread."""
        if self._failure is None and self.status == "RUNNING":
            for _ in range(min(self.max_concurrency - len(self._lanes), self._executions["pending"])):
                self._lanes.add(asyncio.create_task(self._lane()))

    async def _run(self, inputs: AsyncIterator[ChildInput]) -> Any:
        try:
            async for child in inputs:
                self._backlog.put(child)
                self._count("pending", child, 1)
                self._count("total", child, 1)
                self.open_lanes()
                await asyncio.sleep(0)
            self._all_read = True
            self._judge()
        except Exception as error:
            self._fail(error)
        await self._drain()
        delivery = asyncio.shield(self._delivery())
        if self._failure is None:
            return await delivery
        await asyncio.wait({delivery})
        raise self._failure

    async def _lane(self) -> None:
        """Runs one child after the other, as long as there are some and not too many lanes."""
        try:
            while self._failure is None and len(self._lanes) <= self.max_concurrency:
                child = self._backlog.take()
                if child is None:
                    break
                await self._run_child(child)
        except Exception as error:
            self._fail(error)
        finally:
            # At once, so that the other lanes count right.
            self._lanes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _run_child(self, child: ChildInput) -> None:
        number = self._started
        self._started += 1
        execution = self._service.begin_child(self, child)
        self._running.add(execution)
        self._move(child, "pending", "running")
        await self._service.conduct(execution)
        self._running.discard(execution)
        self._move(child, "running", OUTCOMES[execution.outcome.status])
        self._results.add(number, execution)
        self._count("resultsWritten", child, 1)
        self._judge()

    def _judge(self) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/maprun-fail-threshold.html"""
        failed = self._items["failed"] + self._items["timedOut"]
        unset = self.tolerated_count is None and self.tolerated_percentage is None
        count = 0 if unset else self.tolerated_count
        too_many = count is not None and failed > count
        # The share is known when the whole dataset has been read.
        if self.tolerated_percentage is not None and self._all_read:
            too_many = too_many or failed * 100 > self.tolerated_percentage * self._items["total"]
        if too_many:
            self._fail(StatesError(*EXCEEDED))

    def _fail(self, error: Exception) -> None:
        """Starts no more children. Express ones that run cannot be stopped and are waited for."""
        if self._failure is None:
            self._failure = error
            if self.origin.machine.kind == "STANDARD":
                self._abort_children()

    def _abort_children(self) -> None:
        for execution in self._running:
            execution.abort(None, None)

    async def _drain(self) -> None:
        while self._lanes:
            await asyncio.wait(set(self._lanes))

    def _delivery(self) -> "asyncio.Task[Any]":
        """The one delivery of the results, which goes on when the execution is aborted."""
        if self._delivering is None:
            self._delivering = asyncio.create_task(self._deliver())
            self._delivering.add_done_callback(self._tell_failed_delivery)
        return self._delivering

    async def _deliver(self) -> Any:
        try:
            if not self._results.exported:
                return self._results.output()
            return await self._service.runtime.on_thread(self._export)
        finally:
            self._backlog.close()
            self._results.close()

    def _export(self) -> dict[str, Any]:
        while (child := self._backlog.take()) is not None:
            self._results.add_pending(child.text)
        return self._results.upload(self._service.runtime.s3(self.origin.caller))

    def _tell_failed_delivery(self, delivery: "asyncio.Task[Any]") -> None:
        if not delivery.cancelled() and (failure := delivery.exception()):
            logger.warning("the results of %s were not delivered: %s", self.arn, failure)

    def _end(self, status: str) -> None:
        self.status, self.stop = status, time.time()

    def _move(self, child: ChildInput, source: str, target: str) -> None:
        self._count(source, child, -1)
        self._count(target, child, 1)

    def _count(self, name: str, child: ChildInput, number: int) -> None:
        self._items[name] += number * child.items
        self._executions[name] += number
