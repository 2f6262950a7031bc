"""Keeps web pages out: a page that you visit must not read the outbox, post faults or run functions.

A browser names the page that asks (https://fetch.spec.whatwg.org/#origin-header,
https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header); AWS's clients send neither header. A page whose own name
was rebound to this machine is of the same origin for its browser, but asks for that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from scripts.local_aws.core.protocol import Answer, WsgiApplication, send

# S3's clients may put the bucket in front: https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
OWN_HOST = re.compile(r"([\w.-]+\.)?(127\.0\.0\.1|localhost)(:\d+)?", re.ASCII | re.IGNORECASE)
OWN_SITES = ("", "same-origin", "none")


class WithoutWebPages:
    """A WSGI application in front of another one, which hears of no request that a page of somebody else makes."""

    def __init__(self, application: WsgiApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if why := _refusal(environ):
            text = f"{why} The one-machine AWS answers programs on this machine and its own pages only.\n"
            kind = {"Content-Type": "text/plain; charset=utf-8"}
            return send(Answer(text.encode(), 403, kind), start_response)
        return self._application(environ, start_response)


def _refusal(environ: dict[str, Any]) -> str | None:
    host = environ.get("HTTP_HOST", "")
    if not OWN_HOST.fullmatch(host):
        return "The request's Host is not this machine."
    if environ.get("HTTP_ORIGIN", "") not in ("", f"http://{host}"):
        return "The request comes from a page of another origin."
    if environ.get("HTTP_SEC_FETCH_SITE", "") not in OWN_SITES:
        return "The request comes from a page of another site."
    return None
