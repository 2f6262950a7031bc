"""scones plan: what an apply would do, what it would cost, and what it would break."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markdown import Markdown

from scripts.cli import options
from scripts.cli.console import err, errors_explained, out, steps
from scripts.operations import plan_markdown
from scripts.operations.environment import get_environment
from scripts.operations.plan import broken_rules
from scripts.operations.plan_summary import summarise
from scripts.operations.prices import Volume


def plan(  # noqa: PLR0913, PLR0917 - one for each option
    environment: options.ConfiguredEnv,
    offline: Annotated[
        bool, typer.Option("--offline", help="Without an account: what a first apply would create.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Without an account, but on this state, as `terraform state pull` prints it.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    pictures: options.Pictures = 10_000,
    megabytes: options.Megabytes = 3.0,
    markdown: Annotated[
        Path | None, typer.Option(help="Write summary and plan as Markdown, for a pull request's comment.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Plan an environment, and sum up in a minute's reading what it would do, break and cost.

    The plan is saved; nothing is changed. First comes whatever replaces or destroys data, an
    endpoint or a key, with the attribute that forces it; the project's rules that it breaks; counts
    for each module and every change in place; the month's costs with their formulas. Terraform's
    own plan follows.
    """
    with errors_explained():
        with steps() as progress:
            env = get_environment(environment)
            saved = env.offline_plan(state, progress) if offline or state else env.plan(progress)
        volume, broken = Volume(pictures, megabytes), broken_rules(saved.json)
        summary = summarise(saved.json, environment, saved.basis, volume, broken)
        if markdown:
            markdown.write_text(plan_markdown.comment(summary, saved.text), encoding="utf-8")
    if as_json:
        print(json.dumps(summary.as_json() | {"plan": str(saved.path)}))
        return
    text = plan_markdown.summary(summary)
    # A terminal cannot show GitHub's boxes, and it must wrap what forces a replacement, not cut it
    # off.
    shown = Markdown(text.replace("> [!CAUTION]\n", "")) if out.is_terminal else text
    out.print(shown, markup=False, soft_wrap=not out.is_terminal)
    out.print(saved.text, markup=False)
    err.print(f"Saved as {saved.path}.", markup=False)
    if saved.next_step:
        err.print(f"Next: {saved.next_step}", markup=False)
