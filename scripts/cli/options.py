"""Options that several commands share. An option that means more is defined by its command."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from functions.common.shown import shown

AGO = {"m": "minutes", "h": "hours", "d": "days"}


def moment(text: str) -> datetime:
    """Parse 90m, 2h or 3d (ago), or an ISO 8601 date or time: in UTC if it names no zone."""
    try:
        if ago := re.fullmatch(r"(\d+)([mhd])", text):
            return datetime.now(UTC) - timedelta(**{AGO[ago[2]]: int(ago[1])})
        time_given = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{shown(text)} is not a time: write 90m, 2h, 3d or 2026-11-20T14:30"
        ) from None
    return time_given if time_given.tzinfo else time_given.replace(tzinfo=UTC)


Env = Annotated[str, typer.Option("--env", help="local, or the environment terraform/ is initialised for.")]
ConfiguredEnv = Annotated[
    str, typer.Option("--env", help="local, dev, prod or another of terraform/environments.")
]
AsJson = Annotated[bool, typer.Option("--json", help="The result as one JSON object, for scripts.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=moment, metavar="TIME", help="Decided then or later: 2h, 3d or 2026-11-20T14:30 (UTC)."
    ),
]
Until = Annotated[
    datetime | None, typer.Option(parser=moment, metavar="TIME", help="Decided then or earlier.")
]
Pictures = Annotated[int, typer.Option(min=1, help="Pictures a month, for the costs.")]
Megabytes = Annotated[float, typer.Option(min=0, help="Size of one (MB), for the costs.")]
Artifact = Annotated[
    str, typer.Argument(help="model.tar.gz, as a file or an S3 URI; the shipped one by default.")
]
