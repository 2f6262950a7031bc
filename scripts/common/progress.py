"""How long work says how far it is: a text, and the share done between 0 and 1 (None if unknown)."""

from collections.abc import Callable

# Step by step progress: (what is being done, share done between 0 and 1 or None where unknown).
Progress = Callable[[str, float | None], None]


def silent(_text: str, _share: float | None) -> None:
    """A Progress that shows nothing."""
