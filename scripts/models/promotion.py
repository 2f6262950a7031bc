"""Puts a model artifact where the endpoint loads it from, and names it to Terraform, if it passes the gate.

The gate's rule stands in training_scripts.evaluation.gate.
"""

import datetime
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
from scripts.common.progress import Progress
from training_scripts import artifact, evaluate
from training_scripts.evaluate import Pictures
from training_scripts.evaluation import gate
from training_scripts.evaluation.gate import Verdict
from training_scripts.evaluation.predictions import Answers, ask, serving_archive, truth_of

# A part of endpoint and model names, https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")

# The functions' settings that come from the model (terraform/functions.tf).
_SETTINGS = {
    "serialize_image_data": {"input_size"},
    "classify_image": {"labels"},
    "filter_inferences": {"labels", "classes_of_interest", "name", "threshold", "former"},
}

# So many former models keep their threshold: the one that still answers may lie behind some that never did.
_FORMER = 3


class PromoteError(Exception):
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


@dataclass(frozen=True)
class Promotion:
    """A verdict, and the Terraform variable `model` before and after (None: none yet; unchanged if refused)."""

    verdict: Verdict
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def promote(
    candidate: Path,
    destination: Destination,
    *,
    frozen: Path | None,
    new_classes: bool,
    progress: Progress,
) -> Promotion:
    """Hold a new model against the current one and publish it if it is no worse.

    A first model is adopted without a comparison. Verdict and figures are kept beside the artifact as
    promotion.json before Terraform is told of the model, so that one cut off anywhere can be repeated and rolled
    back. Rolling back is writing `former_model` to the file `destination.tfvars`, or reverting it.

    Args:
        frozen: an archive or staged folder whose test split decides; needed if there is a current model.
        new_classes: the classes of interest may differ; only those that both models know are compared.

    Raises:
        ArtifactError, StageError, ServingFailed: the candidate or the frozen set cannot be used.
        PromoteError: no frozen set, other classes, or the current model is not what its file says.
        botocore.exceptions.ClientError: the bucket cannot be read or written.
    """
    description, _ = artifact.read_archive(candidate)
    before = current_model(destination.tfvars)
    with tempfile.TemporaryDirectory() as folder:
        verdict = _verdict(
            _Contest(candidate, description, before, frozen, progress), destination, Path(folder), new_classes
        )
    if not verdict.adopted:
        return Promotion(verdict, before, before)
    model = _store(candidate, destination.bucket, destination.image_uri, destination.s3_client)
    _record(verdict, before, model, destination)
    return Promotion(verdict, before, write_model(destination.tfvars, model))


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


