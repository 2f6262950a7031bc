"""scones rollback: the model that answered before the current one answers again."""

from scripts.cli import options
from scripts.cli.console import (
    apply_plan,
    confirm,
    err,
    errors_explained,
    find_deployment,
    local_stack,
    make_plan,
    out,
    steps,
)
from scripts.deployment import environments
from scripts.deployment.environments import LOCAL
from scripts.models import registry
from scripts.models.registry import Destination, NotPromoted, PromoteError
from scripts.operations import plan_summary
from scripts.operations.plan_summary import SIGNS


def rollback(
    environment: options.Env,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Return to the model that the current one has replaced: show the plan, ask, apply it.

    The bucket keeps with each model which one it has replaced (models/NAME/promotion.json); a rollback repeated goes
    back further. ENV.model.tfvars.json names the former model from then on, with the withdrawn one's threshold for as
    long as that still answers, and belongs into version control; if nothing is applied, it stays as it was. An image
    that was changed without a new model is rolled back by reverting that file.
    """
    with errors_explained():
        deployment = find_deployment(environment)
        file = local_stack().model_file if environment == LOCAL else environments.model_file(environment)
        current = registry.current_model(file)
        if current is None:
            raise PromoteError(f"there is no {file.name}, so no model to roll back")
        try:
            former = registry.previous_model(
                current, Destination(deployment.bucket, "", file, deployment.client("s3"))
            )
        except NotPromoted as error:
            if environment != LOCAL:
                raise
            raise PromoteError(
                f"{current['name']} came with `scones up` and is the first model here: there is none to return to"
            ) from error
        before = file.read_bytes()
        registry.write_model(file, former)
        try:
            with steps() as progress:
                saved = make_plan(environment, progress)
            out.print(f"From {current['name']} back to {former['name']}:", markup=False)
            for change in plan_summary.changes(saved.json):
                out.print(f"  {SIGNS[change.action]:>3} {change.address}", markup=False)
            if dry_run:
                file.write_bytes(before)
                return
            if not yes:
                confirm("Apply it?", abort=True)
        except BaseException:
            file.write_bytes(before)
            raise
        with steps() as progress:
            apply_plan(environment, saved, progress)
    err.print(f"{former['name']} is deployed. Commit {file.name}. Next: scones verify --env {environment}")
