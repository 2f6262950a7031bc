"""scones testcase: random execution inputs from what is in the bucket."""

import json
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from scripts.workflow import sample_inputs
from scripts.workflow.client import Workflow


def print_inputs(
    prefix: Annotated[
        str, typer.Option(help="Choose among the objects whose keys start with this.")
    ] = "incoming/",
    count: Annotated[int, typer.Option(min=1, help="How many different objects, at most.")] = 1,
    seed: Annotated[
        int | None, typer.Option(help="The same seed chooses the same objects of the same bucket.")
    ] = None,
    pretty: Annotated[bool, typer.Option("--pretty", help="Indented, for reading.")] = False,
    environment: options.Env = LOCAL,
) -> None:
    """Print random execution inputs from what is in the bucket: JSON, one a line.

    Ready for the AWS CLI or the console's "Start execution":

        aws stepfunctions start-execution --state-machine-arn "$ARN" --input "$(scones testcase)"

    A picture that has a row already gets the next run, so that the execution decides again.
    """
    with errors_explained():
        inputs = sample_inputs.draw(Workflow(get_environment(environment).deployment()), prefix, count, seed)
    for each in inputs:
        print(json.dumps(each, indent=2 if pretty else None))
    if len(inputs) < count:
        err.print(f"There are only {len(inputs)} objects under {prefix}.", markup=False)
