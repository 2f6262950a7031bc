"""Models in the bucket and in Terraform's variable `model`: published, read, and the one before."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from functions.common import baseline
from functions.common.shown import shown
from scripts.common import s3
from scripts.common.errors import UserError
from scripts.common.files import replace_file
from scripts.models.archive import ModelArchive

# A part of endpoint and model names,
# https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")

# Former models whose thresholds are kept: the one that still answers may be older than some that
# never did.
_FORMER = 3


class PromoteError(UserError):
    """The artifact cannot be published; the message says why and what to do."""


class NotPromoted(PromoteError):
    """A model was published without a promotion, so nothing records what it replaced."""


@dataclass(frozen=True)
class Destination:
    """Where a model is published, and the file that names it to Terraform."""

    bucket: str
    tfvars: Path
    s3_client: Any


def current_model(tfvars: Path) -> dict[str, Any] | None:
    """The Terraform variable `model` as the file gives it; None without a file.

    Raises:
        PromoteError: promote did not write it.
    """
    try:
        return json.loads(tfvars.read_text(encoding="utf-8"))["model"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise PromoteError(
            f"{tfvars} is not a file that promote wrote ({error}): revert or remove it"
        ) from error


def previous_model(current: dict[str, Any], destination: Destination) -> dict[str, Any]:
    """The variable `model` that the current one has replaced, by its promotion's record.

    Raises:
        NotPromoted: there is no such record.
        PromoteError: it was the first model, or the former artifact has changed or gone.
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
    published(former, destination)
    return former


def write_model(tfvars: Path, model: dict[str, Any]) -> dict[str, Any]:
    """Name a model to Terraform, and the former ones that may still answer; all or nothing.

    Returns the variable `model` as written.
    """
    written = model | {"former": _former(current_model(tfvars), model)}
    replace_file(tfvars, f"{json.dumps({'model': written}, indent=2)}\n".encode())
    return written


def _former(before: dict[str, Any] | None, model: dict[str, Any]) -> dict[str, float]:
    """The thresholds of the models that this file named before, newest first.

    The answers of a model with other classes mean something else, so none is kept for it.
    """
    if before is None or any(before[name] != model[name] for name in ("labels", "classes_of_interest")):
        return {}
    known = {before["name"]: before["threshold"], **before.get("former", {})}
    return dict([it for it in known.items() if it[0] != model["name"]][:_FORMER])


def publish(model: ModelArchive, image_uri: str, destination: Destination) -> dict[str, Any]:
    """Upload a model and its baseline to models/<name>/; returns what Terraform needs to know.

    Publishing the same model again changes nothing.

    Args:
        image_uri: the serving image by digest, repository@sha256:...

    Raises:
        PromoteError: its name is unusable, or another artifact was published under that name.
        botocore.exceptions.ClientError: the bucket cannot be read or written.
    """
    if not _NAME.fullmatch(model.name):
        raise PromoteError(
            f"the model's name {shown(model.name)} is not one that SageMaker takes: letters, digits and hyphens"
        )
    key = f"models/{model.name}/model.tar.gz"
    _upload(model, key, destination)
    _keep_baseline(model.description, destination)
    return {
        "name": model.name,
        "artifact_uri": f"s3://{destination.bucket}/{key}",
        "sha256": model.sha256,
        "image_uri": image_uri,
        "labels": model.description["labels"],
        "classes_of_interest": model.classes,
        "threshold": model.description["threshold"],
        "input_size": model.description["input_size"],
    }


def published(model: dict[str, Any], destination: Destination) -> bytes:
    """A model's artifact, checked to be the one that was published. Raises PromoteError."""
    bucket, key = s3.parse_uri(model["artifact_uri"])
    try:
        content: bytes = destination.s3_client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("NoSuchKey", "NoSuchBucket", "404"):
            raise
        raise PromoteError(
            f"the artifact of {model['name']}, {model['artifact_uri']}, is not there: "
            f"revert or remove {destination.tfvars}"
        ) from error
    if hashlib.sha256(content).hexdigest() != model["sha256"]:
        raise PromoteError(
            f"{model['artifact_uri']} is not the artifact that was promoted as {model['name']}"
        )
    return content


def record_key(name: str) -> str:
    return f"models/{name}/promotion.json"


def _upload(model: ModelArchive, key: str, destination: Destination) -> None:
    place = {"Bucket": destination.bucket, "Key": key}
    try:
        destination.s3_client.put_object(
            **place, Body=model.content, ContentType="application/gzip", IfNoneMatch="*"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        there = destination.s3_client.get_object(**place)["Body"].read()
        if hashlib.sha256(there).hexdigest() != model.sha256:
            raise PromoteError(
                f"s3://{destination.bucket}/{key} holds another artifact, and published ones never change: "
                "train under another name"
            ) from error


def _keep_baseline(description: dict[str, Any], destination: Destination) -> None:
    """Put the model's baseline where report_drift finds it; one that is there stays."""
    found = description.get("baseline") or {}
    if not found.get("confidence"):  # nothing was accepted in training, or the artifact is an old one
        return
    named = {name: description[name] for name in ("classes_of_interest", "threshold")}
    try:
        destination.s3_client.put_object(
            Bucket=destination.bucket,
            Key=baseline.key(description["name"]),
            Body=json.dumps(named | found, indent=1).encode(),
            ContentType="application/json",
            IfNoneMatch="*",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
