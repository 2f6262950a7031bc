"""Long work: how it says how far it is, and how its end is waited for."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

# What is being done, and the share done between 0 and 1, or None where that is unknown.
Progress = Callable[[str, float | None], None]


def silent(_text: str, _share: float | None) -> None:
    """A Progress that shows nothing."""


def wait_until(look: Callable[[], Found | None], pause: float, longest: float) -> Found:
    """Call `look` until it returns something; pauses grow from `pause` to `longest` seconds."""
    while (found := look()) is None:
        time.sleep(pause)
        pause = min(pause * 1.5, longest)
    return found
