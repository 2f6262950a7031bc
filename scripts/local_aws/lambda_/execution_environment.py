"""One execution environment of a Lambda function: a process and the Runtime API that feeds it.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import queue
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from scripts.local_aws.core import child_processes

# What AWS's Python runtime has beside the standard library.
RUNTIME_PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
# AWS gives initialisation 10 s and, if that was too short, starts it anew within the function's own timeout.
INIT_SECONDS = 10.0
RUNTIME_PREFIX = "/2018-06-01/runtime/"


@dataclass
class Invocation:
    """What the Runtime API hands to the function."""

    request_id: str
    arn: str
    payload: bytes
    timeout: float
    deadline_ms: int = 0


@dataclass
class Outcome:
    """How an invocation ended: the function's answer, or `error` and the error's JSON."""

    payload: bytes
    error: bool = False
    seconds: float = 0.0
    alive: bool = True


def error_payload(kind: str, message: str) -> bytes:
    """The error object of https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def link_runtime(folder: Path) -> Path:
    """Make the folder of runtime packages: links into this environment. Returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RUNTIME_PACKAGES:
        specification = importlib.util.find_spec(name)
        if specification is None or specification.origin is None:
            source, target = Path(__file__).with_name("runtime_client_fallback.py"), folder / f"{name}.py"
        else:
            origin = Path(specification.origin)
            source = origin.parent if specification.submodule_search_locations else origin
            target = folder / source.name
        target.unlink(missing_ok=True)
        target.symlink_to(source)
    return folder


class FunctionProcess:
    """A started function. One invocation at a time.

    Args:
        folder: the unpacked package.
        environment: every variable the function sees, except the Runtime API's address.
        write_log: called with the lines the function prints.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], write_log: Callable[[list[str]], None]
    ) -> None:
        self._invocations: queue.Queue[Invocation | None] = queue.Queue()
        self._outcomes: queue.Queue[Outcome | None] = queue.Queue()
        self._initialised = threading.Event()
        self._write_log = write_log
        self._log_lock = threading.Lock()
        self._log_rest = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = False
        address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        bootstrap = str(Path(__file__).with_name("bootstrap.py"))
        self._process = child_processes.start(
            [sys.executable, "-I", "-S", bootstrap],
            {**environment, "AWS_LAMBDA_RUNTIME_API": address},
            folder,
            watches_input=True,
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        threading.Thread(target=self._accept, daemon=True).start()
        threading.Thread(target=self._follow_output, daemon=True).start()

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run one invocation. The process is dead afterwards if the outcome's `alive` is False."""
        self._initialised.wait(INIT_SECONDS + invocation.timeout)
        started = time.monotonic()
        self._invocations.put(invocation)
        try:
            outcome = self._outcomes.get(timeout=invocation.timeout)
        except queue.Empty:
            message = f"Task timed out after {invocation.timeout:.2f} seconds"
            outcome = self._failure(invocation, "Sandbox.Timedout", message)
        if outcome is None:
            reason = f"Runtime exited with error: {_status(self._process.returncode)}"
            outcome = self._failure(invocation, "Runtime.ExitError", reason)
        outcome.seconds = time.monotonic() - started
        self._drain_output()
        if not outcome.alive:
            self.stop()
        return outcome

    def _failure(self, invocation: Invocation, kind: str, message: str) -> Outcome:
        payload = error_payload(kind, f"RequestId: {invocation.request_id} Error: {message}")
        return Outcome(payload, error=True, alive=False)

    @property
    def ended(self) -> bool:
        """Whether the process is gone, for instance killed from outside."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """What AWS does to a function that takes more memory than it has."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process at once."""
        self._closed = True
        self._invocations.put(None)
        child_processes.stop(self._process)
        with contextlib.suppress(OSError):  # wakes the accepting thread
            socket.create_connection(self._listener.getsockname(), timeout=1).close()

    def next_invocation(self) -> Invocation | None:
        """The next one, or None when the process is to end. Waits for it."""
        self._initialised.set()
        invocation = self._invocations.get()
        if invocation is not None:
            invocation.deadline_ms = int((time.time() + invocation.timeout) * 1000)
        return invocation

    def finish(self, outcome: Outcome | None) -> None:
        """Report how the invocation, or the initialisation, ended; None when the process did."""
        self._outcomes.put(outcome)
        self._initialised.set()

    def _accept(self) -> None:
        with self._listener:
            while not self._closed:
                connection, address = self._listener.accept()
                threading.Thread(target=self._converse, args=(connection, address), daemon=True).start()

    def _converse(self, connection: socket.socket, address: Any) -> None:
        with connection, contextlib.suppress(OSError):
            _RuntimeApi(connection, address, self)  # type: ignore[arg-type]

    def _follow_output(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while selector.select():
                if not self._drain_output():
                    break
        self._process.wait()
        self.finish(None)

    def _drain_output(self) -> bool:
        """Take what the function has printed; False once it can print no more."""
        with self._log_lock, selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while selector.select(0):
                chunk = self._output.read(65536)
                if not chunk:
                    return False
                *lines, self._log_rest = (self._log_rest + chunk).split(b"\n")
                if lines:
                    self._write_log([line.decode("utf-8", "replace") for line in lines])
            return True


def _status(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    return f"exit status {code}"


class _RuntimeApi(BaseHTTPRequestHandler):
    """The Runtime API for one process; `server` is that process."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: FunctionProcess  # type: ignore[assignment]

    def do_GET(self) -> None:
        if self.path != RUNTIME_PREFIX + "invocation/next":
            return self._answer(404, b"{}")
        invocation = self.server.next_invocation()
        if invocation is None:
            self.close_connection = True
            return None
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
        }
        return self._answer(200, invocation.payload, headers)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # killed while it answered: its end is what is reported
            self.close_connection = True
            return
        if self.path.startswith(RUNTIME_PREFIX + "init/error"):
            self.server.finish(Outcome(body, error=True, alive=False))
        else:
            self.server.finish(Outcome(body, error=self.path.endswith("/error")))
        self._answer(202, b'{"status": "OK"}')

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response_only(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