def former_model(current: dict[str, Any], destination: Destination) -> dict[str, Any]:
    """The Terraform variable `model` that the current one has replaced, by the record of its promotion.

    Raises:
        NotPromoted: there is no such record.
        PromoteError: it was the first model, or the former artifact is not what it was.
    """
    try:
        there = destination.s3_client.get_object(Bucket=destination.bucket, Key=_record_key(current["name"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        raise NotPromoted(
            f"{current['name']} has no {_record_key(current['name'])} in {destination.bucket}, so nobody knows what it "
            f"has replaced: revert {destination.tfvars.name} in version control"
        ) from error
    former = json.loads(there["Body"].read())["replaces"]
    if former is None:
        raise PromoteError(f"{current['name']} was the first model: there is none to return to")
    with tempfile.TemporaryDirectory() as folder:
        _artifact_of(former, destination, Path(folder))
    return former


def write_model(tfvars: Path, model: dict[str, Any]) -> dict[str, Any]:
    """Name a model to Terraform, with those that may still answer; the file is replaced whole or not at all.

    Returns the variable `model` as written.
    """
    written = model | {"former": _former(current_model(tfvars), model)}
    _write(tfvars, json.dumps({"model": written}, indent=2) + "\n")
    return written


def _former(before: dict[str, Any] | None, model: dict[str, Any]) -> dict[str, float]:
    """The thresholds of the models that this file has named last, newest first.

    What a model of other classes answers means something else, so none is kept for it.
    """
    if before is None or any(before[name] != model[name] for name in ("labels", "classes_of_interest")):
        return {}
    known = {before["name"]: before["threshold"], **before.get("former", {})}
    return dict([it for it in known.items() if it[0] != model["name"]][:_FORMER])


def plan_to_expect(before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    """What `terraform plan` will show, line by line."""
    if before is None:
        return [
            "the endpoint is switched on: its model, configuration and endpoint are created",
            "the functions learn labels, threshold and input size, and the bucket's trigger is enabled",
        ]
    before = {"former": {}} | before
    lines, changed = [], {key for key in after if before.get(key) != after[key]}
    rolled_out = changed & {"artifact_uri", "sha256", "image_uri"}
    functions = [name for name, keys in _SETTINGS.items() if keys & changed]
    if rolled_out:
        lines += ["1 updated in place: the endpoint", "2 replaced: its model and its configuration"]
    lines += [f"2 updated in place: the function {name} and its alias" for name in functions]
    count = 2 if rolled_out else 0
    in_place = (1 if rolled_out else 0) + 2 * len(functions)
    summary = f"Plan: {count} to add, {in_place} to change, {count} to destroy."
    return [*lines, summary if lines else "No changes."]


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
    return {"model": write_model(tfvars, _store(archive, bucket, image_uri, s3_client))}


def _store(archive: Path, bucket: str, image_uri: str, s3_client: Any) -> dict[str, Any]:
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


@dataclass(frozen=True)
class _Contest:
    candidate: Path
    description: dict[str, Any]
    current: dict[str, Any] | None
    frozen: Path | None
    progress: Progress

    def answers(self, archive: Path, pictures: Pictures, whose: str) -> Answers:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.progress(f"Asking the {whose} model: picture {done}", done / len(pictures.labels))

        with serving_archive(archive) as (port, description):
            probabilities = ask(port, pictures.pixels, count)
        return Answers(description, probabilities, truth_of(pictures.labels, description))


def _verdict(contest: _Contest, destination: Destination, folder: Path, new_classes: bool) -> Verdict:
    current, frozen = contest.current, contest.frozen
    if current and current["sha256"] == artifact.sha256(contest.candidate):
        return Verdict(notes=["it is the current model: nothing to compare"])
    if current is None and frozen is None:
        note = "it is the first model: adopted without a comparison"
        return Verdict(gate.floors(contest.description, None), [note])
    if frozen is None:
        raise PromoteError(
            "--frozen is needed: the pictures, an archive or a staged folder, whose test split decides whether "
            f"the new model is no worse than {current['name'] if current else None}"
        )
    interest = contest.description["classes_of_interest"]
    if current:
        _check_classes(interest, current["classes_of_interest"], new_classes)
        interest = [*interest, *(name for name in current["classes_of_interest"] if name not in interest)]
    pictures = evaluate.read(frozen, "test", interest)
    new = contest.answers(contest.candidate, pictures, "new")
    if current is None:
        verdict = Verdict(notes=["it is the first model: there is none to compare it with"])
        verdict.figures = {name: {"new": share} for name, share in new.shares().items()}
    elif set(current["classes_of_interest"]) & set(contest.description["classes_of_interest"]):
        archive = _artifact_of(current, destination, folder)
        verdict = gate.compare(new, contest.answers(archive, pictures, "current"))
        verdict.notes += _another_set(current, destination, pictures.digest())
    else:
        verdict = Verdict(notes=["it knows none of the current model's classes: there is nothing to compare"])
    verdict.refusals += gate.floors(contest.description, new)
    verdict.figures["frozen"] = {"sha256": pictures.digest(), "pictures": len(pictures.labels)}
    return verdict


def _check_classes(new: list[str], current: list[str], new_classes: bool) -> None:
    if set(new) != set(current) and not new_classes:
        raise PromoteError(
            f"its classes of interest are {', '.join(new)}, the current ones {', '.join(current)}: "
            "give --new-classes if that is meant"
        )


def _artifact_of(model: dict[str, Any], destination: Destination, folder: Path) -> Path:
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


def _another_set(current: dict[str, Any], destination: Destination, digest: str) -> list[str]:
    """A note where the current model was adopted on another frozen set."""
    try:
        there = destination.s3_client.get_object(Bucket=destination.bucket, Key=_record_key(current["name"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return []
    last = json.loads(there["Body"].read())["figures"].get("frozen")
    if last is None or last["sha256"] == digest:
        return []
    return ["the current model was judged on another frozen set"]


def _record_key(name: str) -> str:
    return f"models/{name}/promotion.json"


def _record(
    verdict: Verdict, before: dict[str, Any] | None, after: dict[str, Any], destination: Destination
) -> None:
    """Keep verdict and figures beside the artifact; promoting the current model again keeps the first record."""
    if before and before["sha256"] == after["sha256"]:
        return
    record = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": after,
        "replaces": before,
        "notes": verdict.notes,
        "figures": verdict.figures,
    }
    body = json.dumps(record, indent=1).encode()
    destination.s3_client.put_object(
        Bucket=destination.bucket, Key=_record_key(after["name"]), Body=body, ContentType="application/json"
    )


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


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
