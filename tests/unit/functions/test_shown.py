"""What came from outside, as messages show it: short, printable, and without building what is not shown."""

import tracemalloc
from pathlib import Path

import pytest

from functions.common.shown import shown

ROOT = Path(__file__).resolve().parents[3]
DEEP: list = []
for _ in range(100_000):
    DEEP = [DEEP]


def doubled(levels):
    value = ["x" * 100]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**7,
        b"x" * 10**7,
        "\x1b]0;owned\x07" * 10**5,
        "\u202egnp.exe" * 10**5,
        10**20_000,
        -(10**20_000),
        doubled(30),
        DEEP,
        {str(n) * 1000: doubled(30) for n in range(100)},
        {"x" * 1000: "y" * 1000},
        ["x" * 10**6] * 10**5,
        ("\ud800" * 1000,),
        {b"x" * 10**6},
        memoryview(b"x" * 10**6),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_is_shown_short_and_printable_in_little_memory(value):
    tracemalloc.start()
    try:
        text = shown(value)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert len(text) < 2000
    assert text.isprintable()
    assert peak < 1_000_000


@pytest.mark.parametrize("value", ["van", "", b"u1", 0, -17, 0.8, None, True, ["a", 1], {"a": 1}, "it's"])
def test_what_is_short_is_shown_as_it_is(value):
    assert shown(value) == repr(value)
