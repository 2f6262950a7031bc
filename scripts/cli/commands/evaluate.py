"""scones evaluate: a model's figures on labelled pictures, from the real serving program."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, steps
from scripts.common import s3
from scripts.common.paths import SHIPPED_MODEL
from scripts.deployment.environments import LOCAL
from scripts.operations.environment import get_environment
from training_scripts import evaluate


class Split(StrEnum):
    train = "train"
    test = "test"


def evaluate_model(  # noqa: PLR0913, PLR0917 - one for each option
    data: Annotated[
        str,
        typer.Option(
            help="A CIFAR archive, an archive or folder of <class>/<file>, or a staged set's S3 URI."
        ),
    ],
    artifact: options.Artifact = str(SHIPPED_MODEL),
    split: Annotated[Split, typer.Option(help="A folder without splits is all train.")] = Split.test,
    drawn: Annotated[int, typer.Option(min=0, help="Add this many drawn pictures of each kind.")] = 100,
    as_json: options.AsJson = False,
    to: Annotated[
        Path | None,
        typer.Option(help="Write the JSON to this file, and three charts beside it.", dir_okay=False),
    ] = None,
    environment: Annotated[
        str, typer.Option("--env", help="The environment whose S3 the URIs mean.")
    ] = LOCAL,
) -> None:
    """Evaluate a model: accuracy, calibration, coverage, refusal of foreign pictures, robustness.

    The real serving program is started on the artifact and asked over HTTP, as the workflow does.
    Intervals are 95 % (Wilson). Nothing is deployed or changed.
    """

    def client() -> object:
        return get_environment(environment).deployment().client("s3")

    with errors_explained(), s3.local(artifact, client) as model, s3.local(data, client) as source:
        with steps() as progress:
            figures = evaluate.evaluate(model, source, split.value, drawn, progress)
        written = evaluate.write(figures, to) if to else []
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        out.print("\n".join(evaluate.lines(figures)), markup=False)
    for path in written:
        err.print(f"written: {path}", markup=False)
