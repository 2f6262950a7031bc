"""scones promote: puts a model artifact into the bucket and names it to Terraform."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.deployment import on_aws
from scripts.local_stack import SHIPPED_MODEL
from scripts.scones.console import err, errors_explained, out
from scripts.terraform_cli import MODULE
from training_scripts import promote as promotion


def promote(
    environment: Annotated[str, typer.Option("--env", help="The environment terraform/ is initialised for.")],
    image: Annotated[str, typer.Option(help="The serving image by digest: REPOSITORY@sha256:...")],
    artifact: Annotated[
        Path,
        typer.Argument(help="A packed artifact; the shipped one by default.", exists=True, dir_okay=False),
    ] = SHIPPED_MODEL,
) -> None:
    """Publish a model artifact and write environments/<env>.model.tfvars.json.

    The artifact goes to models/<name>/ in the deployment's bucket and never changes there. Nothing is
    deployed yet: the next plan shows what would change, and reverting the file rolls back.
    """
    with errors_explained():
        deployment = on_aws(environment)
        tfvars = MODULE / "environments" / f"{environment}.model.tfvars.json"
        model = promotion.publish(
            artifact,
            bucket=deployment.bucket,
            image_uri=image,
            tfvars=tfvars,
            s3_client=deployment.client("s3"),
        )["model"]
    out.print(f"{model['artifact_uri']} is published, and {tfvars.name} names it.")
    err.print(
        "Next: terraform -chdir=terraform plan "
        f"-var-file=environments/{environment}.tfvars -var-file=environments/{tfvars.name}"
    )
