"""The port: serves the one-machine AWS over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import waitress
from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from scripts.local_aws.app import LocalAws
from scripts.local_aws.core.moto_backends import ACCOUNT, REGION
from scripts.local_aws.core.origin_guard import WithoutWebPages

# Enough for nested calls (a function that calls AWS while its caller waits) without queueing.
SERVER_THREADS = 64


class Answering(WSGITask):
    """Sends the head of an answer and the first part of its body as one piece.

    waitress sends them one after the other. On a busy machine they then arrive milliseconds apart. Terraform's
    provider gave up 14 of 13,130 requests; the six that were recorded were closed within that gap (none of 6,565 since).
    It sends such a request again: a "create" that had succeeded then fails with "already exists".
    """

    def write(self, data: bytes) -> None:
        if self.wrote_header:
            super().write(data)
            return
        with self.channel.in_one_piece():
            super().write(data)


class Channel(HTTPChannel):
    """A connection to a client."""

    task_class = Answering
    _pieces: list[bytes] | None = None

    @contextlib.contextmanager
    def in_one_piece(self) -> Iterator[None]:
        """Holds back what is written until the end of the block."""
        self._pieces = []
        try:
            yield
        finally:
            pieces, self._pieces = self._pieces, None
        super().write_soon(b"".join(pieces))

    def write_soon(self, data: Any) -> int:
        if self._pieces is None:
            return int(super().write_soon(data))
        self._pieces.append(data)
        return len(data)

    def send_continue(self) -> None:
        """waitress waits for ever for the body of a request that expects `100 Continue` and has no body."""
        completed = self.request.completed
        super().send_continue()
        self.request.completed = completed


def serve(application: LocalAws, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve on 127.0.0.1 until the process gets a signal to stop. `on_ready` gets the endpoint's URL."""
    server = waitress.create_server(
        WithoutWebPages(application),
        host="127.0.0.1",
        port=port,
        threads=SERVER_THREADS,
        connection_limit=1000,
        channel_timeout=300,
        clear_untrusted_proxy_headers=False,
        ident="local-aws",
        max_request_body_size=5 * 2**30,
        asyncore_use_poll=True,  # select() ends the server at the 1,024th file that is open
    )
    server.channel_class = Channel
    endpoint_url = f"http://127.0.0.1:{server.effective_port}"
    os.environ.update(AWS_ENDPOINT_URL=endpoint_url, AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION)
    on_ready(endpoint_url)
    server.run()


def write_ready_file(path: Path, endpoint_url: str) -> None:
    """Say where the endpoint is; the file appears complete or not at all."""
    facts = {"endpoint_url": endpoint_url, "pid": os.getpid(), "region": REGION, "account": ACCOUNT}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts) + "\n")
    partial.replace(path)
