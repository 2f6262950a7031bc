"""The command line of the gates, in the environment of requirements/policy.txt: `make policy`, `make mutations`."""

import dataclasses
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scripts import judged_plan, permissions, policy_gates
from scripts.offline_terraform import offline
from scripts.terraform_cli import WORK, MirrorMissing, TerraformFailed, TerraformMissing

app = typer.Typer(
    help="The gates that every change of the account must pass, all offline.", add_completion=False
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

FOLDER = WORK / "policy"


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="The verdicts as JSON.")] = False) -> None:
    """Hold the configuration and production's plan against every gate. Exit code 1 if one finds something."""
    verdicts = []
    for verdict in policy_gates.run(FOLDER):
        verdicts.append(verdict)
        err.print(f"{verdict.gate}: {'ok' if not verdict.findings else len(verdict.findings)}", markup=False)
    if as_json:
        print(json.dumps([dataclasses.asdict(it) for it in verdicts], indent=1))
    else:
        out.print(_table(verdicts))
        for verdict in verdicts:
            for finding in verdict.findings:
                out.print(f"[red]{escape(verdict.gate)}[/] {escape(finding)}")
    raise typer.Exit(any(verdict.findings for verdict in verdicts))


def _table(verdicts: list[policy_gates.Verdict]) -> Table:
    table = Table("gate", "looked at", "result", "seconds", box=None)
    for it in verdicts:
        result = f"[red]{len(it.findings)} findings[/]" if it.findings else "[green]ok[/]"
        table.add_row(it.gate, f"{it.checked} {it.what}", result, f"{it.seconds:.1f}")
    return table


@app.command("permissions")
def write_permissions() -> None:
    """Write docs/permissions.md from production's plan."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with offline(FOLDER) as module:
        permissions.write(judged_plan.plan(judged_plan.packaged(module)))
    err.print(f"written: {permissions.PAGE}", markup=False)


def main() -> None:
    try:
        app()
    except (TerraformFailed, TerraformMissing, MirrorMissing) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
