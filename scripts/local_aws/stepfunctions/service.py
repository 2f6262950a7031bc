"""Step Functions: JSONata state machines, their versions and their executions, kept in memory.

Follows https://docs.aws.amazon.com/step-functions/latest/apireference/Welcome.html. There are no aliases,
activities, task tokens and redrives; asking for them is an UnknownOperationException.
"""

import asyncio
import itertools
import json
import logging
import queue
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from scripts.local_aws.core.errors import ServiceError, StatesError
from scripts.local_aws.core.moto_backends import ACCOUNT, REGION
from scripts.local_aws.iam.authorization import Authorization, Caller
from scripts.local_aws.stepfunctions.asl.distributed_map import MAP_RUN_CONCURRENCY, ChildInput, MapSettings
from scripts.local_aws.stepfunctions.asl.state_context import PAYLOAD_BYTES, byte_length, iso_time
from scripts.local_aws.stepfunctions.asl.validation import diagnose
from scripts.local_aws.stepfunctions.executions import CallService, Execution, Runtime
from scripts.local_aws.stepfunctions.map_runs import MapRun
from scripts.local_aws.stepfunctions.models import Machine, Origin, Revision, Version

logger = logging.getLogger(__name__)

# AWS forgets an execution 90 days after its end; here the oldest go once there are more finished ones than this.
RETAINED_EXECUTIONS = 10_000
EXPRESS_SECONDS = 300
PAGE, LARGEST_PAGE = 100, 1000
# Above this, an event carries no input or output: https://docs.aws.amazon.com/step-functions/latest/dg/cw-events.html
EVENT_DATA_BYTES = 248 * 1024
NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
SETTINGS: dict[str, dict[str, Any]] = {
    "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
    "tracingConfiguration": {"enabled": False},
    "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
}
EXECUTION_DATA = ("input", "inputDetails", "output", "outputDetails")


