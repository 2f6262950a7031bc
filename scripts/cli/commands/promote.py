"""scones promote: the gate between a trained model and a deployed one."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, printable, steps
from scripts.common import s3
from scripts.common.paths import SHIPPED_MODEL
from scripts.models import promotion
from scripts.models.promotion import Promotion
from scripts.operations.environment import get_environment

REFUSED = 3


def promote(
    environment: options.Env,
    artifact: options.Artifact = str(SHIPPED_MODEL),
    image: Annotated[
        str | None,
        typer.Option(help="The serving image by digest: REPOSITORY@sha256:... Not needed for local."),
    ] = None,
    frozen: Annotated[
        str | None, typer.Option(help="Archive, staged folder or its S3 URI; its test split decides.")
    ] = None,
    new_classes: Annotated[bool, typer.Option(help="The classes of interest change on purpose.")] = False,
) -> None:
    """Publish a model if it is no worse than the current one, and name it to Terraform.

    Both models answer the frozen pictures through their serving programs. Refused (exit code 3) if
    it has fewer right answers or more wrong acceptances (exact McNemar test, 5 %, one-sided), or
    accepts 5 points less (paired bootstrap). Nothing is deployed yet: the next plan shows what
    would change. `scones rollback` undoes it.
    """
    with errors_explained():
        env = get_environment(environment)
        destination, image_uri = env.destination(), env.image_uri(image)

        def client() -> object:
            return destination.s3_client

        with (
            s3.local(artifact, client) as model,
            s3.local(frozen or ".", client) as pictures,
            steps() as progress,
        ):
            done = promotion.promote(
                model,
                image_uri,
                destination,
                frozen=pictures if frozen else None,
                new_classes=new_classes,
                progress=progress,
            )
    _show(done, destination.tfvars)
    if done.model is None:
        raise typer.Exit(REFUSED)
    err.print(f"Next: {env.after_promote}", markup=False)


def _show(done: Promotion, tfvars: Path) -> None:
    for name, figure in done.verdict.figures.items():
        shares = [f"{whose} {figure[whose]['value']}" for whose in ("current", "new") if whose in figure]
        if shares:
            out.print(f"{name}: {', '.join(shares)} of {figure['new']['count']}", markup=False)
    for note in done.verdict.notes:
        out.print(f"note: {note}", markup=False)
    for refusal in done.verdict.refusals:
        err.print(f"[red]refused:[/] {printable(refusal)}")
    if done.model:
        out.print(f"{done.model['artifact_uri']} is published, and {tfvars.name} names it.", markup=False)
