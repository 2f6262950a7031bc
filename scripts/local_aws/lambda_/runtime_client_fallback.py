"""The runtime client's transport over http.client, for machines on which its compiled one is not built.

awslambdaric compiles it on Linux only; the interface is that of its `runtime_client` extension.
"""

import http.client
import os

_connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
_identity: dict[str, str] = {}


def initialize_client(user_agent: str) -> None:
    _identity["User-Agent"] = user_agent


def next() -> tuple[bytes, dict[str, str]]:  # noqa: A001
    return _call("GET", "next", None, {})


def post_invocation_result(
    invoke_id: str, data: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    _call("POST", f"{invoke_id}/response", data, {"Content-Type": content_type, **_named(invocation_id)})


def post_error(invoke_id: str, data: str, xray_fault: str, invocation_id: str | None = None) -> None:
    headers = {"Content-Type": "application/json", **_named(invocation_id)}
    if xray_fault.isascii():
        headers["Lambda-Runtime-Function-XRay-Error-Cause"] = xray_fault
    _call("POST", f"{invoke_id}/error", data.encode(), headers)


def _named(invocation_id: str | None) -> dict[str, str]:
    return {"Lambda-Runtime-Invocation-Id": invocation_id} if invocation_id else {}


def _call(
    method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[bytes, dict[str, str]]:
    _connection.request(method, f"/2018-06-01/runtime/invocation/{path}", body, {**_identity, **headers})
    answer = _connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"The Runtime API answered {answer.status} to {path}: {text!r}")
    return text, dict(answer.getheaders())