class StepFunctions:
    """The service.

    Args:
        call_service: performs one task, `(resource ARN, arguments, caller) -> result`; runs on threads, may block
            and raises StatesError. It must not change the arguments.
        publish_event: gets every EventBridge event, in order, on a thread of its own.
        s3: gives a boto3 client that acts for a caller, for the datasets and results of Distributed Maps.
        authorization: decides what a machine's role may do in addition to its tasks.
        wait_scale: factor on the time of Wait states and between attempts; nothing else is scaled.
    """

    def __init__(
        self,
        call_service: CallService,
        publish_event: Callable[[dict[str, Any]], object],
        s3: Callable[[Caller], Any],
        authorization: Authorization,
        wait_scale: float = 1.0,
    ) -> None:
        self._publish_event = publish_event
        self._authorization = authorization
        self.runtime = Runtime(call_service, s3, wait_scale)
        self._machines: dict[str, Machine] = {}
        self._executions: dict[str, Execution] = {}
        self._map_runs: dict[str, MapRun] = {}
        self._finished: deque[str] = deque()
        self._numbers = itertools.count()
        self._under_way: set[asyncio.Task[None]] = set()
        self._lock = threading.Lock()
        self._events: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="states", daemon=True).start()
        threading.Thread(target=self._publish, name="states-events", daemon=True).start()

    def handle(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Answers one request of the JSON 1.0 protocol; raises ServiceError."""
        if action not in ACTIONS:
            raise ServiceError("UnknownOperationException", f"Step Functions has no operation {action} here")
        method, required = ACTIONS[action]
        missing = [name for name in required if name not in payload]
        if missing:
            raise ServiceError("ValidationException", f"{action} needs {', '.join(missing)}")
        with self._lock:
            answer = method(self, payload)
        # What takes time is waited for outside the lock.
        return answer.result() if isinstance(answer, Future) else answer

    def close(self) -> None:
        """Drops all executions where they are and ends the threads of the service."""
        asyncio.run_coroutine_threadsafe(self._drop_executions(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.runtime.close()
        self._events.put(None)

    async def _drop_executions(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # State machines

    def _create_state_machine(self, payload: dict[str, Any]) -> dict[str, Any]:
        name, kind = payload["name"], payload.get("type", "STANDARD")
        if not NAME.fullmatch(name):
            raise ServiceError("InvalidName", f"Invalid Name: '{name}'")
        if kind not in ("STANDARD", "EXPRESS"):
            raise ServiceError(
                "StateMachineTypeNotSupported", f"State Machine Type is not supported: '{kind}'"
            )
        _check_definition(payload["definition"], kind)
        settings = {setting: payload.get(setting, default) for setting, default in SETTINGS.items()}
        revision = Revision(payload["definition"], payload["roleArn"], settings)
        self._check_logging(self._arn("stateMachine", name), revision)
        tags = {tag["key"]: tag["value"] for tag in payload.get("tags", [])}
        arn = self._arn("stateMachine", name)
        machine = self._machines.setdefault(arn, Machine(arn, name, kind, revision, tags))
        known = (machine.kind, machine.revision.definition, machine.revision.settings)
        if known != (kind, revision.definition, settings):
            raise ServiceError("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")
        answer = {"stateMachineArn": arn, "creationDate": machine.date}
        if payload.get("publish"):
            answer["stateMachineVersionArn"] = _publish(machine, payload.get("versionDescription", "")).arn
        return answer

    def _update_state_machine(self, payload: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(payload["stateMachineArn"])
        old = machine.revision
        settings = {setting: payload.get(setting, old.settings[setting]) for setting in SETTINGS}
        definition = payload.get("definition", old.definition)
        _check_definition(definition, machine.kind)
        role_arn = payload.get("roleArn", old.role_arn)
        if (definition, role_arn, settings) != (old.definition, old.role_arn, old.settings):
            revision = Revision(definition, role_arn, settings)
            self._check_logging(machine.arn, revision)
            machine.revision = revision
        answer = {"updateDate": machine.revision.date, "revisionId": machine.revision.revision_id}
        if payload.get("publish"):
            answer["stateMachineVersionArn"] = _publish(machine, payload.get("versionDescription", "")).arn
        return answer

    def _check_logging(self, arn: str, revision: Revision) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy"""
        caller = Caller("states.amazonaws.com", revision.role_arn, arn)
        logged = revision.settings["loggingConfiguration"].get("level", "OFF") != "OFF"
        if logged and not self._authorization.allows(caller, "states:DeliverLogs"):
            raise ServiceError(
                "AccessDeniedException",
                "The state machine IAM Role is not authorized to access the Log Destination",
            )

    def _describe_state_machine(self, payload: dict[str, Any]) -> dict[str, Any]:
        machine, revision, version_arn = self._origin(payload["stateMachineArn"])[:3]
        version = next((version for version in machine.versions if version.arn == version_arn), None)
        answer = {
            "stateMachineArn": version_arn or machine.arn,
            "name": machine.name,
            "status": "ACTIVE",
            "type": machine.kind,
            "creationDate": version.date if version else machine.date,
            **_describe(revision),
        }
        if version and version.description:
            answer["description"] = version.description
        return answer

    def _delete_state_machine(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Executions that run go on with their definition, as on AWS; there is no status DELETING in between."""
        self._machines.pop(payload["stateMachineArn"], None)
        return {}

    def _list_state_machines(self, payload: dict[str, Any]) -> dict[str, Any]:
        machines, token = _page(list(self._machines.values()), payload)
        listed = [
            {"stateMachineArn": one.arn, "name": one.name, "type": one.kind, "creationDate": one.date}
            for one in machines
        ]
        return {"stateMachines": listed, **token}

    def _validate_state_machine_definition(self, payload: dict[str, Any]) -> dict[str, Any]:
        findings = diagnose(payload["definition"], payload.get("type", "STANDARD"))
        size = payload.get("maxResults") or PAGE
        return {
            "result": "FAIL" if findings else "OK",
            "diagnostics": [{"severity": "ERROR", **finding._asdict()} for finding in findings[:size]],
            "truncated": len(findings) > size,
        }

    # Versions

    def _publish_state_machine_version(self, payload: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(payload["stateMachineArn"])
        if payload.get("revisionId", machine.revision.revision_id) != machine.revision.revision_id:
            raise ServiceError("ConflictException", f"{payload['revisionId']} is not the current revision")
        version = _publish(machine, payload.get("description", ""))
        return {"creationDate": version.date, "stateMachineVersionArn": version.arn}

    def _delete_state_machine_version(self, payload: dict[str, Any]) -> dict[str, Any]:
        arn = payload["stateMachineVersionArn"]
        machine = self._machines.get(arn.rpartition(":")[0])
        if machine:
            machine.versions = [version for version in machine.versions if version.arn != arn]
        return {}

    def _list_state_machine_versions(self, payload: dict[str, Any]) -> dict[str, Any]:
        machine = self._machine(payload["stateMachineArn"])
        versions, token = _page(machine.versions, payload, newest_first=True)
        listed = [
            {"stateMachineVersionArn": version.arn, "creationDate": version.date} for version in versions
        ]
        return {"stateMachineVersions": listed, **token}

    # Tags

    def _tag_resource(self, payload: dict[str, Any]) -> dict[str, Any]:
        self._tagged(payload).tags.update((tag["key"], tag["value"]) for tag in payload["tags"])
        return {}

    def _untag_resource(self, payload: dict[str, Any]) -> dict[str, Any]:
        for key in payload["tagKeys"]:
            self._tagged(payload).tags.pop(key, None)
        return {}

    def _list_tags_for_resource(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {"tags": [{"key": key, "value": value} for key, value in self._tagged(payload).tags.items()]}

    def _tagged(self, payload: dict[str, Any]) -> Machine:
        arn = payload["resourceArn"]
        if arn not in self._machines:
            raise ServiceError("ResourceNotFound", f"Resource not found: '{arn}'")
        return self._machines[arn]

    # Executions

    def _start_execution(self, payload: dict[str, Any]) -> dict[str, Any]:
        origin = self._origin(payload["stateMachineArn"])
        execution = self._existing(origin, payload) or self._start(origin, payload)
        return {"executionArn": execution.arn, "startDate": execution.start}

    def _start_sync_execution(self, payload: dict[str, Any]) -> "Future[dict[str, Any]]":
        origin = self._origin(payload["stateMachineArn"])
        if origin.machine.kind != "EXPRESS":
            message = "This operation is not supported by this type of state machine"
            raise ServiceError("StateMachineTypeNotSupported", message)
        return _at_end(self._start(origin, payload), _describe_execution)

    def _existing(self, origin: Origin, payload: dict[str, Any]) -> Execution | None:
        """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html: idempotent."""
        if origin.machine.kind == "EXPRESS" or "name" not in payload:
            return None
        execution = self._executions.get(self._arn("execution", origin.machine.name, payload["name"]))
        if execution is None or (
            execution.outcome.status == "RUNNING" and execution.input == payload.get("input", "{}")
        ):
            return execution
        raise ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{execution.arn}'")

    def _start(self, origin: Origin, payload: dict[str, Any]) -> Execution:
        name, text = payload.get("name") or str(uuid.uuid4()), payload.get("input", "{}")
        _check_start(name, text)
        execution = self._begin(origin, name, text)
        if origin.machine.kind == "STANDARD":
            self._executions[execution.arn] = execution
        self._loop.call_soon_threadsafe(self._launch, execution)
        return execution

    def _begin(self, origin: Origin, name: str, text: str) -> Execution:
        machine, revision, version_arn = origin[:3]
        standard = machine.kind == "STANDARD"
        kind, run = ("execution", ()) if standard else ("express", (str(uuid.uuid4()),))
        arn = self._arn(kind, machine.name, name, *run)
        context = {
            "Execution": {
                "Id": arn,
                "Input": json.loads(text),
                "Name": name,
                "RoleArn": revision.role_arn,
                "StartTime": iso_time(datetime.now(UTC)),
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": machine.arn, "Name": machine.name},
        }
        number = next(self._numbers)
        execution = Execution(self, arn, name, text, revision.parsed, context, number, standard, origin)
        if revision.settings["tracingConfiguration"].get("enabled"):
            self._authorization.allows(origin.caller, "states:SendTraces")
        started = {"input": text, "inputDetails": {"truncated": False}, "roleArn": revision.role_arn}
        if version_arn:
            started["stateMachineVersionArn"] = version_arn
        execution.record("ExecutionStarted", 0, started)
        return execution

    def _launch(self, execution: Execution) -> None:
        task = self._loop.create_task(self.conduct(execution))
        # The loop itself holds tasks weakly.
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def conduct(self, execution: Execution) -> None:
        """Runs an execution to its end, whatever it is."""
        machine, revision = execution.origin[:2]
        seconds = revision.parsed.get("TimeoutSeconds")
        if machine.kind == "EXPRESS":
            await execution.conduct(min(seconds or EXPRESS_SECONDS, EXPRESS_SECONDS))
            return
        self._events.put(self._status_event(execution))
        await execution.conduct(seconds)
        self._events.put(self._status_event(execution))
        self._forget_oldest(execution)

    def _forget_oldest(self, finished: Execution) -> None:
        with self._lock:
            self._finished.append(finished.arn)
            while len(self._finished) > RETAINED_EXECUTIONS:
                forgotten = self._finished.popleft()
                self._executions.pop(forgotten, None)
                for run in [run for run in self._map_runs.values() if run.execution_arn == forgotten]:
                    del self._map_runs[run.arn]

    def _stop_execution(self, payload: dict[str, Any]) -> "Future[dict[str, Any]]":
        execution = self._execution(payload)
        self._loop.call_soon_threadsafe(execution.abort, payload.get("error"), payload.get("cause"))
        return _at_end(execution, lambda ended: {"stopDate": ended.outcome.stop})

    def _describe_execution(self, payload: dict[str, Any]) -> dict[str, Any]:
        return _describe_execution(self._execution(payload))

    def _describe_state_machine_for_execution(self, payload: dict[str, Any]) -> dict[str, Any]:
        machine, revision, _, map_run, _ = self._execution(payload).origin
        described = {
            "stateMachineArn": machine.arn,
            "name": machine.name,
            "updateDate": revision.date,
            "mapRunArn": map_run.arn if map_run else None,
            "label": machine.name.rpartition("/")[2] if map_run else None,
        }
        return {**_present(described), **_describe(revision)}

    def _list_executions(self, payload: dict[str, Any]) -> dict[str, Any]:
        if ("stateMachineArn" in payload) == ("mapRunArn" in payload):
            raise ServiceError(
                "ValidationException", "Exactly one of stateMachineArn and mapRunArn is needed"
            )
        map_run = self._map_run(payload) if "mapRunArn" in payload else None
        machine, _, version_arn, *_ = map_run.origin if map_run else self._origin(payload["stateMachineArn"])
        if machine.kind == "EXPRESS":
            raise ServiceError(
                "StateMachineTypeNotSupported", "Executions of Express workflows are not listed"
            )
        status = payload.get("statusFilter")
        matching = [
            execution
            for execution in self._executions.values()
            if execution.origin.machine.arn == machine.arn
            and version_arn in (None, execution.origin.version_arn)
            and execution.origin.map_run is map_run
            and status in (None, execution.outcome.status)
        ]
        executions, token = _page(matching, payload, newest_first=True)
        return {"executions": [_summary(execution) for execution in executions], **token}

    def _get_execution_history(self, payload: dict[str, Any]) -> dict[str, Any]:
        history = self._execution(payload).history
        events, token = _page(history, payload, newest_first=payload.get("reverseOrder", False))
        if not payload.get("includeExecutionData", True):
            events = [_without_data(event) for event in events]
        return {"events": events, **token}

    # Map Runs

    def open_map_run(
        self, parent: Execution, state_name: str, state: dict[str, Any], settings: MapSettings
    ) -> MapRun:
        machine, revision = parent.origin[:2]
        processor = state["ItemProcessor"]
        name = f"{machine.name}/{state.get('Label') or _label(revision, state_name)}"
        children = Machine(
            self._arn("stateMachine", name),
            name,
            processor["ProcessorConfig"]["ExecutionType"],
            Revision(json.dumps(processor), revision.role_arn, revision.settings),
            tags={},
        )
        arn = self._arn("mapRun", name, str(uuid.uuid4()))
        origin = Origin(children, children.revision, None)
        self._check_map_run(origin.caller, machine, settings.writer)
        run = MapRun(arn, parent.arn, origin, settings, self)
        with self._lock:
            self._map_runs[arn] = run
        return run

    def _check_map_run(self, caller: Caller, machine: Machine, writer: dict[str, Any]) -> None:
        """A Distributed Map starts its children as executions of its own machine, by its own role.

        https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html. What the error is called there
        is not documented. Raises StatesError.
        """
        children = self._arn("execution", machine.name, str(uuid.uuid4()))
        try:
            self._authorization.check(caller, "states:RunMap", machine=machine.arn, execution=children)
        except ServiceError as error:
            raise StatesError("StepFunctions.AWSStepFunctionsException", error.message) from error
        if place := writer.get("Arguments"):
            key = f"{place.get('Prefix', '')}/manifest.json".lstrip("/")
            try:
                self._authorization.check(caller, "states:WriteResults", Bucket=place["Bucket"], Key=key)
            except ServiceError as error:
                raise StatesError("States.ResultWriterFailed", error.message) from error

    def begin_child(self, run: MapRun, child: ChildInput) -> Execution:
        """A new execution that has not started to run."""
        origin = run.origin._replace(map_run=run, items=child.items)
        execution = self._begin(origin, str(uuid.uuid4()), child.text)
        if run.origin.machine.kind == "STANDARD":
            with self._lock:
                self._executions[execution.arn] = execution
        return execution

    def _describe_map_run(self, payload: dict[str, Any]) -> dict[str, Any]:
        return self._map_run(payload).describe()

    def _list_map_runs(self, payload: dict[str, Any]) -> dict[str, Any]:
        arn = self._execution(payload).arn
        of_execution = [run for run in self._map_runs.values() if run.execution_arn == arn]
        runs, token = _page(of_execution, payload, newest_first=True)
        listed = [
            _present(
                {
                    "executionArn": run.execution_arn,
                    "mapRunArn": run.arn,
                    "stateMachineArn": run.origin.machine.arn,
                    "startDate": run.start,
                    "stopDate": run.stop or None,
                }
            )
            for run in runs
        ]
        return {"mapRuns": listed, **token}

    def _update_map_run(self, payload: dict[str, Any]) -> dict[str, Any]:
        run = self._map_run(payload)
        if run.status != "RUNNING":
            raise ServiceError("ValidationException", f"Map Run is {run.status} and cannot be updated")
        if "maxConcurrency" in payload:
            run.max_concurrency = payload["maxConcurrency"] or MAP_RUN_CONCURRENCY
        run.tolerated_count = payload.get("toleratedFailureCount", run.tolerated_count)
        run.tolerated_percentage = payload.get("toleratedFailurePercentage", run.tolerated_percentage)
        self._loop.call_soon_threadsafe(run.open_lanes)
        return {}

    def _map_run(self, payload: dict[str, Any]) -> MapRun:
        arn = payload["mapRunArn"]
        if arn not in self._map_runs:
            raise ServiceError("ResourceNotFound", f"Resource not found: '{arn}'")
        return self._map_runs[arn]

    # Events

    def _publish(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._publish_event(event)
            except Exception:
                logger.exception("the event of %s was not published", event["resources"][0])

    def _status_event(self, execution: Execution) -> dict[str, Any]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html, Standard only."""
        status, stop, output, error, cause = execution.outcome
        output_size = byte_length(json.dumps(output)) if output is not None else 0
        with_output = output_size <= EVENT_DATA_BYTES
        with_input = byte_length(json.dumps(execution.input)) + output_size * with_output <= EVENT_DATA_BYTES
        detail = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.origin.machine.arn,
            "stateMachineVersionArn": execution.origin.version_arn,
            "stateMachineAliasArn": None,
            "name": execution.name,
            "status": status,
            "startDate": int(execution.start * 1000),
            "stopDate": int(stop * 1000) if stop is not None else None,
            "input": execution.input if with_input else None,
            "inputDetails": {"included": with_input},
            "output": output if with_output else None,
            "outputDetails": {"included": with_output} if output is not None else None,
            "error": error,
            "cause": cause,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": "NOT_REDRIVABLE" if status in ("RUNNING", "SUCCEEDED") else "REDRIVABLE",
        }
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": ACCOUNT,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [execution.arn],
            "detail": detail,
        }

    # Look-ups

    def _arn(self, *words: str) -> str:
        return ":".join(("arn:aws:states", REGION, ACCOUNT, *words))

    def _machine(self, arn: str) -> Machine:
        if arn not in self._machines:
            raise ServiceError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return self._machines[arn]

    def _origin(self, arn: str) -> Origin:
        """The machine and revision that the ARN of a state machine or of a version means."""
        owner = self._machines.get(arn.rpartition(":")[0])
        version = next((version for version in owner.versions if version.arn == arn), None) if owner else None
        if owner and version:
            return Origin(owner, version.revision, arn)
        machine = self._machine(arn)
        return Origin(machine, machine.revision, None)

    def _execution(self, payload: dict[str, Any]) -> Execution:
        arn = payload["executionArn"]
        if arn not in self._executions:
            raise ServiceError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return self._executions[arn]


