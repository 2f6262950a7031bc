"""The page of `scones review`, for this machine alone.

It listens on the loopback interface. Pages of other sites cannot talk to it: each request must name
this host (against DNS rebinding), carry the token that only the printed address contains, and, if
it changes something, come from the page's own origin.
"""

import contextlib
import hmac
import io
import json
import re
import secrets
import socketserver
import threading
import wsgiref.simple_server
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs

from botocore.exceptions import BotoCoreError, ClientError
from PIL import Image

from functions.common.errors import ImageRejected
from functions.common.picture import read_picture
from scripts.common.static_page import csp_hash, inline, read_part
from scripts.review.queue import Item, NotYours, Reviews
from scripts.workflow.ledger import UNUSABLE

STATIC = Path(__file__).with_name("static")

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 4096
SHOWN_PIXELS = 640
SESSION = re.compile(r"[0-9a-f-]{36}")
# What the page may know about a row.
FACTS = (
    "picture",
    "version",
    "status",
    "label",
    "confidence",
    "threshold",
    "error",
    "cause",
    "time",
    "model",
)

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Refused(Exception):
    """A request that is refused: the HTTP status, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Application:
    """A WSGI application: the page at /, and what it asks for below /api/.

    Args:
        token: what every request below /api/ must carry in X-Scones-Token.
        port: the port it is served on.
    """

    def __init__(self, reviews: Reviews, token: str, port: int) -> None:
        self._reviews, self._token = reviews, token
        self._hosts = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        self._lock = threading.Lock()
        self._offered: dict[str, Item] = {}
        style, script = read_part(STATIC / "review.css"), read_part(STATIC / "review.js")
        data = {"labels": reviews.labels, "unusable": UNUSABLE, "reviewer": reviews.reviewer}
        page = Template(read_part(STATIC / "review.html"))
        self._page = page.substitute(style=style, script=script, data=inline(data)).encode()
        self._policy = (
            f"default-src 'none'; img-src blob:; connect-src 'self'; style-src 'sha256-{csp_hash(style)}'; "
            f"script-src 'sha256-{csp_hash(script)}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        try:
            status, kind, body = self._answer(environ)
        except Refused as refusal:
            status, kind, body = refusal.status, "application/json", _json({"error": str(refusal)})
        except NotYours as error:
            status, kind, body = HTTPStatus.CONFLICT, "application/json", _json({"error": str(error)})
        except (ClientError, BotoCoreError) as error:
            status, kind = HTTPStatus.BAD_GATEWAY, "application/json"
            body = _json({"error": f"AWS did not do this: {error}"})
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", self._policy),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: Environ) -> tuple[HTTPStatus, str, bytes]:
        if environ.get("HTTP_HOST") not in self._hosts:
            raise Refused(HTTPStatus.FORBIDDEN, "This is not the host that the request names.")
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if (method, path) == ("GET", "/"):
            return HTTPStatus.OK, "text/html; charset=utf-8", self._page
        if not hmac.compare_digest(environ.get("HTTP_X_SCONES_TOKEN", "").encode(), self._token.encode()):
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "The token is missing or old: open the address that scones review printed.",
            )
        session = environ.get("HTTP_X_SCONES_SESSION", "")
        if not SESSION.fullmatch(session):
            raise Refused(HTTPStatus.BAD_REQUEST, "The request names no session.")
        if (method, path) == ("GET", "/api/picture"):
            return HTTPStatus.OK, "image/jpeg", self._picture(environ)
        if method != "POST" or path not in ("/api/next", "/api/answer", "/api/later", "/api/undo"):
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such thing here.")
        if environ.get("HTTP_ORIGIN") not in {f"http://{host}" for host in self._hosts}:
            raise Refused(HTTPStatus.FORBIDDEN, "The request comes from another page.")
        return HTTPStatus.OK, "application/json", _json(self._change(path, _body(environ), session))

    def _change(self, path: str, asked: dict[str, Any], session: str) -> dict[str, Any]:
        """Do what was asked, and say what is next."""
        item = None
        if path == "/api/answer":
            try:
                self._reviews.answer(self._item(asked), str(asked.get("label")), session)
            except ValueError as error:
                raise Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        elif path == "/api/later":
            self._reviews.put_off(self._item(asked), session)
        elif path == "/api/undo":
            item = self._reviews.undo(session)
            if item is None:
                raise Refused(HTTPStatus.CONFLICT, "Nothing is left to take back.")
        item = item or self._reviews.take(session)
        if item:
            with self._lock:
                self._offered[item.identity] = item
        return {"item": item and _shown(item), "progress": self._reviews.progress()}

    def _item(self, asked: dict[str, Any]) -> Item:
        """Only what was shown can be asked for: no request names an object of its own."""
        with self._lock:
            item = self._offered.get(str(asked.get("id")))
        if item is None:
            raise Refused(HTTPStatus.NOT_FOUND, "No such picture was shown.")
        return item

    def _picture(self, environ: Environ) -> bytes:
        asked = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        item = self._item(asked)
        try:
            return _viewable(self._reviews.picture(item))
        except ImageRejected as error:
            raise Refused(HTTPStatus.NOT_FOUND, error.reason) from error


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Logs nothing: nobody would read a line for every picture."""


@contextlib.contextmanager
def serving(reviews: Reviews, port: int) -> Iterator[str]:
    """Serve the page in the background; yields its address, token included.

    Args:
        port: 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    with _Server((LOOPBACK, port), _Handler) as server:
        token = secrets.token_urlsafe(32)
        server.set_app(Application(reviews, token, server.server_port))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}/#{token}"
        finally:
            server.shutdown()
            thread.join()


def _viewable(data: bytes) -> bytes:
    """The picture as a JPEG for the page, in its proportions. Raises ImageRejected."""
    picture = read_picture(data, SHOWN_PIXELS)
    scale = SHOWN_PIXELS / max(picture.width, picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    buffer = io.BytesIO()
    picture.image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _shown(item: Item) -> dict[str, Any]:
    return {"id": item.identity, **{name: item.row.get(name) for name in FACTS}}


def _body(environ: Environ) -> dict[str, Any]:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > LARGEST_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {LARGEST_BODY} bytes are read.")
    try:
        asked = json.loads(environ["wsgi.input"].read(int(length)) or b"{}")
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    return asked


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
