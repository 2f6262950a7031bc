"""Times as schedules give them and as the ledger writes them."""

from datetime import UTC, datetime


def moment(time: str) -> datetime:
    """An ISO 8601 time, in UTC; now, if it is not one."""
    try:
        return datetime.fromisoformat(time).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def ledger_time(time: datetime) -> str:
    """As Step Functions writes times into the rows, so that the order of texts is that of times."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
