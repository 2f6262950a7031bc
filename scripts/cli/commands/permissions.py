"""scones permissions: what the roles of the running stack may do but never did."""

import json
from collections import Counter

import typer
from rich.markup import escape

from scripts.cli import options
from scripts.cli.console import SOME_REFUSED, err, errors_explained, out
from scripts.operations import permission_usage
from scripts.operations.local_stack import default_stack


def permissions(as_json: options.AsJson = False) -> None:
    """Show the permissions that this machine's stack has not used yet, and the denied calls.

    The one-machine AWS checks every call of functions, state machines, event rules, the endpoint
    and training jobs against their own policies. Exit code 3 if calls were denied, or if
    permissions are unused without an exception.
    """
    with errors_explained():
        stack = default_stack()
        deployed = stack.deployment()
        found = permission_usage.use(permission_usage.read(stack), deployed.prefix, deployed.key_arn)
    denied = [each["call"] | {"reason": each["reason"]} for each in found.denied]
    if as_json:
        excused = [{**grant._asdict(), "reason": reason} for grant, reason in found.excused]
        unused = [grant._asdict() for grant in found.unused]
        facts = {"granted": len(found.granted), "unused": unused, "excused": excused, "denied": denied}
        print(json.dumps(facts, indent=1))
    else:
        for call in denied:
            out.print(
                f"[red]denied[/]  {escape(call['principal'])}: {call['action']} on {escape(call['resource'])}"
            )
        for grant in found.unused:
            out.print(f"unused  {escape(grant.who)}: {grant.sid}: {grant.action}")
        statements = Counter((grant.who, grant.sid, reason) for grant, reason in found.excused)
        for (who, sid, reason), number in statements.items():
            out.print(f"excused {escape(who)}: {sid}, {number} of its actions: {escape(reason)}")
        err.print(
            f"{len(found.granted)} permissions are granted, {len(found.unused)} of them are unused and "
            f"{len(found.excused)} excused; {len(denied)} kinds of calls were denied."
        )
    raise typer.Exit(SOME_REFUSED if found.unused or denied else 0)
