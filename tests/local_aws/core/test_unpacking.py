"""Archives that somebody uploaded: whatever they hold, nothing is written outside their folder."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scripts.local_aws.core import unpacking
from scripts.local_aws.core.unpacking import NotUnpacked

LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE


def tar_of(*members: tuple[str, bytes | str] | tuple[str, bytes | str, bytes]) -> bytes:
    """Each a name with its content, or with a link's type and where it leads, or with another type."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content, *kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind[0] if kind else tarfile.REGTYPE
            if isinstance(content, str):
                info.linkname = content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def longer_than_a_path() -> bytes:
    """CVE-2025-4517: folders and links whose whole path is too long for realpath to follow, then a way up."""
    part = "d" * 247
    steps, path = "abcdefghijklmnop", ""
    members: list[Any] = []
    for step in steps:
        members += [(f"{path}{part}", b"", tarfile.DIRTYPE), (f"{path}{step}", part, LINK)]
        path += f"{part}/"
    link = "/".join(steps) + "/" + "l" * 254
    members += [(link, "../" * len(steps), LINK), ("escape", f"{link}/../..", LINK)]
    return tar_of(*members, ("hard", "escape/outside", HARD), ("hard", b"written"))


HOSTILE = {
    "parent path": tar_of(("../outside", b"out")),
    "parent path inside": tar_of(("a/../../outside", b"out")),
    "absolute path": tar_of(("/scones-outside", b"out")),
    "link out": tar_of(("link", "../outside", LINK)),
    "file through a link": tar_of(("link", "..", LINK), ("link/outside", b"out")),
    "hard link out": tar_of(("hard", "../outside", HARD)),
    "absolute link": tar_of(("link", "/etc/passwd", LINK)),
    "link to itself": tar_of(("link", "link", LINK)),
    "links in a ring": tar_of(("a", "b", LINK), ("b", "a", LINK)),
    "links longer than a path": longer_than_a_path(),
    "pipe": tar_of(("pipe", b"", tarfile.FIFOTYPE)),
    "device": tar_of(("null", b"", tarfile.CHRTYPE)),
    "file in a file": tar_of(("a", b"file"), ("a/b", b"file")),
    "name that no disk takes": tar_of(("n" * 5000, b"")),
    "cut off": tar_of(("a", b"file" * 1000))[:-20],
    "no archive": b"no archive",
    "nothing": b"",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("untouched")
    return tmp_path / "models" / "folder"


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(content: bytes, folder: Path) -> None:
    with pytest.raises(NotUnpacked):
        unpacking.tar(content, folder)

    assert {path.name for path in folder.parents[1].iterdir()} == {"outside", "models"}
    assert (folder.parents[1] / "outside").read_text() == "untouched"
    assert [path for path in folder.rglob("*") if path.is_symlink()] == []
    assert not Path("/scones-outside").exists()


def test_files_and_folders_are_unpacked(folder: Path) -> None:
    unpacking.tar(tar_of((".", b"", tarfile.DIRTYPE), ("./a.txt", b"a"), ("code/b.txt", b"b")), folder)

    assert (folder / "a.txt").read_bytes() == b"a"
    assert (folder / "code" / "b.txt").read_bytes() == b"b"


@pytest.mark.parametrize(("kind", "target"), [(LINK, "a.txt"), (HARD, "v1/a.txt")])
def test_a_link_to_another_member_becomes_a_copy(kind: bytes, target: str, folder: Path) -> None:
    unpacking.tar(tar_of(("v1/a.txt", b"a"), ("v1/latest", target, kind)), folder)

    assert (folder / "v1" / "latest").read_bytes() == b"a"
    assert not (folder / "v1" / "latest").is_symlink()
    assert (folder / "v1" / "a.txt").stat().st_nlink == 1


def test_an_archive_that_would_fill_the_disk_is_stopped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_ARCHIVE", 3_000_000)
    monkeypatch.setattr(unpacking, "LARGEST_PACKAGE", 3_000_000)
    zeros = bytes(2_000_000)

    with pytest.raises(NotUnpacked, match="more than 3000000 bytes"):
        unpacking.tar(tar_of(("a", zeros), ("b", "a", HARD)), folder)
    with pytest.raises(NotUnpacked, match="more than 3000000 bytes"):
        unpacking.package(zip_of(a=zeros, b=zeros), folder.with_name("zip"))


def test_a_package_cannot_leave_its_folder(folder: Path) -> None:
    with pytest.raises(NotUnpacked, match="leaves its folder"):
        unpacking.package(zip_of(**{"../../outside": b"out"}), folder)

    assert (folder.parents[1] / "outside").read_text() == "untouched"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", zip_of(a=b"a" * 1000)[:-30]])
def test_a_damaged_package_is_refused(content: bytes, folder: Path) -> None:
    with pytest.raises(NotUnpacked):
        unpacking.package(content, folder)
