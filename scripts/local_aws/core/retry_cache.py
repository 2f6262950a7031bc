"""Gives the repeated attempt of one SDK call the answer that got lost on its way.

An SDK that gets no answer sends the call again, and a "create" that had succeeded fails with "already exists".
Terraform's provider did so to one request in 900 until `server.Answering` fixed the cause; this is the
safety net below it.
SDKs number their attempts, so the second one can be recognised:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

KEPT_ANSWERS = 1000
LARGEST_BODY = 65_536

Start = tuple[str, list[tuple[str, str]]]


class RepeatedAttempts:
    """A WSGI application in front of another one; only successful calls that change something are remembered."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._answers: OrderedDict[str, tuple[Start, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if not call or environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return self._application(environ, start_response)
        with self._lock:
            remembered = self._answers.get(call)
        if remembered is not None:
            start, body = remembered
            start_response(*start)
            return [body]
        return self._first_attempt(call, environ, start_response)

    def _first_attempt(
        self, call: str, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        started: list[Start] = []

        def remember(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
            started.append((status, list(headers)))
            return start_response(status, headers, error) if error else start_response(status, headers)

        body = b"".join(self._application(environ, remember))
        if started[-1][0].startswith("2") and len(body) <= LARGEST_BODY:
            with self._lock:
                self._answers[call] = (started[-1], body)
                while len(self._answers) > KEPT_ANSWERS:
                    self._answers.popitem(last=False)
        return [body]
