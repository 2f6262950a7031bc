"""A model's baseline, made from the ledger: what pictures look like where the model is used."""

import json
from dataclasses import dataclass
from datetime import datetime

from functions.common import baseline
from functions.common.baseline import Baseline
from scripts.common import s3
from scripts.common.errors import UserError
from scripts.deployment.outputs import Deployment
from scripts.workflow.ledger import Ledger
from training_scripts import artifact

# A smaller baseline varies so much by chance that it shows little.
LEAST_ACCEPTED = 200


class BaselineError(UserError):
    """No baseline can be made; the message says why and what to do."""


@dataclass(frozen=True)
class Made:
    """A model's name, its new baseline, and the number of pictures that it was made from."""

    model: str
    baseline: Baseline
    pictures: int


def of_ledger(deployment: Deployment, since: datetime | None, until: datetime | None) -> Made:
    """The baseline of the latest model's answers in a time; accepted means by its own threshold.

    Raises:
        BaselineError: too few accepted pictures.
        NoSuchObject, ArtifactError: the model is no longer in the bucket.
    """
    rows = list(Ledger(deployment).answered(since, until))
    if not rows:
        raise BaselineError("No model answered in that time: choose another, or classify pictures first.")
    model = max(rows, key=lambda row: row["time"])["model"]
    pictures = [row for row in rows if row["model"] == model]
    place = f"s3://{deployment.bucket}/models/{model}/model.tar.gz"
    with s3.local(place, lambda: deployment.client("s3")) as archive:
        description, _ = artifact.read_archive(archive)
    labels, threshold = description["classes_of_interest"], description["threshold"]
    accepted = len(baseline.accepted(pictures, labels, threshold))
    if accepted < LEAST_ACCEPTED:
        raise BaselineError(
            f"{model} is sure of {accepted} of the {len(pictures)} pictures of that time, and {LEAST_ACCEPTED} are needed: "
            "take a longer time."
        )
    return Made(model, baseline.describe(pictures, labels, threshold), len(pictures))


def keep(deployment: Deployment, made: Made) -> str:
    """Replaces the model's baseline (the bucket keeps old ones for 30 days); returns its URI."""
    key = baseline.key(made.model)
    body = json.dumps(made.baseline, indent=1).encode()
    deployment.client("s3").put_object(
        Bucket=deployment.bucket, Key=key, Body=body, ContentType="application/json"
    )
    return f"s3://{deployment.bucket}/{key}"
