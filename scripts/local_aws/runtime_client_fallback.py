"""The runtime client's transport over http.client, for machines on which its compiled one is not built.

awslambdaric compiles it on Linux only; the interface is that of its `runtime_client` extension.
"""

import http.client
import os

_connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
_user_agent = "aws-lambda-python"


def initialize_client(user_agent):  # type: ignore[no-untyped-def]
    global _user_agent
    _user_agent = user_agent


def next():  # type: ignore[no-untyped-def]  # noqa: A001
    return _call("GET", "next", None, {})


def post_invocation_result(invoke_id, data, content_type, invocation_id=None):  # type: ignore[no-untyped-def]
    _call("POST", f"{invoke_id}/response", data, {"Content-Type": content_type})


def post_error(invoke_id, data, xray_fault, invocation_id=None):  # type: ignore[no-untyped-def]
    _call("POST", f"{invoke_id}/error", data.encode(), {"Content-Type": "application/json"})


def _call(method, path, body, headers):  # type: ignore[no-untyped-def]
    headers = {"User-Agent": _user_agent, **headers}
    _connection.request(method, f"/2018-06-01/runtime/invocation/{path}", body, headers)
    answer = _connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"The Runtime API answered {answer.status} to {path}: {text!r}")
    return text, dict(answer.getheaders())
