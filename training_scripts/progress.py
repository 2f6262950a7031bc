"""How long work says how far it is."""

from collections.abc import Callable

# What is being done, and the share done between 0 and 1, or None where that is unknown.
Progress = Callable[[str, float | None], None]


def silent(_text: str, _share: float | None) -> None:
    """A Progress that shows nothing."""
