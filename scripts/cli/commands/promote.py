"""scones promote: the gate between a trained model and a deployed one."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import options
from scripts.cli.console import err, errors_explained, find_deployment, local_stack, out, printable, steps
from scripts.common import s3
from scripts.common.paths import SHIPPED_MODEL
from scripts.deployment import environments
from scripts.deployment.environments import LOCAL
from scripts.models import promotion
from scripts.models.promotion import Promotion
from scripts.models.registry import Destination, PromoteError

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

    Both models answer the frozen pictures through their serving programs. Refused (exit code 3) if it has
    fewer right answers or more wrong acceptances (exact McNemar test, 5 %, one-sided), or accepts 5 points less
    (paired bootstrap). Nothing is deployed yet: the next plan shows what would change. `scones rollback` takes it
    back.
    """
    with errors_explained():
        destination = _destination(environment, image)

        def client() -> object:
            return destination.s3_client

        with (
            s3.local(artifact, client) as model,
            s3.local(frozen or ".", client) as pictures,
            steps() as progress,
        ):
            done = promotion.promote(
                model,
                destination,
                frozen=pictures if frozen else None,
                new_classes=new_classes,
                progress=progress,
            )
    _show(done, destination.tfvars)
    if done.model is None:
        raise typer.Exit(REFUSED)
    err.print(f"Next: {_plan_command(environment, destination.tfvars)}", markup=False)


def _destination(environment: str, image: str | None) -> Destination:
    deployment = find_deployment(environment)
    if environment == LOCAL:
        stack = local_stack()
        return Destination(
            deployment.bucket, image or stack.image_uri, stack.model_file, deployment.client("s3")
        )
    if image is None:
        raise PromoteError("--image is needed: the serving image by digest, which `scones image` prints")
    return Destination(
        deployment.bucket, image, environments.model_file(environment), deployment.client("s3")
    )


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


def _plan_command(environment: str, tfvars: Path) -> str:
    if environment == LOCAL:
        return "scones deploy"
    return (
        f"terraform -chdir=terraform plan -var-file=environments/{environment}.tfvars "
        f"-var-file=environments/{tfvars.name}"
    )
