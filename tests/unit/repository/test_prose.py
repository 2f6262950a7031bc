"""Prose in Markdown is wrapped, so that a change of one sentence is a change of few lines."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LONGEST = 100
GENERATED = {"docs/licences.md", "docs/permissions.md", "docs/workflow.md"}
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "scripts/**/*.md", "terraform/**/*.md")
    for path in ROOT.glob(pattern)
    if ".terraform" not in path.parts
)
# Code, and the parts of a page that a program writes.
LEFT_ALONE = re.compile(
    r"^ *```.*?^ *```$"
    r"|^<!-- mutations:begin.*?^<!-- mutations:end"
    r"|^<!-- example: begin.*?^<!-- example: end"
    r"|^<!-- faults: written.*?^<!-- end of faults",
    re.DOTALL | re.MULTILINE,
)
# Tables, headings, comments, images and link definitions cannot be wrapped.
ONE_LINE = re.compile(r" *(\||#|<|!\[|\[[^]]+\]: )")
MARKER = re.compile(r" *([-*+]|\d+\.)? *")
# A code span is one word.
WORD = re.compile(r"(?:`[^`]*`|[^\s`])+")


def too_long(text):
    """(number, line) of every line over the limit that could be broken."""
    text = LEFT_ALONE.sub(lambda part: "\n" * part[0].count("\n"), text)
    return [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > LONGEST
        and not ONE_LINE.match(line)
        and len(WORD.findall(line[MARKER.match(line).end() :])) > 1
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if page not in GENERATED])
def test_prose_is_wrapped(page):
    found = [f"{page}:{number}" for number, _ in too_long((ROOT / page).read_text(encoding="utf-8"))]

    assert found == [], f"break these lines before column {LONGEST + 1}, at a space outside of code"


@pytest.mark.parametrize("line", [f"word {'x' * 100}", f"- some {'x ' * 60}", f"1. `a b` {'y' * 100}"])
def test_a_long_line_is_seen(line):
    assert too_long(f"\n{line}\n") == [(2, line)]


@pytest.mark.parametrize(
    "line",
    [f"| a | {'x ' * 60} |", f"# {'x ' * 60}", f"- `{'x ' * 60}`", f"```\n{'x ' * 60}\n```", "x" * 120],
)
def test_what_cannot_be_wrapped_may_be_long(line):
    assert too_long(line) == []
