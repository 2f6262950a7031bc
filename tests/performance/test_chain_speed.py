"""What the benchmark refuses before it builds anything, and what it says about growth."""

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

from tests.performance.benchmarks import chain_speed
from tests.performance.benchmarks.chain_speed import (
    BATCH,
    EMULATOR,
    Measured,
    NoPictures,
    show,
    small_pictures,
)


def archive(folder: Path, *names: str) -> Path:
    path = folder / "pictures.tar.gz"
    with tarfile.open(path, "w:gz") as written:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            written.addfile(member, io.BytesIO(b"data"))
    return path


def test_an_archive_s_test_folder_is_sent(tmp_path):
    found = small_pictures(
        archive(tmp_path, "cifar10/train/cat/1.jpg", "cifar10/test/cat/2.jpg", "test/dog/3.jpg")
    )

    assert found == [("2.jpg", b"data"), ("3.jpg", b"data")]


def test_an_archive_without_one_is_refused_by_name(tmp_path):
    with pytest.raises(NoPictures, match=r"pictures\.tar\.gz has no pictures to send: .*folder test/"):
        small_pictures(archive(tmp_path, "cifar-100-python/test", "cifar-100-python/train"))


def test_an_empty_folder_a_damaged_archive_and_a_missing_one_are_refused(tmp_path):
    (tmp_path / "damaged.tar").write_bytes(b"no archive")

    for name in (".", "damaged.tar", "missing.tar"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(NoPictures):
            small_pictures(tmp_path / ("empty" if name == "." else name))


def test_the_command_refuses_before_it_applies_anything(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["chain_speed", "--pictures", str(tmp_path), "10"])

    with pytest.raises(SystemExit, match="2"):
        chain_speed.main()

    assert "has no pictures to send" in capsys.readouterr().err


def test_the_tables_say_what_becomes_of_time_and_memory(capsys):
    def line(pictures: int, seconds: float) -> Measured:
        cpu = {EMULATOR: 15.0, "scones-local-classify-image": 2.0}
        return Measured(
            BATCH,
            pictures,
            seconds,
            cpu,
            dict.fromkeys(cpu, 90.0),
            {EMULATOR: 40.0},
            Counter(ACCEPTED=pictures),
        )

    show([line(1_000, 20.0), line(10_000, 220.0)])

    told = capsys.readouterr().out
    assert "| classify-image |" in told
    assert "Time per picture with 10,000: 1.10 times that with 1,000." in told
    assert "Memory, MB for each 1,000 pictures, over 10,000: one-machine AWS +40.0." in told
