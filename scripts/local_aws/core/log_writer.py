"""Brings what functions and endpoints print into CloudWatch Logs, in batches."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

from scripts.local_aws.core import moto_backends

FLUSH_SECONDS = 0.5


class LogWriter:
    """Collects lines per log stream and writes them a few times a second; `observe` sees each of them."""

    def __init__(self, observe: Callable[[str], None] | None = None) -> None:
        self._observe = observe
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, str], list[dict[str, object]]] = defaultdict(list)
        self._stopped = threading.Event()
        threading.Thread(target=self._flush_regularly, daemon=True).start()

    def write(self, group: str, stream: str, lines: list[str]) -> None:
        """Queue lines for a stream. A log group that is gone by then loses them, as on AWS."""
        now = int(time.time() * 1000)
        with self._lock:
            self._lines[group, stream].extend({"timestamp": now, "message": line} for line in lines if line)
        if self._observe:
            for line in lines:
                self._observe(line)

    def open_stream(self, group: str, stream: str) -> None:
        """Make the stream, and the group where Terraform has not made it."""
        with self._lock:
            moto_backends.logs().ensure_log_group(group)
            moto_backends.logs().create_log_stream(group, stream)

    def flush(self) -> None:
        """Write what is queued."""
        with self._lock:
            batches, self._lines = self._lines, defaultdict(list)
            groups = moto_backends.logs().groups
            for (group, stream), lines in batches.items():
                if group in groups and stream in groups[group].streams:
                    moto_backends.logs().put_log_events(group, stream, lines)

    def stop(self) -> None:
        self._stopped.set()
        self.flush()

    def _flush_regularly(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self.flush()
