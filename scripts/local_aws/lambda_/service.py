"""AWS Lambda: invoking functions. moto keeps their configuration, versions and aliases.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from moto.awslambda.exceptions import LambdaClientError

from scripts.local_aws.cloudwatch.metrics import Metrics
from scripts.local_aws.core import moto_backends, unpacking
from scripts.local_aws.core.background import Background
from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.core.faults import Call, Faults
from scripts.local_aws.core.log_writer import LogWriter
from scripts.local_aws.core.protocol import Answer, Request, json_answer
from scripts.local_aws.iam.authorization import Authorization, Caller
from scripts.local_aws.lambda_.execution_environment import (
    FunctionProcess,
    Invocation,
    Outcome,
    error_payload,
    link_runtime,
)

logger = logging.getLogger(__name__)

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html; asynchronous events as they were
# before AWS raised that limit, so that what passes here passes there.
SYNCHRONOUS_BYTES = 6 * 1024 * 1024
ASYNCHRONOUS_BYTES = 256 * 1024
LOG_TAIL_BYTES = 4096
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html, in seconds
RETRY_DELAYS = (60, 120)
THROTTLE_DELAY = 1
PROCESSES_PER_FUNCTION = max(2, os.cpu_count() or 2)

INVOCATIONS = re.compile(r"^/2015-03-31/functions/(?P<name>.+)/invocations/?$")
INVOKE_CONFIG = re.compile(r"^/2019-09-25/functions/(?P<name>[^/]+)/event-invoke-config(?P<list>/list)?/?$")


@dataclass
class Result:
    """What an invocation gave: `payload` is the function's answer or, with `error`, its error object."""

    payload: bytes
    error: bool
    version: str
    log_tail: bytes
    request_id: str


class ExecutionEnvironment:
    """A function's process with its log stream."""

    def __init__(
        self, function: Any, folder: Path, runtime: Path, logs: LogWriter, authorization: Authorization
    ) -> None:
        caller = role_of(function)
        day = datetime.now(UTC).strftime("%Y/%m/%d")
        self._stream = f"{day}/[{function.version}]{uuid.uuid4().hex}"
        self._group = function.logs_group_name
        self._logs = logs
        self._version = str(function.version)
        self._memory = function.memory_size
        self._tail: deque[str] = deque(maxlen=200)
        self._logged = authorization.may_log(caller, "lambda:WriteLogs", self._group, self._stream)
        if self._logged:
            logs.open_stream(self._group, self._stream)
        if function.tracing_config.get("Mode") == "Active":
            authorization.allows(caller, "lambda:SendTraces")
        environment = self._environment(function, folder, runtime) | authorization.credentials(caller)
        self.process = FunctionProcess(folder, environment, self._write)

    def invoke(self, invocation: Invocation) -> tuple[Outcome, bytes]:
        """Run one invocation. Returns its outcome and the last 4 KB of its log."""
        self._write([f"START RequestId: {invocation.request_id} Version: {self._version}"])
        outcome = self.process.invoke(invocation)
        duration = outcome.seconds * 1000
        report = f"REPORT RequestId: {invocation.request_id}\tDuration: {duration:.2f} ms\tMemory Size: {self._memory} MB"
        self._write([f"END RequestId: {invocation.request_id}", report])
        text = "\n".join(self._tail).encode()[-LOG_TAIL_BYTES:]
        self._tail.clear()
        return outcome, text

    def _write(self, lines: list[str]) -> None:
        self._tail.extend(lines)
        if self._logged:
            self._logs.write(self._group, self._stream, lines)

    def _environment(self, function: Any, folder: Path, runtime: Path) -> dict[str, str]:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
        reserved = {
            "_HANDLER": function.handler,
            "AWS_DEFAULT_REGION": moto_backends.REGION,
            "AWS_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL"],
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": self._group,
            "AWS_LAMBDA_LOG_STREAM_NAME": self._stream,
            "AWS_REGION": moto_backends.REGION,
            "LAMBDA_RUNTIME_DIR": str(runtime),
            "LAMBDA_TASK_ROOT": str(folder),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
        }
        return {**{name: str(value) for name, value in function.environment_vars.items()}, **reserved}


