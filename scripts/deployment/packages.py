"""Builds the functions' zip files: `python -m scripts.deployment.packages --target aws|local`.

A package holds the function's own folder, those modules of functions/common that it imports, and
its locked dependencies. It is bit for bit the same wherever and whenever it is built: entries are
sorted and carry a fixed time and fixed permissions, our own files are stored without compression,
and a dependency's files keep the compressed bytes of their hash-pinned wheel, so that the machine's
zlib makes no difference. boto3 comes with the Lambda runtime and is not packaged.
"""

import argparse
import ast
import dataclasses
import fnmatch
import hashlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from functions.common.shown import shown
from scripts.common.errors import UserError
from scripts.common.files import replace_file
from scripts.common.paths import ROOT
from scripts.deployment import sbom
from scripts.deployment.licences import UnknownLicence
from training_scripts.terminal import cleaned

BUILD = ROOT / "build"
FUNCTIONS = ("classify_image", "filter_inferences", "report_drift", "send_alert", "serialize_image_data")

# The newest runtime that provider 5.100 knows; on one machine, any newer interpreter runs under
# this name.
NEWEST_RUNTIME = (3, 13)

# Parts of wheels that are not needed at run time. Pillow's are codecs and font engines that the
# decoder never opens: two thirds of its size, and of its attack surface.
UNUSED = (
    "*.pyi",
    "*/py.typed",
    "*/tests/*",
    "*.dist-info/RECORD",
    "*.dist-info/WHEEL",
    "*.dist-info/sboms/*",
    "*.data/scripts/*",
    "PIL/_avif.*",
    "PIL/_imagingcms.*",
    "PIL/_imagingft.*",
    "PIL/_imagingmath.*",
    "PIL/_imagingmorph.*",
    "PIL/_imagingtk.*",
    "pillow.libs/libavif*",
    "pillow.libs/libbrotli*",
    "pillow.libs/libfreetype*",
    "pillow.libs/libharfbuzz*",
    "pillow.libs/liblcms2*",
    "pillow.libs/libpng16*",
)

Report = Callable[[str], None]


class PackagingError(UserError):
    """A package cannot be built; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Target:
    """What a package is built for; `pip_arguments` make pip choose wheels for it."""

    name: str
    runtime: str
    architecture: str
    wheels: str
    pip_arguments: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file of a package: its bytes as stored in the zip, `method` as in zipfile."""

    name: str
    method: int
    crc: int
    size: int
    stored: bytes


def targets() -> dict[str, Target]:
    # AWS: python3.13 runs on Amazon Linux 2023, whose glibc is 2.34:
    # https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    manylinux = [f"manylinux_2_{minor}_aarch64" for minor in range(34, 16, -1)] + ["manylinux2014_aarch64"]
    aws = [argument for tag in manylinux for argument in ("--platform", tag)]
    aws += ["--python-version", "3.13", "--implementation", "cp"]
    here = min(sys.version_info[:2], NEWEST_RUNTIME)
    machine = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
    interpreter = f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"
    return {
        "aws": Target("aws", "python3.13", "arm64", "cpython-313-linux-aarch64", tuple(aws)),
        "local": Target(
            "local",
            f"python{here[0]}.{here[1]}",
            machine.get(platform.machine().lower(), platform.machine()),
            interpreter,
            (),
        ),
    }


def build(target_name: str, report: Report) -> Path:
    """Write build/<target>/<function>.zip, its bill of materials (.cdx.json) and manifest.json.

    Every call builds all packages again, which is quick because wheels are kept in build/wheels;
    files whose content is the same are not touched. Returns the manifest's path. Raises
    PackagingError.
    """
    target = targets().get(target_name)
    if target is None:
        raise PackagingError(f"There is no target {shown(target_name)}; use one of: {', '.join(targets())}.")
    output = BUILD / target.name
    output.mkdir(parents=True, exist_ok=True)
    functions = {}
    for name in FUNCTIONS:
        wheels = _wheels(ROOT / "functions" / name / "requirements.txt", target, report)
        entries = [*_sources(name), *(entry for wheel in wheels for entry in _wheel_entries(wheel))]
        package = _zip(entries)
        changed = _write(output / f"{name}.zip", package)
        try:
            _write(output / f"{name}.cdx.json", sbom.bill(name, package, wheels))
        except UnknownLicence as error:
            raise PackagingError(str(error)) from error
        functions[name] = {"sha256": hashlib.sha256(package).hexdigest(), "bytes": len(package)}
        report(
            f"{target.name}/{name}.zip: {len(package) / 1e6:.2f} MB, {'built' if changed else 'unchanged'}"
        )
    manifest = {"runtime": target.runtime, "architecture": target.architecture, "functions": functions}
    _write(output / "manifest.json", f"{json.dumps(manifest, indent=2)}\n".encode())
    return output / "manifest.json"


