"""Compares a new model with the current one, and publishes it if it passes the gate.

The gate's rule is in training_scripts.evaluation.gate.
"""

import datetime
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scripts.common.paths import SHIPPED_MODEL
from scripts.common.progress import Progress
from scripts.models.archive import ModelArchive
from scripts.models.registry import (
    Destination,
    PromoteError,
    current_model,
    publish,
    published,
    record_key,
    write_model,
)
from training_scripts import artifact
from training_scripts.evaluation import gate, test_set
from training_scripts.evaluation.gate import Verdict
from training_scripts.evaluation.predictions import Predictions, truth_of
from training_scripts.evaluation.serving_client import ask, serving_model
from training_scripts.evaluation.test_set import Pictures


@dataclass(frozen=True)
class Promotion:
    """A verdict, and the Terraform variable `model` as written; None if the model was refused."""

    verdict: Verdict
    model: dict[str, Any] | None


@dataclass(frozen=True)
class Contest:
    """What the models answer to the frozen pictures; `current` is None if it knows no class."""

    pictures: Pictures
    new: Predictions
    current: Predictions | None


def promote(  # noqa: PLR0913 - a model, its place, and the terms that the command line gives
    path: Path,
    image_uri: str,
    destination: Destination,
    *,
    frozen: Path | None,
    new_classes: bool,
    progress: Progress,
) -> Promotion:
    """Compare a new model with the current one, and publish it if it is no worse.

    A first model is adopted without a comparison. Verdict and figures are kept beside the artifact
    as promotion.json before the model is named to Terraform, so that a promotion that was cut off
    anywhere can be repeated and rolled back. Rolling back is writing `previous_model` to the file
    `destination.tfvars`, or reverting it.

    Args:
        path: the new model's archive.
        image_uri: the serving image that it is to run in, by digest.
        frozen: an archive or staged folder whose test split decides; needed if there is a current
            model.
        new_classes: the classes of interest may differ; only those that both models know are
            compared.

    Raises:
        ArtifactError, DataSourceError, ServingFailed: the candidate or the frozen set cannot be
            used.
        PromoteError: no frozen set, other classes, or the current model is not what its file says.
        botocore.exceptions.ClientError: the bucket cannot be read or written.
    """
    candidate = ModelArchive.open(path)
    current = current_model(destination.tfvars)
    if current and not new_classes:
        _check_classes(candidate.classes, current["classes_of_interest"])
    contest = _contest(candidate, current, frozen, destination, progress)
    verdict = decide(candidate, current, contest)
    if current and contest and contest.current:
        verdict.notes += _another_set(current, destination, contest.pictures.digest())
    if not verdict.adopted:
        return Promotion(verdict, None)
    model = publish(candidate, image_uri, destination)
    _record(verdict, current, model, destination)
    return Promotion(verdict, write_model(destination.tfvars, model))


def decide(candidate: ModelArchive, current: dict[str, Any] | None, contest: Contest | None) -> Verdict:
    """Whether a candidate is adopted, by its description and by the answers, if any."""
    if contest is None and current:
        return Verdict(notes=["it is the current model: nothing to compare"])
    if contest is None:
        note = "it is the first model: adopted without a comparison"
        return Verdict(gate.floors(candidate.description, None), [note])
    if (
        current
        and contest.current
        and _is_demonstration(current)
        and gate.is_too_small(contest.new, contest.current)
    ):
        verdict = Verdict(
            notes=[
                "it replaces the shipped demonstration: there are too few pictures to compare it with that"
            ]
        )
    elif contest.current:
        verdict = gate.compare(contest.new, contest.current)
    elif current:
        verdict = Verdict(notes=["it knows none of the current model's classes: there is nothing to compare"])
    else:
        verdict = Verdict(notes=["it is the first model: there is none to compare it with"])
        verdict.figures = {name: {"new": share} for name, share in contest.new.shares().items()}
    verdict.refusals += gate.floors(candidate.description, contest.new)
    pictures = contest.pictures
    verdict.figures["frozen"] = {"sha256": pictures.digest(), "pictures": len(pictures.labels)}
    return verdict


def _is_demonstration(current: dict[str, Any]) -> bool:
    return bool(current["sha256"] == artifact.sha256(SHIPPED_MODEL))


def _check_classes(new: list[str], current: list[str]) -> None:
    if set(new) != set(current):
        raise PromoteError(
            f"its classes of interest are {', '.join(new)}, the current ones {', '.join(current)}: "
            "give --new-classes if that is meant"
        )


def _contest(
    candidate: ModelArchive,
    current: dict[str, Any] | None,
    frozen: Path | None,
    destination: Destination,
    progress: Progress,
) -> Contest | None:
    """Asks both models; None for the current model, and for a first one without a frozen set."""
    if current and current["sha256"] == candidate.sha256:
        return None
    if frozen is None:
        if current is None:
            return None
        raise PromoteError(
            "--frozen is needed: the pictures, an archive or a staged folder, whose test split decides whether "
            f"the new model is no worse than {current['name']}"
        )
    known = current["classes_of_interest"] if current else []
    interest = [*candidate.classes, *(name for name in known if name not in candidate.classes)]
    side = max(candidate.description["input_size"], current["input_size"] if current else 0)
    pictures = test_set.read(frozen, "test", interest, side)
    new = _answers(candidate, pictures, "new", progress)
    if current is None or set(known).isdisjoint(candidate.classes):
        return Contest(pictures, new, None)
    archive = ModelArchive.of(published(current, destination), current["artifact_uri"])
    return Contest(pictures, new, _answers(archive, pictures, "current", progress))


def _answers(model: ModelArchive, pictures: Pictures, whose: str, progress: Progress) -> Predictions:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(f"Asking the {whose} model: picture {done}", done / len(pictures.labels))

    with serving_model(model.description, model.network) as port:
        probabilities = ask(port, pictures.pixels, count)
    return Predictions(model.description, probabilities, truth_of(pictures.labels, model.description))


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
    """Keep verdict and figures beside the artifact; the current model keeps its first record."""
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
