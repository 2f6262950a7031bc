"""scones rollback: return to the model that the current one replaced."""

from scripts.cli import options
from scripts.cli.console import confirm, err, errors_explained, out, steps
from scripts.models import registry
from scripts.models.registry import PromoteError
from scripts.operations import plan_summary
from scripts.operations.environment import get_environment
from scripts.operations.plan_summary import SIGNS


def rollback(
    environment: options.Env,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> None:
    """Return to the model that the current one replaced: show the plan, ask, apply it.

    The bucket keeps with each model which one it replaced (models/NAME/promotion.json); a second
    rollback goes back further. ENV.model.tfvars.json then names the former model, with the
    withdrawn one's threshold for as long as that still answers, and belongs in version control; if
    nothing is applied, it stays as it was. To roll back an image that was changed without a new
    model, revert that file.
    """
    with errors_explained():
        env = get_environment(environment)
        destination = env.destination()
        file = destination.tfvars
        current = registry.current_model(file)
        if current is None:
            raise PromoteError(f"there is no {file.name}, so no model to roll back")
        former = env.previous_model(current, destination)
        before = file.read_bytes()
        registry.write_model(file, former)
        try:
            with steps() as progress:
                saved = env.plan(progress)
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
            progress("Applying", None)
            env.apply(saved, progress)
    err.print(f"{former['name']} is deployed. Commit {file.name}. Next: scones verify --env {environment}")
