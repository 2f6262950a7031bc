"""Puts a model artifact where the endpoint loads it from, and names it to Terraform, if it passes the gate.

The gate's rule stands in training_scripts.evaluation.gate.
"""

import datetime
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.progress import Progress
from scripts.models.registry import (
    Destination,
    PromoteError,
    artifact_of,
    current_model,
    record_key,
    store,
    write_model,
)
from training_scripts import artifact
from training_scripts.evaluation import gate, test_set
from training_scripts.evaluation.gate import Verdict
from training_scripts.evaluation.predictions import Predictions, truth_of
from training_scripts.evaluation.serving_client import ask, serving_archive
from training_scripts.evaluation.test_set import Pictures

# The functions' settings that come from the model (terraform/functions.tf).
_SETTINGS = {
    "serialize_image_data": {"input_size"},
    "classify_image": {"labels"},
    "filter_inferences": {"labels", "classes_of_interest", "name", "threshold", "former"},
}


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
    back. Rolling back is writing `previous_model` to the file `destination.tfvars`, or reverting it.

    Args:
        frozen: an archive or staged folder whose test split decides; needed if there is a current model.
        new_classes: the classes of interest may differ; only those that both models know are compared.

    Raises:
        ArtifactError, DataSourceError, ServingFailed: the candidate or the frozen set cannot be used.
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
    model = store(candidate, destination.bucket, destination.image_uri, destination.s3_client)
    _record(verdict, before, model, destination)
    return Promotion(verdict, before, write_model(destination.tfvars, model))


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


@dataclass(frozen=True)
class _Contest:
    candidate: Path
    description: dict[str, Any]
    current: dict[str, Any] | None
    frozen: Path | None
    progress: Progress

    def answers(self, archive: Path, pictures: Pictures, whose: str) -> Predictions:
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            self.progress(f"Asking the {whose} model: picture {done}", done / len(pictures.labels))

        with serving_archive(archive) as (port, description):
            probabilities = ask(port, pictures.pixels, count)
        return Predictions(description, probabilities, truth_of(pictures.labels, description))


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
    side = max(contest.description["input_size"], current["input_size"] if current else 0)
    pictures = test_set.read(frozen, "test", interest, side)
    new = contest.answers(contest.candidate, pictures, "new")
    if current is None:
        verdict = Verdict(notes=["it is the first model: there is none to compare it with"])
        verdict.figures = {name: {"new": share} for name, share in new.shares().items()}
    elif set(current["classes_of_interest"]) & set(contest.description["classes_of_interest"]):
        archive = artifact_of(current, destination, folder)
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


def _another_set(current: dict[str, Any], destination: Destination, digest: str) -> list[str]:
    """A note where the current model was adopted on another frozen set."""
    try:
        there = destination.s3_client.get_object(Bucket=destination.bucket, Key=record_key(current["name"]))
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return []
    last = json.loads(there["Body"].read())["figures"].get("frozen")
    if last is None or last["sha256"] == digest:
        return []
    return ["the current model was judged on another frozen set"]


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
        Bucket=destination.bucket, Key=record_key(after["name"]), Body=body, ContentType="application/json"
    )
