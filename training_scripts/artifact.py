"""The model artifact: model.onnx and model.json, on their own in a folder or packed as model.tar.gz."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

from functions.common.shown import shown
from training_scripts.errors import UserError

SCHEMA_VERSION = 1
DESCRIPTION = "model.json"
NETWORK = "model.onnx"
LARGEST = 20_000_000
LARGEST_UNPACKED = 50_000_000
# Names the commit for a training job, whose code comes without its repository.
COMMIT_VARIABLE = "SCONES_COMMIT"


class ArtifactError(UserError):
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

    An archive holds these two files and nothing else: the endpoint unpacks all of it.

    Raises:
        ArtifactError: no such archive, a member too few or too many, one too large, or a description that
            does not fit the schema.
    """
    return unpacked(content_of(archive), str(archive))


def content_of(archive: Path) -> bytes:
    """The bytes of model.tar.gz, no more than a model may have. Raises ArtifactError."""
    try:
        with archive.open("rb") as file:
            return file.read(LARGEST_UNPACKED + 1)
    except OSError as error:
        raise _no_artifact(str(archive), error) from error


def unpacked(content: bytes, place: str) -> tuple[dict[str, Any], bytes]:
    """What `read_archive` returns, from the archive's bytes; `place` names it in the error. Raises ArtifactError."""
    try:
        contents = _members(content, place)
    # a damaged archive can raise nearly any of these out of tarfile
    except (
        tarfile.TarError,
        zlib.error,
        EOFError,
        OSError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise _no_artifact(place, error) from error
    if missing := {DESCRIPTION, NETWORK} - set(contents):
        raise ArtifactError(f"{place} has no {min(missing)}: train the model again or take the shipped one")
    return described(contents[DESCRIPTION], place), contents[NETWORK]


def _no_artifact(place: str, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{place} is not a model artifact ({shown(str(error))}): train one or take the shipped one"
    )


def _members(content: bytes, place: str) -> dict[str, bytes]:
    with gzip.open(io.BytesIO(content)) as zipped:
        unpacked = zipped.read(LARGEST_UNPACKED + 1)
    if len(unpacked) > LARGEST_UNPACKED:
        raise ArtifactError(f"{place} unpacks to more than {LARGEST_UNPACKED} bytes: no model is that large")
    contents: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isdir() and name == ".":
                continue
            is_file = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()
            if not is_file or name not in (DESCRIPTION, NETWORK) or name in contents:
                raise ArtifactError(
                    f"{place} holds {shown(member.name)} as well: a model archive holds one file {NETWORK} and one "
                    f"{DESCRIPTION}, nothing else; pack these two alone"
                )
            contents[name] = unpacked[member.offset_data : member.offset_data + member.size]
        if any(unpacked[tar.offset :]):
            raise ArtifactError(f"{place} goes on after its end: pack {NETWORK} and {DESCRIPTION} alone")
    return contents


def described(text: bytes, place: str) -> dict[str, Any]:
    """Parse and check a model.json; `place` names it in the error.

    Raises:
        ArtifactError: not a JSON object of this schema version, or a field that serving needs is unusable.
    """
    try:
        description = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{place}: {DESCRIPTION} is not JSON ({error}): train the model again") from error
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
        "name": isinstance(get("name"), str) and get("name") and get("name").isprintable(),
        "labels": labels,
        "classes_of_interest": _are_names(get("classes_of_interest"))
        and set(get("classes_of_interest")) <= set(labels),
        "mean": _are_numbers(get("mean")),
        "std": _are_numbers(get("std")) and all(get("std")),
        "input_size": type(get("input_size")) is int and get("input_size") > 0,
        "mirrored": isinstance(get("mirrored", True), bool),
        "temperature": _is_number(get("temperature")) and get("temperature") > 0,
        "threshold": _is_number(get("threshold")) and 0 < get("threshold") <= 1,
    }
    return next(
        (f"{key} cannot be used: {shown(get(key))}" for key, good in usable.items() if not good), None
    )


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
    """Write both files. The description comes last, because a network without it is not an artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    replace_file(folder / NETWORK, network)
    replace_file(folder / DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())


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
    replace_file(folder / "model.tar.gz", buffer.getvalue())
    return folder / "model.tar.gz"


def commit() -> str | None:
    """The commit that trains: the one given to the job, else this repository's, marked -dirty if files differ.

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


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