ACTIONS: dict[str, tuple[Callable[[StepFunctions, dict[str, Any]], Any], tuple[str, ...]]] = {
    "CreateStateMachine": (StepFunctions._create_state_machine, ("name", "definition", "roleArn")),
    "UpdateStateMachine": (StepFunctions._update_state_machine, ("stateMachineArn",)),
    "DescribeStateMachine": (StepFunctions._describe_state_machine, ("stateMachineArn",)),
    "DeleteStateMachine": (StepFunctions._delete_state_machine, ("stateMachineArn",)),
    "ListStateMachines": (StepFunctions._list_state_machines, ()),
    "ValidateStateMachineDefinition": (StepFunctions._validate_state_machine_definition, ("definition",)),
    "PublishStateMachineVersion": (StepFunctions._publish_state_machine_version, ("stateMachineArn",)),
    "DeleteStateMachineVersion": (StepFunctions._delete_state_machine_version, ("stateMachineVersionArn",)),
    "ListStateMachineVersions": (StepFunctions._list_state_machine_versions, ("stateMachineArn",)),
    "TagResource": (StepFunctions._tag_resource, ("resourceArn", "tags")),
    "UntagResource": (StepFunctions._untag_resource, ("resourceArn", "tagKeys")),
    "ListTagsForResource": (StepFunctions._list_tags_for_resource, ("resourceArn",)),
    "StartExecution": (StepFunctions._start_execution, ("stateMachineArn",)),
    "StartSyncExecution": (StepFunctions._start_sync_execution, ("stateMachineArn",)),
    "StopExecution": (StepFunctions._stop_execution, ("executionArn",)),
    "DescribeExecution": (StepFunctions._describe_execution, ("executionArn",)),
    "DescribeStateMachineForExecution": (
        StepFunctions._describe_state_machine_for_execution,
        ("executionArn",),
    ),
    "ListExecutions": (StepFunctions._list_executions, ()),
    "GetExecutionHistory": (StepFunctions._get_execution_history, ("executionArn",)),
    "DescribeMapRun": (StepFunctions._describe_map_run, ("mapRunArn",)),
    "ListMapRuns": (StepFunctions._list_map_runs, ("executionArn",)),
    "UpdateMapRun": (StepFunctions._update_map_run, ("mapRunArn",)),
}


