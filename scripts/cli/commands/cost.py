"""scones cost: what a deployment costs, idle and in use."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, steps
from scripts.deployment.environments import LOCAL
from scripts.operations import cost, plan, plan_summary, prices
from scripts.operations.cost import Costs
from scripts.operations.environment import get_environment
from scripts.operations.prices import Line, Volume


def estimate_cost(  # noqa: PLR0913, PLR0917 - one for each option
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Without an account: what a first apply would cost."),
    ] = False,
    this_month: Annotated[
        bool,
        typer.Option("--this-month", help="Also what this month has cost so far; reads the whole ledger."),
    ] = False,
    pictures: options.Pictures = 10_000,
    megabytes: options.Megabytes = 3.0,
    as_json: options.AsJson = False,
    environment: options.Env = LOCAL,
) -> None:
    """Show what a deployment costs a month, part by part: idle (endpoint off), and at a volume.

    Read from Terraform's state (--offline: from a plan), at list prices, each with its formula;
    `scones plan` says what a change would cost. On one machine nothing is billed: the figures are
    those of the same deployment on AWS. The real bill is in AWS Cost Explorer, under the tags
    project and environment.
    """
    if offline and this_month:
        raise typer.BadParameter("--this-month needs what is deployed; leave out --offline")
    volume = Volume(pictures, megabytes)
    env = get_environment(environment)
    with errors_explained(), steps() as progress:
        if offline:
            values = env.offline_plan(None, progress).json["planned_values"]
        else:
            deployment = env.deployment()
            progress("Reading Terraform's state", None)
            values = plan.state_values(env.terraform)
        region = values["outputs"]["region"]["value"]
        done = cost.estimate(plan_summary.resources(values), region, volume)
        if this_month:
            progress("Reading the ledger", None)
            spent = cost.so_far(deployment, done, datetime.now(UTC))
    if as_json:
        so_far = {"this_month": [*map(asdict, spent)]} if this_month else {}
        print(json.dumps(_as_json(environment, done) | so_far))
        return
    _show(done)
    if this_month:
        out.print(f"\nThis month so far, about ${sum(line.usd for line in spent):,.2f}:")
        _show_lines(
            {line.item: (line.usd,) for line in spent}, {line.item: line for line in spent}, "so far $"
        )
    _say_terms(done)
    err.print(env.billing)


def _as_json(environment: str, done: Costs) -> dict[str, object]:
    return {
        "environment": environment,
        "idle_usd": round(done.idle.usd, 4),
        "month_usd": round(done.month.usd, 4),
        "per_picture": done.month.per_picture,
        "per_further_picture": done.month.per_further_picture,
        "volume": asdict(done.month.volume),
        "lines": [*map(asdict, done.month.lines)],
        "notes": done.month.notes,
        "prices_of": prices.table()["date"],
    }


def _show(done: Costs) -> None:
    idle = {line.item: line.usd for line in done.idle.lines}
    lines = {line.item: line for line in done.month.lines}
    sums = {item: (idle.get(item, 0.0), line.usd) for item, line in lines.items()}
    _show_lines(sums | {"Sum": (done.idle.usd, done.month.usd)}, lines, "idle $", "month $")
    out.print(
        f"\nIdle: the endpoint off (endpoint.enabled = false), no pictures. Month: {done.month.volume.pictures:,} pictures of "
        f"{done.month.volume.megabytes:g} MB, all accepted: ${done.month.per_picture:.5f} for a picture, "
        f"${done.month.per_further_picture:.5f} for one more."
    )


def _show_lines(sums: Mapping[str, tuple[float, ...]], lines: dict[str, Line], *headings: str) -> None:
    table = Table("item", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right")
    table.add_column("formula", overflow="fold")
    for item, amounts in sums.items():
        formula = lines[item].formula if item in lines else ""
        table.add_row(item, *(f"{usd:,.2f}" for usd in amounts), formula)
    out.print(table)


def _say_terms(done: Costs) -> None:
    for note in done.month.notes:
        err.print(f"Note: {note}.", markup=False)
    table = prices.table()
    err.print(
        f"List prices of {table['date']} in {' and '.join(table['regions'])}, without free tier, taxes, transfers, training "
        "jobs and stored images; the functions' seconds are assumed."
    )
