"""The command line of the gates, in the environment of requirements/policy.txt: `make policy`, `make mutations`."""

import atexit
import dataclasses
import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from scripts.common.paths import ROOT, WORK
from scripts.deployment.offline import offline
from scripts.deployment.terraform import MirrorMissing, TerraformFailed, TerraformMissing
from scripts.policy import gates, inventory, mutation_testing, permissions_page, plan_json, reference_plan
from training_scripts.terminal import Terminal, cleaned

app = typer.Typer(
    help="The gates that every change of the account must pass, all offline.", add_completion=False
)
out = Terminal(highlight=False, soft_wrap=True)
err = Terminal(stderr=True, highlight=False, soft_wrap=True)

FOLDER = WORK / "policy"
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- mutations:begin -->", "<!-- mutations:end -->"
PROGRAM = ".venv-policy/bin/python -m scripts.policy"


@app.command()
def check(as_json: Annotated[bool, typer.Option("--json", help="The verdicts as JSON.")] = False) -> None:
    """Check the configuration and production's plan with every gate. Exit code 1 if one finds something."""
    verdicts = []
    for verdict in gates.run(FOLDER):
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


def _table(verdicts: list[gates.Verdict]) -> Table:
    table = Table("gate", "looked at", "result", "seconds", box=None)
    for it in verdicts:
        result = f"[red]{len(it.findings)} findings[/]" if it.findings else "[green]ok[/]"
        table.add_row(it.gate, f"{it.checked} {it.what}", result, f"{it.seconds:.1f}")
    return table


@app.command("permissions")
def write_permissions() -> None:
    """Write docs/permissions.md from production's plan."""
    permissions_page.write(_plan())
    err.print(f"written: {permissions_page.PAGE}", markup=False)


@app.command("inventory")
def write_inventory() -> None:
    """Write tests/terraform/inventory.yaml from production's plan."""
    inventory.write(_plan())
    err.print(f"written: {inventory.PAGE}", markup=False)


def _plan() -> plan_json.Plan:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with offline(FOLDER) as module:
        return plan_json.plan(reference_plan.packaged(module))


@app.command()
def mutations(
    only: Annotated[
        str, typer.Option(help="Only weakenings whose name holds this text, such as `condition:`.")
    ] = "",
    sample: Annotated[
        int | None, typer.Option(min=1, help="So many of them, the same for the same plan.")
    ] = None,
    every_gate: Annotated[
        bool, typer.Option("--every-gate", help="Ask all gates, not until one notices.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every outcome as JSON.")] = False,
    document: Annotated[
        bool, typer.Option("--document", help="Write the table into docs/security.md.")
    ] = False,
) -> None:
    """Weaken the configuration, one thing at a time, and see which gate notices.

    Continues where an interrupted run stopped. Exit code 1 if a weakening is noticed by no gate and not excused.
    """
    outcomes = mutation_testing.run(WORK / "mutations", only, sample, every_gate, _progress())
    missed = mutation_testing.unnoticed(outcomes)
    if as_json:
        print(json.dumps([dataclasses.asdict(it) for it in outcomes], indent=1))
    else:
        heading, *rows = mutation_testing.table(outcomes)
        table = Table(*heading, box=None)
        for row in rows:
            table.add_row(*row)
        out.print(table, width=150)
        for name in missed:
            out.print(f"[red]noticed by no gate[/] {escape(name)}")
    if document:
        about = f"{len(outcomes)} weakenings; `{PROGRAM} mutations --document` wrote this table."
        _replace_table(mutation_testing.markdown(outcomes, about))
    raise typer.Exit(bool(missed))


def _progress() -> mutation_testing.Progress:
    """A bar on a terminal, elsewhere a line for each twentieth."""
    if err.is_terminal:
        bar = Progress(
            TextColumn("{task.description:60.60}"), BarColumn(), TimeRemainingColumn(), console=err
        )
        task = bar.add_task("", total=1)
        bar.start()
        atexit.register(bar.stop)
        return lambda name, share: bar.update(task, description=name, completed=share)
    shown = {0}

    def line(name: str, share: float) -> None:
        if int(share * 20) not in shown:
            shown.add(int(share * 20))
            err.print(f"{share:4.0%}  {name}", markup=False)

    return line


def _replace_table(text: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def main() -> None:
    try:
        app()
    except (TerraformFailed, TerraformMissing, MirrorMissing) as error:
        raise SystemExit(cleaned(f"error: {error}")) from error


if __name__ == "__main__":
    main()