def _check_definition(definition: str, kind: str) -> None:
    findings = diagnose(definition, kind)
    if findings:
        told = ", ".join(
            f"{finding.code}: {finding.message} at {finding.location or '/'}" for finding in findings
        )
        raise ServiceError("InvalidDefinition", f"Invalid State Machine Definition: '{told}'")


def _check_start(name: str, text: str) -> None:
    if not NAME.fullmatch(name):
        raise ServiceError("InvalidName", f"Invalid Name: '{name}'")
    if byte_length(text) > PAYLOAD_BYTES:
        raise ServiceError("InvalidExecutionInput", f"The input has more than {PAYLOAD_BYTES} bytes in UTF-8")
    try:
        json.loads(text)
    except ValueError as error:
        raise ServiceError(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'"
        ) from error


def _publish(machine: Machine, description: str) -> Version:
    """A new version, or the newest one if the revision has been published already."""
    if machine.versions and machine.versions[-1].revision is machine.revision:
        return machine.versions[-1]
    machine.published += 1
    machine.versions.append(Version(f"{machine.arn}:{machine.published}", machine.revision, description))
    return machine.versions[-1]


def _describe(revision: Revision) -> dict[str, Any]:
    return {
        "definition": revision.definition,
        "roleArn": revision.role_arn,
        "revisionId": revision.revision_id,
        **revision.settings,
    }


