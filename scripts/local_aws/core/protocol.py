"""The HTTP side of AWS's interfaces: what a request says about itself, and answers in its protocol."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

from scripts.local_aws.core.errors import ServiceError

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class Answer:
    """An HTTP answer."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Request:
    """The parts of a WSGI request that the services look at.

    `access_key`, `service` and `region` come from the credential and its scope in the signature, as in
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path = unquote(environ.get("REQUEST_URI", environ["PATH_INFO"]).split("?", 1)[0])
        self.query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        self.access_key, self.region, self.service = _credential(environ.get("HTTP_AUTHORIZATION", ""))
        self.action: str = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]

    def header(self, name: str, default: str = "") -> str:
        """The header's value; `name` as AWS writes it, e.g. `X-Amz-Invocation-Type`."""
        return self.environ.get("HTTP_" + name.upper().replace("-", "_"), default)

    @property
    def content_type(self) -> str:
        return self.environ.get("CONTENT_TYPE", "")

    def body(self) -> bytes:
        """The request's body, untouched. It can be read once."""
        return self.environ["wsgi.input"].read()

    def json(self) -> dict[str, Any]:
        """The body of a JSON protocol. Raises ServiceError when it is not JSON."""
        try:
            payload = json.loads(self.body() or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", f"The request body is not JSON: {error}") from error
        if not isinstance(payload, dict):
            raise ServiceError("SerializationException", "The request body is not a JSON object")
        return payload


def _credential(authorization: str) -> tuple[str, str, str]:
    _, _, credential = authorization.partition("Credential=")
    parts = credential.partition(",")[0].split("/")
    return (parts[0], parts[-3], parts[-2]) if len(parts) >= 5 else ("", "", "")


def json_answer(payload: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """An answer of the JSON protocols."""
    kind = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())}
    return Answer(json.dumps(payload).encode(), status, kind | (headers or {}))


def error_answer(request: Request, error: ServiceError) -> Answer:
    """The error in the protocol the request speaks: JSON, S3's XML or the query protocol's XML.

    https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html,
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """
    if request.action or request.service in ("lambda", "sagemaker"):
        headers = {"x-amzn-ErrorType": error.code}
        return json_answer({"__type": error.code, "message": error.message}, error.status, headers)
    if request.method == "HEAD":
        return Answer(status=error.status)
    inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if request.service == "s3":
        body = f"<Error>{inner}</Error>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error></ErrorResponse>"
    return Answer(body.encode(), error.status, {"Content-Type": "text/xml"})


def send(answer: Answer, start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Give the answer to the WSGI server."""
    headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
    start_response(f"{answer.status} {'OK' if answer.status < 400 else 'Error'}", headers)
    return [answer.body]


def call_json(
    application: WsgiApplication, service: str, target: str, payload: dict[str, Any]
) -> dict[str, Any]:
    """Call a JSON-protocol action inside the process.

    Raises ServiceError with the service's own code, message and status.
    """
    body = json.dumps(payload).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/x-amz-json-1.0",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_X_AMZ_TARGET": target,
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential=local/20200101/us-east-1/{service}/aws4_request, ",
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    status: list[str] = []
    text = b"".join(application(environ, lambda line, *_: status.append(line)))
    result = json.loads(text or b"{}")
    code = int(status[0].split()[0])
    if code >= 400:
        name = str(result.get("__type", "InternalFailure")).rpartition("#")[2]
        raise ServiceError(name, result.get("message") or result.get("Message") or name, code)
    return result
