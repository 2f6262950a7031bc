"""Faults on purpose: rules that make chosen requests fail in the ways in which AWS fails.

`POST /_local/faults` adds a rule (JSON, see README.md) and answers its id, `GET` shows how often each was met
and struck, `DELETE /_local/faults` ends all of them and `DELETE /_local/faults/ID` one; what hung then goes on.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qs

from scripts.local_aws.core.errors import AnswerLost, ServiceError
from scripts.local_aws.core.protocol import Answer, Request, json_answer

PATH = "/_local/faults"
MATCHED = ("service", "operation", "resource")
FREQUENCIES = ("first", "every", "probability")
EFFECTS = ("error", "delay", "close", "lost", "cut", "crash", "answer", "kill")
CRASHES = ("import", "memory", "timeout")
# Where the JSON and query protocols name what a request is about.
RESOURCE_FIELDS = ("TableName", "QueueUrl", "TopicArn", "stateMachineArn")
S3_OBJECT_OPERATIONS = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}

Fault = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request, as rules see it: for S3 the resource is `bucket/key`, elsewhere the resource's bare name.

    `body` distinguishes it from others of its kind: its body, or its inference id.
    """

    service: str
    operation: str
    resource: str
    body: bytes = b""


class Rule:
    """Which requests fail, how often, and how."""

    def __init__(self, number: int, wanted: dict[str, Any]) -> None:
        _check(wanted)
        self.number = number
        self.fault: Fault = wanted["fault"]
        self.ended = threading.Event()
        self._wanted = wanted
        self._chance = random.Random(wanted.get("seed", 0))  # noqa: S311
        self._met = self._struck = 0

    def describe(self) -> dict[str, Any]:
        return {"id": self.number, **self._wanted, "met": self._met, "struck": self._struck}

    def covers(self, call: Call) -> bool:
        patterns = (self._wanted.get(name, "*") for name in MATCHED)
        names = (call.service, call.operation, call.resource)
        return (
            all(map(fnmatchcase, names, patterns)) and self._wanted.get("contains", "").encode() in call.body
        )

    def strikes(self) -> bool:
        """Whether this request, one of those that the rule covers, fails; called once for each."""
        self._met += 1
        wanted = self._wanted
        struck = (
            self._met <= wanted.get("first", self._met)
            and self._met % wanted.get("every", 1) == 0
            and self._chance.random() < wanted.get("probability", 1)
        )
        self._struck += struck
        return struck


class Faults:
    """The rules, oldest first; the first that covers a request and strikes decides what becomes of it."""

    def __init__(self) -> None:
        self._rules: dict[int, Rule] = {}
        self._added = 0
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """Answer the administration of rules."""
        number = request.path.removeprefix(PATH).strip("/")
        if request.method == "POST":
            wanted = request.json()
            with self._lock:
                self._added += 1
                self._rules[self._added] = Rule(self._added, wanted)
                return json_answer({"id": self._added})
        if request.method == "DELETE":
            self.end(int(number) if number.isdigit() else None)
            return json_answer({})
        with self._lock:
            return json_answer([rule.describe() for rule in self._rules.values()])

    def end(self, number: int | None = None) -> None:
        """End one rule or all of them."""
        with self._lock:
            for rule in [each for each in self._rules.values() if number in (None, each.number)]:
                rule.ended.set()
                del self._rules[rule.number]

    @contextlib.contextmanager
    def during(self, call: Call) -> Iterator[Fault]:
        """Around the performing of a request: raises ServiceError or AnswerLost before or after it.

        Yields what is left to the caller (`cut`, `crash`, `answer`, `kill`).
        """
        rule = self._pick(call)
        if rule is None:
            yield {}
            return
        if "delay" in rule.fault:
            rule.ended.wait(rule.fault["delay"])
        _fail(rule.fault)
        yield rule.fault
        if "lost" in rule.fault:
            _fail(rule.fault["lost"])

    def during_request(self, request: Request) -> contextlib.AbstractContextManager[Fault]:
        """`during` for a request that comes over HTTP."""
        return self.during(_call_of(request)) if self._rules else contextlib.nullcontext({})

    def _pick(self, call: Call) -> Rule | None:
        with self._lock:
            return next((rule for rule in self._rules.values() if rule.covers(call) and rule.strikes()), None)


def perform_cut(
    fault: Fault, application: Callable[..., Any], environ: dict[str, Any], start_response: Callable[..., Any]
) -> list[bytes]:
    """Let a WSGI application answer; with `cut`, fewer bytes arrive than its Content-Length says.

    Nothing is started before the whole answer is there: it may yet get lost.
    """
    started: list[Any] = []
    body = b"".join(application(environ, lambda *start: started.append(start)))
    start_response(*started[-1])
    return [body[: fault.get("cut")]]


def resource_of(payload: dict[str, Any]) -> str:
    """The bare name of what a request is about."""
    named = next((str(payload[field]) for field in RESOURCE_FIELDS if field in payload), "")
    return re.split("[:/]", named)[-1]


def _call_of(request: Request) -> Call:
    if request.service == "s3":
        bucket, _, key = request.path.lstrip("/").partition("/")
        asked = parse_qs(request.environ.get("QUERY_STRING", ""), keep_blank_values=True)
        plain = not set(asked) - {"versionId", "x-id"}
        operation = S3_OBJECT_OPERATIONS.get(request.method, "") if key and plain else ""
        return Call("s3", operation, f"{bucket}/{key}")
    body = request.body()
    request.environ["wsgi.input"] = io.BytesIO(body)  # it can be read once
    if request.action:
        with contextlib.suppress(ValueError):
            return Call(request.service, request.action, resource_of(json.loads(body)), body)
    form = {name: values[0] for name, values in parse_qs(body.decode("latin-1")).items()}
    return Call(request.service, form.get("Action", request.action), resource_of(form), body)


def _fail(fault: Fault) -> None:
    if fault.get("close"):
        raise AnswerLost
    if "error" in fault:
        code = fault["error"]
        raise ServiceError(code, fault.get("message", f"{code} on purpose"), fault.get("status", 400))


def _check(wanted: dict[str, Any]) -> None:
    fault, known = wanted.get("fault"), {*MATCHED, *FREQUENCIES, "contains", "seed", "fault"}
    problem = None
    if unknown := set(wanted) - known:
        problem = f"does not know {', '.join(sorted(unknown))}, only {', '.join(sorted(known))}"
    elif not isinstance(fault, dict) or not set(fault) & set(EFFECTS):
        problem = f"needs a fault with at least one of {', '.join(EFFECTS)}"
    elif unknown := set(fault) - {*EFFECTS, "status", "message"}:
        problem = f"does not know the fault {', '.join(sorted(unknown))}, only {', '.join(EFFECTS)}"
    elif fault.get("crash") not in (None, *CRASHES):
        problem = f"does not know the crash {fault['crash']}, only {', '.join(CRASHES)}"
    if problem:
        raise ServiceError("ValidationException", f"The rule {problem}")