def _label(revision: Revision, state_name: str) -> str:
    """The label of a Map state that has none: unique, and the same as long as the definition is."""
    return str(uuid.uuid5(uuid.UUID(revision.revision_id), state_name))


def _summary(execution: Execution) -> dict[str, Any]:
    outcome, origin = execution.outcome, execution.origin
    answer = {
        "executionArn": execution.arn,
        "stateMachineArn": origin.machine.arn,
        "stateMachineVersionArn": origin.version_arn,
        "mapRunArn": origin.map_run.arn if origin.map_run else None,
        "itemCount": origin.items or None,
        "name": execution.name,
        "status": outcome.status,
        "startDate": execution.start,
        "stopDate": outcome.stop,
    }
    return _present(answer)


def _describe_execution(execution: Execution) -> dict[str, Any]:
    _, _, output, error, cause = execution.outcome
    answer = {
        "input": execution.input,
        "inputDetails": {"included": True},
        "output": output,
        "outputDetails": {"included": True} if output is not None else None,
        "error": error,
        "cause": cause,
    }
    summary = _summary(execution)
    summary.pop("itemCount", None)
    return summary | _present(answer)


def _without_data(event: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {key: item for key, item in value.items() if key not in EXECUTION_DATA}
        if isinstance(value, dict)
        else value
        for name, value in event.items()
    }


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _page(
    items: list[Any], payload: dict[str, Any], newest_first: bool = False
) -> tuple[list[Any], dict[str, str]]:
    """One page of items, which are ordered by age, and the token of the next.

    Newest first, the token counts the items that remain, so that newer ones cannot shift the pages.
    """
    size = min(payload.get("maxResults") or PAGE, LARGEST_PAGE)
    token = payload.get("nextToken")
    if token is not None and not token.isdecimal():
        raise ServiceError("InvalidToken", f"Invalid Token: '{token}'")
    if newest_first:
        end = len(items) if token is None else int(token)
        start = max(0, end - size)
        return items[start:end][::-1], {"nextToken": str(start)} if start else {}
    start = int(token or 0)
    end = start + size
    return items[start:end], {"nextToken": str(end)} if end < len(items) else {}


def _at_end(
    execution: Execution, describe: Callable[[Execution], dict[str, Any]]
) -> "Future[dict[str, Any]]":
    """A future of what can be reported about an execution that has ended."""
    answer: Future[dict[str, Any]] = Future()
    execution.ended.add_done_callback(lambda _: answer.set_result(describe(execution)))
    return answer
