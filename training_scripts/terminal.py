"""Text from outside on a terminal: shown as text, so that no file name, log line or error steers the terminal."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment


class Terminal(Console):
    """A console that shows control characters and those that turn the reading direction as `?`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that a console prints passes here, from plain text to the cells of a table."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=cleaned(segment.text))


def cleaned(text: str) -> str:
    """Text of several lines, with `?` for every character that cannot be seen."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    """Text that came from outside (a key may hold anything), on one line and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
