"""The command line: one file per verb."""

import typer

from scripts.scones import classify, demo, down, package, promote, up

app = typer.Typer(
    name="scones",
    help="An image-classification workflow that fails loudly: on AWS, or whole on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
)
app.command("package")(package.package)
app.command("up")(up.up)
app.command("down")(down.down)
app.command("promote")(promote.promote)
app.command("classify")(classify.classify)
app.command("demo")(demo.demo)

if __name__ == "__main__":
    app()