def _sources(function: str) -> Iterator[Entry]:
    """The function's folder and the project's modules that it imports, directly or not."""
    folder = ROOT / "functions" / function
    files = {*folder.rglob("*.py"), *folder.glob("templates/*.txt")}
    waiting = sorted(path for path in files if path.suffix == ".py")
    while waiting:
        new = set(_imported(waiting.pop())) - files
        files |= new
        waiting += sorted(new)
    for path in sorted(files):
        yield _own(path.relative_to(ROOT).as_posix(), path.read_bytes())


def _imported(module: Path) -> Iterator[Path]:
    """Files of this project that a module imports, with __init__.py of the packages above."""
    names = set()
    for node in ast.walk(ast.parse(module.read_bytes(), str(module))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    for name in sorted(names):
        parts = name.split(".")
        if parts[0] != "functions":
            continue
        candidates = [ROOT.joinpath(*parts[:depth], "__init__.py") for depth in range(1, len(parts) + 1)]
        candidates.append(ROOT.joinpath(*parts).with_suffix(".py"))
        yield from (path for path in candidates if path.is_file())


def _own(name: str, content: bytes) -> Entry:
    return Entry(name, zipfile.ZIP_STORED, zlib.crc32(content), len(content), content)


def _wheel_entries(wheel: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(wheel) as archive, wheel.open("rb") as file:
        for info in archive.infolist():
            if info.is_dir() or any(fnmatch.fnmatchcase(info.filename, pattern) for pattern in UNUSED):
                continue
            if info.filename.partition("/")[0].endswith(".data"):
                raise PackagingError(f"{wheel.name} has a .data folder, which only an installer can unpack.")
            file.seek(info.header_offset)
            name_length, extra_length = struct.unpack("<26xHH", file.read(30))
            file.seek(name_length + extra_length, os.SEEK_CUR)
            stored = file.read(info.compress_size)
            yield Entry(info.filename, info.compress_type, info.CRC, info.file_size, stored)


def _zip(entries: list[Entry]) -> bytes:
    """A zip file: 1980-01-01 00:00, mode 0644, sorted by name.

    By hand, because zipfile cannot copy compressed bytes:
    https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT 4.3
    """
    midnight, new_year_1980 = 0, 1 << 5 | 1
    made_by_unix, utf8_names, regular_file = 3 << 8 | 20, 1 << 11, 0o100644 << 16
    body, directory = bytearray(), bytearray()
    entries = sorted(entries, key=lambda entry: entry.name)
    for entry in entries:
        name = entry.name.encode()
        common = struct.pack(
            "<5H3L2H",
            *(20, utf8_names, entry.method, midnight, new_year_1980),
            *(entry.crc, len(entry.stored), entry.size),
            *(len(name), 0),
        )
        directory += b"PK\1\2" + struct.pack("<H", made_by_unix) + common
        directory += struct.pack("<3H2L", 0, 0, 0, regular_file, len(body)) + name
        body += b"PK\3\4" + common + name + entry.stored
    count = len(entries)
    end = struct.pack("<4H2LH", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + b"PK\5\6" + end)


def _write(path: Path, content: bytes) -> bool:
    """Replace the file in one step, only if its content differs; returns whether it did."""
    if path.is_file() and path.read_bytes() == content:
        return False
    replace_file(path, content)
    return True


def _wheels(lock: Path, target: Target, report: Report) -> list[Path]:
    """The wheels that the lock file pins, from the cache or by pip, each checked against its hash.

    The cache has one folder for each target and lock file; it is renamed into place when complete.
    """
    pins = [
        line.strip() for line in lock.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    digest = hashlib.sha256("\n".join(pins).encode()).hexdigest()[:12]
    folder = BUILD / "wheels" / f"{target.wheels}-{digest}"
    if not folder.is_dir():
        report(f"{target.name}: fetching the wheels of functions/{lock.parent.name}/{lock.name}")
        _download(lock, target, folder)
    wheels = sorted(folder.glob("*.whl"))
    pinned = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", "\n".join(pins)))
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in pinned:
            raise PackagingError(f"{wheel} is not what {lock} pins; delete {folder} and package again.")
    return wheels


def _download(lock: Path, target: Target, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary=:all:",
        "--require-hashes",
        "--requirement",
        str(lock),
        "--dest",
        str(unfinished),
    ]
    try:
        done = subprocess.run([*command, *target.pip_arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise PackagingError(_explain(done.stderr, lock))
        if not folder.is_dir():  # another build may have been faster
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _explain(stderr: str, lock: Path) -> str:
    errors = [line.strip() for line in stderr.splitlines() if line.strip()]
    if "DO NOT MATCH THE HASHES" in stderr:
        advice = f"A file is not the one that {lock} pins: do not use it, and find out which index gave it."
    elif re.search(r"from versions: none|ConnectionError|ProxyError|Temporary failure|timed out", stderr):
        advice = "The package index cannot be reached: check the network, and pip's index and proxy settings."
    else:
        advice = f"Check that {lock} is up to date (its first lines say how it is made)."
    return "\n".join(["pip could not fetch the dependencies.", *errors[-5:], advice])


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the functions' zip files.")
    parser.add_argument("--target", required=True, help=" or ".join(targets()))
    try:
        build(parser.parse_args().target, print)
    except PackagingError as error:
        print(cleaned(f"error: {error}"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
