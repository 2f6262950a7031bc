"""How a message shows a value that came from outside: short and without control characters, whatever it is."""

import reprlib
from typing import Any

LONGEST_TEXT = 200


class _Short(reprlib.Repr):
    """Looks only at as much of a value as it shows: a few bytes can mean a structure of many megabytes."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 1
        self.maxstring = self.maxother = LONGEST_TEXT

    def repr_bytes(self, value: bytes, *_: int) -> str:
        return repr(value) if len(value) <= LONGEST_TEXT else f"{value[:LONGEST_TEXT]!r}..."

    def repr_int(self, value: int, *_: int) -> str:
        """Python refuses to turn a number of thousands of digits into text."""
        return (
            repr(value) if value.bit_length() <= LONGEST_TEXT else f"<a number of {value.bit_length()} bits>"
        )


def shown(value: Any) -> str:
    """A value as a message quotes it: a few hundred characters at most, all printable."""
    return _Short().repr(value)
