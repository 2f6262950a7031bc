"""The order of decisions about one picture version, as decision 0017 states it: a person > a higher run > anything
else in place of the same run's own FAILED > nothing.

Written apart from the state machines' conditions, so that tests can compare the two.
"""

from typing import Any, NamedTuple


class Decision(NamedTuple):
    """What a row holds: the execution's decision, and when a person answered (None: nobody has)."""

    run: int
    status: str
    answered: str | None = None


def may_replace(old: Decision | None, run: int, status: str) -> bool:
    """Whether an execution may replace what the row holds."""
    if old is None:
        return True
    if old.answered:
        return False
    return run > old.run or (run == old.run and old.status == "FAILED" and status != "FAILED")


def overruled(history: list[dict[str, Any]]) -> int:
    """How many entries of a row's history replaced what they may not."""
    stands: Decision | None = None
    count = 0
    for entry in history:
        match entry["status"]:
            case "reviewed":
                stands = stands and stands._replace(answered=entry["time"])
            case "taken back" | "asked again":
                stands = stands and stands._replace(answered=None)
            case status:
                count += not may_replace(stands, entry["run"], status)
                stands = Decision(entry["run"], status)
    return count