class Pool:
    """The execution environments of one version of a function: made on demand, kept, and handed out one by one."""

    def __init__(self, fingerprint: str, start: Callable[[], ExecutionEnvironment], size: int) -> None:
        self.fingerprint = fingerprint
        self._start = start
        self._size = size
        self._idle: list[ExecutionEnvironment] = []
        self._all: set[ExecutionEnvironment] = set()
        self._starting = 0
        self._changed = threading.Condition()
        self._retired = False

    def take(self) -> ExecutionEnvironment:
        with self._changed:
            self._forget_ended()
            while not self._idle and len(self._all) + self._starting >= self._size:
                self._changed.wait()
                self._forget_ended()
            if self._idle:
                return self._idle.pop()
            self._starting += 1
        environment = None
        try:
            environment = self._start()
        finally:
            with self._changed:
                self._starting -= 1
                if environment:
                    self._all.add(environment)
                self._changed.notify()
        return environment

    def _forget_ended(self) -> None:
        ended = [environment for environment in self._idle if environment.process.ended]
        self._idle = [environment for environment in self._idle if environment not in ended]
        self._all.difference_update(ended)

    def give_back(self, environment: ExecutionEnvironment, alive: bool) -> None:
        with self._changed:
            keep = alive and not self._retired
            if keep:
                self._idle.append(environment)
            else:
                self._all.discard(environment)
            self._changed.notify()
        if alive and not keep:
            environment.process.stop()

    def retire(self, at_once: bool = False) -> None:
        """End idle execution environments now and busy ones after their invocation, or all `at_once`."""
        with self._changed:
            self._retired = True
            idle = list(self._all) if at_once else self._idle
            self._idle = []
            self._all.difference_update(idle)
        for environment in idle:
            environment.process.stop()


