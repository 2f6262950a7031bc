"""The model artifact: model.onnx and model.json, on their own in a folder or packed as model.tar.gz."""

import gzip
import hashlib
import io
import json
import math
import os
import tarfile
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
DESCRIPTION = "model.json"
NETWORK = "model.onnx"
LARGEST = 5_000_000
_NUMBERS = ("temperature", "threshold")
_LISTS = ("labels", "classes_of_interest", "mean", "std")


class ArtifactError(Exception):
    """The artifact is missing, damaged or of another schema; the message says what to do."""


def read_folder(folder: Path) -> tuple[dict[str, Any], bytes]:
    """The checked description and the network's bytes from an unpacked artifact.

    Raises:
        ArtifactError: a file is missing or the description does not fit the schema.
    """
    for name in (DESCRIPTION, NETWORK):
        if not (folder / name).is_file():
            raise ArtifactError(
                f"{folder / name} is missing: unpack a model.tar.gz there or set SM_MODEL_DIR"
            )
    return described((folder / DESCRIPTION).read_bytes(), str(folder)), (folder / NETWORK).read_bytes()


def read_archive(archive: Path) -> tuple[dict[str, Any], bytes]:
    """The checked description and the network's bytes from model.tar.gz; nothing is extracted.

    Raises:
        ArtifactError: no such archive, a member is missing, or the description does not fit the schema.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = {m.name.removeprefix("./"): m for m in tar if m.isreg() and m.size <= 10 * LARGEST}
            contents = {n: tar.extractfile(members[n]).read() for n in (DESCRIPTION, NETWORK)}  # type: ignore[union-attr]
    except (tarfile.TarError, EOFError, OSError, KeyError) as error:
        raise ArtifactError(
            f"{archive} is no model artifact ({error}): train one or take the shipped one"
        ) from error
    return described(contents[DESCRIPTION], str(archive)), contents[NETWORK]


def described(text: bytes, place: str) -> dict[str, Any]:
    """Parse and check a model.json; `place` names it in the error.

    Raises:
        ArtifactError: no JSON object of this schema version, or a field that serving needs is unusable.
    """
    try:
        description = json.loads(text)
    except ValueError as error:
        raise ArtifactError(f"{place}: {DESCRIPTION} is no JSON ({error}): train the model again") from error
    wrong = _first_fault(description)
    if wrong:
        raise ArtifactError(f"{place}: {DESCRIPTION}: {wrong}: train the model again")
    return description


def _first_fault(description: Any) -> str | None:
    if not isinstance(description, dict) or description.get("schema_version") != SCHEMA_VERSION:
        return f"schema_version is not {SCHEMA_VERSION}"
    if not isinstance(description.get("name"), str) or not description["name"]:
        return "name is missing"
    for key in _LISTS:
        if not isinstance(description.get(key), list) or not description[key]:
            return f"{key} is no list"
    if not set(description["classes_of_interest"]) <= set(description["labels"]):
        return "classes_of_interest holds a class that is no label"
    for key in _NUMBERS:
        value = description.get(key)
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            return f"{key} is no number above 0"
    if type(description.get("input_size")) is not int or description["input_size"] < 1:
        return "input_size is no number of pixels"
    return None


def write(folder: Path, description: dict[str, Any], network: bytes) -> None:
    """Write both files; each appears whole or not at all, the description last."""
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / NETWORK, network)
    _replace(folder / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())


def pack(folder: Path) -> Path:
    """Pack an unpacked artifact as model.tar.gz beside its files; the same content gives the same bytes.

    Raises:
        ArtifactError: a file is missing, or the archive would be larger than LARGEST bytes.
    """
    read_folder(folder)
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as tar,
    ):
        for name in (DESCRIPTION, NETWORK):
            content = (folder / name).read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    if buffer.tell() > LARGEST:
        raise ArtifactError(
            f"the artifact has {buffer.tell()} bytes, the limit is {LARGEST}: train a narrower network"
        )
    _replace(folder / "model.tar.gz", buffer.getvalue())
    return folder / "model.tar.gz"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
