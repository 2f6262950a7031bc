"""scones down: ends what `scones up` started."""

from scripts.local_stack import DEFAULT_FOLDER, LocalStack
from scripts.scones.console import err, errors_explained


def down() -> None:
    """Stop the stack on this machine and every process it started. Nothing of it is kept."""
    with errors_explained():
        was_running = LocalStack(DEFAULT_FOLDER).stop_server()
    err.print("The stack is down." if was_running else "No stack was running.")
