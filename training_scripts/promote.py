"""Puts a model artifact where the endpoint loads it from, and names it to Terraform."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from training_scripts import artifact

# A part of endpoint and model names, https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


class PromoteError(Exception):
    """The artifact cannot be published; the message says why and what to do."""


def publish(archive: Path, *, bucket: str, image_uri: str, tfvars: Path, s3_client: Any) -> dict[str, Any]:
    """Upload model.tar.gz to s3://bucket/models/<name>/ and write the Terraform variable `model` to `tfvars`.

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
    description, _ = artifact.read_archive(archive)
    name = description["name"]
    if not _NAME.fullmatch(name):
        raise PromoteError(
            f"the model's name {name!r} is none that SageMaker takes: letters, digits and hyphens"
        )
    key = f"models/{name}/model.tar.gz"
    _upload(archive.read_bytes(), bucket, key, s3_client)
    variables = {
        "model": {
            "name": name,
            "artifact_uri": f"s3://{bucket}/{key}",
            "sha256": artifact.sha256(archive),
            "image_uri": image_uri,
            "labels": description["labels"],
            "classes_of_interest": description["classes_of_interest"],
            "threshold": description["threshold"],
            "input_size": description["input_size"],
        }
    }
    _write(tfvars, json.dumps(variables, indent=2) + "\n")
    return variables


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


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
