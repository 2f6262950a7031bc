"""The nightly fuzz of the decoder, for a moment: it says what it found, and would say what failed."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def decoder_fuzz(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, importable also in the processes that it starts."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent / "benchmarks"))
    return importlib.import_module("decoder_fuzz")


def test_a_short_run_finds_nothing_and_names_its_worst_input(decoder_fuzz: ModuleType, capsys: Any) -> None:
    assert decoder_fuzz.fuzz(300, 7)

    told = capsys.readouterr().out
    assert told.startswith("300 inputs from seed 7: ")
    assert "worst input: number " in told


def test_a_seed_and_a_number_give_the_same_bytes_again(decoder_fuzz: ModuleType) -> None:
    inputs = [decoder_fuzz.mutated(7, number) for number in range(50)]

    assert inputs == [decoder_fuzz.mutated(7, number) for number in range(50)]
    assert len(set(inputs)) > 45


def test_a_damaged_png_gets_checksums_that_fit(decoder_fuzz: ModuleType) -> None:
    sound = next(seed for seed in decoder_fuzz.SEEDS if seed.startswith(b"\x89PNG"))
    at = sound.index(b"IEND") + 4

    mended = decoder_fuzz.with_right_checksums(bytearray(sound[:at] + b"\0\0\0\0"))

    assert bytes(mended) == sound


def test_an_error_without_a_name_fails_the_run(
    decoder_fuzz: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Answers(list[Any]):
        put = list.append

    class UnderWay:
        value = -1

    def confused(data: bytes, _side: int) -> None:
        if data not in decoder_fuzz.SEEDS:
            raise ValueError("what is this?")

    monkeypatch.setattr(decoder_fuzz, "read_picture", confused)
    answers = Answers()

    decoder_fuzz.work(7, range(2), UnderWay(), answers)

    assert answers[0].failures == [(0, "ValueError('what is this?')"), (1, "ValueError('what is this?')")]
