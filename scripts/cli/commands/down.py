"""scones down: ends what `scones up` started."""

from scripts.cli.console import err, errors_explained
from scripts.operations.local_stack import default_stack


def down() -> None:
    """Stop the stack on this machine and every process it started. Nothing is kept."""
    with errors_explained():
        was_running = default_stack().stop_server()
    err.print("The stack is down." if was_running else "No stack was running.")
