"""The model artifact: model.onnx and model.json, on their own in a folder or packed as model.tar.gz."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

SCHEMA_VERSION = 1
DESCRIPTION = "model.json"
NETWORK = "model.onnx"
LARGEST = 5_000_000
# Tells a training job, whose code comes without its repository, from which commit that code is.
COMMIT_VARIABLE = "SCONES_COMMIT"


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
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{place}: {DESCRIPTION} is no JSON ({error}): train the model again") from error
    wrong = _first_fault(description)
    if wrong:
        raise ArtifactError(f"{place}: {DESCRIPTION}: {wrong}: train the model again")
    return description


def _first_fault(description: Any) -> str | None:
    if not isinstance(description, dict) or description.get("schema_version") != SCHEMA_VERSION:
        return f"schema_version is not {SCHEMA_VERSION}"
    get: Any = description.get
    labels = get("labels") if _are_names(get("labels")) else []
    usable = {
        "name": isinstance(get("name"), str) and get("name"),
        "labels": labels,
        "classes_of_interest": _are_names(get("classes_of_interest"))
        and set(get("classes_of_interest")) <= set(labels),
        "mean": _are_numbers(get("mean")),
        "std": _are_numbers(get("std")) and all(get("std")),
        "input_size": type(get("input_size")) is int and get("input_size") > 0,
        "temperature": _is_number(get("temperature")) and get("temperature") > 0,
        "threshold": _is_number(get("threshold")) and 0 < get("threshold") <= 1,
    }
    return next((f"{key} cannot be used: {get(key)!r}" for key, good in usable.items() if not good), None)


def _are_names(value: Any) -> bool:
    named = isinstance(value, list) and value and all(isinstance(item, str) and item for item in value)
    return bool(named) and len(set(value)) == len(value)


def _are_numbers(value: Any) -> bool:
    """Whether it is a list of one finite number per colour channel."""
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _is_number(value: Any) -> bool:
    # also false for NaN; a whole number may be larger than any float
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def write(folder: Path, description: dict[str, Any], network: bytes) -> None:
    """Write both files; without its description, which comes last, a network is no artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
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


def commit() -> str | None:
    """The commit that trains: as a job was told, else this repository's, marked -dirty where files differ from it.

    None outside a repository.
    """
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
