"""scones image: the serving image, built and pushed."""

from typing import Annotated

import typer

from scripts.cli.console import err, errors_explained, out, steps
from scripts.deployment import serving_image
from scripts.operations.environment import get_environment


def image(
    environment: Annotated[str, typer.Option("--env", help="The environment terraform/ is initialised for.")],
) -> None:
    """Build the serving image for linux/amd64, push it, and print its name with the digest.

    Needs a Docker engine with buildx. The stack on this machine needs no image: it starts the
    program itself.
    """
    with errors_explained():
        serving_image.check_engine()
        env = get_environment(environment)
        env.check_takes_image()
        deployment = env.deployment()
        with steps() as progress:
            pushed = serving_image.build_and_push(
                deployment.image_repository_url,
                deployment.client("ecr"),
                lambda line: progress(f"Docker: {line}", None),
            )
    out.print(pushed)
    err.print(f"Next: scones promote MODEL.TAR.GZ --env {environment} --image {pushed} --frozen PICTURES")