class LambdaService:
    """Lambda's data plane and its configuration of asynchronous invocation.

    Args:
        state_dir: packages are unpacked below it.
        background: runs asynchronous invocations and their retries.
        faults: what fails on purpose.
        authorization: decides what a function's role may do.
        metrics: counts invocations, and what functions count themselves.
    """

    def __init__(
        self,
        state_dir: Path,
        background: Background,
        faults: Faults,
        authorization: Authorization,
        metrics: Metrics,
    ) -> None:
        self._folder = state_dir / "functions"
        self._metrics = metrics
        self._background = background
        self._faults = faults
        self._authorization = authorization
        self._logs = LogWriter(metrics.embed)
        self._lock = threading.Lock()
        self._runtime: Path | None = None
        self._pools: dict[tuple[str, str], Pool] = {}
        self._in_flight: dict[str, int] = {}
        self._invoke_configs: dict[tuple[str, str], dict[str, Any]] = {}
        self.call_service: Callable[[str, dict[str, Any], Caller], Any] | None = None

    def answer(self, request: Request) -> Answer | None:
        """Answer an Invoke or an event-invoke-config call; None leaves the request to moto."""
        if match := INVOCATIONS.match(request.path):
            return self._answer_invoke(request, match["name"])
        if match := INVOKE_CONFIG.match(request.path):
            return self._answer_invoke_config(request, match["name"], bool(match["list"]))
        return None

    def _answer_invoke(self, request: Request, name: str) -> Answer:
        payload, qualifier = request.body() or b"{}", request.query.get("Qualifier")
        kind = request.header("X-Amz-Invocation-Type", "RequestResponse")
        if kind == "DryRun":
            self._resolve(name, qualifier)
            return Answer(status=204)
        if kind == "Event":
            request_id = self.invoke_async(name, payload, qualifier)
            return Answer(status=202, headers={"x-amzn-RequestId": request_id})
        result = self.invoke(name, payload, qualifier)
        headers = {
            "Content-Type": "application/json",
            "X-Amz-Executed-Version": result.version,
            "x-amzn-RequestId": result.request_id,
        }
        if result.error:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if request.header("X-Amz-Log-Type") == "Tail":
            headers["X-Amz-Log-Result"] = base64.b64encode(result.log_tail).decode()
        return Answer(result.payload, 200, headers)

    def invoke(self, name: str, payload: bytes, qualifier: str | None = None) -> Result:
        """Run a function and wait for it.

        Args:
            name: function name or ARN, with or without a qualifier.
            payload: the event, JSON.

        Raises ServiceError ResourceNotFoundException, TooManyRequestsException,
        InvalidRequestContentException or RequestTooLargeException.
        """
        function = self._resolve(name, qualifier)
        _check_payload(payload, SYNCHRONOUS_BYTES)
        return self._run(function, name, qualifier, payload, str(uuid.uuid4()))

    def invoke_async(
        self, name: str, payload: bytes, qualifier: str | None = None, caller: Caller | None = None
    ) -> str:
        """Queue an event for a function and return the request's id. Raises like `invoke`.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html; a caller inside the one-machine AWS must be
        allowed to.
        """
        self._resolve(name, qualifier)
        if caller is not None:
            self._authorization.check(caller, "lambda:Invoke", FunctionName=name, Qualifier=qualifier)
        _check_payload(payload, ASYNCHRONOUS_BYTES)
        request_id = str(uuid.uuid4())
        self._background.submit(self._attempt, name, payload, qualifier, request_id, 1)
        return request_id

    def install(self) -> None:
        """Make invocations inside moto (event source mappings, log subscriptions) run here."""

        def invoke(function: Any, body: str, _headers: Any, response_headers: Any) -> bytes:
            result = self.invoke(function.function_arn, body.encode())
            if result.error:
                response_headers["x-amz-function-error"] = "Unhandled"
            return result.payload

        moto_backends.moto_module("awslambda.models").LambdaFunction.invoke = invoke

    def sweep(self) -> None:
        """Forget functions that were deleted and end the processes of those deleted or changed."""
        for key in list(self._invoke_configs):
            if self._fingerprint_of(*key) is None:
                self._invoke_configs.pop(key, None)
        with self._lock:
            outdated = [
                key for key, pool in self._pools.items() if self._fingerprint_of(*key) != pool.fingerprint
            ]
            pools = [self._pools.pop(key) for key in outdated]
        for pool in pools:
            pool.retire()

    def stop(self) -> None:
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.retire(at_once=True)
        self._logs.stop()

    def _resolve(self, name: str, qualifier: str | None) -> Any:
        try:
            return moto_backends.functions().get_function(name, qualifier)
        except LambdaClientError as error:
            raise ServiceError("ResourceNotFoundException", str(error.description), 404) from error

    def _fingerprint_of(self, name: str, version: str) -> str | None:
        try:
            return _fingerprint(self._resolve(name, version))
        except ServiceError:
            return None

    def _run(
        self, function: Any, name: str, qualifier: str | None, payload: bytes, request_id: str
    ) -> Result:
        invocation = Invocation(request_id, _invoked_arn(name, qualifier), payload, float(function.timeout))
        try:
            with self._faults.during(Call("lambda", "Invoke", function.function_name, payload)) as fault:
                self._enter(function)
                try:
                    outcome, tail = self._invoke_sandbox(function, invocation, fault.get("crash"))
                finally:
                    self._leave(function)
                self._count(function, outcome)
        except ServiceError as error:
            if error.status == 429:
                self._metrics.add("AWS/Lambda", {"Throttles": 1.0}, {"FunctionName": function.function_name})
            raise
        if len(outcome.payload) > SYNCHRONOUS_BYTES + 100:
            message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
            outcome = Outcome(error_payload("Function.ResponseSizeTooLarge", message), error=True)
        return Result(outcome.payload, outcome.error, str(function.version), tail, request_id)

    def _count(self, function: Any, outcome: Outcome) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"""
        values = {
            "Invocations": 1.0,
            "Errors": float(outcome.error),
            "Throttles": 0.0,
            "Duration": float(round(outcome.seconds * 1000)),
        }
        self._metrics.add("AWS/Lambda", values, {"FunctionName": function.function_name})

    def _invoke_sandbox(
        self, function: Any, invocation: Invocation, crash: str | None
    ) -> tuple[Outcome, bytes]:
        """Run one invocation; a wanted crash happens to a real process."""
        pool = self._pool(function)
        if crash == "import":
            broken = copy.copy(function)
            broken.handler = "no_such_module.lambda_handler"
            pool = Pool("broken", lambda: self._start(broken), 1)
        elif crash == "timeout":
            invocation.timeout = 0
        environment = pool.take()
        if crash == "memory":
            environment.process.kill()
        alive = False
        try:
            outcome, tail = environment.invoke(invocation)
            alive = outcome.alive
        finally:
            pool.give_back(environment, alive)
        return outcome, tail

    def _enter(self, function: Any) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"""
        latest = self._resolve(function.function_name, None)
        reserved = latest.reserved_concurrency
        with self._lock:
            running = self._in_flight.get(function.function_name, 0)
            if reserved is not None and running >= int(reserved):
                raise ServiceError("TooManyRequestsException", "Rate Exceeded.", 429)
            self._in_flight[function.function_name] = running + 1

    def _leave(self, function: Any) -> None:
        with self._lock:
            self._in_flight[function.function_name] -= 1

    def _pool(self, function: Any) -> Pool:
        key, fingerprint = (function.function_name, str(function.version)), _fingerprint(function)
        with self._lock:
            old = self._pools.get(key)
            if old and old.fingerprint == fingerprint:
                return old
            pool = Pool(fingerprint, lambda: self._start(function), PROCESSES_PER_FUNCTION)
            self._pools[key] = pool
        if old:
            old.retire()
        return pool

    def _start(self, function: Any) -> ExecutionEnvironment:
        if not self._authorization.assumes(role_of(function)):
            message = "The role defined for the function cannot be assumed by Lambda."
            raise ServiceError("AccessDeniedException", message, 403)
        with self._lock:
            folder = self._unpack(function)
            self._runtime = self._runtime or link_runtime(self._folder / "runtime")
        return ExecutionEnvironment(function, folder, self._runtime, self._logs, self._authorization)

    def _unpack(self, function: Any) -> Path:
        """The package's folder, one per content."""
        digest = hashlib.sha256(function.code_bytes).hexdigest()[:16]
        folder = self._folder / function.function_name / digest
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            try:
                unpacking.package(function.code_bytes, partial)
            except unpacking.NotUnpacked as error:
                message = f"Lambda could not unzip the deployment package: {error}"
                raise ServiceError("InvalidZipFileException", message, 502) from error
            partial.rename(folder)
        return folder

    def _attempt(
        self, name: str, payload: bytes, qualifier: str | None, request_id: str, attempt: int
    ) -> None:
        try:
            function = self._resolve(name, qualifier)
            result = self._run(function, name, qualifier, payload, request_id)
        except ServiceError as error:
            if error.status == 429 or error.status >= 500:
                self._background.submit(
                    self._attempt, name, payload, qualifier, request_id, attempt, delay=THROTTLE_DELAY
                )
            return
        config = self._invoke_config(function, name, qualifier)
        if result.error and attempt <= min(config.get("MaximumRetryAttempts", 2), len(RETRY_DELAYS)):
            delay = RETRY_DELAYS[attempt - 1]
            self._background.submit(
                self._attempt, name, payload, qualifier, request_id, attempt + 1, delay=delay
            )
            return
        outcome = "OnFailure" if result.error else "OnSuccess"
        destination = config.get("DestinationConfig", {}).get(outcome, {}).get("Destination")
        if destination:
            arn = _invoked_arn(name, qualifier)
            record = _invocation_record(arn, payload, result, attempt)
            self._deliver(destination, json.dumps(record), role_of(function))
        if result.error and function.dead_letter_config.get("TargetArn"):
            self._deliver_dead_letter(
                function.dead_letter_config["TargetArn"], payload, result, role_of(function)
            )

    def _deliver(self, destination: str, text: str, caller: Caller) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html"""
        assert self.call_service is not None
        service = destination.split(":")[2]
        if service == "sqs":
            content = {"QueueUrl": queue_url(destination), "MessageBody": text}
            self.call_service("arn:aws:states:::sqs:sendMessage", content, caller)
        elif service == "sns":
            content = {"TopicArn": destination, "Message": text}
            self.call_service("arn:aws:states:::sns:publish", content, caller)
        elif service == "lambda":
            self.invoke_async(destination, text.encode(), caller=caller)
        else:
            logger.error("The destination %s is of a kind that is not emulated", destination)

    def _deliver_dead_letter(self, destination: str, payload: bytes, result: Result, caller: Caller) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq"""
        assert self.call_service is not None
        message = json.loads(result.payload).get("errorMessage", "")[:1024]
        attributes = {
            "RequestID": {"DataType": "String", "StringValue": result.request_id},
            "ErrorCode": {"DataType": "Number", "StringValue": "200"},
            "ErrorMessage": {"DataType": "String", "StringValue": message or "-"},
        }
        content: dict[str, Any] = {"MessageAttributes": attributes}
        if destination.split(":")[2] == "sqs":
            content |= {"QueueUrl": queue_url(destination), "MessageBody": payload.decode()}
            self.call_service("arn:aws:states:::sqs:sendMessage", content, caller)
        else:
            content |= {"TopicArn": destination, "Message": payload.decode()}
            self.call_service("arn:aws:states:::sns:publish", content, caller)

    def _invoke_config(self, function: Any, name: str, qualifier: str | None) -> dict[str, Any]:
        used = qualifier or _qualifier_in(name) or "$LATEST"
        return self._invoke_configs.get((function.function_name, used), {})

    def _answer_invoke_config(self, request: Request, name: str, list_all: bool) -> Answer:
        """https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html"""
        qualifier = request.query.get("Qualifier") or _qualifier_in(name) or "$LATEST"
        function = self._resolve(name, qualifier)
        key = (function.function_name, qualifier)
        if list_all:
            found = [value for (owner, _), value in self._invoke_configs.items() if owner == key[0]]
            return json_answer({"FunctionEventInvokeConfigs": found})
        if request.method in ("PUT", "POST"):
            base = self._invoke_configs.get(key, {}) if request.method == "POST" else {}
            arn = moto_backends.arn("lambda", f"function:{key[0]}:{qualifier}")
            facts = {"FunctionArn": arn, "LastModified": datetime.now(UTC).timestamp()}
            self._invoke_configs[key] = {"DestinationConfig": {}, **base, **request.json(), **facts}
        elif key not in self._invoke_configs:
            message = f"The function {function.function_arn} doesn't have an EventInvokeConfig"
            raise ServiceError("ResourceNotFoundException", message, 404)
        if request.method == "DELETE":
            del self._invoke_configs[key]
            return Answer(status=204)
        return json_answer(self._invoke_configs[key])


