"""scones deploy: apply what was changed or promoted to this machine's stack."""

import time

from scripts.cli.console import err, errors_explained, steps
from scripts.operations.local_stack import default_stack


def deploy() -> None:
    """Bring the running stack on this machine up to date: functions, Terraform, the promoted model.

    On AWS this is `terraform apply`, after somebody has read the plan.
    """
    began = time.monotonic()
    with errors_explained():
        with steps() as progress:
            default_stack().update(progress)
        err.print(f"Deployed after {time.monotonic() - began:.0f} s. Next: scones classify PICTURE...")
