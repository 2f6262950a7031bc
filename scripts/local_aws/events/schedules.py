"""EventBridge's schedules: rules that fire at times, and an endpoint that fires them now.

The rules are moto's; this machine's clock decides, not the scale of retries. `GET /_local/schedules` lists them,
`POST /_local/schedules/NAME` fires one.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from scripts.local_aws.core.errors import ServiceError
from scripts.local_aws.core.protocol import Answer, Request, json_answer

logger = logging.getLogger(__name__)

PATH = "/_local/schedules"
TICK_SECONDS = 1.0
RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
CRON = re.compile(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# A date that exists comes up within eight years, also 29 February around 2100.
LONGEST_DAYS = 8 * 366


class Schedules:
    """Fires rules when they are due.

    Args:
        rules: reads the rules that there are at this moment (moto's).
        deliver: hands a rule's targets an event.
    """

    def __init__(
        self, rules: Callable[[], Iterable[Any]], deliver: Callable[[Any, dict[str, Any]], None]
    ) -> None:
        self._rules = rules
        self._deliver = deliver
        self._due: dict[tuple[str, str], datetime | None] = {}
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="schedules", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def tick(self, now: datetime) -> None:
        """Fire what is due. A rate counts from the moment at which its rule is first seen enabled."""
        before, self._due = self._due, {}
        for rule in self._scheduled():
            if not rule.state.startswith("ENABLED"):
                continue
            name = (rule.arn, rule.scheduled_expression)
            due = before[name] if name in before else next_time(rule.scheduled_expression, now)
            if due is not None and due <= now:
                self._fire(rule)
                due = next_time(rule.scheduled_expression, due)
            self._due[name] = due

    def answer(self, request: Request) -> Answer:
        """Answer the endpoint. Raises ServiceError."""
        if request.method != "POST":
            return json_answer([_described(rule) for rule in self._scheduled()])
        name = request.path.removeprefix(PATH).strip("/")
        rule = next((rule for rule in self._scheduled() if rule.name == name), None)
        if rule is None:
            raise ServiceError("ResourceNotFoundException", f"There is no schedule {name}", 404)
        self._fire(rule)
        return json_answer({})

    def _scheduled(self) -> list[Any]:
        return [rule for rule in self._rules() if rule.scheduled_expression]

    def _fire(self, rule: Any) -> None:
        event = {
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "resources": [rule.arn],
            "detail": {},
        }
        self._deliver(rule, event)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            try:
                self.tick(datetime.now(UTC))
            except Exception:
                logger.exception("the schedules could not be looked at")


def next_time(expression: str, after: datetime) -> datetime | None:
    """When an expression is due next, in UTC; None for never, or if it is not emulated."""
    if found := RATE.fullmatch(expression):
        return after + timedelta(**{f"{found[2]}s": int(found[1])})
    found = CRON.fullmatch(expression)
    if found is None or re.search(r"[LW#]", re.sub("|".join((*MONTHS, *WEEKDAYS)), "", expression)):
        logger.warning("%s is not emulated on one machine", expression)
        return None
    minutes, hours = _numbers(found[1], 0, 59), _numbers(found[2], 0, 23)
    days, months = _numbers(found[3], 1, 31), _numbers(found[4], 1, 12, MONTHS)
    weekdays, years = _numbers(found[5], 1, 7, WEEKDAYS), _numbers(found[6], 1970, 2199)
    midnight = after.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight + timedelta(days=number) for number in range(LONGEST_DAYS)):
        weekday = day.isoweekday() % 7 + 1
        if not (day.day in days and day.month in months and weekday in weekdays and day.year in years):
            continue
        times = (
            day.replace(hour=hour, minute=minute) for hour in sorted(hours) for minute in sorted(minutes)
        )
        if due := next((time for time in times if time > after), None):
            return due
    return None


def _numbers(field: str, first: int, last: int, names: tuple[str, ...] = ()) -> set[int]:
    """The numbers that a field means: `*`, `?`, `5`, `1-5`, `MON-FRI`, `0/15`, and lists of these."""
    for number, name in enumerate(names, start=1):
        field = field.replace(name, str(number))
    numbers: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        begin = first if low in "*?" else int(low)
        end = int(high) if high else last if step or low in "*?" else begin
        numbers.update(range(begin, end + 1, int(step or 1)))
    return numbers


def _described(rule: Any) -> dict[str, Any]:
    return {"name": rule.name, "expression": rule.scheduled_expression, "state": rule.state}
