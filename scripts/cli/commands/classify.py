"""scones classify: pictures through the deployed workflow."""

import json
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import errors_explained, exit_code, out, outcome_line
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow.client import Outcome, Workflow


def classify(
    pictures: Annotated[
        list[str], typer.Argument(help="Files, or objects as s3://BUCKET/KEY.", show_default=False)
    ],
    environment: options.Env = LOCAL,
    path: Annotated[
        bool, typer.Option("--path", help="Show the states each execution passed, with times.")
    ] = False,
    as_json: options.AsJsonLines = False,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Pictures in flight at the same time.")] = 4,
) -> None:
    """Run pictures through the workflow and say what became of each.

    Exit code: 0 all accepted; 3 some refused (low confidence, or no acceptable picture); 4 some
    failed; 1 nothing could be run. A file is uploaded to submitted/ in the deployment's bucket
    first.
    """
    with errors_explained():
        workflow = Workflow(get_environment(environment).deployment())
        width = max(len(picture.rsplit("/", 1)[-1]) for picture in pictures)
        seen = []
        for outcome in workflow.classify_all(pictures, at_once):
            seen.append(outcome.status)
            _show(workflow, outcome, width, path, as_json)
    raise typer.Exit(exit_code(seen))


def _show(workflow: Workflow, outcome: Outcome, width: int, path: bool, as_json: bool) -> None:
    states = workflow.path(outcome.execution) if path else []
    if as_json:
        steps = {"path": [vars(step) for step in states]} if path else {}
        print(json.dumps(outcome.as_dict() | steps), flush=True)
        return
    out.print(outcome_line(outcome, width))
    if outcome.status != "ACCEPTED":
        out.print(f"  {outcome.error}: {outcome.reason}", style="dim", markup=False)
    for step in states:
        out.print(f"  {step.entered:8.3f} s  {step.state:<20} {step.seconds * 1000:8.1f} ms", style="dim")
    if path:
        out.print(f"  {workflow.console_url(outcome.execution)}", style="dim", markup=False)
