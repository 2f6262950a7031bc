"""Work done after a request was answered: asynchronous invocations, event deliveries, retries."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Background:
    """A pool of daemon threads that run jobs now or after a delay.

    Args:
        workers: how many jobs run at the same time.
        wait_scale: every delay is multiplied by it; below 1 it shortens the retry schedules of AWS.
    """

    def __init__(self, workers: int, wait_scale: float) -> None:
        self._wait_scale = wait_scale
        self._jobs: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._running = 0
        self._stopped = False
        for number in range(workers):
            threading.Thread(target=self._work, name=f"background-{number}", daemon=True).start()

    def submit(self, job: Callable[..., Any], *arguments: Any, delay: float = 0) -> None:
        """Run `job(*arguments)` once `delay` (seconds, scaled) has passed."""
        due = time.monotonic() + delay * self._wait_scale
        with self._changed:
            heapq.heappush(self._jobs, (due, next(self._order), job, arguments))
            self._changed.notify()

    def pending(self) -> int:
        """Jobs that wait or run."""
        with self._changed:
            return len(self._jobs) + self._running

    def stop(self) -> None:
        """Drop what waits; jobs that run end by themselves."""
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            function, arguments = job
            try:
                function(*arguments)
            except Exception:
                logger.exception("background job %s failed", getattr(function, "__qualname__", function))
            finally:
                with self._changed:
                    self._running -= 1

    def _next(self) -> tuple[Callable[..., Any], tuple[Any, ...]] | None:
        with self._changed:
            while not self._stopped:
                wait = self._jobs[0][0] - time.monotonic() if self._jobs else None
                if wait is not None and wait <= 0:
                    _, _, job, arguments = heapq.heappop(self._jobs)
                    self._running += 1
                    return job, arguments
                self._changed.wait(wait)
            return None
