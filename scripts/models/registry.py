"""Models in the bucket and in Terraform's variable `model`: published, read, and the one before."""

import hashlib
import json
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.common import baseline
from functions.common.shown import shown
from scripts.common import s3
from scripts.common.errors import UserError
from scripts.common.files import replace_file
from training_scripts import artifact

# A part of endpoint and model names, https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")

# So many former models keep their threshold: the one that still answers may lie behind some that never did.
_FORMER = 3


class PromoteError(UserError):
    """The artifact cannot be published; the message says why and what to do."""


class NotPromoted(PromoteError):
    """A model was published without a promotion, so nothing tells what it has replaced."""


@dataclass(frozen=True)
class Destination:
    """Where a model is promoted to: the arguments of `publish`."""

    bucket: str
    image_uri: str
    tfvars: Path
    s3_client: Any


def current_model(tfvars: Path) -> dict[str, Any] | None:
    """The Terraform variable `model` as the file gives it; None without a file.

    Raises:
        PromoteError: it is no such file.
    """
    try:
        return json.loads(tfvars.read_text(encoding="utf-8"))["model"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise PromoteError(
            f"{tfvars} is no file that promote wrote ({error}): revert or remove it"
        ) from error


def previous_model(current: dict[str, Any], destination: Destination) -> dict[str, Any]:
    """The Terraform variable `model` that the current one has replaced, by the record of its promotion.

    Raises:
        NotPromoted: there is no such record.
        PromoteError: it was the first model, or the former artifact is not what it was.
    """
    try:
        there = destination.s3_client.get_object(Bucket=destination.bucket, Key=record_key(current["name"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise NotPromoted(
            f"{current['name']} has no {record_key(current['name'])} in {destination.bucket}, so nobody knows what it "
            f"has replaced: revert {destination.tfvars.name} in version control"
        ) from error
    former = json.loads(there["Body"].read())["replaces"]
    if former is None:
        raise PromoteError(f"{current['name']} was the first model: there is none to return to")
    with tempfile.TemporaryDirectory() as folder:
        artifact_of(former, destination, Path(folder))
    return former


def write_model(tfvars: Path, model: dict[str, Any]) -> dict[str, Any]:
    """Name a model to Terraform, with those that may still answer; the file is replaced whole or not at all.

    Returns the variable `model` as written.
    """
    written = model | {"former": _former(current_model(tfvars), model)}
    replace_file(tfvars, f"{json.dumps({'model': written}, indent=2)}\n".encode())
    return written


def _former(before: dict[str, Any] | None, model: dict[str, Any]) -> dict[str, float]:
    """The thresholds of the models that this file has named last, newest first.

    What a model of other classes answers means something else, so none is kept for it.
    """
    if before is None or any(before[name] != model[name] for name in ("labels", "classes_of_interest")):
        return {}
    known = {before["name"]: before["threshold"], **before.get("former", {})}
    return dict([it for it in known.items() if it[0] != model["name"]][:_FORMER])


def publish(archive: Path, *, bucket: str, image_uri: str, tfvars: Path, s3_client: Any) -> dict[str, Any]:
    """Upload model.tar.gz and its baseline to s3://bucket/models/<name>/ and write the Terraform variable `model` to `tfvars`.

    Publishing the same artifact again changes nothing.

    Args:
        archive: a packed artifact (see training_scripts.artifact).
        image_uri: the serving image by digest, repository@sha256:...
        tfvars: terraform/environments/<environment>.model.tfvars.json; replaced whole or not at all.

    Returns:
        What was written: {"model": {"name", "artifact_uri", "sha256", ...}}.

    Raises:
        ArtifactError: `archive` is no usable artifact.
        PromoteError: its name is unusable, or another artifact was published under that name.
        botocore.exceptions.ClientError: the bucket cannot be read or written.
    """
    return {"model": write_model(tfvars, store(archive, bucket, image_uri, s3_client))}


def store(archive: Path, bucket: str, image_uri: str, s3_client: Any) -> dict[str, Any]:
    """Upload artifact and baseline; returns what Terraform needs to know of the model."""
    description, _ = artifact.read_archive(archive)
    name = description["name"]
    if not _NAME.fullmatch(name):
        raise PromoteError(
            f"the model's name {shown(name)} is none that SageMaker takes: letters, digits and hyphens"
        )
    key = f"models/{name}/model.tar.gz"
    _upload(archive.read_bytes(), bucket, key, s3_client)
    _keep_baseline(description, bucket, s3_client)
    return {
        "name": name,
        "artifact_uri": f"s3://{bucket}/{key}",
        "sha256": artifact.sha256(archive),
        "image_uri": image_uri,
        "labels": description["labels"],
        "classes_of_interest": description["classes_of_interest"],
        "threshold": description["threshold"],
        "input_size": description["input_size"],
    }


def artifact_of(model: dict[str, Any], destination: Destination, folder: Path) -> Path:
    """The published artifact of a model, checked to be the one that was published."""
    try:
        path = s3.download(model["artifact_uri"], folder, destination.s3_client)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket", "404"):
            raise
        raise PromoteError(
            f"the artifact of {model['name']}, {model['artifact_uri']}, is not there: "
            f"revert or remove {destination.tfvars}"
        ) from error
    if artifact.sha256(path) != model["sha256"]:
        raise PromoteError(
            f"{model['artifact_uri']} is not the artifact that was promoted as {model['name']}"
        )
    return path


def record_key(name: str) -> str:
    return f"models/{name}/promotion.json"


def _upload(content: bytes, bucket: str, key: str, s3_client: Any) -> None:
    try:
        s3_client.put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/gzip", IfNoneMatch="*"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        there = s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
        if hashlib.sha256(there).digest() != hashlib.sha256(content).digest():
            raise PromoteError(
                f"s3://{bucket}/{key} holds another artifact, and published ones never change: "
                "train under another name"
            ) from error


def _keep_baseline(description: dict[str, Any], bucket: str, s3_client: Any) -> None:
    """Put the model's baseline where report_drift finds it; one that is there, perhaps made of the ledger, stays."""
    found = description.get("baseline") or {}
    if not found.get("confidence"):  # nothing was accepted in training, or the artifact is an old one
        return
    named = {name: description[name] for name in ("classes_of_interest", "threshold")}
    try:
        s3_client.put_object(
            Bucket=bucket,
            Key=baseline.key(description["name"]),
            Body=json.dumps(named | found, indent=1).encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
