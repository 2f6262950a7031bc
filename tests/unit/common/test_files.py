"""A file is replaced whole or not at all."""

from pathlib import Path

import pytest

from scripts.common.files import replace_file


def test_a_file_is_replaced(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("old")

    replace_file(file, b"new")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.json": "new"}


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch):
    def full_disk(path, content):
        path.touch()
        raise OSError("disk full")

    file = tmp_path / "a.json"
    file.write_text("old")
    monkeypatch.setattr(Path, "write_bytes", full_disk)

    with pytest.raises(OSError, match="disk full"):
        replace_file(file, b"new")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.json": "old"}