def role_of(function: Any) -> Caller:
    """Lambda documents no SourceArn for the roles of functions, and names the session after the function."""
    return Caller("lambda.amazonaws.com", function.role, session=function.function_name)


def queue_url(arn: str) -> str:
    """The URL of the queue with this ARN, as moto understands it."""
    return f"{os.environ['AWS_ENDPOINT_URL']}/{arn.split(':')[4]}/{arn.split(':')[5]}"


def _fingerprint(function: Any) -> str:
    """Changes with everything a running process was started with."""
    parts = (
        function.code_sha_256,
        function.handler,
        function.run_time,
        function.memory_size,
        function.role,
        function.logs_group_name,
        sorted(function.environment_vars.items()),
    )
    return repr(parts)


def _check_payload(payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise ServiceError("RequestTooLargeException", message, 413)
    try:
        json.loads(payload)
    except ValueError as error:
        message = f"Could not parse request body into json: {error}"
        raise ServiceError("InvalidRequestContentException", message) from error


def _qualifier_in(name: str) -> str | None:
    parts = name.split(":")
    if name.startswith("arn:"):
        return parts[7] if len(parts) > 7 else None
    return parts[1] if len(parts) == 2 else None


def _invoked_arn(name: str, qualifier: str | None) -> str:
    arn = name if name.startswith("arn:") else moto_backends.arn("lambda", f"function:{name}")
    return f"{arn}:{qualifier}" if qualifier and not _qualifier_in(name) else arn


def _invocation_record(arn: str, payload: bytes, result: Result, attempts: int) -> dict[str, Any]:
    context: dict[str, Any] = {"statusCode": 200, "executedVersion": result.version}
    if result.error:
        context["functionError"] = "Unhandled"
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "requestContext": {
            "requestId": result.request_id,
            "functionArn": arn if _qualifier_in(arn) else f"{arn}:$LATEST",
            "condition": "RetriesExhausted" if result.error else "Success",
            "approximateInvokeCount": attempts,
        },
        "requestPayload": json.loads(payload),
        "responseContext": context,
        "responsePayload": json.loads(result.payload or b"null"),
    }
