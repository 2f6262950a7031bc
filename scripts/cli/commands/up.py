"""scones up: the whole stack on this machine."""

import shlex
import time

from scripts.cli.console import err, errors_explained, interruption_explained, out, steps
from scripts.operations.local_stack import default_stack

# AWS CLI 1 and boto3 read only the default region.
SHOWN = (
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "TF_DATA_DIR",
)


def up() -> None:
    """Start the whole stack on this machine and leave it running.

    Packages the functions, starts the one-machine AWS, applies the same Terraform as on AWS and
    deploys the shipped model. Prints the variables with which the AWS CLI, boto3 and
    `terraform -chdir=terraform` find it, ready for `eval`:

        eval "$(scones up)"
    """
    stack = default_stack()
    began = time.monotonic()
    with errors_explained():
        if stack.is_running() and (stack.folder / "outputs.json").exists():
            err.print("The stack is already running.")
        else:
            with interruption_explained(), steps() as progress:
                stack.bring_up(progress)
            err.print(
                f"The stack is up after {time.monotonic() - began:.0f} s. Log: {stack.folder / 'local_aws.log'}"
            )
        variables = stack.variables
    for name in SHOWN:
        out.print(f"export {name}={shlex.quote(variables[name])}", markup=False)
    err.print(
        "Next: .venv/bin/scones classify PICTURE...   Messages: .venv/bin/scones outbox   End: .venv/bin/scones down"
    )
